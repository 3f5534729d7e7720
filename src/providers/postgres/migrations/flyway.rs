//! Flyway: a row for each migration with its CRC-32, and an advisory lock whose key is made from the table's name.
//!
//! By default the lock is a transaction's on one connection, while the migrations run on another: a client that is killed loses
//! the lock at once, and its migration goes on without it until its statement ends. The row of a failure outside a transaction is
//! written in the lock's transaction, which the failure rolls back: only with `transactional.lock=false` does it stay.

use std::path::Path;

use super::advisory;
use super::history::{Shape, Written};
use super::sources::{self, Source, ending};
use super::tool::{Known, Locking};

/// `LOCK_MAGIC_NUM` in its PostgreSQLAdvisoryLockTemplate.java: "Flyway".
const MAGIC: i64 = 0x466c_7977_6179;

pub(super) const KNOWN: Known = Known {
    id: "flyway",
    name: "Flyway",
    history: Shape {
        columns: &[
            "checksum",
            "description",
            "execution_time",
            "installed_by",
            "installed_on",
            "installed_rank",
            "script",
            "success",
            "type",
            "version",
        ],
        exact: true,
        counts: true,
        tells_failure: true,
        name: "{script}",
        at: "{installed_on}",
        by: "{installed_by}",
        outcome: "CASE WHEN NOT {success} THEN 'failed' WHEN {type} IN ('SCHEMA', 'BASELINE', 'DELETE') THEN lower({type}) ELSE 'executed' END",
        order: "{installed_rank}",
        key: "CASE WHEN {type} IN ('SCHEMA', 'DELETE') THEN NULL ELSE coalesce(regexp_replace({version}, '(^|[.])0+(?=[0-9])', '\\1', 'g'), 'R ' || {description}) END",
        checksum: "{checksum}",
    },
    locking: Locking::Advisory(advisory::Shape {
        keys: |_, schema, table| {
            let quoted = format!(
                "\"{}\".\"{}\"",
                schema.replace('"', "\"\""),
                table.replace('"', "\"\"")
            );
            vec![MAGIC + i64::from(hash_code(&quoted))]
        },
        default_table: "flyway_schema_history",
        polls: Some("%pg_try_advisory%"),
        // It means to name its sessions "Flyway by Redgate", under a name of the property that the driver does not read.
        applications: &["flyway", "postgresql jdbc driver"],
        instead: None,
    }),
    sources: sources::Shape {
        read: sources::Read::Files(file),
        pending: Some(pending),
        grouped: false,
        sql: true,
    },
    ways: &[
        (
            "start it again: undo by hand what of it is there, take its failed row away, and migrate",
            "flyway -locations=filesystem:{folder} repair migrate",
        ),
        (
            "set the version, when all of it is there or was finished by hand",
            "UPDATE {table} SET success = true WHERE version = '{version}'",
        ),
        (
            "roll forward: set the version, and let a newer migration correct what is there",
            "flyway -locations=filesystem:{folder} migrate",
        ),
    ],
};

/// `V1_2__description.sql` or `R__description.sql`, in folders below too, under the prefixes that it has unless told otherwise.
fn file(path: &Path, text: &str) -> Option<Source> {
    let (stem, ending) = ending(path)?;
    let (version, description) = stem.split_once("__")?;
    if ending != "sql" {
        return None;
    }
    let (key, order) = if version == "R" {
        let words = description.replace('_', " ");
        (format!("R {words}"), vec![u64::MAX])
    } else {
        let order = parts(&version.strip_prefix('V')?.replace('_', "."))?;
        let key: Vec<String> = order.iter().map(u64::to_string).collect();
        (key.join("."), order)
    };
    // ChecksumCalculator.java: every line without its end, and without the mark at the beginning.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let sum = advisory::crc32(text.replace(['\r', '\n'], "").as_bytes());
    Some(Source {
        order,
        checksums: vec![sum.cast_signed().to_string()],
        ..Source::named(path, key)
    })
}

fn parts(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// Versions without a row of success and above the baseline, and repeatable ones that changed since they last ran.
fn pending(files: &[Source], written: &[Written]) -> Vec<Source> {
    let baseline = written.iter().find(|w| w.outcome == "baseline");
    let baseline = baseline.and_then(|w| parts(&w.key));
    let waits = |f: &&Source| {
        let done = |w: &&Written| w.key == f.key && w.outcome == "executed";
        let newest = written.iter().rev().find(done);
        if f.key.starts_with("R ") {
            return newest
                .is_none_or(|w| !f.checksums.iter().any(|c| Some(c) == w.checksum.as_ref()));
        }
        newest.is_none() && baseline.as_ref().is_none_or(|b| f.order > *b)
    };
    files.iter().filter(waits).cloned().collect()
}

/// Java's `String.hashCode`.
fn hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_key_is_a_java_hash_on_top_of_the_name() {
        assert_eq!(super::hash_code("hello"), 99_162_322);
        let letters = b"Flyway";
        let number = letters.iter().fold(0, |n, b| n << 8 | i64::from(*b));
        assert_eq!(super::MAGIC, number);
    }
}

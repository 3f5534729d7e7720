//! Liquibase: one row with id 1, `LOCKEDBY` as `host#description (address)` and `LOCKGRANTED` by the holder's clock and time zone.
//!
//! The row is committed before the first changeset begins, so it outlives a holder that is killed, and says nothing of its
//! server process. A waiter looks at the row every ten seconds for five minutes, then gives up.

mod changelog;
mod formatted;
mod made;
mod node;
mod sums;

use super::history;
use super::lock::{Holder, Shape};
use super::sources;
use super::tool::{Known, Locking};

pub(super) const KNOWN: Known = Known {
    id: "liquibase",
    name: "Liquibase",
    history: history::Shape {
        columns: &[
            "author",
            "dateexecuted",
            "exectype",
            "filename",
            "id",
            "md5sum",
            "orderexecuted",
        ],
        exact: false,
        counts: true,
        // MarkChangeSetRanGenerator.java: one that failed or was skipped gets no row.
        tells_failure: false,
        name: "{filename} || '::' || {id} || '::' || {author}",
        at: "{dateexecuted}",
        by: "{author}",
        outcome: "lower({exectype})",
        order: "{orderexecuted}, {dateexecuted}",
        // Its path as the tool compares it: without what classpaths and drives begin with.
        key: "regexp_replace(replace({filename}, E'\\\\', '/'), '^(classpath:)?([A-Za-z]:)?/*([.]/+)*', '') || '::' || {id} || '::' || {author}",
        checksum: "{md5sum}",
    },
    locking: Locking::Row(&LOCK),
    sources: sources::Shape {
        read: sources::Read::Root(changelog::read),
        pending: None,
        grouped: false,
        sql: true,
    },
    ways: &[
        (
            "start it again: undo by hand what of it is there; it then runs from its beginning",
            "liquibase update --changelog-file=CHANGELOG",
        ),
        (
            "mark it as run, when all of it is there or was finished by hand; this marks the one that would run next",
            "liquibase mark-next-changeset-ran --changelog-file=CHANGELOG",
        ),
        (
            "roll forward: mark it as run, and let a newer changeset correct what is there",
            "liquibase mark-next-changeset-ran --changelog-file=CHANGELOG && liquibase update --changelog-file=CHANGELOG",
        ),
    ],
};

pub(super) const LOCK: Shape = Shape {
    columns: &["id", "locked", "lockedby", "lockgranted"],
    held: "locked",
    free: &[
        ("locked", "false"),
        ("lockgranted", "NULL"),
        ("lockedby", "NULL"),
    ],
    take: ("locked", "true"),
    holder: Some("lockedby"),
    since: Some("lockgranted"),
    polls: Some("%select locked from%"),
    // The name that the JDBC driver gives to a session which gives itself none.
    applications: &["postgresql jdbc driver", "liquibase"],
};

/// Reads `host#description (address%scope)`.
pub(super) fn holder(said: &str) -> Holder {
    let (name, address) = match said
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once(" ("))
    {
        Some((name, address)) => (name, Some(address)),
        None => (said, None),
    };
    let address = address.map(|a| a.split('%').next().unwrap_or(a));
    Holder {
        said: said.to_owned(),
        host: name.split('#').next().unwrap_or(name).trim().to_owned(),
        address: address.and_then(|a| a.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_address_are_read_as_liquibase_writes_them() {
        let seen = holder("vm (fd00:0:0:0:0:0:0:2%eth0)");
        assert_eq!(seen.host, "vm");
        assert_eq!(seen.address, Some("fd00::2".parse().unwrap()));
        let seen = holder("db-migrate-7c9d4#nightly (10.0.3.7)");
        assert_eq!(seen.host, "db-migrate-7c9d4");
        assert_eq!(seen.address, Some("10.0.3.7".parse().unwrap()));
        let seen = holder("somebody");
        assert_eq!((seen.host.as_str(), seen.address), ("somebody", None));
        assert_eq!(holder("vm (unknown)").address, None);
    }
}

//! What the catalogue and the ownership say: every kind of object, nothing that may be secret, and the same as older versions
//! said where an older backup is compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use summitctl::capture::{FingerprintKey, MemoryParts, PartInfo, PartSource as _};
use summitctl::providers::postgres::{
    BackOptions, CaptureOptions, MissingRoles, Renamed, RoleMap, TableBack, Target, capture,
    catalogue_as, catalogue_differences, decode, fingerprints_as, put_back,
};
use summitctl::wait::Cancel;

use super::complete::{COMPLETE, ITSELF, NEWER};
use super::round_trip::{by_part, capture_options, restore_to};
use super::{database, scratch_of, sql};

const LISTINGS: [&str; 2] = ["postgres/rich/catalogue", "postgres/rich/ownership"];

/// What earlier versions wrote, the oldest first; each can be read in the form of those before it.
const OLDER: [&str; 2] = ["pg-catalogue-jsonl", "pg-catalogue-jsonl-2"];

const NEWEST: &str = "pg-catalogue-jsonl-3";

/// One of each that the sandbox's servers can make, and what says so.
const CHANGES: &str = "
ALTER FOREIGN DATA WRAPPER nowhere OPTIONS (ADD more 'x');
ALTER SERVER elsewhere VERSION '2';
ALTER FOREIGN TABLE deep.far ALTER a OPTIONS (ADD m '2');
REVOKE USAGE ON LANGUAGE plpgsql_too FROM PUBLIC;
CREATE ACCESS METHOD heap_three TYPE TABLE HANDLER heap_tableam_handler;
DROP TRANSFORM FOR int LANGUAGE SQL;
DROP CONVERSION deep.latin;
CREATE DEFAULT CONVERSION deep.latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
DROP TEXT SEARCH PARSER deep.parser;
CREATE TEXT SEARCH PARSER deep.parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline);
DROP TEXT SEARCH TEMPLATE deep.template;
CREATE TEXT SEARCH TEMPLATE deep.template (LEXIZE = dsimple_lexize);
ALTER OPERATOR FAMILY deep.shells USING btree DROP OPERATOR 1 (deep.shell, int);
ALTER OPERATOR deep.<= (deep.shell, deep.shell) SET (RESTRICT = scalarlesel);
DROP INDEX deep.edges_own;
DROP OPERATOR CLASS deep.shell_ops USING btree;
CREATE OPERATOR CLASS deep.shell_ops DEFAULT FOR TYPE deep.shell USING btree FAMILY deep.shells AS
  OPERATOR 1 deep.<, OPERATOR 3 deep.=, OPERATOR 4 deep.>=, OPERATOR 5 deep.>, FUNCTION 1 deep.compare(deep.shell, deep.shell);
COMMENT ON OPERATOR CLASS deep.shell_ops USING btree IS 'a class';
CREATE INDEX edges_own ON deep.edges (own);
CREATE SCHEMA hollow;
ALTER PUBLICATION by_schema ADD TABLES IN SCHEMA hollow;
ALTER INDEX deep.tuned_expression ALTER COLUMN 1 SET STATISTICS 111;
ALTER STATISTICS deep.tuned_stats SET STATISTICS 78;
COMMENT ON SERVER elsewhere IS 'farther';
ALTER COLLATION deep.mine OWNER TO owner_a;
GRANT USAGE ON FOREIGN DATA WRAPPER nowhere TO reader_b;
CREATE ROLE another_superuser SUPERUSER;
ALTER EVENT TRIGGER off OWNER TO another_superuser;
ALTER USER MAPPING FOR reader_b SERVER elsewhere OPTIONS (DROP password);
DROP USER MAPPING FOR PUBLIC SERVER elsewhere;
";

const CHANGED_OBJECTS: [&str; 20] = [
    "unexpected access method heap_three",
    "missing comment on conversion deep.latin",
    "changed comment on server elsewhere",
    "missing comment on text search parser deep.parser",
    "missing comment on text search template deep.template",
    "missing comment on transform for integer language sql",
    "changed conversion deep.latin",
    "changed foreign server elsewhere",
    "changed foreign table deep.far",
    "changed foreign-data wrapper nowhere",
    "changed index statistics deep.tuned.tuned_expression",
    "changed operator class deep.shell_ops",
    "changed operator deep.<=(deep.shell,deep.shell)",
    "changed operator family deep.shells",
    "unexpected published schema by_schema.hollow",
    "unexpected schema hollow",
    "changed statistics deep.tuned_stats",
    "changed text search parser deep.parser",
    "changed text search template deep.template",
    "missing transform for integer in sql",
];

const CHANGED_OWNERSHIP: [&str; 7] = [
    "changed collation deep.mine",
    "changed event trigger off",
    "changed foreign-data wrapper nowhere",
    "changed language plpgsql_too",
    "unexpected schema hollow",
    "missing user mapping elsewhere.PUBLIC",
    "changed user mapping elsewhere.reader_b",
];

fn form_of(line: &str) -> u64 {
    let line: Value = serde_json::from_str(line).expect("is JSON");
    line["form"].as_u64().unwrap_or(1)
}

async fn lines(parts: &MemoryParts, name: &str) -> Vec<String> {
    let mut reader = parts.open(name).await.expect("opens");
    let bytes = reader.read_all().await.expect("reads");
    let text = String::from_utf8(bytes.to_vec()).expect("is text");
    text.lines().map(str::to_owned).collect()
}

fn part(parts: &MemoryParts, name: &str) -> PartInfo {
    let found = parts.parts(name).into_iter().find(|p| p.name == name);
    found.expect("is there")
}

async fn captured(target: &Target, options: &CaptureOptions) -> MemoryParts {
    let parts = MemoryParts::default();
    capture(target, &parts, options).await.expect("captures");
    parts
}

/// As earlier versions captured.
fn older(format: &str) -> CaptureOptions {
    CaptureOptions {
        formats: LISTINGS
            .map(|name| (name.to_owned(), format.to_owned()))
            .into(),
        ..capture_options(2)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_object_of_each_kind_is_named_and_no_value_of_an_option_is_listed() {
    let (_folder, server) = scratch_of(17).await;
    let target = database(&server, COMPLETE).await;
    let before = captured(&target, &capture_options(1)).await;
    sql(&target, CHANGES).await;
    let after = captured(&target, &capture_options(1)).await;
    let mut kinds = BTreeSet::new();
    for (name, wanted) in LISTINGS
        .iter()
        .zip([&CHANGED_OBJECTS[..], &CHANGED_OWNERSHIP])
    {
        let (old, new) = (lines(&before, name).await, lines(&after, name).await);
        let found = catalogue_differences(&old, &new);
        assert_eq!(found, wanted, "{name}");
        for line in &old {
            assert!(!line.contains("canary"), "{line}");
            let line: Value = serde_json::from_str(line).expect("is JSON");
            kinds.insert(line["kind"].as_str().expect("has a kind").to_owned());
        }
    }
    // What the kinds of options are called is listed, for one thing.
    let mappings = lines(&before, LISTINGS[1]).await;
    let names = mappings
        .iter()
        .any(|l| l.contains("\"user mapping\"") && l.contains("\"password\""));
    assert!(names, "{mappings:?}");
    for kind in [
        "subscription",
        "published schema",
        "operator family",
        "access method",
    ] {
        assert_eq!(
            kinds.contains(kind),
            kind != "subscription",
            "{kind}: {kinds:?}"
        );
    }
    assert_eq!(
        part(&before, LISTINGS[1]).meta["for-superusers"],
        serde_json::json!(["user mapping elsewhere.reader_b"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_compared_in_its_own_form_on_15() {
    for form in [1, 2] {
        older_form(15, form).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_compared_in_its_own_form_on_18() {
    for form in [1, 2] {
        older_form(18, form).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_compared_in_its_own_form_on_17() {
    older_form(17, 2).await;
}

async fn older_form(major: u32, form: usize) {
    let (folder, server) = scratch_of(major).await;
    let target = database(&server, COMPLETE).await;
    let own = OLDER[form - 1];
    let alone = "CREATE TABLE deep.alone (a int PRIMARY KEY, b int); INSERT INTO deep.alone VALUES (1, 2);
         CREATE INDEX alone_sum ON deep.alone ((a + b)); ALTER INDEX deep.alone_sum ALTER COLUMN 1 SET STATISTICS 50";
    sql(&target, alone).await;
    let parts = captured(&target, &older(own)).await;
    let newest = captured(&target, &capture_options(2)).await;
    for name in LISTINGS {
        assert_eq!(part(&parts, name).format, own);
        assert_eq!(part(&newest, name).format, NEWEST);
        let (old, new) = (lines(&parts, name).await, lines(&newest, name).await);
        let forms: BTreeSet<u64> = old.iter().map(|line| form_of(line)).collect();
        assert_eq!(forms, (1..=form as u64).collect(), "{old:?}");
        assert!(new.len() > old.len());
        // Of the newer one, what the older one would have been is left.
        assert_eq!(catalogue_as(new.clone(), own), old);
        assert_eq!(catalogue_as(old.clone(), NEWEST), old);
        assert_eq!(
            catalogue_as(new, OLDER[0]),
            catalogue_as(old.clone(), OLDER[0])
        );
        let mut reader = parts.open(name).await.expect("opens");
        let info = part(&parts, name);
        let again = decode(&info, reader.as_mut(), &FingerprintKey::new([9; 32])).await;
        assert_eq!(again.expect("decodes"), info.fingerprint);
    }

    // Restored and compared: in the form that it is in it is the same, in another one it would not be.
    let restored = restore_to(&server, &folder, "copy", &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    assert!(
        restored.incomparable.is_empty(),
        "{:?}",
        restored.incomparable
    );
    let copy = server.target().with_database("copy");
    let written: BTreeMap<_, _> = by_part(
        parts
            .parts("")
            .into_iter()
            .filter_map(|p| Some((p.name, p.fingerprint?))),
    );
    let options = CaptureOptions {
        formats: parts
            .parts("")
            .into_iter()
            .map(|p| (p.name, p.format))
            .collect(),
        ..capture_options(2)
    };
    let seen = fingerprints_as(&copy, "rich", &options)
        .await
        .expect("measures");
    assert_eq!(by_part(seen), written);
    let seen = fingerprints_as(&copy, "rich", &capture_options(2))
        .await
        .expect("measures");
    let seen = by_part(seen);
    let other: Vec<&String> = written.keys().filter(|n| seen[*n] != written[*n]).collect();
    assert_eq!(other, LISTINGS);

    // Under other names of roles, too.
    let map = RoleMap::new(&[("reader_b".to_owned(), "reader_c".to_owned())]).expect("is a map");
    for source in [&parts, &newest] {
        let renamed = Renamed::new(source, "rich", map.clone())
            .await
            .expect("reads");
        let found = renamed.differences(&copy, "rich").await.expect("compares");
        let mapping = found.iter().any(|line| line.contains("user mapping"));
        let known = form > 1 || std::ptr::eq(source, &newest);
        assert_eq!(mapping, known, "{found:?}");
    }

    // One table straight back, from either.
    for (id, source) in [("older", &parts), ("newer", &newest)] {
        sql(&target, "DROP TABLE deep.alone").await;
        let what = TableBack {
            schema: "deep".to_owned(),
            table: "alone".to_owned(),
            replace: false,
            id: id.to_owned(),
            aside: format!("summitctl_was_{id}"),
        };
        let options = BackOptions {
            key: FingerprintKey::new([9; 32]),
            cancel: Cancel::new(),
        };
        Box::pin(put_back(&target, source, "rich", &what, &options))
            .await
            .expect("puts it back");
    }
    let live = captured(&target, &capture_options(1)).await;
    let alone = |lines: Vec<String>| -> Vec<String> {
        lines
            .into_iter()
            .filter(|l| l.contains("deep.alone"))
            .collect()
    };
    let (old, new) = (
        lines(&newest, LISTINGS[0]).await,
        lines(&live, LISTINGS[0]).await,
    );
    assert!(old.iter().any(|l| l.contains("\"1 50\"")), "{old:?}");
    assert_eq!(alone(new), alone(old));
}

/// What the third form says: the version from which on a server can make it, what is done behind the backup's back, and how the
/// difference is called, in what objects are and in whose they are.
type Fact = (
    u32,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const FACTS: &[Fact] = &[
    (
        15,
        "COMMENT ON DATABASE rich IS 'another'",
        &["changed database"],
        &[],
    ),
    (
        15,
        "ALTER DATABASE rich SET app.more = 'canary-More-3'; ALTER DATABASE rich SET work_mem = '6MB'; ALTER DATABASE rich RESET app.secret",
        &[
            "missing database setting app.secret",
            "unexpected database setting app.more",
            "changed database setting work_mem",
        ],
        &[],
    ),
    (
        15,
        "GRANT CONNECT ON DATABASE rich TO reader_b",
        &[],
        &["changed database"],
    ),
    (
        15,
        "ALTER FUNCTION deep.needs_it() NO DEPENDS ON EXTENSION plpgsql",
        &["missing dependency on an extension of function deep.needs_it() on plpgsql"],
        &[],
    ),
    (
        // As an extension leaves them that masks columns.
        15,
        "SET allow_system_table_mods = on; DELETE FROM pg_seclabel WHERE classoid IN ('pg_type'::regclass, 'pg_proc'::regclass);
         UPDATE pg_seclabel SET label = 'canary-Label-4' WHERE classoid = 'pg_class'::regclass;
         INSERT INTO pg_seclabel VALUES ('deep'::regnamespace, 'pg_namespace'::regclass, 0, 'planted', 'canary-Label-5')",
        &[
            "missing security label on function deep.see() by planted",
            "missing security label on type deep.pair by planted",
            "unexpected security label on schema deep by planted",
            "changed security label on table column deep.tuned.c by planted",
        ],
        &[],
    ),
    (
        15,
        "ALTER TABLE deep.tuned SET (toast.autovacuum_enabled = true)",
        &["changed TOAST options deep.tuned"],
        &[],
    ),
    (
        15,
        "ALTER TABLE deep.parts_default DISABLE TRIGGER each_row",
        &["changed trigger deep.parts_default.each_row"],
        &[],
    ),
    (
        15,
        "ALTER SEQUENCE deep.fast SET LOGGED",
        &["changed sequence deep.fast"],
        &[],
    ),
    (
        15,
        "ALTER TABLE deep.leaf ADD CONSTRAINT said_twice CHECK (b <> 'never')",
        &["changed constraint deep.leaf.said_twice"],
        &[],
    ),
    (
        15,
        "COMMENT ON TYPE deep.undefined IS NULL; ALTER TYPE deep.undefined OWNER TO reader_b",
        &["changed shell type deep.undefined"],
        &["changed shell type deep.undefined"],
    ),
    (
        15,
        "GRANT EXECUTE ON FUNCTION pg_sleep(float8) TO reader_b; GRANT SELECT (rolsuper) ON pg_authid TO reader_b;
         REVOKE CREATE ON SCHEMA pg_catalog FROM owner_a; GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
        &[],
        &[
            "changed grants beside the initial ones on function pg_catalog.pg_sleep(double precision)",
            "changed grants beside the initial ones on language plpgsql",
            "missing grants beside the initial ones on schema pg_catalog",
            "unexpected grants beside the initial ones on table column pg_catalog.pg_authid.rolsuper",
        ],
    ),
    (
        18,
        "ALTER TABLE deep.named RENAME CONSTRAINT here_alone TO here_still; COMMENT ON CONSTRAINT is_filled ON DOMAIN deep.filled IS NULL;
         ALTER TABLE deep.named VALIDATE CONSTRAINT d_is_there",
        &[
            "changed NOT NULL constraint deep.filled.is_filled",
            "missing NOT NULL constraint deep.named.here_alone",
            "unexpected NOT NULL constraint deep.named.here_still",
            "changed NOT NULL constraint deep.named.d_is_there",
        ],
        &[],
    ),
    (
        18,
        "ALTER TABLE deep.by_method SET ACCESS METHOD heap",
        &["changed partitioned table deep.by_method"],
        &[],
    ),
];

async fn facts_are_named(major: u32) {
    let (_folder, server) = scratch_of(major).await;
    let target = database(&server, COMPLETE).await;
    let planted = "SET allow_system_table_mods = on; INSERT INTO pg_seclabel VALUES
         ('deep.tuned'::regclass, 'pg_class'::regclass, 3, 'planted', 'of a column'),
         ('deep.see()'::regprocedure, 'pg_proc'::regclass, 0, 'planted', 'of a function'),
         ('deep.pair'::regtype, 'pg_type'::regclass, 0, 'planted', 'of a type'),
         ('deep'::regnamespace, 'pg_namespace'::regclass, 0, 'another', 'of a schema')";
    sql(&target, ITSELF).await;
    sql(&target, planted).await;
    if major >= 18 {
        sql(&target, NEWER).await;
    }
    let before = captured(&target, &capture_options(1)).await;
    for (since, statements, _, _) in FACTS {
        if major >= *since {
            sql(&target, statements).await;
        }
    }
    let after = captured(&target, &capture_options(1)).await;
    for (at, name) in LISTINGS.iter().enumerate() {
        let facts = FACTS.iter().filter(|(since, ..)| major >= *since);
        let wanted: BTreeSet<&str> = facts
            .flat_map(|(_, _, objects, ownership)| [*objects, *ownership][at])
            .copied()
            .collect();
        let (old, new) = (lines(&before, name).await, lines(&after, name).await);
        let found = catalogue_differences(&old, &new);
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, wanted, "{major}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_fact_of_the_third_form_is_named_on_15() {
    facts_are_named(15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_fact_of_the_third_form_is_named_on_17() {
    facts_are_named(17).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_fact_of_the_third_form_is_named_on_18() {
    facts_are_named(18).await;
}

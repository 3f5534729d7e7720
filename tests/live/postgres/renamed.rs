//! Roles that have other names on the server that is restored to.

use summitctl::capture::{MemoryParts, PartSource};
use summitctl::error::Result;
use summitctl::providers::postgres::{
    MissingRoles, Renamed, RoleMap, Target, capture, create_database, incomparable, readiness,
    restore,
};
use summitctl::sandbox::servers::postgres::Running;

use super::round_trip::{capture_options, restore_options};
use super::{Folder, database, scratch_of, sql, value};

/// Makes everything that names a role; `{app}`, `{ro}`, `{rw}` and `{to}` are the roles, and the same words elsewhere are not.
const SCRIPT: &str = r#"
ALTER DATABASE {db} OWNER TO {app};
GRANT CONNECT ON DATABASE {db} TO {ro} WITH GRANT OPTION;
ALTER ROLE {ro} IN DATABASE {db} SET work_mem = '7MB';
CREATE SCHEMA ro AUTHORIZATION {app};
GRANT USAGE ON SCHEMA ro TO {ro}, {rw};
CREATE TABLE ro.ro (ro int PRIMARY KEY, "to" text, who text DEFAULT 'GRANT x TO ro');
CREATE TABLE public.rw (id int REFERENCES ro.ro);
ALTER TABLE ro.ro OWNER TO {app};
ALTER TABLE public.rw OWNER TO {rw};
GRANT SELECT ON ro.ro TO {ro} WITH GRANT OPTION;
GRANT SELECT (ro, "to"), INSERT ("to") ON ro.ro TO {to};
SET ROLE {ro}; GRANT SELECT ON ro.ro TO stays; RESET ROLE;
REVOKE ALL ON public.rw FROM {rw};
GRANT INSERT ON public.rw TO PUBLIC;
ALTER TABLE ro.ro ENABLE ROW LEVEL SECURITY;
CREATE POLICY "to" ON ro.ro AS RESTRICTIVE FOR SELECT TO {to}, {ro} USING (who <> ' TO ro') ;
CREATE POLICY all_of_them ON ro.ro WITH CHECK (true);
CREATE FUNCTION ro.f(ro int, OUT "to" text) LANGUAGE sql SECURITY DEFINER AS $$ SELECT 'to ro'::text $$;
ALTER FUNCTION ro.f OWNER TO {rw};
REVOKE ALL ON FUNCTION ro.f FROM PUBLIC; GRANT EXECUTE ON FUNCTION ro.f TO {ro};
CREATE TYPE ro.mood AS ENUM ('ro'); ALTER TYPE ro.mood OWNER TO {to};
CREATE SEQUENCE ro.s; ALTER SEQUENCE ro.s OWNER TO {to}; GRANT USAGE ON SEQUENCE ro.s TO {ro};
CREATE VIEW ro.v AS SELECT * FROM ro.ro; ALTER VIEW ro.v OWNER TO {to};
ALTER DEFAULT PRIVILEGES FOR ROLE {app} IN SCHEMA ro GRANT SELECT ON TABLES TO {ro}, {to};
ALTER DEFAULT PRIVILEGES FOR ROLE {rw} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE FOREIGN DATA WRAPPER fdw; CREATE SERVER there FOREIGN DATA WRAPPER fdw;
ALTER SERVER there OWNER TO {rw}; GRANT USAGE ON FOREIGN SERVER there TO {ro};
CREATE USER MAPPING FOR {ro} SERVER there OPTIONS ("user" 'FOR ro', password 'it''s TO ro');
CREATE USER MAPPING FOR PUBLIC SERVER there;
SELECT lo_create(70); ALTER LARGE OBJECT 70 OWNER TO {rw}; GRANT SELECT ON LARGE OBJECT 70 TO {ro};
INSERT INTO ro.ro SELECT n, 'x' FROM generate_series(1, 100) n;
"#;

/// [`SCRIPT`] for a database and four roles.
fn script(database: &str, roles: [&str; 4]) -> String {
    let mut text = SCRIPT.replace("{db}", database);
    for (word, role) in ["{app}", "{ro}", "{rw}", "{to}"].iter().zip(roles) {
        text = text.replace(word, &summitctl::providers::postgres::sql::ident(role));
    }
    text
}

/// Who has what, in one text.
const SAID: &str = "
SELECT string_agg(line, chr(10) ORDER BY line COLLATE \"C\") FROM (
  SELECT concat_ws(' ', 'relation', c.oid::regclass, pg_get_userbyid(c.relowner), acl(c.relacl)) AS line FROM pg_class c WHERE relnamespace IN ('ro'::regnamespace, 'public'::regnamespace) AND relkind IN ('r', 'v', 'S')
  UNION ALL SELECT concat_ws(' ', 'column', attname, acl(attacl)) FROM pg_attribute WHERE attrelid = 'ro.ro'::regclass AND attacl IS NOT NULL
  UNION ALL SELECT concat_ws(' ', 'schema', pg_get_userbyid(nspowner), acl(nspacl)) FROM pg_namespace WHERE nspname = 'ro'
  UNION ALL SELECT concat_ws(' ', 'function', pg_get_userbyid(proowner), acl(proacl)) FROM pg_proc WHERE pronamespace = 'ro'::regnamespace
  UNION ALL SELECT concat_ws(' ', 'type', pg_get_userbyid(typowner)) FROM pg_type WHERE typname = 'mood'
  UNION ALL SELECT concat_ws(' ', 'policy', polname, (SELECT array_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END ORDER BY pg_get_userbyid(r)::text COLLATE \"C\") FROM unnest(polroles) r), pg_get_expr(polqual, polrelid)) FROM pg_policy
  UNION ALL SELECT concat_ws(' ', 'default', defaclobjtype, pg_get_userbyid(defaclrole), acl(defaclacl)) FROM pg_default_acl
  UNION ALL SELECT concat_ws(' ', 'server', pg_get_userbyid(srvowner), acl(srvacl)) FROM pg_foreign_server
  UNION ALL SELECT concat_ws(' ', 'mapping', usename, (SELECT array_agg(o ORDER BY o COLLATE \"C\") FROM unnest(umoptions) o)) FROM pg_user_mappings
  UNION ALL SELECT concat_ws(' ', 'setting', pg_get_userbyid(setrole), setconfig) FROM pg_db_role_setting WHERE setrole <> 0
  UNION ALL SELECT concat_ws(' ', 'database', pg_get_userbyid(datdba), acl(datacl)) FROM pg_database WHERE datname = current_database()
  UNION ALL SELECT concat_ws(' ', 'large object', pg_get_userbyid(lomowner), acl(lomacl)) FROM pg_largeobject_metadata
) all_lines";

/// Privileges without who granted them: a restore makes the owner the grantor where it can.
const ACL: &str = "CREATE FUNCTION pg_temp.acl(a aclitem[]) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END, privilege_type, is_grantable), ',' ORDER BY
    CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END COLLATE \"C\", privilege_type COLLATE \"C\") FROM aclexplode(a) $$";

async fn said(target: &Target) -> Vec<String> {
    let mut session = summitctl::providers::postgres::session::open(
        target,
        summitctl::providers::postgres::session::Access::AsGiven,
    )
    .await
    .expect("opens");
    sqlx::raw_sql(ACL)
        .execute(&mut session)
        .await
        .expect("makes");
    let question = SAID.replace("acl(", "pg_temp.acl(");
    let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(question))
        .fetch_one(&mut session)
        .await
        .expect("answers");
    text.lines().map(str::to_owned).collect()
}

fn map(pairs: &[(&str, &str)]) -> RoleMap {
    let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    RoleMap::new(&pairs.iter().map(own).collect::<Vec<_>>()).expect("is a map")
}

async fn restored(
    server: &Running,
    folder: &Folder,
    name: &str,
    source: &dyn PartSource,
) -> Result<Target> {
    let admin = server.target();
    let leave = MissingRoles::LeaveOut;
    create_database(&admin, name, source, "rich", leave).await?;
    let target = admin.with_database(name);
    restore(&target, source, "rich", &restore_options(folder, leave)).await?;
    Ok(target)
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_rights_come_back_under_other_names() {
    let old = ["the \"App\"", "ro", "rw", "to"];
    // One of the new names was another role's before.
    let new = ["new \"app\" to", "reader", "Writer", "ro"];
    let (_source_folder, source) = scratch_of(15).await;
    let roles = r#"CREATE ROLE "the ""App"""; CREATE ROLE ro; CREATE ROLE rw; CREATE ROLE "to"; CREATE ROLE stays;"#;
    let original = database(&source, &format!("{roles}{}", script("rich", old))).await;
    let parts = MemoryParts::default();
    capture(&original, &parts, &capture_options(2))
        .await
        .expect("captures");

    for major in [15, 18] {
        let (folder, server) = scratch_of(major).await;
        let roles = r#"CREATE ROLE "new ""app"" to"; CREATE ROLE reader; CREATE ROLE "Writer"; CREATE ROLE ro; CREATE ROLE stays;"#;
        // What it would be, had it been made with the new names.
        let native = database(&server, &format!("{roles}{}", script("rich", new))).await;
        let pairs: Vec<(&str, &str)> = old.into_iter().zip(new).collect();
        let renamed = Renamed::new(&parts, "rich", map(&pairs))
            .await
            .expect("reads");
        assert!(renamed.unused.is_empty());
        let copy = restored(&server, &folder, "copy", &renamed)
            .await
            .expect("restores");
        assert_eq!(said(&copy).await, said(&native).await);
        let differences = renamed.differences(&copy, "rich").await.expect("compares");
        // From 17 on there is one privilege more.
        assert_eq!(differences.is_empty(), major == 15, "{differences:#?}");
        let left_out = incomparable(&copy, &renamed, "rich").await.expect("looks");
        assert_eq!(left_out.is_empty(), major == 15, "{left_out:?}");
        let rows = "SELECT count(*)::text FROM ro.ro";
        assert_eq!(value(&copy, rows).await.as_deref(), Some("100"));

        // What is not as it should be is named.
        for (damage, named) in [
            (
                "ALTER TABLE public.rw OWNER TO reader",
                "relation  public.rw",
            ),
            ("ALTER POLICY \"to\" ON ro.ro TO stays", "policy ro.ro to"),
            (
                "REVOKE ALL ON LARGE OBJECT 70 FROM reader",
                "large object 70",
            ),
            (
                "ALTER ROLE reader IN DATABASE copy RESET ALL",
                "settings of role  reader",
            ),
        ] {
            sql(&copy, damage).await;
            let found = renamed.differences(&copy, "rich").await.expect("compares");
            assert!(
                found.iter().any(|d| d.starts_with(named)),
                "{damage}: {found:#?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_roles_become_one_and_a_missing_one_is_found_before() {
    let (folder, server) = scratch_of(15).await;
    let original = database(
        &server,
        "CREATE ROLE a; CREATE ROLE b; CREATE ROLE c; CREATE ROLE one; CREATE TABLE t (n int); ALTER TABLE t OWNER TO a; \
         GRANT SELECT ON t TO b; GRANT INSERT ON t TO c; CREATE TABLE u (n int); ALTER TABLE u OWNER TO b; GRANT UPDATE ON u TO c, a; \
         ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO b, c; ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b; \
         ALTER DEFAULT PRIVILEGES FOR ROLE b GRANT INSERT ON TABLES TO c",
    )
    .await;
    let parts = MemoryParts::default();
    capture(&original, &parts, &capture_options(2))
        .await
        .expect("captures");
    let merged = map(&[("b", "one"), ("c", "one")]);
    let renamed = Renamed::new(&parts, "rich", merged).await.expect("reads");
    let copy = restored(&server, &folder, "merged", &renamed)
        .await
        .expect("restores");
    let found = renamed.differences(&copy, "rich").await.expect("compares");
    assert!(found.is_empty(), "{found:#?}");
    let acl = "SELECT string_agg(a::text, ' ') FROM pg_class, unnest(relacl) a WHERE relname = 't'";
    assert_eq!(
        value(&copy, acl).await.as_deref(),
        Some("a=arwdDxt/a one=ar/a")
    );

    let missing = map(&[("b", "nobody"), ("typo", "one")]);
    let renamed = Renamed::new(&parts, "rich", missing).await.expect("reads");
    assert_eq!(renamed.unused, ["typo"]);
    let ready = readiness(&original, &renamed, "rich", &[])
        .await
        .expect("looks");
    assert_eq!(ready.missing_roles, ["nobody"]);
}

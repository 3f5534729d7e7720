//! What ordinary roles plant for a superuser's session to step on: functions and operators that fit better than the server's, and
//! tables under our own names.

use std::time::Duration;

use summitctl::capture::MemoryParts;
use summitctl::providers::postgres::migrations::{histories, invalid_indexes, locks};
use summitctl::providers::postgres::{
    MissingRoles, Target, blockers, capture, counters, drop_database, fingerprints, identify,
    made_name, ping, plant_marker, preview, read_marker, swap_in, undo_swap, writes_since,
};
use summitctl::sandbox::servers::log_tail;
use summitctl::sandbox::servers::postgres::Running;
use summitctl::secret::Secret;
use summitctl::time::Instant;
use summitctl::wait::Deadline;

use super::beside::Pooler;
use super::round_trip::{capture_options, restore_to};
use super::{Folder, database, scratch, scratch_of, sql, value};

/// Each tells the server's log, and makes its maker a superuser where it can.
const TRAPS: &str = "
    CREATE FUNCTION public.caught(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        RAISE LOG 'planted: % as %', what, current_user;
        IF pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.=) 'off' THEN
            BEGIN ALTER ROLE plain SUPERUSER; EXCEPTION WHEN OTHERS THEN NULL; END;
        END IF;
    END $$;
    CREATE FUNCTION public.format(text, int, name, text, text) RETURNS text LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('format'); RETURN $1; END $$;
    CREATE FUNCTION public.to_jsonb(pg_catalog.pg_database) RETURNS jsonb LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('to_jsonb'); RETURN '{}'; END $$;
    CREATE FUNCTION public.unlike(name, name) RETURNS boolean LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('!~'); RETURN $1::text OPERATOR(pg_catalog.!~) $2::text; END $$;
    CREATE OPERATOR public.!~ (LEFTARG = name, RIGHTARG = name, FUNCTION = public.unlike);
    CREATE FUNCTION public.times(bigint, interval) RETURNS interval LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('*'); RETURN $2; END $$;
    CREATE OPERATOR public.* (LEFTARG = bigint, RIGHTARG = interval, FUNCTION = public.times);
    CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('current_setting'); RETURN pg_catalog.current_setting($1); END $$;
    CREATE FUNCTION public.pg_backend_pid() RETURNS int LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('pg_backend_pid'); RETURN pg_catalog.pg_backend_pid(); END $$;
    CREATE FUNCTION public.current_database() RETURNS name LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('current_database'); RETURN pg_catalog.current_database(); END $$;
    CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('to_regclass'); RETURN pg_catalog.to_regclass($1); END $$";

/// A server with the rights of version 14, the traps of a plain role in its maintenance database, and in a database of that role's own
/// where they come before the server's.
async fn trapped(server: &Running) -> (Target, Target) {
    let admin = server.target();
    sql(
        &admin,
        "CREATE ROLE plain LOGIN PASSWORD 'canary-Pl4'; GRANT CREATE ON SCHEMA public TO PUBLIC",
    )
    .await;
    let target = database(
        server,
        "ALTER DATABASE rich OWNER TO plain; GRANT CREATE ON SCHEMA public TO PUBLIC;
         CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);
         CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
         INSERT INTO schema_migrations VALUES (1, false);
         CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t",
    )
    .await;
    let plain = Target {
        user: "plain".to_owned(),
        password: Some(Secret::new("canary-Pl4")),
        ..target.clone()
    };
    sql(&plain.with_database(&admin.database), TRAPS).await;
    sql(&plain, TRAPS).await;
    sql(
        &plain,
        "ALTER DATABASE rich SET search_path = public, pg_catalog",
    )
    .await;
    (target, plain)
}

const SUPER: &str = "SELECT rolsuper::text FROM pg_catalog.pg_roles WHERE rolname = 'plain'";

async fn nothing_ran(folder: &Folder, admin: &Target, after: &str) {
    let log = log_tail(folder.path(), 100_000);
    let ran: Vec<&str> = log.lines().filter(|l| l.contains("planted: ")).collect();
    assert_eq!(ran, Vec::<&str>::new(), "after {after}");
    assert_eq!(value(admin, SUPER).await.as_deref(), Some("false"));
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_plain_role_plants_runs_with_our_rights() {
    let (folder, server) = scratch().await;
    everything(&folder, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_planted_runs_on_18_either() {
    let (folder, server) = scratch_of(18).await;
    everything(&folder, &server).await;
}

async fn everything(folder: &Folder, server: &Running) {
    let admin = server.target();
    let (target, plain) = trapped(server).await;
    ping(&target, soon()).await.expect("answers");
    plant_marker(&target, "marker-1").await.expect("plants");
    let identity = identify(&target).await.expect("identifies");
    assert_eq!(identity.facts["marker"], "marker-1");
    nothing_ran(folder, &admin, "identify").await;

    preview(&target).await.expect("looks");
    blockers::blockers(&target, blockers::LONG)
        .await
        .expect("looks");
    locks(&target).await.expect("looks");
    histories(&target).await.expect("looks");
    invalid_indexes(&target).await.expect("looks");
    nothing_ran(folder, &admin, "looking").await;

    let parts = MemoryParts::default();
    capture(&target, &parts, &capture_options(2))
        .await
        .expect("captures");
    fingerprints(&target, &capture_options(2))
        .await
        .expect("measures");
    nothing_ran(folder, &admin, "capture").await;

    let now = Instant::now();
    let (aside, retired) = (
        made_name("rich", "restore", now),
        made_name("rich", "retired", now),
    );
    restore_to(server, folder, &aside, &parts, MissingRoles::LeaveOut)
        .await
        .expect("restores");
    let copy = admin.with_database(&aside);
    let then = counters(&copy).await.expect("counts");
    writes_since(&copy, &then).await.expect("counts");
    nothing_ran(folder, &admin, "restore").await;

    // Sessions of the application, which are told to end.
    let mut busy = tokio::spawn(async move { sql(&plain, "SELECT pg_sleep(600)").await });
    let there =
        "SELECT count(*)::text FROM pg_stat_activity WHERE usename = 'plain' AND state = 'active'";
    super::until(&admin, there, "1").await;
    swap_in(&target, "rich", &aside, &retired)
        .await
        .expect("swaps");
    assert!((&mut busy).await.is_err(), "its session was ended");
    undo_swap(&target, "rich", &aside, &retired)
        .await
        .expect("takes back");
    drop_database(&admin, &aside).await.expect("drops");
    nothing_ran(folder, &admin, "swap and undo").await;

    // The traps themselves work.
    for (trap, question) in [
        ("current_setting", "SELECT current_setting('port')"),
        ("pg_backend_pid", "SELECT pg_backend_pid()::text"),
        ("current_database", "SELECT current_database()::text"),
        ("to_regclass", "SELECT to_regclass('t')::text"),
        (
            "to_jsonb",
            "SELECT to_jsonb(d)::text FROM pg_database d LIMIT 1",
        ),
        (
            "!~",
            "SELECT (nspname !~ '^pg_')::text FROM pg_namespace LIMIT 1",
        ),
        ("*", "SELECT (1::bigint * interval '1 ms')::text"),
        (
            "format",
            "SELECT format('%s (%s, %s)%s', 1, datname, 'a'::text, 'b') FROM pg_database LIMIT 1",
        ),
    ] {
        value(&target, question).await;
        let caught = format!("planted: {trap} as ");
        assert!(log_tail(folder.path(), 100_000).contains(&caught), "{trap}");
    }
    assert_eq!(value(&admin, SUPER).await.as_deref(), Some("true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_planted_runs_behind_a_pooler_and_nothing_stays_behind() {
    let (folder, server) = scratch().await;
    let admin = server.target();
    let (target, _) = trapped(&server).await;
    for (mode, ignored) in [
        ("transaction", ",options"),
        ("transaction", ""),
        ("session", ""),
    ] {
        let pooler = Pooler::ignoring(folder.path(), &target, mode, ignored);
        let behind = &pooler.target;
        ping(behind, soon()).await.expect("answers");
        plant_marker(behind, "marker-2").await.expect("plants");
        let marker = read_marker(behind).await.expect("reads");
        assert_eq!(marker.as_deref(), Some("marker-2"));
        locks(behind).await.expect("looks");
        blockers::blockers(behind, blockers::LONG)
            .await
            .expect("looks");
        if mode == "session" {
            capture(behind, &MemoryParts::default(), &capture_options(2))
                .await
                .expect("captures");
        }
        nothing_ran(&folder, &admin, mode).await;
        let path = value(behind, "SHOW search_path").await;
        assert_eq!(path.as_deref(), Some("public, pg_catalog"), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_somebody_else_made_is_refused() {
    let (_folder, server) = scratch().await;
    let admin = server.target();
    let (target, plain) = trapped(&server).await;
    let escalate = "CREATE FUNCTION public.escalate() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN PERFORM public.caught('marker'); RETURN NEW; END $$";
    sql(&plain, escalate).await;
    let refused = async |what: &str| {
        let error = plant_marker(&target, "marker-3").await.expect_err(what);
        assert_eq!(
            error.reason().code,
            "postgres.not-our-table",
            "{what}: {error:?}"
        );
        let hint = error.hints().join(" ");
        assert!(hint.contains("DROP SCHEMA summitctl CASCADE"), "{hint}");
        assert_eq!(
            value(&admin, SUPER).await.as_deref(),
            Some("false"),
            "{what}"
        );
        error.to_string()
    };
    sql(&plain, "CREATE SCHEMA summitctl").await;
    let said = refused("an empty schema").await;
    assert!(said.contains("belongs to `plain`"), "{said}");
    sql(
        &plain,
        "CREATE TABLE summitctl.marker (id text PRIMARY KEY);
         CREATE TRIGGER t BEFORE INSERT ON summitctl.marker FOR EACH ROW EXECUTE FUNCTION public.escalate()",
    )
    .await;
    refused("a table with a trigger").await;
    // Under a schema of ours it is no better.
    sql(&target, "ALTER SCHEMA summitctl OWNER TO CURRENT_USER").await;
    let said = refused("a table of somebody else's").await;
    assert!(said.contains("it belongs to `plain`"), "{said}");
    sql(
        &target,
        "ALTER TABLE summitctl.marker OWNER TO CURRENT_USER",
    )
    .await;
    let said = refused("a table of ours with a trigger of somebody else's").await;
    assert!(said.contains("it has triggers"), "{said}");

    sql(
        &target,
        "DROP TABLE summitctl.marker; GRANT CREATE, USAGE ON SCHEMA summitctl TO plain",
    )
    .await;
    sql(
        &plain,
        "CREATE FUNCTION public.id() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.caught('view'); RETURN 'x'; END $$;
         CREATE VIEW summitctl.marker AS SELECT public.id() AS id",
    )
    .await;
    let said = refused("a view").await;
    assert!(said.contains("it is no plain table"), "{said}");
    let error = identify(&target).await.expect_err("a view is not read");
    assert_eq!(error.reason().code, "postgres.not-our-table", "{error:?}");

    sql(&target, "DROP SCHEMA summitctl CASCADE").await;
    plant_marker(&target, "marker-3").await.expect("plants");
    let marker = read_marker(&plain).await.expect("everybody may read it");
    assert_eq!(marker.as_deref(), Some("marker-3"));
}

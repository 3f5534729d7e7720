//! A database of hundreds of tables and thousands of sequences.

use crate::poison::configure;
use crate::postgres::{scratch_of, sql, value};
use crate::program::{Program, memory};

/// Tables with a sequence and a key each, and sequences of their own that have gone on.
const THOUSANDS: &str = "
DO $$ BEGIN FOR n IN 1..700 LOOP
    EXECUTE format('CREATE TABLE t%s (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)', n);
    EXECUTE format('INSERT INTO t%s (note) SELECT ''no. '' || n FROM generate_series(1, %s) n', n, n % 7);
END LOOP; END $$;
DO $$ BEGIN FOR n IN 1..2000 LOOP
    EXECUTE format('CREATE SEQUENCE s%s', n);
    EXECUTE format('SELECT setval(''s%s'', %s, %L)', n, n + 10, n % 2 = 0);
END LOOP; END $$;";

const HELD: &str = "
SELECT concat_ws(' ', (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
    (SELECT concat_ws(' ', count(*), count(last_value), sum(last_value)) FROM pg_sequences),
    (SELECT sum((xpath('//n/text()', query_to_xml(format('SELECT count(note) n FROM %I', tablename), true, true, '')))[1]::text::int)
     FROM pg_tables WHERE schemaname = 'public'))";

/// What the program may need, in MiB.
const MEMORY: u64 = 256;

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_tables_and_thousands_of_sequences_come_back() {
    let (_folder, server) = scratch_of(17).await;
    let program = Program::bare("many");
    let admin = server.target();
    sql(&admin, "CREATE DATABASE app").await;
    let app = admin.with_database("app");
    sql(&app, THOUSANDS).await;
    configure(&program, &server);
    for args in [
        &["backup", "create", "--yes"][..],
        &["restore", "newest", "--as", "copy", "--yes"],
        &["backup", "verify", "newest", "--level", "3", "--yes"],
    ] {
        let most = memory(program.command(args));
        assert!(most < MEMORY, "{most} MiB for {args:?}");
    }
    let held = value(&app, HELD).await;
    assert_eq!(value(&admin.with_database("copy"), HELD).await, held);
}

//! A field larger than the program's memory.

use sqlx::Executor as _;

use crate::program::{Program, memory};

/// Bytes of one field: more than the program may need, and as much as is quick.
const LONG: usize = 300_000_000;

/// Bytes of the longest field: a row ends a few bytes below 1 GiB in the server itself.
const LONGEST: usize = 1_000_000_000;

/// Set, the longest field is tried as well; the server needs 4 GiB of memory for it.
const TRY_LONGEST: &str = "SUMMITCTL_TEST_GIGABYTE";

/// What the program may need, in MiB.
const MEMORY: u64 = 256;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_field_comes_and_goes_in_pieces() {
    let program = Program::start("fields");
    field(&program, LONG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_field_comes_and_goes_in_pieces() {
    if std::env::var_os(TRY_LONGEST).is_some() {
        let program = Program::start("longest");
        field(&program, LONGEST).await;
    }
}

async fn field(program: &Program, bytes: usize) {
    let mut session = program.postgres().await;
    let long = format!(
        "CREATE TABLE long (id int PRIMARY KEY, field text COMPRESSION lz4);
         ALTER TABLE long OWNER TO operator;
         INSERT INTO long VALUES (1, 'before'), (2, repeat('0123456789', {})), (3, 'after');
         -- Types that name others by numbers travel as text, and their rows with them.
         CREATE TABLE spelt AS SELECT *, 'int4'::regtype AS kind FROM long;
         ALTER TABLE spelt OWNER TO operator",
        bytes / 10
    );
    session
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(long)))
        .await
        .unwrap();
    for args in [
        &["backup", "create", "--stores", "postgres", "--yes"][..],
        &["backup", "verify", "newest", "--level", "2", "--yes"],
        &[
            "restore",
            "newest",
            "--stores",
            "postgres",
            "--as",
            "copy",
            "--table",
            "public.long",
            "--table",
            "public.spelt",
            "--yes",
        ],
    ] {
        let args = [args, &["--context", "sandbox"]].concat();
        let most = memory(program.command(&args));
        assert!((20..MEMORY).contains(&most), "{most} MiB for {args:?}");
    }
    let mut copy = program.database("copy").await;
    for table in ["long", "spelt"] {
        let sums = format!("SELECT string_agg(md5(field), ',' ORDER BY id) FROM {table}");
        let mut seen = Vec::new();
        for session in [&mut session, &mut copy] {
            let sum: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sums.as_str()))
                .fetch_one(session)
                .await
                .unwrap();
            seen.push(sum);
        }
        assert_eq!(seen[0], seen[1], "{table}");
    }
}

/// How much memory it takes is printed, and README.md says it: glibc's heap keeps the holes that fragments leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_comes_and_goes_in_fragments() {
    let program = Program::start("streams");
    let mut bytes = vec![0; 1_000];
    let url = format!(
        "redis://:{}@127.0.0.1:{}/0",
        program.secret("redis/password"),
        program.server("redis").port
    );
    let mut conn = redis::Client::open(url).unwrap().get_connection().unwrap();
    for from in (0..LONG / bytes.len()).step_by(1_000) {
        let mut many = redis::pipe();
        for n in from..from + 1_000 {
            getrandom::fill(&mut bytes).unwrap();
            let add = many.cmd("XADD").arg("long").arg(format!("{}-1", n + 1));
            add.arg("field").arg(&bytes).ignore();
        }
        let _: () = many.query(&mut conn).unwrap();
    }
    let group = ["XGROUP", "CREATE", "long", "workers", "0"];
    let _: () = program.redis(&group).await;
    let read = ["XREADGROUP", "GROUP", "workers", "one", "COUNT", "1000"];
    let _: redis::Value = program
        .redis(&[&read[..], &["STREAMS", "long", ">"]].concat())
        .await;
    for args in [
        &["backup", "create", "--stores", "redis", "--yes"][..],
        &["backup", "verify", "newest", "--level", "3", "--yes"],
        &[
            "restore",
            "newest",
            "--stores",
            "redis",
            "--flush",
            "--without-safety-backup",
            "it is a test",
            "--confirm",
            "sandbox",
        ],
    ] {
        let args = [args, &["--context", "sandbox"]].concat();
        memory(program.command(&args));
    }
    let length: usize = program.redis(&["XLEN", "long"]).await;
    assert_eq!(length, LONG / bytes.len());
    let pending: redis::Value = program.redis(&["XPENDING", "long", "workers"]).await;
    assert!(format!("{pending:?}").contains("int(1000)"), "{pending:?}");
}

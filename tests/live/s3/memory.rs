//! Data larger than the program's memory, to a bucket and back.

use summitctl::sandbox::servers::redis::Options;

use super::flow::Host;
use super::server::{Kind, Server};
use crate::program::memory;
use crate::redis::Server as Redis;

/// How many values there are, of a mebibyte each that nothing makes smaller.
const VALUES: u64 = 800;

/// What the program may need, in MiB.
const MEMORY: u64 = 640;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_memory_holds_goes_to_a_bucket_and_comes_back() {
    let server = Server::start(Kind::Versity).await;
    server.bucket("backups").await;
    let redis = Redis::start(&Options::scratch()).await;
    let host = Host::new(&redis, &server.endpoint(), &server.endpoint());
    let client = redis::Client::open(format!(
        "redis://:{}@127.0.0.1:{}/0",
        redis.running.password.expose(),
        redis.running.port
    ))
    .unwrap();
    let patient = crate::program::patient();
    let mut session = client
        .get_multiplexed_async_connection_with_config(&patient)
        .await
        .unwrap();
    let mut bytes = vec![0; 1 << 20];
    let mut all = blake3::Hasher::new();
    for n in 0..VALUES {
        getrandom::fill(&mut bytes).unwrap();
        all.update(&bytes);
        let mut set = redis::cmd("SET");
        set.arg(n).arg(&bytes);
        set.query_async::<()>(&mut session).await.unwrap();
    }
    host.ok(&["evidence", "keygen", "key.pem"]);
    host.ok(&["backup", "init", "--new-secret", "--yes"]);
    let bounded = |args: &[&str]| {
        let most = memory(host.command(args));
        assert!((20..MEMORY).contains(&most), "{most} MiB for {args:?}");
    };
    bounded(&["backup", "create", "--stores", "redis", "--yes"]);
    let listed = server.admin().list_objects_v2().bucket("backups");
    let listed = listed.send().await.unwrap();
    let stored: i64 = listed.contents().iter().filter_map(|o| o.size()).sum();
    assert!(stored >= (VALUES << 20) as i64, "{stored}");
    bounded(&["backup", "verify", "newest", "--level", "2", "--yes"]);
    let flush = redis::cmd("FLUSHALL");
    flush.query_async::<()>(&mut session).await.unwrap();
    host.ok(&["context", "pin", "--replace", "--confirm", "bucket"]);
    bounded(&["restore", "newest", "--confirm", "bucket"]);
    let mut back = blake3::Hasher::new();
    for n in 0..VALUES {
        let mut get = redis::cmd("GET");
        get.arg(n);
        let value: Vec<u8> = get.query_async(&mut session).await.unwrap();
        back.update(&value);
    }
    assert_eq!(back.finalize(), all.finalize());
}

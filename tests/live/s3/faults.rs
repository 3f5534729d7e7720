//! What goes wrong between here and the store: survived, or said with its reason and the next command.

use std::time::Duration;

use summitctl::repository::s3::Patience;
use summitctl::repository::{Created, Object, S3Place, S3Store, Store};

use super::proxy::{Fault, Proxy};
use super::server::{KEY, Kind, SECRET, Server, garage_wanted, keys, kinds, place};

async fn through(proxy: &Proxy, prefix: &str) -> S3Store {
    S3Store::open(place(&proxy.endpoint(), "faulty", prefix))
        .await
        .unwrap()
}

fn noise(size: usize) -> Object {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).unwrap();
    Object::new(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_connections_are_survived() {
    for kind in kinds() {
        survives_bad_connections(&Server::start(kind).await).await;
    }
}

async fn survives_bad_connections(server: &Server) {
    server.bucket("faulty").await;
    let direct = S3Store::open(server.place("faulty", "")).await.unwrap();
    let faults = [
        // In the middle of a part, of the probe's answer, and of a download.
        ("up", Fault::CutUp(5 << 20, 3)),
        ("down", Fault::CutDown(3 << 20, 3)),
        ("busy", Fault::Busy(4)),
        ("slow", Fault::Slow(Duration::from_millis(5))),
    ];
    for (prefix, fault) in faults {
        let endless = matches!(fault, Fault::Slow(_));
        let proxy = Proxy::start(server.port, fault).await;
        let store = through(&proxy, prefix).await;
        store.prove().await.unwrap();
        for (name, size) in [("small", 7 << 20), ("large", 20 << 20)] {
            let object = noise(size);
            assert_eq!(
                store.create(name, &object).await.unwrap(),
                Created::New,
                "{prefix}/{name}"
            );
            let read = store.get(name, size as u64).await.unwrap().unwrap();
            assert!(read == object.bytes(), "{prefix}/{name}");
            let there = direct
                .get(&format!("{prefix}/{name}"), size as u64)
                .await
                .unwrap();
            assert!(there.unwrap() == object.bytes(), "{prefix}/{name}");
        }
        assert!(endless || proxy.spent(), "{prefix}: the fault was not met");
    }
}

/// So little patience that a test has it.
const IMPATIENT: Patience = Patience {
    beside: Duration::from_secs(2),
    slowest: 2 << 20,
    stalled: Duration::from_secs(1),
};

/// What trickles in either direction is given up, tried again, and at last named; what has moved already is not fetched again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_trickles_is_given_up_and_tried_again() {
    let server = Server::start(Kind::Versity).await;
    server.bucket("faulty").await;
    let direct = S3Store::open(server.place("faulty", "")).await.unwrap();
    let open = async |proxy: &Proxy| {
        let place = place(&proxy.endpoint(), "faulty", "");
        S3Store::open_with(place, IMPATIENT).await.unwrap()
    };
    // Both connections of the object in parts, or the one of the other: the third attempt at the latest goes through.
    for (name, size) in [("small", 1 << 20), ("large", 18 << 20)] {
        let object = noise(size);
        let proxy = Proxy::start(server.port, Fault::StallUp(256 << 10, 2)).await;
        let made = open(&proxy).await.create(name, &object).await.unwrap();
        assert_eq!(made, Created::New, "{name}");
        assert!(proxy.spent(), "{name}: nothing trickled");
        let there = direct.get(name, size as u64).await.unwrap().unwrap();
        assert!(there == object.bytes(), "{name}");
    }
    let whole = direct.get("small", 1 << 20).await.unwrap().unwrap();
    let proxy = Proxy::start(server.port, Fault::StallDown(256 << 10, 2)).await;
    let read = open(&proxy).await.get("small", 1 << 20).await.unwrap();
    assert!(read.unwrap() == whole);
    assert!(proxy.spent(), "nothing trickled");
    let heads = proxy.heads.lock().unwrap().clone();
    let taken_up = heads.iter().filter(|h| h.contains("\r\nrange: bytes="));
    assert_eq!(taken_up.count(), 2, "{heads:#?}");
    // Endless: nobody waits for ever, and nothing half-written counts.
    let proxy = Proxy::start(server.port, Fault::StallUp(256 << 10, i64::MAX)).await;
    let object = noise(1 << 20);
    let up = async { open(&proxy).await.create("never", &object).await };
    let other = Proxy::start(server.port, Fault::StallDown(64 << 10, i64::MAX)).await;
    let down = async { open(&other).await.get("small", 1 << 20).await };
    let (up, down) = tokio::join!(up, down);
    for (error, said) in [
        (up.unwrap_err(), "no answer in time"),
        (down.unwrap_err(), "slower than 2.0 MiB a second"),
    ] {
        assert_eq!(
            error.reason().code,
            "repository.s3-unreachable",
            "{error:?}"
        );
        assert!(error.one_line().contains(said), "{error:?}");
        assert!(!error.hints().is_empty(), "{error:?}");
    }
    assert_eq!(direct.head("never").await.unwrap(), None);
}

/// A link that is slow and steady takes longer than a stall may, and is borne in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_that_moves_is_borne() {
    let server = Server::start(Kind::Versity).await;
    server.bucket("faulty").await;
    let proxy = Proxy::start(server.port, Fault::SlowBoth(Duration::from_millis(40))).await;
    let place = place(&proxy.endpoint(), "faulty", "");
    let patience = Patience {
        slowest: 256 << 10,
        ..IMPATIENT
    };
    let store = S3Store::open_with(place, patience).await.unwrap();
    let object = noise(4 << 20);
    assert_eq!(store.create("x", &object).await.unwrap(), Created::New);
    let read = store.get("x", 4 << 20).await.unwrap().unwrap();
    assert!(read == object.bytes());
    // Each took one attempt, and longer than anything that stands still is given.
    let heads = proxy.heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 2, "{heads:#?}");
    let times = proxy.times.lock().unwrap().clone();
    assert!(times[1] - times[0] > IMPATIENT.stalled, "{times:?}");
}

/// The answer to a write is lost after the store has carried it out: asked again, it is still this writer's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_does_not_make_a_stranger_of_the_writer() {
    let server = Server::start(Kind::Versity).await;
    server.bucket("faulty").await;
    let proxy = Proxy::start(server.port, Fault::CutDown(0, 1)).await;
    let store = through(&proxy, "").await;
    let object = noise(1_000);
    assert_eq!(store.create("x", &object).await.unwrap(), Created::New);
    assert!(proxy.spent());
    assert_eq!(store.create("x", &object).await.unwrap(), Created::Exists);
    // The very first write is the probe's.
    let proxy = Proxy::start(server.port, Fault::CutDown(0, 1)).await;
    through(&proxy, "probe").await.prove().await.unwrap();
    assert!(proxy.spent());
}

/// A store on which a condition has no effect: a real server, behind a proxy that removes what the condition names, or says
/// that it was met.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_ignores_conditions_is_refused() {
    let server = Server::start(Kind::Versity).await;
    server.bucket("faulty").await;
    let data = server.dir.join("data");
    for (fault, condition) in [
        (
            Fault::Forgetful(data.clone(), "PUT "),
            "`If-None-Match`, so",
        ),
        (Fault::Heedless, "`If-Match`, so"),
        (
            Fault::Forgetful(data, "POST "),
            "`If-None-Match` where an upload in parts is completed, so",
        ),
    ] {
        let proxy = Proxy::start(server.port, fault).await;
        let store = through(&proxy, "r").await;
        let error = store.prove().await.unwrap_err();
        assert_eq!(
            error.reason().code,
            "repository.s3-unsafe-store",
            "{error:?}"
        );
        assert_eq!(error.exit().code(), 3);
        assert!(error.to_string().contains(condition), "{error:?}");
        assert!(
            store.list("").await.unwrap().is_empty(),
            "nothing stays there"
        );
    }
}

/// Garage takes a write with a condition for a write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garage_is_refused_before_anything_is_kept_there() {
    if !garage_wanted() {
        return;
    }
    let server = Server::start(Kind::Garage).await;
    server.bucket("here").await;
    let store = S3Store::open(server.place("here", "r")).await.unwrap();
    // It is a good store otherwise.
    let (one, two) = (noise(9), noise(9));
    store.create("once", &one).await.unwrap();
    let read = store.get("once", 9).await.unwrap().unwrap();
    assert!(read == one.bytes());
    let written = store.create("once", &two).await;
    let now = store.get("once", 9).await.unwrap().unwrap();
    assert!(
        now == two.bytes(),
        "it does not overwrite any more: {written:?}"
    );
    let admin = server.admin();
    let delete = admin.delete_object().bucket("here").key("r/once");
    delete.send().await.unwrap();

    let error = store.prove().await.unwrap_err();
    assert_eq!(
        error.reason().code,
        "repository.s3-unsafe-store",
        "{error:?}"
    );
    assert_eq!(error.exit().code(), 3);
    assert!(error.to_string().contains("`If-None-Match`"), "{error:?}");
    let left = admin.list_objects_v2().bucket("here").send().await.unwrap();
    assert!(left.contents().is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_has_its_reason_and_no_secret() {
    let server = Server::start(Kind::Versity).await;
    server.bucket("faulty").await;
    server.user("somebody", "somebodys-secret");
    let good = server.place("faulty", "r");
    let closed = "http://127.0.0.1:1".to_owned();
    let with = |id: &str, secret: &str| S3Place {
        keys: Some(keys(id, secret)),
        ..good.clone()
    };
    let cases = [
        (
            with(KEY, "canary-wrong-secret"),
            "repository.s3-login-refused",
            7,
            "summitctl context show",
        ),
        (
            with("nobody", SECRET),
            "repository.s3-login-refused",
            7,
            "summitctl context show",
        ),
        (
            with("somebody", "somebodys-secret"),
            "repository.s3-permission-denied",
            3,
            "summitctl explain",
        ),
        (
            server.place("absent", ""),
            "repository.s3-no-bucket",
            7,
            "aws s3 mb",
        ),
        (
            place(&closed, "faulty", ""),
            "repository.s3-unreachable",
            7,
            "aws s3 ls",
        ),
    ];
    let cases = cases.map(|(place, reason, exit, hint)| async move {
        let shown = place.to_string();
        let store = S3Store::open(place).await.unwrap();
        // The answer to HEAD has no body, and is explained all the same.
        if !shown.contains("absent") {
            let error = store.head("repository.json").await.unwrap_err();
            assert_eq!(error.reason().code, reason, "{error:?}");
        }
        let error = store.get("repository.json", 10).await.unwrap_err();
        assert_eq!(error.reason().code, reason, "{error:?}");
        assert_eq!(error.exit().code(), exit);
        assert!(error.to_string().contains(&shown), "{error:?}");
        assert!(error.hints().iter().any(|h| h.contains(hint)), "{error:?}");
        let all = format!("{error:?} {}", error.one_line());
        assert!(!all.contains(SECRET) && !all.contains("canary"), "{all}");
    });
    futures_util::future::join_all(cases).await;
}

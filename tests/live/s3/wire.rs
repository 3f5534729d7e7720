//! What goes over the wire: checksums, conditions and classes where they belong, and what the client makes of answers that a
//! real server gives seldom. The server is a real one; the proxy before it gives those answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use summitctl::repository::s3::posture::{Does, Measured, Posture, Why};
use summitctl::repository::{Created, Object, S3Place, S3Store, Store};

use super::proxy::{Fault, Proxy};
use super::server::{KMS_KEY, Kind, Server, place};

async fn server() -> Server {
    let server = Server::start(Kind::Versity).await;
    server.bucket("wire").await;
    server
}

async fn through(proxy: &Proxy) -> S3Store {
    let place = place(&proxy.endpoint(), "wire", "r");
    S3Store::open(place).await.unwrap()
}

fn object(size: usize) -> Object {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).unwrap();
    Object::new(bytes)
}

/// Bytes that change on the way are noticed by the server, in one piece and in parts, and nothing is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_on_the_way_is_not_stored() {
    let server = server().await;
    let proxy = Proxy::start(server.port, Fault::Garble(i64::MAX)).await;
    let store = through(&proxy).await;
    for (name, size) in [("small", 7 << 20), ("large", 20 << 20)] {
        let error = store.create(name, &object(size)).await.unwrap_err();
        assert_eq!(error.reason().code, "repository.s3-garbled", "{error:?}");
        assert_eq!(store.head(name).await.unwrap(), None, "{name}");
    }
}

/// Each part carries its checksum, and several are on their way at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_go_side_by_side_each_with_its_checksum() {
    let server = server().await;
    let proxy = Proxy::start(server.port, Fault::Slow(Duration::from_millis(1))).await;
    let store = through(&proxy).await;
    let made = store.create("large", &object(40 << 20)).await.unwrap();
    assert_eq!(made, Created::New);
    let at_once = proxy.most_parts.load(Ordering::SeqCst);
    assert!((2..=8).contains(&at_once), "{at_once}");
    let heads = proxy.heads.lock().unwrap().clone();
    let parts: Vec<_> = heads.iter().filter(|h| h.contains("partnumber=")).collect();
    assert_eq!(parts.len(), 5);
    assert!(parts.iter().all(|h| h.contains("x-amz-checksum-sha256: ")));
    let ends = heads
        .iter()
        .filter(|h| h.starts_with("post ") && h.contains("if-none-match: *"));
    assert_eq!(ends.count(), 1, "{heads:#?}");
}

/// The class and the key are asked for with what stays, and the class not with what goes again soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classes_and_keys_go_with_what_stays() {
    let server = server().await;
    let proxy = Proxy::start(server.port, Fault::None).await;
    let store = S3Store::open(S3Place {
        storage_class: Some("STANDARD_IA".to_owned()),
        kms_key: Some(KMS_KEY.to_owned()),
        ..place(&proxy.endpoint(), "wire", "r")
    });
    let store = store.await.unwrap();
    // Whether this server knows them does not matter here: what was asked for does.
    let names = [
        "segments/aa/x.zst.age",
        "segments/aa/y.zst.age",
        "locks/x.json",
    ];
    for (name, size) in names.into_iter().zip([9, 17 << 20, 9]) {
        let _ = store.create(name, &object(size)).await;
    }
    let heads = proxy.heads.lock().unwrap().clone();
    let of = |method: &str, name: &str| {
        let path = format!("/{name}");
        let mut found = heads
            .iter()
            .filter(|h| h.starts_with(method) && h.contains(&path));
        found
            .next()
            .unwrap_or_else(|| panic!("no {method} of {name}: {heads:#?}"))
            .clone()
    };
    for head in [of("put", names[0]), of("post", names[1])] {
        assert!(head.contains("x-amz-storage-class: standard_ia"), "{head}");
        assert!(
            head.contains("x-amz-server-side-encryption: aws:kms"),
            "{head}"
        );
        assert!(
            head.contains(&format!(
                "x-amz-server-side-encryption-aws-kms-key-id: {KMS_KEY}"
            )),
            "{head}"
        );
    }
    let passing = of("put", names[2]);
    assert!(!passing.contains("x-amz-storage-class"), "{passing}");
    assert!(
        passing.contains("x-amz-server-side-encryption: aws:kms"),
        "{passing}"
    );
}

/// Tries to create an object in a store that never has time. How long each pause between two tries was.
async fn in_vain(port: u16) -> Vec<Duration> {
    let proxy = Proxy::start(port, Fault::Busy(i64::MAX)).await;
    let store = through(&proxy).await;
    let error = store.create("x", &object(9)).await.unwrap_err();
    assert_eq!(error.reason().code, "repository.s3-busy", "{error:?}");
    assert_eq!(error.exit().code(), 7);
    let times = proxy.times.lock().unwrap().clone();
    times.windows(2).map(|two| two[1] - two[0]).collect()
}

/// A store that never has time is given up after a few tries, between which nobody waits as long as somebody else; one whose
/// clock differs is asked again by its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_stores_and_other_clocks_have_an_end() {
    let server = server().await;
    let (one, other) = tokio::join!(in_vain(server.port), in_vain(server.port));
    println!("paused {one:?} and {other:?}");
    assert_eq!(one.len(), 5);
    assert_eq!(other.len(), 5);
    let apart = |(a, b): (&Duration, &Duration)| a.abs_diff(*b) > Duration::from_millis(20);
    let differ = one.iter().zip(&other).filter(|pair| apart(*pair)).count();
    assert!(differ >= 2, "{one:?} {other:?}");
    let longest = Duration::from_secs(11);
    assert!(one.iter().chain(&other).all(|pause| *pause < longest));

    let skewed = |times: i64| {
        let said = "<?xml version=\"1.0\"?><Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>";
        let at = "403 Forbidden\r\nDate: Wed, 01 Jan 2031 00:00:00 GMT";
        Fault::Says("/wire/", times, at.to_owned(), said.to_owned())
    };
    // It was wrong about the time for a moment: what the server itself says of it then is believed in turn.
    let proxy = Proxy::start(server.port, skewed(1)).await;
    let made = through(&proxy).await.create("y", &object(20 << 20)).await;
    assert_eq!(made.unwrap(), Created::New);
    assert!(proxy.spent());
    let proxy = Proxy::start(server.port, skewed(i64::MAX)).await;
    let error = through(&proxy).await.create("z", &object(9)).await;
    let error = error.unwrap_err();
    assert_eq!(error.reason().code, "repository.s3-clock", "{error:?}");
}

/// What lies in an archive is told from what is forbidden, with the command that brings it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_an_archive_is_said_to() {
    let server = server().await;
    let said = "<?xml version=\"1.0\"?><Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage class</Message></Error>";
    let archived = Fault::Says(
        "/segments/",
        i64::MAX,
        "403 Forbidden".to_owned(),
        said.to_owned(),
    );
    let proxy = Proxy::start(server.port, archived).await;
    let name = "segments/aa/x.zst.age";
    let error = through(&proxy).await.get(name, 10).await.unwrap_err();
    assert_eq!(error.reason().code, "repository.s3-archived", "{error:?}");
    let command = "aws s3api restore-object --bucket wire --key r/segments/aa/x.zst.age";
    assert!(
        error.hints().iter().any(|h| h.contains(command)),
        "{error:?}"
    );
}

/// Uploads that killed writers left are ended by the next one when they are old, and only where they can be ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_uploads_that_were_cut_off_are_ended() {
    let server = server().await;
    let segment = format!("segments/ab/{}.zst.age", "ab".repeat(32));
    let begin = async |key: &str| {
        let begun = server
            .admin()
            .create_multipart_upload()
            .bucket("wire")
            .key(key);
        begun.send().await.unwrap().upload_id().unwrap().to_owned()
    };
    let ours = begin(&format!("r/{segment}")).await;
    let others = begin("r/video.mp4").await;
    let left = async || {
        let list = server.admin().list_multipart_uploads().bucket("wire");
        let found = list.send().await.unwrap();
        let ids = found
            .uploads()
            .iter()
            .map(|u| u.upload_id().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    // They are of this moment: nobody ends them.
    let store = S3Store::open(server.place("wire", "r")).await.unwrap();
    store.prove().await.unwrap();
    assert_eq!(left().await.len(), 2);
    // The same list, from a store that says they are of last year.
    let upload = |key: &str, id: &str| {
        format!(
            "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>2025-01-01T00:00:00.000Z</Initiated></Upload>"
        )
    };
    let list = format!(
        "<?xml version=\"1.0\"?><ListMultipartUploadsResult><Bucket>wire</Bucket><IsTruncated>false</IsTruncated>{}{}</ListMultipartUploadsResult>",
        upload(&format!("r/{segment}"), &ours),
        upload("r/video.mp4", &others)
    );
    let proxy = Proxy::start(
        server.port,
        Fault::Says("uploads&prefix", 1, "200 OK".to_owned(), list),
    )
    .await;
    through(&proxy).await.prove().await.unwrap();
    assert!(proxy.spent(), "{:#?}", proxy.heads.lock().unwrap());
    assert_eq!(left().await, [others]);
}

/// Each fact of a bucket's set-up, as it is when it is set, when it is not, and when the key may not ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fact_of_a_bucket_is_read_as_it_is_said() {
    let server = server().await;
    let direct = S3Store::open(server.place("wire", "r")).await.unwrap();
    assert_eq!(direct.posture().await.public_policy, Measured::Is(false));
    // A policy that lets everybody in, on the real server.
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::wire/*"}]}"#;
    let put = server.admin().put_bucket_policy().bucket("wire");
    put.policy(policy).send().await.unwrap();
    assert_eq!(direct.posture().await.public_policy, Measured::Is(true));

    let says = async |word: &'static str, status: &str, body: &str| {
        let body = format!("<?xml version=\"1.0\"?>{body}");
        let fault = Fault::Says(word, 1, status.to_owned(), body);
        let proxy = Proxy::start(server.port, fault).await;
        let posture = through(&proxy).await.posture().await;
        assert!(proxy.spent(), "{word}");
        posture
    };
    let error = |code: &str| format!("<Error><Code>{code}</Code><Message>said</Message></Error>");
    type Fact = fn(&Posture) -> String;
    let told = |fact: Fact, posture: &Posture| fact(posture);
    let replicated: Fact = |p| format!("{:?}", p.replicated);
    let encryption: Fact = |p| format!("{:?}", p.encryption);
    let blocked: Fact = |p| format!("{:?}", p.public_blocked);
    let rule = "<ReplicationConfiguration><Role>r</Role><Rule><ID>x</ID><Status>Enabled</Status><Destination><Bucket>arn:aws:s3:::other</Bucket></Destination></Rule></ReplicationConfiguration>";
    let sse = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
    let all = |ignore: &str| {
        format!(
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>{ignore}</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
        )
    };
    let cases: Vec<(Fact, &'static str, &str, String, &str)> = vec![
        (
            replicated,
            "?replication",
            "200 OK",
            rule.to_owned(),
            "Is(true)",
        ),
        (
            replicated,
            "?replication",
            "200 OK",
            rule.replace("Enabled", "Disabled"),
            "Is(false)",
        ),
        (
            replicated,
            "?replication",
            "404 Not Found",
            error("ReplicationConfigurationNotFoundError"),
            "Is(false)",
        ),
        (
            replicated,
            "?replication",
            "403 Forbidden",
            error("AccessDenied"),
            "Not(Denied)",
        ),
        (
            encryption,
            "?encryption",
            "200 OK",
            sse.to_owned(),
            "Is(Some(\"aws:kms\"))",
        ),
        (
            encryption,
            "?encryption",
            "404 Not Found",
            error("ServerSideEncryptionConfigurationNotFoundError"),
            "Is(None)",
        ),
        (
            encryption,
            "?encryption",
            "403 Forbidden",
            error("AccessDenied"),
            "Not(Denied)",
        ),
        (
            blocked,
            "?publicAccessBlock",
            "200 OK",
            all("true"),
            "Is(true)",
        ),
        (
            blocked,
            "?publicAccessBlock",
            "200 OK",
            all("false"),
            "Is(false)",
        ),
        (
            blocked,
            "?publicAccessBlock",
            "404 Not Found",
            error("NoSuchPublicAccessBlockConfiguration"),
            "Is(false)",
        ),
    ];
    for (fact, word, status, body, expected) in cases {
        let posture = says(word, status, &body).await;
        assert_eq!(told(fact, &posture), expected, "{word} {status} {body}");
    }
    let frozen = "<LifecycleConfiguration><Rule><ID>cold</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Transition><Days>9</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>";
    let posture = says("?lifecycle", "200 OK", frozen).await;
    let Measured::Is(rules) = posture.rules else {
        panic!("{:?}", posture.rules);
    };
    assert_eq!(
        rules[0].does,
        Does::Freezes("to GLACIER after 9 days".to_owned())
    );
    let posture = says("?lifecycle", "403 Forbidden", &error("AccessDenied")).await;
    assert_eq!(posture.rules, Measured::Not(Why::Denied));
}

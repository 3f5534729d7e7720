//! What every store promises, asked of a folder and of each object store alike; and what buckets have beside it.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter, ServerSideEncryption,
};
use summitctl::repository::s3::posture::{Does, Measured};
use summitctl::repository::s3::{LockMode, RetainFor};
use summitctl::repository::{Created, Deleted, LocalStore, Object, S3Place, S3Store, Store};

use super::server::{KMS_KEY, Kind, Server, folder, kinds};

async fn keeps_its_promises(store: Arc<dyn Store>, bucket: bool, again: bool) {
    store.prove().await.unwrap();
    assert!(
        store.list("").await.unwrap().is_empty(),
        "the probe is gone"
    );
    let (one, two) = (Object::new(&b"one"[..]), Object::new(&b"two"[..]));

    // Created once, and the first content stays.
    let name = "segments/ab/x.zst.age";
    assert_eq!(store.head(name).await.unwrap(), None);
    assert_eq!(store.get(name, 10).await.unwrap(), None);
    assert_eq!(store.create(name, &one).await.unwrap(), Created::New);
    assert_eq!(store.create(name, &two).await.unwrap(), Created::Exists);
    assert_eq!(&store.get(name, 10).await.unwrap().unwrap()[..], b"one");
    assert_eq!(store.head(name).await.unwrap(), Some(3));
    assert_eq!(store.look(name).await.unwrap().unwrap().size, 3);
    let error = store.get(name, 2).await.unwrap_err();
    assert_eq!(error.reason().code, "repository.damaged");
    // The same bytes by another writer are not this writer's.
    assert_eq!(store.create(name, &one).await.unwrap(), Created::Exists);

    // Replaced only if nobody else did.
    assert!(!store.replace("r", one.sha256(), &two).await.unwrap());
    store.create("r", &one).await.unwrap();
    assert!(!store.replace("r", two.sha256(), &two).await.unwrap());
    assert!(store.replace("r", one.sha256(), &two).await.unwrap());
    assert_eq!(&store.get("r", 10).await.unwrap().unwrap()[..], b"two");

    // Of many, one wins, and its content is there; large ones are put in parts.
    for size in [9, 17 << 20] {
        let name = format!("backups/a/{size}");
        let contenders = if size > 1 << 20 { 3 } else { 16_u8 };
        let tasks: Vec<_> = (0..contenders)
            .map(|n| {
                let (store, name) = (Arc::clone(&store), name.clone());
                tokio::spawn(async move {
                    store
                        .create(&name, &Object::new(vec![n; size]))
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut winners = Vec::new();
        for (n, task) in tasks.into_iter().enumerate() {
            if task.await.unwrap() == Created::New {
                winners.push(n);
            }
        }
        assert_eq!(winners.len(), 1, "{size}: {winners:?}");
        let there = store.get(&name, size as u64).await.unwrap().unwrap();
        assert_eq!(there.len(), size);
        assert!(there.iter().all(|b| usize::from(*b) == winners[0]));
        assert_ne!(store.delete(&name).await.unwrap(), Deleted::Absent);
    }
    // And of those who replace.
    store.create("c", &one).await.unwrap();
    let tasks: Vec<_> = (0..8_u8)
        .map(|n| {
            let (store, old) = (Arc::clone(&store), one.sha256());
            tokio::spawn(async move { store.replace("c", old, &Object::new(vec![n; 9])).await })
        })
        .collect();
    let mut swapped = 0;
    for task in tasks {
        swapped += usize::from(task.await.unwrap().unwrap());
    }
    // Who replaces holds the exclusive lock; a bucket tells two of them apart even without it.
    assert!(swapped == 1 || (swapped > 1 && !bucket), "{swapped}");

    // Listings are whole, sorted, and see what was deleted.
    for name in ["backups/b/manifest.json", "backups/a/staged/x"] {
        store.create(name, &one).await.unwrap();
    }
    let listed = store.list("backups/").await.unwrap();
    let names: Vec<&str> = listed.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["backups/a/staged/x", "backups/b/manifest.json"]);
    assert_eq!(listed[0].size, 3);
    assert_eq!(
        store.children("backups/").await.unwrap(),
        ["backups/a/", "backups/b/"]
    );
    let top = store.children("").await.unwrap();
    for name in ["backups/", "c", "r", "segments/"] {
        assert!(top.iter().any(|t| t == name), "{top:?}");
    }
    let gone = store.delete("backups/a/staged/x").await.unwrap();
    // What is deleted is gone, or hidden, as the store itself says of its versions.
    let hides = store.keeps_versions().await.unwrap();
    let expected = if hides {
        Deleted::Hidden
    } else {
        Deleted::Gone
    };
    assert_eq!(gone, expected);
    let gone = store.delete("backups/a/staged/x").await.unwrap();
    assert_eq!(gone, Deleted::Absent);
    // Versitygw goes on to show a folder that holds nothing but delete markers.
    let left = store.children("backups/").await.unwrap();
    assert!(left == ["backups/b/"] || bucket, "{left:?}");
    assert!(store.list("backups/a/").await.unwrap().is_empty());
    assert!(store.list("nothing/").await.unwrap().is_empty());
    // What is deleted can be created anew, or its name stays taken.
    assert_eq!(store.delete(name).await.unwrap(), expected);
    if again {
        assert_eq!(store.create(name, &two).await.unwrap(), Created::New);
        assert_eq!(&store.get(name, 10).await.unwrap().unwrap()[..], b"two");
    } else {
        // The probe has found out that the store never gives such a name again: it counts as taken.
        assert_eq!(store.create(name, &two).await.unwrap(), Created::Exists);
    }

    for name in ["../x", "a/../../x", "/etc/passwd", "a//b", "a\0b", "a b"] {
        assert!(store.head(name).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_folder_and_every_object_store_keep_the_same_promises() {
    let dir = folder("local");
    keeps_its_promises(
        Arc::new(LocalStore::new(dir.join("repository"))),
        false,
        true,
    )
    .await;
    std::fs::remove_dir_all(dir).unwrap();
    for kind in kinds() {
        let server = Server::start(kind).await;
        for (bucket, prefix) in [("plain", ""), ("kept", "summit/one")] {
            server.bucket(bucket).await;
            if bucket == "kept" {
                server.versioned(bucket).await;
            }
            let store = S3Store::open(server.place(bucket, prefix)).await.unwrap();
            // Versitygw takes a name under a delete marker for a taken one.
            let again = kind != Kind::Versity || bucket != "kept";
            keeps_its_promises(Arc::new(store), true, again).await;
            let left = server
                .admin()
                .list_multipart_uploads()
                .bucket(bucket)
                .send()
                .await
                .unwrap();
            assert!(left.uploads().is_empty(), "{kind:?}: {:?}", left.uploads());
        }
        pages_and_damage(kind, &server).await;
        retention(kind, &server).await;
        posture(kind, &server).await;
        if kind == Kind::Minio {
            encrypted_by_the_store(&server).await;
        }
    }
}

/// Each object is encrypted by the store with the key that is named, in one piece or in parts.
async fn encrypted_by_the_store(server: &Server) {
    let place = S3Place {
        kms_key: Some(KMS_KEY.to_owned()),
        ..server.place("plain", "kms")
    };
    let store = S3Store::open(place).await.unwrap();
    store.prove().await.unwrap();
    for (name, size) in [("small", 9), ("large", 17 << 20)] {
        let object = Object::new(vec![7; size]);
        assert_eq!(store.create(name, &object).await.unwrap(), Created::New);
        let read = store.get(name, size as u64).await.unwrap().unwrap();
        assert!(read == object.bytes(), "{name}");
        let head = server.admin().head_object().bucket("plain");
        let seen = head.key(format!("kms/{name}")).send().await.unwrap();
        assert_eq!(
            seen.server_side_encryption(),
            Some(&ServerSideEncryption::AwsKms)
        );
        let key = seen.ssekms_key_id().unwrap();
        assert!(key.ends_with(KMS_KEY), "{key}");
    }
}

/// More names than a page holds, and bytes that somebody changed behind the store's back.
async fn pages_and_damage(kind: Kind, server: &Server) {
    let store = S3Store::open(server.place("plain", "pages")).await.unwrap();
    let object = Object::new(&b"x"[..]);
    let store = &store;
    let puts = futures_util::future::join_all((0..40).map(|lane| {
        let object = object.clone();
        async move {
            for n in 0..26 {
                let name = format!("segments/{lane:02}/{n:03}");
                store.create(&name, &object).await.unwrap();
            }
        }
    }));
    puts.await;
    let listed = store.list("segments/").await.unwrap();
    assert_eq!(listed.len(), 1040);
    assert!(listed.is_sorted());
    assert_eq!(store.children("segments/").await.unwrap().len(), 40);
    if kind == Kind::Versity {
        let name = "segments/00/000";
        std::fs::write(server.file(&format!("plain/pages/{name}")), b"y").unwrap();
        let error = store.get(name, 10).await.unwrap_err();
        assert_eq!(error.reason().code, "repository.damaged");
        assert!(error.one_line().contains("SHA-256"), "{error:?}");
    }
}

/// What is written cannot be deleted before its time, and what is used again is kept for longer.
async fn retention(kind: Kind, server: &Server) {
    server.locking("locked").await;
    let day = Duration::from_secs(24 * 3_600);
    let open = async |days: u32| {
        let mut place = server.place("locked", "r");
        place.lock = Some(RetainFor {
            mode: LockMode::Governance,
            span: day * days,
        });
        S3Store::open(place).await.unwrap()
    };
    let store = open(2).await;
    store.prove().await.unwrap();
    let name = "segments/aa/x";
    store.create(name, &Object::new(&b"one"[..])).await.unwrap();
    store
        .create("segments/aa/large", &Object::new(vec![1; 17 << 20]))
        .await
        .unwrap();
    assert!(store.look("segments/aa/large").await.unwrap().is_some());
    let until = async || {
        let head = server
            .admin()
            .head_object()
            .bucket("locked")
            .key(format!("r/{name}"));
        let head = head.send().await.unwrap();
        head.object_lock_retain_until_date().unwrap().secs()
    };
    let first = until().await;
    let longer = open(5).await;
    assert!(
        longer.look(name).await.unwrap().unwrap().runs_out,
        "{kind:?}"
    );
    longer.extend(name).await.unwrap();
    assert!(until().await >= first + 2 * 86_400, "{kind:?}");
    assert!(!store.look(name).await.unwrap().unwrap().runs_out);
    // A name can be taken away; the version under it cannot.
    let head = server
        .admin()
        .head_object()
        .bucket("locked")
        .key(format!("r/{name}"));
    let version = head.send().await.unwrap().version_id().unwrap().to_owned();
    let delete = server
        .admin()
        .delete_object()
        .bucket("locked")
        .key(format!("r/{name}"));
    assert!(delete.version_id(version).send().await.is_err(), "{kind:?}");
    // What nobody may weaken is extended as it is, whatever is configured since; what was just extended is not again.
    let mut strict = server.place("locked", "r");
    strict.lock = Some(RetainFor {
        mode: LockMode::Compliance,
        span: day,
    });
    let strict = S3Store::open(strict).await.unwrap();
    let kept = "keys/1.age";
    strict.create(kept, &Object::new(&b"k"[..])).await.unwrap();
    assert!(!strict.look(kept).await.unwrap().unwrap().runs_out);
    assert!(store.look(kept).await.unwrap().unwrap().runs_out);
    store.extend(kept).await.unwrap();
    assert!(!store.look(kept).await.unwrap().unwrap().runs_out);
    // A lock that is given back is not kept.
    store
        .create("locks/x.json", &Object::new(&b"{}"[..]))
        .await
        .unwrap();
    let given_back = store.delete("locks/x.json").await.unwrap();
    assert_ne!(given_back, Deleted::Absent);
}

/// A rule that expires what is in use is seen where it touches our prefix, and nowhere else.
async fn posture(kind: Kind, server: &Server) {
    let of = async |bucket: &str, prefix: &str| {
        let store = S3Store::open(server.place(bucket, prefix)).await.unwrap();
        store.posture().await
    };
    let kept = of("kept", "summit/one").await;
    assert_eq!(kept.versioning, Measured::Is(true), "{kind:?}");
    assert_eq!(
        of("plain", "").await.versioning,
        Measured::Is(false),
        "{kind:?}"
    );
    assert!(
        matches!(of("locked", "r").await.lock, Measured::Is(Some(_))),
        "{kind:?}"
    );
    let rule = LifecycleRule::builder()
        .id("tidy")
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("summit/").build())
        .expiration(LifecycleExpiration::builder().days(30).build())
        .build()
        .unwrap();
    let rules = BucketLifecycleConfiguration::builder()
        .rules(rule)
        .build()
        .unwrap();
    let put = server
        .admin()
        .put_bucket_lifecycle_configuration()
        .bucket("kept");
    match put.lifecycle_configuration(rules).send().await {
        Ok(_) => {
            let Measured::Is(rules) = of("kept", "summit/one").await.rules else {
                panic!("{kind:?}: a lifecycle was set and is not seen");
            };
            assert_eq!(rules[0].does, Does::Expires("after 30 days".to_owned()));
            assert_eq!(of("kept", "other").await.rules, Measured::Is(Vec::new()));
        }
        // What a store does not implement is not measured, whatever it answers.
        Err(_) => assert!(
            matches!(kept.rules, Measured::Not(_)),
            "{kind:?}: {:?}",
            kept.rules
        ),
    }
}

//! A store that does not answer for a while: nothing is concluded from that.

use std::sync::Arc;

use super::super::*;
use super::steps::{Away, Memory};
use super::support::*;

/// A backup that was restored and compared, in memory.
async fn proved() -> (Fixture, Arc<Memory>, BackupId) {
    let fixture = Fixture::new().await;
    let memory = Arc::new(Memory::default());
    let host = fixture.init(memory.clone()).await.unwrap();
    let id = id();
    let parts = [
        ("postgres/a", noise(1, 9_000)),
        ("postgres/b", noise(2, 90)),
    ];
    back_up(&host, &id, &fixture.key, &parts).await.unwrap();
    let mut done = host.verify_objects(&id, &options()).await.unwrap();
    host.record(&done, &fixture.key).await.unwrap();
    done.level = Level::Restored;
    host.record(&done, &fixture.key).await.unwrap();
    let reader = host.unlock(&fixture.identity).await.unwrap();
    let opened = reader.open_one(&id).await.unwrap();
    reader.record_opened(&opened, &fixture.key).await.unwrap();
    host.set_hold(&id, true, None, &fixture.key).await.unwrap();
    let gone: BackupId = "20251001T000000Z-0003".parse().unwrap();
    host.state_removal(&gone, Digest([1; 32]), &fixture.key)
        .await
        .unwrap();
    host.announce(Vec::new(), &fixture.key).await.unwrap();
    (fixture, memory, id)
}

/// Whatever cannot be looked at, a verification has no outcome: one that failed would take the proof away.
#[tokio::test]
async fn what_cannot_be_looked_at_is_not_damaged() {
    let (fixture, memory, id) = proved().await;
    for word in [
        "segments/",
        "manifest.json",
        "manifest.json.sig",
        "keys/1.age",
        "verified/",
        "held/",
        "opened/",
        "removed/",
        "tombstones/",
    ] {
        // The keys are there to open it with.
        let host = fixture.host_on(memory.clone()).await.unwrap();
        let reader = host.unlock(&fixture.identity).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(Away {
            inner: Arc::clone(&memory),
            word: word.to_owned(),
        });
        let away = reader.in_place(&store);
        let one = away.verify_objects(&id, &options()).await;
        let two = away.verify_rows(&id, &NoiseDecoder, &options()).await;
        for done in [one, two] {
            let error = done.expect_err(word);
            assert_eq!(error.reason(), &s3::BUSY, "{word}: {error:?}");
        }
    }
}

/// While nobody can look at the newest backup, an older one is not the newest; a damaged one is named beside the older.
#[tokio::test]
async fn the_newest_is_not_an_older_one_in_silence() {
    let (fixture, memory, old) = proved().await;
    let host = fixture.host_on(memory.clone()).await.unwrap();
    let new: BackupId = "29991101T000000Z-0009".parse().unwrap();
    let parts = [("postgres/a", noise(3, 90))];
    back_up(&host, &new, &fixture.key, &parts).await.unwrap();
    let all = Show::default();
    for object in [new.manifest(), new.signature()] {
        let store: Arc<dyn Store> = Arc::new(Away {
            inner: Arc::clone(&memory),
            word: object,
        });
        let away = host.in_place(&store);
        for error in [
            away.newest(&all).await.unwrap_err(),
            away.show(&new).await.unwrap_err(),
        ] {
            assert_eq!(error.reason(), &s3::BUSY, "{error:?}");
        }
    }
    // A list shows it with the reason, beside the others.
    let store: Arc<dyn Store> = Arc::new(Away {
        inner: Arc::clone(&memory),
        word: new.signature(),
    });
    let listed = host.in_place(&store).list().await.unwrap();
    let reason = |b: &Backup| b.problem.as_ref().map(|p| p.reason.clone());
    let reasons: Vec<_> = listed.iter().map(reason).collect();
    assert_eq!(reasons, [None, Some(s3::BUSY.code.to_owned())]);

    let found = host.newest_known(&all).await.unwrap();
    assert_eq!(found.backup.map(|b| b.id), Some(new.clone()));
    assert!(found.doubtful.is_empty());
    memory.put(&new.signature(), &b"{}"[..]);
    let found = host.newest_known(&all).await.unwrap();
    assert_eq!(found.backup.map(|b| b.id), Some(old));
    let doubtful: Vec<BackupId> = found.doubtful.into_iter().map(|b| b.id).collect();
    assert_eq!(doubtful, std::slice::from_ref(&new));
    // What was complete later than asked for is no matter.
    let by = Show {
        completed_by: Some("2020-01-01T00:00:00Z".parse().unwrap()),
        ..Show::default()
    };
    assert!(host.newest_known(&by).await.unwrap().doubtful.is_empty());
}

//! Killed anywhere, the next command works without repair.

use std::sync::Arc;

use super::super::*;
use super::support::*;
use crate::capture::PartSink as _;
use crate::error::DISK_FULL;
use crate::event::{Events, Outcome};

fn parts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("postgres/a", noise(1, 60_000)),
        ("postgres/b", noise(2, 100)),
    ]
}

/// A backup that stops at each change in turn is completed by the next process, and ends as an undisturbed one.
#[tokio::test]
async fn a_backup_killed_at_every_change_is_completed_by_the_next_process() {
    for full in [false, true] {
        for changes in 0.. {
            let fixture = Fixture::new().await;
            let id = id();
            let dying = Dying::new(fixture.folder.path(), changes, full);
            let repository = fixture.host_on(dying).await.unwrap();
            let first = back_up(&repository, &id, &fixture.key, &parts()).await;
            let undisturbed = first.is_ok();
            if let Err(e) = first {
                assert!(!full || e.reason() == &DISK_FULL, "{e:?}");
            }
            let before = fixture.host().await.state(&id).await.unwrap();
            let repository = fixture.host().await;
            let backup = back_up(&repository, &id, &fixture.key, &parts())
                .await
                .unwrap();
            assert!(
                backup.is_usable(),
                "after {changes} changes: {:?}",
                backup.problem
            );
            let found = fixture
                .reader()
                .await
                .verify_rows(&id, &NoiseDecoder, &options())
                .await
                .unwrap();
            assert_eq!(
                found.outcome(),
                Outcome::Passed,
                "after {changes} changes, {before:?}"
            );
            let left = fixture.folder.files();
            assert!(
                !left.iter().any(|f| f.contains("staged")),
                "after {changes}: {left:?}"
            );
            if undisturbed {
                assert!(changes > 10, "{changes} changes were all there are");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_repository_whose_making_was_killed_is_made_again() {
    for changes in 0.. {
        let fixture = Fixture::new().await;
        std::fs::remove_dir_all(fixture.folder.path()).unwrap();
        let dying = Dying::new(fixture.folder.path(), changes, false);
        let first = fixture.init(dying).await;
        let again = fixture.init(fixture.store()).await.unwrap();
        again.unlock(&fixture.identity).await.unwrap();
        if first.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn operators_changed_by_a_killed_process_leave_no_damage() {
    for changes in 0.. {
        let fixture = Fixture::new().await;
        let id = fixture.backup(&parts()).await;
        let (bob, bobs) = person("bob");
        let both = [fixture.operator.clone(), bob];
        let dying = Dying::new(fixture.folder.path(), changes, false);
        let repository = fixture.host_on(dying).await.unwrap();
        let repository = repository.unlock(&fixture.identity).await.unwrap();
        let first = repository.set_operators(&both).await;
        drop(repository);
        let host = fixture.host().await;
        let found = host.verify_objects(&id, &options()).await.unwrap();
        assert_eq!(found.findings, [], "after {changes} changes");
        let reader = host.unlock(&fixture.identity).await.unwrap();
        reader.set_operators(&both).await.unwrap();
        let bob = host.unlock(&bobs).await.unwrap();
        assert_eq!(bob.operators().len(), 2);
        let found = fixture
            .host()
            .await
            .verify_objects(&id, &options())
            .await
            .unwrap();
        assert_eq!(found.findings, []);
        if first.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn a_draft_of_another_host_or_capture_is_not_published() {
    let other = SigningKey::generate().unwrap();
    // One segment each, so that every round has as many changes: cuts depend on the round's secret.
    let small = [("postgres/a", noise(1, 100))];
    let mut drafts = 0;
    for changes in 0.. {
        let fixture = Fixture::new().await;
        let id = id();
        let host = fixture.host().await;
        let host = host.add_signer("other", &other.public()).await.unwrap();
        let dying: Arc<Dying> = Dying::new(fixture.folder.path(), changes, false);
        let first = fixture.host_on(dying).await.unwrap();
        if back_up(&first, &id, &fixture.key, &small).await.is_ok() {
            break;
        }
        let files = fixture.folder.files();
        if !files.contains(&id.staged_manifest()) || files.contains(&id.manifest()) {
            continue;
        }
        drafts += 1;
        // Captured again, with other bytes, and committed by the other host.
        let writer = host
            .begin_with(&id, &Events::silent(), SIZES)
            .await
            .unwrap();
        let changed = [("postgres/a", noise(9, 70_000))];
        let store = crate::identity::Store::Postgres;
        let done = capture(&writer, store, &changed).await.unwrap();
        writer.seal_store(done).await.unwrap();
        writer.close().await.unwrap();
        let backup = host.commit(&id, &meta(), &other).await.unwrap();
        assert!(backup.is_usable(), "{:?}", backup.problem);
        assert_eq!(backup.signed.unwrap().signer, other.id());
        assert_eq!(backup.contents.unwrap().bytes(), 70_000);
    }
    // Before the signature, and after it.
    assert_eq!(drafts, 2);
}

#[tokio::test]
async fn a_dropped_writer_leaves_nothing_that_counts() {
    let fixture = Fixture::new().await;
    let host = fixture.host().await;
    let id = id();
    let writer = host
        .begin_with(&id, &Events::silent(), SIZES)
        .await
        .unwrap();
    let mut part = writer.create("postgres/a", "noise").await.unwrap();
    part.write(noise(1, 50_000).into()).await.unwrap();
    drop(part);
    drop(writer);
    assert_eq!(host.state(&id).await.unwrap(), State::Absent);
    assert!(host.list().await.unwrap().is_empty());
    // Its lock is dead although this process lives.
    let alone = Lock::acquire(&fixture.store(), Mode::Exclusive, "test")
        .await
        .unwrap();
    let error = host.begin(&id, &Events::silent()).await.err().unwrap();
    assert_eq!(error.reason(), &LOCKED);
    assert!(error.to_string().contains("`test` by process"), "{error}");
    alone.release().await.unwrap();
    back_up(&host, &id, &fixture.key, &parts()).await.unwrap();
}

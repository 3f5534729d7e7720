//! What only this host's memory can tell: that storage forgot a backup, or shows an older list of signers and operators.

use std::fs;

use super::super::*;
use super::support::*;
use crate::event::Events;
use crate::wait::Cancel;

async fn remembering(fixture: &Fixture, memory: &Folder) -> Result<Repository> {
    fixture.host().await.remembering(memory.path()).await
}

async fn plan(host: &Repository) -> Pruning {
    let rules = Rules::default();
    let plan = host.plan_prune("testing", "safety", &rules, Instant::now());
    plan.await.unwrap()
}

async fn blocked(host: &Repository) -> Option<String> {
    plan(host).await.blocked.map(|b| b.message)
}

#[tokio::test]
async fn a_backup_that_goes_without_a_word_is_missed_until_somebody_says_so() {
    let (fixture, memory) = (Fixture::new().await, Folder::new());
    let first = fixture.backup(&[("postgres/a", noise(1, 20_000))]).await;
    let second = fixture.backup(&[("postgres/a", noise(2, 20_000))]).await;
    let host = remembering(&fixture, &memory).await.unwrap();
    // Nothing was seen yet: nothing is missed.
    assert!(host.missing_backups().await.unwrap().unwrap().is_empty());
    assert_eq!(host.list().await.unwrap().len(), 2);
    let whole = fixture.folder.path().join(first.folder());
    let aside = Folder::new();
    let kept = aside.path().join("kept");
    fs::rename(&whole, &kept).unwrap();

    // Another process of this host misses it; nothing is collected of what it may need.
    let host = remembering(&fixture, &memory).await.unwrap();
    let missing = host.missing_backups().await.unwrap();
    assert_eq!(missing.unwrap(), std::slice::from_ref(&first));
    // Something in the place of a statement is none.
    let statement = fixture.folder.path().join(first.removed());
    fs::create_dir_all(statement.parent().unwrap()).unwrap();
    fs::write(&statement, b"{}").unwrap();
    assert_eq!(host.missing_backups().await.unwrap().unwrap().len(), 1);
    let mut listed = host.list().await.unwrap();
    // Both are of one second, and in the order of their ids.
    listed.sort_by_key(|b| b.id != first);
    assert_eq!(
        listed.iter().map(|b| &b.id).collect::<Vec<_>>(),
        [&first, &second]
    );
    let problem = listed[0].problem.as_ref().unwrap();
    assert_eq!(problem.reason, GONE.code);
    assert!(problem.hints.iter().any(|h| h.contains("backup forget")));
    assert!(blocked(&host).await.unwrap().contains(first.as_str()));
    let options = PruneOptions {
        events: Events::silent(),
        cancel: Cancel::new(),
    };
    let pruned = host.prune(&[], &fixture.key, &options).await;
    assert_eq!(pruned.unwrap_err().reason(), &INCOMPLETE);
    fs::remove_file(&statement).unwrap();
    // A host that never saw it cannot know.
    assert_eq!(fixture.host().await.list().await.unwrap().len(), 1);

    // Put back, it is there again, and is not forgotten by mistake.
    fs::rename(&kept, &whole).unwrap();
    assert!(host.list().await.unwrap()[0].problem.is_none());
    assert!(blocked(&host).await.is_none());
    let error = host.forget(&first, &fixture.key).await.unwrap_err();
    assert_eq!(error.reason(), &NOT_GONE);

    // Forgotten by a signed statement, it is missed no more, and its segments are collected.
    fs::rename(&whole, &kept).unwrap();
    host.forget(&first, &fixture.key).await.unwrap();
    host.forget(&first, &fixture.key).await.unwrap();
    assert!(host.is_removed(&first).await.unwrap());
    assert!(host.missing_backups().await.unwrap().unwrap().is_empty());
    let plan = plan(&host).await;
    assert!(plan.blocked.is_none() && plan.leftovers > 0, "{plan:?}");
    host.prune(&plan.removals(), &fixture.key, &options)
        .await
        .unwrap();
    let left = host.list().await.unwrap();
    assert!(left.len() == 1 && left[0].id == second, "{left:?}");
    let found = host
        .verify_objects(&second, &super::support::options())
        .await;
    assert_eq!(found.unwrap().findings, []);
    // What was never seen is nothing to forget.
    let unknown = host.forget(&id(), &fixture.key).await.unwrap_err();
    assert_eq!(unknown.reason(), &NO_SUCH_BACKUP);
}

#[tokio::test]
async fn an_older_list_of_signers_and_operators_is_refused_by_who_saw_a_newer_one() {
    let (fixture, memory, copy) = (Fixture::new().await, Folder::new(), Folder::new());
    let path = fixture.folder.path().join("repository.json");
    let old = fs::read(&path).unwrap();
    let host = remembering(&fixture, &memory).await.unwrap();
    let other = SigningKey::generate().unwrap();
    host.add_signer("other", &other.public()).await.unwrap();
    let new = fs::read(&path).unwrap();
    remembering(&fixture, &memory).await.unwrap();

    // A copy is not brought back to the past either.
    let there: Arc<dyn Store> = Arc::new(LocalStore::new(copy.path()));
    let options = CopyOptions {
        events: Events::silent(),
        cancel: Cancel::new(),
    };
    host.copy_to(&there, &options).await.unwrap();
    fs::write(&path, &old).unwrap();
    let copied = fixture.host().await.copy_to(&there, &options).await;
    assert_eq!(copied.unwrap_err().reason(), &ROLLED_BACK);
    assert_eq!(fs::read(copy.path().join("repository.json")).unwrap(), new);

    let error = remembering(&fixture, &memory).await.err().unwrap();
    assert_eq!(error.reason(), &ROLLED_BACK);
    // Who has no proof of what they see remembers nothing: a stranger's high number would lock the right one out.
    let stranger = Repository::open(fixture.store(), None).await.unwrap();
    let stranger = stranger.remembering(memory.path()).await.unwrap();
    assert!(stranger.missing_backups().await.unwrap().is_none());
    // The way out that the error names.
    let hint = error.hints().join(" ");
    let file = hint.split('\'').nth(1).unwrap();
    fs::remove_file(file).unwrap();
    remembering(&fixture, &memory).await.unwrap();
    // The newer one is always welcome, and a memory that is not what was written is none.
    fs::write(&path, &new).unwrap();
    remembering(&fixture, &memory).await.unwrap();
    fs::write(file, b"{").unwrap();
    remembering(&fixture, &memory).await.unwrap();
}

/// A restore of this backup that passed or failed, as its record says.
async fn restored(fixture: &Fixture, host: &Repository, id: &BackupId, passed: bool) {
    let shown = host.show(id).await.unwrap();
    let finding = Finding {
        object: "postgres/a".to_owned(),
        problem: "differs".to_owned(),
    };
    let done = Verification {
        backup: id.clone(),
        manifest_sha256: shown.signed.unwrap().manifest_sha256,
        level: Level::Restored,
        sample: None,
        from: Instant::now(),
        to: Instant::now(),
        findings: if passed { Vec::new() } else { vec![finding] },
        measured: Default::default(),
        loaded: Default::default(),
        cross_checks: Vec::new(),
    };
    host.record(&done, &fixture.key).await.unwrap();
}

/// The last hold of a backup goes without a trace in the storage; who saw it counts the backup as held until somebody says otherwise.
#[tokio::test]
async fn a_hold_that_is_lost_is_missed_and_holds_on() {
    let (fixture, memory) = (Fixture::new().await, Folder::new());
    let held = fixture.backup(&[("postgres/a", noise(1, 20_000))]).await;
    fixture.backup(&[("postgres/a", noise(2, 20_000))]).await;
    let host = remembering(&fixture, &memory).await.unwrap();
    host.set_hold(&held, true, Some("the audit"), &fixture.key)
        .await
        .unwrap();
    assert!(host.show(&held).await.unwrap().lost.is_empty());
    fs::remove_dir_all(fixture.folder.path().join(held.held())).unwrap();

    let host = remembering(&fixture, &memory).await.unwrap();
    let shown = host.show(&held).await.unwrap();
    assert!(shown.lost[0].contains("saw 1 of them, and 0"), "{shown:?}");
    let why = shown.held.unwrap().reason.unwrap();
    assert!(why.contains("nobody can tell"), "{why}");
    let listed = host.list().await.unwrap();
    assert_eq!(listed.iter().filter(|b| !b.lost.is_empty()).count(), 1);
    let going = plan(&host).await.removals();
    assert!(going.iter().all(|r| r.backup != held), "{going:?}");
    let found = host.verify_objects(&held, &super::support::options()).await;
    let findings = found.unwrap().findings;
    assert!(findings[0].problem.contains("forgot"), "{findings:?}");
    // A prune that was planned before does not remove it either.
    let removal = Removal {
        backup: held.clone(),
        manifest_sha256: Some(shown.signed.unwrap().manifest_sha256),
    };
    let options = PruneOptions {
        events: Events::silent(),
        cancel: Cancel::new(),
    };
    let pruned = host.prune(&[removal], &fixture.key, &options).await;
    assert_eq!(pruned.unwrap_err().reason(), &HELD);
    // A host that never saw it cannot know.
    assert!(
        fixture
            .host()
            .await
            .show(&held)
            .await
            .unwrap()
            .held
            .is_none()
    );

    // The way out that is named: a signed release, after which it can be held again.
    assert!(
        host.set_hold(&held, false, None, &fixture.key)
            .await
            .unwrap()
    );
    let shown = host.show(&held).await.unwrap();
    assert!(shown.held.is_none() && shown.lost.is_empty(), "{shown:?}");
    assert!(
        host.set_hold(&held, true, None, &fixture.key)
            .await
            .unwrap()
    );
    assert!(host.show(&held).await.unwrap().held.is_some());
}

/// Without the record of a restore that failed, an older claim would come back; without one that passed, the backup would be pruned.
#[tokio::test]
async fn the_record_of_a_restore_that_is_lost_is_missed_until_the_next_restore() {
    for passed in [true, false] {
        let (fixture, memory) = (Fixture::new().await, Folder::new());
        let old = fixture.backup(&[("postgres/a", noise(1, 20_000))]).await;
        fixture.backup(&[("postgres/a", noise(2, 20_000))]).await;
        let host = remembering(&fixture, &memory).await.unwrap();
        restored(&fixture, &host, &old, passed).await;
        assert!(host.show(&old).await.unwrap().lost.is_empty());
        let records = fixture.folder.path().join(old.verified());
        fs::remove_dir_all(&records).unwrap();

        let host = remembering(&fixture, &memory).await.unwrap();
        let shown = host.show(&old).await.unwrap();
        assert!(
            shown.lost[0].contains("the record of a restore"),
            "{shown:?}"
        );
        let plan = plan(&host).await;
        let judged = plan.backups.iter().find(|b| b.backup == old).unwrap();
        assert!(
            matches!(&judged.fate, Fate::Stays(why) if why.iter().any(|w| w.contains("storage forgot"))),
            "{judged:?}"
        );
        // Restored again, it is known how it is.
        restored(&fixture, &host, &old, passed).await;
        assert!(host.show(&old).await.unwrap().lost.is_empty());
        assert!(host.list().await.unwrap().iter().all(|b| b.lost.is_empty()));
    }
}

//! Opening: who may do what, and how each refusal reads.

use std::sync::Arc;

use super::super::*;
use super::steps::{Memory, Stepped, Turns};
use super::support::*;
use crate::event::Events;

#[tokio::test]
async fn a_host_writes_and_shows_but_does_not_read() {
    let fixture = Fixture::new().await;
    let id = fixture.backup(&[("postgres/a", noise(1, 100))]).await;
    let host = fixture.host().await;
    assert!(!host.can_read());
    assert!(host.show(&id).await.unwrap().is_usable());
    assert_eq!(host.source(&id).await.err().unwrap().reason(), &NO_IDENTITY);
    let rows = host.verify_rows(&id, &NoiseDecoder, &options()).await;
    assert_eq!(rows.unwrap_err().reason(), &NO_IDENTITY);
    assert_eq!(
        host.set_operators(&[]).await.err().unwrap().reason(),
        &NO_IDENTITY
    );

    // An operator needs nothing but the identity, and recovers the secret for a new host.
    let nothing = Repository::open(fixture.store(), None).await.unwrap();
    assert_eq!(
        nothing
            .begin(&id, &Events::silent())
            .await
            .err()
            .unwrap()
            .reason(),
        &NO_SECRET
    );
    assert_eq!(
        nothing.newest(&Show::default()).await.unwrap_err().reason(),
        &NO_SECRET
    );
    let verify = nothing.verify_objects(&id, &options()).await;
    assert_eq!(verify.unwrap_err().reason(), &NO_TRUSTED_KEY);
    let operator = nothing.unlock(&fixture.identity).await.unwrap();
    assert!(operator.can_read());
    assert!(operator.secret().unwrap() == fixture.secret);
    assert_eq!(
        operator.operators(),
        std::slice::from_ref(&fixture.operator)
    );
    operator.source(&id).await.unwrap();
    assert!(format!("{:?}", operator.trusted()).contains(fixture.key.id().as_str()));
}

#[tokio::test]
async fn level_1_needs_trusted_keys_alone() {
    let fixture = Fixture::new().await;
    let id = fixture.backup(&[("postgres/a", noise(1, 100))]).await;
    let auditor = Repository::open(fixture.store(), None).await.unwrap();
    let auditor = auditor.trusting(&[fixture.key.public()]);
    assert_eq!(
        auditor
            .verify_objects(&id, &options())
            .await
            .unwrap()
            .findings,
        []
    );
    let stranger = SigningKey::generate().unwrap();
    let wary = fixture.host().await.trusting(&[stranger.public()]);
    let found = wary.verify_objects(&id, &options()).await.unwrap();
    assert_eq!(found.findings.len(), 1);
    assert!(
        found.findings[0].problem.contains("not trusted"),
        "{found:?}"
    );
    assert!(!wary.show(&id).await.unwrap().is_usable());
    assert_eq!(wary.source(&id).await.err().unwrap().reason(), &UNTRUSTED);
    let commit = wary.commit(&id, &meta(), &fixture.key).await;
    assert_eq!(commit.unwrap_err().reason(), &NOT_A_SIGNER);
}

#[tokio::test]
async fn each_refusal_has_its_own_reason() {
    let fixture = Fixture::new().await;
    let folder = Folder::new();
    let empty: Arc<dyn Store> = Arc::new(LocalStore::new(folder.path()));
    let reason = |result: Result<Repository>| result.err().unwrap().reason().code;
    assert_eq!(
        reason(Repository::open(empty.clone(), None).await),
        NOT_A_REPOSITORY.code
    );
    let other = Repository::generate_secret().unwrap();
    assert_eq!(
        reason(Repository::open(fixture.store(), Some(&other)).await),
        WRONG_SECRET.code
    );
    let word = Secret::new("hunter22");
    assert_eq!(
        reason(Repository::open(fixture.store(), Some(&word)).await),
        BAD_SECRET.code
    );
    let (_, strangers) = person("mallory");
    assert_eq!(
        reason(fixture.host().await.unlock(&strangers).await),
        WRONG_IDENTITY.code
    );

    // Made again with its own secret: found. With another: refused. Among other files: refused.
    let again = fixture.init(fixture.store()).await.unwrap();
    assert_eq!(again.id(), fixture.host().await.id());
    let operators = [fixture.operator.clone()];
    assert_eq!(
        reason(Repository::init(fixture.store(), &other, &operators, &[]).await),
        EXISTS.code
    );
    std::fs::write(folder.path().join("thesis.txt"), "text").unwrap();
    assert_eq!(
        reason(Repository::init(empty, &other, &operators, &[]).await),
        EXISTS.code
    );
    assert_eq!(folder.files(), ["thesis.txt"]);

    let path = fixture.folder.path().join("repository.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
    assert_eq!(
        reason(Repository::open(fixture.store(), None).await),
        NEWER_VERSION.code
    );
}

#[tokio::test]
async fn operators_come_and_go_by_one_file() {
    let fixture = Fixture::new().await;
    let id = fixture.backup(&[("postgres/a", noise(1, 100))]).await;
    let before = fixture.folder.files();
    let (bob, bobs) = person("bob");
    let reader = fixture.reader().await;
    let reader = reader
        .set_operators(&[fixture.operator.clone(), bob.clone()])
        .await
        .unwrap();
    assert_eq!(reader.operators().len(), 2);
    let bob_reads = fixture.host().await.unlock(&bobs).await.unwrap();
    bob_reads.source(&id).await.unwrap();
    let reader = bob_reads
        .set_operators(std::slice::from_ref(&bob))
        .await
        .unwrap();
    assert_eq!(reader.operators(), [bob]);
    let gone = fixture.host().await.unlock(&fixture.identity).await;
    assert_eq!(gone.err().unwrap().reason(), &WRONG_IDENTITY);
    assert_eq!(fixture.folder.files(), before);
    let empty = reader.set_operators(&[]).await;
    assert_eq!(empty.err().unwrap().exit(), crate::exit::Exit::Usage);
}

#[tokio::test]
async fn a_second_host_is_added_once() {
    let fixture = Fixture::new().await;
    let key = SigningKey::generate().unwrap();
    let host = fixture.host().await;
    assert_eq!(host.check_signer(&key).unwrap_err().reason(), &NOT_A_SIGNER);
    let host = host.add_signer("second host", &key.public()).await.unwrap();
    let host = host.add_signer("again", &key.public()).await.unwrap();
    assert_eq!(host.signers().len(), 2);
    host.check_signer(&key).unwrap();
    back_up(&host, &id(), &key, &[("postgres/a", noise(1, 10))])
        .await
        .unwrap();
    assert!(
        fixture
            .host()
            .await
            .newest(&Show::default())
            .await
            .unwrap()
            .is_some()
    );
    assert!(host.add_signer("two\nlines", &key.public()).await.is_err());
}

#[tokio::test]
async fn a_new_epoch_shares_nothing_with_the_old() {
    let fixture = Fixture::new().await;
    let parts = [("postgres/a", noise(1, 3_000))];
    let first = fixture.backup(&parts).await;
    let new = Repository::generate_secret().unwrap();
    let operators = [fixture.operator.clone()];
    let stored = |files: Vec<String>| files.iter().filter(|f| f.starts_with("segments/")).count();
    let before = stored(fixture.folder.files());
    for changes in 0.. {
        let dying = Dying::new(fixture.folder.path(), changes, false);
        // Once the epoch is there, the old secret alone proves nothing any more.
        let Ok(host) = fixture.host_on(dying).await else {
            continue;
        };
        if host.start_epoch(&new, &operators).await.is_ok() {
            break;
        }
    }
    let old_host = fixture.host().await;
    assert_eq!(old_host.epoch(), 2);
    let refused = old_host.begin(&id(), &Events::silent()).await;
    assert_eq!(refused.err().unwrap().reason(), &WRONG_SECRET);
    let again = old_host.start_epoch(&fixture.secret, &operators).await;
    assert_eq!(again.err().unwrap().reason(), &WRONG_SECRET);

    let host = Repository::open(fixture.store(), Some(&new)).await.unwrap();
    let second = id();
    back_up(&host, &second, &fixture.key, &parts).await.unwrap();
    assert_eq!(stored(fixture.folder.files()), 2 * before);
    // The new host lists both, and shows the one that it has the secret of.
    let listed = host.list().await.unwrap();
    assert_eq!(listed.iter().filter(|b| b.problem.is_none()).count(), 2);
    assert_eq!(
        host.newest(&Show::default()).await.unwrap().unwrap().id,
        second
    );
    // An operator reads both.
    let operator = host.unlock(&fixture.identity).await.unwrap();
    for id in [first, second] {
        let done = operator
            .verify_rows(&id, &NoiseDecoder, &options())
            .await
            .unwrap();
        assert_eq!(done.findings, []);
    }
    assert_eq!(operator.secret().unwrap(), new);
}

/// Two hosts make a repository in one place at once, in orders drawn from a seed: what one of them got is readable.
#[tokio::test]
async fn of_two_that_make_a_repository_at_once_one_gets_a_whole_one() {
    for seed in 0..60_u64 {
        let memory = Arc::new(Memory::default());
        let turns = Turns::new(2);
        let mut tasks = Vec::new();
        for actor in 0..2 {
            let store: Arc<dyn Store> = Arc::new(Stepped {
                inner: Arc::clone(&memory),
                turns: Arc::clone(&turns),
                actor,
            });
            let turns = Arc::clone(&turns);
            tasks.push(tokio::spawn(async move {
                let (operator, identity) = person("alice");
                let secret = Repository::generate_secret().unwrap();
                let made = Repository::init(store, &secret, &[operator], &[]).await;
                turns.finish(actor);
                (made.map(drop), secret, identity)
            }));
        }
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let next = |open: &[usize], _: &[usize]| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            open[(state >> 8) as usize % open.len()]
        };
        turns.drive(next).await;
        let mut made = 0;
        for task in tasks {
            let (done, secret, identity) = task.await.unwrap();
            match done {
                Ok(()) => {
                    made += 1;
                    let opened = Repository::open(memory.clone(), Some(&secret)).await;
                    let opened = opened.unwrap().unlock(&identity).await;
                    assert!(opened.unwrap().can_read(), "seed {seed}");
                }
                Err(e) => assert!([&EXISTS, &LOCKED].contains(&e.reason()), "{seed}: {e:?}"),
            }
        }
        assert!(made <= 1, "seed {seed}");
    }
}

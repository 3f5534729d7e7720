//! A copy of the repository: killed and gone on with, beside prunes, damaged and put right.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::*;
use super::steps::{Killed, Memory, Stepped, Turns};
use super::support::*;
use crate::event::{Events, Outcome};
use crate::wait::Cancel;

fn quietly() -> CopyOptions {
    CopyOptions {
        events: Events::silent(),
        cancel: Cancel::new(),
    }
}

fn pruning() -> PruneOptions {
    PruneOptions {
        events: Events::silent(),
        cancel: Cancel::new(),
    }
}

fn rows(seeds: &[u8]) -> Vec<(String, Vec<u8>)> {
    let part = |seed: &u8| (format!("postgres/{seed}"), noise(*seed, 90));
    seeds.iter().map(part).collect()
}

async fn made(host: &Repository, key: &SigningKey, id: &str, seeds: &[u8]) -> BackupId {
    let id: BackupId = id.parse().unwrap();
    let rows = rows(seeds);
    let parts: Vec<(&str, Vec<u8>)> = rows.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    back_up(host, &id, key, &parts).await.unwrap();
    id
}

/// Two backups that share a segment, in memory.
struct Two {
    fixture: Fixture,
    memory: Arc<Memory>,
    old: BackupId,
    new: BackupId,
}

impl Two {
    async fn new() -> Two {
        let fixture = Fixture::new().await;
        let memory = Arc::new(Memory::default());
        let host = fixture.init(memory.clone()).await.unwrap();
        let old = made(&host, &fixture.key, "20260101T000000Z-0001", &[1, 2]).await;
        let new = made(&host, &fixture.key, "20261101T000000Z-0002", &[2, 3]).await;
        Two {
            fixture,
            memory,
            old,
            new,
        }
    }

    async fn host(&self, store: Arc<dyn Store>) -> Repository {
        self.fixture.host_on(store).await.unwrap()
    }

    /// Every backup of the copy reads back, with nothing else than the copy at hand.
    async fn whole(&self, copy: &Arc<Memory>, ids: &[&BackupId], said: &str) {
        let there = self.host(copy.clone()).await;
        let reader = there.unlock(&self.fixture.identity).await.unwrap();
        for id in ids {
            let done = reader.verify_objects(id, &options()).await.unwrap();
            assert_eq!(done.findings, [], "{said}: {id}");
            let done = reader.verify_rows(id, &NoiseDecoder, &options()).await;
            assert_eq!(done.unwrap().findings, [], "{said}: {id}");
        }
    }
}

#[tokio::test]
async fn a_copy_killed_at_every_operation_is_ended_by_the_next() {
    let two = Two::new().await;
    let host = two.host(two.memory.clone()).await;
    let mut restored = host.verify_objects(&two.old, &options()).await.unwrap();
    restored.level = Level::Restored;
    host.record(&restored, &two.fixture.key).await.unwrap();
    let proofs = two.memory.names(&two.old.verified());
    for operations in 0.. {
        let copy = Arc::new(Memory::default());
        let killed: Arc<dyn Store> = Arc::new(Killed {
            inner: Arc::clone(&copy),
            left: AtomicI64::new(operations),
        });
        let first = host.copy_to(&killed, &quietly()).await;
        let said = format!("killed after {operations}");
        // What is listed there is whole already.
        let store: Arc<dyn Store> = copy.clone();
        if copy.read("repository.json").is_some() {
            let there = two.host(store.clone()).await;
            for backup in there.list().await.unwrap() {
                two.whole(&copy, &[&backup.id], &said).await;
            }
        }
        let done = host.copy_to(&store, &quietly()).await.unwrap();
        assert!(done.left.is_empty(), "{said}: {done:?}");
        two.whole(&copy, &[&two.old, &two.new], &said).await;
        let lag = host.lag(&store, "testing").await.unwrap();
        assert_eq!((lag.behind, lag.newest.as_ref()), (0, Some(&two.new)));
        assert!(!lag.keys_differ && lag.missing.is_empty(), "{said}");
        assert!(lag.unproved.is_empty(), "{said}");
        assert_eq!(copy.names(&two.old.verified()), proofs, "{said}");
        assert_eq!(copy.names("segments/"), two.memory.names("segments/"));
        assert!(copy.names("locks/").is_empty(), "{said}");
        if first.is_ok() {
            assert!(operations > 15, "{operations}");
            break;
        }
    }
}

#[tokio::test]
async fn a_copy_says_how_far_it_is_behind_and_follows_the_keys() {
    let two = Two::new().await;
    let host = two.host(two.memory.clone()).await;
    let copy: Arc<dyn Store> = Arc::new(Memory::default());
    let lag = host.lag(&copy, "testing").await.unwrap();
    assert_eq!(
        (lag.behind, lag.newest, lag.since),
        (2, None, Some(two.old.moment()))
    );
    host.copy_to(&copy, &quietly()).await.unwrap();
    let next = made(&host, &two.fixture.key, "20261102T000000Z-0003", &[3, 4]).await;
    let lag = host.lag(&copy, "testing").await.unwrap();
    assert_eq!(
        (lag.behind, lag.newest, lag.since),
        (1, Some(two.new.clone()), Some(next.moment()))
    );
    // Only what is new travels.
    let done = host.copy_to(&copy, &quietly()).await.unwrap();
    assert_eq!((done.backups, done.segments), (1, 1), "{done:?}");
    // Another operator reads the copy as well, once it was brought up to date.
    let (bob, identity) = person("bob");
    let reader = host.unlock(&two.fixture.identity).await.unwrap();
    reader.set_operators(&[bob]).await.unwrap();
    let host = two.host(two.memory.clone()).await;
    assert!(host.lag(&copy, "testing").await.unwrap().keys_differ);
    host.copy_to(&copy, &quietly()).await.unwrap();
    let there = two
        .host(copy.clone())
        .await
        .unlock(&identity)
        .await
        .unwrap();
    let done = there.verify_rows(&next, &NoiseDecoder, &options()).await;
    assert_eq!(done.unwrap().findings, []);
    // Another repository's place is refused, and so is a folder of something else.
    let stranger = Arc::new(Memory::default());
    let other = Fixture::new().await;
    other.init(stranger.clone()).await.unwrap();
    let foreign = Arc::new(Memory::default());
    foreign.put("photos/1.jpg", &b"x"[..]);
    for place in [stranger, foreign] {
        let place: Arc<dyn Store> = place;
        let error = host.copy_to(&place, &quietly()).await.unwrap_err();
        assert_eq!(error.reason(), &EXISTS);
    }
}

#[tokio::test]
async fn damage_in_a_copy_is_found_there_and_the_next_copy_puts_it_right() {
    for measures in [false, true] {
        damage_is_put_right(measures).await;
    }
}

/// In a folder, or in a bucket, which refuses to read what is not what was written.
async fn damage_is_put_right(measures: bool) {
    let two = Two::new().await;
    let host = two.host(two.memory.clone()).await;
    let memory = Arc::new(Memory::default());
    memory.measures.store(measures, Ordering::Relaxed);
    let copy: Arc<dyn Store> = memory.clone();
    host.copy_to(&copy, &quietly()).await.unwrap();
    let segment = memory.names("segments/")[0].clone();
    let mut bytes = memory.read(&segment).unwrap().to_vec();
    bytes[40] ^= 1;
    memory.put(&segment, bytes);
    let there = two.host(copy.clone()).await;
    let mut hurt = Vec::new();
    for id in [&two.old, &two.new] {
        let done = there.verify_objects(id, &options()).await.unwrap();
        if done.outcome() == Outcome::Failed {
            there.record(&done, &two.fixture.key).await.unwrap();
            hurt.push(id.clone());
        }
    }
    let lag = host.lag(&copy, "testing").await.unwrap();
    assert_eq!(lag.behind, hurt.len() as u64);
    let done = host.copy_to(&copy, &quietly()).await.unwrap();
    assert_eq!((done.mended, done.left.len()), (1, 0), "{done:?}");
    two.whole(&memory, &[&two.old, &two.new], "mended").await;
    // What is damaged here goes nowhere.
    let empty: Arc<dyn Store> = Arc::new(Memory::default());
    let only_old = two.memory.names("segments/");
    let read = host.read_manifest(&two.new).await.unwrap();
    let needed: Vec<String> = read.doc.segments.iter().map(|s| s.object()).collect();
    let lost = only_old.iter().find(|n| !needed.contains(n)).unwrap();
    two.memory.put(lost, &b"something else"[..]);
    let done = host.copy_to(&empty, &quietly()).await.unwrap();
    assert_eq!(done.backups, 1);
    assert_eq!(done.left[0].0, two.old);
    assert!(done.whole("there").is_err());
}

/// A backup that was pruned in the copy is not brought back.
#[tokio::test]
async fn each_copy_keeps_what_its_own_prunes_keep() {
    let two = Two::new().await;
    let host = two.host(two.memory.clone()).await;
    let memory = Arc::new(Memory::default());
    let copy: Arc<dyn Store> = memory.clone();
    host.copy_to(&copy, &quietly()).await.unwrap();
    let there = two.host(copy.clone()).await;
    let plan = there
        .plan_prune("testing", "safety", &Rules::default(), Instant::now())
        .await
        .unwrap();
    let done = there
        .prune(&plan.removals(), &two.fixture.key, &pruning())
        .await;
    assert_eq!(done.unwrap().removed, 1);
    let done = host.copy_to(&copy, &quietly()).await.unwrap();
    assert_eq!(done.backups, 0);
    assert_eq!(host.lag(&copy, "testing").await.unwrap().behind, 0);
    assert!(memory.read(&two.old.manifest()).is_none());
    two.whole(&memory, &[&two.new], "pruned").await;
}

/// A copy and a prune of it side by side, in orders drawn from a seed: the backup that comes uses segments that the prune
/// is about to delete.
#[tokio::test]
async fn no_drawn_order_of_a_copy_and_a_prune_there_loses_a_segment() {
    let two = Two::new().await;
    let host = two.host(two.memory.clone()).await;
    let start = Arc::new(Memory::default());
    let store: Arc<dyn Store> = start.clone();
    host.copy_to(&store, &quietly()).await.unwrap();
    // The old one goes there; the next one comes, and needs its segment.
    let next = made(&host, &two.fixture.key, "20261103T000000Z-0004", &[1, 5]).await;
    let shown = host.show(&two.old).await.unwrap();
    let removals = vec![Removal {
        backup: two.old.clone(),
        manifest_sha256: shown.signed.map(|s| s.manifest_sha256),
    }];
    for seed in 0..150_u64 {
        let memory = Arc::new((*start).clone());
        let turns = Turns::new(2);
        let stepped = |actor| -> Arc<dyn Store> {
            Arc::new(Stepped {
                inner: Arc::clone(&memory),
                turns: Arc::clone(&turns),
                actor,
            })
        };
        let (from, to, done) = (host.clone(), stepped(0), Arc::clone(&turns));
        let copying = tokio::spawn(async move {
            let copied = from.copy_to(&to, &quietly()).await;
            done.finish(0);
            copied
        });
        let (secret, key, removals) = (
            two.fixture.secret.clone(),
            two.fixture.key.clone(),
            removals.clone(),
        );
        let (to, done) = (stepped(1), Arc::clone(&turns));
        let pruned = tokio::spawn(async move {
            let work = async {
                let there = Repository::open(to, Some(&secret)).await?;
                there.prune(&removals, &key, &pruning()).await
            };
            let pruned = work.await;
            done.finish(1);
            pruned
        });
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut run = (0, 0);
        let next_actor = |open: &[usize], _: &[usize]| {
            if run.0 == 0 || !open.contains(&run.1) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                run = (1 + (state >> 8) % 16, open[(state as usize) % open.len()]);
            }
            run.0 -= 1;
            run.1
        };
        turns.drive(next_actor).await;
        let said = format!("seed {seed}");
        copying
            .await
            .unwrap()
            .unwrap_or_else(|e| panic!("{said}: {e:?}"));
        pruned
            .await
            .unwrap()
            .unwrap_or_else(|e| panic!("{said}: {e:?}"));
        let there = two.host(memory.clone()).await;
        for backup in there.list().await.unwrap() {
            two.whole(&memory, &[&backup.id], &said).await;
        }
        // What had to wait comes with the next one.
        there
            .prune(&[], &two.fixture.key, &pruning())
            .await
            .unwrap();
        let store: Arc<dyn Store> = memory.clone();
        let done = host.copy_to(&store, &quietly()).await.unwrap();
        assert!(done.left.is_empty(), "{said}: {done:?}");
        two.whole(&memory, &[&two.new, &next], &said).await;
    }
}

/// A bucket whose deleted names stay taken: what a prune there removed comes again with a backup that needs it.
#[tokio::test]
async fn a_copy_brings_again_what_a_prune_there_buried() {
    let two = Two::new().await;
    let host = two.host(two.memory.clone()).await;
    let memory = Arc::new(Memory::default());
    memory.buries.store(true, Ordering::Relaxed);
    let copy: Arc<dyn Store> = memory.clone();
    host.copy_to(&copy, &quietly()).await.unwrap();
    let there = two.host(copy.clone()).await;
    let plan = there
        .plan_prune("testing", "safety", &Rules::default(), Instant::now())
        .await
        .unwrap();
    let done = there
        .prune(&plan.removals(), &two.fixture.key, &pruning())
        .await;
    assert_eq!(done.unwrap().deleted, 1);
    let next = made(&host, &two.fixture.key, "20261103T000000Z-0004", &[1, 2]).await;
    let done = host.copy_to(&copy, &quietly()).await.unwrap();
    assert_eq!((done.backups, done.left.len()), (1, 0), "{done:?}");
    two.whole(&memory, &[&two.new, &next], "again").await;
    // And a backup that is brought a second time.
    let mut bytes = memory.read(&next.manifest()).unwrap().to_vec();
    bytes[40] ^= 1;
    memory.put(&next.manifest(), bytes);
    let done = host.copy_to(&copy, &quietly()).await.unwrap();
    assert_eq!((done.backups, done.left.len()), (1, 0), "{done:?}");
    two.whole(&memory, &[&two.new, &next], "mended").await;
}

//! Backups are removed and segments collected beside backups that would use the very same segments.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::super::names::SegmentName;
use super::super::*;
use super::steps::{Killed, Memory, Stepped, Turns};
use super::support::*;
use crate::capture::PartSink as _;
use crate::event::{Events, Outcome};
use crate::wait::Cancel;

/// A repository in memory: `old` is to go, `new` stays and shares a segment with it, and a stopped writer left one.
struct Base {
    memory: Memory,
    fixture: Fixture,
    old: BackupId,
    new: BackupId,
}

fn row(seed: u8) -> Vec<u8> {
    noise(seed, 90)
}

/// What a backup beside the prune writes: bytes that only `old` has, that `new` has too, that were left, and new ones.
fn parts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("postgres/only-old", row(1)),
        ("postgres/both", row(2)),
        ("postgres/left", row(3)),
        ("postgres/new", row(9)),
    ]
}

impl Base {
    async fn new() -> Base {
        let fixture = Fixture::new().await;
        let memory = Arc::new(Memory::default());
        let host = fixture.init(memory.clone()).await.unwrap();
        let (old, new) = (at("20260101T000000Z-0001"), at("20261101T000000Z-0002"));
        let of_old = [("postgres/a", row(1)), ("postgres/b", row(2))];
        back_up(&host, &old, &fixture.key, &of_old).await.unwrap();
        let of_new = [("postgres/b", row(2)), ("postgres/c", row(4))];
        back_up(&host, &new, &fixture.key, &of_new).await.unwrap();
        let stopped = at("20261102T000000Z-0003");
        let writer = host
            .begin_with(&stopped, &Events::silent(), SIZES)
            .await
            .unwrap();
        let part = writer.create("postgres/left", "noise").await.unwrap();
        let mut part = part;
        part.write(row(3).into()).await.unwrap();
        part.finish(None, Default::default()).await.unwrap();
        writer.close().await.unwrap();
        drop(host);
        Base {
            memory: (*memory).clone(),
            fixture,
            old,
            new,
        }
    }

    async fn host(&self, store: Arc<dyn Store>) -> Repository {
        self.fixture.host_on(store).await.unwrap()
    }

    async fn removals(&self, store: Arc<dyn Store>) -> Vec<Removal> {
        let host = self.host(store).await;
        let shown = host.show(&self.old).await.unwrap();
        vec![Removal {
            backup: self.old.clone(),
            manifest_sha256: shown.signed.map(|s| s.manifest_sha256),
        }]
    }

    /// Everything that is listed is whole; then a last prune leaves what is needed, and nothing else.
    async fn holds(&self, memory: &Arc<Memory>, complete: &[&BackupId], said: &str) {
        let host = self.host(memory.clone()).await;
        let listed = host.list().await.unwrap();
        for backup in listed.iter().filter(|b| b.is_usable()) {
            let done = host.verify_objects(&backup.id, &options()).await.unwrap();
            assert_eq!(done.findings, [], "{said}: {}", backup.id);
        }
        for id in complete {
            assert!(
                listed.iter().any(|b| b.id == **id && b.is_usable()),
                "{said}: {id} is not there"
            );
        }
        host.prune(&[], &self.fixture.key, &quietly())
            .await
            .unwrap();
        let reader = host.unlock(&self.fixture.identity).await.unwrap();
        for id in complete {
            let done = reader.verify_rows(id, &NoiseDecoder, &options()).await;
            assert_eq!(done.unwrap().findings, [], "{said}: {id}");
        }
        let mut needed = BTreeSet::new();
        for id in host.ids().await.unwrap() {
            let read = host.read_manifest(&id).await.unwrap();
            needed.extend(read.doc.segments.iter().map(|s| s.object()));
        }
        let stored: BTreeSet<String> = memory.names("segments/").into_iter().collect();
        assert_eq!(stored, needed, "{said}");
        for prefix in ["tombstones/", "locks/"] {
            assert_eq!(memory.names(prefix), Vec::<String>::new(), "{said}");
        }
    }

    /// A prune and backups side by side, in the order that `next` gives. How many operations each made.
    async fn together(
        &self,
        backups: usize,
        next: impl FnMut(&[usize], &[usize]) -> usize,
        said: &str,
    ) -> Vec<usize> {
        let memory = Arc::new(self.memory.clone());
        let removals = self.removals(memory.clone()).await;
        let turns = Turns::new(backups + 1);
        let stepped = |actor| -> Arc<dyn Store> {
            Arc::new(Stepped {
                inner: Arc::clone(&memory),
                turns: Arc::clone(&turns),
                actor,
            })
        };
        let mut tasks = Vec::new();
        let mut ids = Vec::new();
        for actor in 0..backups {
            let id = at(&format!("20261121T030405Z-000{actor}"));
            ids.push(id.clone());
            let (store, turns) = (stepped(actor), Arc::clone(&turns));
            let (secret, key) = (self.fixture.secret.clone(), self.fixture.key.clone());
            tasks.push(tokio::spawn(async move {
                let work = async {
                    let host = Repository::open(store, Some(&secret)).await?;
                    back_up(&host, &id, &key, &parts()).await.map(drop)
                };
                let done = work.await;
                turns.finish(actor);
                done
            }));
        }
        let (store, others) = (stepped(backups), Arc::clone(&turns));
        let (secret, key) = (self.fixture.secret.clone(), self.fixture.key.clone());
        tasks.push(tokio::spawn(async move {
            let work = async {
                let host = Repository::open(store, Some(&secret)).await?;
                host.prune(&removals, &key, &quietly()).await.map(drop)
            };
            let done = work.await;
            others.finish(backups);
            done
        }));
        let made = turns.drive(next).await;
        for task in tasks {
            if let Err(e) = task.await.unwrap() {
                panic!("{said}: {e:?}");
            }
        }
        let mut complete: Vec<&BackupId> = ids.iter().collect();
        complete.push(&self.new);
        self.holds(&memory, &complete, said).await;
        assert!(memory.read(&self.old.manifest()).is_none(), "{said}");
        made
    }
}

fn at(text: &str) -> BackupId {
    text.parse().unwrap()
}

fn quietly() -> PruneOptions {
    PruneOptions {
        events: Events::silent(),
        cancel: Cancel::new(),
    }
}

/// One actor makes `first` operations, then the other `second`, then the first ends, then the other: with two changes of
/// the actor, wherever they fall.
#[tokio::test]
async fn no_two_changes_between_a_prune_and_a_backup_lose_a_segment() {
    let base = Base::new().await;
    let alone = base
        .together(1, |open, _| open[0], "one after the other")
        .await;
    assert!(alone.iter().all(|n| (15..400).contains(n)), "{alone:?}");
    for begins in [0, 1] {
        let other = 1 - begins;
        for first in 0..=alone[begins] {
            // Each place for the first change; for the second a stretch of places that another first change shifts.
            for second in (first % 13..=alone[other] + 13).step_by(13) {
                let said = format!("{begins} begins, {first}, {second}");
                let next = |open: &[usize], made: &[usize]| {
                    let wanted = if made[begins] < first {
                        begins
                    } else if made[other] < second {
                        other
                    } else {
                        begins
                    };
                    if open.contains(&wanted) {
                        wanted
                    } else {
                        open[0]
                    }
                };
                base.together(1, next, &said).await;
            }
        }
    }
}

/// Two backups of the same bytes and a prune, in orders drawn from a seed.
#[tokio::test]
async fn no_drawn_order_of_a_prune_and_two_backups_loses_a_segment() {
    let base = Base::new().await;
    for seed in 0..120_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut run = (0, 0);
        let next = |open: &[usize], _: &[usize]| {
            // Runs of some length: a change at every operation would seldom let anybody get ahead.
            if run.0 == 0 || !open.contains(&run.1) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                run = (1 + (state >> 8) % 24, open[(state as usize) % open.len()]);
            }
            run.0 -= 1;
            run.1
        };
        base.together(2, next, &format!("seed {seed}")).await;
    }
}

#[tokio::test]
async fn a_prune_killed_at_every_operation_is_ended_by_the_next() {
    let base = Base::new().await;
    for operations in 0.. {
        let memory = Arc::new(base.memory.clone());
        let removals = base.removals(memory.clone()).await;
        let killed = Arc::new(Killed {
            inner: Arc::clone(&memory),
            left: AtomicI64::new(operations),
        });
        let first = async {
            let host = base.fixture.host_on(killed).await?;
            host.prune(&removals, &base.fixture.key, &quietly()).await
        };
        let first = first.await;
        let said = format!("killed after {operations}");
        let host = base.host(memory.clone()).await;
        for backup in host.list().await.unwrap() {
            // What is being removed says so, and nothing else is touched.
            let removing = backup.problem.as_ref().map(|p| p.reason.as_str());
            let expected = (backup.id == base.old).then_some(REMOVED.code);
            assert!(
                removing.is_none() || removing == expected,
                "{said}: {removing:?}"
            );
        }
        let rules = Rules {
            last: Some(1),
            ..Rules::default()
        };
        let now = Instant::now();
        let plan = host
            .plan_prune("testing", "safety", &rules, now)
            .await
            .unwrap();
        // Whatever is left to do is in the plan, and the look after an effect sees it.
        assert!(first.is_err() || plan.is_empty(), "{said}: {plan:?}");
        let ended = host.check_collected().await.is_ok();
        assert!(!ended || plan.leftovers == 0, "{said}: {plan:?}");
        let again = host
            .prune(&plan.removals(), &base.fixture.key, &quietly())
            .await;
        again.unwrap();
        host.check_collected().await.unwrap();
        base.holds(&memory, &[&base.new], &said).await;
        assert!(memory.read(&base.old.manifest()).is_none(), "{said}");
        assert!(memory.names(&base.old.folder()).is_empty(), "{said}");
        if first.is_ok() {
            assert!(operations > 15, "{operations}");
            break;
        }
    }
}

#[tokio::test]
async fn a_backup_killed_at_every_operation_beside_prunes_is_completed() {
    let base = Base::new().await;
    let id = at("20261121T030405Z-000a");
    for operations in 0.. {
        let memory = Arc::new(base.memory.clone());
        let removals = base.removals(memory.clone()).await;
        let killed = Arc::new(Killed {
            inner: Arc::clone(&memory),
            left: AtomicI64::new(operations),
        });
        let first = async {
            let host = base.fixture.host_on(killed).await?;
            back_up(&host, &id, &base.fixture.key, &parts()).await
        };
        let first = first.await;
        let said = format!("killed after {operations}");
        let host = base.host(memory.clone()).await;
        host.prune(&removals, &base.fixture.key, &quietly())
            .await
            .unwrap();
        back_up(&host, &id, &base.fixture.key, &parts())
            .await
            .unwrap_or_else(|e| panic!("{said}: {e:?}"));
        base.holds(&memory, &[&base.new, &id], &said).await;
        if first.is_ok() {
            break;
        }
    }
}

/// The segments of a tombstone wait for the lock that was there before it, and for no later one.
#[tokio::test]
async fn a_tombstone_waits_for_earlier_locks_and_is_no_hit_for_later_writers() {
    let base = Base::new().await;
    let memory = Arc::new(base.memory.clone());
    let host = base.host(memory.clone()).await;
    let key = &base.fixture.key;
    let early = at("20261121T030405Z-000a");
    let writer = host
        .begin_with(&early, &Events::silent(), SIZES)
        .await
        .unwrap();
    let removals = base.removals(memory.clone()).await;
    let pruned = host.prune(&removals, key, &quietly()).await.unwrap();
    assert_eq!((pruned.removed, pruned.deleted, pruned.waiting), (1, 0, 2));
    assert!(pruned.waits_for[0].contains(early.as_str()), "{pruned:?}");
    // A later backup of the same bytes stores them anew, under a name of its own.
    let late = at("20261121T030405Z-000b");
    back_up(&host, &late, key, &parts()).await.unwrap();
    let read = host.read_manifest(&late).await.unwrap();
    let copies = read.doc.segments.iter().filter(|s| s.copy.is_some());
    assert_eq!(copies.count(), 2);
    // The early one finds them.
    let store = crate::identity::Store::Postgres;
    let done = capture(&writer, store, &parts()).await.unwrap();
    writer.seal_store(done).await.unwrap();
    let written = writer.close().await.unwrap();
    assert_eq!(written.new_segments, 0, "{written:?}");
    let pruned = host.prune(&[], key, &quietly()).await.unwrap();
    assert_eq!((pruned.deleted, pruned.spared, pruned.waiting), (0, 2, 0));
    host.commit(&early, &meta(), key).await.unwrap();
    base.holds(&memory, &[&early, &late, &base.new], "at the end")
        .await;
}

#[tokio::test]
async fn nothing_is_deleted_while_nobody_can_tell_what_a_backup_needs() {
    let base = Base::new().await;
    let memory = Arc::new(base.memory.clone());
    let removals = base.removals(memory.clone()).await;
    memory.put(&base.new.manifest(), &b"{}"[..]);
    let host = base.host(memory.clone()).await;
    let before = memory.names("segments/");
    let plan = host
        .plan_prune("testing", "safety", &Rules::default(), Instant::now())
        .await
        .unwrap();
    let blocked = plan.blocked.unwrap();
    assert!(blocked.message.contains(base.new.as_str()), "{blocked:?}");
    let error = host.prune(&removals, &base.fixture.key, &quietly()).await;
    let error = error.unwrap_err();
    assert_eq!(error.reason(), &INCOMPLETE);
    assert_eq!(memory.names("segments/"), before);
}

#[tokio::test]
async fn a_tombstone_that_cannot_be_trusted_deletes_nothing_and_is_no_hit() {
    let base = Base::new().await;
    let memory = Arc::new(base.memory.clone());
    let host = base.host(memory.clone()).await;
    // Signed by a stranger, and naming a segment that is needed.
    let read = host.read_manifest(&base.new).await.unwrap();
    let needed: Vec<SegmentName> = read.doc.segments.iter().map(|s| s.name()).collect();
    let stranger = SigningKey::generate().unwrap();
    let batch = host.announce(needed, &stranger).await.unwrap();
    let id = at("20261121T030405Z-000a");
    back_up(&host, &id, &base.fixture.key, &parts())
        .await
        .unwrap();
    let read = host.read_manifest(&id).await.unwrap();
    assert!(read.doc.segments.iter().all(|s| s.copy.is_some()));
    // Also where nothing else is to be removed, the plan names it: backups store everything anew until it is gone.
    let plan = host
        .plan_prune("testing", "safety", &Rules::default(), Instant::now())
        .await
        .unwrap();
    assert_eq!(plan.tombstones, [batch.name.as_str()]);
    let pruned = host
        .prune(&[], &base.fixture.key, &quietly())
        .await
        .unwrap();
    assert_eq!(pruned.untrusted_tombstones, [batch.name]);
    base.holds(&memory, &[&base.new, &id], "afterwards").await;
}

#[tokio::test]
async fn holds_keep_a_backup_and_are_released_by_a_statement_of_their_own() {
    let base = Base::new().await;
    let memory = Arc::new(base.memory.clone());
    let host = base.host(memory.clone()).await;
    let key = &base.fixture.key;
    assert!(
        host.set_hold(&base.old, true, Some("an audit"), key)
            .await
            .unwrap()
    );
    assert!(!host.set_hold(&base.old, true, None, key).await.unwrap());
    let held = host.show(&base.old).await.unwrap().held.unwrap();
    assert_eq!(held.reason.as_deref(), Some("an audit"));
    let removals = base.removals(memory.clone()).await;
    let error = host.prune(&removals, key, &quietly()).await.unwrap_err();
    assert_eq!(error.reason(), &HELD);
    assert!(host.set_hold(&base.old, false, None, key).await.unwrap());
    assert!(host.show(&base.old).await.unwrap().held.is_none());
    assert!(host.set_hold(&base.old, true, None, key).await.unwrap());
    // One that is missing between others is noticed, and the backup counts as held.
    let names = memory.names(&base.old.held());
    assert_eq!(names.len(), 3);
    let second = memory.read(&names[1]).unwrap();
    for (gone, put) in [(1, None), (2, Some(1))] {
        let copy = Arc::new((*memory).clone());
        copy.delete(&names[gone]).await.unwrap();
        if let Some(from) = put {
            copy.put(&names[gone], copy.read(&names[from]).unwrap());
        }
        let host = base.host(copy.clone()).await;
        assert!(host.show(&base.old).await.unwrap().held.is_some());
        let error = host
            .set_hold(&base.old, false, None, key)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), &DAMAGED);
        assert_eq!(copy.read(&names[1]).is_some(), gone != 1);
    }
    assert!(!second.is_empty());
    // The plan says why it stays.
    let rules = Rules::default();
    let plan = host
        .plan_prune("testing", "safety", &rules, Instant::now())
        .await;
    let plan = plan.unwrap();
    let fate = &plan.backups.last().unwrap().fate;
    assert!(
        matches!(fate, Fate::Stays(why) if why[0].starts_with("held")),
        "{fate:?}"
    );
}

#[tokio::test]
async fn the_plan_says_what_would_be_freed_and_the_prune_frees_it() {
    let base = Base::new().await;
    let memory = Arc::new(base.memory.clone());
    let host = base.host(memory.clone()).await;
    let rules = Rules::default();
    let now = Instant::now();
    let before = memory.segment_operations.load(Ordering::Relaxed);
    let plan = host
        .plan_prune("testing", "safety", &rules, now)
        .await
        .unwrap();
    assert_eq!(memory.segment_operations.load(Ordering::Relaxed), before);
    let goes: Vec<_> = plan.backups.iter().filter(|b| b.fate.goes()).collect();
    assert_eq!(goes.len(), 1);
    assert_eq!(goes[0].backup, base.old);
    assert_eq!(plan.leftovers, 1);
    assert!(goes[0].frees_bytes > 0);
    assert_eq!(plan.frees_bytes, goes[0].frees_bytes + plan.leftover_bytes);
    let pruned = host
        .prune(&plan.removals(), &base.fixture.key, &quietly())
        .await
        .unwrap();
    assert_eq!(pruned.freed_bytes, plan.frees_bytes);
    assert_eq!((pruned.removed, pruned.deleted), (1, 2));
    let plan = host
        .plan_prune("testing", "safety", &rules, now)
        .await
        .unwrap();
    assert!(plan.is_empty(), "{plan:?}");
}

/// Somebody puts a manifest back that was removed: it is not a backup, and level 1 says so.
#[tokio::test]
async fn a_manifest_that_was_put_back_is_no_backup() {
    let base = Base::new().await;
    let memory = Arc::new(base.memory.clone());
    let host = base.host(memory.clone()).await;
    let removals = base.removals(memory.clone()).await;
    host.prune(&removals, &base.fixture.key, &quietly())
        .await
        .unwrap();
    for name in base.memory.names(&base.old.folder()) {
        memory.put(&name, base.memory.read(&name).unwrap());
    }
    let shown = host.show(&base.old).await.unwrap();
    assert_eq!(shown.problem.unwrap().reason, REMOVED.code);
    let done = host.verify_objects(&base.old, &options()).await.unwrap();
    assert_eq!(done.outcome(), Outcome::Failed);
    assert!(done.findings.iter().any(|f| f.problem.contains("removed")));
}

/// What is staged counts as old by when it was staged, not by how old its data is; and a run that was resumed since a prune
/// looked keeps what it staged.
#[tokio::test]
async fn captures_that_somebody_went_on_with_are_not_discarded() {
    let base = Base::new().await;
    let memory = Arc::new(base.memory.clone());
    let host = base.host(memory.clone()).await;
    let key = &base.fixture.key;
    let id = at("20260601T000000Z-00aa");
    let writer = host
        .begin_with(&id, &Events::silent(), SIZES)
        .await
        .unwrap();
    let store = crate::identity::Store::Postgres;
    let done = capture(&writer, store, &parts()).await.unwrap();
    writer.seal_store(done).await.unwrap();
    writer.close().await.unwrap();
    let now = Instant::now();
    let stored = |at| *memory.stored.lock().unwrap() = Some(at);
    let judged = async || {
        let rules = Rules::default();
        let plan = host.plan_prune("testing", "safety", &rules, now).await;
        plan.unwrap().unfinished[0].fate.clone()
    };
    stored(now);
    assert!(!judged().await.goes());
    stored("2026-06-02T00:00:00Z".parse().unwrap());
    assert!(judged().await.goes());
    let discard = [Removal {
        backup: id.clone(),
        manifest_sha256: None,
    }];
    let purpose = format!("backup {id}");
    let lock = Lock::acquire(&host.store, Mode::Shared, &purpose).await;
    let pruned = host.prune(&discard, key, &quietly()).await.unwrap();
    assert_eq!((pruned.removed, pruned.resumed.len()), (0, 1), "{pruned:?}");
    lock.unwrap().release().await.unwrap();
    // The other way round: whoever goes on while a prune works waits for it.
    let prune = Lock::acquire(&host.store, Mode::Collect, "prune").await;
    let error = host.commit(&id, &meta(), key).await.unwrap_err();
    assert_eq!(error.reason(), &LOCKED);
    let error = host.begin_with(&id, &Events::silent(), SIZES).await;
    assert_eq!(error.err().unwrap().reason(), &LOCKED);
    prune.unwrap().release().await.unwrap();
    host.commit(&id, &meta(), key).await.unwrap();
    let pruned = host.prune(&discard, key, &quietly()).await.unwrap();
    assert_eq!((pruned.removed, pruned.resumed.len()), (0, 1), "{pruned:?}");
    base.holds(&memory, &[&base.new, &id], "afterwards").await;
}

/// However many backups a repository has seen, a prune asks about those that are there.
#[tokio::test]
async fn a_prune_does_not_grow_with_the_backups_that_went_long_ago() {
    let base = Base::new().await;
    let memory = Arc::new(base.memory.clone());
    let host = base.host(memory.clone()).await;
    for number in 0..300 {
        let gone = at(&format!("20200101T000000Z-{number:04x}"));
        host.state_removal(&gone, Digest([1; 32]), &base.fixture.key)
            .await
            .unwrap();
    }
    let removals = base.removals(memory.clone()).await;
    let before = memory.segment_operations.swap(0, Ordering::Relaxed);
    memory.operations.store(0, Ordering::Relaxed);
    let pruned = host.prune(&removals, &base.fixture.key, &quietly()).await;
    assert_eq!(pruned.unwrap().deleted, 2);
    let operations = memory.operations.load(Ordering::Relaxed);
    assert!(operations < 100, "{operations}");
    // Each is deleted, and nobody looks at it first.
    let segments = memory.segment_operations.load(Ordering::Relaxed);
    assert_eq!(segments, 2, "{before}");
}

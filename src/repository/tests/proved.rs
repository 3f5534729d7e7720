//! The newest backup that was restored and compared stays, here and in a copy, until a later verification fails.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::steps::Memory;
use super::support::*;
use crate::event::Events;
use crate::wait::Cancel;

const OLD: &str = "20260101T000000Z-0001";
const MIDDLE: &str = "20260201T000000Z-0002";
const NEW: &str = "20260301T000000Z-0003";

fn at(text: &str) -> BackupId {
    text.parse().unwrap()
}

fn copying() -> CopyOptions {
    CopyOptions {
        events: Events::silent(),
        cancel: Cancel::new(),
    }
}

struct Three {
    fixture: Fixture,
    memory: Arc<Memory>,
    host: Repository,
}

impl Three {
    async fn new() -> Three {
        let fixture = Fixture::new().await;
        let memory = Arc::new(Memory::default());
        let host = fixture.init(memory.clone()).await.unwrap();
        for (seed, id) in [OLD, MIDDLE, NEW].into_iter().enumerate() {
            let parts = [("postgres/a", noise(seed as u8, 90))];
            back_up(&host, &at(id), &fixture.key, &parts).await.unwrap();
        }
        Three {
            fixture,
            memory,
            host,
        }
    }

    /// Keeps a verification of this level that ended at this second, in one of the places.
    async fn records(&self, place: &Repository, id: &str, level: Level, second: u64, passed: bool) {
        let first: Instant = "2026-04-01T00:00:00Z".parse().unwrap();
        let to = first.plus(Duration::from_secs(second));
        let shown = place.show(&at(id)).await.unwrap();
        let finding = Finding {
            object: "postgres/a".to_owned(),
            problem: "differs".to_owned(),
        };
        let done = Verification {
            backup: at(id),
            manifest_sha256: shown.signed.unwrap().manifest_sha256,
            level,
            sample: None,
            from: first,
            to,
            findings: if passed { Vec::new() } else { vec![finding] },
            measured: Default::default(),
            loaded: Default::default(),
            cross_checks: Vec::new(),
        };
        place.record(&done, &self.fixture.key).await.unwrap();
    }

    /// What a prune that keeps nothing but the newest would leave, oldest first, and what it says of the oldest of them.
    async fn stay(&self, place: &Repository) -> (Vec<BackupId>, String) {
        let rules = Rules::default();
        let plan = place.plan_prune("testing", "safety", &rules, Instant::now());
        Self::stay_by(&plan.await.unwrap())
    }

    /// The same for a copy, whose repository says this.
    async fn stay_told(
        &self,
        copy: &Repository,
        said: Result<Vec<Backup>>,
    ) -> (Vec<BackupId>, String) {
        let (rules, now) = (Rules::default(), Instant::now());
        let plan = copy.plan_prune_of_copy(said, "testing", "safety", &rules, now);
        Self::stay_by(&plan.await.unwrap())
    }

    fn stay_by(plan: &Pruning) -> (Vec<BackupId>, String) {
        let stays = plan.backups.iter().rev();
        let mut stays = stays.filter(|b| !b.fate.goes()).peekable();
        let said = match &stays.peek().unwrap().fate {
            Fate::Stays(why) => why.join(", "),
            Fate::Goes(why) => why.clone(),
        };
        (stays.map(|b| b.backup.clone()).collect(), said)
    }
}

const PROVED: &str = "the newest that was restored and compared";

#[tokio::test]
async fn the_newest_that_was_restored_stays_until_a_verification_of_it_fails() {
    for fails in [Level::Restored, Level::Objects] {
        let three = Three::new().await;
        let host = &three.host;
        assert_eq!(three.stay(host).await.0, [at(NEW)]);
        // A lower level proves too little to keep anything.
        three.records(host, MIDDLE, Level::Rows, 0, true).await;
        three.records(host, OLD, Level::Restored, 1, true).await;
        let (stays, said) = three.stay(host).await;
        assert_eq!(stays, [at(OLD), at(NEW)]);
        assert_eq!(said, PROVED);
        // A newer one takes its place, and gives it back when it turns out to be none.
        three.records(host, MIDDLE, Level::Restored, 2, true).await;
        assert_eq!(three.stay(host).await.0, [at(MIDDLE), at(NEW)]);
        three.records(host, MIDDLE, fails, 3, false).await;
        assert_eq!(three.stay(host).await.0, [at(OLD), at(NEW)]);
        three.records(host, OLD, fails, 4, false).await;
        assert_eq!(three.stay(host).await.0, [at(NEW)], "{fails:?}");
    }
}

#[tokio::test]
async fn a_prune_of_a_copy_keeps_the_newest_that_was_restored_from_the_repository() {
    let three = Three::new().await;
    let host = &three.host;
    let memory = Arc::new(Memory::default());
    let copy: Arc<dyn Store> = memory.clone();
    three.records(host, OLD, Level::Objects, 0, true).await;
    three.records(host, OLD, Level::Restored, 1, true).await;
    let done = host.copy_to(&copy, &copying()).await.unwrap();
    assert_eq!((done.backups, done.proved), (3, 0));
    let there = three.fixture.host_on(copy.clone()).await.unwrap();
    assert_eq!(
        three.stay(&there).await,
        (vec![at(OLD), at(NEW)], PROVED.to_owned())
    );
    // That every object is whole is said of one place alone.
    assert_eq!(memory.names(&at(OLD).verified()).len(), 1);

    // Restored after it was copied: the next copy says so, and brings nothing else.
    three.records(host, MIDDLE, Level::Restored, 2, true).await;
    let lag = host.lag(&copy, "testing").await.unwrap();
    assert_eq!(
        (lag.behind, lag.unproved.as_slice()),
        (0, &[at(MIDDLE)][..])
    );
    let done = host.copy_to(&copy, &copying()).await.unwrap();
    assert_eq!((done.backups, done.segments, done.proved), (0, 0, 1));
    assert_eq!(three.stay(&there).await.0, [at(MIDDLE), at(NEW)]);
    let listed = there.list().await.unwrap();
    assert!(listed.iter().all(|b| b.problem.is_none()));
    for id in [OLD, MIDDLE, NEW] {
        let done = there.verify_objects(&at(id), &options()).await.unwrap();
        assert_eq!(done.findings, []);
    }

    // So does a restore that failed; the copy is not behind for it.
    three.records(host, MIDDLE, Level::Restored, 3, false).await;
    host.copy_to(&copy, &copying()).await.unwrap();
    assert_eq!(three.stay(&there).await.0, [at(OLD), at(NEW)]);
    let lag = host.lag(&copy, "testing").await.unwrap();
    assert!(lag.missing.is_empty() && lag.unproved.is_empty(), "{lag:?}");

    // What failed in the copy is mended there, whatever was restored here since.
    three.records(&there, OLD, Level::Objects, 4, false).await;
    three.records(host, OLD, Level::Restored, 5, true).await;
    let lag = host.lag(&copy, "testing").await.unwrap();
    assert_eq!(lag.missing, [at(OLD)]);
}

/// Between a drill and the next copy, the copy's own records do not tell what was restored.
#[tokio::test]
async fn a_prune_of_a_copy_asks_its_repository_what_was_restored_since() {
    let three = Three::new().await;
    let host = &three.host;
    let copy: Arc<dyn Store> = Arc::new(Memory::default());
    host.copy_to(&copy, &copying()).await.unwrap();
    let there = three.fixture.host_on(copy.clone()).await.unwrap();
    three.records(host, OLD, Level::Restored, 1, true).await;
    assert_eq!(three.stay(&there).await.0, [at(NEW)], "it knows no better");
    let asked = three.stay_told(&there, host.list().await).await;
    assert_eq!(asked, (vec![at(OLD), at(NEW)], PROVED.to_owned()));
    // What failed since is no proof; what is gone from the repository is judged by the copy's own records.
    three.records(host, MIDDLE, Level::Restored, 2, true).await;
    three.records(host, OLD, Level::Restored, 3, false).await;
    let (stays, _) = three.stay_told(&there, host.list().await).await;
    assert_eq!(stays, [at(MIDDLE), at(NEW)]);
    three.records(&there, OLD, Level::Restored, 4, true).await;
    let mut listed = host.list().await.unwrap();
    listed.remove(0);
    let (stays, _) = three.stay_told(&there, Ok(listed)).await;
    assert_eq!(stays, [at(MIDDLE), at(NEW)]);
    // Where nobody can be asked, nothing goes that may have been restored.
    let (stays, said) = three
        .stay_told(&there, Err(missing("repository.json")))
        .await;
    assert_eq!(stays, [at(OLD), at(MIDDLE), at(NEW)]);
    assert!(said.contains("cannot be asked"), "{said}");
    let name = at(OLD).manifest();
    let whole = three.memory.read(&name).unwrap();
    three.memory.put(&name, whole.slice(..whole.len() / 2));
    let (stays, said) = three.stay_told(&there, host.list().await).await;
    assert_eq!(stays, [at(OLD), at(MIDDLE), at(NEW)]);
    assert!(said.contains("cannot be asked"), "{said}");
}

/// Two looks may end at once; both count, and the later one is the newer.
#[tokio::test]
async fn verifications_that_end_in_one_millisecond_are_both_recorded() {
    let three = Three::new().await;
    let host = &three.host;
    for passed in [true, true, false] {
        three.records(host, OLD, Level::Objects, 1, passed).await;
    }
    let shown = host.show(&at(OLD)).await.unwrap();
    let first: Instant = "2026-04-01T00:00:01Z".parse().unwrap();
    let ends: Vec<i64> = shown
        .verified
        .iter()
        .map(|r| r.to.since(first).as_millis() as i64)
        .collect();
    assert_eq!(ends, [0, 1, 2]);
    assert_eq!(shown.verified_level(), None, "the last one failed");
}

/// A record that somebody changed proves nothing, and goes nowhere; the copy's own is put right.
#[tokio::test]
async fn a_record_of_a_restore_that_was_changed_is_not_brought() {
    let three = Three::new().await;
    let host = &three.host;
    let memory = Arc::new(Memory::default());
    let copy: Arc<dyn Store> = memory.clone();
    three.records(host, OLD, Level::Restored, 1, true).await;
    host.copy_to(&copy, &copying()).await.unwrap();
    let name = memory.names(&at(OLD).verified()).remove(0);
    let whole = memory.read(&name).unwrap();
    memory.put(&name, whole.slice(..whole.len() / 2));
    let there = three.fixture.host_on(copy.clone()).await.unwrap();
    assert_eq!(three.stay(&there).await.0, [at(NEW)]);
    host.copy_to(&copy, &copying()).await.unwrap();
    assert_eq!(memory.read(&name).unwrap(), whole);
    assert_eq!(three.stay(&there).await.0, [at(OLD), at(NEW)]);
    three.memory.put(&name, whole.slice(..whole.len() / 2));
    memory.delete(&name).await.unwrap();
    let done = host.copy_to(&copy, &copying()).await.unwrap();
    assert_eq!((done.proved, memory.read(&name)), (0, None));
}

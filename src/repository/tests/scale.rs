//! A thousand backups of a hundred thousand segments are listed and judged without a look at any segment, in time and in
//! bounded memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::format::{ManifestDoc, SegmentDoc, SignatureDoc};
use super::super::names::SegmentName;
use super::super::*;
use super::steps::Memory;
use super::support::*;
use crate::capture::PartInfo;
use crate::identity::Store as Kind;

const BACKUPS: u64 = 1_000;
const SEGMENTS: u64 = 100;

fn digest(number: u64) -> Digest {
    Digest(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// A backup each day, each of segments of its own, and each verified once.
async fn filled(fixture: &Fixture, memory: &Arc<Memory>) {
    let host = fixture.init(memory.clone()).await.unwrap();
    let keys = host.writing_keys().unwrap();
    let first: Instant = "2024-01-01T03:00:00Z".parse().unwrap();
    for number in 0..BACKUPS {
        let at = first.plus(Duration::from_secs(86_400 * number));
        let id: BackupId = format!("{}-{:04x}", at.compact(), number).parse().unwrap();
        let ids = (0..SEGMENTS).map(|n| digest(number * SEGMENTS + n));
        let mut segments: Vec<SegmentDoc> = ids
            .map(|id| SegmentDoc {
                id,
                copy: None,
                sha256: id,
                size: 3,
            })
            .collect();
        segments.sort_by_key(|s| s.id);
        for doc in &segments {
            memory.put(&SegmentName::first(doc.id).object(), &b"abc"[..]);
        }
        let pieces: Vec<Piece> = segments
            .iter()
            .map(|s| Piece { id: s.id, bytes: 9 })
            .collect();
        let part = PartInfo {
            name: "postgres/a".to_owned(),
            format: "noise".to_owned(),
            bytes: 9 * SEGMENTS,
            fingerprint: None,
            meta: BTreeMap::new(),
        };
        let contents = Contents {
            version: 1,
            repository: host.id().to_owned(),
            backup: id.clone(),
            context: "testing".to_owned(),
            labels: Vec::new(),
            stores: vec![StoreContents {
                captured: captured(Kind::Postgres, vec![part]),
                segments: [("postgres/a".to_owned(), pieces)].into(),
            }],
        };
        let manifest = ManifestDoc {
            version: 1,
            repository: host.id().to_owned(),
            backup: id.clone(),
            created: at,
            tool: tool(),
            epoch: 1,
            signer: fixture.key.id(),
            segments,
            sealed: keys.seal(&contents).unwrap(),
        };
        let bytes = format::to_bytes(&manifest).unwrap();
        let signature = SignatureDoc {
            version: 1,
            key: fixture.key.id(),
            signature: fixture.key.sign(&bytes),
        };
        let verified = Verification {
            backup: id.clone(),
            manifest_sha256: super::super::store::sha256(&bytes),
            level: Level::Objects,
            sample: None,
            from: at,
            to: at.plus(Duration::from_secs(60)),
            findings: Vec::new(),
            measured: [("objects".to_owned(), SEGMENTS)].into(),
            loaded: BTreeMap::new(),
            cross_checks: Vec::new(),
        };
        memory.put(&id.manifest(), bytes);
        memory.put(&id.signature(), format::to_bytes(&signature).unwrap());
        host.record(&verified, &fixture.key).await.unwrap();
    }
}

#[tokio::test]
async fn a_thousand_backups_are_listed_and_judged_without_a_look_at_a_segment() {
    let fixture = Fixture::new().await;
    let memory = Arc::new(Memory::default());
    filled(&fixture, &memory).await;
    let host = fixture.host_on(memory.clone()).await.unwrap();
    let operations = |what: &Arc<Memory>| {
        let seen = what.operations.swap(0, Ordering::Relaxed);
        let segments = what.segment_operations.swap(0, Ordering::Relaxed);
        (seen, segments)
    };
    operations(&memory);
    let all = host.list().await.unwrap();
    assert_eq!(all.len() as u64, BACKUPS);
    // A list is as large as its backups are many, whatever they hold.
    for backup in all {
        assert_eq!(backup.plain_bytes, Some(9 * SEGMENTS));
        let stores = backup.contents.unwrap().stores;
        assert!(stores[0].captured.parts.is_empty() && stores[0].segments.is_empty());
    }
    // A manifest, a signature and a verification each, and a few listings.
    let (all, segments) = operations(&memory);
    assert!(
        all <= 3 * BACKUPS + 10 && segments == 0,
        "{all}, {segments}"
    );
    let plan = judged(&host).await;
    let (all, segments) = operations(&memory);
    assert!(
        all <= 5 * BACKUPS + 20 && segments == 0,
        "{all}, {segments}"
    );
    let goes = plan.backups.iter().filter(|b| b.fate.goes()).count() as u64;
    assert_eq!(goes, BACKUPS - 24);
    assert_eq!(plan.frees_bytes, goes * SEGMENTS * 3);
}

/// What two years of one backup a month would leave.
async fn judged(host: &Repository) -> Pruning {
    let rules = Rules {
        monthly: Some(24),
        ..Rules::default()
    };
    let now = "2026-09-27T00:00:00Z".parse().unwrap();
    let plan = host.plan_prune("testing", "safety", &rules, now);
    plan.await.unwrap()
}

/// What a process of its own took for the best of three looks, and how much memory it ever had.
#[derive(Debug, Clone, Copy)]
struct Took {
    list: Duration,
    plan: Duration,
    /// Of the processors, for one list and one plan.
    cpu: Duration,
    /// Kilobytes.
    peak: u64,
}

const SCALE: &str = "SUMMITCTL_TEST_SCALE";
const NAME: &str =
    "repository::tests::scale::a_folder_of_a_thousand_backups_is_judged_in_time_and_memory";

/// Looks at the repository in `folder/repository`, as a command does, and prints what that took.
async fn look(folder: &Path) {
    let secret = Secret::new(fs::read_to_string(folder.join("secret")).unwrap());
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(folder.join("repository")));
    let host = Repository::open(store, Some(&secret)).await.unwrap();
    let host = host.remembering(&folder.join("state")).await.unwrap();
    let (mut list, mut plan) = (Duration::MAX, Duration::MAX);
    let before = cpu();
    for _ in 0..3 {
        let began = std::time::Instant::now();
        let all = host.list().await.unwrap().len();
        list = list.min(began.elapsed());
        let began = std::time::Instant::now();
        let judged = judged(&host).await;
        plan = plan.min(began.elapsed());
        assert_eq!(judged.backups.len(), all);
        assert!(judged.removals().len() >= all - 24, "{judged:?}");
    }
    let used = (cpu() - before) / 3;
    let (list, plan, used) = (list.as_millis(), plan.as_millis(), used.as_millis());
    println!("\ntook {list} {plan} {used} {}", peak());
}

/// What this process has used of the processors: proc(5), fields 14 and 15 of `stat`, in hundredths of a second.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields = rest.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(|f| f.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// The most memory that this process ever had, in kilobytes: proc(5), `VmHWM`.
fn peak() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let number = line.unwrap().trim().trim_end_matches("kB").trim();
    number.parse().unwrap()
}

/// The oldest of these backups in a folder, looked at by another process.
fn measured(fixture: &Fixture, memory: &Memory, backups: u64) -> Took {
    let folder = Folder::new();
    let root = folder.path().join("repository");
    let mut seen = BTreeSet::new();
    let mut write = |name: &str, bytes: &[u8]| {
        let path = root.join(name);
        let above = path.parent().unwrap();
        if seen.insert(above.to_owned()) {
            fs::create_dir_all(above).unwrap();
        }
        fs::write(&path, bytes).unwrap();
    };
    for name in memory.names("") {
        let number = name.strip_prefix("backups/").map(|rest| &rest[17..21]);
        let number = number.map(|hex| u64::from_str_radix(hex, 16).unwrap());
        if !name.starts_with("segments/") && number.is_none_or(|n| n < backups) {
            write(&name, &memory.read(&name).unwrap());
        }
    }
    for number in 0..backups * SEGMENTS {
        write(&SegmentName::first(digest(number)).object(), b"abc");
    }
    fs::write(folder.path().join("secret"), fixture.secret.expose()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(SCALE, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let line = said.lines().find_map(|l| l.strip_prefix("took "));
    let line = line.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&child.stderr)));
    let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
    Took {
        list: Duration::from_millis(numbers[0]),
        plan: Duration::from_millis(numbers[1]),
        cpu: Duration::from_millis(numbers[2]),
        peak: numbers[3],
    }
}

#[tokio::test]
async fn a_folder_of_a_thousand_backups_is_judged_in_time_and_memory() {
    if let Some(folder) = std::env::var_os(SCALE) {
        return look(Path::new(&folder)).await;
    }
    let fixture = Fixture::new().await;
    let memory = Arc::new(Memory::default());
    filled(&fixture, &memory).await;
    let half = measured(&fixture, &memory, BACKUPS / 2);
    let all = measured(&fixture, &memory, BACKUPS);
    eprintln!("{} backups: {half:?}; {BACKUPS}: {all:?}", BACKUPS / 2);
    assert!(all.list < Duration::from_secs(1), "{all:?}");
    assert!(all.plan < Duration::from_secs(5), "{all:?}");
    assert!(all.peak < 2 * half.peak, "{half:?}, {all:?}");
    assert!(all.peak < 150 * 1024, "{all:?}");
}

//! Every kind of object, damaged in every way: the cheapest look that finds it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::*;
use super::steps::Memory;
use super::support::*;

/// What finds damage, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Look {
    /// Opening the repository with its secret.
    Open,
    /// `backup list`.
    List,
    /// `backup verify --level 1`, which names the object.
    Level1,
    /// Nothing in the repository; the format page says so.
    Nothing,
}

use Look::{Level1, List, Nothing, Open};

/// An object's kind, and what finds it flipped, cut, empty, doubled, missing, and in an older or another one's place.
const TABLE: &[(&str, [Look; 6])] = &[
    ("repository.json", [Open, Open, Open, Open, Open, Level1]),
    ("keys/1.age", [Level1; 6]),
    ("manifest.json", [List; 6]),
    ("manifest.json.sig", [List; 6]),
    (
        "/verified/",
        [Level1, Level1, Level1, Level1, Nothing, Level1],
    ),
    (
        "/opened/",
        [Level1, Level1, Level1, Level1, Nothing, Level1],
    ),
    ("/held/000001.json", [Level1; 6]),
    (
        "/held/000002.json",
        [Level1, Level1, Level1, Level1, Nothing, Level1],
    ),
    (
        "removed/",
        [Level1, Level1, Level1, Level1, Nothing, Level1],
    ),
    (
        "tombstones/",
        [Level1, Level1, Level1, Level1, Nothing, Level1],
    ),
    ("segments/", [Level1; 6]),
];

const WAYS: [&str; 6] = ["flipped", "cut", "empty", "doubled", "missing", "replaced"];

struct Sample {
    fixture: Fixture,
    memory: Memory,
    /// The same names with other contents that were right elsewhere or before.
    others: Memory,
    id: BackupId,
}

async fn sample() -> Sample {
    let fixture = Fixture::new().await;
    let memory = Arc::new(Memory::default());
    let mut host = fixture.init(memory.clone()).await.unwrap();
    let id: BackupId = "20261101T000000Z-0001".parse().unwrap();
    let other: BackupId = "20261102T000000Z-0002".parse().unwrap();
    for (id, seed) in [(&id, 1), (&other, 5)] {
        let parts = [
            ("postgres/a", noise(seed, 90)),
            ("postgres/b", noise(seed + 1, 90)),
        ];
        back_up(&host, id, &fixture.key, &parts).await.unwrap();
        let done = host.verify_objects(id, &options()).await.unwrap();
        host.record(&done, &fixture.key).await.unwrap();
        let reader = host.unlock(&fixture.identity).await.unwrap();
        let opened = reader.open_one(id).await.unwrap();
        reader.record_opened(&opened, &fixture.key).await.unwrap();
        host.set_hold(id, true, Some("an audit"), &fixture.key)
            .await
            .unwrap();
        host.set_hold(id, false, None, &fixture.key).await.unwrap();
    }
    let gone: BackupId = "20261001T000000Z-0003".parse().unwrap();
    let digest = host
        .show(&id)
        .await
        .unwrap()
        .signed
        .unwrap()
        .manifest_sha256;
    host.state_removal(&gone, digest, &fixture.key)
        .await
        .unwrap();
    host.announce(Vec::new(), &fixture.key).await.unwrap();
    // What there was before somebody else came to read.
    let before = (*memory).clone();
    let reader = host.unlock(&fixture.identity).await.unwrap();
    let both = [fixture.operator.clone(), person("bob").0];
    host = reader.set_operators(&both).await.unwrap();
    drop(host);
    let others = before;
    let swap = |name: &str| name.replace(id.as_str(), other.as_str());
    let times = |name: &str| name.rsplit('/').next().unwrap_or_default().len();
    for name in memory.names(&id.folder()) {
        let same = swap(&name);
        let of_other = memory.names(&other.folder());
        let found = of_other.iter().find(|n| {
            **n == same
                || (n.rsplit_once('/').map(|p| p.0) == same.rsplit_once('/').map(|p| p.0)
                    && times(n) == times(&same)
                    && !name.contains("/held/"))
        });
        others.put(&name, memory.read(found.unwrap()).unwrap());
    }
    let segments = memory.names("segments/");
    for (at, name) in segments.iter().enumerate() {
        let next = &segments[(at + 1) % segments.len()];
        others.put(name, memory.read(next).unwrap());
    }
    for name in memory
        .names("removed/")
        .into_iter()
        .chain(memory.names("tombstones/"))
    {
        others.put(
            &name,
            memory.read(&memory.names(&id.verified())[0]).unwrap(),
        );
    }
    Sample {
        fixture,
        memory: (*memory).clone(),
        others,
        id,
    }
}

impl Sample {
    /// The cheapest look that finds something, and what it says.
    async fn finds(&self, memory: Memory) -> (Look, String) {
        let store = Arc::new(memory);
        let host = match self.fixture.host_on(store).await {
            Ok(host) => host,
            Err(e) => return (Open, e.one_line()),
        };
        let listed = host.list().await.unwrap();
        match listed.iter().find(|b| b.id == self.id) {
            Some(backup) if backup.problem.is_some() => {
                return (List, backup.problem.as_ref().unwrap().message.clone());
            }
            None => return (Nothing, "not listed".to_owned()),
            Some(_) => {}
        }
        let findings = host
            .verify_objects(&self.id, &options())
            .await
            .unwrap()
            .findings;
        match findings.first() {
            Some(f) => (Level1, format!("{} {}", f.object, f.problem)),
            None => (Nothing, String::new()),
        }
    }
}

#[tokio::test]
async fn each_kind_of_damage_is_found_at_the_cheapest_level_that_sees_it() {
    let sample = sample().await;
    // As a folder keeps objects, and as a bucket does, which knows what was written.
    for measures in [false, true] {
        sample.memory.measures.store(measures, Ordering::Relaxed);
        is_found(&sample).await;
    }
}

async fn is_found(sample: &Sample) {
    let whole = sample.finds(sample.memory.clone()).await;
    assert_eq!(whole.0, Nothing, "{}", whole.1);
    let mut wrong = Vec::new();
    for (kind, looks) in TABLE {
        let mut names = sample.memory.names("").into_iter().filter(|name| {
            let folder = name.contains(sample.id.as_str()) || !name.starts_with("backups/");
            folder && (name == kind || name.ends_with(kind) || name.contains(kind))
        });
        let mut name = names.next().unwrap_or_else(|| panic!("no {kind}"));
        if *kind == "segments/" {
            let host = sample
                .fixture
                .host_on(Arc::new(sample.memory.clone()))
                .await
                .unwrap();
            let read = host.read_manifest(&sample.id).await.unwrap();
            name = read.doc.segments[0].object();
        }
        let bytes = sample.memory.read(&name).unwrap().to_vec();
        for (way, expected) in WAYS.iter().zip(looks) {
            let memory = sample.memory.clone();
            let mut flipped = bytes.clone();
            let middle = flipped.len() / 2;
            flipped[middle] ^= 1;
            match *way {
                "flipped" => memory.put(&name, flipped),
                "cut" => memory.put(&name, bytes[..bytes.len() - 1].to_vec()),
                "empty" => memory.put(&name, Vec::new()),
                "doubled" => memory.put(&name, bytes.repeat(2)),
                "replaced" => memory.put(&name, sample.others.read(&name).unwrap()),
                _ => {
                    memory.delete(&name).await.unwrap();
                }
            }
            let (look, said) = sample.finds(memory).await;
            // Whoever knows what was written sees an older version that lies below it at once.
            let sooner = sample.memory.measures.load(Ordering::Relaxed) && look < *expected;
            if look != *expected && !sooner {
                wrong.push(format!(
                    "{name} {way}: {look:?} instead of {expected:?}: {said}"
                ));
            } else if look == Level1
                && !said.contains(&name)
                && !kind.contains("held")
                && *kind != "repository.json"
            {
                wrong.push(format!("{name} {way} is not named: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

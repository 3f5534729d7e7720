//! `verify --level 1 --sample`: as many segments are read as the share says, and what that proves.

use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::steps::Memory;
use super::support::*;
use crate::event::Outcome;

/// The verification as if it had ended that much later.
fn later(mut done: Verification, seconds: u64) -> Verification {
    done.to = done.to.plus(Duration::from_secs(seconds));
    done
}

fn flip(memory: &Memory, name: &str) {
    let mut bytes = memory.read(name).unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    memory.put(name, bytes);
}

#[tokio::test]
async fn a_sample_reads_its_share_claims_no_level_and_takes_one_away() {
    let fixture = Fixture::new().await;
    let memory = Arc::new(Memory::default());
    let host = fixture.init(memory.clone()).await.unwrap();
    let id = id();
    let rows: Vec<(String, Vec<u8>)> = (0..40)
        .map(|n| (format!("postgres/{n}"), noise(n, 90)))
        .collect();
    let parts: Vec<(&str, Vec<u8>)> = rows.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    back_up(&host, &id, &fixture.key, &parts).await.unwrap();
    let segments = host.read_manifest(&id).await.unwrap().doc.segments;
    assert_eq!(segments.len(), 40);
    let level = async || {
        let shown = host.show(&id).await.unwrap();
        shown.verified_level().map(|r| r.level)
    };
    let read = || std::mem::take(&mut *memory.segments_read.lock().unwrap());

    let sample = Sample {
        share: "5%".parse().unwrap(),
        seed: 7,
    };
    let mut drawn: Vec<String> = sample
        .of(segments.clone())
        .iter()
        .map(|s| s.object())
        .collect();
    drawn.sort();
    assert_eq!(drawn.len(), 2);
    read();
    let done = host.verify_sample(&id, sample, &options()).await.unwrap();
    let mut looked_at = read();
    looked_at.sort();
    assert_eq!(looked_at, drawn, "these, and no other");
    assert_eq!(
        (done.outcome(), done.measured["segments-in-sample"]),
        (Outcome::Passed, 2)
    );
    assert_eq!(done.measured["segments-in-backup"], 40);
    host.record(&done, &fixture.key).await.unwrap();
    assert_eq!(level().await, None, "a sample that passed claims nothing");

    let all = host.verify_objects(&id, &options()).await.unwrap();
    assert_eq!((all.outcome(), read().len()), (Outcome::Passed, 40));
    host.record(&later(all, 1), &fixture.key).await.unwrap();
    assert_eq!(level().await, Some(Level::Objects));

    // What was not drawn is not looked at; nobody said that it was.
    let other = segments
        .iter()
        .map(|s| s.object())
        .find(|s| !drawn.contains(s));
    flip(&memory, other.as_deref().unwrap());
    let done = host.verify_sample(&id, sample, &options()).await.unwrap();
    assert_eq!(done.findings, []);
    host.record(&later(done, 2), &fixture.key).await.unwrap();
    assert_eq!(level().await, Some(Level::Objects));

    flip(&memory, &drawn[0]);
    let done = host.verify_sample(&id, sample, &options()).await.unwrap();
    let found: Vec<&str> = done.findings.iter().map(|f| f.object.as_str()).collect();
    assert_eq!(found, [drawn[0].as_str()]);
    host.record(&later(done, 3), &fixture.key).await.unwrap();
    assert_eq!(
        level().await,
        None,
        "a sample that failed takes the level away"
    );
}

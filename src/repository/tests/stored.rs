//! What is stored already: found again by content, and not believed where a verification found it rotten.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::*;
use super::steps::Memory;
use super::support::*;
use crate::event::{Events, Outcome};
use crate::identity::Store as Kind;

/// A repository in a store that keeps digests, as a bucket does.
async fn bucket() -> (Fixture, Arc<Memory>, Repository) {
    let fixture = Fixture::new().await;
    let memory = Arc::new(Memory::default());
    memory.measures.store(true, Ordering::Relaxed);
    let host = fixture.init(memory.clone()).await.unwrap();
    (fixture, memory, host)
}

fn rot(memory: &Memory, segment: &str) {
    let mut bytes = memory.read(segment).unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    memory.put(segment, bytes);
}

async fn again(
    fixture: &Fixture,
    memory: &Arc<Memory>,
    number: usize,
    parts: &[(&str, Vec<u8>)],
) -> BackupId {
    let host = fixture.host_on(memory.clone()).await.unwrap();
    let id: BackupId = format!("20261101T{number:02}0000Z-0001").parse().unwrap();
    back_up(&host, &id, &fixture.key, parts).await.unwrap();
    id
}

/// Verifies to level 1, keeps the result, and says it.
async fn verified(fixture: &Fixture, host: &Repository, id: &BackupId) -> Outcome {
    let done = host.verify_objects(id, &options()).await.unwrap();
    host.record(&done, &fixture.key).await.unwrap();
    done.outcome()
}

#[tokio::test]
async fn a_new_backup_does_not_share_what_was_found_rotten_in_a_bucket() {
    let (fixture, memory, host) = bucket().await;
    let parts = [("postgres/a", noise(1, 90)), ("postgres/b", noise(2, 90))];
    let first = again(&fixture, &memory, 1, &parts).await;
    assert_eq!(verified(&fixture, &host, &first).await, Outcome::Passed);
    rot(&memory, &memory.names("segments/")[0]);
    assert_eq!(verified(&fixture, &host, &first).await, Outcome::Failed);
    let second = again(&fixture, &memory, 2, &parts).await;
    assert_eq!(memory.names("segments/").len(), 3, "one is stored anew");
    assert_eq!(verified(&fixture, &host, &second).await, Outcome::Passed);
    assert_eq!(verified(&fixture, &host, &first).await, Outcome::Failed);
    // What was found whole is not fetched again, whatever the older one shares with it.
    assert_eq!(verified(&fixture, &host, &second).await, Outcome::Passed);
    memory.segments_read.lock().unwrap().clear();
    let third = again(&fixture, &memory, 3, &parts).await;
    assert_eq!(*memory.segments_read.lock().unwrap(), [""; 0]);
    assert_eq!(verified(&fixture, &host, &third).await, Outcome::Passed);
}

#[tokio::test]
async fn a_rotten_object_that_no_backup_lists_does_not_end_a_backup() {
    let (fixture, memory, host) = bucket().await;
    let parts = [("postgres/a", noise(1, 90))];
    let writer = host.begin_with(&id(), &Events::silent(), SIZES).await;
    let writer = writer.unwrap();
    capture(&writer, Kind::Postgres, &parts).await.unwrap();
    writer.close().await.unwrap();
    rot(&memory, &memory.names("segments/")[0]);
    let made = again(&fixture, &memory, 1, &parts).await;
    assert_eq!(verified(&fixture, &host, &made).await, Outcome::Passed);
    let reader = host.unlock(&fixture.identity).await.unwrap();
    let done = reader.verify_rows(&made, &NoiseDecoder, &options()).await;
    assert_eq!(done.unwrap().findings, []);
}

/// As where one store is backed up each hour and the others each night.
#[tokio::test]
async fn what_only_older_backups_list_is_neither_fetched_nor_adopted_unread() {
    let (fixture, memory, host) = bucket().await;
    let parts = [("postgres/a", noise(1, 90)), ("postgres/b", noise(2, 90))];
    again(&fixture, &memory, 0, &parts).await;
    for number in 1..=12 {
        let other = [("postgres/z", noise(number, 80))];
        again(&fixture, &memory, usize::from(number), &other).await;
    }
    memory.segments_read.lock().unwrap().clear();
    again(&fixture, &memory, 13, &parts).await;
    assert_eq!(*memory.segments_read.lock().unwrap(), [""; 0]);
    // A folder keeps no digests: what the older manifest lists decides.
    let memory = Arc::new((*memory).clone());
    memory.measures.store(false, Ordering::Relaxed);
    let thirteenth: BackupId = "20261101T130000Z-0001".parse().unwrap();
    for name in [thirteenth.manifest(), thirteenth.signature()] {
        memory.delete(&name).await.unwrap();
    }
    let first: BackupId = "20261101T000000Z-0001".parse().unwrap();
    let listed = host.read_manifest(&first).await.unwrap().doc.segments;
    rot(&memory, &listed[0].object());
    let made = again(&fixture, &memory, 14, &parts).await;
    let host = fixture.host_on(memory.clone()).await.unwrap();
    let reader = host.unlock(&fixture.identity).await.unwrap();
    let done = reader.verify_rows(&made, &NoiseDecoder, &options()).await;
    assert_eq!(done.unwrap().findings, []);
}

/// A run that is aborted, and one that goes on with another host's draft, in a bucket whose deleted names stay taken.
#[tokio::test]
async fn a_backup_is_published_where_deleted_names_stay_taken() {
    let (fixture, memory, host) = bucket().await;
    memory.buries.store(true, Ordering::Relaxed);
    let id: BackupId = "20261101T010000Z-0001".parse().unwrap();
    let stage = async |seed| {
        let writer = host.begin_with(&id, &Events::silent(), SIZES).await;
        let writer = writer.unwrap();
        let parts = [("postgres/a", noise(seed, 90))];
        let captured = capture(&writer, Kind::Postgres, &parts).await.unwrap();
        writer.seal_store(captured).await.unwrap();
        writer.close().await.unwrap();
    };
    stage(1).await;
    // Drafted and signed, and then aborted.
    memory.put(&id.staged_manifest(), &b"{}"[..]);
    memory.put(&id.signature(), &b"{}"[..]);
    host.discard(&id).await.unwrap();
    stage(2).await;
    // A draft of what was captured before.
    memory.put(&id.signature(), &b"{}"[..]);
    stage(3).await;
    host.commit(&id, &meta(), &fixture.key).await.unwrap();
    assert_eq!(verified(&fixture, &host, &id).await, Outcome::Passed);
}

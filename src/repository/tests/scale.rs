//! A thousand backups of a hundred thousand segments are listed and judged without a look at any segment.

use std::collections::BTreeMap;
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
    let rules = Rules {
        monthly: Some(24),
        ..Rules::default()
    };
    let now = "2026-09-27T00:00:00Z".parse().unwrap();
    let plan = host.plan_prune("testing", "safety", &rules, now).await;
    let plan = plan.unwrap();
    let (all, segments) = operations(&memory);
    assert!(
        all <= 5 * BACKUPS + 20 && segments == 0,
        "{all}, {segments}"
    );
    let goes = plan.backups.iter().filter(|b| b.fate.goes()).count() as u64;
    assert_eq!(goes, BACKUPS - 24);
    assert_eq!(plan.frees_bytes, goes * SEGMENTS * 3);
}

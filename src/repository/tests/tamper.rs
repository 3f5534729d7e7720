//! Anything flipped, truncated, swapped, reordered, duplicated or missing is found and named.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::*;
use super::support::*;
use crate::event::Events;

/// A small repository with a verified backup; what it holds besides is not the backup's.
async fn prepared() -> (Fixture, BackupId) {
    let fixture = Fixture::new().await;
    let parts = [
        ("postgres/a", noise(1, 20_000)),
        ("postgres/b", b"row".to_vec()),
    ];
    let id = fixture.backup(&parts).await;
    let host = fixture.host().await;
    let done = host.verify_objects(&id, &options()).await.unwrap();
    assert_eq!(done.findings, []);
    host.record(&done, &fixture.key).await.unwrap();
    (fixture, id)
}

/// What a host finds: the objects named, or the error that names them.
async fn found(fixture: &Fixture, id: &BackupId) -> Vec<String> {
    let host = match fixture.host_on(fixture.store()).await {
        Ok(host) => host,
        Err(e) => return vec![e.one_line()],
    };
    match host.verify_objects(id, &options()).await {
        Ok(done) => done
            .findings
            .into_iter()
            .map(|f| format!("{} {}", f.object, f.problem))
            .collect(),
        Err(e) => vec![e.one_line()],
    }
}

fn tampered(bytes: &[u8], at: usize, how: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match how {
        0 => bytes[at] ^= 1,
        1 => bytes[at] ^= 0x20,
        2 => bytes.truncate(at),
        3 => bytes.insert(at, b' '),
        _ => drop(bytes.remove(at)),
    }
    bytes
}

#[tokio::test]
async fn every_region_of_every_file_is_watched() {
    let (fixture, id) = prepared().await;
    let root = fixture.folder.path();
    for file in fixture.folder.files() {
        let path = root.join(&file);
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 40).max(1);
        for (round, at) in (0..whole.len()).step_by(step).enumerate() {
            let how = u8::try_from(round % 5).unwrap();
            fs::write(&path, tampered(&whole, at, how)).unwrap();
            let found = found(&fixture, &id).await;
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(
                found
                    .iter()
                    .any(|f| f.contains(name) || f.contains("repository.json")),
                "{file} changed at {at} ({how}): {found:?}"
            );
        }
        fs::remove_file(&path).unwrap();
        let missing = found(&fixture, &id).await;
        // The absence of a record is not damage: its level is simply not claimed.
        assert!(!missing.is_empty() || file.contains("/verified/"), "{file}");
        fs::write(&path, whole).unwrap();
        assert_eq!(found(&fixture, &id).await, Vec::<String>::new(), "{file}");
    }
}

/// A record by a key that is not trusted claims nothing, and is no damage: so no record may become one by a changed digit.
#[tokio::test]
async fn a_record_does_not_pass_for_that_of_an_untrusted_key() {
    let (fixture, id) = prepared().await;
    let files = fixture.folder.files();
    let record = files.iter().find(|f| f.contains("/verified/")).unwrap();
    let path = fixture.folder.path().join(record);
    let whole = fs::read(&path).unwrap();
    let (digits, _) = text_of(&whole)
        .match_indices(&fixture.key.id().to_string())
        .next()
        .unwrap();
    for at in digits..digits + 16 {
        let mut changed = whole.clone();
        changed[at] = if whole[at] == b'0' { b'1' } else { b'0' };
        fs::write(&path, changed).unwrap();
        let found = found(&fixture, &id).await;
        assert!(found.iter().any(|f| f.contains(record)), "{at}: {found:?}");
    }
    // What such a key did sign is under its own name, and is nobody's damage.
    fs::write(&path, &whole).unwrap();
    let stranger = SigningKey::generate().unwrap();
    let other = record.replace(&fixture.key.id().to_string(), &stranger.id().to_string());
    let mut doc: format::SignedDoc = format::from_bytes(&whole, record).unwrap();
    doc.key = stranger.id();
    let bytes = format::to_bytes(&doc).unwrap();
    fs::write(fixture.folder.path().join(other), bytes).unwrap();
    assert_eq!(found(&fixture, &id).await, Vec::<String>::new());
}

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn any_change_is_found(which in any::<prop::sample::Index>(), places in proptest::collection::vec((any::<prop::sample::Index>(), 0_u8..5), 20)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (fixture, id) = prepared().await;
            let files = fixture.folder.files();
            let file = &files[which.index(files.len())];
            let path = fixture.folder.path().join(file);
            let whole = fs::read(&path).unwrap();
            for (at, how) in places {
                let changed = tampered(&whole, at.index(whole.len()), how);
                fs::write(&path, &changed).unwrap();
                assert!(!found(&fixture, &id).await.is_empty(), "{file}");
            }
        });
    }
}

#[tokio::test]
async fn a_version_that_never_was_is_found() {
    let (fixture, id) = prepared().await;
    let mut seen = 0;
    for file in fixture.folder.files() {
        let path = fixture.folder.path().join(&file);
        let whole = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&whole).replacen("\"version\": 1", "\"version\": 0", 1);
        if text.as_bytes() == whole || !file.ends_with(".json") {
            continue;
        }
        fs::write(&path, text).unwrap();
        assert!(!found(&fixture, &id).await.is_empty(), "{file}");
        fs::write(&path, &whole).unwrap();
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

fn swap(root: &Path, one: &str, two: &str) {
    let (one, two) = (root.join(one), root.join(two));
    let kept = fs::read(&one).unwrap();
    fs::copy(&two, &one).unwrap();
    fs::write(&two, kept).unwrap();
}

#[tokio::test]
async fn swapped_and_copied_objects_are_found() {
    let (fixture, id) = prepared().await;
    let root = fixture.folder.path();
    let segments: Vec<String> = fixture
        .folder
        .files()
        .into_iter()
        .filter(|f| f.starts_with("segments/"))
        .collect();
    swap(root, &segments[0], &segments[1]);
    let named = found(&fixture, &id).await;
    assert_eq!(named.len(), 2, "{named:?}");
    let reader = fixture.reader().await;
    let rows = reader
        .verify_rows(&id, &NoiseDecoder, &options())
        .await
        .unwrap();
    assert!(!rows.findings.is_empty());
    swap(root, &segments[0], &segments[1]);
    assert!(found(&fixture, &id).await.is_empty());

    // A backup under another id, or in another repository, is not that backup.
    let other = id_of("20260101T000000Z-0000");
    let folder = |id: &BackupId| root.join("backups").join(id.as_str());
    copy_tree(&folder(&id), &folder(&other));
    assert!(!found(&fixture, &other).await.is_empty());
    let listed = fixture.host().await.list().await.unwrap();
    assert_eq!(listed.iter().filter(|b| b.is_usable()).count(), 1);
    assert!(listed[0].problem.is_some());
    let (second, _) = prepared().await;
    copy_tree(
        &folder(&id),
        &second.folder.path().join("backups").join(id.as_str()),
    );
    assert!(!found(&second, &id).await.is_empty());

    // A record of one verification does not speak for another one.
    let record = fixture
        .folder
        .files()
        .into_iter()
        .find(|f| f.starts_with(&id.verified()))
        .unwrap();
    fs::copy(root.join(&record), root.join(record.replace("/1-", "/3-"))).unwrap();
    assert!(found(&fixture, &id).await[0].contains("another verification"));
    let shown = fixture.host().await.show(&id).await.unwrap();
    assert_eq!(shown.verified_level().unwrap().level, Level::Objects);
}

/// Nobody can edit what a signature covers: reordering, dropping or repeating entries needs the signing key.
#[tokio::test]
async fn an_edited_manifest_is_found() {
    let (fixture, id) = prepared().await;
    let path = fixture.folder.path().join(id.manifest());
    let whole = fs::read_to_string(&path).unwrap();
    let mut doc: format::ManifestDoc = format::from_bytes(whole.as_bytes(), "m").unwrap();
    doc.segments.reverse();
    let reordered = doc.clone();
    doc.segments.reverse();
    doc.segments.push(doc.segments[0].clone());
    let repeated = doc.clone();
    doc.segments.truncate(1);
    for edited in [reordered, repeated, doc] {
        fs::write(&path, format::to_bytes(&edited).unwrap()).unwrap();
        assert!(found(&fixture, &id).await[0].contains("manifest.json"));
        assert!(fixture.reader().await.source(&id).await.is_err());
    }
}

#[tokio::test]
async fn a_damaged_segment_never_reads_as_a_shorter_part() {
    let (fixture, id) = prepared().await;
    let segment = fixture
        .folder
        .files()
        .into_iter()
        .find(|f| f.starts_with("segments/"))
        .unwrap();
    let path = fixture.folder.path().join(&segment);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let reader = fixture.reader().await;
    let source = crate::capture::PartSource::open;
    let parts = reader.source(&id).await.unwrap();
    let mut failed = 0;
    for name in ["postgres/a", "postgres/b"] {
        let mut part = source(&parts, name).await.unwrap();
        let error = loop {
            match part.next().await {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(e) => break Some(e),
            }
        };
        if let Some(error) = error {
            assert_eq!(error.reason(), &DAMAGED);
            assert!(format!("{error:?}").contains(&segment), "{error:?}");
            assert!(
                part.next().await.is_err(),
                "a failed reader must stay failed"
            );
            failed += 1;
        }
    }
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn a_damaged_segment_is_stored_anew_by_the_next_backup() {
    let (fixture, first) = prepared().await;
    let segments: Vec<String> = fixture
        .folder
        .files()
        .into_iter()
        .filter(|f| f.starts_with("segments/"))
        .collect();
    let path = |n: usize| fixture.folder.path().join(&segments[n]);
    fs::write(path(0), b"").unwrap();
    fs::remove_file(path(1)).unwrap();
    let second = fixture
        .backup(&[
            ("postgres/a", noise(1, 20_000)),
            ("postgres/b", b"row".to_vec()),
        ])
        .await;
    assert_eq!(found(&fixture, &second).await, Vec::<String>::new());
    assert_eq!(found(&fixture, &first).await.len(), 2);
}

/// Its size is right, so only its bytes give it away; a backup that shared it would be as broken as the one it replaces.
#[tokio::test]
async fn a_segment_with_a_flipped_bit_is_not_reused() {
    let (fixture, first) = prepared().await;
    let files = fixture.folder.files();
    let segment = files.iter().find(|f| f.starts_with("segments/")).unwrap();
    let path = fixture.folder.path().join(segment);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let second = fixture
        .backup(&[
            ("postgres/a", noise(1, 20_000)),
            ("postgres/b", b"row".to_vec()),
        ])
        .await;
    assert_eq!(found(&fixture, &second).await, Vec::<String>::new());
    assert_eq!(found(&fixture, &first).await.len(), 1);
}

#[tokio::test]
async fn staged_captures_are_believed_only_from_holders_of_the_secret() {
    let fixture = Fixture::new().await;
    let host = fixture.host().await;
    let id = id();
    let writer = host
        .begin_with(&id, &Events::silent(), SIZES)
        .await
        .unwrap();
    let done = capture(
        &writer,
        crate::identity::Store::Postgres,
        &[("postgres/a", noise(1, 9))],
    )
    .await
    .unwrap();
    writer.seal_store(done).await.unwrap();
    // The same capture staged as another backup's.
    let other = id_of("20260101T000000Z-0000");
    let root = fixture.folder.path();
    copy_tree(&root.join(id.staging()), &root.join(other.staging()));
    assert_eq!(host.staged(&other).await.unwrap_err().reason(), &DAMAGED);
    assert_eq!(
        host.commit(&other, &meta(), &fixture.key)
            .await
            .unwrap_err()
            .reason(),
        &DAMAGED
    );
    host.discard(&other).await.unwrap();
    assert_eq!(host.state(&other).await.unwrap(), State::Absent);
    // A segment that vanished between capture and commit.
    let segment = fixture
        .folder
        .files()
        .into_iter()
        .find(|f| f.starts_with("segments/"))
        .unwrap();
    fs::remove_file(root.join(&segment)).unwrap();
    let error = host.commit(&id, &meta(), &fixture.key).await.unwrap_err();
    assert!(format!("{error:?}").contains(&segment), "{error:?}");
}

#[tokio::test]
async fn a_signer_smuggled_into_the_list_is_found() {
    let (fixture, _) = prepared().await;
    let path = fixture.folder.path().join("repository.json");
    let mut doc: format::RepositoryDoc =
        format::from_bytes(&fs::read(&path).unwrap(), "r").unwrap();
    let mallory = SigningKey::generate().unwrap();
    doc.signers
        .push(signer_doc(&("mallory".to_owned(), mallory.public())).unwrap());
    fs::write(&path, format::to_bytes(&doc).unwrap()).unwrap();
    assert_eq!(
        fixture
            .host_on(fixture.store())
            .await
            .err()
            .unwrap()
            .reason(),
        &DAMAGED
    );
    // Without the secret nothing proves the list, so nobody on it is trusted.
    let open = Repository::open(fixture.store(), None).await.unwrap();
    assert!(open.trusted().is_empty());
}

fn id_of(text: &str) -> BackupId {
    text.parse().unwrap()
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

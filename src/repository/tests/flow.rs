//! What is written comes back, is found again, and is verified.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::*;
use super::support::*;
use crate::capture::{PartSink as _, PartSource as _};
use crate::event::{Events, Outcome};
use crate::identity::Store as Kind;

#[tokio::test]
async fn what_was_captured_comes_back() {
    let fixture = Fixture::new().await;
    let parts = [
        ("postgres/app/empty", Vec::new()),
        ("postgres/app/large", noise(1, 300_000)),
        ("postgres/app/small", b"one row".to_vec()),
    ];
    let id = fixture.backup(&parts).await;
    let reader = fixture.reader().await;
    let source = reader.source(&id).await.unwrap();
    let names: Vec<String> = source
        .parts("postgres/app/")
        .into_iter()
        .map(|p| p.name)
        .collect();
    assert_eq!(names, parts.each_ref().map(|(name, _)| name.to_string()));
    assert_eq!(source.parts("redis/"), []);
    for (name, bytes) in &parts {
        let mut part = source.open(name).await.unwrap();
        assert_eq!(part.read_all().await.unwrap(), *bytes, "{name}");
        assert!(part.next().await.unwrap().is_none());
    }
    assert!(source.open("postgres/app/none").await.is_err());
    assert_eq!(reader.state(&id).await.unwrap(), State::Complete);
    // Nothing of the way there is left.
    assert!(
        !fixture
            .folder
            .files()
            .iter()
            .any(|f| f.contains("staged") || f.starts_with("tmp"))
    );
    assert!(reader.holders().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unchanged_part_is_not_stored_again() {
    let fixture = Fixture::new().await;
    let repository = fixture.host().await;
    let mut large = noise(2, 400_000);
    fixture.backup(&[("postgres/app/a", large.clone())]).await;
    large.splice(200_000..200_000, *b"an inserted row");
    let writer = repository
        .begin_with(&id(), &Events::silent(), SIZES)
        .await
        .unwrap();
    let same = [("postgres/app/a", large.clone()), ("postgres/app/b", large)];
    let captured = capture(&writer, Kind::Postgres, &same).await.unwrap();
    writer.seal_store(captured).await.unwrap();
    let written = writer.close().await.unwrap();
    assert!(written.reused_segments > 20, "{written:?}");
    assert_eq!(written.bytes, 2 * 400_015);
    assert!(written.new_bytes < 150_000, "{written:?}");
}

#[tokio::test]
async fn stretches_that_were_written_out_of_order_are_one_part() {
    let fixture = Fixture::new().await;
    let repository = fixture.host().await;
    let writer = repository
        .begin_with(&id(), &Events::silent(), SIZES)
        .await
        .unwrap();
    let bytes = noise(7, 250_000);
    let names: Vec<String> = (0..3).map(|n| format!("postgres/app/a#{n}")).collect();
    for n in [2, 0, 1] {
        let before = n as u64 * 100_000;
        let mut stretch = writer
            .create_stretch(&names[n], "noise", before)
            .await
            .unwrap();
        let end = bytes.len().min((n + 1) * 100_000);
        let own = &bytes[n * 100_000..end];
        stretch.write(Bytes::copy_from_slice(own)).await.unwrap();
        stretch.finish(None, Default::default()).await.unwrap();
    }
    let joined = writer
        .join("postgres/app/a", &names, None, Default::default())
        .await
        .unwrap();
    assert_eq!(joined.bytes, 250_000);
    // They are joined once, and are no parts any more.
    let again = writer
        .join("postgres/app/b", &names, None, Default::default())
        .await;
    assert!(again.is_err());
    writer
        .seal_store(captured(Kind::Postgres, vec![joined]))
        .await
        .unwrap();
    repository
        .commit(writer.backup(), &meta(), &fixture.key)
        .await
        .unwrap();
    let reader = fixture.reader().await;
    let source = reader.source(writer.backup()).await.unwrap();
    let names: Vec<String> = source.parts("").into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["postgres/app/a"]);
    let mut part = source.open("postgres/app/a").await.unwrap();
    assert!(part.read_all().await.unwrap() == bytes);
}

#[tokio::test]
async fn parts_are_written_side_by_side() {
    let fixture = Fixture::new().await;
    let repository = fixture.host().await;
    let writer = std::sync::Arc::new(
        repository
            .begin_with(&id(), &Events::silent(), SIZES)
            .await
            .unwrap(),
    );
    let tasks: Vec<_> = (0..8_u8)
        .map(|n| {
            let writer = std::sync::Arc::clone(&writer);
            tokio::spawn(async move {
                let mut part = writer
                    .create(&format!("postgres/app/{n}"), "noise")
                    .await
                    .unwrap();
                // Two by two the same bytes: one of them must be found, whoever is first.
                for chunk in noise(n / 2, 100_000).chunks(7_000) {
                    part.write(Bytes::copy_from_slice(chunk)).await.unwrap();
                }
                part.finish(None, Default::default()).await.unwrap()
            })
        })
        .collect();
    let mut infos = Vec::new();
    for task in tasks {
        infos.push(task.await.unwrap());
    }
    assert!(writer.create("postgres/app/x", "noise").await.is_ok());
    writer
        .seal_store(captured(Kind::Postgres, infos))
        .await
        .unwrap();
    let written = writer.written();
    assert_eq!(written.new_segments, written.reused_segments);
    repository
        .commit(writer.backup(), &meta(), &fixture.key)
        .await
        .unwrap();
    let reader = fixture.reader().await;
    let source = reader.source(writer.backup()).await.unwrap();
    for n in 0..8_u8 {
        let mut part = source.open(&format!("postgres/app/{n}")).await.unwrap();
        assert_eq!(part.read_all().await.unwrap(), noise(n / 2, 100_000));
    }
}

#[tokio::test]
async fn a_store_is_sealed_only_with_parts_that_were_written() {
    let fixture = Fixture::new().await;
    let repository = fixture.host().await;
    let writer = repository
        .begin_with(&id(), &Events::silent(), SIZES)
        .await
        .unwrap();
    let mut captured = capture(&writer, Kind::Postgres, &[("postgres/a", noise(1, 10))])
        .await
        .unwrap();
    // Dropped unfinished: does not exist.
    let mut dropped = writer.create("postgres/b", "noise").await.unwrap();
    dropped.write(Bytes::from_static(b"half")).await.unwrap();
    assert_eq!(
        writer
            .create("postgres/b", "noise")
            .await
            .err()
            .unwrap()
            .reason()
            .code,
        "internal.bug"
    );
    drop(dropped);
    writer.create("postgres/b", "noise").await.unwrap();
    let whole = captured.clone();
    captured.parts[0].bytes += 1;
    assert_eq!(
        writer
            .seal_store(captured.clone())
            .await
            .unwrap_err()
            .reason(),
        &INCOMPLETE
    );
    captured.parts[0] = whole.parts[0].clone();
    captured.parts[0].name = "postgres/b".to_owned();
    assert_eq!(
        writer.seal_store(captured).await.unwrap_err().reason(),
        &INCOMPLETE
    );
    assert_eq!(
        repository.state(writer.backup()).await.unwrap(),
        State::Absent
    );
    let nothing = repository
        .commit(writer.backup(), &meta(), &fixture.key)
        .await;
    assert_eq!(nothing.unwrap_err().reason(), &INCOMPLETE);
    // Repeating a seal is harmless.
    writer.seal_store(whole.clone()).await.unwrap();
    writer.seal_store(whole.clone()).await.unwrap();
    assert_eq!(repository.staged(writer.backup()).await.unwrap(), [whole]);
}

#[tokio::test]
async fn stores_are_staged_by_different_processes_and_published_together() {
    let fixture = Fixture::new().await;
    let id = id();
    for (store, part) in [
        (Kind::Redis, "redis/0/keys"),
        (Kind::Postgres, "postgres/app/t"),
    ] {
        // A new opening each time, as a new process would.
        let repository = fixture.host().await;
        let writer = repository
            .begin_with(&id, &Events::silent(), SIZES)
            .await
            .unwrap();
        let done = capture(&writer, store, &[(part, noise(1, 9000))])
            .await
            .unwrap();
        writer.seal_store(done).await.unwrap();
    }
    let repository = fixture.host().await;
    let both = [Kind::Postgres, Kind::Redis].into_iter().collect();
    assert_eq!(repository.state(&id).await.unwrap(), State::Staged(both));
    let backup = repository.commit(&id, &meta(), &fixture.key).await.unwrap();
    let contents = backup.contents.clone().unwrap();
    assert_eq!(contents.stores.len(), 2);
    assert_eq!(contents.store(Kind::Redis).unwrap().parts.len(), 1);
    assert_eq!(contents.skew(), std::time::Duration::ZERO);
    assert_eq!(contents.bytes(), 18_000);
    // Repeating the commit finds the same backup, whatever it is called now.
    let other = Meta {
        context: "other".to_owned(),
        labels: Vec::new(),
    };
    let again = repository.commit(&id, &other, &fixture.key).await.unwrap();
    assert_eq!(again.signed, backup.signed);
    assert_eq!(again.contents, backup.contents);
    let late = repository.begin(&id, &Events::silent()).await;
    assert_eq!(late.err().unwrap().reason(), &COMPLETE);
}

#[tokio::test]
async fn backups_are_listed_and_chosen() {
    let fixture = Fixture::new().await;
    let first = fixture.backup(&[("postgres/a", noise(1, 5000))]).await;
    let repository = fixture.host().await;
    assert_eq!(repository.list().await.unwrap().len(), 1);
    let other = Show {
        context: Some("elsewhere".to_owned()),
        ..Show::default()
    };
    assert!(repository.newest(&other).await.unwrap().is_none());
    let ours = Show {
        context: Some("testing".to_owned()),
        label: Some("nightly".to_owned()),
        ..Show::default()
    };
    let newest = repository.newest(&ours).await.unwrap().unwrap();
    assert_eq!(newest.id, first);
    assert!(newest.verified_level().is_none());
    let verified = Show {
        level: Some(Level::Objects),
        ..ours
    };
    assert!(repository.newest(&verified).await.unwrap().is_none());
    let none: BackupId = "20260101T000000Z-0000".parse().unwrap();
    assert_eq!(
        repository.show(&none).await.unwrap_err().reason(),
        &NO_SUCH_BACKUP
    );
    // Storage alone sees that there is a backup, and how large, and nothing else.
    let stranger = Repository::open(fixture.store(), None).await.unwrap();
    let stranger = stranger.trusting(&[fixture.key.public()]);
    let seen = stranger.show(&first).await.unwrap();
    assert!(seen.contents.is_none() && seen.problem.is_none());
    assert_eq!(
        seen.signed.unwrap().segments,
        newest.signed.unwrap().segments
    );
    for file in fixture.folder.files() {
        let bytes = std::fs::read(fixture.folder.path().join(&file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for hidden in [
            "postgres/a",
            "testing",
            "nightly",
            "db:1",
            fixture.secret.expose(),
        ] {
            assert!(!text.contains(hidden), "{file} shows {hidden}");
        }
    }
}

#[tokio::test]
async fn a_level_is_claimed_by_a_record_and_lost_by_a_failure() {
    let fixture = Fixture::new().await;
    let id = fixture
        .backup(&[
            ("postgres/a", noise(1, 50_000)),
            ("postgres/b", noise(2, 10)),
        ])
        .await;
    let reader = fixture.reader().await;
    let objects = fixture
        .host()
        .await
        .verify_objects(&id, &options())
        .await
        .unwrap();
    assert_eq!(objects.findings, []);
    let rows = reader
        .verify_rows(&id, &NoiseDecoder, &options())
        .await
        .unwrap();
    assert_eq!(rows.findings, []);
    assert_eq!(rows.measured["rows"], 2);
    assert_eq!(rows.measured["plain-bytes"], 50_010);
    let level = async || {
        reader
            .show(&id)
            .await
            .unwrap()
            .verified_level()
            .map(|r| r.level)
    };
    assert_eq!(level().await, None);
    reader.record(&objects, &fixture.key).await.unwrap();
    assert_eq!(level().await, Some(Level::Objects));
    let kept = reader.record(&rows, &fixture.key).await.unwrap();
    assert_eq!(kept.details.unwrap().measured["rows"], 2);
    assert_eq!(level().await, Some(Level::Rows));
    let mut failed = rows.clone();
    failed.from = failed.to.plus(std::time::Duration::from_millis(1));
    failed.to = failed.from;
    failed.findings.push(Finding {
        object: "postgres/a".into(),
        problem: "bad".into(),
    });
    let kept = reader.record(&failed, &fixture.key).await.unwrap();
    assert_eq!(kept.outcome, Outcome::Failed);
    assert_eq!(level().await, None);
    // A key that nobody trusts cannot claim anything.
    let stranger = SigningKey::generate().unwrap();
    assert_eq!(
        reader.record(&rows, &stranger).await.unwrap_err().reason(),
        &NOT_A_SIGNER
    );
}

#[tokio::test]
async fn a_wrong_fingerprint_is_found_at_level_2() {
    let fixture = Fixture::new().await;
    let repository = fixture.host().await;
    let writer = repository
        .begin_with(&id(), &Events::silent(), SIZES)
        .await
        .unwrap();
    let mut part = writer.create("postgres/lie", "noise").await.unwrap();
    part.write(Bytes::from_static(b"row")).await.unwrap();
    let mut rows = repository.fingerprint_key().unwrap().start();
    rows.add(b"another row");
    let info = part
        .finish(Some(rows.finish()), Default::default())
        .await
        .unwrap();
    writer
        .seal_store(captured(Kind::Postgres, vec![info]))
        .await
        .unwrap();
    repository
        .commit(writer.backup(), &meta(), &fixture.key)
        .await
        .unwrap();
    let reader = fixture.reader().await;
    let objects = reader
        .verify_objects(writer.backup(), &options())
        .await
        .unwrap();
    assert_eq!(objects.outcome(), Outcome::Passed);
    let rows = reader
        .verify_rows(writer.backup(), &NoiseDecoder, &options())
        .await
        .unwrap();
    assert_eq!(rows.findings.len(), 1);
    assert_eq!(rows.findings[0].object, "postgres/lie");
}

#[tokio::test]
async fn verification_can_be_stopped() {
    let fixture = Fixture::new().await;
    let id = fixture.backup(&[("postgres/a", noise(1, 50_000))]).await;
    let options = options();
    options.cancel.raise();
    let error = fixture
        .host()
        .await
        .verify_objects(&id, &options)
        .await
        .unwrap_err();
    assert_eq!(error.exit(), crate::exit::Exit::Interrupted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_chunking_comes_back(
        chunks in proptest::collection::vec((0_usize..20_000, any::<bool>()), 0..12),
        seed in any::<u8>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let repository = fixture.host().await;
            let writer = repository.begin_with(&id(), &Events::silent(), SIZES).await.unwrap();
            let bytes = noise(seed, chunks.iter().map(|(n, _)| n).sum());
            let mut part = writer.create("postgres/p", "noise").await.unwrap();
            let mut rest = &bytes[..];
            for (length, cut) in &chunks {
                let (now, later) = rest.split_at(*length);
                part.write(Bytes::copy_from_slice(now)).await.unwrap();
                if *cut {
                    part.cut();
                }
                rest = later;
            }
            let info = part.finish(None, Default::default()).await.unwrap();
            assert_eq!(info.bytes, bytes.len() as u64);
            writer.seal_store(captured(Kind::Postgres, vec![info])).await.unwrap();
            repository.commit(writer.backup(), &meta(), &fixture.key).await.unwrap();
            let source = fixture.reader().await.source(writer.backup()).await.unwrap();
            let back = source.open("postgres/p").await.unwrap().read_all().await.unwrap();
            assert!(back == bytes);
        });
    }
}

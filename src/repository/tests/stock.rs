//! Backups are recovered without this program: the commands of `docs/FORMAT.md`, run as they stand there.

use std::fs;
use std::process::Command;

use super::super::*;
use super::support::*;
use crate::event::Events;
use crate::identity::Store as Kind;

/// The shell blocks of the page, in order.
fn commands() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FORMAT.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

struct Shell<'a> {
    fixture: &'a Fixture,
    backup: &'a BackupId,
    out: &'a Folder,
}

impl Shell<'_> {
    fn run(&self, script: &str, part: &str) -> (bool, String) {
        let at = |name: &str| self.out.path().join(name);
        fs::write(at("identity"), self.fixture.identity.expose()).unwrap();
        fs::write(at("signer.pem"), self.fixture.key.public().to_pem()).unwrap();
        let done = Command::new("bash")
            .args(["-e", "-o", "pipefail", "-c", script])
            .env("REPO", self.fixture.folder.path())
            .env("BACKUP", self.backup.as_str())
            .env("IDENTITY", at("identity"))
            .env("SIGNER", at("signer.pem"))
            .env("OUT", self.out.path())
            .env("PART", part)
            .output()
            .unwrap();
        let text = [done.stdout, done.stderr].concat();
        (
            done.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }
}

#[tokio::test]
async fn the_commands_of_the_format_page_recover_every_part() {
    let fixture = Fixture::new().await;
    let parts = [
        ("postgres/app/empty", Vec::new()),
        (
            "postgres/app/table/public.a \"quoted\" näme",
            noise(1, 300_000),
        ),
        ("postgres/app/table/public.b", vec![b'x'; 100_000]),
        ("redis/0/keys", noise(7, 20)),
    ];
    let host = fixture.host().await;
    let id = id();
    let writer = host
        .begin_with(&id, &Events::silent(), SIZES)
        .await
        .unwrap();
    for (store, range) in [(Kind::Postgres, 0..3), (Kind::Redis, 3..4)] {
        let done = capture(&writer, store, &parts[range]).await.unwrap();
        writer.seal_store(done).await.unwrap();
    }
    host.commit(&id, &meta(), &fixture.key).await.unwrap();

    let blocks = commands();
    assert_eq!(
        blocks.len(),
        5,
        "check, unwrap, one part, every part, an export"
    );
    let out = Folder::new();
    let shell = Shell {
        fixture: &fixture,
        backup: &id,
        out: &out,
    };
    let (ok, text) = shell.run(&blocks[0], "");
    assert!(ok && text.contains("Verified Successfully"), "{text}");
    let (ok, text) = shell.run(&blocks[1], "");
    assert!(
        ok && text.contains("100000\tnoise\tpostgres/app/table/public.b"),
        "{text}"
    );
    for (name, bytes) in &parts {
        let (ok, text) = shell.run(&blocks[2], name);
        assert!(ok, "{text}");
        assert_eq!(fs::read(out.path().join("part")).unwrap(), *bytes, "{name}");
    }
    let (ok, text) = shell.run(&blocks[3], "");
    assert!(ok, "{text}");
    let index = fs::read_to_string(out.path().join("parts/index")).unwrap();
    assert_eq!(index.lines().count(), parts.len());
    for ((number, (name, bytes)), line) in parts.iter().enumerate().zip(index.lines()) {
        assert_eq!(line, format!("{number}\t{}\tnoise\t{name}", bytes.len()));
        let file = out.path().join("parts").join(number.to_string());
        assert_eq!(fs::read(file).unwrap(), *bytes);
    }

    // The first block is a check: it fails on damage, and on a manifest that the signer did not sign.
    let segment = fixture
        .folder
        .files()
        .into_iter()
        .find(|f| f.starts_with("segments/"));
    let path = fixture.folder.path().join(segment.unwrap());
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(!shell.run(&blocks[0], "").0);
    fs::write(&path, whole).unwrap();
    assert!(shell.run(&blocks[0], "").0);
    let manifest = fixture.folder.path().join(id.manifest());
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("summitctl", "sumnitctl", 1)).unwrap();
    assert!(!shell.run(&blocks[0], "").0);
}

#[tokio::test]
async fn a_host_has_nothing_that_opens_a_segment() {
    let fixture = Fixture::new().await;
    let id = fixture.backup(&[("postgres/a", noise(1, 100))]).await;
    let blocks = commands();
    let out = Folder::new();
    let shell = Shell {
        fixture: &fixture,
        backup: &id,
        out: &out,
    };
    assert!(shell.run(&blocks[1], "").0);
    // The derived identity opens the list and no segment.
    let keys = out.path().join("epoch.txt");
    let text = fs::read_to_string(&keys).unwrap();
    assert!(text.contains(fixture.secret.expose()));
    let derived = text.lines().last().unwrap().to_owned();
    fs::write(&keys, derived).unwrap();
    let (ok, said) = shell.run(&blocks[2], "postgres/a");
    assert!(!ok && said.contains("no identity matched"), "{said}");
}

//! `backup init`.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::backup::carry_out;
use super::world;
use crate::cli::Session;
use crate::cli::args::BackupInitArgs;
use crate::cli::output::Answer;
use crate::config::{Place, SecretRef};
use crate::error::{Error, Result};
use crate::ops::backup as plans;
use crate::repository::Repository;
use crate::steps::world::NOT_CONFIGURED;

/// Makes the context's repository.
pub async fn init(session: &Session, args: &BackupInitArgs) -> Result<Answer> {
    if args.new_secret {
        make_secret(session)?;
    }
    let world = world::world(session).await?;
    let spec = plans::init(&world).await?;
    let flag = if args.new_secret { " --new-secret" } else { "" };
    let bucket = matches!(
        world.settings.repository.as_ref().map(|r| &r.place.value),
        Some(Place::Bucket(_))
    );
    carry_out(
        session,
        &world,
        spec,
        format!("backup init{flag}"),
        |report| {
            let seen = report.observed("init");
            let text = |name: &str| {
                seen.and_then(|s| s[name].as_str())
                    .unwrap_or("?")
                    .to_owned()
            };
            let mut lines = format!("repository {} in {}\n", text("repository"), text("place"));
            if bucket {
                lines.push_str("next      `summitctl doctor` shows how the bucket is set up\n");
            }
            lines
        },
    )
    .await
}

/// Writes a new repository secret where the context expects one. A secret that is there stays.
fn make_secret(session: &Session) -> Result<()> {
    let place = world::setting(session, |context| {
        let repository = context.repository.as_ref()?;
        Some(repository.secret.as_ref()?.value.clone())
    })?;
    let Some(SecretRef::File(path)) = place else {
        return Err(Error::new(
            &NOT_CONFIGURED,
            "`--new-secret` writes a file, and `repository.secret` of the context names none",
        )
        .hint(
            "Set `secret = \"file:keys/repository.secret\"` in the context's repository section.",
        ));
    };
    let secret = Repository::generate_secret()?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| {
            std::io::Write::write_all(&mut file, format!("{}\n", secret.expose()).as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| std::fs::File::open(folder)?.sync_all());
    match written {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(|e| Error::io("write", &path, e)),
    }
}

//! `backup.export`: a backup as plain folders, for tools that know nothing of this program.
//!
//! Everything is written beside the target under a name that says it is unfinished, compared with the backup's fingerprints
//! on the way, and given its name at the end: a folder with the right name is whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::choose::{Choice, find};
use super::stores::Decoders;
use super::verify::NOT_VERIFIED;
use super::world::World;
use crate::capture::{FingerprintKey, PartInfo, PartReader, PartSource as _};
use crate::consent::Effect;
use crate::engine::step::{ApplyCx, Blocked, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::event::Unit;
use crate::identity::Store;
use crate::repository::{BackupId, BackupParts, DecodePart as _};

/// The list of what was exported.
const INDEX: &str = "index.json";

const README: &str = "A backup in the clear, exported by summitctl. Whoever reads this folder reads the data: remove it when it is no longer needed.

index.json names each file's store, part, format, rows and SHA-256. What the formats mean stands in docs/FORMAT.md, \"What a part holds\",
and how the scripts of docs/recover load them under \"Recover with stock tools\":
  .dump      pg_restore reads it (schema)
  .copy      COPY ... FROM STDIN WITH (FORMAT binary), or in text format, as index.json says (rows)
  .jsonl     one JSON object a line
  .json      one JSON document
  .bin       Redis and Neo4j records, laid out in docs/FORMAT.md
";

/// Arguments of `backup.export`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExportArgs {
    /// The backup: an id or its beginning, `newest`, `label:NAME`, `commit:SHA`, or `before:MOMENT`.
    pub backup: String,
    /// The folder, which must be new or empty.
    pub folder: PathBuf,
}

/// What will be written where.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportChange {
    backup: BackupId,
    folder: PathBuf,
}

/// `index.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Index {
    version: u32,
    backup: BackupId,
    context: String,
    files: Vec<File>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    file: String,
    store: Store,
    part: String,
    format: String,
    bytes: u64,
    rows: Option<u64>,
    sha256: String,
    meta: BTreeMap<String, serde_json::Value>,
}

/// The step kind `backup.export`.
pub struct Export;

#[async_trait]
impl Step<World> for Export {
    const KIND: &'static str = "backup.export";
    const SUMMARY: &'static str =
        "Writes a backup as plain files into a folder, compared with its fingerprints on the way";
    type Args = ExportArgs;
    type Change = ExportChange;

    fn effect(&self, _: &ExportArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, args: &ExportArgs) -> String {
        format!(
            "write backup {} IN THE CLEAR to {}",
            args.backup,
            args.folder.display()
        )
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &ExportArgs,
    ) -> Result<Decision<ExportChange>> {
        let repository = cx.world.readable_repository().await?;
        let choice: Choice = args.backup.parse()?;
        let found = find(cx.world, &repository, &choice, &[]).await?;
        let id = found.backup.id;
        let source = repository.source(&id).await?;
        let folder = &args.folder;
        if folder.exists() && !folder.is_dir() {
            return Ok(Decision::Blocked(Blocked {
                reason: format!("`{}` is a file", folder.display()),
                hint: "Name a new or empty folder.".to_owned(),
            }));
        }
        if let Ok(mut entries) = fs::read_dir(folder)
            && entries.next().is_some()
        {
            return Ok(Decision::Blocked(Blocked {
                reason: format!("`{}` is not empty", folder.display()),
                hint: "Name a new or empty folder.".to_owned(),
            }));
        }
        let Some(parent) = folder.parent().filter(|p| p.is_dir()) else {
            return Ok(Decision::Blocked(Blocked {
                reason: format!("there is no folder to put `{}` into", folder.display()),
                hint: "Make the folder above it first.".to_owned(),
            }));
        };
        let bytes = source.contents().bytes();
        let seen =
            rustix::fs::statvfs(parent).map_err(|e| Error::io("look at", parent, e.into()))?;
        let work = unfinished(folder);
        // What a killed attempt left gives way to the next one.
        let free = seen.f_bavail.saturating_mul(seen.f_frsize) + bytes_in(&work);
        if free < bytes {
            return Ok(Decision::Blocked(Blocked {
                reason: format!(
                    "the export takes {} and `{}` has {} free",
                    crate::time::human_bytes(bytes),
                    parent.display(),
                    crate::time::human_bytes(free)
                ),
                hint: "Name a folder on a larger disk.".to_owned(),
            }));
        }
        let decisive = Facts::from_iter([
            ("backup".to_owned(), json!(id)),
            ("folder".to_owned(), json!(folder)),
        ]);
        let mut shown = decisive.clone();
        shown.insert("plain-bytes".to_owned(), json!(bytes));
        shown.insert("free-bytes".to_owned(), json!(free));
        shown.insert("until-it-is-whole".to_owned(), json!(work));
        Ok(Decision::Change {
            decisive,
            shown,
            change: ExportChange {
                backup: id,
                folder: folder.clone(),
            },
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &ExportChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        if read_index(&change.folder).is_ok_and(|index| index.backup == change.backup) {
            return Ok(());
        }
        let repository = cx.world.readable_repository().await?;
        let source = repository.source(&change.backup).await?;
        let work = unfinished(&change.folder);
        wipe(&work)?;
        make(&work)?;
        cx.events.note(format!(
            "until it is whole, the plain data is in `{}`; `summitctl run abort` removes it, should this be stopped",
            work.display()
        ));
        let index = write_all(cx, &grant, &source, change, &work).await?;
        let text = serde_json::to_vec_pretty(&index)
            .map_err(|e| Error::bug("the index does not serialise").caused_by(e))?;
        write_file(&work.join("README.txt"), README.as_bytes())?;
        write_file(&work.join(INDEX), &text)?;
        // An empty folder gives way; one that was filled meanwhile does not.
        match fs::remove_dir(&change.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("replace", &change.folder, e));
            }
            _ => {}
        }
        fs::rename(&work, &change.folder).map_err(|e| Error::io("name", &change.folder, e))?;
        let parent = change.folder.parent().unwrap_or(Path::new("."));
        let synced = fs::File::open(parent).and_then(|dir| dir.sync_all());
        synced.map_err(|e| Error::io("sync the folder", parent, e))
    }

    async fn verify(&self, _: &ReadCx<'_, World>, change: &ExportChange) -> Result<Observed> {
        let index = read_index(&change.folder)?;
        for file in &index.files {
            let path = change.folder.join(&file.file);
            let seen = fs::metadata(&path).map_err(|e| Error::io("look at", &path, e))?;
            if seen.len() != file.bytes {
                return Err(Error::new(
                    &NOT_VERIFIED,
                    format!(
                        "`{}` has {} bytes, and {} were written",
                        path.display(),
                        seen.len(),
                        file.bytes
                    ),
                ));
            }
        }
        Ok(Observed::of(json!({
            "backup": index.backup,
            "folder": change.folder,
            "files": index.files.len(),
            "bytes": index.files.iter().map(|f| f.bytes).sum::<u64>(),
            "rows": index.files.iter().filter_map(|f| f.rows).sum::<u64>(),
        })))
    }

    async fn undo(
        &self,
        _: &ApplyCx<'_, World>,
        change: &ExportChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        let work = unfinished(&change.folder);
        let ours = read_index(&change.folder).is_ok_and(|index| index.backup == change.backup);
        let there = work.exists() || ours;
        wipe(&work)?;
        if ours {
            wipe(&change.folder)?;
        }
        Ok(if there {
            Undo::Done(Observed::of(json!({"removed": change.folder})))
        } else {
            Undo::Nothing
        })
    }
}

async fn write_all(
    cx: &ReadCx<'_, World>,
    grant: &Grant<'_>,
    source: &BackupParts,
    change: &ExportChange,
    work: &Path,
) -> Result<Index> {
    let contents = source.contents();
    let total = contents.bytes();
    let mut done = 0;
    let mut files = Vec::new();
    for store in &contents.stores {
        let kind = store.captured.store;
        make(&work.join(kind.name()))?;
        for (number, part) in store.captured.parts.iter().enumerate() {
            cx.cancel.check()?;
            grant.still_held().await?;
            let file = format!("{}/{number:05}.{}", kind.name(), end(&part.format));
            let sha256 = write_part(source, part, &work.join(&file)).await?;
            done += part.bytes;
            cx.events.progress("export", done, Some(total), Unit::Bytes);
            files.push(File {
                file,
                store: kind,
                part: part.name.clone(),
                format: part.format.clone(),
                bytes: part.bytes,
                rows: part.fingerprint.map(|f| f.rows),
                sha256,
                meta: part.meta.clone(),
            });
        }
    }
    Ok(Index {
        version: 1,
        backup: change.backup.clone(),
        context: contents.context.clone(),
        files,
    })
}

/// Writes one part, and decodes it on the way; its SHA-256.
async fn write_part(source: &BackupParts, part: &PartInfo, path: &Path) -> Result<String> {
    let mut tee = Tee {
        inner: source.open(&part.name).await?,
        file: create(path)?,
        path: path.to_owned(),
        hasher: Sha256::new(),
        bytes: 0,
    };
    let key: FingerprintKey = source.fingerprint_key();
    let seen = Decoders.decode(part, &mut tee, &key).await?;
    // A decoder that stopped early must not leave a tail unwritten.
    while tee.next().await?.is_some() {}
    tee.file
        .sync_all()
        .map_err(|e| Error::io("write", path, e))?;
    if tee.bytes != part.bytes || seen != part.fingerprint {
        return Err(Error::new(
            &NOT_VERIFIED,
            format!("the part `{}` is not what was captured", part.name),
        )
        .hint("See what is wrong with `summitctl backup verify --level 2`."));
    }
    let digest = tee.hasher.finalize();
    Ok(digest.iter().map(|b| format!("{b:02x}")).collect())
}

/// A reader that writes down what passes.
struct Tee {
    inner: Box<dyn PartReader>,
    file: fs::File,
    path: PathBuf,
    hasher: Sha256,
    bytes: u64,
}

#[async_trait]
impl PartReader for Tee {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let next = self.inner.next().await?;
        if let Some(bytes) = &next {
            let written = self.file.write_all(bytes);
            written.map_err(|e| Error::io("write", &self.path, e))?;
            self.hasher.update(bytes);
            self.bytes += bytes.len() as u64;
        }
        Ok(next)
    }
}

fn end(format: &str) -> &'static str {
    match format {
        "pg-dump-custom" => "dump",
        "pg-copy-binary" | "pg-copy-text" => "copy",
        "json" => "json",
        other if other.ends_with("-jsonl") => "jsonl",
        _ => "bin",
    }
}

/// Where an export is written until it is whole.
fn unfinished(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.unfinished-export"))
}

/// Removes what a stopped export left in the clear; its folder, if there was one.
pub fn wipe_unfinished(change: &ExportChange) -> Result<Option<PathBuf>> {
    let work = unfinished(&change.folder);
    if !work.exists() {
        return Ok(None);
    }
    wipe(&work)?;
    Ok(Some(work))
}

/// The bytes of the files below a folder, as far as they can be looked at.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_in(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn read_index(folder: &Path) -> Result<Index> {
    let path = folder.join(INDEX);
    let text = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    serde_json::from_slice(&text)
        .map_err(|e| Error::input(format!("`{}` is no index", path.display())).caused_by(e))
}

fn wipe(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder, e)),
        _ => Ok(()),
    }
}

fn make(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|e| Error::io("create the folder", folder, e))
}

fn create(path: &Path) -> Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|e| Error::io("create", path, e))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = create(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|e| Error::io("write", path, e))
}

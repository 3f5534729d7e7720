//! A repository in a local folder.
//!
//! An object is written under a temporary name, fsynced, and given its name by `link`, which fails if the name is taken;
//! then the folder is fsynced. `rename` would overwrite, so it serves only for `replace`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use super::names::{Digest, hex, random};
use super::store::{Created, Deleted, Entry, Object, Store, plain_name, sha256};
use super::{DAMAGED, READ_ONLY};
use crate::error::{Error, Result};
use crate::time::Instant;

/// The folder of unfinished writes.
const UNFINISHED: &str = "tmp";
/// An unfinished write older than this belongs to nobody: no object takes a day to write.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder of objects, private to its owner.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: Arc<Path>,
}

impl LocalStore {
    /// The store in this folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        LocalStore {
            root: Arc::from(root.into()),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path, &Path) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path(name)?;
        let root = Arc::clone(&self.root);
        tokio::task::spawn_blocking(move || work(&root, &path))
            .await
            .map_err(|e| Error::bug("a file operation panicked").caused_by(e))?
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        plain_name(name)?;
        Ok(self.root.join(name.strip_suffix('/').unwrap_or(name)))
    }
}

#[async_trait]
impl Store for LocalStore {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    async fn create(&self, name: &str, object: &Object) -> Result<Created> {
        let object = object.clone();
        self.run(name, move |root, path| create(root, path, &object))
            .await
    }

    async fn replace(&self, name: &str, old: Digest, object: &Object) -> Result<bool> {
        let object = object.clone();
        self.run(name, move |root, path| {
            let there = match fs::read(path) {
                Ok(there) => there,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(Error::io("read", path, e)),
            };
            if sha256(&there) != old {
                return Ok(false);
            }
            let unfinished = write_unfinished(root, &object)?;
            fs::rename(&unfinished.0, path).map_err(|e| refused("replace", path, e))?;
            sync_parent(path)?;
            Ok(true)
        })
        .await
    }

    async fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
        self.run(name, move |_, path| {
            let file = match fs::File::open(path) {
                Ok(file) => file,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(Error::io("open", path, e)),
            };
            let size = file
                .metadata()
                .map_err(|e| Error::io("read", path, e))?
                .len();
            if size > limit {
                return Err(Error::new(
                    &DAMAGED,
                    format!(
                        "`{}` holds {size} bytes, and at most {limit} were expected",
                        path.display()
                    ),
                ));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            // A file that grows while it is read must not grow our memory.
            file.take(limit)
                .read_to_end(&mut bytes)
                .map_err(|e| Error::io("read", path, e))?;
            Ok(Some(Bytes::from(bytes)))
        })
        .await
    }

    async fn head(&self, name: &str) -> Result<Option<u64>> {
        self.run(name, |_, path| match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => Ok(Some(found.len())),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("look at", path, e)),
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let prefix = prefix.to_owned();
        self.run(&prefix.clone(), move |_, path| {
            let mut found = Vec::new();
            walk(path, &prefix, &mut found)?;
            found.sort();
            Ok(found)
        })
        .await
    }

    async fn children(&self, prefix: &str) -> Result<Vec<String>> {
        let prefix = prefix.to_owned();
        self.run(&prefix.clone(), move |_, path| {
            let mut found = Vec::new();
            each(path, &mut |name, kind| {
                let slash = if kind.is_dir() { "/" } else { "" };
                found.push(format!("{prefix}{name}{slash}"));
                Ok(())
            })?;
            found.sort();
            Ok(found)
        })
        .await
    }

    async fn delete(&self, name: &str) -> Result<Deleted> {
        self.run(name, |root, path| {
            match fs::remove_file(path) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Deleted::Absent),
                Err(e) => return Err(refused("delete", path, e)),
            }
            sync_parent(path)?;
            // Empty folders are clutter, not objects; one that is in use again stays.
            let mut folder = path.parent();
            while let Some(dir) = folder.filter(|dir| *dir != root) {
                if fs::remove_dir(dir).is_err() {
                    break;
                }
                folder = dir.parent();
            }
            Ok(Deleted::Gone)
        })
        .await
    }
}

/// A temporary file that removes itself.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Already renamed, or swept up later: either way it counts for nothing.
        let _ = fs::remove_file(&self.0);
    }
}

fn create(root: &Path, path: &Path, object: &Object) -> Result<Created> {
    if path
        .try_exists()
        .map_err(|e| Error::io("look at", path, e))?
    {
        return Ok(Created::Exists);
    }
    let unfinished = write_unfinished(root, object)?;
    // A concurrent delete may take the empty folder away between the two calls.
    for attempt in 0.. {
        make_folders(root, path)?;
        match fs::hard_link(&unfinished.0, path) {
            Ok(()) => break,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(Created::Exists),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && attempt < 10 => {}
            Err(e) => return Err(refused("create", path, e)),
        }
    }
    sync_parent(path)?;
    Ok(Created::New)
}

fn write_unfinished(root: &Path, object: &Object) -> Result<Unfinished> {
    let folder = root.join(UNFINISHED);
    make_folders(root, &folder.join("x"))?;
    sweep(&folder);
    let path = folder.join(format!("{}-{}", std::process::id(), hex(&random::<8>()?)));
    let unfinished = Unfinished(path);
    let path = &unfinished.0;
    let write = || -> std::io::Result<u64> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(object.bytes())?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    };
    let length = write().map_err(|e| refused("write", path, e))?;
    if length != object.bytes().len() as u64 {
        return Err(Error::new(
            &DAMAGED,
            format!(
                "`{}` holds {length} bytes after {} were written",
                path.display(),
                object.bytes().len()
            ),
        ));
    }
    Ok(unfinished)
}

/// Removes what killed writers left. Failure does not matter: nothing there counts.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|m| m.modified())
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if old.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes the folders above `path`, durably, private to their owner.
fn make_folders(root: &Path, path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    if folder.is_dir() {
        return Ok(());
    }
    let mut missing: Vec<&Path> = folder.ancestors().take_while(|dir| !dir.is_dir()).collect();
    missing.reverse();
    for dir in missing {
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            // Taken away by a concurrent delete; the caller tries again.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && dir.starts_with(root) => {}
            Err(e) => return Err(refused("create the folder", dir, e)),
        }
        sync_parent(dir)?;
    }
    Ok(())
}

fn sync_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    let synced = fs::File::open(parent).and_then(|dir| dir.sync_all());
    match synced {
        // The folder was empty and a concurrent delete took it away: there is nothing to keep.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|e| Error::io("sync the folder", parent, e)),
    }
}

fn walk(path: &Path, prefix: &str, found: &mut Vec<Entry>) -> Result<()> {
    each(path, &mut |name, kind| {
        let below = path.join(name);
        if kind.is_dir() {
            return walk(&below, &format!("{prefix}{name}/"), found);
        }
        match fs::symlink_metadata(&below) {
            Ok(metadata) => found.push(Entry {
                name: format!("{prefix}{name}"),
                size: metadata.len(),
                stored: metadata.modified().ok().and_then(moment),
            }),
            // Deleted since it was listed.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("look at", &below, e)),
        }
        Ok(())
    })
}

fn moment(at: SystemTime) -> Option<Instant> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Instant::from_millis(i64::try_from(since.as_millis()).ok()?))
}

fn each(path: &Path, visit: &mut dyn FnMut(&str, fs::FileType) -> Result<()>) -> Result<()> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("list", path, e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", path, e))?;
        let kind = entry
            .file_type()
            .map_err(|e| Error::io("look at", entry.path(), e))?;
        // A name that is not text is none of ours.
        if let Some(name) = entry.file_name().to_str() {
            visit(name, kind)?;
        }
    }
    Ok(())
}

/// A failed change; a folder that refuses every change has its own reason.
fn refused(verb: &str, path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => Error::new(
            &READ_ONLY,
            format!("cannot {verb} `{}`: the repository is read-only here", path.display()),
        )
        .caused_by(error)
        .hint(format!(
            "Check the owner and mode of `{0}` with `ls -ld {0}`, and whether its file system is mounted read-only with `findmnt -T {0}`.",
            path.parent().unwrap_or(path).display()
        )),
        _ => Error::io(verb, path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::Folder;
    use super::*;

    #[tokio::test]
    async fn a_name_is_created_once_and_keeps_its_first_content() {
        let folder = Folder::new();
        let store = LocalStore::new(folder.path());
        let name = "segments/ab/x.zst.age";
        let one = Object::new(&b"one"[..]);
        assert_eq!(store.create(name, &one).await.unwrap(), Created::New);
        let two = Object::new(&b"two"[..]);
        assert_eq!(store.create(name, &two).await.unwrap(), Created::Exists);
        assert_eq!(&store.get(name, 10).await.unwrap().unwrap()[..], b"one");
        assert_eq!(store.head(name).await.unwrap(), Some(3));
        assert!(store.get(name, 2).await.is_err());
        assert!(store.list("tmp/").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn of_many_creators_one_wins() {
        let folder = Folder::new();
        let store = LocalStore::new(folder.path());
        let tasks: Vec<_> = (0..16_u8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(
                    async move { store.create("backups/a/m", &Object::new(vec![n; 9])).await },
                )
            })
            .collect();
        let mut new = 0;
        for task in tasks {
            new += usize::from(task.await.unwrap().unwrap() == Created::New);
        }
        assert_eq!(new, 1);
    }

    #[tokio::test]
    async fn replace_compares_before_it_swaps() {
        let folder = Folder::new();
        let store = LocalStore::new(folder.path());
        let (one, two) = (Object::new(&b"one"[..]), Object::new(&b"two"[..]));
        assert!(!store.replace("r", one.sha256(), &two).await.unwrap());
        store.create("r", &one).await.unwrap();
        assert!(!store.replace("r", two.sha256(), &two).await.unwrap());
        assert!(store.replace("r", one.sha256(), &two).await.unwrap());
        assert_eq!(&store.get("r", 10).await.unwrap().unwrap()[..], b"two");
    }

    #[tokio::test]
    async fn listings_are_sorted_and_deleted_objects_leave_no_folders() {
        let folder = Folder::new();
        let store = LocalStore::new(folder.path());
        for name in [
            "backups/b/manifest.json",
            "backups/a/staged/x",
            "repository.json",
        ] {
            store.create(name, &Object::new(&b"1"[..])).await.unwrap();
        }
        let names: Vec<String> = store
            .list("")
            .await
            .unwrap()
            .into_iter()
            .map(|e| e.name)
            .collect();
        assert_eq!(
            names,
            [
                "backups/a/staged/x",
                "backups/b/manifest.json",
                "repository.json"
            ]
        );
        assert_eq!(
            store.children("backups/").await.unwrap(),
            ["backups/a/", "backups/b/"]
        );
        for done in [Deleted::Gone, Deleted::Absent] {
            assert_eq!(store.delete("backups/a/staged/x").await.unwrap(), done);
        }
        assert_eq!(store.children("backups/").await.unwrap(), ["backups/b/"]);
    }

    #[tokio::test]
    async fn names_cannot_leave_the_folder() {
        let folder = Folder::new();
        let store = LocalStore::new(folder.path());
        for name in ["../x", "a/../../x", "/etc/passwd", "a//b", "a\0b", "a b"] {
            assert!(store.head(name).await.is_err(), "{name}");
        }
    }

    /// `/sys` takes no folders, not even from root.
    #[tokio::test]
    async fn a_folder_that_takes_no_changes_has_its_own_reason() {
        let store = LocalStore::new("/sys");
        let error = store
            .create("x", &Object::new(&b"1"[..]))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), &READ_ONLY);
        assert!(error.hints()[0].contains("findmnt"), "{error:?}");
    }
}

//! Files that are there whole or not at all, also after a power cut.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file that others may read where the umask lets them.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, 0o666).map_err(|e| Error::io("write", path, e))
}

/// Writes a file that nobody else may read.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, 0o600).map_err(|e| Error::io("write", path, e))
}

/// Temporary name, sync, rename, sync of the folder. The name is of this attempt alone: containers that share a folder share pids
/// too. On failure nothing is left behind.
fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut tag = [0_u8; 8];
    getrandom::fill(&mut tag).map_err(|e| io::Error::other(e.to_string()))?;
    let temporary = path.with_extension(format!("tmp{:016x}", u64::from_ne_bytes(tag)));
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_failure_leaves_the_old_one_alone() {
        let folder = std::env::temp_dir().join(format!("summitctl-durable-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("secret.json");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // A folder in the file's place: nothing is changed, and no temporary file stays.
        let taken = folder.join("taken");
        fs::create_dir_all(taken.join("inside")).unwrap();
        let error = write(&taken, b"x").unwrap_err();
        assert!(error.one_line().contains("taken"), "{error:?}");
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["secret.json", "taken"]);
        fs::remove_dir_all(folder).unwrap();
    }
}

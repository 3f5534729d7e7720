//! Exporting a run's records, to be handed to somebody else.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::Run;
use super::files;
use crate::error::{Error, Result};

/// Copies a run's envelope files, byte for byte, into a folder, which is made if need be. Files that are already
/// there must be the same. Gives the files, the start first.
pub fn export(run: &Run, folder: &Path) -> Result<Vec<PathBuf>> {
    files::create_folder(folder)?;
    let ends = run.ends.iter().map(|end| &end.place);
    let mut written = Vec::new();
    for place in std::iter::once(&run.start.place).chain(ends) {
        let bytes = fs::read(&place.path).map_err(|e| Error::io("read", &place.path, e))?;
        let name = place
            .path
            .file_name()
            .ok_or_else(|| Error::bug("a record has no file name"))?;
        let path = folder.join(name);
        match files::read_if_there(&path)? {
            Some(there) if there == bytes => {}
            Some(_) => {
                return Err(Error::input(format!(
                    "`{}` exists and is another record",
                    path.display()
                ))
                .hint("Export into an empty folder."));
            }
            None => files::write_whole(&path, &bytes)?,
        }
        written.push(path);
    }
    Ok(written)
}

//! What a record says about the program and the machine that made it, measured once.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

use ring::digest::{Context, SHA256};

use super::predicate::{Host, Tool};
use super::text::Digest;
use crate::error::{Error, Result};

/// This program: its version, and the digest of the executable that is running.
pub(super) fn tool() -> Tool {
    static EXECUTABLE: OnceLock<Option<Digest>> = OnceLock::new();
    Tool {
        name: "summitctl".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        executable: EXECUTABLE.get_or_init(executable).clone(),
    }
}

/// Linux's link leads to the running executable even after its file was replaced; elsewhere the path must do.
fn executable() -> Option<Digest> {
    let file = File::open("/proc/self/exe")
        .or_else(|_| File::open(std::env::current_exe()?))
        .ok()?;
    digest(file).ok()
}

/// The digest of a file, which is read once and never held whole.
pub fn sha256_of_file(path: &Path) -> Result<Digest> {
    File::open(path)
        .and_then(digest)
        .map_err(|e| Error::io("read", path, e))
}

fn digest(mut file: File) -> std::io::Result<Digest> {
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(hash.finish().as_ref())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// This machine, as its kernel reports it.
pub(super) fn host() -> Host {
    let names = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Host {
        name: text(names.nodename()).into(),
        system: format!("{} {}", text(names.sysname()), text(names.release())).into(),
        machine: text(names.machine()).into(),
        user_id: rustix::process::geteuid().as_raw(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_s_digest_is_the_one_of_its_file() {
        let path = std::env::current_exe().expect("has a path");
        let expected = Digest::of(&std::fs::read(path).expect("reads"));
        assert_eq!(tool().executable, Some(expected));
        assert!(!host().name.as_str().is_empty());
    }
}

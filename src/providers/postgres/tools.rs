//! Postgres's own programs: where they are and which major version they have.
//!
//! `PATH` is honoured first; Debian and Red Hat keep each major version in a folder of its own beside it. `make setup`
//! fetches more versions for scratch servers; nothing of theirs is used where an installed program will do.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::CLIENT_PROGRAM;
use crate::error::{Error, Result};

/// A program found, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Where it is.
    pub path: PathBuf,
    /// Its major version, as it says with `--version`.
    pub major: u32,
    /// Its version as it says: `15.14`.
    pub version: String,
}

/// Where `make setup` puts servers when it runs as root: the account that then runs a server may not pass through root's
/// home.
const FETCHED_BY_ROOT: &str = "/var/cache/summitctl/servers";

/// Folders that may hold Postgres programs: `PATH` in its order, then the installed versions, newest first, then the
/// fetched ones.
pub fn folders() -> Vec<PathBuf> {
    let mut found = installed();
    found.extend(fetched());
    found
}

fn installed() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path).collect();
    found.extend(versioned(&[
        (Path::new("/usr/lib/postgresql"), ""),
        (Path::new("/usr"), "pgsql-"),
    ]));
    found
}

fn fetched() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")));
    let own = cache.map(|cache| cache.join("summitctl/servers"));
    let parents: Vec<PathBuf> = own.into_iter().chain([FETCHED_BY_ROOT.into()]).collect();
    let prefixed: Vec<(&Path, &str)> = parents.iter().map(|p| (&**p, "postgres-")).collect();
    versioned(&prefixed)
}

/// `<parent>/<prefix><major>/bin` of every major version, newest first.
fn versioned(places: &[(&Path, &str)]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, prefix) in places {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let major = name
                .to_str()
                .and_then(|n| n.strip_prefix(prefix))
                .and_then(|n| n.parse::<u32>().ok());
            if let Some(major) = major {
                found.push((major, entry.path().join("bin")));
            }
        }
    }
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// The program in this folder, if it is there and says its version.
pub fn tool_in(folder: &Path, name: &str) -> Option<Tool> {
    let path = folder.join(name);
    if !path.is_file() {
        return None;
    }
    let output = Command::new(&path)
        .arg("--version")
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = version_in(&text)?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Tool {
        major: digits.parse().ok()?,
        version: version.to_owned(),
        path,
    })
}

/// `15.14` in `pg_dump (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`; `18beta1` stays as it is.
fn version_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("(PostgreSQL)")?;
    rest.split_whitespace().next()
}

/// The `pg_dump` for a server of this major version: the oldest one that is not older than the server, because what
/// a newer one writes may not load into a server of the old version.
pub fn pg_dump(server_major: u32) -> Result<Tool> {
    choose(&[installed(), fetched()], "pg_dump", "server", server_major)
}

/// The `pg_restore` that reads archives of `dump_major` and loads them into a server of `server_major`.
pub fn pg_restore(server_major: u32, dump_major: u32) -> Result<Tool> {
    let (whose, at_least) = if dump_major > server_major {
        ("backup", dump_major)
    } else {
        ("server", server_major)
    };
    choose(&[installed(), fetched()], "pg_restore", whose, at_least)
}

/// The newest `pg_restore`: an archive of unknown version says itself whether it is too new.
pub fn newest_pg_restore() -> Result<Tool> {
    let places = [installed(), fetched()].concat();
    let found = places.iter().filter_map(|f| tool_in(f, "pg_restore"));
    match found.max_by_key(|tool| tool.major) {
        Some(tool) => Ok(tool),
        None => choose(&[], "pg_restore", "server", 0),
    }
}

/// From the first of the places that has one new enough.
fn choose(places: &[Vec<PathBuf>], name: &str, whose: &str, at_least: u32) -> Result<Tool> {
    let mut newest: Option<Tool> = None;
    for folders in places {
        let mut found: Vec<Tool> = folders
            .iter()
            .filter_map(|folder| tool_in(folder, name))
            .collect();
        found.sort_by_key(|tool| tool.major);
        let last = found.last().cloned();
        if let Some(tool) = found.into_iter().find(|tool| tool.major >= at_least) {
            return Ok(tool);
        }
        newest = newest.into_iter().chain(last).max_by_key(|tool| tool.major);
    }
    let message = match newest {
        Some(tool) => format!(
            "`{}` is version {}, older than the {whose}'s {at_least}",
            tool.path.display(),
            tool.version
        ),
        None => format!("`{name}` is not installed"),
    };
    Err(Error::new(&CLIENT_PROGRAM, message).hint(format!(
        "Install it with `apt-get install postgresql-client-{at_least}`."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_say_them() {
        let text = "pg_dump (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n";
        assert_eq!(version_in(text), Some("15.14"));
        assert_eq!(
            version_in("postgres (PostgreSQL) 18beta1\n"),
            Some("18beta1")
        );
        assert_eq!(version_in("something else"), None);
    }

    #[test]
    fn an_older_program_is_refused_with_the_package_that_helps() {
        let there = pg_dump(1).expect("some version is there");
        let folder = there.path.parent().expect("is in a folder").to_owned();
        let newer = there.major + 1;
        let error =
            choose(&[vec![folder], vec![]], "pg_dump", "server", newer).expect_err("is older");
        let words = format!(
            "is version {}, older than the server's {newer}",
            there.version
        );
        assert!(error.to_string().contains(&words), "{error}");
        let error = pg_restore(15, 99).expect_err("no such version exists");
        assert!(
            error.to_string().contains("older than the backup's 99"),
            "{error}"
        );
        let error = pg_dump(99).expect_err("no such version exists");
        assert_eq!(error.reason().code, "postgres.client-program");
        assert!(
            error.hints()[0].contains("postgresql-client-99"),
            "{:?}",
            error.hints()
        );
    }
}

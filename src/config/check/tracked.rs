//! Secrets in files that Git tracks: the values of the platform's own secrets, and `.env` files that hold any.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use crate::check::{Attempt, Finding};
use crate::config::dotenv;
use crate::config::environment::Environment;
use crate::config::excerpt::is_secret_name;
use crate::secret;
use crate::wait::Deadline;

/// Shorter values stand in many files by accident.
const SHORTEST: usize = 8;

/// Larger files are data, not configuration; how many were left out is said.
const LARGEST: u64 = 4 * 1024 * 1024;

/// So many places are named; the rest is counted.
const NAMED: usize = 10;

/// A secret to look for: the variable's name and the value.
pub(super) type Needle = (String, zeroize::Zeroizing<String>);

/// Looks through every file that Git tracks around `folder`.
pub(super) async fn look(
    folder: PathBuf,
    needles: Arc<Vec<Needle>>,
    environment: Environment,
    attempt: Attempt,
) -> Finding {
    let root = match git(&folder, &["rev-parse", "--show-toplevel"], &environment).await {
        Ok(out) => PathBuf::from(String::from_utf8_lossy(&out).trim_end_matches('\n')),
        Err(what) => return Finding::not_evaluated(what),
    };
    let listed = match git(&root, &["ls-files", "-z", "--cached"], &environment).await {
        Ok(out) => out,
        Err(what) => return Finding::not_evaluated(what),
    };
    let files: Vec<String> = listed
        .split(|b| *b == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let scan = move || scan(&root, &files, &needles, attempt.deadline);
    match tokio::task::spawn_blocking(scan).await {
        Ok(finding) => finding,
        Err(_) => Finding::not_evaluated("the search ended before its result"),
    }
}

async fn git(folder: &Path, args: &[&str], environment: &Environment) -> Result<Vec<u8>, String> {
    let output = tokio::process::Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        .env_clear()
        .envs(environment.iter())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| format!("`git` could not be started: {e}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = secret::mask(said.lines().next().unwrap_or_default()).into_owned();
    Err(format!("`git {}` failed: {said}", args[0]))
}

/// What a search found.
#[derive(Default)]
struct Found {
    places: Vec<String>,
    looked: usize,
    large: usize,
    unreadable: usize,
}

fn scan(root: &Path, files: &[String], needles: &[Needle], deadline: Deadline) -> Finding {
    let needles: Vec<&Needle> = needles
        .iter()
        .filter(|(_, value)| value.len() >= SHORTEST)
        .collect();
    let mut found = Found::default();
    for name in files {
        if deadline.passed() {
            return Finding::not_evaluated(format!(
                "looked through {} of {} files before the deadline",
                found.looked,
                files.len()
            ));
        }
        let path = root.join(name);
        // A deleted file or a link has no content of its own; what a link points to is tracked or outside.
        let Ok(meta) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        if !meta.is_file() {
            continue;
        }
        if meta.len() > LARGEST {
            found.large += 1;
            continue;
        }
        match std::fs::read(&path) {
            Ok(bytes) => {
                found.looked += 1;
                let text = zeroize::Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
                look_at(name, &text, &needles, &mut found.places);
            }
            Err(_) => found.unreadable += 1,
        }
    }
    report(&found, needles.len())
}

fn look_at(name: &str, text: &str, needles: &[&Needle], places: &mut Vec<String>) {
    for (variable, value) in needles {
        if let Some(at) = text.find(value.as_str()) {
            let line = text[..at].matches('\n').count() + 1;
            places.push(format!("the value of `{variable}` in {name}:{line}"));
        }
    }
    if !is_env_file(name) {
        return;
    }
    // A file that cannot be read as one is judged line by line.
    let entries = dotenv::parse(Path::new(name), text, &|_| None);
    for entry in entries.unwrap_or_default() {
        let hint = entry.value.starts_with("${") || entry.value.starts_with('<');
        if is_secret_name(&entry.name) && !entry.value.is_empty() && !hint {
            places.push(format!("`{}` in {name}:{}", entry.name, entry.line));
        }
    }
}

/// `.env`, `.env.production`, `prod.env`; not `.env.example` and its like, which are meant to be tracked.
fn is_env_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let is = name == ".env" || name.starts_with(".env.") || name.ends_with(".env");
    let harmless = ["example", "sample", "template", "dist", "defaults"];
    is && !harmless.iter().any(|word| name.contains(word))
}

fn report(found: &Found, needles: usize) -> Finding {
    let left_out = match (found.large, found.unreadable) {
        (0, 0) => String::new(),
        (large, unreadable) => {
            format!("; {large} large and {unreadable} unreadable files were left out")
        }
    };
    if found.places.is_empty() {
        let detail = format!(
            "none of {needles} secrets in {} tracked files{left_out}",
            found.looked
        );
        let finding = if found.unreadable == 0 {
            Finding::passed(detail)
        } else {
            Finding::degraded(detail)
        };
        return facts(finding, found, needles);
    }
    let mut named = found.places.clone();
    named.dedup();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let mut detail = format!("tracked by Git: {}", named.join(", "));
    if more > 0 {
        detail.push_str(&format!(", and {more} more"));
    }
    let finding = Finding::failed(detail)
        .hint("Rotate what was found: removing it from the newest commit does not remove it from the history.")
        .hint("Then remove the file from the index with `git rm --cached FILE` and add it to `.gitignore`.")
        .settled();
    facts(finding, found, needles)
}

fn facts(finding: Finding, found: &Found, needles: usize) -> Finding {
    finding
        .fact("files", found.looked)
        .fact("secrets", needles)
        .fact("places", found.places.len())
        .fact("left-out", found.large + found.unreadable)
}

#[cfg(test)]
mod tests;

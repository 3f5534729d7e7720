//! A tool's source files beside what it has written down: what is pending, what was changed since it was applied, and what was
//! applied and is no longer among the files. By checksum where the tool writes down one that can be computed, else by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::history::{History, Written};
use crate::error::{Error, Result};

/// How a tool's files are read and compared.
pub(super) struct Shape {
    /// The file of this path below the folder, and its text; `None` if the tool would not take it for a migration.
    pub file: fn(&Path, &str) -> Option<Source>,
    /// What is not applied yet, if a missing row is not what says so.
    pub pending: Option<Pending>,
    /// Whether keys begin with a group and a dot, and a group without a file is one of a library's.
    pub grouped: bool,
    /// Whether the files are SQL, so that what of them is in the catalogue can be looked for.
    pub sql: bool,
}

/// Picks those that are not applied yet.
pub(super) type Pending = fn(&[Source], &[Written]) -> Vec<Source>;

/// A source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// As [`Written::key`].
    pub key: String,
    /// Where it stands among the others: numbers as such.
    pub order: Vec<u64>,
    /// The keys of those that go before it, of tools that say so.
    pub after: Vec<String>,
    /// What it may have been written down with; none where the tool writes down none.
    pub checksums: Vec<String>,
    /// Its path below the folder.
    pub name: String,
    pub path: PathBuf,
}

/// What the files say of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Compared {
    /// The folder.
    pub folder: String,
    /// How many migrations it holds.
    pub files: usize,
    /// Files that are not applied, in their order.
    pub pending: Vec<String>,
    /// Files whose checksum is not the one that was written down when they were applied; null where the tool writes down none
    /// that can be computed here, so that only names were compared.
    pub changed: Option<Vec<String>>,
    /// Migrations that are applied and have no file.
    pub missing: Vec<String>,
    /// What could not be compared, and why.
    pub notes: Vec<String>,
}

/// A folder's source files, read.
#[derive(Debug)]
pub struct Sources {
    folder: PathBuf,
    pub(super) files: Vec<Source>,
}

const MOST_FILES: usize = 20_000;

/// Reads the source files of a tool.
pub fn sources(tool: super::Tool, folder: &Path) -> Result<Sources> {
    let Some(shape) = &tool.0.sources else {
        return Err(Error::input(format!(
            "the source files of {} are not compared",
            tool.name()
        ))
        .hint(format!("They are of {}.", super::ids_with_sources())));
    };
    if !folder.is_dir() {
        return Err(
            Error::input(format!("`{}` is no folder", folder.display())).hint(format!(
                "Name the folder that holds the migrations' files: `--sources {}=FOLDER`.",
                tool.id()
            )),
        );
    }
    let mut paths = Vec::new();
    walk(folder, &mut paths)?;
    let mut files = Vec::new();
    for path in paths {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // What is no text is no migration of any of these tools.
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => continue,
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        if let Some(source) = (shape.file)(name, &text) {
            files.push(Source { path, ..source });
        }
    }
    files.sort_by(|a, b| (&a.order, &a.name).cmp(&(&b.order, &b.name)));
    Ok(Sources {
        folder: folder.to_owned(),
        files,
    })
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("list", folder, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", folder, e))?;
        let kind = entry
            .file_type()
            .map_err(|e| Error::io("look at", entry.path(), e))?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && !hidden && entry.file_name() != "node_modules" {
            walk(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
        if found.len() > MOST_FILES {
            return Err(Error::input(format!(
                "`{}` holds more than {MOST_FILES} files",
                folder.display()
            ))
            .hint("Name the folder of the migrations themselves."));
        }
    }
    Ok(())
}

impl Sources {
    /// Compares them with what is written down.
    pub fn compare(&self, history: &History) -> Compared {
        let written = &history.written;
        let by_key: BTreeMap<&str, &Written> =
            written.iter().map(|w| (w.key.as_str(), w)).collect();
        let mut notes = Vec::new();
        let shape = history.tool.0.sources.as_ref();
        let pending = match shape.and_then(|s| s.pending) {
            Some(pending) => pending(&self.files, written),
            None => self
                .files
                .iter()
                .filter(|f| {
                    by_key
                        .get(f.key.as_str())
                        .is_none_or(|w| w.outcome == "failed")
                })
                .cloned()
                .collect(),
        };
        let pending_keys: BTreeSet<&str> = pending.iter().map(|p| p.key.as_str()).collect();
        let sums = self.files.iter().any(|f| !f.checksums.is_empty());
        let changed = sums.then(|| {
            let differs = |f: &&Source| {
                let row = by_key.get(f.key.as_str());
                let was = row.and_then(|w| w.checksum.as_ref());
                was.is_some_and(|was| !f.checksums.is_empty() && !f.checksums.contains(was))
            };
            let changed = self.files.iter().filter(differs);
            changed
                .filter(|f| !pending_keys.contains(f.key.as_str()))
                .map(|f| f.name.clone())
                .collect()
        });
        if !sums && !self.files.is_empty() {
            notes.push(format!(
                "{} writes down no checksum, so files were compared by name alone",
                history.tool.name()
            ));
        }
        let there: BTreeSet<&str> = self.files.iter().map(|f| f.key.as_str()).collect();
        // Whole groups of migrations come with libraries, and their files are elsewhere.
        let group = |key: &str| key.split_once('.').map(|(g, _)| g.to_owned());
        let groups: BTreeSet<Option<String>> = there.iter().map(|k| group(k)).collect();
        let elsewhere =
            |w: &&Written| shape.is_some_and(|s| s.grouped) && !groups.contains(&group(&w.key));
        let outside = written.iter().filter(elsewhere).count();
        if outside > 0 {
            notes.push(format!(
                "{outside} applied migrations are of apps that have no folder there, and were not compared"
            ));
        }
        let missing = written
            .iter()
            .filter(|w| !there.contains(w.key.as_str()) && !elsewhere(w))
            .filter(|w| w.outcome != "baseline")
            .map(|w| w.name.clone())
            .collect();
        Compared {
            folder: self.folder.display().to_string(),
            files: self.files.len(),
            pending: pending.into_iter().map(|p| p.name).collect(),
            changed,
            missing,
            notes,
        }
    }

    /// The files that may be half applied: what is written down as such, what failed, and the first that is pending.
    pub(super) fn suspects(&self, history: &History, compared: &Compared) -> Vec<&Source> {
        let open = |w: &&Written| matches!(w.outcome.as_str(), "failed" | "half");
        let keys: BTreeSet<&str> = history
            .written
            .iter()
            .filter(open)
            .map(|w| w.key.as_str())
            .collect();
        let first = compared.pending.first();
        self.files
            .iter()
            .filter(|f| keys.contains(f.key.as_str()) || Some(&f.name) == first)
            .collect()
    }
}

/// The digits that a name begins with, and what follows.
pub(super) fn number(name: &str) -> Option<(u64, &str)> {
    let end = name
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(name.len());
    Some((name[..end].parse().ok()?, &name[end..]))
}

/// A file's own name and its ending.
pub(super) fn ending(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?;
    let (stem, ending) = name.rsplit_once('.')?;
    Some((stem.to_owned(), ending.to_owned()))
}

impl Source {
    pub(super) fn named(path: &Path, key: String) -> Source {
        Source {
            key,
            order: Vec::new(),
            after: Vec::new(),
            checksums: Vec::new(),
            name: path.display().to_string(),
            path: PathBuf::new(),
        }
    }
}

/// Something that can be done about a migration that failed or is half applied. None is ever done by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Way {
    /// What, and when it is right.
    pub what: String,
    /// The command or the SQL, to be copied; what is in capitals is to be filled in.
    pub command: String,
}

/// What can be done about a migration, by its row's name or its file's.
pub fn ways(history: &History, sources: Option<&Sources>, name: &str, context: &str) -> Vec<Way> {
    let files = sources.map_or(&[][..], |s| &s.files);
    let row = history.written.iter().find(|w| w.name == name);
    let file = files.iter().find(|f| f.name == name);
    let key = row.map(|w| w.key.as_str());
    let key = key.or(file.map(|f| f.key.as_str())).unwrap_or(name);
    let at = files.iter().position(|f| f.key == key);
    let previous = match at {
        Some(0) => "-1".to_owned(),
        Some(at) => files[at - 1].key.clone(),
        None => "PREVIOUS".to_owned(),
    };
    let folder = sources.map_or("FOLDER".to_owned(), |s| s.folder.display().to_string());
    let table = super::super::sql::qualified(&history.schema, &history.table);
    let fill = |text: &str| {
        text.replace("{version}", key)
            .replace("{previous}", &previous)
            .replace("{folder}", &folder)
            .replace("{table}", &table)
    };
    let own = history.tool.0.ways.iter().map(|(what, command)| Way {
        what: (*what).to_owned(),
        command: fill(command),
    });
    let restore = Way {
        what: "go back to the backup before the deployment, which `summitctl backup list` shows"
            .to_owned(),
        command: format!(
            "summitctl restore BACKUP --database {} --context {context}",
            history.database
        ),
    };
    own.chain([restore]).collect()
}

//! A tool's source files beside what it has written down: what is pending, what was changed since it was applied, and what was
//! applied and is no longer among the files. By checksum where the tool writes down one that can be computed, else by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::history::{History, Written};
use super::statements::{Statement, statements};
use crate::error::{Error, Result};

/// How a tool's files are read and compared.
pub(super) struct Shape {
    pub read: Read,
    /// What is not applied yet, if a missing row is not what says so.
    pub pending: Option<Pending>,
    /// Whether keys begin with a group and a dot, and a group without a file is one of a library's.
    pub grouped: bool,
    /// Whether the files are SQL, so that what of them is in the catalogue can be looked for.
    pub sql: bool,
}

/// How a tool's migrations are found.
#[derive(Clone, Copy)]
pub(super) enum Read {
    /// In a folder: the file of this path below it, and its text; `None` if the tool would not take it for a migration.
    Files(fn(&Path, &str) -> Option<Source>),
    /// In a file that names the others.
    Root(fn(&Path) -> Result<Gathered>),
}

/// What was found by way of a file that names the others.
pub(super) struct Gathered {
    pub folder: PathBuf,
    pub files: Vec<Source>,
    /// What could not be read, and why.
    pub notes: Vec<String>,
}

/// Whether a migration that was applied is applied again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Again {
    #[default]
    Never,
    OnChange,
    Always,
}

/// Picks those that are not applied yet.
pub(super) type Pending = fn(&[Source], &[Written]) -> Vec<Source>;

/// A source file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// As [`Written::key`].
    pub key: String,
    /// Other keys that it may have been written down under.
    pub also: Vec<String>,
    /// Where it stands among the others: numbers as such.
    pub order: Vec<u64>,
    /// The keys of those that go before it, of tools that say so.
    pub after: Vec<String>,
    /// What it may have been written down with; none where the tool writes down none.
    pub checksums: Vec<String>,
    /// Checksums that it is to be taken for unchanged with, `ANY` of them all.
    pub accepts: Vec<String>,
    /// What its checksum was not computed for, where others of the tool have one.
    pub unsummed: Option<String>,
    pub again: Again,
    /// Whether conditions decide if it runs, which nobody knows before.
    pub conditions: bool,
    /// Whether it is for other databases, or to be left out.
    pub elsewhere: bool,
    /// Its path below the folder.
    pub name: String,
    pub path: PathBuf,
    /// Its changes in their order, where they are not the statements of its whole file.
    pub pieces: Option<Vec<Piece>>,
}

/// What a migration consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Sql(String),
    /// Something that the tool itself makes statements of.
    Change(Statement),
}

impl Piece {
    pub fn statements(&self) -> Vec<Statement> {
        match self {
            Piece::Sql(sql) => statements(sql),
            Piece::Change(statement) => vec![statement.clone()],
        }
    }
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
    /// Applied migrations whose checksum is written down and was not compared, because it is not computed here; the notes say of what.
    pub not_compared: Vec<String>,
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
    notes: Vec<String>,
}

const MOST_FILES: usize = 20_000;

/// Reads the source files of a tool.
pub fn sources(tool: super::Tool, folder: &Path) -> Result<Sources> {
    let file = match tool.0.sources.read {
        Read::Files(file) => file,
        Read::Root(read) => {
            let found = read(folder)?;
            return Ok(Sources {
                folder: found.folder,
                files: found.files,
                notes: found.notes,
            });
        }
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
        if let Some(source) = file(name, &text) {
            files.push(Source { path, ..source });
        }
    }
    files.sort_by(|a, b| (&a.order, &a.name).cmp(&(&b.order, &b.name)));
    Ok(Sources {
        folder: folder.to_owned(),
        files,
        notes: Vec::new(),
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
        let files: Vec<Source> = self.files.iter().map(|f| f.under(&by_key)).collect();
        let row = |f: &Source| by_key.get(f.key.as_str()).copied();
        let mut notes = self.notes.clone();
        let shape = &history.tool.0.sources;
        let pending = match shape.pending {
            Some(pending) => pending(&files, written),
            None => {
                let waits = |f: &&Source| f.waits(row(f));
                files.iter().filter(waits).cloned().collect()
            }
        };
        let pending_keys: BTreeSet<&str> = pending.iter().map(|p| p.key.as_str()).collect();
        let done = |f: &&Source| !pending_keys.contains(f.key.as_str());
        let sums = files
            .iter()
            .any(|f| !f.checksums.is_empty() || f.unsummed.is_some());
        let changed = sums.then(|| {
            let differs = |f: &&Source| row(f).is_some_and(|w| f.differs(w) && !f.accepts(w));
            let changed = files.iter().filter(done).filter(differs);
            changed.map(|f| f.name.clone()).collect()
        });
        let unknown = |f: &&Source| sums && row(f).is_some_and(|w| !f.comparable(w));
        let not_compared: Vec<&Source> = files.iter().filter(done).filter(unknown).collect();
        notes.extend(self.judged(&pending, &not_compared));
        if !sums && !self.files.is_empty() {
            notes.push(format!(
                "{} writes down no checksum, so files were compared by name alone",
                history.tool.name()
            ));
        }
        let there: BTreeSet<&str> = files.iter().map(|f| f.key.as_str()).collect();
        // Whole groups of migrations come with libraries, and their files are elsewhere.
        let group = |key: &str| key.split_once('.').map(|(g, _)| g.to_owned());
        let groups: BTreeSet<Option<String>> = there.iter().map(|k| group(k)).collect();
        let elsewhere = |w: &&Written| shape.grouped && !groups.contains(&group(&w.key));
        let outside = written.iter().filter(elsewhere).count();
        if outside > 0 {
            notes.push(format!(
                "{outside} applied migrations are of apps that have no folder there, and were not compared"
            ));
        }
        let missing: Vec<&Written> = written
            .iter()
            .filter(|w| !there.contains(w.key.as_str()) && !elsewhere(w))
            .filter(|w| w.outcome != "baseline")
            .collect();
        let beside = |p: &Source| missing.iter().find(|w| ends_alike(&p.key, &w.key)).copied();
        if let (Read::Root(_), Some((here, there))) = (
            shape.read,
            pending.iter().find_map(|p| beside(p).map(|w| (p, w))),
        ) {
            notes.push(format!(
                "`{}` seems to be written down as `{}`: mark where the search path ends with `/./`, as in `FOLDER/./db/changelog/master.xml`",
                here.name, there.name
            ));
        }
        Compared {
            folder: self.folder.display().to_string(),
            files: self.files.len(),
            pending: pending.into_iter().map(|p| p.name).collect(),
            changed,
            not_compared: not_compared.into_iter().map(|f| f.name.clone()).collect(),
            missing: missing.into_iter().map(|w| w.name.clone()).collect(),
            notes,
        }
    }

    /// What was not judged, and why.
    fn judged(&self, pending: &[Source], not_compared: &[&Source]) -> Vec<String> {
        let mut notes = Vec::new();
        if !not_compared.is_empty() {
            let of: BTreeSet<&str> = not_compared
                .iter()
                .filter_map(|f| f.unsummed.as_deref())
                .collect();
            let of: Vec<&str> = of.into_iter().collect();
            let because = match of.is_empty() {
                true => "none of this kind is written down or computed".to_owned(),
                false => format!("not computed here are those of {}", of.join(", ")),
            };
            notes.push(format!(
                "the checksums of {} applied migrations were not compared: {because}",
                not_compared.len()
            ));
        }
        let says = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let conditional = pending.iter().filter(|p| p.conditions).count();
        notes.extend(says(
            conditional,
            "of those that are pending have contexts, labels or preconditions, which decide whether they run, and are not judged",
        ));
        let elsewhere = self.files.iter().filter(|f| f.elsewhere).count();
        notes.extend(says(
            elsewhere,
            "are for other databases or to be ignored, and never pending",
        ));
        let always = self.files.iter().filter(|f| f.again == Again::Always);
        notes.extend(says(
            always.count(),
            "run every time, which is not counted as pending",
        ));
        notes
    }

    /// The files that may be half applied: what is written down as such, what failed, and those of the pending ones that may have
    /// been the next to run, when nothing tells which conditions were met. One that ran before, and would again, is none of them.
    pub(super) fn suspects(&self, history: &History, compared: &Compared) -> Vec<&Source> {
        let open = |w: &&Written| matches!(w.outcome.as_str(), "failed" | "half");
        let done = |w: &&Written| matches!(w.outcome.as_str(), "executed" | "reran" | "mark_ran");
        let keys = |those: &dyn Fn(&&Written) -> bool| -> BTreeSet<&str> {
            let written = history.written.iter().filter(those);
            written.map(|w| w.key.as_str()).collect()
        };
        let (open, done) = (keys(&open), keys(&done));
        let ran = |f: &&Source| {
            let mut all = std::iter::once(&f.key).chain(&f.also);
            all.any(|key| done.contains(key.as_str()))
        };
        let mut next = BTreeSet::new();
        let by_name: BTreeMap<&str, &Source> =
            self.files.iter().map(|f| (f.name.as_str(), f)).collect();
        let pending = compared.pending.iter();
        for file in pending.filter_map(|name| by_name.get(name.as_str())) {
            if ran(file) {
                continue;
            }
            next.insert(file.key.as_str());
            if !file.conditions {
                break;
            }
        }
        let files = self.files.iter();
        files
            .filter(|f| open.contains(f.key.as_str()) || next.contains(f.key.as_str()))
            .collect()
    }
}

/// Whether one of two keys is the other with folders before it.
fn ends_alike(a: &str, b: &str) -> bool {
    let below = |long: &str, short: &str| {
        let folders = long.strip_suffix(short);
        folders.is_some_and(|f| f.ends_with('/'))
    };
    below(a, b) || below(b, a)
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
            name: path.display().to_string(),
            ..Source::default()
        }
    }

    /// With the key that it is written down under, if that is another of its own.
    fn under(&self, written: &BTreeMap<&str, &Written>) -> Source {
        let mut all = std::iter::once(&self.key).chain(&self.also);
        match all.find(|key| written.contains_key(key.as_str())) {
            Some(key) if *key != self.key => Source {
                key: key.clone(),
                name: key.clone(),
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    /// Whether it would be applied the next time, as far as conditions let it.
    fn waits(&self, row: Option<&Written>) -> bool {
        match row {
            _ if self.elsewhere => false,
            None => true,
            Some(row) => {
                row.outcome == "failed" || self.again == Again::OnChange && self.differs(row)
            }
        }
    }

    /// Whether what is written down can be compared: a sum, and of a kind that was computed.
    fn comparable(&self, row: &Written) -> bool {
        let kind = |sum: &str| sum.split_once(':').map(|(kind, _)| kind.to_owned());
        let was = row.checksum.as_deref();
        was.is_some_and(|was| self.checksums.iter().any(|c| kind(c) == kind(was)))
    }

    fn differs(&self, row: &Written) -> bool {
        self.comparable(row)
            && row
                .checksum
                .as_ref()
                .is_some_and(|was| !self.checksums.contains(was))
    }

    fn accepts(&self, row: &Written) -> bool {
        let any = |sum: &str| {
            matches!(
                sum.to_lowercase().trim_start_matches("1:"),
                "any" | "all" | "*"
            )
        };
        let is = |sum: &str| {
            row.checksum.as_deref() == Some(sum) || self.checksums.iter().any(|c| c == sum)
        };
        self.accepts.iter().any(|sum| any(sum) || is(sum))
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

#[cfg(test)]
mod tests {
    use super::super::{Tool, liquibase};
    use super::*;

    fn file(key: &str, conditions: bool) -> Source {
        Source {
            conditions,
            ..Source::named(Path::new(key), key.to_owned())
        }
    }

    #[test]
    fn those_may_be_half_applied_that_may_have_been_the_next_to_run() {
        let written = |key: &str, outcome: &str| Written {
            key: key.to_owned(),
            name: key.to_owned(),
            outcome: outcome.to_owned(),
            checksum: Some("9:a".to_owned()),
        };
        let history = History {
            tool: Tool(&liquibase::KNOWN),
            database: "app".to_owned(),
            schema: "public".to_owned(),
            table: "databasechangelog".to_owned(),
            outcomes: BTreeMap::new(),
            last: None,
            failed: Vec::new(),
            half: Vec::new(),
            written: vec![written("done", "executed"), written("changed", "reran")],
        };
        let changed = Source {
            again: Again::OnChange,
            checksums: vec!["9:b".to_owned()],
            ..file("changed", false)
        };
        let sources = Sources {
            folder: PathBuf::new(),
            files: vec![
                file("done", false),
                changed,
                file("elsewhere", true),
                file("next", false),
                file("later", false),
            ],
            notes: Vec::new(),
        };
        let compared = sources.compare(&history);
        assert_eq!(compared.pending, ["changed", "elsewhere", "next", "later"]);
        let suspects = sources.suspects(&history, &compared);
        let names: Vec<&str> = suspects.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["elsewhere", "next"]);
    }
}

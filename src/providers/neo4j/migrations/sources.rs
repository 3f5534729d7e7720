//! The files of neo4j-migrations beside its chain: what is pending, changed, and applied without a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::GraphHistory;
use crate::error::{Error, Result};

const MOST_FILES: usize = 20_000;

/// What the files say of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GraphCompared {
    /// The folder.
    pub folder: String,
    /// How many migrations it holds.
    pub files: usize,
    /// Files that are not applied, and repeatable ones that changed, in their order.
    pub pending: Vec<String>,
    /// Files whose checksum is not the one that was written down when they were applied.
    pub changed: Vec<String>,
    /// Applied files whose checksum is not computed here.
    pub not_compared: Vec<String>,
    /// Migrations that are applied and have no file.
    pub missing: Vec<String>,
    /// What could not be compared, and why.
    pub notes: Vec<String>,
}

/// A folder's migrations, read.
#[derive(Debug)]
pub struct GraphSources {
    folder: PathBuf,
    /// By their versions, in the order of letters, as the tool has it unless told otherwise.
    files: BTreeMap<String, File>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct File {
    name: String,
    repeatable: bool,
    /// As the tool may compute them, by its configuration; none of what is no Cypher.
    checksums: Vec<String>,
    preconditions: bool,
}

/// Reads a folder, and those below it, as the tool does.
pub fn sources(folder: &Path) -> Result<GraphSources> {
    if !folder.is_dir() {
        return Err(
            Error::input(format!("`{}` is no folder", folder.display())).hint(
                "Name the folder that holds the migrations' files: `--sources neo4j-migrations=FOLDER`.",
            ),
        );
    }
    let mut found = GraphSources {
        folder: folder.to_owned(),
        files: BTreeMap::new(),
        notes: Vec::new(),
    };
    let mut paths = Vec::new();
    walk(folder, &mut paths)?;
    paths.sort();
    for path in &paths {
        found.take(path)?;
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("list", folder, e))?;
    for entry in entries {
        let path = entry.map_err(|e| Error::io("list", folder, e))?.path();
        let kind = fs::metadata(&path).map_err(|e| Error::io("look at", &path, e))?;
        if kind.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
        if found.len() > MOST_FILES {
            let message = format!("`{}` holds more than {MOST_FILES} files", folder.display());
            return Err(Error::input(message).hint("Name the folder of the migrations themselves."));
        }
    }
    Ok(())
}

impl GraphSources {
    fn take(&mut self, path: &Path) -> Result<()> {
        let name = path.strip_prefix(&self.folder).unwrap_or(path);
        let name = name.display().to_string();
        let own = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let Some((repeatable, version, ending)) = named(own) else {
            return Ok(());
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                self.notes
                    .push(format!("`{name}` was not read: it is no UTF-8"));
                return Ok(());
            }
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let cypher = ending == "cypher";
        let mut file = File {
            name,
            repeatable,
            checksums: if cypher { checksums(&text) } else { Vec::new() },
            preconditions: text.lines().any(is_precondition),
        };
        // Several of one version are told apart by preconditions, and the tool knows the checksums of all of them.
        if let Some(other) = self.files.remove(&version) {
            if !(other.preconditions && file.preconditions) {
                let (one, two) = (&other.name, &file.name);
                self.notes.push(format!(
                    "`{one}` and `{two}` have one version, which the tool refuses"
                ));
            }
            file.name = other.name;
            file.checksums.extend(other.checksums);
        }
        self.files.insert(version, file);
        Ok(())
    }

    /// Compares them with the chain.
    pub fn compare(&self, history: &GraphHistory) -> GraphCompared {
        let of = |version: &str| history.applied.iter().find(|a| a.version == version);
        let mut all = GraphCompared {
            folder: self.folder.display().to_string(),
            files: self.files.len(),
            pending: Vec::new(),
            changed: Vec::new(),
            not_compared: Vec::new(),
            missing: Vec::new(),
            notes: self.notes.clone(),
        };
        let (mut conditional, mut early) = (0, 0);
        let newest = history.applied.iter().map(|a| &a.version).max();
        for (version, file) in &self.files {
            let applied = of(version);
            let was = applied.and_then(|a| a.checksum.as_ref());
            let differs = was.is_some_and(|was| !file.checksums.contains(was));
            let list = match applied {
                None => &mut all.pending,
                Some(_) if was.is_none() || file.checksums.is_empty() => &mut all.not_compared,
                Some(_) if differs && file.repeatable => &mut all.pending,
                Some(_) if differs => &mut all.changed,
                Some(_) => continue,
            };
            conditional += usize::from(applied.is_none() && file.preconditions);
            early += usize::from(applied.is_none() && newest.is_some_and(|n| version < n));
            list.push(file.name.clone());
        }
        let has = |version: &str| self.files.contains_key(version);
        let (classes, missing): (Vec<_>, Vec<_>) = history
            .applied
            .iter()
            .filter(|a| !has(&a.version))
            .partition(|a| a.kind.as_deref() == Some("JAVA"));
        all.missing = missing.iter().map(|a| a.name.clone()).collect();
        let mut note = |count: usize, what: &str| {
            if count > 0 {
                all.notes.push(format!("{count} {what}"));
            }
        };
        note(
            classes.len(),
            "applied migrations are classes of Java, and were not looked for",
        );
        note(
            conditional,
            "of those that are pending have preconditions, which are not judged",
        );
        note(
            early,
            "of those that are pending come before the newest that is applied, in the order of letters, which the tool refuses unless it may go out of order",
        );
        let targets: std::collections::BTreeSet<_> =
            history.applied.iter().map(|a| &a.target).collect();
        if targets.len() > 1 {
            note(
                targets.len(),
                "targets have their histories in this database; the files were compared with all of them together",
            );
        }
        all
    }
}

/// `V` or `R`, a version, two underscores, words: whether it is repeatable, its version with dots, and the ending.
fn named(name: &str) -> Option<(bool, String, String)> {
    let repeatable = match name.as_bytes().first()? {
        b'V' => false,
        b'R' => true,
        _ => return None,
    };
    let (version, rest) = name[1..].split_once("__")?;
    let (words, ending) = rest.rsplit_once('.')?;
    let separator = if version.contains('_') { '_' } else { '.' };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ' ';
    let known = matches!(ending, "cypher" | "xml") && !words.is_empty() && words.chars().all(word);
    let version = version
        .split(separator)
        .all(digits)
        .then(|| version.replace('_', "."))?;
    known.then(|| (repeatable, version, ending.to_owned()))
}

fn is_precondition(line: &str) -> bool {
    let rest = line
        .trim()
        .strip_prefix("//")
        .map(|r| r.trim().to_lowercase());
    rest.is_some_and(|r| r.starts_with("assert ") || r.starts_with("assume "))
}

/// CRC-32 of the statements (DefaultCypherResource.java); of them with ends of lines made alike, if the tool is told to; and that of
/// Flyway, likewise. None of a file that goes from one database to another.
fn checksums(text: &str) -> Vec<String> {
    if text.to_lowercase().contains(":use ") {
        return Vec::new();
    }
    let crc = |parts: &mut dyn Iterator<Item = &[u8]>| {
        let mut crc = flate2::Crc::new();
        parts.for_each(|part| crc.update(part));
        crc.sum()
    };
    let own = statements(text);
    let alike: Vec<String> = own.iter().map(|s| s.replace("\r\n", "\n")).collect();
    let lines = text
        .trim_start_matches('\u{feff}')
        .replace(['\r', '\n'], "");
    let mut all = vec![
        crc(&mut own.iter().map(String::as_bytes)).to_string(),
        crc(&mut alike.iter().map(String::as_bytes)).to_string(),
        crc(&mut std::iter::once(lines.as_bytes()))
            .cast_signed()
            .to_string(),
    ];
    all.dedup();
    all
}

/// What stands between semicolons at the ends of lines.
fn statements(text: &str) -> Vec<String> {
    let blank = |c: char| c <= ' ';
    let (mut all, mut rest) = (Vec::new(), text);
    loop {
        let end = rest
            .match_indices(';')
            .find(|(at, _)| rest[at + 1..].starts_with(['\n', '\r']));
        let one = end.map_or(rest, |(at, _)| &rest[..at]).trim_matches(blank);
        let one = one.strip_suffix(';').unwrap_or(one).trim_matches(blank);
        if !one.is_empty() {
            all.push(one.to_owned());
        }
        match end {
            Some((at, _)) => rest = &rest[at + 1..],
            None => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_statements_are_read_as_the_tool_reads_them() {
        let read = |name: &str| named(name).map(|(repeatable, version, _)| (repeatable, version));
        assert_eq!(
            read("V001__first_one.cypher"),
            Some((false, "001".to_owned()))
        );
        assert_eq!(read("R1_2__again.xml"), Some((true, "1.2".to_owned())));
        assert_eq!(read("V1.2__x.cypher"), Some((false, "1.2".to_owned())));
        for other in [
            "V1_first.cypher",
            "v1__x.cypher",
            "V1__x.txt",
            "V1__.cypher",
            "V1__a-b.cypher",
            "V1_2.3__x.cypher",
            "afterFirstUse.cypher",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        let text = "CREATE (:A);\r\n;\n\nCREATE (:B {t: ';'}) ; CREATE (:C);  \n  // end;";
        assert_eq!(
            statements(text),
            [
                "CREATE (:A)",
                "CREATE (:B {t: ';'}) ; CREATE (:C);  \n  // end"
            ]
        );
        assert!(checksums(":use other;\nCREATE (:A);").is_empty());
    }
}

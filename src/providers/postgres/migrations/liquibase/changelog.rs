//! A changelog and all that it includes, as far as it can be read without running anything: which changesets there are, under
//! which paths Liquibase knows them, and their checksums.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::sources::{Again, Gathered, Piece, Source};
use super::formatted::{self, Marked, attribute, says};
use super::made;
use super::node::{self, Node, Value};
use super::sums::{self, Cut, Sums};
use crate::error::{Error, Result};

const MOST_FILES: usize = 20_000;
/// Deeper than changelogs include each other.
const MOST_DEEP: usize = 40;

/// Reads a changelog named `SEARCH-PATH/./CHANGELOG`; without the mark the search path is the current folder, as it is for
/// Liquibase, or that of the changelog if its name is absolute.
pub(super) fn read(named: &Path) -> Result<Gathered> {
    let text = named.to_string_lossy();
    let (search, own) = match text.split_once("/./") {
        Some((search, own)) => (PathBuf::from(search), own.to_owned()),
        None if named.is_absolute() => {
            let name = named.file_name().unwrap_or_default().to_string_lossy();
            let folder = named.parent().unwrap_or(Path::new("/"));
            (folder.to_owned(), name.into_owned())
        }
        None => (PathBuf::from("."), text.clone().into_owned()),
    };
    let file = search.join(&own);
    if !file.is_file() {
        let message = format!("`{}` is no changelog's file", file.display());
        return Err(Error::input(message).hint(
            "Name the changelog that Liquibase starts with, and mark where its search path ends: `--sources liquibase=src/main/resources/./db/changelog/master.xml`.",
        ));
    }
    let mut reader = Reader {
        search: search.clone(),
        open: Vec::new(),
        read: 0,
        found: Vec::new(),
        unread: Vec::new(),
        keys: BTreeSet::new(),
    };
    reader.file(&normal(&own), &Above::default())?;
    Ok(Gathered {
        folder: search,
        files: reader.found,
        notes: reader.unread,
    })
}

/// A path as Liquibase compares it (DatabaseChangeLog.normalizePath).
pub(super) fn normal(path: &str) -> String {
    let path = path
        .strip_prefix("classpath:")
        .unwrap_or(path)
        .replace('\\', "/");
    let path = match path.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &path[2..],
        _ => path.as_str(),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What the changelogs above say of one that they include.
#[derive(Clone, Default)]
struct Above {
    /// Logical paths, nearest first.
    logical: Vec<String>,
    /// Whether it runs only in some contexts or under some labels.
    conditions: bool,
    ignored: bool,
}

struct Reader {
    search: PathBuf,
    /// The files that are being read.
    open: Vec<String>,
    read: usize,
    found: Vec<Source>,
    /// What could not be read, and why.
    unread: Vec<String>,
    keys: BTreeSet<String>,
}

impl Reader {
    fn left(&mut self, path: &str, why: &str) {
        let line = format!("`{path}` was not read: {why}");
        if !self.unread.contains(&line) {
            self.unread.push(line);
        }
    }

    fn file(&mut self, path: &str, above: &Above) -> Result<()> {
        self.read += 1;
        let round = self.open.iter().any(|o| o == path) || self.open.len() > MOST_DEEP;
        if round || self.read > MOST_FILES {
            let why = if round {
                "it includes itself"
            } else {
                "there are too many files"
            };
            self.left(path, why);
            return Ok(());
        }
        let place = self.search.join(path);
        let text = match fs::read_to_string(&place) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                self.left(path, "it is no UTF-8");
                return Ok(());
            }
            Err(e) => return Err(Error::io("read", &place, e)),
        };
        self.open.push(path.to_owned());
        let ending = path.rsplit('.').next().unwrap_or_default().to_lowercase();
        let outcome = match ending.as_str() {
            "xml" => node::xml(&text).map(Some),
            "yaml" | "yml" | "json" => node::yaml(&text).map(Some),
            "sql" if formatted::is_formatted(&text) => {
                self.marked(path, &text, above).map(|()| None)
            }
            "sql" => {
                self.whole(path, text, above);
                Ok(None)
            }
            _ => Err("it is neither XML, YAML, JSON nor SQL".to_owned()),
        };
        match outcome {
            Ok(Some(root)) if root.name == "databaseChangeLog" => {
                let mut below = above.clone();
                if let Some(own) = root.text_of("logicalFilePath") {
                    below.logical.insert(0, normal(own));
                }
                for child in &root.children {
                    self.entry(path, child, &below)?;
                }
            }
            Ok(Some(_)) => self.left(path, "it is no `databaseChangeLog`"),
            Ok(None) => {}
            Err(why) => self.left(path, &why),
        }
        self.open.pop();
        Ok(())
    }

    fn entry(&mut self, path: &str, entry: &Node, above: &Above) -> Result<()> {
        match entry.name.as_str() {
            "changeSet" => {
                self.changeset(path, entry, above);
                Ok(())
            }
            "include" => self.include(path, entry, above),
            "includeAll" => self.include_all(path, entry, above),
            "modifyChangeSets" => {
                for child in &entry.children {
                    self.entry(path, child, above)?;
                }
                Ok(())
            }
            "removeChangeSetProperty" => {
                self.unread.push(format!(
                    "`{path}` takes fields away from changes (`removeChangeSetProperty`): checksums may differ for that alone"
                ));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What an include says of what it includes.
    fn below(entry: &Node, above: &Above) -> Above {
        let mut below = above.clone();
        below.conditions |= ["context", "contextFilter", "labels"]
            .iter()
            .any(|field| entry.text_of(field).is_some());
        below.ignored |= entry.says("ignore");
        if let Some(own) = entry.text_of("logicalFilePath") {
            below.logical.push(normal(own));
        }
        below
    }

    /// The path that an include names, from the search path.
    fn named(&mut self, path: &str, entry: &Node, field: &str) -> Option<String> {
        let Some(file) = entry.text_of(field) else {
            self.left(
                path,
                &format!("an `{}` of it names no `{field}`", entry.name),
            );
            return None;
        };
        if file.contains("${") {
            self.left(file, "its name has a property");
            return None;
        }
        Some(if entry.says("relativeToChangelogFile") {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            normal(&format!("{folder}/{file}"))
        } else {
            normal(file)
        })
    }

    fn include(&mut self, path: &str, entry: &Node, above: &Above) -> Result<()> {
        let Some(file) = self.named(path, entry, "file") else {
            return Ok(());
        };
        let place = self.search.join(&file);
        if !place.is_file() {
            if entry.text_of("errorIfMissing") != Some("false") {
                self.left(
                    &file,
                    &format!("it is not below `{}`", self.search.display()),
                );
            }
            return Ok(());
        }
        self.file(&file, &Self::below(entry, above))
    }

    fn include_all(&mut self, path: &str, entry: &Node, above: &Above) -> Result<()> {
        let Some(folder) = self.named(path, entry, "path") else {
            return Ok(());
        };
        if let Some(field) = ["filter", "resourceFilter", "resourceComparator"]
            .iter()
            .find(|f| entry.text_of(f).is_some())
        {
            self.left(&folder, &format!("its `{field}` is a class of Java"));
            return Ok(());
        }
        let number = |field: &str, without: usize| match entry.text_of(field) {
            Some(text) => text.parse().unwrap_or(without),
            None => without,
        };
        let (least, most) = (number("minDepth", 0), number("maxDepth", usize::MAX));
        let mut files = Vec::new();
        if !self.search.join(&folder).is_dir() {
            if entry.text_of("errorIfMissingOrEmpty") != Some("false") {
                self.left(
                    &folder,
                    &format!("it is no folder below `{}`", self.search.display()),
                );
            }
            return Ok(());
        }
        self.walk(&folder, 1, &mut files)?;
        let end = entry
            .text_of("endsWithFilter")
            .unwrap_or_default()
            .to_lowercase();
        files.retain(|(file, depth)| {
            *depth >= least && *depth <= most && file.to_lowercase().ends_with(&end)
        });
        files.sort_by_key(|(file, _)| file.replace("WEB-INF/classes/", ""));
        let below = Self::below(entry, above);
        for (file, _) in files {
            let known = ["xml", "yaml", "yml", "json", "sql"];
            let ending = file.rsplit('.').next().unwrap_or_default().to_lowercase();
            if known.contains(&ending.as_str()) {
                self.file(&file, &below)?;
            } else {
                self.left(
                    &file,
                    "Liquibase knows it only with an extension, if at all",
                );
            }
        }
        Ok(())
    }

    fn walk(&mut self, folder: &str, depth: usize, found: &mut Vec<(String, usize)>) -> Result<()> {
        let place = self.search.join(folder);
        let entries = fs::read_dir(&place).map_err(|e| Error::io("list", &place, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("list", &place, e))?;
            let kind =
                fs::metadata(entry.path()).map_err(|e| Error::io("look at", entry.path(), e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = normal(&format!("{folder}/{name}"));
            if found.len() > MOST_FILES || depth > MOST_DEEP {
                return Err(Error::input(format!(
                    "`{}` holds too many files",
                    place.display()
                )));
            }
            if kind.is_dir() {
                self.walk(&path, depth + 1, found)?;
            } else {
                found.push((path, depth));
            }
        }
        Ok(())
    }

    fn changeset(&mut self, path: &str, entry: &Node, above: &Above) {
        let name = |field: &str| match entry.child(field).map(|c| &c.value) {
            Some(Value::Text(text)) if !text.contains("${") => Ok(text.clone()),
            Some(Value::Text(text)) => Err(format!(
                "the {field} `{text}` of a changeset has a property"
            )),
            Some(Value::Unclear(word)) => Err(format!(
                "YAML reads the {field} `{word}` of a changeset as a number or a time; in quotes it would be a word"
            )),
            Some(Value::None) | None => Err(format!("a changeset of it has no {field}")),
        };
        let (id, author) = match (name("id"), name("author")) {
            (Ok(id), Ok(author)) => (id, author),
            (Err(why), _) | (_, Err(why)) => return self.left(path, &why),
        };
        let own = entry.text_of("logicalFilePath").map(normal);
        let summed = self.sums_of(path, entry);
        let pieces = made::pieces(entry, |change| self.text_of_file(path, change).ok());
        let condition = [
            "context",
            "contextFilter",
            "labels",
            "preConditions",
            "preconditions",
        ]
        .iter()
        .any(|field| entry.child(field).is_some());
        let mut valid = Vec::new();
        for child in entry
            .children
            .iter()
            .filter(|c| c.name.starts_with("validCheckSum"))
        {
            valid.extend(child.text().map(|t| t.trim().to_owned()));
        }
        self.add(
            path,
            own,
            above,
            Found {
                id,
                author,
                again: again(
                    entry.says("runAlways") || entry.says("alwaysRun"),
                    entry.says("runOnChange"),
                ),
                conditions: condition,
                elsewhere: !for_postgres(entry.text_of("dbms")) || entry.says("ignore"),
                valid,
                sums: summed,
                pieces,
            },
        );
    }

    fn sums_of(&self, path: &str, entry: &Node) -> std::result::Result<Sums, String> {
        let mut changes = Vec::new();
        for change in made::changes(entry) {
            let here = for_postgres(change.text_of("dbms"));
            let sums = match change.name.as_str() {
                "modifySql" => return Err("`modifySql`".to_owned()),
                "sql" => sums::of_sql(made::sql_of(change), &cut(change))?,
                "sqlFile" => sums::of_sql(&self.text_of_file(path, change)?, &cut(change))?,
                _ => sums::of_change(change)?,
            };
            changes.push((sums, here));
        }
        Ok(sums::of_changeset(&changes))
    }

    fn text_of_file(&self, path: &str, change: &Node) -> std::result::Result<String, String> {
        let file = change.text_of("path").ok_or("a `sqlFile` without a path")?;
        if change
            .text_of("encoding")
            .is_some_and(|e| !["utf8", "utf-8"].contains(&e.to_lowercase().as_str()))
        {
            return Err("a `sqlFile` that is no UTF-8".to_owned());
        }
        let file = if change.says("relativeToChangelogFile") {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            normal(&format!("{folder}/{file}"))
        } else {
            normal(file)
        };
        let text = fs::read_to_string(self.search.join(&file))
            .map_err(|e| format!("the file `{file}`, which cannot be read: {e}"))?;
        Ok(text.trim_start_matches('\u{feff}').to_owned())
    }

    /// A file of SQL without marks is one changeset (SqlChangeLogParser.java).
    fn whole(&mut self, path: &str, text: String, above: &Above) {
        let text = text.trim_start_matches('\u{feff}').to_owned();
        if text.is_empty() {
            return self.left(path, "it is empty");
        }
        let cut = Cut {
            delimiter: None,
            splits: false,
            strips: false,
        };
        // Its path is never a logical one.
        let above = Above {
            logical: Vec::new(),
            ..above.clone()
        };
        let at = self.found.len();
        self.add(
            path,
            None,
            &above,
            Found {
                id: "raw".to_owned(),
                author: "includeAll".to_owned(),
                again: Again::Never,
                conditions: false,
                elsewhere: false,
                valid: Vec::new(),
                sums: alone(sums::of_sql(&text, &cut)),
                pieces: vec![made::of_sql(&text, None)],
            },
        );
        if let Some(source) = self.found.get_mut(at) {
            source.also.push(format!(
                "{path}::raw_{}::includeAll",
                path.replace('/', "_")
            ));
        }
    }

    fn marked(&mut self, path: &str, text: &str, above: &Above) -> std::result::Result<(), String> {
        let file = formatted::read(text)?;
        let count = file.changesets.len();
        for (n, one) in file.changesets.into_iter().enumerate() {
            let Marked {
                author,
                id,
                line,
                sql,
                preconditions,
                valid,
            } = one;
            if line.contains("${") {
                self.left(
                    path,
                    &format!("the changeset `{author}:{id}` has a property"),
                );
                continue;
            }
            let logical = attribute(&line, "logicalFilePath:").filter(|p| !p.is_empty());
            let logical = logical.or(file.logical.clone()).map(|p| normal(&p));
            let given = |name: &str| attribute(&line, name).filter(|v| !v.is_empty());
            let slash = n + 1 == count && sql.trim().ends_with("\n/");
            let cut = Cut {
                delimiter: bounded(&line).or(slash.then(|| "\n/$".to_owned())),
                splits: given("splitStatements:").is_none() || says(&line, "splitStatements:"),
                strips: given("stripComments:").is_none() || says(&line, "stripComments:"),
            };
            let dbms = attribute(&line, "dbms:").map(|d| {
                let end = d.find(|c: char| !(c.is_alphanumeric() || "_!,".contains(c)));
                d[..end.unwrap_or(d.len())].to_owned()
            });
            self.add(
                path,
                logical,
                above,
                Found {
                    id,
                    author,
                    again: again(says(&line, "runAlways:"), says(&line, "runOnChange:")),
                    conditions: preconditions
                        || ["context:", "contextFilter:", "labels:"]
                            .iter()
                            .any(|c| given(c).is_some()),
                    elsewhere: !for_postgres(dbms.as_deref()) || says(&line, "ignore:"),
                    valid,
                    sums: alone(sums::of_sql(&sql, &cut)),
                    pieces: vec![made::of_sql(&sql, cut.delimiter.as_deref())],
                },
            );
        }
        Ok(())
    }

    /// Adds a changeset under the path that it will be written down with. Which of several logical paths wins changed from
    /// version to version, and one that ran under the path of its file keeps that: it is known under each.
    fn add(&mut self, path: &str, own: Option<String>, above: &Above, found: Found) {
        let key = |path: &str| format!("{path}::{}::{}", found.id, found.author);
        let mut paths: Vec<&str> = own.as_deref().into_iter().collect();
        if paths.is_empty() {
            paths.extend(above.logical.iter().map(String::as_str));
        }
        paths.push(path);
        let first = key(paths[0]);
        if !self.keys.insert(first.clone()) {
            let line = format!("`{first}` is there more than once; Liquibase refuses that");
            if !self.unread.contains(&line) {
                self.unread.push(line);
            }
            return;
        }
        let (checksums, unsummed) = match found.sums {
            Ok(sums) => (
                [Some(sums.v9), sums.v8].into_iter().flatten().collect(),
                None,
            ),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut source = Source::named(Path::new(&first), first.clone());
        source.path = self.search.join(path);
        source.order = vec![u64::try_from(self.found.len()).unwrap_or(u64::MAX)];
        source.also = paths[1..].iter().map(|p| key(p)).collect();
        source.checksums = checksums;
        source.accepts = found.valid;
        source.again = found.again;
        source.conditions = found.conditions || above.conditions;
        source.elsewhere = found.elsewhere || above.ignored;
        source.unsummed = unsummed;
        source.pieces = Some(found.pieces);
        self.found.push(source);
    }
}

/// What is known of a changeset.
struct Found {
    id: String,
    author: String,
    again: Again,
    conditions: bool,
    elsewhere: bool,
    valid: Vec<String>,
    sums: std::result::Result<Sums, String>,
    pieces: Vec<Piece>,
}

/// The sums of a changeset with one change.
fn alone(change: std::result::Result<Sums, String>) -> std::result::Result<Sums, String> {
    change.map(|sums| sums::of_changeset(&[(sums, true)]))
}

fn again(always: bool, on_change: bool) -> Again {
    match (always, on_change) {
        (true, _) => Again::Always,
        (false, true) => Again::OnChange,
        (false, false) => Again::Never,
    }
}

/// `endDelimiter:`, and not the end of `rollbackEndDelimiter:`.
fn bounded(line: &str) -> Option<String> {
    let lower = line.to_ascii_lowercase();
    let at = lower
        .match_indices("enddelimiter:")
        .map(|(at, _)| at)
        .filter(|at| !lower[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        .last()?;
    attribute(&line[at..], "endDelimiter:")
}

fn cut(change: &Node) -> Cut {
    Cut {
        delimiter: change
            .child("endDelimiter")
            .and_then(Node::text)
            .map(str::to_owned),
        splits: change
            .text_of("splitStatements")
            .is_none_or(|s| s.eq_ignore_ascii_case("true")),
        strips: change.says("stripComments"),
    }
}

/// Whether a list of databases has Postgres in it (DatabaseList.definitionMatches).
pub(super) fn for_postgres(dbms: Option<&str>) -> bool {
    let lower = dbms.unwrap_or_default().to_lowercase();
    let all: Vec<&str> = lower
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty())
        .collect();
    if all.is_empty() || all.contains(&"all") {
        return true;
    }
    if all.contains(&"none") || all.contains(&"!postgresql") {
        return false;
    }
    let named = all.iter().filter(|d| !d.starts_with('!'));
    named.clone().next().is_none() || named.clone().any(|d| *d == "postgresql")
}

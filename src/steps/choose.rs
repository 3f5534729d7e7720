//! Which backup is meant: an id, the newest, or the newest with a label, of a commit or before a moment.
//!
//! What restores made of the state that somebody wanted to be rid of is chosen by its id or label only, and a backup that
//! lacks a store is never chosen in silence.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::world::World;
use crate::error::{Error, NOT_FOUND, Result};
use crate::exit::Exit;
use crate::expr::nearest;
use crate::identity::Store;
use crate::repository::{Backup, BackupId, COMMIT_LABEL, Repository, Show};
use crate::time::Instant;

/// The label of the backups that a restore makes of what it is about to replace.
pub const SAFETY: &str = "safety";

/// How many candidates an error lists.
const SHOWN: usize = 6;

/// The least that is taken for the beginning of an id, and of a commit.
const LEAST_ID: usize = 4;
const LEAST_COMMIT: usize = 7;

/// What somebody wrote for a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// `newest`
    Newest,
    /// An id.
    Id(BackupId),
    /// `label:NAME`: the newest with this label.
    Label(String),
    /// `commit:SHA`: the newest of this commit.
    Commit(String),
    /// `before:MOMENT` or `at:MOMENT`: the newest that was complete by then.
    By(Instant),
    /// The beginning of an id, or a label, that only one backup has.
    Named(String),
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "newest" {
            return Ok(Choice::Newest);
        }
        let empty = || {
            Error::input(format!("`{text}` names no backup")).hint(
                "Name an id or its beginning, `newest`, `label:NAME`, `commit:SHA` or `before:2026-11-20T03:00Z`.",
            )
        };
        match text.split_once(':') {
            Some(("label" | "commit" | "before" | "at", "")) => Err(empty()),
            Some(("label", name)) => Ok(Choice::Label(name.to_owned())),
            Some(("commit", sha)) => commit(sha).map(Choice::Commit),
            Some(("before" | "at", moment)) => Instant::by_person(moment).map(Choice::By),
            _ if text.trim().is_empty() => Err(empty()),
            _ => Ok(text
                .parse()
                .map_or_else(|_| Choice::Named(text.to_owned()), Choice::Id)),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Newest => f.write_str("newest"),
            Choice::Id(id) => write!(f, "{id}"),
            Choice::Label(name) => write!(f, "label:{name}"),
            Choice::Commit(sha) => write!(f, "commit:{sha}"),
            Choice::By(moment) => write!(f, "before:{moment}"),
            Choice::Named(name) => f.write_str(name),
        }
    }
}

/// A commit's id or the beginning of one: 7 to 64 hexadecimal digits, in lower case.
pub fn commit(text: &str) -> Result<String> {
    let fits = (LEAST_COMMIT..=64).contains(&text.len());
    if fits && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Error::input(format!(
        "`{text}` is not a commit's id: 7 to 64 hexadecimal digits"
    ))
    .hint("Take it from `git rev-parse HEAD`."))
}

/// A label that somebody may give a backup: the program's own are refused, because they decide which backup is chosen.
pub fn label(text: &str) -> Result<String> {
    let refused = |why: &str, hint: &str| {
        Err(Error::input(format!("`{text}` cannot be a label: {why}")).hint(hint.to_owned()))
    };
    if text.trim().is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return refused(
            "it is empty, begins or ends with white space, or holds a control character",
            "Write a word or a few, such as `pre-deploy`.",
        );
    }
    if text.starts_with(COMMIT_LABEL) {
        return refused(
            "commits are recorded on their own",
            "Give the commit with `--commit SHA`.",
        );
    }
    if text == SAFETY {
        return refused(
            "it marks what a restore saved of the state it replaced, and `newest` passes those over",
            "Choose another word.",
        );
    }
    Ok(text.to_owned())
}

/// A backup that was chosen.
pub struct Found {
    /// The backup.
    pub backup: Backup,
    /// The stores that it should hold and does not.
    pub lacks: Vec<Store>,
    /// What whoever chose it should know: full sentences.
    pub notes: Vec<String>,
    /// Those of them that are about newer backups which cannot be relied on.
    pub doubts: Vec<String>,
}

impl Found {
    /// The same beside newer backups that cannot be relied on.
    fn beside<'b>(mut self, doubtful: impl IntoIterator<Item = &'b Backup>) -> Found {
        let doubts = doubtful.into_iter().map(|newer| {
            let why = newer.problem.as_ref().map_or("", |p| p.message.as_str());
            format!(
                "Backup `{}` is newer than `{}` and cannot be relied on: {why}.",
                newer.id, self.backup.id
            )
        });
        self.doubts = doubts.collect();
        self.notes.extend(self.doubts.iter().cloned());
        self
    }
}

/// The backups of the context that `newest` means: not those that a restore made of the state that somebody wanted to be
/// rid of.
fn regular(world: &World) -> Show {
    Show {
        context: Some(world.context.clone()),
        except: Some(SAFETY.to_owned()),
        ..Show::default()
    }
}

/// The newest backup of the context that holds all its stores; if none does, the newest that lacks some, and a note.
pub async fn newest(world: &World, repository: &Repository) -> Result<Option<Found>> {
    newest_of(repository, regular(world), &world.stores(&[])?).await
}

async fn newest_of(repository: &Repository, show: Show, needed: &[Store]) -> Result<Option<Found>> {
    let found = repository.newest_known(&show).await?;
    let Some(newest) = found.backup else {
        return Ok(None);
    };
    let lacks = lacking(&newest, needed);
    if lacks.is_empty() {
        return Ok(Some(alone(newest).beside(&found.doubtful)));
    }
    let whole = Show {
        stores: needed.to_vec(),
        ..show
    };
    let older = repository.newest_known(&whole).await?;
    Ok(Some(match older.backup {
        Some(backup) => Found {
            notes: vec![format!(
                "Backup `{}` is newer than `{}`, but lacks {}; name it to choose it.",
                newest.id,
                backup.id,
                named(&lacks)
            )],
            ..alone(backup)
        }
        .beside(&older.doubtful),
        None => with_lacks(newest, needed).beside(&found.doubtful),
    }))
}

/// Finds a backup of the context. `needed` are the stores that it should hold; the context's if empty.
pub async fn find(
    world: &World,
    repository: &Repository,
    choice: &Choice,
    needed: &[Store],
) -> Result<Found> {
    let own = world.stores(&[])?;
    let needed = if needed.is_empty() { &own } else { needed };
    let mut found = choose(world, repository, choice, needed).await?;
    if let Choice::Label(_) | Choice::Commit(_) | Choice::Named(_) = choice
        && found.backup.contents.is_some()
    {
        // What was chosen from a list is without its parts.
        found.backup = repository.show(&found.backup.id).await?;
    }
    Ok(found)
}

async fn choose(
    world: &World,
    repository: &Repository,
    choice: &Choice,
    needed: &[Store],
) -> Result<Found> {
    match choice {
        Choice::Newest => {
            let found = newest_of(repository, regular(world), needed).await?;
            found.ok_or_else(|| {
                let what = format!(
                    "context `{}` has no usable backup in `{}`",
                    world.context,
                    repository.place()
                );
                none(world, what)
            })
        }
        Choice::By(moment) => {
            let show = Show {
                completed_by: Some(*moment),
                ..regular(world)
            };
            if let Some(found) = newest_of(repository, show, needed).await? {
                return Ok(found);
            }
            let what = format!("no usable backup was complete by {}", moment.human());
            let mut all = ours(world, repository).await?;
            all.reverse();
            Err(candidates(none(world, what), &all))
        }
        Choice::Id(id) => Ok(alone(repository.show(id).await?)),
        Choice::Label(wanted) => {
            let all = ours(world, repository).await?;
            let fitting = of(&all, |b| labels(b).any(|l| l == wanted));
            let what = format!(
                "no backup of context `{}` has the label `{wanted}`",
                world.context
            );
            let found = newest_usable(world, fitting, needed, || {
                known_labels(none(world, what), wanted, &all)
            })?;
            Ok(beside_unread(found, &all))
        }
        Choice::Commit(sha) => by_commit(world, repository, sha, needed).await,
        Choice::Named(wanted) => by_name(world, repository, wanted).await,
    }
}

async fn by_commit(
    world: &World,
    repository: &Repository,
    sha: &str,
    needed: &[Store],
) -> Result<Found> {
    let all = ours(world, repository).await?;
    let of_commit = |b: &Backup| {
        b.contents
            .as_ref()
            .and_then(|c| c.commit().map(str::to_owned))
    };
    let fitting = of(&all, |b| of_commit(b).is_some_and(|c| same_commit(&c, sha)));
    let commits: BTreeSet<String> = fitting.iter().filter_map(of_commit).collect();
    // A longer id may begin with a shorter one; that is one commit.
    let longest = commits.iter().max_by_key(|c| c.len());
    if let Some(longest) = longest
        && commits.iter().any(|c| !same_commit(c, longest))
    {
        let what = format!(
            "`{sha}` is the beginning of {} commits that were backed up",
            commits.len()
        );
        return Err(candidates(none(world, what), &fitting));
    }
    let what = format!(
        "no backup of context `{}` is of commit `{sha}`",
        world.context
    );
    let found = newest_usable(world, fitting, needed, || {
        let mut others = of(&all, |b| of_commit(b).is_some());
        others.reverse();
        candidates(none(world, what), &others)
    })?;
    Ok(beside_unread(found, &all))
}

/// Adds the newer ones of which nobody can tell whether they fit.
fn beside_unread(found: Found, all: &[Backup]) -> Found {
    let chosen = found.backup.id.clone();
    let newer = all.iter().rev().filter(|b| b.id > chosen);
    found.beside(newer.filter(|b| b.is_doubtful() && b.contents.is_none()))
}

/// Whether one of them begins with the other.
fn same_commit(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

async fn by_name(world: &World, repository: &Repository, wanted: &str) -> Result<Found> {
    let all = looked_at(repository).await?;
    let begins = wanted.len() >= LEAST_ID;
    let mut fitting = of(&all, |b| {
        labels(b).any(|l| l == wanted) || (begins && b.id.as_str().starts_with(wanted))
    });
    match fitting.len() {
        0 => {
            let error = none(world, format!("no backup is called `{wanted}`"));
            Err(known_labels(error, wanted, &all))
        }
        1 => Ok(alone(fitting.remove(0))),
        n => {
            let what = format!("`{wanted}` could be any of {n} backups");
            fitting.reverse();
            let error = candidates(none(world, what), &fitting);
            Err(if labels_of(&fitting).contains(wanted) {
                error.hint(format!("The newest of them is `label:{wanted}`."))
            } else {
                error
            })
        }
    }
}

/// The backups of the context, oldest first; those that cannot be read may be any context's.
async fn ours(world: &World, repository: &Repository) -> Result<Vec<Backup>> {
    let mut all = looked_at(repository).await?;
    all.retain(|b| {
        let context = b.contents.as_ref().map(|c| &c.context);
        context.is_none_or(|c| *c == world.context)
    });
    Ok(all)
}

/// Every backup. One that could not be looked at for a moment is looked at once more: an error that goes on is no damage, and
/// nobody chooses in spite of it.
async fn looked_at(repository: &Repository) -> Result<Vec<Backup>> {
    let known = [Exit::Integrity.code(), Exit::Usage.code()];
    let mut all = Vec::new();
    for backup in repository.list().await? {
        let problem = backup.problem.as_ref();
        all.push(match problem.filter(|p| !known.contains(&p.exit_code)) {
            Some(_) => repository.show(&backup.id).await?,
            None => backup,
        });
    }
    Ok(all)
}

fn of(all: &[Backup], fits: impl Fn(&Backup) -> bool) -> Vec<Backup> {
    all.iter().filter(|b| fits(b)).cloned().collect()
}

/// The newest that can be relied on, of those that fit.
fn newest_usable(
    world: &World,
    mut fitting: Vec<Backup>,
    needed: &[Store],
    unknown: impl FnOnce() -> Error,
) -> Result<Found> {
    fitting.reverse();
    if let Some(at) = fitting.iter().position(Backup::is_usable) {
        return Ok(with_lacks(fitting.swap_remove(at), needed));
    }
    Err(if fitting.is_empty() {
        unknown()
    } else {
        let what = "none of the backups that fit can be relied on".to_owned();
        candidates(none(world, what), &fitting)
    })
}

fn alone(backup: Backup) -> Found {
    Found {
        backup,
        lacks: Vec::new(),
        notes: Vec::new(),
        doubts: Vec::new(),
    }
}

fn with_lacks(backup: Backup, needed: &[Store]) -> Found {
    let lacks = lacking(&backup, needed);
    let notes = if lacks.is_empty() {
        Vec::new()
    } else {
        vec![format!("Backup `{}` lacks {}.", backup.id, named(&lacks))]
    };
    Found {
        backup,
        lacks,
        notes,
        doubts: Vec::new(),
    }
}

/// The stores that a backup should hold and does not.
fn lacking(backup: &Backup, needed: &[Store]) -> Vec<Store> {
    let missing = needed.iter().copied().filter(|store| {
        let contents = backup.contents.as_ref();
        contents.is_some_and(|c| c.store(*store).is_none())
    });
    missing.collect()
}

/// Stores as words.
pub fn named(stores: &[Store]) -> String {
    let names: Vec<&str> = stores.iter().map(|s| s.name()).collect();
    names.join(", ")
}

fn labels(backup: &Backup) -> impl Iterator<Item = &str> {
    backup.contents.iter().flat_map(|c| c.words())
}

fn labels_of(backups: &[Backup]) -> BTreeSet<String> {
    let all = backups.iter().flat_map(labels);
    all.map(str::to_owned).collect()
}

fn none(world: &World, what: String) -> Error {
    Error::new(&NOT_FOUND, what).hint(format!(
        "See the backups with `summitctl backup list --context {}`.",
        world.context
    ))
}

/// Adds the backups that could have been meant.
fn candidates(mut error: Error, backups: &[Backup]) -> Error {
    for backup in backups.iter().take(SHOWN) {
        error = error.hint(described(backup));
    }
    if backups.len() > SHOWN {
        error = error.hint(format!("There are {} more.", backups.len() - SHOWN));
    }
    error
}

fn described(backup: &Backup) -> String {
    let made = backup.signed.as_ref().map(|s| s.created.human());
    let made = made.map_or(String::new(), |m| format!(" of {m}"));
    let Some(contents) = &backup.contents else {
        return format!("`{}`{made} cannot be read here.", backup.id);
    };
    let stores: Vec<&str> = contents
        .stores
        .iter()
        .map(|s| s.captured.store.name())
        .collect();
    let words: Vec<&str> = contents.words().collect();
    let mut text = format!("`{}`{made} holds {}", backup.id, stores.join(", "));
    if !words.is_empty() {
        text.push_str(&format!("; labels {}", words.join(", ")));
    }
    if let Some(commit) = contents.commit() {
        text.push_str(&format!("; commit {commit}"));
    }
    if let Some(problem) = &backup.problem {
        text.push_str(&format!("; not to be relied on: {}", problem.message));
    }
    format!("{text}.")
}

/// Adds the label that was probably meant, or those that there are.
fn known_labels(error: Error, wanted: &str, backups: &[Backup]) -> Error {
    let known = labels_of(backups);
    if let Some(near) = nearest(wanted, known.iter().map(String::as_str)) {
        return error.hint(format!("Did you mean `label:{near}`?"));
    }
    let mut shown: Vec<String> = known.iter().map(|l| format!("`{l}`")).collect();
    let more = shown.len().saturating_sub(SHOWN);
    shown.truncate(SHOWN);
    match (shown.is_empty(), more) {
        (true, _) => error.hint("No backup has a label."),
        (false, 0) => error.hint(format!("The labels in use are {}.", shown.join(", "))),
        (false, n) => error.hint(format!(
            "The labels in use are {} and {n} more.",
            shown.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_told_apart() {
        let read = |text: &str| text.parse::<Choice>();
        assert_eq!(read("newest").unwrap(), Choice::Newest);
        assert!(matches!(read("20261121T030405Z-9f3a"), Ok(Choice::Id(_))));
        assert_eq!(
            read("label:pre-deploy").unwrap(),
            Choice::Label("pre-deploy".into())
        );
        assert_eq!(
            read("commit:ABCDEF0").unwrap(),
            Choice::Commit("abcdef0".into())
        );
        for moment in [
            "before:2026-11-20T03:00Z",
            "at:2026-11-20T04:00:00+01:00",
            "before:2026-11-20T03:00:00.000Z",
        ] {
            let by: Instant = "2026-11-20T03:00:00Z".parse().unwrap();
            assert_eq!(read(moment).unwrap(), Choice::By(by), "{moment}");
        }
        let day: Instant = "2026-11-20T00:00:00Z".parse().unwrap();
        assert_eq!(read("before:2026-11-20").unwrap(), Choice::By(day));
        assert_eq!(read("2026").unwrap(), Choice::Named("2026".into()));
        for bad in [
            "",
            " ",
            "label:",
            "commit:",
            "commit:abcdef",
            "commit:xyzxyzx",
            "at:",
            "before:yesterday",
            "before:2026-11-20T03:00",
        ] {
            let error = read(bad).unwrap_err();
            assert!(!error.hints().is_empty(), "{bad}: {error}");
        }
    }

    #[test]
    fn the_program_s_own_labels_are_not_given_by_hand() {
        assert_eq!(label("pre-deploy 2.4").unwrap(), "pre-deploy 2.4");
        for bad in ["", " x", "a\nb", "safety", "commit=abcdef0"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }
}

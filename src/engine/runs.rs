//! The runs of a state directory: where their journals lie, and how one is found again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, NOT_FOUND, Result};
use crate::reasons;
use crate::time::Instant;

use super::journal::{CrashPoint, Damaged, History, Journal};
use super::replay::RunState;

reasons! {
    /// Nothing left to do.
    ENDED = "run.ended", Refused, "The run ended for good; there is nothing to resume or abort. `summitctl run show` shows it.";
}

/// Environment variable that fixes the random part of run ids in hermetic tests.
pub const FIXED_ID: &str = "SUMMITCTL_TEST_ID";

/// The journals under `<state>/runs`.
#[derive(Debug, Clone)]
pub struct Runs {
    dir: PathBuf,
}

impl Runs {
    /// The runs kept in `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Runs { dir: dir.into() }
    }

    /// A new run id: sorts by time, after the runs of this second that are here, and fits a file name, `20261121T030405Z-9f3a`.
    pub fn new_id(&self) -> String {
        let second = Instant::now().compact();
        if let Ok(fixed) = std::env::var(FIXED_ID) {
            return format!("{second}-{fixed}");
        }
        let mut bytes = [0_u8; 2];
        // Without random numbers the process id keeps two runs of one second apart.
        if getrandom::fill(&mut bytes).is_err() {
            bytes = [(std::process::id() >> 8) as u8, std::process::id() as u8];
        }
        let here = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let tags = here.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let tag = name.strip_prefix(&second)?.strip_prefix('-')?;
            u16::from_str_radix(tag, 16).ok()
        });
        let tag = tag_after(tags.max(), u16::from_be_bytes(bytes));
        format!("{second}-{tag:04x}")
    }

    /// The folder of a run; steps keep what must survive a crash in it.
    pub fn folder(&self, run: &str) -> PathBuf {
        self.dir.join(run)
    }

    /// Where a run's journal lies.
    pub fn journal(&self, run: &str) -> PathBuf {
        self.folder(run).join("journal.ndjson")
    }

    /// Creates the folder and the journal of a new run.
    pub fn create(&self, run: &str, crash: Option<CrashPoint>) -> Result<Journal> {
        let folder = self.folder(run);
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        for made in [&folder, &self.dir] {
            fs::File::open(made)
                .and_then(|d| d.sync_all())
                .map_err(|e| Error::io("sync", made, e))?;
        }
        Journal::create(&self.journal(run), crash)
    }

    /// Opens a run to go on with it.
    pub fn reopen(
        &self,
        run: &str,
        crash: Option<CrashPoint>,
    ) -> Result<(Journal, RunState, History)> {
        let path = self.existing(run)?;
        let (journal, history) = Journal::reopen(&path, crash)?;
        let state = RunState::of(&history, &path)?;
        if let Some(code) = state.ended {
            let how = if state.aborted {
                "was aborted"
            } else {
                "finished"
            };
            return Err(Error::new(
                &ENDED,
                format!("run `{run}` has ended: it {how} with exit code {code}"),
            )
            .hint(format!("See it with `summitctl run show {run}`.")));
        }
        Ok((journal, state, history))
    }

    /// Reads a run without touching it.
    pub fn show(&self, run: &str) -> Result<(RunState, History)> {
        let path = self.existing(run)?;
        let history = Journal::read(&path)?;
        Ok((RunState::of(&history, &path)?, history))
    }

    /// All run ids, newest first. A folder whose journal never got its first record is not a run.
    pub fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("list", &self.dir, e)),
        };
        let mut ids: Vec<String> = entries
            .flatten()
            .filter(|entry| has_first_record(&entry.path().join("journal.ndjson")))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        ids.sort_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// The newest run that can be resumed, or the one named.
    pub fn to_resume(&self, wanted: Option<&str>) -> Result<String> {
        if let Some(run) = wanted {
            self.existing(run)?;
            return Ok(run.to_owned());
        }
        for run in self.ids()? {
            let shown = self.show(&run).map_err(|e| {
                e.hint("To go on with an older run, name it: `summitctl run list` shows them.")
            });
            if shown?.0.resumable() {
                return Ok(run);
            }
        }
        Err(Error::new(&NOT_FOUND, "no run is waiting to be resumed")
            .hint("See all runs with `summitctl run list`."))
    }

    /// How to go on from a run that was cut off: the end of a hint.
    pub fn way_on(run: &str, context: &str) -> String {
        format!(
            "finish it with `summitctl run resume {run} --context {context}`, or take back what it did with `summitctl run abort {run} --context {context}`"
        )
    }

    /// The newest run of a context that was cut off and neither finished nor taken back, among those whose operation is `of`. Damaged
    /// runs, and those that a process executes now, are told of elsewhere.
    pub fn cut_off(&self, context: &str, of: impl Fn(&str) -> bool) -> Result<Option<String>> {
        for run in self.ids()? {
            let Ok((state, _)) = self.show(&run) else {
                continue;
            };
            let ours = state.plan.context == context && of(&state.plan.operation);
            if ours && state.resumable() && !self.busy(&run) {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    /// What is left of a run whose journal is damaged; `None` for a run that can be read.
    pub fn damaged(&self, run: &str) -> Result<Option<Damaged>> {
        Journal::salvage(&self.existing(run)?)
    }

    /// Whether a process executes the run right now.
    pub fn busy(&self, run: &str) -> bool {
        Journal::busy(&self.journal(run))
    }

    fn existing(&self, run: &str) -> Result<PathBuf> {
        // A run id is one path component, whatever somebody types.
        let safe = !run.is_empty()
            && run
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let path = self.journal(run);
        if safe && path.is_file() {
            return Ok(path);
        }
        Err(Error::new(
            &NOT_FOUND,
            format!("there is no run `{run}` in `{}`", self.dir.display()),
        )
        .hint("See all runs with `summitctl run list`."))
    }
}

/// A tag that is drawn among those after the newest one of the same second, so that later sorts as later.
fn tag_after(newest: Option<u16>, drawn: u16) -> u16 {
    match newest {
        Some(newest) if newest < u16::MAX => newest + 1 + drawn % (u16::MAX - newest),
        _ => drawn,
    }
}

fn has_first_record(journal: &Path) -> bool {
    Journal::read(journal).map_or(true, |history| !history.lines.is_empty()) && journal.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_runs_of_one_second_sort_later() {
        for drawn in [0, 1, 0x9f3a, u16::MAX] {
            assert_eq!(tag_after(None, drawn), drawn);
            for newest in [0, 0x9f3a, u16::MAX - 1] {
                assert!(tag_after(Some(newest), drawn) > newest);
            }
        }
    }
}

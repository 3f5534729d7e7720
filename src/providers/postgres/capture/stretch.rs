//! What one connection reads at a time: a table, or a stretch of a table that is too large for one connection.
//!
//! A stretch is a range of the table's pages. They are the same pages in every backup, so that what did not change is found
//! again; the stretches are joined to one part, as if the table had been read at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::super::copy::{Ends, Meter};
use super::super::enumerate::{Size, Table};
use super::{CaptureOptions, lock};
use crate::capture::{Fingerprint, FingerprintKey};

/// The usual size of a page, in bytes; servers can be built with another.
const PAGE: u64 = 8192;

/// How many pages one connection reads of a table too large for one connection: 256 MiB.
pub const STRETCH: u64 = (256 << 20) / PAGE;

/// A table or a stretch of one.
pub(super) struct Portion {
    pub table: Arc<Table>,
    pub meter: Meter,
    pub stretch: Option<Stretch>,
}

/// One of the stretches of a table.
pub(super) struct Stretch {
    index: usize,
    /// Pages of each but the last, which goes on to the table's end.
    pages: u64,
    shared: Arc<Shared>,
}

struct Shared {
    count: usize,
    /// Those that are ready.
    done: Mutex<Vec<Fingerprint>>,
}

/// What there is to read, in this order: the largest first, so that no connection is left with a large one at the end.
pub(super) fn plan(tables: Vec<(Table, Size)>, options: &CaptureOptions) -> VecDeque<Portion> {
    let total: u64 = tables.iter().map(|(_, size)| size.bytes).sum();
    let mut portions = VecDeque::new();
    for (table, size) in tables {
        let name = format!("{}.{}", table.schema, table.name);
        let meter = Meter::new(&options.events, name, None);
        let count = stretches(&table, size, total, options);
        let table = Arc::new(table);
        let shared = Arc::new(Shared {
            count,
            done: Mutex::default(),
        });
        for index in 0..count {
            portions.push_back(Portion {
                table: Arc::clone(&table),
                meter: meter.clone(),
                stretch: (count > 1).then(|| Stretch {
                    index,
                    pages: options.stretch,
                    shared: Arc::clone(&shared),
                }),
            });
        }
    }
    portions
}

/// One, unless the table is so large that a connection would still read it when all others are done. A query costs the server a
/// little more than reading the table.
fn stretches(table: &Table, size: Size, total: u64, options: &CaptureOptions) -> usize {
    let share = total / (2 * options.jobs.max(1) as u64);
    let alone = options.jobs < 2
        || size.bytes < share
        || size.pages < 2 * options.stretch
        || table.columns.is_empty()
        || table.condition.is_some();
    if alone {
        return 1;
    }
    usize::try_from(size.pages.div_ceil(options.stretch.max(1))).unwrap_or(1)
}

impl Portion {
    /// What COPY reads.
    pub(super) fn source(&self) -> String {
        match &self.stretch {
            None => self.table.source(),
            Some(stretch) => {
                let from = stretch.index as u64 * stretch.pages;
                let until = (!stretch.is_last()).then_some(from + stretch.pages);
                self.table.pages(from, until)
            }
        }
    }

    /// Which ends of the stream belong to the part here.
    pub(super) fn ends(&self) -> Ends {
        self.stretch.as_ref().map_or(Ends::BOTH, |stretch| Ends {
            head: stretch.index == 0,
            trailer: stretch.is_last(),
        })
    }
}

impl Stretch {
    fn is_last(&self) -> bool {
        self.index + 1 == self.shared.count
    }

    /// About how many bytes of the table come before.
    pub(super) fn before(&self) -> u64 {
        self.index as u64 * self.pages * PAGE
    }

    /// What it is called until it is joined to the part of this name. No name of a table gives a `#`.
    pub(super) fn name(&self, part: &str) -> String {
        stretch_name(part, self.index)
    }

    /// All stretches of the part.
    pub(super) fn names(&self, part: &str) -> Vec<String> {
        (0..self.shared.count)
            .map(|index| stretch_name(part, index))
            .collect()
    }

    /// Notes that this one is ready. The table's fingerprint, if it was the last.
    pub(super) fn finished(&self, rows: Fingerprint, key: &FingerprintKey) -> Option<Fingerprint> {
        let mut done = lock(&self.shared.done);
        done.push(rows);
        (done.len() == self.shared.count).then(|| {
            let mut whole = key.start();
            done.iter().for_each(|rows| whole.merge(rows));
            whole.finish()
        })
    }
}

fn stretch_name(part: &str, index: usize) -> String {
    format!("{part}#{index}")
}

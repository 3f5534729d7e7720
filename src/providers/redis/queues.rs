//! Queues among the keys: what is waiting in them when a backup is taken would run again after a restore. They are known by
//! the names and types that the libraries give their keys.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::capture::PartInfo;

use super::rdb::Value;

/// What a part's description calls them.
pub(super) const META: &str = "queues";

/// How many queues of a kind are named; more are counted as none.
const MOST: usize = 200;

/// How many lists are remembered by their length, until it is known whether they are queues.
const LISTS: usize = 10_000;

/// One queue with work in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Queue {
    /// Whose: `BullMQ`, `Celery`, `Sidekiq`, `RQ`, `Resque`, `stream group`.
    pub system: String,
    /// Its name.
    pub name: String,
    /// Jobs that wait, are being done, or are due later; of a stream's group, entries that are pending or not delivered.
    pub jobs: u64,
}

/// What a group of a stream is called among the queues.
const STREAM_GROUP: &str = "stream group";

impl Queue {
    /// Whether it is a group of a stream: a server may have hundreds of those.
    pub fn is_stream_group(&self) -> bool {
        self.system == STREAM_GROUP
    }

    /// What a restore does to it.
    pub fn line(&self) -> String {
        let what = match self.system.as_str() {
            STREAM_GROUP => "entries would be delivered again",
            _ => "jobs would run again",
        };
        format!("{} `{}`: {} {what}", self.system, self.name, self.jobs)
    }
}

/// The queues that a backup's parts name.
pub fn queues(parts: &[PartInfo]) -> Vec<Queue> {
    let lists = parts.iter().filter_map(|part| part.meta.get(META));
    lists
        .filter_map(|list| serde_json::from_value::<Vec<Queue>>(list.clone()).ok())
        .flatten()
        .collect()
}

/// Looks at keys as they come.
#[derive(Default)]
pub(super) struct Watch {
    found: BTreeMap<(&'static str, String), u64>,
    /// How many of each kind.
    counts: BTreeMap<&'static str, usize>,
    /// Names that Kombu bound, and the lengths of the lists that may be meant.
    bound: BTreeSet<String>,
    lists: BTreeMap<String, u64>,
}

impl Watch {
    /// Looks at one key.
    pub(super) fn look(&mut self, key: &[u8], value: &Value) {
        let Ok(name) = std::str::from_utf8(key) else {
            return;
        };
        if let Value::Stream(stream) = value {
            for (group, state) in &stream.groups {
                let behind = stream.entries.iter().rev();
                let waiting = behind.take_while(|(id, _)| *id > state.last_id).count();
                let jobs = (state.pending.len() + waiting) as u64;
                self.add(
                    STREAM_GROUP,
                    format!("{name}/{}", String::from_utf8_lossy(group)),
                    jobs,
                );
            }
            return;
        }
        let jobs = match value {
            Value::List(items) => items.len(),
            Value::Zset(members) => members.len(),
            Value::Hash(fields) => fields.len(),
            Value::Set(_) => 0,
            Value::String(_) | Value::Stream(_) | Value::Module(_) => return,
        } as u64;
        if let Some(bound) = name.strip_prefix("_kombu.binding.") {
            self.bound.insert(bound.to_owned());
            return;
        }
        let is_list = matches!(value, Value::List(_));
        let is_sorted = matches!(value, Value::Zset(_));
        match name {
            "celery" if is_list => self.add("Celery", name.to_owned(), jobs),
            "unacked" if matches!(value, Value::Hash(_)) => {
                self.add("Celery", name.to_owned(), jobs);
            }
            "schedule" | "retry" if is_sorted => self.add("Sidekiq", name.to_owned(), jobs),
            _ if is_list || is_sorted => self.named(name, is_list, jobs),
            _ => {}
        }
    }

    fn named(&mut self, name: &str, is_list: bool, jobs: u64) {
        let bull = name
            .strip_prefix("bull:")
            .or_else(|| name.strip_prefix("{bull}:"))
            .and_then(|rest| rest.rsplit_once(':'));
        if let Some((queue, state)) = bull {
            const OPEN: [&str; 7] = [
                "wait",
                "active",
                "delayed",
                "paused",
                "prioritized",
                "priority",
                "waiting-children",
            ];
            if OPEN.contains(&state) {
                self.add("BullMQ", queue.to_owned(), jobs);
            }
            return;
        }
        if !is_list {
            return;
        }
        for (prefix, system) in [
            ("rq:queue:", "RQ"),
            ("resque:queue:", "Resque"),
            ("queue:", "Sidekiq"),
        ] {
            if let Some(queue) = name.strip_prefix(prefix) {
                self.add(system, queue.to_owned(), jobs);
                return;
            }
        }
        if self.lists.len() < LISTS {
            // A long one comes in pieces.
            *self.lists.entry(name.to_owned()).or_default() += jobs;
        }
    }

    fn add(&mut self, system: &'static str, name: String, jobs: u64) {
        if jobs == 0 {
            return;
        }
        let count = self.counts.entry(system).or_default();
        match self.found.entry((system, name)) {
            Entry::Occupied(mut known) => *known.get_mut() += jobs,
            // Many of one kind must not hide those of another.
            Entry::Vacant(new) if *count < MOST => {
                *count += 1;
                new.insert(jobs);
            }
            Entry::Vacant(_) => {}
        }
    }

    /// What was found.
    pub(super) fn finish(mut self) -> Vec<Queue> {
        for name in std::mem::take(&mut self.bound) {
            if let Some(jobs) = self.lists.get(&name).copied() {
                self.add("Celery", name, jobs);
            }
        }
        let found = self.found.into_iter();
        found
            .map(|((system, name), jobs)| Queue {
                system: system.to_owned(),
                name,
                jobs,
            })
            .collect()
    }
}

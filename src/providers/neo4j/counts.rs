//! How many nodes carry each label and how many relationships are of each type, as a part's meta says it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

/// A database may have a label for each tenant; of more names than these nothing is said.
const NAMES: usize = 1_000;

/// What a part's meta calls the counts: by label of the nodes, by type of the relationships.
pub const KEYS: [&str; 2] = ["labels", "types"];

/// The counts of one worker, or of all.
#[derive(Debug, Default)]
pub(super) struct Counts {
    by_name: HashMap<String, u64>,
    too_many: bool,
}

impl Counts {
    pub(super) fn add(&mut self, name: &str) {
        match self.by_name.get_mut(name) {
            Some(count) => *count += 1,
            None => self.put(name.to_owned(), 1),
        }
    }

    pub(super) fn merge(&mut self, other: Counts) {
        self.too_many |= other.too_many;
        for (name, count) in other.by_name {
            match self.by_name.get_mut(&name) {
                Some(ours) => *ours += count,
                None => self.put(name, count),
            }
        }
    }

    fn put(&mut self, name: String, count: u64) {
        if self.by_name.len() == NAMES {
            self.too_many = true;
        } else {
            self.by_name.insert(name, count);
        }
    }

    /// In name order; `None` if there were too many names to count.
    pub(super) fn meta(&self) -> Option<Value> {
        let sorted: BTreeMap<_, _> = self.by_name.iter().collect();
        (!self.too_many).then(|| json!(sorted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_or_not_told() {
        let (mut one, mut other) = (Counts::default(), Counts::default());
        for name in ["Person", "City", "Person"] {
            one.add(name);
        }
        for name in ["Person", "Road"] {
            other.add(name);
        }
        one.merge(other);
        let told = json!({"City": 1, "Person": 3, "Road": 1});
        assert_eq!(one.meta(), Some(told));
        (0..NAMES).for_each(|n| one.add(&format!("Tenant{n}")));
        assert_eq!(one.meta(), None);
        let mut all = Counts::default();
        all.merge(one);
        assert_eq!(all.meta(), None);
    }
}

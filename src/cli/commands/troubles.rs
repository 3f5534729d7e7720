//! What would come back with a backup and keep a restored copy from working, as people read it.

use serde_json::Value;

use crate::capture::Trouble;
use crate::identity::Store;
use crate::repository::Contents;

/// What the captures say of it; nothing if nobody looked.
pub fn of(contents: &Contents) -> Option<Vec<Trouble>> {
    let stores = [Store::Postgres, Store::Neo4j];
    let captured = stores.iter().filter_map(|s| contents.store(*s));
    let looked = captured.filter_map(|c| c.troubles.clone());
    looked.reduce(|all, more| [all, more].concat())
}

/// The mark in the list: `! lock held, sequence behind`.
pub fn mark(contents: &Contents) -> Option<String> {
    let troubles = of(contents)?;
    let mut words: Vec<&str> = troubles
        .iter()
        .map(|trouble| match trouble {
            Trouble::Lock { .. } => "lock held",
            Trouble::Sequence { .. } => "sequence behind",
            Trouble::Index { .. } => "index invalid",
        })
        .collect();
    words.dedup();
    (!words.is_empty()).then(|| format!("! {}", words.join(", ")))
}

/// A line for each.
pub fn lines<'t>(troubles: impl Iterator<Item = &'t Trouble>, indent: &str) -> String {
    let line = |t: &Trouble| {
        let (database, words) = (t.database(), t.words());
        format!("{indent}comes back with a restore: in `{database}` {words}\n")
    };
    troubles.map(line).collect()
}

/// [`lines`] of what a finished capture observed, and how a restore goes about it.
pub fn after(observed: &Value) -> String {
    let found: Option<Vec<Trouble>> = serde_json::from_value(observed.clone()).ok();
    let found = found.unwrap_or_default();
    let mut text = lines(found.iter(), "          ");
    if !found.is_empty() {
        text.push_str("          a restore tells of it again, and mends it with `--mend`\n");
    }
    text
}

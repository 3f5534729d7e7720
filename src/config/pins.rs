//! Pins: what each target of a context was when somebody said "this one". Storage and comparison only; looking at a
//! target is the providers' work, and consent to a new pin is the caller's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{Error, Result};
use crate::identity::{Difference, Identity, Store};
use crate::reasons;
use crate::time::Instant;

reasons! {
    /// A pin's file was edited, or written by a newer version.
    PIN_UNREADABLE = "config.pin-unreadable", Integrity,
        "The file with a context's pins is not what this version writes. Without it nobody can tell whether a target is the pinned \
         one, so nothing is changed. Restore the file, or look at the targets and pin them again with `summitctl context pin --replace`.";
    /// The context has a pin for this store already.
    PIN_EXISTS = "config.pin-exists", Refused,
        "The context is pinned to another target. Replacing a pin is a destructive act: `summitctl context pin --replace` asks for its consent.";
}

const VERSION: u32 = 1;

/// A pinned identity, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// What the target was.
    pub identity: Identity,
    /// When it was pinned.
    pub since: Instant,
}

/// How a target that was looked at compares with its pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PinState {
    /// Nobody pinned it.
    Unpinned,
    /// It is the pinned target.
    Same,
    /// It is another one, or the same one elsewhere.
    Different(Vec<Difference>),
}

/// The pins of one context, in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinStore {
    path: PathBuf,
    context: String,
    pins: BTreeMap<Store, Pin>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    version: u32,
    context: String,
    pins: BTreeMap<Store, Pin>,
}

impl PinStore {
    /// Reads the pins of a context from `<state>/pins/<context>.json`; none if there is no file.
    ///
    /// # Errors
    /// `config.pin-unreadable` if the file is not ours, of another version, or of another context.
    pub fn load(state: &Path, context: &str) -> Result<PinStore> {
        let path = state.join("pins").join(format!("{context}.json"));
        let mut store = PinStore {
            path,
            context: context.to_owned(),
            pins: BTreeMap::new(),
        };
        let text = match std::fs::read_to_string(&store.path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(store),
            Err(e) => return Err(Error::io("read", &store.path, e)),
        };
        let unreadable = |what: String| {
            Error::new(
                &PIN_UNREADABLE,
                format!("`{}` {what}", store.path.display()),
            )
            .hint(format!(
                "Move it away, find out with `summitctl context show --context {context}` that the targets are the right ones, and pin them anew with `summitctl context pin --context {context}`."
            ))
        };
        let written: Written = serde_json::from_str(&text)
            .map_err(|e| unreadable("is not a file of pins".to_owned()).caused_by(e))?;
        if written.version != VERSION {
            return Err(unreadable(format!(
                "has version {}, this summitctl reads version {VERSION}",
                written.version
            )));
        }
        if written.context != context {
            return Err(unreadable(format!(
                "belongs to the context `{}`",
                written.context
            )));
        }
        if let Some((name, pin)) = written.pins.iter().find(|(s, p)| **s != p.identity.store) {
            return Err(unreadable(format!(
                "pins `{name}` to a target of kind `{}`",
                pin.identity.store
            )));
        }
        store.pins = written.pins;
        Ok(store)
    }

    /// Forgets every pin of a context whose targets are gone for good; whether there was any.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn forget(state: &Path, context: &str) -> Result<bool> {
        let path = state.join("pins").join(format!("{context}.json"));
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io("remove", &path, e)),
        }
    }

    /// The pin of a store.
    pub fn get(&self, store: Store) -> Option<&Pin> {
        self.pins.get(&store)
    }

    /// All pins, in the order of the stores.
    pub fn iter(&self) -> impl Iterator<Item = (Store, &Pin)> {
        self.pins.iter().map(|(store, pin)| (*store, pin))
    }

    /// Compares a target that was looked at with its pin.
    pub fn compare(&self, seen: &Identity) -> PinState {
        let Some(pin) = self.pins.get(&seen.store) else {
            return PinState::Unpinned;
        };
        let differences = pin.identity.differences(seen);
        if differences.is_empty() {
            PinState::Same
        } else {
            PinState::Different(differences)
        }
    }

    /// Pins a target that was not pinned, durably. Pinning the same target again changes nothing.
    ///
    /// # Errors
    /// `config.pin-exists` if the store is pinned to another target; a file that cannot be written.
    pub fn save(&mut self, identity: Identity) -> Result<()> {
        match self.compare(&identity) {
            PinState::Same => Ok(()),
            PinState::Unpinned => self.replace(identity),
            PinState::Different(differences) => {
                let facts: Vec<String> = differences
                    .iter()
                    .map(|d| format!("`{}`", d.fact))
                    .collect();
                Err(Error::new(
                    &PIN_EXISTS,
                    format!(
                        "`{}` of context `{}` is pinned to another target; {} differ",
                        identity.store,
                        self.context,
                        facts.join(", ")
                    ),
                )
                .hint(format!(
                    "If the new target is right, run `summitctl context pin --replace --context {}`.",
                    self.context
                )))
            }
        }
    }

    /// Pins a target whatever was pinned before, durably. A destructive act: the caller holds the consent to it.
    ///
    /// # Errors
    /// A file that cannot be written; then the pins in memory are unchanged too.
    pub fn replace(&mut self, identity: Identity) -> Result<()> {
        let mut pins = self.pins.clone();
        let since = Instant::now();
        pins.insert(identity.store, Pin { identity, since });
        let written = Written {
            version: VERSION,
            context: self.context.clone(),
            pins,
        };
        let mut text = serde_json::to_string_pretty(&written)
            .map_err(|e| Error::bug("pins do not serialise").caused_by(e))?;
        text.push('\n');
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        durable::write(&self.path, text.as_bytes())?;
        self.pins = written.pins;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let dir =
                std::env::temp_dir().join(format!("summitctl-pins-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Folder(dir)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn identity(endpoint: &str) -> Identity {
        Identity::new(
            Store::Postgres,
            [("endpoint", endpoint), ("database", "app")],
        )
    }

    #[test]
    fn a_pin_is_kept_compared_and_replaced_only_on_purpose() {
        let folder = Folder::new("kept");
        let mut pins = PinStore::load(&folder.0, "prod").unwrap();
        assert_eq!(pins.compare(&identity("a:1")), PinState::Unpinned);
        pins.save(identity("a:1")).unwrap();
        let before = std::fs::read(folder.0.join("pins/prod.json")).unwrap();
        let mut pins = PinStore::load(&folder.0, "prod").unwrap();
        assert_eq!(pins.compare(&identity("a:1")), PinState::Same);
        pins.save(identity("a:1")).unwrap();
        assert_eq!(
            std::fs::read(folder.0.join("pins/prod.json")).unwrap(),
            before
        );
        let PinState::Different(differences) = pins.compare(&identity("b:1")) else {
            panic!("a different target")
        };
        assert_eq!(differences[0].fact, "endpoint");
        let error = pins.save(identity("b:1")).expect_err("refused");
        assert_eq!(error.reason(), &PIN_EXISTS);
        pins.replace(identity("b:1")).unwrap();
        let pins = PinStore::load(&folder.0, "prod").unwrap();
        assert_eq!(pins.compare(&identity("b:1")), PinState::Same);
        assert_eq!(pins.iter().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_integrity_error() {
        let folder = Folder::new("edited");
        let file = folder.0.join("pins/prod.json");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        for text in [
            "",
            "{}",
            r#"{"version":2,"context":"prod","pins":{}}"#,
            r#"{"version":1,"context":"staging","pins":{}}"#,
            r#"{"version":1,"context":"prod","pins":{"redis":{"identity":{"store":"neo4j","facts":{}},"since":"2026-01-01T00:00:00Z"}}}"#,
        ] {
            std::fs::write(&file, text).unwrap();
            let error = PinStore::load(&folder.0, "prod").expect_err(text);
            assert_eq!(error.reason(), &PIN_UNREADABLE, "{text}");
            assert_eq!(error.exit(), crate::exit::Exit::Integrity);
        }
    }
}

//! The databases of a context's Postgres target: the URL's own and those that are named beside it.

use super::world::{NOT_CONFIGURED, Seen, World, seen};
use crate::capture::PartSource as _;
use crate::config;
use crate::config::pins::PinState;
use crate::error::{Error, NOT_FOUND, Result};
use crate::expr::nearest;
use crate::identity::{Identity, MARKER, Store, is_marker};
use crate::providers::postgres::{self, captured_databases};
use crate::repository::BackupParts;
use crate::wait::Deadline;

impl World {
    /// Every database of the Postgres target, the URL's own first.
    pub fn postgres_databases(&self) -> Result<Vec<postgres::Target>> {
        let server = self.postgres()?;
        let all = self.databases.iter();
        Ok(all.map(|name| server.with_database(name)).collect())
    }

    /// Asks each database.
    pub(super) async fn ping_postgres(&self, deadline: Deadline) -> Result<Seen> {
        let health = postgres::ping(self.postgres()?, deadline).await?;
        let mut seen = seen(health.version, health.latency, health.facts);
        let databases = self.postgres_databases()?;
        for other in databases.iter().skip(1) {
            postgres::ping(other, deadline).await?;
        }
        if databases.len() > 1 {
            let names = serde_json::json!(self.databases);
            seen.facts.insert("databases".to_owned(), names);
        }
        Ok(seen)
    }

    /// The marker of a store that was looked at; none unless each of its databases has it.
    pub fn marker<'i>(&self, seen: &'i Identity) -> Result<Option<&'i String>> {
        let marker = seen.facts.get(MARKER);
        let (Some(text), Store::Postgres) = (marker, seen.store) else {
            return Ok(marker);
        };
        let databases = self.postgres_databases()?;
        let everywhere = databases.iter().all(|database| {
            let name = &database.database;
            let wanted = postgres::marker_of(&databases, name, text);
            seen.facts.get(&postgres::marker_fact(&databases, name)) == Some(&wanted)
        });
        Ok(marker.filter(|_| everywhere))
    }

    /// Compares one of the Postgres databases with its pin: a run may have put another one in its place already, and that has no
    /// marker yet.
    pub async fn require_pinned_database(&self, name: &str) -> Result<()> {
        let databases = self.postgres_databases()?;
        let seen = self.identify(Store::Postgres).await?;
        let own = postgres::marker_fact(&databases, name);
        match self.pins()?.compare(&seen) {
            PinState::Same => Ok(()),
            PinState::Unpinned => self.require_pinned(Store::Postgres).await.map(drop),
            PinState::Different(mut differences) => {
                differences.retain(|d| d.fact == own || !is_marker(&d.fact));
                if differences.is_empty() {
                    return Ok(());
                }
                Err(self.wrong_target(Store::Postgres, &differences))
            }
        }
    }

    /// The database that a captured one takes the place of: that of its name, or the only one where either side has no other.
    pub fn live_of(&self, captured: &str, all_captured: &[String]) -> Result<postgres::Target> {
        let server = self.postgres()?;
        if self.databases.iter().any(|name| name == captured) {
            return Ok(server.with_database(captured));
        }
        if let ([_], [_]) = (self.databases.as_slice(), all_captured) {
            return Ok(server.clone());
        }
        let name = &self.context;
        Err(Error::input(format!("context `{name}` has no database `{captured}`, which the backup holds"))
            .hint(format!(
                "Add it to `databases` of `[contexts.{name}.postgres]` if it is to be replaced too, choose others with `--database NAME`, or \
                 restore it beside them with `--database {captured} --as NAME`."
            )))
    }

    /// The database that this name means; the context's only one without a name.
    pub fn live_database(&self, name: Option<&str>) -> Result<postgres::Target> {
        let server = self.postgres()?;
        match (name, self.databases.as_slice()) {
            (Some(name), all) if all.iter().any(|d| d == name) => Ok(server.with_database(name)),
            (Some(name), _) => Err(Error::input(format!(
                "context `{}` has no database `{name}`",
                self.context
            ))),
            (None, [_]) => Ok(server.clone()),
            (None, all) => Err(Error::input(format!(
                "context `{}` has {} Postgres databases, and none was named",
                self.context,
                all.len()
            ))),
        }
    }
}

/// The database of a backup that this name means; its only one without a name.
pub fn of_backup(source: &BackupParts, name: Option<&str>) -> Result<String> {
    let databases = captured_databases(&source.parts("postgres/"));
    one_of(&databases, source.contents().backup.as_str(), name)
}

/// [`of_backup`], from the names.
pub fn one_of(databases: &[String], backup: &str, name: Option<&str>) -> Result<String> {
    let listed: Vec<String> = databases.iter().map(|d| format!("`{d}`")).collect();
    let listed = listed.join(", ");
    match (name, databases) {
        (_, []) => Err(Error::input(format!(
            "backup `{backup}` holds no Postgres database"
        ))),
        (None, [one]) => Ok(one.clone()),
        (None, _) => Err(Error::input(format!(
            "backup `{backup}` holds several Postgres databases, and none was chosen"
        ))
        .hint(format!("Choose one with `--database NAME`: {listed}."))),
        (Some(name), all) if all.iter().any(|d| d == name) => Ok(name.to_owned()),
        (Some(name), all) => {
            let error = Error::new(
                &NOT_FOUND,
                format!("backup `{backup}` holds no Postgres database `{name}`"),
            );
            Err(match nearest(name, all.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("Did you mean `{near}`?")),
                None => error.hint(format!("It holds {listed}.")),
            })
        }
    }
}

/// The databases that the context names, the URL's own first.
pub(super) fn named(
    context: &config::Context,
    target: Option<&postgres::Target>,
) -> Result<Vec<String>> {
    let (Some(settings), Some(target)) = (&context.postgres, target) else {
        return Ok(Vec::new());
    };
    let own = &target.database;
    let mut named: Vec<String> = settings.databases.iter().map(|d| d.value.clone()).collect();
    if !named.is_empty() && !named.contains(own) {
        let list = &settings.databases[0].source;
        return Err(Error::new(
            &NOT_CONFIGURED,
            format!(
                "`databases` of context `{}` does not name `{own}`, to which its URL leads ({list})",
                context.name
            ),
        )
        .hint(format!("Add `\"{own}\"` to `databases`, or let `url` end in the name of one of them.")));
    }
    named.retain(|name| name != own);
    named.sort();
    named.insert(0, own.clone());
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_needed_where_a_backup_holds_several() {
        let names = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let two = names(&["app", "billing"]);
        assert_eq!(one_of(&names(&["app"]), "b", None).unwrap(), "app");
        assert_eq!(one_of(&two, "b", Some("billing")).unwrap(), "billing");
        let error = one_of(&two, "b", None).unwrap_err();
        assert_eq!(
            error.hints(),
            ["Choose one with `--database NAME`: `app`, `billing`."]
        );
        let error = one_of(&two, "b", Some("biling")).unwrap_err();
        assert_eq!(error.hints(), ["Did you mean `billing`?"]);
        assert!(one_of(&[], "b", None).is_err());
    }
}

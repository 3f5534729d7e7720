//! Several databases of one server as one target: what they are together, and one capture of all of them.

use super::session::{Access, close, open, texts};
use super::{
    CaptureOptions, MAINTENANCE_DATABASE, Target, capture, identify, plant_marker, read_marker,
};
use crate::capture::{Captured, Consistency, PartSink};
use crate::error::{Context as _, Error, Result};
use crate::identity::{Identity, MARKER};

/// The facts of the first database, and the names and markers of the others. One that is missing is an error that names it.
pub async fn identify_all(databases: &[Target]) -> Result<Identity> {
    let (first, others) = split(databases)?;
    let mut identity = identify(first).await?;
    if others.is_empty() {
        return Ok(identity);
    }
    let names: Vec<&str> = databases.iter().map(|d| d.database.as_str()).collect();
    identity
        .facts
        .insert("databases".to_owned(), names.join(", "));
    for other in others {
        let marker = read_marker(other).await?;
        let fact = marker_fact(databases, &other.database);
        identity.facts.extend(marker.map(|marker| (fact, marker)));
    }
    Ok(identity)
}

/// The fact of [`identify_all`] that holds the marker of one of the databases.
pub fn marker_fact(databases: &[Target], name: &str) -> String {
    match databases.first() {
        Some(first) if first.database != name => format!("{MARKER}/{name}"),
        _ => MARKER.to_owned(),
    }
}

/// The marker of one of the databases, where `marker` is that of all: two databases that change places are not taken for
/// each other.
pub fn marker_of(databases: &[Target], name: &str, marker: &str) -> String {
    match databases.first() {
        Some(first) if first.database != name => format!("{marker}/{name}"),
        _ => marker.to_owned(),
    }
}

/// Plants the marker in each database.
pub async fn plant_markers(databases: &[Target], marker: &str) -> Result<()> {
    for database in databases {
        plant_marker(database, &marker_of(databases, &database.database, marker)).await?;
    }
    Ok(())
}

/// Captures the databases one after the other. Each shows one moment of its own: a snapshot does not reach across databases.
pub async fn capture_all(
    databases: &[Target],
    sink: &dyn PartSink,
    options: &CaptureOptions,
) -> Result<Captured> {
    let (first, others) = split(databases)?;
    let identity = identify_all(databases).await?;
    let unnamed = unnamed(databases).await?;
    let mut all = capture(first, sink, options).await?;
    all.identity = identity;
    let several = !others.is_empty();
    if several {
        all.consistency = Consistency::Apart;
        all.method = format!(
            "each database as of its own moment: {}",
            of(first, &all.method)
        );
        all.not_carried = all.not_carried.iter().map(|line| of(first, line)).collect();
    }
    for other in others {
        let one = capture(other, sink, options)
            .await
            .context(|| format!("database `{}` cannot be captured", other.database))?;
        all.method = format!("{}; {}", all.method, of(other, &one.method));
        all.from = all.from.min(one.from);
        all.to = all.to.max(one.to);
        all.not_carried
            .extend(one.not_carried.iter().map(|line| of(other, line)));
        all.troubles = match (all.troubles, one.troubles) {
            (Some(seen), Some(more)) => Some([seen, more].concat()),
            _ => None,
        };
        all.parts.extend(one.parts);
    }
    if several && !unnamed.is_empty() {
        all.not_carried.push(format!(
            "databases of the server that the context does not name: {}",
            super::enumerate::listed(&unnamed)
        ));
    }
    Ok(all)
}

fn of(database: &Target, line: &str) -> String {
    format!("`{}`: {line}", database.database)
}

/// Databases of the server that are not among these: not the server's own, and none that a restore made.
async fn unnamed(databases: &[Target]) -> Result<Vec<String>> {
    let (first, _) = split(databases)?;
    let mut session = open(first, Access::Read).await?;
    let found = texts(
        first,
        &mut session,
        "list the databases",
        "SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1",
    )
    .await;
    close(session).await;
    let mut names = found?;
    names.retain(|name| {
        let named = databases.iter().any(|d| d.database == *name);
        !named && name != MAINTENANCE_DATABASE && !super::swap::is_made(name)
    });
    Ok(names)
}

fn split(databases: &[Target]) -> Result<(&Target, &[Target])> {
    databases
        .split_first()
        .ok_or_else(|| Error::bug("a Postgres target without a database"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_a_marker_of_its_own() {
        let app = Target::parse("postgres://u@h/app", None, None).expect("parses");
        let all = [app.clone(), app.with_database("billing")];
        assert_eq!(marker_fact(&all, "app"), "marker");
        assert_eq!(marker_fact(&all, "billing"), "marker/billing");
        assert_eq!(marker_of(&all, "app", "m"), "m");
        assert_eq!(marker_of(&all, "billing", "m"), "m/billing");
    }
}

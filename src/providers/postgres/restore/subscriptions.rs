//! Subscriptions come back disconnected: a copy of a database must not take over the original's replication slot at the
//! publisher, nor what the original has yet to receive.

use sqlx::Row as _;

use super::super::Target;
use super::super::dump::{self, Loading};
use super::super::enumerate::listed;
use super::super::session::{close, failed, query, run};
use super::super::sql::ident;
use super::super::tools::Tool;
use super::open_loader;
use super::place::Archive;
use crate::error::Result;

/// The archive's contents, apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Apart {
    /// What is neither of the two, as far as it is wanted.
    pub others: String,
    pub subscriptions: String,
    /// They come last of all, since they would see the subscriptions being made.
    pub event_triggers: String,
}

impl Apart {
    /// Of a listing by `pg_restore`. All others are wanted where nothing is said.
    pub(super) fn of(contents: &str, wanted: Option<&[i32]>) -> Apart {
        let mut apart = Apart::default();
        for line in contents.lines() {
            let number = line.split(';').next().and_then(|n| n.parse().ok());
            let is_wanted = |wanted: &[i32]| number.is_some_and(|n| wanted.contains(&n));
            let chosen = if is_about(line, &["SUBSCRIPTION"]) {
                &mut apart.subscriptions
            } else if is_about(line, &["EVENT", "TRIGGER"]) {
                &mut apart.event_triggers
            } else if wanted.is_none_or(is_wanted) {
                &mut apart.others
            } else {
                continue;
            };
            chosen.push_str(line);
            chosen.push('\n');
        }
        apart
    }
}

/// `3400; 6100 16400 SUBSCRIPTION - name owner`, or `3401; 0 0 COMMENT - SUBSCRIPTION name owner`.
fn is_about(line: &str, kind: &[&str]) -> bool {
    let words: Vec<&str> = line.split_whitespace().skip(3).collect();
    let of = match words.as_slice() {
        ["COMMENT", _, of @ ..] | ["SECURITY", "LABEL", _, of @ ..] => of,
        of => of,
    };
    of.starts_with(kind)
}

/// Makes the subscriptions without slots. What cannot be made is said: a role of few rights restores the rest all the same.
pub(super) async fn restore(
    target: &Target,
    tool: &Tool,
    archive: &Archive,
    how: &Loading<'_>,
    names: &[String],
    notes: &mut Vec<String>,
) -> Result<()> {
    let loaded = dump::restore_section(target, tool, archive.path(), how).await;
    let mut session = open_loader(target).await?;
    let found = query(
        "SELECT subname::text AS name, subslotname::text AS slot FROM pg_subscription
         WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1",
    )
    .fetch_all(&mut session)
    .await
    .map_err(|e| failed(target, "list the subscriptions", e))?;
    let mut made = Vec::new();
    for row in &found {
        let name: String = row.get("name");
        let slot: Option<String> = row.get("slot");
        let quoted = ident(&name);
        let detach = format!(
            "ALTER SUBSCRIPTION {quoted} DISABLE; ALTER SUBSCRIPTION {quoted} SET (slot_name = NONE)"
        );
        run(target, &mut session, &detach).await?;
        notes.push(match slot {
            Some(slot) => format!(
                "subscription `{name}` came back disabled and without its replication slot, which was `{slot}`"
            ),
            None => format!("subscription `{name}` came back disabled, without a replication slot"),
        });
        made.push(name);
    }
    close(session).await;
    let missing: Vec<String> = names
        .iter()
        .filter(|n| !made.contains(n))
        .cloned()
        .collect();
    if !missing.is_empty() {
        let why = match loaded {
            Err(e) => e.one_line(),
            Ok(words) => words.join("; "),
        };
        notes.push(format!(
            "subscriptions were left out: {}: {why}",
            listed(&missing)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_told_from_the_rest() {
        let rest = "; Archive created at now\n1; 1259 16385 TABLE public SUBSCRIPTION owner\n2; 0 0 COMMENT public TABLE t owner\n";
        let ours =
            "3; 6100 16400 SUBSCRIPTION - a b owner\n4; 0 0 COMMENT - SUBSCRIPTION a owner\n";
        let last = "5; 3466 16401 EVENT TRIGGER - guard owner\n6; 0 0 COMMENT - EVENT TRIGGER guard owner\n";
        let mut apart = Apart {
            others: rest.to_owned(),
            subscriptions: ours.to_owned(),
            event_triggers: last.to_owned(),
        };
        let all = format!("{rest}{last}{ours}");
        assert_eq!(Apart::of(&all, None), apart);
        apart.others = "2; 0 0 COMMENT public TABLE t owner\n".to_owned();
        assert_eq!(Apart::of(&all, Some(&[2])), apart);
    }
}

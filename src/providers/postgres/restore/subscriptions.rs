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

/// The entries of the archive's contents that are not about subscriptions, as far as they are among `wanted`, and those that are.
pub(super) fn split(contents: &str, wanted: Option<&[i32]>) -> (String, String) {
    let (mut others, mut ours) = (String::new(), String::new());
    for line in contents.lines() {
        let number = line.split(';').next().and_then(|n| n.parse().ok());
        let is_wanted = |wanted: &[i32]| number.is_some_and(|n| wanted.contains(&n));
        let chosen = if is_subscription(line) {
            &mut ours
        } else if wanted.is_none_or(is_wanted) {
            &mut others
        } else {
            continue;
        };
        chosen.push_str(line);
        chosen.push('\n');
    }
    (others, ours)
}

/// `3400; 6100 16400 SUBSCRIPTION - name owner`, or `3401; 0 0 COMMENT - SUBSCRIPTION name owner`.
fn is_subscription(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().skip(3).collect();
    match words.as_slice() {
        ["SUBSCRIPTION", ..] => true,
        ["COMMENT", _, about, ..] | ["SECURITY", "LABEL", _, about, ..] => *about == "SUBSCRIPTION",
        _ => false,
    }
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
        assert_eq!(
            split(&format!("{rest}{ours}"), None),
            (rest.to_owned(), ours.to_owned())
        );
        let comment = "2; 0 0 COMMENT public TABLE t owner\n";
        assert_eq!(
            split(&format!("{rest}{ours}"), Some(&[2])),
            (comment.to_owned(), ours.to_owned())
        );
    }
}

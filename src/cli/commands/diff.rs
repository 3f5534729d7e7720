//! `backup diff`.

use super::world;
use crate::cli::Session;
use crate::cli::args::BackupDiffArgs;
use crate::cli::output::{Answer, table};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::ops::diff::{Change, Comparison, StoreComparison};
use crate::repository::{Backup, NO_SECRET};
use crate::steps::choose::find;
use crate::time::human_bytes;

/// `backup diff OLD NEW`
pub async fn diff(session: &Session, args: &BackupDiffArgs) -> Result<Answer> {
    let world = world::world(session).await?;
    let repository = world.repository().await?;
    let mut found = Vec::new();
    for choice in [&args.from, &args.to] {
        let one = find(&world, &repository, choice, &[]).await?;
        one.notes.iter().for_each(|note| session.output.say(note));
        found.push(one.backup);
    }
    let (from, to) = (&found[0], &found[1]);
    if from.id == to.id {
        let (id, context) = (&from.id, &world.context);
        session.output.say(&format!(
            "Both names mean backup `{id}`: see the others with `summitctl backup list --context {context}`."
        ));
    }
    let mut compared = Comparison::of(from, to).ok_or_else(|| unreadable(from, to))?;
    if compared.schema_may_differ() {
        let read = async {
            let repository = world.readable_repository().await?;
            let (old, new) = (
                repository.source(&from.id).await?,
                repository.source(&to.id).await?,
            );
            compared.read_schema(&old, &new).await
        };
        if let Err(e) = read.await {
            let why = format!("what changed in the schema and in roles: {}", e.one_line());
            compared.not_compared.push(why);
        }
    }
    Ok(Answer::new(Exit::Ok, text(&compared), compared))
}

fn unreadable(from: &Backup, to: &Backup) -> Error {
    let without = if from.contents.is_none() { from } else { to };
    Error::new(
        &NO_SECRET,
        format!("the contents of backup `{}` are not known here", without.id),
    )
    .hint(format!(
        "See why with `summitctl backup show {}`.",
        without.id
    ))
}

fn text(compared: &Comparison) -> String {
    let mut text = String::new();
    for (word, side) in [("from", &compared.from), ("to", &compared.to)] {
        let of = side
            .of
            .map_or(String::new(), |of| format!(", as of {}", of.human()));
        text.push_str(&format!("{word:<9} {}{of}\n", side.backup));
    }
    if compared.from.context != compared.to.context {
        let (from, to) = (&compared.from.context, &compared.to.context);
        text.push_str(&format!("context   {from} → {to}\n"));
    }
    for store in &compared.stores {
        text.push_str(&format!("\n{}\n", heading(store)));
        let rows = store.parts.iter().flat_map(|part| {
            let sign = match part.change {
                Change::Added => "+",
                Change::Removed => "-",
                Change::Changed => "~",
            };
            let bytes = |b: Option<u64>| b.map(human_bytes);
            let whole = vec![
                format!("  {sign} {}", part.name),
                pair(part.from_rows, part.to_rows),
                pair(bytes(part.from_bytes), bytes(part.to_bytes)),
            ];
            let counts = part.counts.iter().map(|count| {
                let pair = pair(Some(count.from), Some(count.to));
                vec![format!("      :{}", count.name), pair, String::new()]
            });
            std::iter::once(whole).chain(counts)
        });
        if !store.parts.is_empty() {
            text.push_str(&table(&["    part", "rows", "bytes"], rows));
            text.push('\n');
        }
        for line in &store.schema {
            text.push_str(&format!("  {line}\n"));
        }
        let new = store.new_bytes.map_or(String::new(), |bytes| {
            format!(
                "; bytes of the second that the first lacks: {}",
                human_bytes(bytes)
            )
        });
        text.push_str(&format!("  equal: {}{new}\n", store.same));
    }
    for line in &compared.not_compared {
        text.push_str(&format!("\nnot compared: {line}\n"));
    }
    if compared.is_same() {
        text.push_str("\nNo difference was found.\n");
    }
    text
}

fn heading(store: &StoreComparison) -> String {
    let name = store.store.name();
    match (&store.from_version, &store.to_version) {
        (Some(from), Some(to)) if from != to => format!("{name}, version {from} → {to}"),
        (Some(from), Some(_)) if !store.same_identity => {
            format!("{name}, version {from}, of another server or database")
        }
        (Some(from), Some(_)) => format!("{name}, version {from}"),
        (Some(_), None) => format!("{name}, in the first only"),
        (None, _) => format!("{name}, in the second only"),
    }
}

/// `3 → 5`, or one of them where they are equal or there is only one.
fn pair<T: PartialEq + std::fmt::Display>(from: Option<T>, to: Option<T>) -> String {
    match (from, to) {
        (Some(from), Some(to)) if from == to => to.to_string(),
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (Some(one), None) | (None, Some(one)) => one.to_string(),
        (None, None) => String::new(),
    }
}

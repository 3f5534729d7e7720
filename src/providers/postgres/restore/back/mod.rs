//! One lost table straight back into a live database: made, filled, compared and tied to the others in one transaction, so that
//! nobody sees anything before all of it is right, and a failure leaves nothing. A table that is there already is moved aside, never
//! dropped.

mod away;
mod keys;
mod known;
mod look;
mod pieces;
mod ties;

pub use away::{is_back, take_away};
pub use look::{TableSeen, TiesSeen, look_at_away, look_at_table};

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::super::capture::{prefix, set_local};
use super::super::catalogue::{self, Listing};
use super::super::copy::Shape;
use super::super::decode;
use super::super::enumerate::copy_target;
use super::super::session::{Access, close, failed, open, run};
use super::super::sql::{literal, qualified};
use super::super::{BAD_PART, MISMATCH, Target, refuse_pooler, session};
use super::{agree, load, meta, plan};
use crate::capture::{FingerprintKey, PartInfo, PartReader, PartSource};
use crate::error::{Error, NOT_FOUND, Result};
use crate::expr::nearest;
use crate::reasons;
use crate::wait::Cancel;

use away::{Exchange, move_aside};
use known::{Captured, about, owned_sequences, rights_about};
use look::{allowed, present, refused};
use ties::Ties;

reasons! {
    /// The table cannot be put back in place.
    TABLE_REFUSED = "postgres.table-refused", Refused,
        "The table cannot be put back in place as things are: it holds rows, others hang on it, or it is part of a hierarchy of tables. The message says which. \
         Nothing was changed; `restore --as NAME --table SCHEMA.TABLE` brings it into a database of its own instead.";
    /// Rows of other tables do not fit.
    KEYS_VIOLATED = "postgres.keys-violated", Failed,
        "With the table as it was captured, foreign keys would not hold: rows point to others that are not there. The message says how many. Nothing was changed.";
}

/// How long others' locks on the tables concerned are waited for.
const LOCKS: &str = "SET LOCAL lock_timeout = '10s'";

/// Which table is put back, and what remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TableBack {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Whether a table with rows may be moved aside.
    pub replace: bool,
    /// Under which it is known afterwards; one for each time.
    pub id: String,
    /// The schema into which the present table is moved, and at last the restored one when it is taken away again.
    pub aside: String,
}

/// What a table is called: `SCHEMA.TABLE`. One that the backup does not hold is an error with the nearest one.
pub fn find_table(source: &dyn PartSource, captured: &str, name: &str) -> Result<(String, String)> {
    let parts = source.parts(&format!("{}table/", prefix(captured)));
    let names: Vec<(String, String)> = parts.iter().filter_map(plan::name).collect();
    let shown: Vec<String> = names.iter().map(|(s, t)| format!("{s}.{t}")).collect();
    if let Some(at) = shown.iter().position(|n| n == name) {
        return Ok(names[at].clone());
    }
    let error = Error::new(
        &NOT_FOUND,
        format!("the backup holds no table `{name}` with rows of its own"),
    );
    let ending = format!(".{name}");
    let known = shown.iter().map(String::as_str);
    let likely = known.clone().find(|n| n.ends_with(&ending));
    Err(match likely.or_else(|| nearest(name, known)) {
        Some(near) => error.hint(format!("Did you mean `{near}`?")),
        None => error.hint("See what it holds with `summitctl backup show BACKUP`."),
    })
}

/// What is done with the rows' fingerprints, and the stop signal.
pub struct BackOptions {
    /// The key of the row hashes.
    pub key: FingerprintKey,
    /// The stop signal.
    pub cancel: Cancel,
}

/// A table may be large, and its database is in use: what is committed must last, unlike in a new database that is swapped in later.
const CAREFULLY: &str = "SET default_transaction_read_only = off; SET statement_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0; SET synchronous_commit = on";

fn begin() -> String {
    format!("BEGIN; SET LOCAL search_path = ''; {LOCKS}")
}

/// Puts the table back. Everything in one transaction.
pub async fn put_back(
    live: &Target,
    source: &dyn PartSource,
    captured: &str,
    what: &TableBack,
    options: &BackOptions,
) -> Result<()> {
    let work = async {
        let known = Captured::read(source, captured, what).await?;
        let mut session = opened(live).await?;
        // On the heap: there is much to hold on to.
        let outcome = Box::pin(in_one(live, &mut session, source, &known, what, options)).await;
        ended(live, session, outcome).await
    };
    options.cancel.guard(work).await
}

/// A session of the live database for one transaction.
async fn opened(live: &Target) -> Result<PgConnection> {
    refuse_pooler(live).await?;
    let mut session = open(live, Access::Write).await?;
    let settings = format!("{CAREFULLY}; {}", load::SETTINGS);
    run(live, &mut session, &settings).await?;
    Ok(session)
}

/// Ends the transaction as its work ended.
async fn ended<T>(live: &Target, mut session: PgConnection, outcome: Result<T>) -> Result<T> {
    let end = if outcome.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    // A connection that is gone has rolled back already; then the first error is the one to tell.
    let ended = run(live, &mut session, end).await;
    close(session).await;
    let done = outcome?;
    ended.map(|()| done)
}

async fn in_one(
    live: &Target,
    session: &mut PgConnection,
    source: &dyn PartSource,
    known: &Captured,
    what: &TableBack,
    options: &BackOptions,
) -> Result<()> {
    let major = session::major(live, session).await?;
    let table: load::TableMeta = meta(&known.part)?;
    if table.condition.is_some() {
        return Err(refused(live, what, "it belongs to an extension"));
    }
    let encoding = table
        .settings
        .get("client_encoding")
        .map_or("UTF8", String::as_str);
    run(live, session, &begin()).await?;
    run(live, session, &set_local(encoding, major)).await?;
    let quoted = known.quoted.as_str();
    if present(live, session, quoted).await? {
        let lock = format!("LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE");
        run(live, session, &lock).await?;
    }
    // Under the lock it is looked at again: rows may have come since the plan.
    let moved = allowed(live, session, known, what).await?;
    let before = match moved {
        true => Some(Ties::of(live, session, quoted).await?),
        false => None,
    };
    let (made, _) = known.ties(live, session, before.as_ref()).await?;
    if let Some(before) = &before {
        // At once: who waits for the table while we load may hold locks on those that are tied to it.
        before.cut(live, session, quoted).await?;
        move_aside(live, session, quoted, &what.aside).await?;
    }
    for statement in &known.pieces.before {
        run(live, session, statement).await?;
    }
    fill(live, session, source, known, &table, &options.key).await?;
    for statement in &known.pieces.after {
        run(live, session, statement).await?;
    }
    for state in &known.sequences {
        let sequence = literal(&qualified(&state.schema, &state.name));
        let set = format!(
            "SELECT pg_catalog.setval({sequence}, {}, {})",
            state.last_value, state.is_called
        );
        run(live, session, &set).await?;
    }
    read_back(live, session, known, &table, &options.key).await?;
    run(live, session, &format!("ANALYZE {quoted}")).await?;
    // Late, because from here on the tables that are tied take no writes.
    made.made(live, session).await?;
    compare(live, session, known, major).await?;
    let exchange = Exchange {
        quoted: quoted.to_owned(),
        moved,
        before: before.unwrap_or_default(),
        made,
    };
    exchange.remember(live, session, &what.id).await
}

/// Bytes of a part on their way into the server, which are fingerprinted as they pass.
struct Tee<'t, 'c> {
    from: &'t mut dyn PartReader,
    into: &'t mut sqlx::postgres::PgCopyIn<&'c mut PgConnection>,
    target: &'t Target,
}

#[async_trait]
impl PartReader for Tee<'_, '_> {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        let Some(chunk) = self.from.next().await? else {
            return Ok(None);
        };
        self.into
            .send(&chunk[..])
            .await
            .map_err(|e| failed(self.target, "send the rows", e))?;
        Ok(Some(chunk))
    }
}

async fn fill(
    live: &Target,
    session: &mut PgConnection,
    source: &dyn PartSource,
    known: &Captured,
    table: &load::TableMeta,
    key: &FingerprintKey,
) -> Result<()> {
    let part = &known.part;
    let shape = shape(part)?;
    let statement = format!(
        "COPY {} FROM STDIN WITH ({})",
        copy_target(&table.schema, &table.table, &table.columns),
        shape.option()
    );
    let mut copy = session
        .copy_in_raw(&statement)
        .await
        .map_err(|e| failed(live, "begin to load the table", e))?;
    let mut reader = source.open(&part.name).await?;
    let mut tee = Tee {
        from: reader.as_mut(),
        into: &mut copy,
        target: live,
    };
    let sent = match decode(part, &mut tee, key).await {
        Ok(sent) => sent,
        Err(e) => {
            // The connection must be out of COPY before it can roll back.
            let _ = copy.abort("the backup could not be read").await;
            return Err(e);
        }
    };
    let stored = copy
        .finish()
        .await
        .map_err(|e| failed(live, "load the table", e))?;
    let loaded = agree(&part.name, part.fingerprint, sent.unwrap_or_default())?;
    if stored == loaded.rows {
        return Ok(());
    }
    Err(Error::new(
        &MISMATCH,
        format!(
            "Postgres stored {stored} rows of the {} of part `{}`",
            loaded.rows, part.name
        ),
    ))
}

fn shape(part: &PartInfo) -> Result<Shape> {
    Shape::of(&part.format).ok_or_else(|| {
        Error::new(
            &BAD_PART,
            format!(
                "part `{}` has the unknown format `{}`",
                part.name, part.format
            ),
        )
    })
}

/// Rows on their way out of the server.
struct Live<'s>(
    futures_util::stream::BoxStream<'s, sqlx::Result<bytes::Bytes>>,
    &'s Target,
);

#[async_trait]
impl PartReader for Live<'_> {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        let next = self.0.next().await.transpose();
        next.map_err(|e| failed(self.1, "read the rows back", e))
    }
}

/// What the server gives back must be what was captured: a trigger or rule could have changed it.
async fn read_back(
    live: &Target,
    session: &mut PgConnection,
    known: &Captured,
    table: &load::TableMeta,
    key: &FingerprintKey,
) -> Result<()> {
    let part = &known.part;
    let statement = format!(
        "COPY {} TO STDOUT WITH ({})",
        copy_target(&table.schema, &table.table, &table.columns),
        shape(part)?.option()
    );
    let rows = session
        .copy_out_raw(&statement)
        .await
        .map_err(|e| failed(live, "read the rows back", e))?;
    let seen = decode(part, &mut Live(rows, live), key).await?;
    agree(&part.name, part.fingerprint, seen.unwrap_or_default()).map(drop)
}

/// The table and all that is on it must be what the catalogue of the backup says, and belong to whom it says.
async fn compare(
    live: &Target,
    session: &mut PgConnection,
    known: &Captured,
    major: u32,
) -> Result<()> {
    // Other versions spell definitions otherwise.
    if major != known.major {
        return Ok(());
    }
    let mut found = Vec::new();
    for (listing, expected) in [
        (Listing::Objects, &known.objects),
        (Listing::Ownership, &known.ownership),
    ] {
        let lines = catalogue::list(live, session, listing, known.form).await?;
        let lines: Vec<Value> = lines
            .iter()
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect();
        let seen = match listing {
            Listing::Objects => about(lines.iter(), &known.quoted),
            Listing::Ownership => rights_about(
                lines.iter(),
                &known.quoted,
                &owned_sequences(&known.objects),
            ),
        };
        let of = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        found.extend(catalogue::catalogue_differences(&of(expected), &of(&seen)));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        &MISMATCH,
        format!(
            "the table would not be what was captured: {}",
            found.join(", ")
        ),
    ))
}

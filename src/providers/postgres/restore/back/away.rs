//! What remembers a table that was put back, and how it is taken away again.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::super::own::{self, Use};
use super::super::super::session::{Access, close, failed, open, query, run, scalar, texts};
use super::super::super::sql::{ident, literal, qualified};
use super::super::super::{BAD_PART, OWN_SCHEMA, Target};
use super::look::refuse_involved;
use super::ties::Ties;
use super::{TableBack, begin, ended, opened};
use crate::error::{Error, Result};

/// What is kept of the moment when a table was put back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Exchange {
    /// The table's name, as the server quotes it.
    pub quoted: String,
    /// Whether a table was moved aside for it.
    pub moved: bool,
    /// What tied the table that was moved.
    pub before: Ties,
    /// What ties the one that was put back.
    pub made: Ties,
}

impl Exchange {
    /// What will tie the table that comes back in its place: what tied it then, and what others have tied since.
    pub(super) async fn afterwards(
        &self,
        live: &Target,
        session: &mut PgConnection,
        now: &Ties,
    ) -> Result<(Ties, Vec<String>)> {
        let mut since = now.clone();
        since
            .others
            .retain(|key| !self.made.others.iter().any(|known| known.is(key)));
        since
            .published
            .retain(|p| !self.made.published.iter().any(|known| known.by == p.by));
        if self.moved {
            return self
                .before
                .clone()
                .and(since)
                .that_fit(live, session, &self.quoted)
                .await;
        }
        // The table was missing before, so that nothing is left to be tied to.
        let keys = since
            .others
            .iter()
            .map(|key| format!("foreign key {}", key.shown()));
        let publications = since
            .published
            .iter()
            .map(|p| format!("publication `{}`", p.by));
        let left_out = keys
            .chain(publications)
            .map(|what| format!("{what}: no table comes in its place"))
            .collect();
        Ok((Ties::default(), left_out))
    }

    pub(super) async fn remember(
        &self,
        live: &Target,
        session: &mut PgConnection,
        id: &str,
    ) -> Result<()> {
        let schema = ident(OWN_SCHEMA);
        let make = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE TABLE IF NOT EXISTS {schema}.put_back (id text PRIMARY KEY, relation oid NOT NULL, exchange text NOT NULL)"
        );
        own::is_there(live, session, RECORD, Use::Trust).await?;
        run(live, session, &make).await?;
        run(live, session, &own::lock(RECORD)).await?;
        own::is_there(live, session, RECORD, Use::Trust).await?;
        let exchange = serde_json::to_string(self)
            .map_err(|e| Error::bug("an exchange does not serialise").caused_by(e))?;
        query("INSERT INTO summitctl.put_back (id, relation, exchange) VALUES ($1, pg_catalog.to_regclass($2), $3)")
            .bind(id)
            .bind(&self.quoted)
            .bind(exchange)
            .execute(session)
            .await
            .map_err(|e| failed(live, "remember the table", e))?;
        Ok(())
    }
}

/// Whether a table was moved aside for the one that this put back; nothing if that is not in its place.
pub async fn is_back(live: &Target, what: &TableBack) -> Result<Option<bool>> {
    let mut session = open(live, Access::Read).await?;
    let known = remembered(live, &mut session, what).await;
    close(session).await;
    Ok(known?.map(|exchange| exchange.moved))
}

/// The table of the exchanges. What it says is done, by statements.
const RECORD: &str = "put_back";

/// The exchange, as it was recorded; nothing if another table is there now.
pub(super) async fn remembered(
    live: &Target,
    session: &mut PgConnection,
    what: &TableBack,
) -> Result<Option<Exchange>> {
    if !own::is_there(live, session, RECORD, Use::Trust).await? {
        return Ok(None);
    }
    let found = query(
        "SELECT exchange FROM summitctl.put_back WHERE id = $1 AND relation = pg_catalog.to_regclass($2)",
    )
    .bind(&what.id)
    .bind(qualified(&what.schema, &what.table))
    .fetch_optional(session)
    .await
    .map_err(|e| failed(live, "look for the record", e))?;
    let Some(row) = found else {
        return Ok(None);
    };
    let exchange: String = row.get("exchange");
    serde_json::from_str(&exchange).map(Some).map_err(|e| {
        Error::new(&BAD_PART, "the record of the table's exchange is damaged").caused_by(e)
    })
}

/// Takes the table away again: into the schema `put_away`, with all that was written to it since; the one that was moved aside comes
/// back with its ties. Whether there was anything to take away.
pub async fn take_away(live: &Target, what: &TableBack, put_away: &str) -> Result<bool> {
    let mut session = opened(live).await?;
    let outcome = away_in_one(live, &mut session, what, put_away).await;
    ended(live, session, outcome).await
}

async fn away_in_one(
    live: &Target,
    session: &mut PgConnection,
    what: &TableBack,
    put_away: &str,
) -> Result<bool> {
    run(live, session, &begin()).await?;
    let Some(exchange) = remembered(live, session, what).await? else {
        return Ok(false);
    };
    let quoted = exchange.quoted.as_str();
    let lock = format!("LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE");
    run(live, session, &lock).await?;
    refuse_involved(live, session, quoted, what).await?;
    let now = Ties::of(live, session, quoted).await?;
    let (then, _) = exchange.afterwards(live, session, &now).await?;
    now.cut(live, session, quoted).await?;
    move_aside(live, session, quoted, put_away).await?;
    if exchange.moved {
        let old = qualified(&what.aside, &what.table);
        move_to(live, session, &old, &what.schema).await?;
        then.made(live, session).await?;
        // Another table of the same run may be there still.
        let empty: bool = scalar(
            "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)",
        )
        .bind(&what.aside)
        .fetch_one(&mut *session)
        .await
        .map_err(|e| failed(live, "look into the schema of the old table", e))?;
        if empty {
            run(
                live,
                session,
                &format!("DROP SCHEMA {}", ident(&what.aside)),
            )
            .await?;
        }
    }
    query("DELETE FROM summitctl.put_back WHERE id = $1")
        .bind(&what.id)
        .execute(session)
        .await
        .map_err(|e| failed(live, "forget the table", e))?;
    Ok(true)
}

/// A table with all that is its own, into a schema where nobody looks for it.
pub(super) async fn move_aside(
    live: &Target,
    session: &mut PgConnection,
    quoted: &str,
    aside: &str,
) -> Result<()> {
    let make = format!("CREATE SCHEMA IF NOT EXISTS {}", ident(aside));
    run(live, session, &make).await?;
    move_to(live, session, quoted, aside).await
}

/// Indexes, sequences and the like follow a table into another schema; its extended statistics do not.
async fn move_to(
    live: &Target,
    session: &mut PgConnection,
    quoted: &str,
    schema: &str,
) -> Result<()> {
    let schema = ident(schema);
    let statistics = format!(
        "SELECT format('ALTER STATISTICS %I.%I SET SCHEMA ', n.nspname, s.stxname) || {} FROM pg_catalog.pg_statistic_ext s
         JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = pg_catalog.to_regclass({})",
        literal(&schema),
        literal(quoted)
    );
    for statement in texts(live, session, "list the statistics", &statistics).await? {
        run(live, session, &statement).await?;
    }
    let moved = format!("ALTER TABLE {quoted} SET SCHEMA {schema}");
    run(live, session, &moved).await
}

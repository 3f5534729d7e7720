//! What ties a table to the rest of its database, and would go on tying it after it has moved: foreign keys both ways, and publications.

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::super::super::Target;
use super::super::super::session::{self, failed, query, run};
use super::super::super::sql::ident;
use super::keys::{Key, Side, keys_of, tie};
use super::look::present;
use crate::error::{Context as _, Result};

/// A publication of logical replication that names the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Published {
    pub by: String,
    /// The statement that puts the table into it, with its columns and filter.
    pub add: String,
}

/// Foreign keys and publications of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ties {
    /// Foreign keys of other tables to it.
    pub others: Vec<Key>,
    /// Its own to other tables.
    pub own: Vec<Key>,
    pub published: Vec<Published>,
}

impl Ties {
    /// Those of a table as it is.
    pub(super) async fn of(
        live: &Target,
        session: &mut PgConnection,
        quoted: &str,
    ) -> Result<Self> {
        Ok(Ties {
            others: keys_of(live, session, quoted, Side::Others).await?,
            own: keys_of(live, session, quoted, Side::Own).await?,
            published: published(live, session, quoted).await?,
        })
    }

    /// Takes the table out of its ties, so that it can move and nothing follows it.
    pub(super) async fn cut(
        &self,
        live: &Target,
        session: &mut PgConnection,
        quoted: &str,
    ) -> Result<()> {
        for key in self.others.iter().chain(&self.own) {
            let drop = format!(
                "ALTER TABLE {} DROP CONSTRAINT {}",
                key.on,
                ident(&key.name)
            );
            run(live, session, &drop).await?;
        }
        for publication in &self.published {
            let drop = format!(
                "ALTER PUBLICATION {} DROP TABLE ONLY {quoted}",
                ident(&publication.by)
            );
            run(live, session, &drop).await?;
        }
        Ok(())
    }

    /// Adds others' keys and publications that these lack.
    pub(super) fn and(mut self, more: Ties) -> Self {
        for key in more.others {
            if !self.others.iter().any(|known| known.is(&key)) {
                self.others.push(key);
            }
        }
        for publication in more.published {
            if !self.published.iter().any(|p| p.by == publication.by) {
                self.published.push(publication);
            }
        }
        self
    }

    /// Leaves out what has nothing to be tied to, and says it. The table itself counts as there: it is about to be made.
    pub(super) async fn that_fit(
        mut self,
        live: &Target,
        session: &mut PgConnection,
        quoted: &str,
    ) -> Result<(Self, Vec<String>)> {
        let mut left_out = Vec::new();
        for keys in [&mut self.others, &mut self.own] {
            let mut fit = Vec::new();
            for key in keys.drain(..) {
                let mut gone = None;
                for end in key.ends().filter(|end| *end != quoted) {
                    if !present(live, session, end).await? {
                        gone.get_or_insert_with(|| end.to_owned());
                    }
                }
                match gone {
                    Some(gone) => left_out.push(format!(
                        "foreign key {}: `{gone}` is not there",
                        key.shown()
                    )),
                    None => fit.push(key),
                }
            }
            *keys = fit;
        }
        let there = session::texts(
            live,
            session,
            "list the publications",
            "SELECT pubname::text FROM pg_catalog.pg_publication WHERE NOT puballtables",
        )
        .await?;
        self.published.retain(|publication| {
            let fits = there.contains(&publication.by);
            if !fits {
                left_out.push(format!("publication `{}`: it is not there", publication.by));
            }
            fits
        });
        Ok((self, left_out))
    }

    /// Ties the table that is in its place now.
    pub(super) async fn made(&self, live: &Target, session: &mut PgConnection) -> Result<()> {
        tie(live, session, self.own.iter().chain(&self.others)).await?;
        for publication in &self.published {
            run(live, session, &publication.add)
                .await
                .context(|| format!("publication `{}` does not take the table", publication.by))?;
        }
        Ok(())
    }
}

async fn published(
    live: &Target,
    session: &mut PgConnection,
    quoted: &str,
) -> Result<Vec<Published>> {
    // Since 15 a publication can name columns and rows.
    let detail = if session::major(live, session).await? >= 15 {
        "coalesce((SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')' FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)), '')
         || coalesce(' WHERE (' || pg_catalog.pg_get_expr(r.prqual, r.prrelid) || ')', '')"
    } else {
        "''"
    };
    let sql = format!(
        "SELECT p.pubname::text AS by, format('ALTER PUBLICATION %I ADD TABLE ONLY %s', p.pubname, r.prrelid::regclass) || {detail} AS add
         FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
         WHERE r.prrelid = pg_catalog.to_regclass($1) ORDER BY 1"
    );
    let found = query(sqlx::AssertSqlSafe(sql))
        .bind(quoted)
        .fetch_all(session)
        .await
        .map_err(|e| failed(live, "list the publications", e))?;
    Ok(found
        .iter()
        .map(|row| Published {
            by: row.get("by"),
            add: row.get("add"),
        })
        .collect())
}

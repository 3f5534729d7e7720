//! The first column of a query that somebody configured, as text.

use futures_util::TryStreamExt as _;

use super::session::{Access, close, failed, open, run, scalar};
use super::target::Target;
use crate::error::Result;

/// Runs the query in a READ ONLY transaction and hands on each row's first value as text. NULL is left out.
pub async fn column(
    target: &Target,
    query: &str,
    each: &mut (dyn FnMut(String) + Send),
) -> Result<()> {
    let mut session = open(target, Access::AsGiven).await?;
    run(target, &mut session, "BEGIN READ ONLY").await?;
    let mut rows = scalar::<String>(sqlx::AssertSqlSafe(asking(query))).fetch(&mut session);
    let failed = |e| failed(target, "run the configured query", e);
    while let Some(value) = rows.try_next().await.map_err(failed)? {
        each(value);
    }
    drop(rows);
    close(session).await;
    Ok(())
}

/// Whether the server would run the query so; it only plans it.
pub async fn column_planned(target: &Target, query: &str) -> Result<()> {
    let mut session = open(target, Access::AsGiven).await?;
    run(target, &mut session, "BEGIN READ ONLY").await?;
    run(target, &mut session, &format!("EXPLAIN {}", asking(query))).await?;
    close(session).await;
    Ok(())
}

fn asking(query: &str) -> String {
    format!(
        "SELECT value::text FROM ({}) AS configured (value) WHERE value IS NOT NULL",
        query.trim().trim_end_matches(';')
    )
}

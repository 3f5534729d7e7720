//! The restored database's own event triggers do not see how it is restored.

use sqlx::postgres::PgConnection;

use super::super::Target;
use super::super::session::{
    Access, CONNECT_PATIENCE, connect_with, failed, run, run_as, scalar, search_path, texts,
};
use super::super::sql::literal;
use super::loader_settings;
use crate::error::Result;
use crate::wait::Deadline;

/// From 17 on event triggers can be turned off for a session, by those who may; and there are triggers on the login.
const OFF: &str = "event_triggers";

/// Whether a session may turn event triggers off before it begins.
pub(super) async fn can_be_off(
    target: &Target,
    session: &mut PgConnection,
    major: u32,
) -> Result<bool> {
    if major < 17 {
        return Ok(false);
    }
    scalar("SELECT has_parameter_privilege('event_triggers', 'SET')")
        .fetch_one(session)
        .await
        .map_err(|e| failed(target, "ask about event triggers", e))
}

/// Words for `PGOPTIONS`.
pub(super) fn option(off: bool) -> String {
    if off {
        format!(" -c {OFF}=off")
    } else {
        String::new()
    }
}

/// A session that loads, and that event triggers do not see begin.
pub(super) async fn open_quiet(target: &Target, off: bool) -> Result<PgConnection> {
    Ok(opened(target, Access::Write, off).await?.0)
}

/// [`open_quiet`], and the search path that the role and the database have, for [`set_path`].
pub(super) async fn open_given(target: &Target, off: bool) -> Result<(PgConnection, String)> {
    opened(target, Access::AsGiven, off).await
}

async fn opened(target: &Target, access: Access, off: bool) -> Result<(PgConnection, String)> {
    let settings: &[(&str, &str)] = if off { &[(OFF, "off")] } else { &[] };
    let deadline = Deadline::after(CONNECT_PATIENCE);
    let mut session = connect_with(target, access, deadline, settings).await?;
    let path = search_path(target, &mut session).await?;
    run(target, &mut session, &loader_settings()).await?;
    Ok((session, path))
}

/// Sets a search path, for the transaction or the session.
pub(super) fn set_path(path: &str, for_transaction: bool) -> String {
    format!(
        "SELECT pg_catalog.set_config('search_path', {}, {for_transaction})",
        literal(path)
    )
}

/// The statements that disable the event triggers, as far as the role may.
pub(in super::super) async fn disable_all(
    target: &Target,
    session: &mut PgConnection,
) -> Result<Vec<String>> {
    let sql = "SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname) FROM pg_event_trigger
               WHERE evtenabled <> 'D' AND pg_has_role(evtowner, 'USAGE') ORDER BY evtname";
    texts(target, session, "list the event triggers", sql).await
}

/// Fills a materialised view while the event triggers are disabled; to everybody else they stay as they are.
pub(super) async fn refresh(
    target: &Target,
    session: &mut PgConnection,
    quoted: &str,
    path: &str,
) -> Result<()> {
    let what = "list the event triggers";
    let enable = "SELECT format('ALTER EVENT TRIGGER %I ENABLE%s', evtname,
                          CASE evtenabled WHEN 'R' THEN ' REPLICA' WHEN 'A' THEN ' ALWAYS' ELSE '' END) FROM pg_event_trigger
                  WHERE evtenabled <> 'D' AND pg_has_role(evtowner, 'USAGE') ORDER BY evtname";
    let refresh = format!("REFRESH MATERIALIZED VIEW {quoted}");
    let mut all = vec!["BEGIN".to_owned()];
    all.extend(disable_all(target, session).await?);
    all.push(set_path(path, true));
    all.push(refresh.clone());
    all.push(set_path("", true));
    all.extend(texts(target, session, what, enable).await?);
    all.push("COMMIT".to_owned());
    let done = run_as(
        target,
        session,
        &format!("run `{refresh}`"),
        &all.join("; "),
    )
    .await;
    if done.is_err() {
        // The failed transaction is still open.
        run(target, session, "ROLLBACK").await?;
    }
    done
}

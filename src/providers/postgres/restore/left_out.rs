//! What a restore cannot bring to a server, known before it begins.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;

use super::super::capture::prefix;
use super::super::session::{Access, close, major, open};
use super::super::{Target, enumerate};
use super::compare::{unsettable, without_owner};
use super::lesser::{Needs, makes_event_triggers};
use super::place::{Named, roles_at_hand};
use super::roles::{Carried, settings_left_out};
use super::{MissingRoles, SchemaMeta};
use crate::capture::PartSource;
use crate::error::Result;

/// What a restore of the captured database cannot bring to this server, by part and reason: owners and grants whose roles
/// are not there, definitions that another major version spells differently. Looks only. `server` is any database of it.
pub async fn incomparable(
    server: &Target,
    source: &dyn PartSource,
    captured: &str,
) -> Result<BTreeMap<String, String>> {
    incomparable_with(server, source, captured, MissingRoles::LeaveOut).await
}

/// The same, where missing roles may have been made before.
pub async fn incomparable_with(
    server: &Target,
    source: &dyn PartSource,
    captured: &str,
    missing: MissingRoles,
) -> Result<BTreeMap<String, String>> {
    let schema = SchemaMeta::of(source, captured)?;
    let carried = Carried::read(source, captured).await?;
    let mut session = open(server, Access::Read).await?;
    let found = left_out(
        server,
        &mut session,
        &schema,
        &Roles {
            needs: &Needs::of(source, captured, &schema.roles).await?,
            carried: &carried,
            missing,
        },
        &mut Vec::new(),
    )
    .await;
    close(session).await;
    found.map(|(_, parts)| parts)
}

/// What is known of the captured roles, and what to do about those that are missing.
pub(super) struct Roles<'a> {
    pub needs: &'a Needs,
    pub carried: &'a Carried,
    pub missing: MissingRoles,
}

/// Whether owners and grants can be restored, and the parts that will not be equal; makes roles if that was asked for.
pub(super) async fn left_out(
    target: &Target,
    session: &mut PgConnection,
    schema: &SchemaMeta,
    roles: &Roles<'_>,
    notes: &mut Vec<String>,
) -> Result<(bool, BTreeMap<String, String>)> {
    let Roles {
        needs,
        carried,
        missing,
    } = *roles;
    let captured = &schema.database.name;
    let major = major(target, session).await?;
    let before = notes.len();
    let mut named = schema.roles.clone();
    if missing == MissingRoles::Create {
        let more = carried.names().into_iter();
        named.extend(more.filter(|name| !schema.roles.contains(name)));
    }
    let named = Named {
        all: &named,
        acting: &needs.acting,
    };
    let ownership = roles_at_hand(target, session, named, carried, missing, notes).await?;
    let mut incomparable = BTreeMap::new();
    if !ownership {
        let why = notes.get(before).cloned();
        incomparable.insert(
            format!("{}ownership", prefix(captured)),
            why.unwrap_or_else(|| "owners and grants were left out".to_owned()),
        );
    }
    let made: &[String] = match missing {
        MissingRoles::MadeBefore => &schema.roles,
        MissingRoles::Create | MissingRoles::LeaveOut => &[],
    };
    let beyond = carried.unsettable(target, session, made).await?;
    if !beyond.is_empty() {
        incomparable
            .entry(format!("{}ownership", prefix(captured)))
            .or_insert_with(|| settings_left_out(target, &beyond));
    }
    for (part, why) in carried.unseen(target, session).await? {
        incomparable.entry(part).or_insert(why);
    }
    if !needs.event_triggers.is_empty() && !makes_event_triggers(target, session).await? {
        let why = without_event_triggers(target, &needs.event_triggers);
        for part in ["catalogue", "ownership"] {
            let name = format!("{}{part}", prefix(captured));
            incomparable.entry(name).or_insert_with(|| why.clone());
        }
    }
    let beyond = unsettable(target, session, &schema.database.settings).await?;
    if !beyond.is_empty() {
        let why = format!(
            "settings of the database were left out, which `{}` may not set: {}",
            target.user,
            enumerate::listed(&beyond)
        );
        incomparable.insert(format!("{}database/settings", prefix(captured)), why);
    }
    // A scratch server has them made.
    if missing != MissingRoles::Create
        && let Some(why) =
            without_owner(target, session, &schema.database, carried, missing).await?
    {
        let name = format!("{}database/owner", prefix(captured));
        incomparable.insert(name, format!("of the database itself: {why}"));
    }
    if major != schema.database.major {
        let from = schema.database.major;
        for (part, why) in [
            ("catalogue", "which may spell definitions differently"),
            ("ownership", "which may have other privileges to grant"),
        ] {
            incomparable
                .entry(format!("{}{part}", prefix(captured)))
                .or_insert_with(|| {
                    format!("captured from Postgres {from}, restored into {major}, {why}")
                });
        }
    }
    Ok((ownership, incomparable))
}

/// Why event triggers are not there.
pub(super) fn without_event_triggers(target: &Target, names: &[String]) -> String {
    format!(
        "event triggers were left out, which `{}` may not make: {}",
        target.user,
        enumerate::listed(names)
    )
}

//! `restore.mend-roles`: the roles that a backup names and the server lacks are made before the restore, so that owners and grants
//! come back.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::databases::of_backup;
use super::mend::NOT_MENDED;
use super::restore::source;
use super::roles::View;
use super::world::World;
use crate::consent::Effect;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::postgres::{self, RoleMap, poison};
use crate::repository::BackupId;

/// Arguments of `restore.mend-roles`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MendRolesArgs {
    /// The backup.
    pub backup: BackupId,
    /// The context whose repository holds the backup, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Which of the backup's databases; its only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Names of roles in the backup, and those of the roles on the target that stand for them.
    #[serde(default, skip_serializing_if = "RoleMap::is_empty")]
    pub roles: RoleMap,
}

/// The roles that are made.
#[derive(Debug, Serialize, Deserialize)]
pub struct MendRolesChange {
    args: MendRolesArgs,
    captured: String,
    missing: Vec<String>,
}

/// The step kind `restore.mend-roles`.
pub struct MendRoles;

#[async_trait]
impl Step<World> for MendRoles {
    const KIND: &'static str = "restore.mend-roles";
    const SUMMARY: &'static str = "Makes the roles that a backup's Postgres database names and the server lacks, without login, password and rights of their own";
    type Args = MendRolesArgs;
    type Change = MendRolesChange;

    fn effect(&self, _: &MendRolesArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, _: &MendRolesArgs) -> String {
        "make the roles that the backup names and the server lacks".to_owned()
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        args: &MendRolesArgs,
    ) -> Result<Decision<MendRolesChange>> {
        let (captured, missing) = missing(cx.world, args).await?;
        if missing.is_empty() {
            return Ok(Decision::Done(Observed::of(json!({"mended": []}))));
        }
        let server = cx.world.postgres()?;
        if !postgres::may_make_roles(server).await? {
            return Ok(Decision::Blocked(Blocked {
                reason: format!(
                    "`{}` may not make roles at `{}`, and these are missing: {}",
                    server.user,
                    server.endpoint(),
                    missing.join(", ")
                ),
                hint: format!(
                    "As an administrator: `ALTER ROLE \"{}\" CREATEROLE;`, or make them; or leave `roles` out of `--mend`: owners and grants are left out then.",
                    server.user
                ),
            }));
        }
        let Foresight { decisive, shown } = foreseen(&missing);
        Ok(Decision::Change {
            change: MendRolesChange {
                args: args.clone(),
                captured,
                missing,
            },
            decisive,
            shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &MendRolesArgs) -> Result<Foresight> {
        let (_, missing) = missing(cx.world, args).await?;
        Ok(foreseen(&missing))
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &MendRolesChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        cx.world.require_pinned(Store::Postgres).await?;
        let args = &change.args;
        let source = source(cx.world, &args.backup, args.from.as_deref()).await?;
        let view = View::of(&source, &change.captured, &args.roles).await?;
        let server = cx.world.postgres()?;
        grant.still_held().await?;
        let notes = postgres::make_roles(
            server,
            view.parts(),
            &change.captured,
            &change.missing,
            grant.consent(),
        );
        for note in notes.await? {
            cx.events.note(note);
        }
        Ok(())
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &MendRolesChange) -> Result<Observed> {
        let left = poison::missing_roles(cx.world.postgres()?, &change.missing).await?;
        if let Some(left) = left.first() {
            let what = format!("the role `{left}`, which was to be made, is missing");
            return Err(Error::new(&NOT_MENDED, what));
        }
        Ok(Observed::of(json!({"mended": making(&change.missing)})))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &MendRolesChange,
        grant: Grant<'_>,
    ) -> Result<Undo> {
        let server = cx.world.postgres()?;
        let kept = postgres::drop_roles(server, &change.missing, grant.consent()).await?;
        Ok(match kept {
            None => Undo::Done(Observed::of(json!({"dropped": change.missing}))),
            Some(why) => Undo::Kept(format!(
                "the roles {} stay, because they are in use by now: {why}",
                change.missing.join(", ")
            )),
        })
    }
}

/// The captured database, and the roles that it names and the server lacks.
async fn missing(world: &World, args: &MendRolesArgs) -> Result<(String, Vec<String>)> {
    let source = source(world, &args.backup, args.from.as_deref()).await?;
    let captured = of_backup(&source, args.database.as_deref())?;
    let view = View::of(&source, &captured, &args.roles).await?;
    let parts = view.parts().parts(&postgres::prefix(&captured));
    let named: Vec<String> = postgres::captured_roles(&parts).into_iter().collect();
    let missing = poison::missing_roles(world.postgres()?, &named).await?;
    Ok((captured, missing))
}

fn making(missing: &[String]) -> Vec<String> {
    let line = |role: &String| format!("make the role `{role}`, without login");
    missing.iter().map(line).collect()
}

fn foreseen(missing: &[String]) -> Foresight {
    let mut lines = making(missing);
    if lines.is_empty() {
        lines.push("nothing: every role is there".to_owned());
    }
    Foresight {
        decisive: Facts::from_iter([("missing".to_owned(), json!(missing))]),
        shown: Facts::from_iter([("mends".to_owned(), json!(lines))]),
    }
}

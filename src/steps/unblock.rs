//! `migrate.unblock`: the root of a blocking tree is ended, exactly as it was shown: a session of Postgres, a prepared
//! transaction, or a transaction of Neo4j.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use crate::consent::Effect;
use crate::engine::plan::Forecast;
use crate::engine::step::{
    ApplyCx, Blocked, Decision, Facts, Foresight, Grant, Observed, ReadCx, Step, Undo,
};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::providers::neo4j::transactions::{self, Transaction};
use crate::providers::postgres::blockers::{Blockers, Involved, LONG, blockers, rollback_prepared};
use crate::providers::postgres::migrations::{self, Seen};
use crate::reasons;

reasons! {
    /// What was named blocks nobody.
    NOT_A_ROOT = "migrate.not-a-root", Refused,
        "What was named is not the root of a blocking tree: nobody waits for it, or it waits for another one itself. Ending it would free nobody. See `summitctl migrate blockers`.";
    /// The root is still there.
    ROOT_STAYS = "migrate.root-stays", Failed,
        "The root of the blocking tree was told to end and is still there. See `summitctl migrate blockers`.";
}

/// Arguments of `migrate.unblock`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnblockArgs {
    /// The root: a process of Postgres by its number, a prepared transaction as `gid:NAME`, a transaction of Neo4j by its
    /// id; without it the only one there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

/// What others wait for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Root {
    /// A session of Postgres.
    Session {
        /// Its database.
        database: String,
        /// The session.
        session: Seen,
        /// How many wait for it, directly or behind others.
        waiting: usize,
        /// Its statement, redacted.
        statement: Option<String>,
    },
    /// A transaction prepared for a two-phase commit.
    Prepared {
        /// Its database.
        database: String,
        /// Its global id.
        gid: String,
        /// When it was prepared.
        at: String,
        /// Who prepared it.
        owner: String,
        /// How many wait for it.
        waiting: usize,
    },
    /// A transaction of Neo4j.
    Neo4j {
        /// As the server tells it.
        transaction: Transaction,
        /// How many wait for it.
        waiting: usize,
    },
}

impl Root {
    /// What names it on the command line.
    pub fn name(&self) -> String {
        match self {
            Root::Session { session, .. } => session.pid.to_string(),
            Root::Prepared { gid, .. } => format!("gid:{gid}"),
            Root::Neo4j { transaction, .. } => transaction.id.clone(),
        }
    }

    /// Where it is.
    pub fn store(&self) -> Store {
        match self {
            Root::Neo4j { .. } => Store::Neo4j,
            _ => Store::Postgres,
        }
    }

    /// What makes it this one and no other.
    fn identity(&self) -> String {
        match self {
            Root::Session {
                database, session, ..
            } => format!(
                "pid {} of `{database}`, begun {}",
                session.pid,
                session.began.as_deref().unwrap_or("at a hidden time")
            ),
            Root::Prepared {
                database, gid, at, ..
            } => format!("prepared transaction `{gid}` of `{database}`, prepared {at}"),
            Root::Neo4j { transaction, .. } => format!(
                "{} of `{}`, begun {}",
                transaction.id, transaction.database, transaction.began
            ),
        }
    }

    /// What ending it does.
    fn ends(&self) -> Vec<String> {
        let waiting = |n: usize| format!("waiting for it, directly or behind others: {n}");
        match self {
            Root::Session {
                session,
                waiting: n,
                statement,
                ..
            } => {
                let role = session
                    .role
                    .as_ref()
                    .map_or(String::new(), |r| format!(", as `{r}`"));
                let mut lines = vec![
                    format!("{}{role}", session.words()),
                    waiting(*n),
                    "its statement is cancelled; if the session is there ten seconds later, it is ended; what it has not committed is lost".to_owned(),
                ];
                lines.extend(statement.as_ref().map(|s| format!("last statement: {s}")));
                lines
            }
            Root::Prepared {
                gid,
                owner,
                waiting: n,
                ..
            } => vec![
                format!(
                    "ROLLBACK PREPARED '{gid}', which `{owner}` prepared: its coordinator may still mean to commit it, and what it wrote is lost"
                ),
                waiting(*n),
            ],
            Root::Neo4j {
                transaction,
                waiting: n,
            } => {
                let mut lines = vec![
                    format!("{} of `{}`: {}", transaction.id, transaction.user, transaction.status),
                    waiting(*n),
                    "it is terminated; if it is there ten seconds later, its connection is ended, and what it has not committed is lost".to_owned(),
                ];
                lines.extend(transaction.query.as_ref().map(|q| format!("query: {q}")));
                lines
            }
        }
    }
}

fn roots_of(seen: &Blockers) -> Vec<Root> {
    let sessions = seen.roots().into_iter().map(|root| Root::Session {
        database: seen.database.clone(),
        session: session(root),
        waiting: seen.waiting_for(root.pid),
        statement: root.statement.clone(),
    });
    let prepared = seen.prepared.iter().filter(|p| !p.blocks.is_empty());
    let prepared = prepared.map(|p| Root::Prepared {
        database: seen.database.clone(),
        gid: p.gid.clone(),
        at: p.at.clone(),
        owner: p.owner.clone(),
        waiting: p.blocks.len(),
    });
    sessions.chain(prepared).collect()
}

fn session(seen: &Involved) -> Seen {
    Seen {
        pid: seen.pid,
        began: seen.began.clone(),
        role: seen.role.clone(),
        application: seen.application.clone(),
        address: seen.address.clone(),
        host: None,
        port: None,
        state: seen.state.clone(),
        holds_table: false,
        waits: false,
        of_holder: false,
        hidden: seen.state.is_none(),
    }
}

/// Every root of the context's databases, or of the store that has the named one. A Neo4j that does not answer keeps nobody from ending
/// a session of Postgres that is named.
pub async fn roots(world: &World, named: Option<&str>) -> Result<Vec<Root>> {
    let mut all = Vec::new();
    let of_graph = named.is_some_and(|n| n.contains("-transaction-"));
    if world.has(Store::Postgres) && !of_graph {
        for database in world.postgres_databases()? {
            let seen = blockers(&database, LONG).await;
            all.extend(roots_of(&seen.map_err(|e| match world.has(Store::Neo4j) {
                true => e.hint("To end a transaction of Neo4j while Postgres cannot be asked, name it: `summitctl migrate blockers --end-root neo4j-transaction-7`."),
                false => e,
            })?));
        }
    }
    if world.has(Store::Neo4j) && (named.is_none() || of_graph) {
        let seen = transactions::transactions(world.neo4j()?).await;
        let seen = seen.map_err(|e| {
            e.hint("To end a session of Postgres while Neo4j cannot be asked, name it: `summitctl migrate blockers --end-root PID`.")
        })?;
        all.extend(transactions::roots(&seen).into_iter().map(|t| Root::Neo4j {
            waiting: seen.iter().filter(|w| w.blocked_by.contains(&t.id)).count(),
            transaction: t.clone(),
        }));
    }
    Ok(all)
}

/// The one that is meant; `None` if nobody stands in anybody's way and none was named.
pub fn chosen(mut all: Vec<Root>, named: Option<&str>) -> Result<Option<Root>> {
    let names: Vec<String> = all.iter().map(|r| format!("`{}`", r.name())).collect();
    if let Some(name) = named {
        return match all.into_iter().find(|r| r.name() == name) {
            Some(root) => Ok(Some(root)),
            None => Err(Error::new(
                &NOT_A_ROOT,
                format!("`{name}` is not the root of a blocking tree"),
            )
            .hint(if names.is_empty() {
                "Nobody waits for anybody now; see `summitctl migrate blockers`.".to_owned()
            } else {
                format!(
                    "The roots are {}; see `summitctl migrate blockers`.",
                    names.join(", ")
                )
            })),
        };
    }
    if all.len() > 1 {
        return Err(Error::input(format!(
            "there are {} blocking trees, and no root was named",
            all.len()
        ))
        .hint(format!("Name one with `--end-root`: {}.", names.join(", "))));
    }
    Ok(all.pop())
}

/// The step kind `migrate.unblock`.
pub struct Unblock;

#[async_trait]
impl Step<World> for Unblock {
    const KIND: &'static str = "migrate.unblock";
    const SUMMARY: &'static str = "Ends the root of a blocking tree, if it is still the one shown: a session by pid and start, a prepared transaction by gid, a transaction of Neo4j by id";
    const MOST: Effect = Effect::Destroy;
    type Args = UnblockArgs;
    type Change = Root;

    fn effect(&self, _: &UnblockArgs) -> Effect {
        Effect::Destroy
    }

    fn title(&self, args: &UnblockArgs) -> String {
        match &args.root {
            Some(root) => format!("end `{root}`, the root of a blocking tree"),
            None => "end the root of the blocking tree".to_owned(),
        }
    }

    async fn plan(&self, cx: &ReadCx<'_, World>, args: &UnblockArgs) -> Result<Decision<Root>> {
        let Some(root) = chosen(
            roots(cx.world, args.root.as_deref()).await?,
            args.root.as_deref(),
        )?
        else {
            return Ok(Decision::Done(Observed::of(json!({"roots": 0}))));
        };
        if let Root::Session { session, .. } = &root
            && session.began.is_none()
        {
            return Ok(Decision::Blocked(Blocked {
                reason: format!(
                    "when the session of pid {} began is hidden from this role, and a pid alone may be another's",
                    session.pid
                ),
                hint: "Use a role that is a member of `pg_read_all_stats` and `pg_signal_backend`."
                    .to_owned(),
            }));
        }
        let Foresight { decisive, shown } = foresight(&root);
        // After a kill the step is looked at again: then, too, only what was shown is ended.
        if let Some(Forecast::WillChange { decisive: was, .. }) = cx.planned
            && was.get("ends") != decisive.get("ends")
        {
            return Ok(Decision::Blocked(Blocked {
                reason: format!(
                    "the root is not the one that was shown any more, but {}",
                    root.identity()
                ),
                hint: "Look again with `summitctl migrate blockers`.".to_owned(),
            }));
        }
        Ok(Decision::Change {
            change: root,
            decisive,
            shown,
        })
    }

    async fn foresee(&self, cx: &ReadCx<'_, World>, args: &UnblockArgs) -> Result<Foresight> {
        let root = chosen(
            roots(cx.world, args.root.as_deref()).await?,
            args.root.as_deref(),
        )?;
        Ok(root.as_ref().map(foresight).unwrap_or_default())
    }

    async fn apply(&self, cx: &ApplyCx<'_, World>, change: &Root, grant: Grant<'_>) -> Result<()> {
        grant.still_held().await?;
        match change {
            Root::Session {
                database, session, ..
            } => {
                cx.world.require_pinned_database(database).await?;
                let target = cx.world.postgres()?.with_database(database);
                let one = std::slice::from_ref(session);
                migrations::end_sessions(&target, one, grant.consent()).await
            }
            Root::Prepared {
                database, gid, at, ..
            } => {
                cx.world.require_pinned_database(database).await?;
                let target = cx.world.postgres()?.with_database(database);
                rollback_prepared(&target, (gid, at), grant.consent()).await
            }
            Root::Neo4j { transaction, .. } => {
                cx.world.require_pinned(Store::Neo4j).await?;
                transactions::terminate(cx.world.neo4j()?, transaction, grant.consent()).await
            }
        }
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &Root) -> Result<Observed> {
        let stays = match change {
            Root::Session {
                database, session, ..
            } => {
                let target = cx.world.postgres()?.with_database(database);
                migrations::state_of(&target, session).await?.is_some()
            }
            Root::Prepared {
                database, gid, at, ..
            } => {
                let target = cx.world.postgres()?.with_database(database);
                let now = blockers(&target, LONG).await?;
                now.prepared.iter().any(|p| (&p.gid, &p.at) == (gid, at))
            }
            Root::Neo4j { transaction, .. } => {
                let now = transactions::transactions(cx.world.neo4j()?).await?;
                now.iter()
                    .any(|t| (&t.id, &t.began) == (&transaction.id, &transaction.began))
            }
        };
        if stays {
            return Err(Error::new(
                &ROOT_STAYS,
                format!("{} is still there", change.identity()),
            ));
        }
        Ok(Observed::of(json!({"ended": change.identity()})))
    }

    async fn undo(&self, _: &ApplyCx<'_, World>, change: &Root, _: Grant<'_>) -> Result<Undo> {
        Ok(Undo::Impossible(format!(
            "{} was ended, and what it had not committed is lost; whoever ran it must run it again",
            change.identity()
        )))
    }
}

fn foresight(root: &Root) -> Foresight {
    Foresight {
        decisive: Facts::from_iter([("ends".to_owned(), json!(root.identity()))]),
        shown: Facts::from_iter([
            ("ends".to_owned(), json!(root.identity())),
            ("what-that-does".to_owned(), json!(root.ends())),
        ]),
    }
}

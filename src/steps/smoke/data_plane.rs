//! `smoke.data-plane`: a write with a unique marker through the platform, read back directly from the stores, and removed.
//!
//! What is written and how it is read back comes from the context's `data-plane` section; without one it is not evaluated.
//! The marker names the run, so that a probe that was killed removes what it left when it is resumed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::world::{Gateway, World};
use crate::config::{DataPlane, Request};
use crate::consent::Effect;
use crate::engine::step::{ApplyCx, Blocked, Decision, Facts, Grant, Observed, ReadCx, Step, Undo};
use crate::error::{Error, Result};
use crate::providers::http::Client;
use crate::providers::{neo4j, postgres, redis};
use crate::reasons;
use crate::time::Span;
use crate::wait::{Deadline, Look, poll};

reasons! {
    /// The write did not arrive.
    NOT_LANDED = "smoke.write-not-landed", Failed,
        "The platform accepted a write, but it was not to be seen in a datastore before the deadline. Writes may be lost: look at the gateway's logs and at the store named.";
    /// The write was refused.
    WRITE_REFUSED = "smoke.write-refused", Failed, "The platform did not accept the probe's write. Users cannot write either.";
    /// The probe's data are still there.
    NOT_REMOVED = "smoke.write-not-removed", Failed, "The probe's own data are still in a store. Remove them by hand: the message holds their marker.";
}

/// Arguments of `smoke.data-plane`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataPlaneArgs {}

/// What will be written and removed.
#[derive(Debug, Serialize, Deserialize)]
pub struct DataPlaneChange {
    marker: String,
    record: PathBuf,
}

/// The step kind `smoke.data-plane`.
pub struct DataPlaneProbe;

#[async_trait]
impl Step<World> for DataPlaneProbe {
    const KIND: &'static str = "smoke.data-plane";
    const SUMMARY: &'static str = "Writes a marker through the platform, reads it back directly from the stores, and removes it";
    type Args = DataPlaneArgs;
    type Change = DataPlaneChange;

    fn effect(&self, _: &DataPlaneArgs) -> Effect {
        Effect::Change
    }

    fn title(&self, _: &DataPlaneArgs) -> String {
        "follow a write through the platform to the stores".to_owned()
    }

    async fn plan(
        &self,
        cx: &ReadCx<'_, World>,
        _: &DataPlaneArgs,
    ) -> Result<Decision<DataPlaneChange>> {
        let (Some(_), Some(plane)) = (&cx.world.gateway, &cx.world.data_plane) else {
            return Ok(Decision::Blocked(Blocked {
                reason: format!("context `{}` has no `data-plane` section, so the write path is not evaluated", cx.world.context),
                hint: "Say in the configuration what to write and how to read it back; `docs/CONFIG.md` shows how.".to_owned(),
            }));
        };
        let marker = format!("summitctl-{}-{}", cx.run, cx.step).to_lowercase();
        let record = cx
            .world
            .state
            .runs()
            .folder(cx.run)
            .join(format!("{}.json", cx.step));
        let decisive = Facts::from_iter([(
            "write".to_owned(),
            json!(format!("{} {}", plane.write.method, plane.write.path)),
        )]);
        let shown = Facts::from_iter([("marker".to_owned(), json!(marker))]);
        Ok(Decision::Change {
            change: DataPlaneChange { marker, record },
            decisive,
            shown,
        })
    }

    async fn apply(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &DataPlaneChange,
        grant: Grant<'_>,
    ) -> Result<()> {
        grant.still_held().await?;
        let probe = Probe::of(cx.world)?;
        let mut seen = Facts::new();
        let id = probe.write(&change.marker, &mut seen).await?;
        let landed = probe.landed(&change.marker, id.as_deref(), &mut seen).await;
        // Whatever was seen, nothing of ours stays.
        let removed = probe.remove(&change.marker, id.as_deref(), &mut seen).await;
        landed?;
        removed?;
        let text = serde_json::to_vec(&seen)
            .map_err(|e| Error::bug("facts do not serialise").caused_by(e))?;
        crate::durable::write_private(&change.record, &text)
    }

    async fn verify(&self, cx: &ReadCx<'_, World>, change: &DataPlaneChange) -> Result<Observed> {
        let probe = Probe::of(cx.world)?;
        let left = probe.where_seen(&change.marker, None).await?;
        if let Some((store, _)) = left.iter().find(|(_, there)| *there) {
            return Err(Error::new(
                &NOT_REMOVED,
                format!("the probe's data `{}` are still in {store}", change.marker),
            ));
        }
        let text =
            std::fs::read(&change.record).map_err(|e| Error::io("read", &change.record, e))?;
        let mut facts: Facts = serde_json::from_slice(&text)
            .map_err(|e| Error::input("the probe's record cannot be read").caused_by(e))?;
        facts.insert("marker".to_owned(), json!(change.marker));
        facts.insert("removed".to_owned(), json!(true));
        Ok(Observed(facts))
    }

    async fn undo(
        &self,
        cx: &ApplyCx<'_, World>,
        change: &DataPlaneChange,
        _: Grant<'_>,
    ) -> Result<Undo> {
        let probe = Probe::of(cx.world)?;
        let mut seen = Facts::new();
        probe.remove(&change.marker, None, &mut seen).await?;
        Ok(Undo::Done(Observed(seen)))
    }
}

struct Probe<'a> {
    world: &'a World,
    gateway: &'a Gateway,
    plane: &'a DataPlane,
    client: Client,
}

impl<'a> Probe<'a> {
    fn of(world: &'a World) -> Result<Self> {
        let gateway = world
            .gateway
            .as_ref()
            .ok_or_else(|| world.lacks("gateway"))?;
        let plane = world
            .data_plane
            .as_ref()
            .ok_or_else(|| world.lacks("data-plane"))?;
        let client = Client::new(gateway.ca.as_deref(), gateway.token.clone())?;
        Ok(Probe {
            world,
            gateway,
            plane,
            client,
        })
    }

    fn timeout(&self) -> Duration {
        self.plane.timeout.value.0
    }

    /// Sends the write; gives the created thing's id, if the configuration says where it is.
    async fn write(&self, marker: &str, seen: &mut Facts) -> Result<Option<String>> {
        let began = Instant::now();
        let answer = self.send(&self.plane.write, marker, None).await?;
        seen.insert(
            "write-ms".to_owned(),
            json!(began.elapsed().as_secs_f64() * 1000.0),
        );
        let id = self
            .plane
            .write
            .id
            .as_deref()
            .and_then(|pointer| answer.pointer(pointer))
            .map(word);
        Ok(id)
    }

    async fn send(&self, request: &Request, marker: &str, id: Option<&str>) -> Result<Value> {
        let rendered = request.render(marker, id)?;
        let url = self.gateway.at(&rendered.path);
        let answer = self
            .client
            .request(
                &rendered.method,
                &url,
                rendered.body,
                Deadline::after(self.timeout()),
            )
            .await?;
        let json = answer.json().unwrap_or_default();
        let graphql = json.get("errors").filter(|e| !e.is_null());
        if !(200..300).contains(&answer.status) || graphql.is_some() {
            return Err(Error::new(
                &WRITE_REFUSED,
                format!(
                    "`{}` answered HTTP {} to the probe",
                    rendered.path, answer.status
                ),
            )
            .caused_by(graphql.map_or_else(|| answer.excerpt(), Value::to_string)));
        }
        if let Some(pointer) = &request.expect
            && json.pointer(pointer).map(word).as_deref() != Some(marker)
        {
            return Err(Error::new(
                &WRITE_REFUSED,
                format!(
                    "`{}` did not give the marker back at `{pointer}`",
                    rendered.path
                ),
            )
            .caused_by(answer.excerpt()));
        }
        Ok(json)
    }

    /// Waits until every configured store shows the marker.
    async fn landed(&self, marker: &str, id: Option<&str>, seen: &mut Facts) -> Result<()> {
        let began = Instant::now();
        let deadline = Deadline::after(self.timeout());
        let wait = poll(
            "the write's arrival in the stores",
            deadline,
            Duration::from_millis(200),
            async || {
                let stores = self.where_seen(marker, id).await?;
                let missing: Vec<&str> = stores
                    .iter()
                    .filter(|(_, there)| !there)
                    .map(|(s, _)| *s)
                    .collect();
                Ok(if missing.is_empty() {
                    Look::Ready(stores)
                } else {
                    Look::NotYet(format!("not in {}", missing.join(", ")))
                })
            },
        );
        let stores = wait.await.map_err(|e| {
            Error::new(
                &NOT_LANDED,
                format!(
                    "the probe's write `{marker}` did not land within {}",
                    Span(self.timeout())
                ),
            )
            .caused_by(e)
        })?;
        if let Some(read) = &self.plane.read {
            self.send(read, marker, id).await?;
        }
        seen.insert(
            "landed-ms".to_owned(),
            json!(began.elapsed().as_secs_f64() * 1000.0),
        );
        seen.insert(
            "seen-in".to_owned(),
            json!(stores.iter().map(|(s, _)| *s).collect::<Vec<_>>()),
        );
        Ok(())
    }

    /// Which of the configured stores show the marker, asked directly.
    async fn where_seen(
        &self,
        marker: &str,
        id: Option<&str>,
    ) -> Result<Vec<(&'static str, bool)>> {
        let deadline = Deadline::after(Duration::from_secs(10));
        let mut stores = Vec::new();
        if let Some(sql) = &self.plane.postgres {
            let rows = postgres::read_rows(
                self.world.postgres()?,
                &sql.value,
                &[marker.to_owned()],
                1,
                deadline,
            )
            .await?;
            let count = rows
                .first()
                .and_then(Value::as_object)
                .and_then(|row| row.values().next())
                .and_then(Value::as_i64);
            stores.push(("postgres", count.unwrap_or(0) > 0));
        }
        if let Some(cypher) = &self.plane.neo4j {
            let count =
                count_in_neo4j(self.world.neo4j()?, &cypher.value, marker, deadline).await?;
            stores.push(("neo4j", count > 0));
        }
        if let Some(key) = &self.plane.redis
            && (id.is_some() || !key.value.contains("${id}"))
        {
            let key = crate::config::substitute(&key.value, marker, id)?;
            stores.push((
                "redis",
                redis::exists(self.world.redis()?, &key, deadline).await?,
            ));
        }
        Ok(stores)
    }

    async fn remove(&self, marker: &str, id: Option<&str>, seen: &mut Facts) -> Result<()> {
        let Some(delete) = &self.plane.delete else {
            return Ok(());
        };
        let began = Instant::now();
        self.send(delete, marker, id).await?;
        let deadline = Deadline::after(self.timeout());
        poll(
            "the removal of the probe's data",
            deadline,
            Duration::from_millis(200),
            async || {
                let stores = self.where_seen(marker, id).await?;
                let left: Vec<&str> = stores
                    .iter()
                    .filter(|(_, there)| *there)
                    .map(|(s, _)| *s)
                    .collect();
                Ok(if left.is_empty() {
                    Look::Ready(())
                } else {
                    Look::NotYet(format!("still in {}", left.join(", ")))
                })
            },
        )
        .await
        .map_err(|e| {
            Error::new(
                &NOT_REMOVED,
                format!("the probe's data `{marker}` could not be removed"),
            )
            .caused_by(e)
        })?;
        seen.insert(
            "remove-ms".to_owned(),
            json!(began.elapsed().as_secs_f64() * 1000.0),
        );
        Ok(())
    }
}

/// The first column of a configured Cypher query's first row, as a count.
async fn count_in_neo4j(
    target: &neo4j::Target,
    cypher: &str,
    marker: &str,
    deadline: Deadline,
) -> Result<i64> {
    use neo4j::bolt::packstream::Value as Bolt;
    use neo4j::bolt::{Begin, Connection};
    let mut connection = Connection::open(target, deadline).await?;
    let parameters = Bolt::Map(vec![("marker".to_owned(), Bolt::String(marker.to_owned()))]);
    let begin = Begin::read("data-plane probe");
    let asked = connection.query(cypher, parameters, &begin);
    let rows = deadline.run("the configured Cypher query", asked).await?;
    connection.close().await;
    match rows.first().and_then(|row| row.first()) {
        Some(Bolt::Int(count)) => Ok(*count),
        _ => Err(
            Error::input("the data plane's Cypher query does not give a count")
                .hint("Let its first column be `count(…)`."),
        ),
    }
}

/// A JSON value as the word it stands for.
fn word(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

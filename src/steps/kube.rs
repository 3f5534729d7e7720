//! Changes of what runs in the context's cluster. Before one is planned, the API server is asked whether we may.

use std::time::Duration;

use super::world::World;
use crate::engine::step::{Blocked, ReadCx};
use crate::error::{Error, Result, TIMEOUT};
use crate::event::Unit;
use crate::providers::kubernetes::{self, Ask, Cluster, Named, UNSETTLED, may, namespace};
use crate::wait::{Deadline, Look, poll};

pub mod job;
pub mod rollout;
pub mod scale;
pub mod set;

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long pods may take to come or go.
const TO_SETTLE: Duration = Duration::from_secs(600);

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// The context's cluster.
async fn cluster(world: &World) -> Result<&Cluster> {
    let target = world.kubernetes.as_ref();
    let target = target.ok_or_else(|| world.lacks("kubernetes"))?;
    target.open(soon()).await
}

/// The namespace that is meant: the one that is named, else the context's only one.
pub(super) async fn space<'a>(cluster: &'a Cluster, named: Option<&'a str>) -> Result<&'a str> {
    let space = match (named, cluster.namespaces.as_slice()) {
        (Some(named), all) if all.iter().any(|n| n == named) => named,
        (Some(named), all) => {
            return Err(
                Error::input(format!("the context does not have the namespace `{named}`")).hint(
                    format!(
                        "It has `{}`; add the other to `namespaces` in its `kubernetes` section.",
                        all.join("`, `")
                    ),
                ),
            );
        }
        (None, [only]) => only,
        (None, all) => {
            return Err(
                Error::input("the context has several namespaces, and none is named").hint(
                    format!("Say which with `namespace`: `{}`.", all.join("`, `")),
                ),
            );
        }
    };
    namespace(cluster, space, soon()).await?;
    Ok(space)
}

/// What the API server would refuse, before anything is changed.
async fn refused(cluster: &Cluster, kind: &str, asks: &[Ask]) -> Result<Option<Blocked>> {
    for ask in asks {
        let allowed = may(cluster, ask, soon()).await?;
        if !allowed.yes {
            return Ok(Some(Blocked {
                reason: format!("the API server says that we may not {ask}"),
                hint: format!(
                    "Add {} to {}; `summitctl kube rbac --step {kind}` prints a Role with all that is needed.",
                    ask.rule(),
                    ask.role()
                ),
            }));
        }
    }
    Ok(None)
}

/// Waits until each workload has as many pods as it is to have, all ready and none ending.
async fn wait(cx: &ReadCx<'_, World>, cluster: &Cluster, wanted: &[(&Named, i32)]) -> Result<()> {
    let total = wanted.len() as u64;
    let waiting = poll(
        "that the pods come or go",
        Deadline::after(TO_SETTLE),
        Duration::from_secs(1),
        || async {
            let mut ready = 0;
            let mut first = None;
            for (object, wanted) in wanted {
                match kubernetes::settled(cluster, object, *wanted, soon()).await? {
                    None => ready += 1,
                    Some(why) => first = first.or_else(|| Some(format!("{object}: {why}"))),
                }
            }
            cx.events
                .progress("workloads", ready, Some(total), Unit::Items);
            Ok(match first {
                None => Look::Ready(()),
                Some(why) => Look::NotYet(why),
            })
        },
    );
    cx.cancel.guard(waiting).await.map_err(|e| {
        if e.reason() == &TIMEOUT {
            Error::new(&UNSETTLED, e.one_line())
                .hint("See the pods with `summitctl smoke`; what was scaled is noted on the workloads, and `summitctl run abort` scales it back.")
        } else {
            e
        }
    })
}

//! Looking: pages of objects folded one by one, single objects, events and the end of logs.

use std::fmt::Debug;
use std::time::{Duration, Instant as Clock};

use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::Resource;
use kube::api::{Api, ListParams, LogParams};
use serde::de::DeserializeOwned;

use super::explain::explain;
use super::target::Cluster;
use super::{Ask, NO_SUCH_NAMESPACE, NOT_FOUND, UNREACHABLE};
use crate::error::{Error, Result, TIMEOUT};
use crate::wait::Deadline;

/// How many objects one request asks for.
const PAGE: u32 = 200;

/// How many objects of a kind and namespace are looked at; more are counted as not looked at.
const MOST: usize = 10_000;

/// How much of a log is read.
const LOG_BYTES: i64 = 8 << 10;

/// Which objects are meant.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A label selector.
    pub labels: Option<String>,
    /// A field selector.
    pub fields: Option<String>,
}

impl Filter {
    /// The pods of a Job.
    pub fn of_job(name: &str) -> Filter {
        Filter {
            labels: Some(format!("batch.kubernetes.io/job-name={name}")),
            fields: None,
        }
    }
}

/// How far a look at many objects got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scan {
    /// How many were looked at.
    pub seen: usize,
    /// Whether there are more, which were not.
    pub more: bool,
}

/// What the API server is.
#[derive(Debug, Clone)]
pub struct Version {
    /// As it says, such as `v1.34.4`.
    pub version: String,
    /// How long the answer took.
    pub latency: Duration,
}

/// Runs a question until the deadline; a server that does not answer in time is out of reach.
pub(super) async fn asked<T>(
    cluster: &Cluster,
    ask: &Ask,
    deadline: Deadline,
    work: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T> {
    let work = async { work.await.map_err(|e| explain(&cluster.server, ask, e)) };
    match deadline.run(&format!("to {ask}"), work).await {
        Err(error) if error.reason() == &TIMEOUT => Err(Error::new(
            &UNREACHABLE,
            format!(
                "the API server `{}` does not answer in time",
                cluster.server
            ),
        )
        .caused_by(error)),
        other => other,
    }
}

/// Asks the API server its version.
pub async fn version(cluster: &Cluster, deadline: Deadline) -> Result<Version> {
    let began = Clock::now();
    let ask = Ask::named("get", "", "version", None);
    let info = asked(cluster, &ask, deadline, cluster.client.apiserver_version()).await?;
    Ok(Version {
        version: info.git_version,
        latency: began.elapsed(),
    })
}

/// What the cluster is, whatever it is called: the UID of its `kube-system` namespace, which is made once and never again.
pub async fn identify(cluster: &Cluster, deadline: Deadline) -> Result<String> {
    namespace(cluster, "kube-system", deadline).await
}

/// The UID of a namespace.
///
/// # Errors
/// `kubernetes.no-such-namespace`: a list of what it holds would be empty, and look healthy.
pub async fn namespace(cluster: &Cluster, name: &str, deadline: Deadline) -> Result<String> {
    let ask = Ask::of::<Namespace>("get", Some(name));
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let found = asked(cluster, &ask, deadline, api.get_metadata(name)).await.map_err(|e| {
        if e.reason() == &NOT_FOUND {
            Error::new(&NO_SUCH_NAMESPACE, format!("`{}` has no namespace `{name}`", cluster.server))
                .hint("See those that exist with `kubectl get namespaces`, and name the right ones with `namespaces` in the context's `kubernetes` section.")
        } else {
            e
        }
    })?;
    Ok(found.metadata.uid.unwrap_or_default())
}

/// Reads all objects of a kind, page by page, and hands each on; they are not kept.
pub async fn scan<K>(
    cluster: &Cluster,
    api: &Api<K>,
    namespace: Option<&str>,
    filter: &Filter,
    deadline: Deadline,
    take: impl FnMut(K),
) -> Result<Scan>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let ask = Ask::of::<K>("list", namespace);
    pages(cluster, &ask, api, filter, deadline, take).await
}

/// As [`scan`], of any kind.
pub(super) async fn pages<K>(
    cluster: &Cluster,
    ask: &Ask,
    api: &Api<K>,
    filter: &Filter,
    deadline: Deadline,
    mut take: impl FnMut(K),
) -> Result<Scan>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams {
        label_selector: filter.labels.clone(),
        field_selector: filter.fields.clone(),
        limit: Some(PAGE),
        ..ListParams::default()
    };
    let mut scan = Scan::default();
    loop {
        let page = asked(cluster, ask, deadline, api.list(&params)).await?;
        for object in page.items {
            scan.seen += 1;
            take(object);
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(scan);
        }
        if scan.seen >= MOST {
            scan.more = true;
            return Ok(scan);
        }
    }
}

/// The newest events about an object, newest first, one line each and each once; only warnings if so wished.
pub async fn events(
    cluster: &Cluster,
    namespace: &str,
    uid: &str,
    warnings: bool,
    most: usize,
    deadline: Deadline,
) -> Result<Vec<String>> {
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), namespace);
    let filter = Filter {
        labels: None,
        fields: Some(if warnings {
            format!("involvedObject.uid={uid},type=Warning")
        } else {
            format!("involvedObject.uid={uid}")
        }),
    };
    let mut found = Vec::new();
    scan(
        cluster,
        &api,
        Some(namespace),
        &filter,
        deadline,
        |event: Event| {
            let at = event
                .last_timestamp
                .map(|t| t.0)
                .or(event.event_time.map(|t| t.0))
                .or(event.metadata.creation_timestamp.map(|t| t.0));
            let reason = event.reason.unwrap_or_default();
            let message = event.message.unwrap_or_default();
            found.push((at, one_line(&format!("{reason}: {message}"))));
            // Only the newest are wanted; an object can have thousands.
            if found.len() > 4 * most.max(1) {
                keep_newest(&mut found, most);
            }
        },
    )
    .await?;
    keep_newest(&mut found, most);
    Ok(found.into_iter().map(|(_, line)| line).collect())
}

fn keep_newest<T: Ord, U: Ord + Clone>(found: &mut Vec<(T, U)>, most: usize) {
    found.sort_unstable_by(|a, b| b.cmp(a));
    // Each once: events are repeated, with a count or anew.
    let mut known = std::collections::BTreeSet::new();
    found.retain(|(_, line)| known.insert(line.clone()));
    found.truncate(most);
}

/// The last lines of a container's log; of the run before the present one if `previous`.
pub async fn log(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    container: &str,
    previous: bool,
    lines: u32,
    deadline: Deadline,
) -> Result<Vec<String>> {
    let ask = Ask::named("get", "", "pods/log", Some(namespace));
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let params = LogParams {
        container: Some(container.to_owned()),
        previous,
        tail_lines: Some(i64::from(lines)),
        limit_bytes: Some(LOG_BYTES),
        ..LogParams::default()
    };
    let text = asked(cluster, &ask, deadline, api.logs(pod, &params)).await?;
    Ok(text
        .lines()
        .map(one_line)
        .filter(|l| !l.is_empty())
        .collect())
}

/// A container's log since so long ago: at most its last `lines` lines, and of these so many bytes; and whether there was more.
pub async fn recent(
    cluster: &Cluster,
    (namespace, pod, container): (&str, &str, &str),
    since: Duration,
    (lines, bytes): (usize, usize),
    deadline: Deadline,
) -> Result<(String, bool)> {
    let ask = Ask::named("get", "", "pods/log", Some(namespace));
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let params = LogParams {
        container: Some(container.to_owned()),
        since_seconds: Some(i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        tail_lines: Some(number(lines)),
        limit_bytes: Some(number(bytes)),
        ..LogParams::default()
    };
    let text = asked(cluster, &ask, deadline, api.logs(pod, &params)).await?;
    let more = text.len() >= bytes || text.lines().count() >= lines;
    Ok((text, more))
}

/// Without what moves a terminal's cursor, and no longer than a line may be.
pub(super) fn one_line(text: &str) -> String {
    let clean: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(400)
        .collect();
    clean
}

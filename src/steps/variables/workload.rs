//! What a workload of the cluster really gives its container, as values that the checks take; and the checks of the way there:
//! that every source is there, every reference leads somewhere, and the pods that run have what is there now.
//!
//! Values of Secrets are masked from here on, and no finding holds any.

use std::collections::BTreeMap;

use serde_json::json;

use crate::check::{Category, Check, Finding};
use crate::config::check::REFERENCES;
use crate::config::variables::find;
use crate::config::{self, Provenance, Sourced, Values};
use crate::error::{Error, Result};
use crate::providers::kubernetes::{
    self, GivenBy, Named, Origin, Source, SourceState, Target, Variable, WORKLOADS,
};
use crate::secret::Secret;
use crate::steps::kube;
use crate::steps::world::NOT_CONFIGURED;
use crate::time::Instant;
use crate::wait::Deadline;

/// Which container it is, and what it gets.
const CONTAINER: &str = "workload.container";
/// Whether each `$(NAME)` leads to something.
const EXPANSION: &str = "workload.expansion";
/// Whether a Service sets a variable of the platform.
const LINKS: &str = "workload.service-links";
/// Whether the pods that run have what is there now.
const PODS: &str = "workload.pods";

/// How many objects a finding names.
const NAMED: usize = 20;
/// A shorter value masks words that are no secret.
const MASKED: usize = 8;

/// A workload of the context's cluster.
#[derive(Debug, Clone)]
pub struct Workload {
    /// As in `deployment/gateway`.
    pub object: String,
    /// Its namespace; the context's, if it has only one.
    pub namespace: Option<String>,
    /// The container, if it has several.
    pub container: Option<String>,
}

/// What was read of it.
pub(super) struct Seen {
    pub values: Values,
    pub checks: Vec<Check<'static>>,
    /// In a few words.
    pub container: String,
}

pub(super) async fn read(
    target: Option<&Target>,
    wanted: &Workload,
    deadline: Deadline,
) -> Result<Seen> {
    let target = target.ok_or_else(|| {
        Error::new(&NOT_CONFIGURED, "the context names no cluster").hint(
            "Add a `kubernetes` section to the context; `docs/CONFIG.md` shows what goes into it.",
        )
    })?;
    let cluster = target.open(deadline).await?;
    let space = kube::space(cluster, wanted.namespace.as_deref()).await?;
    let named = Named::parse(&wanted.object, space, WORKLOADS)?;
    let container = wanted.container.as_deref();
    let seen = kubernetes::given(cluster, &named, container, deadline).await?;
    for variable in seen.given.variables.values() {
        mask(variable);
    }
    let container = format!("container `{}` of {named}", seen.container);
    Ok(Seen {
        values: values(&named, &seen),
        checks: checks(&named, &container, &seen),
        container,
    })
}

/// A Secret's value is masked wherever it shows, unless it is a word or too short to be one: `info`, `5432`.
fn mask(variable: &Variable) {
    let Ok(value) = &variable.value else { return };
    let word = value.chars().all(|c| c.is_ascii_lowercase());
    if variable.secret && value.len() >= MASKED && !word {
        Secret::new(value.as_str());
    }
}

fn place(named: &Named, container: &str, origin: &Origin) -> Provenance {
    let (object, key) = match origin {
        Origin::Written => (named.to_string(), format!("container `{container}`")),
        Origin::Key(store, name, key) => (
            format!("{} `{}/{name}`", store.word(), named.namespace),
            format!("key `{key}`"),
        ),
        Origin::Cluster(what) => (named.to_string(), what.clone()),
    };
    Provenance::Kubernetes {
        object,
        key: Some(key),
    }
}

fn values(named: &Named, seen: &GivenBy) -> Values {
    let mut values = Values::default();
    for veil in &seen.given.veils {
        let (store, name) = &veil.of;
        let source = Provenance::Kubernetes {
            object: format!("{} `{}/{name}`", store.word(), named.namespace),
            key: None,
        };
        values.veil(&veil.prefix, veil.why.clone(), source);
    }
    for (name, variable) in &seen.given.variables {
        let source = place(named, &seen.container, &variable.origin);
        if seen.given.repeated.contains(name) {
            let again = Sourced::new(name.clone(), source.clone());
            values.repeated.push(again);
        }
        match &variable.value {
            Ok(value) => values.put(name, value, source),
            Err(why) => values.put_unknown(name, why.clone(), source),
        }
    }
    values
}

fn checks(named: &Named, container: &str, seen: &GivenBy) -> Vec<Check<'static>> {
    let check =
        |id: &str, title: &str, finding| Check::known(id, Category::Kubernetes, title, finding);
    let mut checks = vec![
        check(
            CONTAINER,
            "what the container gets",
            gets(named, container, seen),
        ),
        check(
            REFERENCES,
            "every ConfigMap and Secret that it needs is there",
            references(seen),
        )
        .impact("A new pod does not start (CreateContainerConfigError); one that runs keeps the values that it was started with."),
        check(
            EXPANSION,
            "every `$(NAME)` leads to something",
            expansion(seen),
        )
        .impact("The container gets the reference itself instead of a value."),
        check(
            LINKS,
            "no Service sets a variable of the platform",
            service_links(seen),
        ),
    ];
    if let Some(running) = &seen.running {
        let finding = pods(named, &seen.sources, running);
        checks.push(
            check(PODS, "running pods have what is there now", finding)
                .impact("They work with other values than those that are checked here."),
        );
    }
    checks
}

/// Which container, and how many variables come from where.
fn gets(named: &Named, container: &str, seen: &GivenBy) -> Finding {
    let given = &seen.given;
    let mut by_place: BTreeMap<String, usize> = BTreeMap::new();
    for variable in given.variables.values() {
        let place = match &variable.origin {
            Origin::Written => "its own template".to_owned(),
            Origin::Key(store, name, _) => format!("{} `{name}`", store.word()),
            Origin::Cluster(_) => "the cluster".to_owned(),
        };
        *by_place.entry(place).or_default() += 1;
    }
    let places: Vec<String> = by_place
        .iter()
        .map(|(place, n)| format!("{n} from {place}"))
        .collect();
    let mut detail = if places.is_empty() {
        format!("{container} gets no variable that is known here")
    } else {
        format!("{container} gets {}", places.join(", "))
    };
    if !given.veils.is_empty() {
        detail.push_str("; and whatever is in what could not be read");
    }
    let finding = if given.odd.is_empty() {
        Finding::passed(detail)
    } else {
        Finding::degraded(format!(
            "{detail}; before Kubernetes 1.34 the kubelet leaves out {}, which is no name of a variable",
            given.odd.join(", ")
        ))
    };
    let sources: Vec<_> = seen.sources.iter().map(fact).collect();
    let unknown: Vec<&String> = given
        .variables
        .iter()
        .filter_map(|(name, v)| v.value.is_err().then_some(name))
        .collect();
    finding
        .fact("object", named.to_string())
        .fact("container", seen.container.clone())
        .fact("image", seen.image.clone())
        .fact("variables", given.variables.len())
        .fact("unknown", json!(unknown))
        .fact("sources", sources)
}

fn fact(source: &Source) -> serde_json::Value {
    let (state, keys) = match source.state {
        SourceState::Here(keys) => ("here", Some(keys)),
        SourceState::Absent => ("absent", None),
        SourceState::Unreadable => ("unreadable", None),
    };
    json!({
        "kind": source.store.word(),
        "name": source.name,
        "state": state,
        "keys": keys,
        "made-by": made_by(source),
        "changed": source.changed,
    })
}

/// Who makes it; of a source that is not there, also what its maker says.
fn made_by(source: &Source) -> Option<String> {
    let maker = source.made_by.as_ref()?;
    let object = &maker.object;
    let text = match (&source.state, &maker.says) {
        (SourceState::Absent, Some(says)) if says.status == "True" => {
            format!("{object}, which says that it did")
        }
        (SourceState::Absent, Some(says)) => {
            format!("{object}, which did not: {}", says.why(config::redact))
        }
        (SourceState::Absent, None) => {
            format!("{object}, which its controller has not looked at")
        }
        _ => object.clone(),
    };
    Some(text)
}

fn names(source: &Source) -> String {
    let own = format!("{} `{}`", source.store.word(), source.name);
    match made_by(source) {
        Some(maker) => format!("{own} (made by {maker})"),
        None => own,
    }
}

fn references(seen: &GivenBy) -> Finding {
    let (given, sources) = (&seen.given, &seen.sources);
    let closed: Vec<String> = sources
        .iter()
        .filter(|s| s.state == SourceState::Unreadable)
        .map(names)
        .collect();
    let mut finding = if !given.broken.is_empty() {
        let mut text = listed(&given.broken);
        for source in sources.iter().filter(|s| s.state == SourceState::Absent) {
            if let Some(maker) = made_by(source) {
                text.push_str(&format!("; `{}` is to be made by {maker}", source.name));
            }
        }
        if !closed.is_empty() {
            text.push_str(&format!("; may not be read: {}", closed.join(", ")));
        }
        Finding::failed(text).settled()
    } else if !closed.is_empty() {
        Finding::not_evaluated(format!("may not be read: {}", closed.join(", ")))
    } else if sources.is_empty() {
        Finding::skipped("it takes nothing from a ConfigMap or Secret")
    } else {
        let there = sources.iter().filter(|s| s.state != SourceState::Absent);
        let mut all: Vec<String> = there.map(names).collect();
        if !given.left_out.is_empty() {
            let out = given.left_out.join(", ");
            all.push(format!("optional and not there: {out}"));
        }
        Finding::passed(listed(&all))
    };
    if given.broken.iter().any(|b| b.contains("secret")) {
        finding = finding.hint("See what makes it with `kubectl get externalsecrets,sealedsecrets`, or make it with `kubectl create secret generic NAME --from-env-file FILE`.");
    }
    for hint in &seen.hints {
        finding = finding.hint(hint.clone());
    }
    if !closed.is_empty() {
        finding = finding.hint(
            "Print a Role with all that is needed with `summitctl kube rbac --step config.check`.",
        );
    }
    finding
        .fact("missing", given.broken.clone())
        .fact("unreadable", closed)
}

fn listed(all: &[String]) -> String {
    let first: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let mut text = first.join("; ");
    if all.len() > NAMED {
        text.push_str(&format!("; and {} more", all.len() - NAMED));
    }
    text
}

fn expansion(seen: &GivenBy) -> Finding {
    let dangling: Vec<String> = seen
        .given
        .dangling
        .iter()
        // Not as it is written there: as the password of a URL it is masked.
        .map(|(variable, reference)| format!("`{variable}` refers to `{reference}`"))
        .collect();
    if dangling.is_empty() {
        return Finding::passed("none is left over");
    }
    Finding::failed(format!(
        "nothing that comes before sets it: {}",
        listed(&dangling)
    ))
    .hint("Put the variable that is used above the one that uses it, or write `$$(NAME)` where the text itself is meant.")
    .settled()
}

/// A Service `redis` sets `REDIS_PORT` to `tcp://…` in every pod, unless the workload sets it itself.
fn service_links(seen: &GivenBy) -> Finding {
    let links = match &seen.links {
        Ok(links) => links,
        Err(why) => return Finding::not_evaluated(why.clone()),
    };
    let own = |name: &str| {
        let veils = &seen.given.veils;
        seen.given.variables.contains_key(name) || veils.iter().any(|v| name.starts_with(&v.prefix))
    };
    let found: Vec<String> = links
        .iter()
        .filter(|(name, _)| find(name).is_some() && !own(name))
        .map(|(name, (value, service))| {
            format!("`{name}` is `{value}` because of service `{service}`")
        })
        .collect();
    if found.is_empty() {
        return Finding::passed("none does");
    }
    Finding::degraded(listed(&found))
        .hint(
            "Set the variable yourself, or set `enableServiceLinks: false` in the pod's template.",
        )
        .settled()
}

/// Values are handed over when a container is started: one that runs does not see a later change.
fn pods(
    named: &Named,
    sources: &[Source],
    running: &std::result::Result<Vec<(String, Instant)>, String>,
) -> Finding {
    let running = match running {
        Ok(running) => running,
        Err(why) => return Finding::not_evaluated(why.clone()),
    };
    if running.is_empty() {
        return Finding::skipped("the container runs in no pod");
    }
    let count = running.len();
    let newest = sources.iter().filter_map(|s| Some((s.changed?, s)));
    let newest = newest.max_by_key(|(at, _)| *at);
    // Both times have whole seconds.
    let old: Vec<&str> = running
        .iter()
        .filter(|(_, began)| newest.is_some_and(|(changed, _)| *began < changed))
        .map(|(pod, _)| pod.as_str())
        .collect();
    let closed = |s: &&Source| s.state == SourceState::Unreadable;
    let finding = match (newest, sources.iter().find(closed)) {
        (Some((changed, source)), _) if !old.is_empty() => {
            let shown: Vec<&str> = old.iter().take(NAMED).copied().collect();
            Finding::degraded(format!(
                "{} of {count} pods were started before {} was last changed, at {}: `{}`",
                old.len(),
                names(source),
                changed.human(),
                shown.join("`, `")
            ))
            .hint(format!(
                "Start them anew with `kubectl rollout restart {}/{} -n {}`.",
                named.kind.word(),
                named.name,
                named.namespace
            ))
        }
        (_, Some(closed)) => Finding::not_evaluated(format!(
            "when {} was changed may not be read",
            names(closed)
        )),
        (Some((changed, source)), None) => Finding::passed(format!(
            "{count} pods, all started after the newest change, which was of {} at {}",
            names(source),
            changed.human()
        )),
        (None, None) => Finding::passed(format!("{count} pods; all of it is in the template")),
    };
    finding.fact("running", count).fact("older", old)
}

//! The access that the checks need, proven by access reviews, and the Roles that give it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{PATIENCE, reach, unmeasured};
use crate::check::{Category, Check, Finding};
use crate::engine::step::{Look as _, Step as _};
use crate::error::Result;
use crate::providers::kubernetes::{
    Ask, CERTIFICATES, Cluster, EXTERNAL_SECRETS, SEALED_SECRETS, may, served,
};
use crate::steps::config_check::ConfigCheck;
use crate::steps::kube::{job::RunJob, rollout::RolloutUndo, scale::KubeScale, set::KubeSet};
use crate::steps::world::World;
use crate::wait::Deadline;

/// Group, resource, verbs, and whether it belongs to the whole cluster.
type Need = (&'static str, &'static str, &'static [&'static str], bool);

/// What the checks of `smoke` ask.
const NEEDS: &[Need] = &[
    ("", "namespaces", &["get"], false),
    ("", "pods", &["list"], false),
    ("", "pods/log", &["get"], false),
    ("", "events", &["list"], false),
    ("", "services", &["list"], false),
    ("", "persistentvolumeclaims", &["list"], false),
    // Helm keeps its releases there.
    ("", "secrets", &["get", "list"], false),
    ("apps", "deployments", &["list"], false),
    ("apps", "statefulsets", &["list"], false),
    ("apps", "daemonsets", &["list"], false),
    ("batch", "jobs", &["list"], false),
    ("batch", "cronjobs", &["list"], false),
    ("autoscaling", "horizontalpodautoscalers", &["list"], false),
    ("discovery.k8s.io", "endpointslices", &["list"], false),
    // Asked only where the cluster has these kinds.
    (CERTIFICATES.group, CERTIFICATES.plural, &["list"], false),
    (
        EXTERNAL_SECRETS.group,
        EXTERNAL_SECRETS.plural,
        &["list"],
        false,
    ),
    ("", "nodes", &["list"], true),
];

/// What each step kind that does more in the cluster than the checks do asks besides.
const STEPS: &[(&str, &[Need])] = &[
    (
        ConfigCheck::KIND,
        &[
            ("apps", "deployments", &["get"], false),
            ("apps", "statefulsets", &["get"], false),
            ("apps", "daemonsets", &["get"], false),
            ("batch", "cronjobs", &["get"], false),
            ("batch", "jobs", &["get"], false),
            ("", "configmaps", &["get"], false),
            ("", "secrets", &["get"], false),
            // Who is to make a Secret that is missing.
            (
                SEALED_SECRETS.group,
                SEALED_SECRETS.plural,
                &["list"],
                false,
            ),
            (
                EXTERNAL_SECRETS.group,
                EXTERNAL_SECRETS.plural,
                &["list"],
                false,
            ),
        ],
    ),
    (
        KubeScale::KIND,
        &[
            ("apps", "deployments", &["get", "patch"], false),
            ("apps", "statefulsets", &["get", "patch"], false),
        ],
    ),
    (
        RolloutUndo::KIND,
        &[
            ("apps", "deployments", &["get", "patch"], false),
            ("apps", "replicasets", &["list"], false),
        ],
    ),
    (
        KubeSet::KIND,
        &[
            ("", "configmaps", &["get", "patch"], false),
            ("", "serviceaccounts", &["get", "patch"], false),
            ("apps", "deployments", &["get", "patch"], false),
            ("apps", "statefulsets", &["get", "patch"], false),
            ("batch", "cronjobs", &["get", "patch"], false),
        ],
    ),
    (
        RunJob::KIND,
        &[
            ("batch", "cronjobs", &["get"], false),
            ("batch", "jobs", &["create", "delete", "get"], false),
        ],
    ),
];

/// The step kinds that need more than the checks do.
pub fn steps() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|(kind, _)| *kind)
}

/// What a missing access means.
pub const IMPACT: &str = "What `smoke` cannot read it does not evaluate.";

/// Id and title of each check of access.
pub fn catalog() -> impl Iterator<Item = (String, String)> {
    NEEDS.iter().map(|(group, resource, verbs, _)| {
        let dotted = if group.is_empty() {
            String::new()
        } else {
            format!(".{group}")
        };
        let id = format!("kubernetes.access.{}", resource.replace('/', "-"));
        (
            id,
            format!("We may {} `{resource}{dotted}`", verbs.join(" and ")),
        )
    })
}

/// Adds to `doctor`: that the cluster answers, and each access that the checks of `smoke` need.
pub fn checks<'a>(world: &'a World, checks: &mut Vec<Check<'a>>) {
    if world.kubernetes.is_none() {
        return;
    }
    reach(world, checks);
    for (need, (id, title)) in NEEDS.iter().zip(catalog()) {
        let (_, resource, _, whole) = *need;
        let mut check = Check::new(id, Category::Kubernetes, title, move |attempt| async move {
            let Some(target) = &world.kubernetes else {
                return Finding::not_evaluated("no cluster is configured");
            };
            let found = async {
                review(
                    target.open(attempt.deadline).await?,
                    *need,
                    attempt.deadline,
                )
                .await
            };
            found.await.unwrap_or_else(|e| unmeasured(&e))
        })
        .within(PATIENCE)
        // Without the right to look at a namespace the other rights can be asked for all the same.
        .needs(super::API);
        if whole || resource == "secrets" {
            check = check.advisory();
        }
        checks.push(check.impact(IMPACT));
    }
}

async fn review(cluster: &Cluster, need: Need, deadline: Deadline) -> Result<Finding> {
    let (group, resource, verbs, whole) = need;
    let extensions = [CERTIFICATES, EXTERNAL_SECRETS].into_iter();
    for extension in extensions.filter(|e| e.group == group) {
        if served(cluster, extension, deadline).await?.is_none() {
            let name = extension.name();
            return Ok(Finding::skipped(format!("the cluster has no `{name}`")));
        }
    }
    let places: Vec<Option<&str>> = if whole {
        vec![None]
    } else {
        cluster
            .namespaces
            .iter()
            .map(|n| Some(n.as_str()))
            .collect()
    };
    let mut missing = Vec::new();
    for place in places {
        for verb in verbs {
            let ask = Ask::named(verb, group, resource, place);
            let allowed = may(cluster, &ask, deadline).await?;
            if !allowed.yes {
                missing.push(ask);
            }
        }
    }
    let asked = if whole {
        "in the whole cluster".to_owned()
    } else {
        format!("in {}", cluster.namespaces.join(", "))
    };
    if missing.is_empty() {
        return Ok(Finding::passed(format!(
            "by the API server's access review, {asked}"
        )));
    }
    let shown: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let mut finding = Finding::failed(format!(
        "the API server says that we may not {}",
        shown.join(", nor ")
    ))
    .fact("missing", shown)
    .settled();
    for ask in &missing {
        finding = finding.hint(format!("Add {} to {}.", ask.rule(), ask.role()));
    }
    Ok(finding.hint("Print a Role with all that is needed with `summitctl kube rbac`."))
}

/// Least-privilege Roles and their bindings, as YAML: one Role for each namespace, and a ClusterRole for nodes. With what these step
/// kinds need, besides what the checks do.
pub fn manifest(
    name: &str,
    namespaces: &[String],
    (account, home): (&str, &str),
    kinds: &[String],
) -> String {
    let mut text = String::new();
    let subject =
        format!("subjects:\n- kind: ServiceAccount\n  name: {account}\n  namespace: {home}\n");
    for namespace in namespaces {
        let _ = write!(
            text,
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: {name}\n  namespace: {namespace}\nrules:\n{}---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n  name: {name}\n  namespace: {namespace}\n\
             roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: {name}\n{subject}---\n",
            rules(false, kinds)
        );
    }
    let _ = write!(
        text,
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {name}\nrules:\n{}---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: {name}\n\
         roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: {name}\n{subject}",
        rules(true, kinds)
    );
    text
}

/// The rules, with resources of one group and the same verbs together.
fn rules(whole: bool, kinds: &[String]) -> String {
    let chosen = STEPS
        .iter()
        .filter(|(kind, _)| kinds.iter().any(|k| k == kind));
    let needs = NEEDS
        .iter()
        .chain(chosen.flat_map(|(_, needs)| needs.iter()));
    let mut all: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (group, resource, verbs, _) in needs.filter(|need| need.3 == whole) {
        all.entry((group, resource))
            .or_default()
            .extend(verbs.iter());
    }
    let mut together: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, resource), verbs) in all {
        let verbs = verbs.into_iter().collect();
        together.entry((group, verbs)).or_default().push(resource);
    }
    let quoted = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
        words.join(", ")
    };
    let mut text = String::new();
    for ((group, verbs), resources) in together {
        let _ = write!(
            text,
            "- apiGroups: [\"{group}\"]\n  resources: [{}]\n  verbs: [{}]\n",
            quoted(&resources),
            quoted(&verbs)
        );
    }
    // Which cluster it is: the UID of one namespace, and nothing else of it.
    if whole {
        text.push_str("- apiGroups: [\"\"]\n  resources: [\"namespaces\"]\n  resourceNames: [\"kube-system\"]\n  verbs: [\"get\"]\n");
    }
    text
}

//! Pods that are not ready, and why.

use super::{EXPLAINED, Problem, Tally, attach, selected};
use crate::check::Finding;
use crate::error::Result;
use crate::providers::kubernetes::objects::core::v1::Pod;
use crate::providers::kubernetes::{Cluster, PodFacts, Trouble, pod};
use crate::time::Instant;
use crate::wait::Deadline;

/// Looks at every pod.
pub(super) async fn look(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let now = Instant::now();
    let mut tally = Tally::default();
    let mut troubled: Vec<PodFacts> = Vec::new();
    let mut restarts = 0;
    for namespace in &cluster.namespaces {
        let seen = selected(cluster, namespace, None, deadline, |object: Pod| {
            let facts = pod(&object, now);
            restarts += facts.restarts;
            // A Job decides itself what the failure of one of its pods means.
            let job_decides = facts.of_job
                && matches!(
                    facts.trouble,
                    Some(Trouble::Failed { .. } | Trouble::Crashing { .. })
                );
            if facts.trouble.is_some() && !job_decides {
                troubled.push(facts);
            }
        })
        .await?;
        tally.add(seen);
    }
    for (n, facts) in troubled.iter().enumerate() {
        let Some(trouble) = &facts.trouble else {
            continue;
        };
        let mut problem = Problem::new(&facts.namespace, &facts.name, trouble.to_string());
        problem.bearable = matches!(trouble, Trouble::Ending { .. });
        if n < EXPLAINED {
            let log = trouble
                .log_of()
                .map(|(container, previous)| (facts.name.as_str(), container, previous));
            problem.more = attach(cluster, &facts.namespace, &facts.uid, log, true, deadline).await;
        }
        tally.problems.push(problem);
    }
    Ok(tally
        .finding("pods", "pod", "are ready or done")
        .fact("restarts", restarts))
}

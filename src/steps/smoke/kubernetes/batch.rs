//! Jobs that failed or run too long, and CronJobs that do not.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{EXPLAINED, Problem, Tally, attach, selected};
use crate::check::Finding;
use crate::error::Result;
use crate::providers::kubernetes::meta::{ObjectMeta, Time};
use crate::providers::kubernetes::objects::batch::v1::{CronJob, Job};
use crate::providers::kubernetes::objects::core::v1::Pod;
use crate::providers::kubernetes::{Api, Cluster, Filter, pod, scan};
use crate::time::{Instant, Span};
use crate::wait::Deadline;

/// When somebody last set whether a CronJob is suspended, after it was made, as its managed fields tell.
fn suspend_set(meta: &ObjectMeta) -> Option<Instant> {
    let at = |t: &Time| Instant::from_millis(t.0.as_millisecond());
    let made = meta.creation_timestamp.as_ref().map(at)?;
    let all = meta.managed_fields.iter().flatten();
    let own = all.filter(|m| {
        let fields = m.fields_v1.as_ref().map(|f| &f.0);
        fields.is_some_and(|f| !f["f:spec"]["f:suspend"].is_null())
    });
    let times = own.filter_map(|m| m.time.as_ref().map(at));
    times.filter(|t| *t > made).max()
}

/// What matters of a Job.
struct JobFacts {
    namespace: String,
    name: String,
    uid: String,
    /// When it was made, in milliseconds.
    made: i64,
    state: State,
}

enum State {
    Complete,
    Failed(String),
    Suspended,
    /// Some of its pods failed, and it tries again.
    Retrying(i32),
    Running(Duration),
}

fn read(job: &Job, now: Instant) -> JobFacts {
    let status = job.status.as_ref();
    let conditions = status
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default();
    let condition = |kind: &str| {
        conditions
            .iter()
            .find(|c| c.type_ == kind && c.status == "True")
    };
    let state = if let Some(failed) = condition("Failed") {
        let word = |text: &Option<String>| text.clone().unwrap_or_default();
        State::Failed(format!(
            "{}: {}",
            word(&failed.reason),
            word(&failed.message)
        ))
    } else if condition("Complete").is_some() {
        State::Complete
    } else if job.spec.as_ref().and_then(|s| s.suspend).unwrap_or(false) {
        State::Suspended
    } else if let Some(failed) = status.and_then(|s| s.failed).filter(|f| *f > 0) {
        State::Retrying(failed)
    } else {
        let began = status.and_then(|s| s.start_time.as_ref());
        let began = began.map_or(now, |t| Instant::from_millis(t.0.as_millisecond()));
        State::Running(now.since(began))
    };
    let meta = &job.metadata;
    JobFacts {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        made: meta
            .creation_timestamp
            .as_ref()
            .map_or(0, |t| t.0.as_millisecond()),
        state,
    }
}

/// Looks at every Job that no CronJob made, and at each CronJob's newest.
pub(super) async fn jobs(
    cluster: &Cluster,
    longest: Duration,
    deadline: Deadline,
) -> Result<Finding> {
    let now = Instant::now();
    let mut tally = Tally::default();
    let mut wrong: Vec<JobFacts> = Vec::new();
    let mut newest: BTreeMap<String, JobFacts> = BTreeMap::new();
    let matters = |job: &JobFacts| match job.state {
        State::Complete => false,
        State::Failed(_) | State::Suspended | State::Retrying(_) => true,
        State::Running(since) => since > longest,
    };
    for namespace in &cluster.namespaces {
        let seen = selected(cluster, namespace, None, deadline, |job: Job| {
            let facts = read(&job, now);
            let owners = job.metadata.owner_references.unwrap_or_default();
            match owners.into_iter().find(|o| o.kind == "CronJob") {
                // An older failure that a newer run made good is history.
                Some(owner) => match newest.get(&owner.uid) {
                    Some(known) if known.made >= facts.made => {}
                    _ => {
                        newest.insert(owner.uid, facts);
                    }
                },
                None if matters(&facts) => wrong.push(facts),
                None => {}
            }
        })
        .await?;
        tally.add(seen);
    }
    wrong.extend(newest.into_values().filter(matters));
    let mut migration = None;
    for (n, job) in wrong.iter().enumerate() {
        let problem = |what: String| Problem::new(&job.namespace, &job.name, what);
        let mut problem = match &job.state {
            State::Complete => continue,
            State::Failed(why) => problem(format!("failed: {why}")),
            State::Retrying(failed) => {
                problem(format!("has not ended, and {failed} of its pods failed")).bearable()
            }
            State::Suspended => problem("is suspended".to_owned()).bearable(),
            State::Running(since) => problem(format!(
                "has been running for {}, more than {}",
                Span(*since),
                Span(longest)
            ))
            .bearable(),
        };
        if !problem.bearable && job.name.contains("migrat") {
            migration = Some(format!("{} -n {}", job.name, job.namespace));
        }
        if n < EXPLAINED {
            // What was seen of the job counts, whether its pods may be looked at or not.
            problem.more = match last_words(cluster, job, deadline).await {
                Ok(more) => more,
                Err(e) => vec![format!("its pods cannot be read: {}", e.one_line())],
            };
        }
        tally.problems.push(problem);
    }
    let finding = tally.finding("jobs", "job", "succeeded or are within their time");
    Ok(match migration {
        Some(job) => finding.hint(format!(
            "A migration failed, so the schema may be between two versions: read `kubectl logs job/{job}` before you deploy again."
        )),
        None => finding,
    })
}

/// How a Job's last failed pod ended, the end of its log, and the newest events.
async fn last_words(cluster: &Cluster, job: &JobFacts, deadline: Deadline) -> Result<Vec<String>> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &job.namespace);
    let filter = Filter::of_job(&job.name);
    let now = Instant::now();
    let mut last: Option<(i64, String, String, String)> = None;
    scan(
        cluster,
        &api,
        Some(&job.namespace),
        &filter,
        deadline,
        |object: Pod| {
            let made = object
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(0, |t| t.0.as_millisecond());
            let facts = pod(&object, now);
            let container = object
                .spec
                .and_then(|s| Some(s.containers.into_iter().next()?.name));
            if let (Some(trouble), Some(container)) = (facts.trouble, container)
                && last.as_ref().is_none_or(|(at, ..)| *at < made)
            {
                last = Some((made, facts.name, container, trouble.to_string()));
            }
        },
    )
    .await?;
    let Some((_, name, container, trouble)) = last else {
        return Ok(attach(cluster, &job.namespace, &job.uid, None, true, deadline).await);
    };
    let log = Some((name.as_str(), container.as_str(), false));
    let mut lines = vec![format!("pod `{name}` {trouble}")];
    lines.extend(attach(cluster, &job.namespace, &job.uid, log, true, deadline).await);
    Ok(lines)
}

/// Looks at every CronJob.
pub(super) async fn cron_jobs(cluster: &Cluster, deadline: Deadline) -> Result<Finding> {
    let now = Instant::now();
    let mut tally = Tally::default();
    let mut last: Vec<serde_json::Value> = Vec::new();
    let mut problems = Vec::new();
    let mut unread = 0;
    for namespace in &cluster.namespaces {
        let seen = selected(cluster, namespace, None, deadline, |cron: CronJob| {
            let name = cron.metadata.name.clone().unwrap_or_default();
            let spec = cron.spec.unwrap_or_default();
            let status = cron.status.unwrap_or_default();
            let set = suspend_set(&cron.metadata);
            let made = cron.metadata.creation_timestamp;
            let at = status.last_schedule_time.map(|t| Instant::from_millis(t.0.as_millisecond()));
            let shown = at.map_or("never".to_owned(), Instant::human);
            if last.len() < super::NAMED {
                last.push(serde_json::json!({"name": format!("{namespace}/{name}"), "schedule": spec.schedule, "last-scheduled": at}));
            }
            let problem = |what: String| Problem::new(namespace, &name, what);
            if spec.suspend == Some(true) {
                problems.push(problem(format!("is suspended; it was last scheduled {shown}")).bearable());
                return;
            }
            let Some(pause) = super::cron::longest_pause(&spec.schedule) else {
                unread += 1;
                return;
            };
            // One that was never scheduled is as old as its object.
            let since = at.or(made.map(|t| Instant::from_millis(t.0.as_millisecond())));
            let Some(silent) = since.map(|t| now.since(t)).filter(|s| *s > pause) else {
                return;
            };
            let mut what = format!(
                "missed a time of `{}`: it was last scheduled {shown}, {} ago",
                spec.schedule,
                Span(silent)
            );
            if status.active.is_some_and(|a| !a.is_empty()) {
                what.push_str("; its last run has not ended");
            }
            // No time passed by since it was let go on, if that is what somebody did.
            if let Some(set) = set.filter(|s| at.is_none_or(|at| *s > at) && now.since(*s) <= pause) {
                what.push_str(&format!(
                    "; whether it is suspended was set {} ago, and none has come since",
                    Span(now.since(set))
                ));
                problems.push(problem(what).bearable());
                return;
            }
            problems.push(problem(what));
        })
        .await?;
        tally.add(seen);
    }
    tally.problems = problems;
    let good = if unread == 0 {
        "are scheduled in time".to_owned()
    } else {
        format!(
            "are not suspended; whether {unread} of them are in time cannot be told from their schedule"
        )
    };
    Ok(tally
        .finding("cronjobs", "cronjob", &good)
        .fact("cronjobs", last))
}

//! Bursts of errors in the logs of containers that run: how many lines of the last minutes say that something went wrong.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{Problem, Tally, selected};
use crate::check::Finding;
use crate::config;
use crate::error::Result;
use crate::providers::kubernetes::objects::core::v1::Pod;
use crate::providers::kubernetes::{Cluster, NOT_FOUND, SERVER, recent};
use crate::time::Span;
use crate::wait::Deadline;

/// Over which time lines are counted.
const SINCE: Duration = Duration::from_secs(600);
/// How many containers are looked at.
const MOST: usize = 100;
/// How much of one container's log is read: lines and bytes.
const READ: (usize, usize) = (2_000, 512 << 10);
/// How many are read side by side.
const TOGETHER: usize = 8;

/// A container that runs.
struct Running {
    namespace: String,
    pod: String,
    container: String,
}

/// What a log says.
#[derive(Default)]
struct Count {
    lines: usize,
    errors: usize,
    /// Whether there was more than was read.
    more: bool,
    /// The newest line that tells of an error.
    last: String,
    /// Why it could not be read.
    unread: Option<String>,
}

/// Counts the lines that tell of errors; more than `allowed` in one container's log are a finding.
pub(super) async fn errors(cluster: &Cluster, allowed: u32, deadline: Deadline) -> Result<Finding> {
    let mut tally = Tally::default();
    let mut running = Vec::new();
    for namespace in &cluster.namespaces {
        let seen = selected(
            cluster,
            namespace,
            Some("status.phase=Running"),
            deadline,
            |pod: Pod| {
                running.extend(containers(namespace, pod));
            },
        )
        .await?;
        tally.more |= seen.more;
    }
    tally.more |= running.len() > MOST;
    running.truncate(MOST);
    let counts: Vec<(Running, Option<Count>)> = stream::iter(running)
        .map(|one| async move {
            let count = count(cluster, &one, deadline).await?;
            Ok::<_, crate::error::Error>((one, count))
        })
        .buffered(TOGETHER)
        .try_collect()
        .await?;
    let limit = usize::try_from(allowed).unwrap_or(usize::MAX);
    let mut most = 0;
    for (one, count) in counts {
        let Some(count) = count else { continue };
        tally.looked += 1;
        if let Some(why) = count.unread {
            let what = format!(
                "the log of container `{}` cannot be read: {why}",
                one.container
            );
            let problem = Problem::new(&one.namespace, &one.pod, config::redact(&what));
            tally.problems.push(problem.bearable());
            continue;
        }
        most = most.max(count.errors);
        if count.errors <= limit {
            continue;
        }
        let least = if count.more { "at least " } else { "" };
        let what = format!(
            "container `{}`: {least}{} of its last {} lines, of {}, tell of errors; {allowed} are allowed",
            one.container,
            count.errors,
            count.lines,
            Span(SINCE)
        );
        let mut problem = Problem::new(&one.namespace, &one.pod, what).bearable();
        problem
            .more
            .push(format!("log: {}", config::redact(&count.last)));
        tally.problems.push(problem);
    }
    let wrong = tally.problems.first().map(|p| p.name.clone());
    let good = format!(
        "wrote at most {most} lines that tell of errors in {}; {allowed} are allowed",
        Span(SINCE)
    );
    let mut finding = tally.finding("containers", "", &good);
    if let Some((namespace, pod)) = wrong.as_deref().and_then(|n| n.split_once('/')) {
        finding = finding.hint(format!(
            "Read them with `kubectl logs {pod} -n {namespace} --all-containers --since 10m`."
        ));
    }
    Ok(finding
        .fact("allowed", allowed)
        .fact("most", most)
        .fact("seconds", SINCE.as_secs()))
}

fn containers(namespace: &str, pod: Pod) -> Vec<Running> {
    let name = pod.metadata.name.unwrap_or_default();
    let statuses = pod.status.and_then(|s| s.container_statuses);
    let running = statuses.unwrap_or_default().into_iter();
    let running = running.filter(|c| c.state.as_ref().is_some_and(|s| s.running.is_some()));
    let named = running.map(|c| Running {
        namespace: namespace.to_owned(),
        pod: name.clone(),
        container: c.name,
    });
    named.collect()
}

/// Reads one; nothing if it went away meanwhile.
async fn count(cluster: &Cluster, one: &Running, deadline: Deadline) -> Result<Option<Count>> {
    let place = (&*one.namespace, &*one.pod, &*one.container);
    let (text, more) = match recent(cluster, place, SINCE, READ, deadline).await {
        Ok(read) => read,
        Err(error) if error.reason() == &NOT_FOUND => return Ok(None),
        // The kubelet does not answer, or the container was started anew in this moment.
        Err(error) if error.reason() == &SERVER => {
            return Ok(Some(Count {
                unread: Some(error.one_line()),
                ..Count::default()
            }));
        }
        Err(error) => return Err(error),
    };
    let mut count = Count {
        more,
        ..Count::default()
    };
    for line in text.lines() {
        count.lines += 1;
        if tells_of_an_error(line) {
            count.errors += 1;
            count.last = shown(line);
        }
    }
    Ok(Some(count))
}

/// One line of text, without what moves a terminal's cursor.
fn shown(line: &str) -> String {
    let plain = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(300).collect()
}

/// Whether a line says that something went wrong: by its level if it has one, else by the words that programs use.
fn tells_of_an_error(line: &str) -> bool {
    let line = line.trim();
    if line.starts_with('{')
        && let Ok(document) = serde_json::from_str::<Value>(line)
        && let Some(level) = ["level", "severity", "lvl", "levelname", "log.level"]
            .iter()
            .map(|name| &document[*name])
            .find(|v| !v.is_null())
    {
        // Bunyan and Pino count: 50 is an error, 60 fatal.
        return match level {
            Value::Number(n) => n.as_u64().is_some_and(|n| n >= 50),
            other => other.as_str().is_some_and(is_level),
        };
    }
    if let Some(level) = ["level=", "lvl=", "severity="]
        .iter()
        .find_map(|n| value(line, n))
    {
        return is_level(level);
    }
    let mut words = line.split(|c: char| c.is_whitespace() || "[]()|<>,;".contains(c));
    words.any(|word| {
        let bare = word.trim_end_matches(':');
        matches!(bare, "ERROR" | "FATAL" | "PANIC" | "CRITICAL")
            || (word.ends_with(':') && is_level(bare))
            // `TypeError: …`, `java.lang.IllegalStateException: …`
            || (word.ends_with("Error:") || word.ends_with("Exception:"))
            || (word.len() < line.len() && line.starts_with('[') && is_level(bare))
    })
}

fn is_level(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    matches!(
        word.as_str(),
        "error" | "err" | "fatal" | "panic" | "critical" | "crit" | "alert" | "emerg" | "emergency"
    )
}

/// The value behind `name=` at the beginning of a word.
fn value<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let at = line.find(name)?;
    let begins = line[..at]
        .chars()
        .next_back()
        .is_none_or(char::is_whitespace);
    let rest = line[at + name.len()..].trim_start_matches('"');
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(rest.len());
    begins.then_some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_judged_by_its_level_and_else_by_its_words() {
        for line in [
            r#"{"level":"error","msg":"no"}"#,
            r#"{"level":50,"msg":"no"}"#,
            r#"{"severity":"CRITICAL","message":"no"}"#,
            r#"ts=1 level=error msg="no""#,
            "2026-01-05T12:00:00Z ERROR connection refused",
            "[error] 12#12: upstream timed out",
            "panic: runtime error: index out of range",
            "FATAL:  password authentication failed",
            "error: out of luck",
            "TypeError: x is undefined",
            "java.lang.IllegalStateException: no",
        ] {
            assert!(tells_of_an_error(line), "{line}");
        }
        for line in [
            "",
            r#"{"level":"info","msg":"ERROR: is in the text"}"#,
            r#"{"level":30,"error":null}"#,
            "level=info msg=\"error: retried\"",
            "finished with 0 errors",
            "error rate is 0.1%",
            "INFO no error",
            "GET /errors/panic 200",
        ] {
            assert!(!tells_of_an_error(line), "{line}");
        }
    }
}

//! What several variables must agree on.

use std::collections::BTreeMap;

use super::judge::{list, place};
use super::{Input, REFERENCES};
use crate::check::{Category, Check, Finding};
use crate::config::source::Sourced;
use crate::config::variables::{Kind, VARIABLES};
use crate::consent::Tier;
use crate::event::Outcome;

/// The checks over several variables.
pub(super) fn checks(input: &Input) -> Vec<Check<'static>> {
    let configuration =
        |id: &str, title: &str, finding| Check::known(id, Category::Configuration, title, finding);
    let known = |names: &[&'static str], finding| unless_unknown(input, names, finding);
    let redirect_names = VARIABLES.iter().filter(|v| v.kind == Kind::Redirects);
    let redirect_names: Vec<_> = redirect_names.flat_map(|v| v.names()).collect();
    vec![
        configuration(
            "variables.redis-form",
            "Redis is given in one way",
            known(
                &["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"],
                known(
                    &["REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"],
                    redis_form(input),
                ),
            ),
        )
        .impact("Without Redis, caches and queues are degraded."),
        configuration(
            "variables.pools",
            "connection pools fit",
            known(
                &[
                    "PG_WRITE_POOL_SIZE",
                    "PG_READ_POOL_SIZE",
                    "DATABASE_READ_REPLICAS",
                ],
                pools(input),
            ),
        )
        .advisory(),
        configuration(
            "variables.rate-limits",
            "rate limits fit each other",
            known(
                &["RATE_LIMIT_MAX", "AI_RATE_LIMIT_MAX_REQUESTS"],
                known(
                    &["RATE_LIMIT_MAX", "AI_RATE_LIMIT_MAX_REQUESTS"],
                    rate_limits(input),
                ),
            ),
        ),
        configuration(
            "variables.read-replicas",
            "read replicas are not the primary",
            known(
                &["DATABASE_READ_REPLICAS", "DATABASE_URL"],
                known(&["DATABASE_READ_REPLICAS", "DATABASE_URL"], replicas(input)),
            ),
        ),
        configuration(
            "variables.oidc-redirects",
            "logins come back to the ingress",
            known(&redirect_names, known(&redirect_names, redirects(input))),
        )
        .impact("Logins end at a host that does not serve the platform."),
        configuration(
            "variables.origins",
            "the UI may call the gateway",
            known(
                &["ALLOWED_ORIGINS"],
                known(&["ALLOWED_ORIGINS"], origins(input)),
            ),
        )
        .advisory(),
        configuration(
            "variables.assignments",
            "every variable is set once, from something",
            assignments(input),
        ),
        Check::known(
            "variables.distinct-secrets",
            Category::Secrets,
            "no secret serves twice",
            distinct(input),
        )
        .hint("Give each purpose its own secret, as from `openssl rand -hex 32`."),
    ]
}

/// What passes without a value passes; all else says nothing while one that it rests on is not known.
fn unless_unknown(input: &Input, names: &[&str], finding: Finding) -> Finding {
    if finding.outcome == Outcome::Passed {
        return finding;
    }
    let unknown = names
        .iter()
        .find_map(|name| Some((name, input.values.unknown(name)?)));
    match unknown {
        Some((name, why)) => {
            Finding::not_evaluated(format!("`{name}` is not known: {}", why.value))
                .caused_by(REFERENCES)
        }
        None => finding,
    }
}

fn number(input: &Input, name: &str) -> Option<u64> {
    input.text(name)?.trim().parse().ok()
}

fn redis_form(input: &Input) -> Finding {
    let have = |name| input.values.get(name).is_some();
    let url = have("REDIS_URL");
    let missing: Vec<&str> = ["REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"]
        .into_iter()
        .filter(|name| !have(name))
        .collect();
    match (url, missing.as_slice()) {
        (true, _) if !have("REDIS_HOST") => Finding::passed("by `REDIS_URL`"),
        (false, []) => Finding::passed("by `REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD`"),
        (false, missing) if missing.len() == 3 => Finding::failed(
            "neither `REDIS_URL` nor `REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD` are set",
        ),
        (false, missing) => Finding::failed(format!(
            "there is no `REDIS_URL`, and `{}` is missing",
            missing.join("`, `")
        )),
        (true, _) => {
            let host = input
                .text("REDIS_HOST")
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            let port = number(input, "REDIS_PORT");
            let same = input
                .text("REDIS_URL")
                .and_then(|url| place(url).ok())
                .is_some_and(|url| {
                    url.hosts.iter().any(|(h, p)| {
                        *h == host && port.is_none_or(|port| u64::from(p.unwrap_or(6379)) == port)
                    })
                });
            if same {
                Finding::passed("by `REDIS_URL` and by `REDIS_HOST`, which agree")
            } else {
                Finding::degraded(
                    "`REDIS_URL` and `REDIS_HOST` are both set and name different places; nobody can tell which one is used",
                )
            }
        }
    }
}

fn pools(input: &Input) -> Finding {
    let write = number(input, "PG_WRITE_POOL_SIZE");
    let read = number(input, "PG_READ_POOL_SIZE");
    let replicas = input.values.get("DATABASE_READ_REPLICAS").is_some();
    let (Some(write), Some(read)) = (write, read) else {
        return Finding::skipped("the pools' sizes are not both set");
    };
    // Without replicas both pools connect to the primary, whose default is 100 connections (`max_connections`).
    let at_primary = if replicas { write } else { write + read };
    let finding = if at_primary > 100 {
        Finding::degraded(format!(
            "one application replica may open {at_primary} connections to the primary; Postgres allows 100 unless configured otherwise"
        ))
    } else if replicas && read < write {
        Finding::degraded(format!(
            "there are read replicas, but the pool for reads ({read}) is smaller than the one for writes ({write})"
        ))
    } else {
        Finding::passed(format!("{write} for writes, {read} for reads"))
    };
    finding.fact("write", write).fact("read", read)
}

fn rate_limits(input: &Input) -> Finding {
    let general = number(input, "RATE_LIMIT_MAX");
    let ai = number(input, "AI_RATE_LIMIT_MAX_REQUESTS");
    let (Some(general), Some(ai)) = (general, ai) else {
        return Finding::not_evaluated(
            "`RATE_LIMIT_MAX` and `AI_RATE_LIMIT_MAX_REQUESTS` are not both numbers",
        );
    };
    let background = number(input, "BACKGROUND_RATE_LIMIT_MAX_REQUESTS");
    let mut finding = if ai >= general {
        Finding::degraded(format!(
            "AI calls may come as often as any other ({ai} of {general}); they are the expensive ones"
        ))
        .hint("Set `AI_RATE_LIMIT_MAX_REQUESTS` below `RATE_LIMIT_MAX`.")
    } else {
        Finding::passed(format!("{general} in general, {ai} for AI"))
    };
    if let Some(window) = number(input, "RATE_LIMIT_WINDOW_MS").filter(|w| *w > 0) {
        // Requests a second that one client may make.
        let rate = (general as f64) * 1_000.0 / (window as f64);
        finding = finding.fact("requests-per-second", (rate * 100.0).round() / 100.0);
    }
    if let Some(background) = background {
        finding = finding.fact("background", background);
    }
    finding.fact("general", general).fact("ai", ai)
}

fn replicas(input: &Input) -> Finding {
    let Some(replicas) = input.text("DATABASE_READ_REPLICAS") else {
        return Finding::skipped("there are no read replicas");
    };
    let primary = input.text("DATABASE_URL").and_then(|u| place(u).ok());
    let Some(primary) = primary else {
        return Finding::not_evaluated("`DATABASE_URL` is not set, or no URL");
    };
    let port = |p: Option<u16>| p.unwrap_or(5432);
    let mut places = Vec::new();
    for (at, replica) in list(replicas).into_iter().enumerate() {
        let Ok(replica) = place(replica) else {
            return Finding::not_evaluated(format!("replica {} is no URL", at + 1));
        };
        for (host, p) in &replica.hosts {
            if primary
                .hosts
                .iter()
                .any(|(h, q)| h == host && port(*q) == port(*p))
            {
                return Finding::failed(format!(
                    "replica {} is the primary itself (`{host}`)",
                    at + 1
                ));
            }
            if places.contains(&(host.clone(), port(*p))) {
                return Finding::degraded(format!("`{host}` is named twice"));
            }
            places.push((host.clone(), port(*p)));
        }
        if replica.path != primary.path {
            return Finding::failed(format!(
                "replica {} names another database than the primary",
                at + 1
            ));
        }
    }
    Finding::passed(format!("{} apart from the primary", places.len()))
}

fn redirects(input: &Input) -> Finding {
    let variable = VARIABLES.iter().find(|v| v.kind == Kind::Redirects);
    let found = variable.and_then(|v| v.names().find_map(|n| Some((n, input.text(n)?))));
    let Some((name, redirects)) = found else {
        return Finding::skipped("no redirect URI is set");
    };
    if input.hosts.is_empty() {
        return Finding::not_evaluated("no ingress host is known; set `gateway.url` or `ui-url`");
    }
    for redirect in list(redirects) {
        let host = url::Url::parse(redirect)
            .ok()
            .and_then(|u| u.host_str().map(str::to_ascii_lowercase));
        let Some(host) = host else {
            return Finding::failed(format!("`{name}` holds something that is no URL"));
        };
        if !input.hosts.iter().any(|h| h.value == host) {
            return Finding::failed(format!(
                "`{name}` leads to `{host}`, which is not a host of the ingress ({})",
                hosts(&input.hosts)
            ));
        }
    }
    Finding::passed(format!("`{name}` leads to {}", hosts(&input.hosts)))
}

fn hosts(hosts: &[Sourced<String>]) -> String {
    let names: Vec<String> = hosts.iter().map(|h| format!("`{}`", h.value)).collect();
    names.join(", ")
}

fn origins(input: &Input) -> Finding {
    let Some(origins) = input.text("ALLOWED_ORIGINS") else {
        return Finding::not_evaluated("`ALLOWED_ORIGINS` is not set");
    };
    let Some(ui) = &input.ui_origin else {
        return Finding::skipped("the UI's URL is not configured");
    };
    let listed = list(origins);
    if listed
        .iter()
        .any(|o| *o == "*" || o.trim_end_matches('/') == ui.value)
    {
        Finding::passed(format!("`{}` is among them", ui.value))
    } else {
        Finding::degraded(format!(
            "`{}`, where the UI is, is not among them",
            ui.value
        ))
    }
}

fn assignments(input: &Input) -> Finding {
    let known = |name: &str| crate::config::variables::find(name).is_some();
    if let Some(unset) = input.values.unset.first() {
        return Finding::failed(format!(
            "`${{{}}}` is used at {} and set nowhere",
            unset.value, unset.source
        ));
    }
    let twice: Vec<String> = input
        .values
        .repeated
        .iter()
        .filter(|r| known(&r.value))
        .map(|r| format!("`{}` ({})", r.value, r.source))
        .collect();
    if !twice.is_empty() {
        return Finding::degraded(format!("set again later: {}", twice.join(", ")));
    }
    let aliases: Vec<String> = VARIABLES
        .iter()
        .filter_map(|v| {
            let set: Vec<&str> = v
                .names()
                .filter(|n| input.values.get(n).is_some())
                .collect();
            let first = input.text(set.first()?)?;
            let differ = set.iter().any(|n| input.text(n) != Some(first));
            differ.then(|| format!("`{}`", set.join("` and `")))
        })
        .collect();
    if !aliases.is_empty() {
        return Finding::degraded(format!(
            "two names of one setting differ: {}",
            aliases.join(", ")
        ));
    }
    Finding::passed("no repeated, contradicting or empty assignments")
}

/// One leak must not open two doors.
fn distinct(input: &Input) -> Finding {
    let mut by_value: BTreeMap<[u8; 32], Vec<&str>> = BTreeMap::new();
    let mut count = 0;
    let mut unknown = Vec::new();
    for variable in VARIABLES {
        if !matches!(variable.kind, Kind::Key { .. } | Kind::Password { .. }) {
            continue;
        }
        let Some(text) = variable.names().find_map(|n| input.text(n)) else {
            unknown.extend(variable.names().find(|n| input.values.unknown(n).is_some()));
            continue;
        };
        count += 1;
        let hash = *blake3::hash(text.trim().as_bytes()).as_bytes();
        by_value.entry(hash).or_default().push(variable.name);
    }
    let same: Vec<String> = by_value
        .values()
        .filter(|names| names.len() > 1)
        .map(|names| format!("`{}`", names.join("` = `")))
        .collect();
    match (same.is_empty(), count) {
        (true, _) if !unknown.is_empty() => Finding::not_evaluated(format!(
            "{count} secrets, all different; `{}` is not known",
            unknown.join("`, `")
        ))
        .caused_by(REFERENCES),
        (_, 0) => Finding::not_evaluated("no secret is set"),
        (true, count) => Finding::passed(format!("{count} secrets, all different")),
        (false, _) if input.tier == Tier::Development => {
            Finding::degraded(format!("the same secret: {}", same.join(", ")))
        }
        (false, _) => Finding::failed(format!("the same secret: {}", same.join(", "))),
    }
}

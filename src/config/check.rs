//! The checks behind `config check`: the handbook's variables one by one, what they must agree on, the TLS files, secrets
//! in tracked files, and the references of `summitctl.toml` itself.
//!
//! Findings say how long a secret is and what it is made of, where it came from, and never what it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::bucket::Place;
use super::connection::ConnectionUrl;
use super::context::{Context, ENV_CONTEXT};
use super::environment::Environment;
use super::reference::{Presence, SecretRef};
use super::show::{self, Value};
use super::source::{Provenance, Sourced};
use super::values::{Unknown, Values};
use super::variables::{Group, Kind, Need, VARIABLES, Variable};
use crate::check::{Category, Check, Finding};
use crate::consent::Tier;
use crate::event::Outcome;
use crate::secret::Secret;
use crate::time::Instant;

mod judge;
mod relations;
mod tls;
mod tracked;

pub use tls::DAYS_LEFT;

/// How long the search through tracked files may take.
const SEARCH: Duration = Duration::from_secs(60);

/// The check without which nobody knows what some variables are.
pub const REFERENCES: &str = "workload.references";

/// What the checks look at.
#[derive(Debug, Clone)]
pub struct Input {
    /// The platform's variables.
    pub values: Values,
    /// Production is judged strictly, staging leniently, and weaknesses of development are nobody's business.
    pub tier: Tier,
    /// The hosts that the ingress serves.
    pub hosts: Vec<Sourced<String>>,
    /// The UI's origin, such as `https://app.example.com`.
    pub ui_origin: Option<Sourced<String>>,
    /// What relative paths in variables are relative to.
    pub base: PathBuf,
    /// The container whose files the paths name, if they are not this machine's.
    pub inside: Option<String>,
    /// A folder inside the Git repository to search for secrets; `None` if there is none to search.
    pub repository: Option<PathBuf>,
    /// The process environment, which `git` runs in.
    pub environment: Environment,
    /// Now.
    pub now: Instant,
}

impl Input {
    /// The variables, seen from a context: its tier, and the hosts of its gateway and UI.
    pub fn of(context: &Context, values: Values, environment: &Environment, base: &Path) -> Input {
        let urls: Vec<&Sourced<String>> = context
            .gateway
            .iter()
            .flat_map(|g| std::iter::once(&g.url).chain(&g.ui_url))
            .collect();
        let mut hosts: Vec<Sourced<String>> = Vec::new();
        for url in &urls {
            let host = url::Url::parse(&url.value)
                .ok()
                .and_then(|u| u.host_str().map(str::to_ascii_lowercase));
            if let Some(host) = host
                && !hosts.iter().any(|h| h.value == host)
            {
                hosts.push(Sourced::new(host, url.source.clone()));
            }
        }
        let ui = context.gateway.as_ref().and_then(|g| g.ui_url.as_ref());
        let ui_origin = ui.and_then(|url| {
            let parsed = url::Url::parse(&url.value).ok()?;
            Some(Sourced::new(
                parsed.origin().ascii_serialization(),
                url.source.clone(),
            ))
        });
        Input {
            values,
            tier: context.tier.value,
            hosts,
            ui_origin,
            base: base.to_owned(),
            inside: None,
            repository: None,
            environment: environment.clone(),
            now: Instant::now(),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|v| v.value.expose())
    }

    fn path(&self, name: &str) -> Option<Sourced<PathBuf>> {
        let value = self.values.get(name)?;
        let path = self.base.join(value.value.expose().trim());
        Some(Sourced::new(path, value.source.clone()))
    }
}

/// The checks of the platform's variables. If not one of them is set, a single check says so: thirty missing variables
/// would only mean that this is not where the platform is configured.
pub fn variables(input: Input) -> Vec<Check<'static>> {
    mask_all(&input.values);
    let values = &input.values;
    let any = VARIABLES.iter().any(|v| {
        v.names()
            .any(|n| values.get(n).is_some() || values.unknown(n).is_some())
    });
    if !any {
        let finding = Finding::not_evaluated("not one of the platform's variables is set here")
            .hint("Name their source with `summitctl config check --env-file .env` or `--compose docker-compose.yaml --service gateway` or `--workload deployment/gateway`.");
        let title = "the platform's variables";
        return vec![Check::known(
            "variables",
            Category::Configuration,
            title,
            finding,
        )];
    }
    let mut checks: Vec<Check<'static>> = VARIABLES.iter().map(|v| one(v, &input)).collect();
    checks.extend(relations::checks(&input));
    checks.extend(tls_checks(&input));
    checks.push(tracked_check(&input));
    checks
}

/// Every value that is a secret by its kind or its name is masked from now on.
fn mask_all(values: &Values) {
    for name in values.names() {
        let kind = super::variables::find(name).map(|v| v.kind);
        let key = matches!(kind, Some(Kind::Key { .. } | Kind::Password { .. }))
            || super::excerpt::is_secret_name(name);
        if let (true, Some(value)) = (key, values.get(name)) {
            Secret::new(value.value.expose());
        }
    }
    // Passwords inside URLs.
    for name in values.names() {
        if let Some(value) = values
            .get(name)
            .filter(|v| v.value.expose().contains("://"))
        {
            for part in judge::list(value.value.expose()) {
                let _masked = super::connection::split_password(part);
            }
        }
    }
}

fn category(variable: &Variable) -> Category {
    match variable.group {
        Group::Security => Category::Secrets,
        _ => Category::Configuration,
    }
}

/// One variable: set, strong, well formed.
fn one(variable: &'static Variable, input: &Input) -> Check<'static> {
    let (finding, decides) = examine(variable, input);
    let check = Check::known(
        variable.check_id(),
        category(variable),
        format!("`{}`: {}", variable.name, variable.purpose),
        finding,
    );
    if decides { check } else { check.advisory() }
}

/// The finding, and whether it decides the verdict.
fn examine(variable: &Variable, input: &Input) -> (Finding, bool) {
    let set = variable
        .names()
        .find_map(|name| Some((name, input.values.get(name)?)));
    let Some((name, value)) = set else {
        let unknown = variable
            .names()
            .find_map(|name| Some((name, input.values.unknown(name)?)));
        return match unknown {
            Some((name, why)) => (not_known(name, why), variable.need == Need::Required),
            None => absent(variable, input),
        };
    };
    let judged = judge::judge(variable.kind, value.value.expose(), input.tier);
    let worst = judged
        .problems
        .iter()
        .map(|p| p.outcome)
        .max_by_key(|o| *o == Outcome::Failed);
    let problems: Vec<&str> = judged.problems.iter().map(|p| p.text.as_str()).collect();
    let from = format!("from {}", value.source);
    let detail = match (worst, judged.seen.as_str()) {
        (None, "") => format!("set, {from}"),
        (None, seen) => format!("{seen}; {from}"),
        (Some(_), _) => format!("{}; {from}", problems.join("; ")),
    };
    let mut finding = match worst {
        None => Finding::passed(detail),
        Some(Outcome::Failed) => Finding::failed(detail),
        Some(_) => Finding::degraded(detail),
    };
    finding.facts = judged.facts;
    finding = finding
        .fact("variable", name)
        .fact("source", value.source.to_string());
    if worst.is_some() && matches!(variable.kind, Kind::Key { .. }) {
        finding = finding.hint(format!(
            "Make a new one with `openssl rand -hex 32`, store it in the vault and roll it out as `{name}`."
        ));
    }
    (finding, true)
}

/// A variable that somebody sets to what is not known here.
fn not_known(name: &str, why: &Unknown) -> Finding {
    Finding::not_evaluated(format!("not known: {}; from {}", why.value, why.source))
        .fact("variable", name)
        .fact("source", why.source.to_string())
        .caused_by(REFERENCES)
}

fn absent(variable: &Variable, input: &Input) -> (Finding, bool) {
    let named_by = variable.named_by();
    let assigned = variable.names().any(|n| input.values.is_assigned(n));
    let how = if assigned {
        "set to nothing"
    } else {
        "not set"
    };
    match variable.need {
        Need::Required => {
            let detail = format!("{how}; the handbook's {named_by} asks for it");
            let finding = if input.tier == Tier::Development {
                Finding::degraded(detail)
            } else {
                Finding::failed(detail)
            };
            (finding, true)
        }
        Need::Recommended => (
            Finding::degraded(format!(
                "{how}; the handbook's {named_by} names it, the platform's default applies"
            )),
            false,
        ),
        Need::Optional => (Finding::skipped(format!("{how}; optional")), true),
        Need::RedisForm => (
            Finding::skipped(format!("{how}; see `variables.redis-form`")),
            true,
        ),
        Need::TlsPair => (Finding::skipped(format!("{how}; see `tls.files`")), true),
    }
}

fn tls_checks(input: &Input) -> Vec<Check<'static>> {
    let tls = |id: &str, title: &str, finding: Finding| {
        Check::known(id, Category::Network, title, finding)
            .impact("Clients cannot connect to the ingress by TLS.")
    };
    let (key, cert) = (input.path("TLS_KEY_PATH"), input.path("TLS_CERT_PATH"));
    let unknown = ["TLS_KEY_PATH", "TLS_CERT_PATH"]
        .iter()
        .find_map(|name| Some((name, input.values.unknown(name)?)));
    if let Some((name, why)) = unknown {
        let finding = Finding::not_evaluated(format!("`{name}` is not known: {}", why.value))
            .caused_by(REFERENCES);
        return vec![tls("tls.files", "the ingress's TLS files", finding).advisory()];
    }
    let content = [&key, &cert].into_iter().flatten();
    if content
        .into_iter()
        .any(|path| judge::holds_content(&path.value.to_string_lossy()))
    {
        // It is not repeated as a path that does not exist.
        let finding = Finding::failed("a file's content stands where its path belongs");
        return vec![tls("tls.files", "the ingress's TLS files", finding)];
    }
    if let (Some(container), true) = (&input.inside, key.is_some() || cert.is_some()) {
        let finding = Finding::not_evaluated(format!(
            "their paths are inside {container}, whose files are not looked at; probe the ingress with `summitctl smoke`"
        ));
        return vec![tls("tls.files", "the ingress's TLS files", finding).advisory()];
    }
    let files = match (key, cert) {
        (Some(key), Some(cert)) => Arc::new(tls::Files { key, cert }),
        (None, None) => {
            // Certificates that a controller fetches for the ingress are not visible here.
            let finding = Finding::not_evaluated(
                "neither `TLS_KEY_PATH` nor `TLS_CERT_PATH` is set: if the ingress has its own certificate, probe it with `summitctl smoke`",
            );
            return vec![tls("tls.files", "the ingress's TLS files", finding).advisory()];
        }
        (key, _) => {
            let missing = if key.is_some() {
                "TLS_CERT_PATH"
            } else {
                "TLS_KEY_PATH"
            };
            let finding = Finding::failed(format!("`{missing}` is missing beside its counterpart"));
            return vec![tls("tls.files", "the ingress's TLS files", finding)];
        }
    };
    let first = {
        let files = Arc::clone(&files);
        Check::new(
            "tls.files",
            Category::Network,
            "the ingress's TLS files",
            move |_| std::future::ready(tls::files(&files)),
        )
        .impact("The ingress does not start.")
    };
    let pair = {
        let files = Arc::clone(&files);
        Check::new(
            "tls.pair",
            Category::Network,
            "the key fits the certificate",
            move |_| std::future::ready(tls::pair(&files)),
        )
        .impact("The ingress does not start.")
        .needs("tls.files")
    };
    let (now, of_expiry) = (input.now, Arc::clone(&files));
    let expiry = Check::new(
        "tls.expiry",
        Category::Network,
        "the certificates are valid",
        move |_| std::future::ready(tls::expiry(&of_expiry, now)),
    )
    .impact("Clients refuse the connection once a certificate of the chain has expired.")
    .needs("tls.files");
    let hosts = input.hosts.clone();
    let serves = Check::new(
        "tls.hosts",
        Category::Network,
        "the certificate names the hosts it serves",
        move |_| std::future::ready(tls::hosts(&files, &hosts)),
    )
    .impact("Clients refuse the connection.")
    .needs("tls.files");
    vec![first, pair, expiry, serves]
}

fn tracked_check(input: &Input) -> Check<'static> {
    let title = "no secret in files that Git tracks";
    let id = "secrets.tracked-files";
    let Some(folder) = input.repository.clone() else {
        let finding = Finding::skipped("not in a Git repository");
        return Check::known(id, Category::Secrets, title, finding);
    };
    let needles = Arc::new(needles(&input.values));
    let environment = input.environment.clone();
    Check::new(id, Category::Secrets, title, move |attempt| {
        tracked::look(
            folder.clone(),
            Arc::clone(&needles),
            environment.clone(),
            attempt,
        )
    })
    .impact("Everybody who can read the repository can act as the platform.")
    .within(SEARCH)
}

/// The secrets to search for: keys, passwords, and the passwords inside URLs.
fn needles(values: &Values) -> Vec<tracked::Needle> {
    let mut needles: Vec<tracked::Needle> = Vec::new();
    let mut add = |name: &str, text: &str| {
        let text = text.trim();
        if !needles.iter().any(|(_, known)| known.as_str() == text) {
            needles.push((name.to_owned(), zeroize::Zeroizing::new(text.to_owned())));
        }
    };
    for name in values.names() {
        let Some(value) = values.get(name) else {
            continue;
        };
        let kind = super::variables::find(name).map(|v| v.kind);
        let text = value.value.expose();
        match kind {
            Some(Kind::Key { .. } | Kind::Password { .. }) => add(name, text),
            Some(kind) if kind.is_secret() => {
                for part in judge::list(text) {
                    if let Ok((_, Some(password))) = super::connection::split_password(part) {
                        add(name, password.expose());
                    }
                }
            }
            Some(_) => {}
            None if super::excerpt::is_secret_name(name) => add(name, text),
            None => {}
        }
    }
    needles
}

/// The checks of a context's own settings: references that lead somewhere, files that others cannot read, secrets that
/// were written out. Nothing is fetched and no program is run.
pub fn context<'a>(context: &Context, environment: &Environment) -> Vec<Check<'a>> {
    let shown = show::show(context, environment);
    let references = references(context);
    let configuration =
        |id: &str, title: &str, finding| Check::known(id, Category::Configuration, title, finding);
    let secrets =
        |id: &str, title: &str, finding| Check::known(id, Category::Secrets, title, finding);
    let mut checks = vec![
        configuration(
            "context.targets",
            "the context names targets",
            targets(context),
        ),
        configuration(
            "context.references",
            "every secret reference leads somewhere",
            lead_somewhere(&shown),
        )
        .hint("See all of them with `summitctl config show`."),
        secrets(
            "context.literal-secrets",
            "no secret is written into the file",
            literals(context),
        ),
        secrets(
            "context.secret-files",
            "nobody else can read the secrets' files",
            modes(&references),
        ),
    ];
    if context.name == ENV_CONTEXT || context.tier.source == Provenance::Default {
        let finding = Finding::passed("counts as production, because nobody said otherwise");
        checks.push(configuration("context.tier", "the context's tier", finding).advisory());
    }
    checks
}

fn targets(context: &Context) -> Finding {
    let named: Vec<&str> = [
        ("postgres", context.postgres.is_some()),
        ("neo4j", context.neo4j.is_some()),
        ("redis", context.redis.is_some()),
        ("gateway", context.gateway.is_some()),
        ("repository", context.repository.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect();
    if named.is_empty() {
        Finding::failed(format!("`{}` names no target at all", context.name))
    } else {
        Finding::passed(named.join(", "))
    }
}

fn lead_somewhere(shown: &[show::Shown]) -> Finding {
    let (mut present, mut unknown) = (0, 0);
    let mut absent = Vec::new();
    for setting in shown {
        match &setting.value {
            Value::Secret {
                presence: Presence::Present,
                ..
            } => present += 1,
            Value::Secret {
                presence: Presence::Unknown,
                ..
            } => unknown += 1,
            Value::Secret { reference, .. } => {
                absent.push(format!(
                    "`{}` ({reference}, {})",
                    setting.key, setting.source
                ));
            }
            Value::Plain { .. } => {}
        }
    }
    let finding = if !absent.is_empty() {
        Finding::failed(format!("nothing is there: {}", absent.join(", ")))
    } else if unknown > 0 {
        Finding::passed(format!(
            "{present} lead to something; {unknown} would have to be fetched to tell"
        ))
    } else {
        Finding::passed(format!("{present} lead to something"))
    };
    finding
        .fact("present", present)
        .fact("not-fetched", unknown)
}

fn literals(context: &Context) -> Finding {
    if context.literal_secrets.is_empty() {
        return Finding::passed("references only");
    }
    let places: Vec<String> = context
        .literal_secrets
        .iter()
        .map(|l| format!("`{}` at {}", l.value, l.source))
        .collect();
    Finding::degraded(format!("written out: {}", places.join(", ")))
        .hint("Put each into a variable or a file and write `env:NAME` or `file:PATH` instead.")
}

fn modes(references: &[Sourced<SecretRef>]) -> Finding {
    let files = references
        .iter()
        .filter(|r| matches!(r.value, SecretRef::File(_)))
        .count();
    let open: Vec<String> = references
        .iter()
        .filter_map(|r| {
            let mode = r.value.readable_by_others()?;
            Some(format!("`{}` (mode {mode:04o})", r.value))
        })
        .collect();
    match (files, open.is_empty()) {
        (0, _) => Finding::skipped("no secret is in a file"),
        (files, true) => Finding::passed(format!("{files} files")),
        (_, false) => Finding::degraded(format!("others can read {}", open.join(", ")))
            .hint("Run `chmod 600 FILE`, or mount the secret with `defaultMode: 0400`."),
    }
}

/// Every secret reference of a context.
fn references(context: &Context) -> Vec<Sourced<SecretRef>> {
    let mut found: Vec<Sourced<SecretRef>> = Vec::new();
    let endpoints = [
        context.postgres.as_ref().map(|p| &p.endpoint),
        context.neo4j.as_ref().map(|n| &n.endpoint),
        context.redis.as_ref().map(|r| &r.endpoint),
    ];
    for endpoint in endpoints.into_iter().flatten() {
        if let ConnectionUrl::Reference(reference) = &endpoint.url.value {
            found.push(Sourced::new(reference.clone(), endpoint.url.source.clone()));
        }
        found.extend(endpoint.password.clone());
    }
    for replica in context.postgres.iter().flat_map(|p| &p.read_replicas) {
        if let ConnectionUrl::Reference(reference) = &replica.value {
            found.push(Sourced::new(reference.clone(), replica.source.clone()));
        }
    }
    found.extend(context.gateway.as_ref().and_then(|g| g.token.clone()));
    found.extend(context.evidence.signing_key.clone());
    if let Some(repository) = &context.repository {
        found.extend(repository.secret.clone());
        found.extend(repository.identity.clone());
        found.extend(repository.signing_key.clone());
        if let Place::Bucket(bucket) = &repository.place.value {
            found.extend(bucket.secret_access_key.clone());
            found.extend(bucket.session_token.clone());
        }
    }
    found
}

/// Every check that [`variables`] and [`context`] can give, for `summitctl explain`. Their findings mean nothing: look at
/// ids, titles, categories, impacts and hints only.
pub fn catalog() -> Vec<Check<'static>> {
    // All TLS checks exist only where both files are named.
    let environment: Environment = [("TLS_KEY_PATH", "key.pem"), ("TLS_CERT_PATH", "cert.pem")]
        .into_iter()
        .collect();
    let Ok(nothing) = super::from_environment(&Environment::empty()) else {
        return Vec::new();
    };
    let values = Values::of_process(&environment);
    let mut checks = variables(Input::of(&nothing, values, &environment, Path::new("")));
    let without = Input::of(&nothing, Values::default(), &environment, Path::new(""));
    checks.extend(variables(without));
    checks.extend(context(&nothing, &Environment::empty()));
    checks
}

#[cfg(test)]
mod tests;

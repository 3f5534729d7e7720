//! Whether one value is strong and well formed. Nothing here repeats a value that is or may be a secret.

use serde_json::{Map, Value};

use crate::config::connection::{percent_decoded, split_password};
use crate::config::variables::Kind;
use crate::consent::Tier;
use crate::event::Outcome;
use crate::secret::Secret;

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    /// `Failed` or `Degraded`.
    pub outcome: Outcome,
    /// In a few words, without the value.
    pub text: String,
}

/// What was seen of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Judgement {
    pub problems: Vec<Problem>,
    /// What may be said of it: lengths, hosts, numbers.
    pub seen: String,
    pub facts: Map<String, Value>,
}

impl Judgement {
    fn failed(&mut self, text: impl Into<String>) {
        self.problems.push(Problem {
            outcome: Outcome::Failed,
            text: text.into(),
        });
    }

    fn degraded(&mut self, text: impl Into<String>) {
        self.problems.push(Problem {
            outcome: Outcome::Degraded,
            text: text.into(),
        });
    }

    /// A weakness: wrong in production, a finding in staging, nobody's business on a developer's machine.
    fn weak(&mut self, tier: Tier, text: impl Into<String>) {
        match tier {
            Tier::Production => self.failed(text),
            Tier::Staging => self.degraded(text),
            Tier::Development => {}
        }
    }

    fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }
}

/// Values that people leave in place: found anywhere in a secret, whatever the case.
const PLACEHOLDERS: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "devpassword",
    "dev-password",
    "password",
    "secret",
    "example",
    "placeholder",
    "replace",
    "insecure",
    "default",
    "12345678",
    "qwerty",
];

/// Below this, a text that should be random repeats itself: 32 random hexadecimal digits hold fewer than 8 different
/// ones about once in ten million.
const DIFFERENT: usize = 8;

/// Judges a value by its kind and the tier it serves.
pub(super) fn judge(kind: Kind, text: &str, tier: Tier) -> Judgement {
    let mut j = Judgement::default();
    let trimmed = text.trim();
    if trimmed.len() != text.len() {
        j.degraded("has blanks around it, which many programs keep");
    }
    if trimmed.contains("${") || (trimmed.starts_with('<') && trimmed.ends_with('>')) {
        j.failed("is a placeholder that nobody filled in");
    }
    match kind {
        Kind::Key { min } | Kind::Password { min } => secret(&mut j, trimmed, min, tier),
        Kind::PostgresUrl => postgres(&mut j, trimmed, tier),
        Kind::PostgresUrls => {
            let parts: Vec<&str> = list(trimmed);
            for part in &parts {
                postgres(&mut j, part, tier);
            }
            j.fact("count", parts.len());
            j.seen = count(parts.len(), "replica", "replicas");
        }
        Kind::Neo4jUrl => neo4j(&mut j, trimmed, tier),
        Kind::RedisUrl => redis(&mut j, trimmed, tier),
        Kind::Host => host(&mut j, trimmed, tier),
        Kind::Port => number(&mut j, trimmed, 1, 65_535, "a port"),
        Kind::Name => {
            if trimmed.contains(char::is_whitespace) {
                j.failed("holds blanks");
            }
            j.seen = count(trimmed.chars().count(), "character", "characters");
        }
        Kind::Issuer => issuer(&mut j, trimmed, tier),
        Kind::Redirects => {
            for part in list(trimmed) {
                web_url(&mut j, part, tier);
            }
        }
        Kind::Endpoint => endpoint(&mut j, trimmed, tier),
        Kind::Origins => origins(&mut j, trimmed, tier),
        Kind::Integer { min, max, unit } => {
            number(&mut j, trimmed, min, max, &format!("a number of {unit}"));
        }
        Kind::Bool => boolean(&mut j, trimmed),
        Kind::Path => path(&mut j, trimmed),
        Kind::LogLevel => level(&mut j, trimmed, tier),
    }
    j
}

/// The parts of a list, separated by commas.
pub(super) fn list(text: &str) -> Vec<&str> {
    text.split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .collect()
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Length and class of a secret, its known weaknesses.
fn secret(j: &mut Judgement, text: &str, min: usize, tier: Tier) {
    let length = text.chars().count();
    let class = class(text);
    j.fact("length", length);
    j.fact("class", class);
    j.seen = format!("{}, {class}", count(length, "character", "characters"));
    if length < min {
        j.weak(
            tier,
            format!("has {length} characters, at least {min} are needed"),
        );
    }
    let lower = text.to_ascii_lowercase();
    if PLACEHOLDERS.iter().any(|p| lower.contains(p))
        || lower.starts_with("test")
        || lower.starts_with("your")
    {
        j.weak(tier, "contains a word that examples use");
    } else if length >= min && different(text) < DIFFERENT.min(min) {
        let different = count(
            different(text),
            "different character",
            "different characters",
        );
        j.weak(tier, format!("has only {different}"));
    }
}

fn different(text: &str) -> usize {
    let mut chars: Vec<char> = text.chars().collect();
    chars.sort_unstable();
    chars.dedup();
    chars.len()
}

fn class(text: &str) -> &'static str {
    let all = |good: fn(char) -> bool| !text.is_empty() && text.chars().all(good);
    if all(|c| c.is_ascii_digit()) {
        "digits"
    } else if all(|c| c.is_ascii_hexdigit()) {
        "hexadecimal digits"
    } else if all(|c| c.is_ascii_alphabetic()) {
        "letters"
    } else if all(|c| c.is_ascii_alphanumeric()) {
        "letters and digits"
    } else if all(|c| c.is_ascii_alphanumeric() || "+/=-_".contains(c)) {
        "base64"
    } else if all(|c| c.is_ascii_graphic()) {
        "printable characters"
    } else {
        "blanks or characters beyond ASCII"
    }
}

/// A connection URL taken apart; its password is masked from now on.
pub(super) struct Place {
    pub scheme: String,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub hosts: Vec<(String, Option<u16>)>,
    pub path: String,
    pub query: Vec<(String, String)>,
}

/// Takes a connection URL apart, several hosts included. The error holds no part of it.
pub(super) fn place(text: &str) -> Result<Place, String> {
    let (url, password) = split_password(text).map_err(|e| e.to_string())?;
    let (scheme, rest) = url.split_once("://").ok_or("is no URL: `://` is missing")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (Some(percent_decoded(user)).filter(|u| !u.is_empty()), hosts),
        None => (None, authority),
    };
    let mut found = Vec::new();
    for part in hosts.split(',').filter(|h| !h.is_empty()) {
        let (name, port) = match part.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => {
                let port = port.parse().ok().filter(|p| *p != 0);
                (name, Some(port.ok_or("has a port that is no port")?))
            }
            _ => (part, None),
        };
        found.push((name.trim_matches(['[', ']']).to_ascii_lowercase(), port));
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let query = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    Ok(Place {
        scheme: scheme.to_ascii_lowercase(),
        user,
        password,
        hosts: found,
        path: path.trim_start_matches('/').to_owned(),
        query,
    })
}

impl Place {
    fn shown(&self) -> String {
        let hosts: Vec<&str> = self.hosts.iter().map(|(h, _)| h.as_str()).collect();
        format!("{}://{}", self.scheme, hosts.join(","))
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// Whether a host is this machine, which is never right for a production target.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "::1"
        || host == "0.0.0.0"
        || host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|a| a.is_loopback())
        || host == "host.docker.internal"
}

fn open(j: &mut Judgement, text: &str, schemes: &[&str], tier: Tier) -> Option<Place> {
    let place = match place(text) {
        Ok(place) => place,
        Err(what) => {
            j.failed(what);
            return None;
        }
    };
    if !schemes.contains(&place.scheme.as_str()) {
        let valid: Vec<String> = schemes.iter().map(|s| format!("`{s}://`")).collect();
        j.failed(format!("does not begin with {}", valid.join(" or ")));
        return None;
    }
    for (host, _) in &place.hosts {
        if is_local(host) {
            j.weak(tier, format!("points to this machine (`{host}`)"));
        }
    }
    j.fact(
        "hosts",
        place
            .hosts
            .iter()
            .map(|(h, _)| h.clone())
            .collect::<Vec<_>>(),
    );
    j.seen = place.shown();
    Some(place)
}

/// A password inside a URL, judged like one beside it.
fn inside(j: &mut Judgement, place: &Place, tier: Tier) {
    let Some(password) = &place.password else {
        return;
    };
    let mut own = Judgement::default();
    secret(&mut own, password.expose(), 12, tier);
    for problem in own.problems {
        j.problems.push(Problem {
            text: format!("its password {}", problem.text),
            ..problem
        });
    }
    j.fact("password-length", password.expose().chars().count());
    j.seen = format!("{}, password of {}", j.seen, own.seen);
}

fn postgres(j: &mut Judgement, text: &str, tier: Tier) {
    let Some(place) = open(j, text, &["postgres", "postgresql"], tier) else {
        return;
    };
    if place.user.is_none() && place.parameter("user").is_none() {
        j.failed("names no user");
    }
    let socket = place.hosts.is_empty();
    if place.password.is_none() && !socket {
        j.degraded("holds no password, though the handbook asks for credentials in it");
    }
    if place.path.is_empty() {
        j.failed("names no database");
    }
    inside(j, &place, tier);
    let mode = place
        .parameter("sslmode")
        .or_else(|| place.parameter("ssl-mode"));
    j.fact("sslmode", mode.unwrap_or("not set"));
    // libpq, section 34.19: everything below `require` sends plain text if the server asks for it.
    match mode {
        _ if socket => {}
        Some("require" | "verify-ca" | "verify-full") => {}
        Some("no-verify") => j.weak(
            tier,
            "encrypts without looking at the certificate (`sslmode=no-verify`)",
        ),
        Some("disable" | "allow" | "prefer") => {
            j.weak(
                tier,
                "allows plain text (`sslmode`); add `sslmode=verify-full`",
            );
        }
        None => j.weak(tier, "does not ask for TLS; add `sslmode=verify-full`"),
        Some(_) => j.failed("has an `sslmode` that does not exist"),
    }
}

fn neo4j(j: &mut Judgement, text: &str, tier: Tier) {
    let schemes = [
        "neo4j",
        "neo4j+s",
        "neo4j+ssc",
        "bolt",
        "bolt+s",
        "bolt+ssc",
    ];
    let Some(place) = open(j, text, &schemes, tier) else {
        return;
    };
    if place.hosts.is_empty() {
        j.failed("names no host");
    }
    if place.password.is_some() || place.user.is_some() {
        j.failed("holds a user or password, which drivers ignore");
    }
    j.fact("encrypted", place.scheme.contains('+'));
}

fn redis(j: &mut Judgement, text: &str, tier: Tier) {
    let Some(place) = open(j, text, &["redis", "rediss"], tier) else {
        return;
    };
    if place.hosts.is_empty() {
        j.failed("names no host");
    }
    inside(j, &place, tier);
    j.fact("encrypted", place.scheme == "rediss");
}

fn host(j: &mut Judgement, text: &str, tier: Tier) {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if text.contains("://") {
        j.failed("is a URL where a host's name belongs");
    } else if !text.chars().all(good) {
        j.failed("is no host's name");
    } else {
        text.clone_into(&mut j.seen);
        if is_local(text) {
            j.weak(tier, format!("points to this machine (`{text}`)"));
        }
    }
}

/// A number, shown only if it is one.
fn number(j: &mut Judgement, text: &str, min: u64, max: u64, what: &str) {
    let Ok(n) = text.parse::<u64>() else {
        j.failed(format!("is not {what}"));
        return;
    };
    j.seen = n.to_string();
    j.fact("value", n);
    if n < min || n > max {
        j.failed(format!("is {n}, which is not between {min} and {max}"));
    }
}

fn boolean(j: &mut Judgement, text: &str) {
    match text {
        "true" | "false" => {
            text.clone_into(&mut j.seen);
            j.fact("value", text == "true");
        }
        _ => match text.to_ascii_lowercase().as_str() {
            shown @ ("true" | "false" | "1" | "0" | "yes" | "no" | "on" | "off") => {
                j.seen = shown.to_owned();
                j.degraded("is not written `true` or `false`, which is what programs compare with");
            }
            _ => j.failed("is neither `true` nor `false`"),
        },
    }
}

/// Whether something stands where a path belongs that belongs into the file.
pub(super) fn holds_content(text: &str) -> bool {
    text.contains("-----BEGIN") || text.contains(char::is_control)
}

/// A path, shown only if it looks like one: keys and certificates end up here, too.
fn path(j: &mut Judgement, text: &str) {
    if holds_content(text) {
        j.failed("is no path: it holds what belongs into the file");
    } else if text.len() <= 255 && (text.starts_with('/') || text.contains('.')) {
        text.clone_into(&mut j.seen);
    } else {
        j.seen = count(text.chars().count(), "character", "characters");
    }
}

fn level(j: &mut Judgement, text: &str, tier: Tier) {
    let lower = text.to_ascii_lowercase();
    let levels = [
        "trace", "debug", "verbose", "http", "info", "warn", "warning", "error", "fatal", "silent",
    ];
    if !levels.contains(&lower.as_str()) {
        j.failed("is no level of logging: `debug`, `info`, `warn`, `error`");
        return;
    }
    if tier == Tier::Production && ["trace", "debug", "verbose"].contains(&lower.as_str()) {
        j.degraded("logs too much for production, possibly what users send");
    }
    j.fact("value", lower.clone());
    j.seen = lower;
}

/// A web URL without credentials; `None` after saying what is wrong.
fn web(j: &mut Judgement, text: &str) -> Option<url::Url> {
    let parsed = url::Url::parse(text)
        .ok()
        .filter(|u| matches!(u.scheme(), "http" | "https") && u.host_str().is_some());
    let Some(url) = parsed else {
        j.failed("is no URL that begins with `https://`");
        return None;
    };
    if let Some(password) = url.password() {
        let _masked = Secret::new(percent_decoded(password));
    }
    if !url.username().is_empty() || url.password().is_some() {
        j.failed("holds a user or password");
        return None;
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    j.seen = if j.seen.is_empty() {
        format!("{}://{host}", url.scheme())
    } else {
        format!("{}, {}://{host}", j.seen, url.scheme())
    };
    Some(url)
}

/// A web URL that users' browsers or tokens depend on.
fn web_url(j: &mut Judgement, text: &str, tier: Tier) -> Option<url::Url> {
    let url = web(j, text)?;
    let host = url.host_str().unwrap_or_default();
    if is_local(host) {
        j.weak(tier, format!("points to this machine (`{host}`)"));
    } else if url.scheme() != "https" {
        j.weak(tier, "is not `https`");
    }
    Some(url)
}

fn issuer(j: &mut Judgement, text: &str, tier: Tier) {
    let Some(url) = web_url(j, text, tier) else {
        return;
    };
    if url.query().is_some() || url.fragment().is_some() {
        j.failed("has a query or a fragment, which an issuer must not have");
    }
}

fn endpoint(j: &mut Judgement, text: &str, tier: Tier) {
    let Some(url) = web(j, text) else { return };
    let host = url.host_str().unwrap_or_default();
    let encrypted = url.scheme() == "https";
    j.fact("encrypted", encrypted);
    let within = !host.contains('.')
        || [".svc", ".cluster.local", ".internal", ".local"]
            .iter()
            .any(|end| host.ends_with(end));
    if is_local(host) {
        if tier == Tier::Production {
            j.degraded(format!(
                "points to this machine (`{host}`): right only with a collector beside each process"
            ));
        }
    } else if !encrypted && !within && tier != Tier::Development {
        j.degraded("leaves the cluster without TLS");
    }
}

fn origins(j: &mut Judgement, text: &str, tier: Tier) {
    let parts = list(text);
    for part in &parts {
        if part.contains('*') {
            j.weak(tier, "allows any origin (`*`)");
            continue;
        }
        let Some(url) = web_url(j, part, tier) else {
            continue;
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || part.ends_with('/') {
            j.failed("holds an origin with a path or a closing `/`, which no browser sends");
        }
    }
    j.fact("count", parts.len());
    j.seen = count(parts.len(), "origin", "origins");
}

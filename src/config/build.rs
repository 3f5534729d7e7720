//! From the file as written to typed contexts: what the values mean, and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::connection::{ConnectionUrl, Endpoint, redis_url};
use super::context::{
    Context, CrossCheck, DataPlane, ENV_CONTEXT, Evidence, Gateway, Keys, Lease, Neo4j, Offline,
    Payload, Policy, Postgres, Quiesce, Redis, Request,
};
use super::document::{self as written, At};
use super::excerpt::Text;
use super::hints::{AS_HTTP_URL, LEVELS, REDIS_WAYS, as_url};
use super::reference::{SecretRef, Written};
use super::source::{Provenance, Sourced};
use super::{BAD_VALUE, LITERAL_SECRET, kubernetes};
use crate::consent::Tier;
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::time::Span;

/// The contexts of one file.
pub(super) struct Built {
    pub default: Option<Sourced<String>>,
    pub contexts: BTreeMap<String, Context>,
}

/// Reads the text of a `summitctl.toml` that lies at `path`.
pub(super) fn build(path: &Path, text: &str) -> Result<Built> {
    let text = Text::new(path, text);
    let document = written::parse(text)?;
    let file = File {
        text,
        base: path.parent().unwrap_or(Path::new("")),
    };
    if document.version.value != 1 {
        return Err(file
            .bad(
                &document.version,
                format!("this file has version {}", document.version.value),
            )
            .hint("This summitctl reads version 1. Set `version = 1`, or use a newer summitctl."));
    }
    let mut contexts = BTreeMap::new();
    for (name, context) in &document.contexts {
        check_name(&file, name)?;
        contexts.insert(name.value.clone(), file.context(name, &context.value)?);
    }
    let default = document.default_context.as_ref().map(|d| file.sourced(d));
    if let Some(at) = &document.default_context
        && at.value != ENV_CONTEXT
        && !contexts.contains_key(&at.value)
    {
        let mut error = file.bad(at, format!("there is no context `{}`", at.value));
        let names = contexts.keys().map(String::as_str);
        if let Some(meant) = super::excerpt::nearest(&at.value, names) {
            error = error.hint(format!("Did you mean `{meant}`?"));
        }
        return Err(error);
    }
    Ok(Built { default, contexts })
}

/// Names become file names and are typed to confirm destruction.
fn check_name(file: &File<'_>, name: &At<String>) -> Result<()> {
    if name.value == ENV_CONTEXT {
        return Err(file.bad(name, "the name `env` is taken").hint(
            "The context `env` is made of environment variables. Give this one another name.",
        ));
    }
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let valid = name.value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.value.len() <= 63
        && name.value.chars().all(good);
    if valid {
        return Ok(());
    }
    Err(file
        .bad(name, format!("`{}` cannot be a context's name", name.value))
        .hint(
            "Use up to 63 lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit.",
        ))
}

pub(super) struct File<'a> {
    text: Text<'a>,
    pub base: &'a Path,
}

/// What building one context needs to know all along.
pub(super) struct Scope<'f, 'a> {
    pub file: &'f File<'a>,
    name: &'f str,
    tier: Tier,
    literals: Vec<Sourced<String>>,
}

impl File<'_> {
    pub fn at<T>(&self, at: &At<T>) -> Provenance {
        Provenance::File {
            path: self.text.path.to_owned(),
            line: self.text.position(at.span.start).line,
        }
    }

    pub fn sourced<T: Clone>(&self, at: &At<T>) -> Sourced<T> {
        Sourced::new(at.value.clone(), self.at(at))
    }

    pub fn or<T: Clone>(&self, at: Option<&At<T>>, default: T) -> Sourced<T> {
        at.map_or_else(|| Sourced::default_of(default), |at| self.sourced(at))
    }

    pub fn path(&self, at: &At<String>) -> Sourced<PathBuf> {
        self.sourced(at).map(|p| self.base.join(p))
    }

    pub fn bad<T>(&self, at: &At<T>, message: impl AsRef<str>) -> Error {
        self.text.error(&BAD_VALUE, at.span.clone(), message)
    }

    /// An error from deeper down, at this place, with its reason and hints.
    pub fn wrap<T>(&self, at: &At<T>, error: &Error) -> Error {
        let mut out = self
            .text
            .error(error.reason(), at.span.clone(), error.to_string());
        for hint in error.hints() {
            out = out.hint(hint);
        }
        out
    }

    fn context(&self, name: &At<String>, context: &written::Context) -> Result<Context> {
        let tier = self.or(context.tier.as_ref(), Tier::Production);
        let mut scope = Scope {
            file: self,
            name: &name.value,
            tier: tier.value,
            literals: Vec::new(),
        };
        Ok(Context {
            name: name.value.clone(),
            defined: self.at(name),
            tier,
            platform: self.or(context.platform.as_ref(), "summit".to_owned()),
            postgres: scope.optional(context.postgres.as_ref(), Scope::postgres)?,
            neo4j: scope.optional(context.neo4j.as_ref(), Scope::neo4j)?,
            redis: scope.optional(context.redis.as_ref(), Scope::redis)?,
            kubernetes: context
                .kubernetes
                .as_ref()
                .map(|k| kubernetes::build(self, k))
                .transpose()?,
            gateway: scope.optional(context.gateway.as_ref(), Scope::gateway)?,
            data_plane: context
                .data_plane
                .as_ref()
                .map(|d| self.data_plane(d, context.gateway.as_ref()))
                .transpose()?,
            quiesce: context
                .quiesce
                .as_ref()
                .map(|q| self.quiesce(&q.value))
                .transpose()?,
            cross_checks: context
                .cross_checks
                .iter()
                .map(|(name, check)| self.cross_check(name, check, context))
                .collect::<Result<_>>()?,
            variables: context
                .variables
                .as_ref()
                .map(|v| self.path(&v.value.env_file)),
            prometheus: context
                .prometheus
                .as_ref()
                .map(|p| self.http_url(&p.value.url))
                .transpose()?,
            repository: scope.optional(context.repository.as_ref(), Scope::repository)?,
            evidence: scope.evidence(context.evidence.as_ref())?,
            policy: self.policy(context.policy.as_ref())?,
            lease: self.lease(context.lease.as_ref()),
            literal_secrets: scope.literals,
        })
    }

    pub fn http_url(&self, at: &At<String>) -> Result<Sourced<String>> {
        let parsed = url::Url::parse(&at.value).map_err(|e| {
            self.bad(at, format!("this is not a URL ({e})"))
                .hint(AS_HTTP_URL)
        })?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(self
                .bad(
                    at,
                    "this URL does not begin with `http://` or `https://` and a host",
                )
                .hint(AS_HTTP_URL));
        }
        if parsed.password().is_some() || !parsed.username().is_empty() {
            return Err(self
                .bad(at, "this URL holds a user or password")
                .hint("Remove them from the URL; use `token` with a secret reference."));
        }
        Ok(self.sourced(at).map(|u| u.trim_end_matches('/').to_owned()))
    }

    fn http_path(&self, at: Option<&At<String>>, default: &str) -> Result<Sourced<String>> {
        match at {
            Some(at) if !at.value.starts_with('/') => {
                Err(self.bad(at, "this path does not begin with `/`"))
            }
            at => Ok(self.or(at, default.to_owned())),
        }
    }

    fn policy(&self, policy: Option<&written::Policy>) -> Result<Policy> {
        let mut out = Policy::default();
        let Some(policy) = policy else {
            return Ok(out);
        };
        let fields = [
            (&policy.rpo, &mut out.rpo),
            (&policy.rto, &mut out.rto),
            (&policy.freshness, &mut out.freshness),
            (&policy.drill_interval, &mut out.drill_interval),
            (&policy.retention, &mut out.retention),
        ];
        for (at, slot) in fields {
            let Some(at) = at else { continue };
            if at.value == Span::secs(0) {
                return Err(self.bad(at, "a duration of zero can never be kept"));
            }
            *slot = self.sourced(at);
        }
        if let Some(at) = &policy.keep {
            if let Some(word) = at.value.zero() {
                return Err(self.bad(at, format!("`{word} = 0` keeps nothing: leave it out")));
            }
            out.keep = self.sourced(at);
        }
        if let Some(at) = &policy.verify_level {
            if !(1..=4).contains(&at.value) {
                return Err(self
                    .bad(at, "the level of verification is a number from 1 to 4")
                    .hint(LEVELS));
            }
            out.verify_level = self.sourced(at);
        }
        Ok(out)
    }

    fn lease(&self, lease: Option<&written::Lease>) -> Lease {
        let dir = lease.and_then(|l| match l.backend.value {
            written::Backend::File => l.dir.as_ref().map(|d| self.path(d)),
        });
        Lease::File { dir }
    }

    fn quiesce(&self, quiesce: &written::Quiesce) -> Result<Quiesce> {
        Ok(Quiesce {
            begin: self.program(&quiesce.begin)?,
            end: self.program(&quiesce.end)?,
        })
    }

    fn program(&self, at: &At<Vec<String>>) -> Result<Sourced<Vec<String>>> {
        if at.value.first().is_none_or(String::is_empty) {
            return Err(self
                .bad(at, "this names no program")
                .hint("Give the program and its arguments, one each, such as `[\"kubectl\", \"scale\", …]`."));
        }
        Ok(self.sourced(at))
    }

    fn cross_check(
        &self,
        name: &str,
        at: &At<written::CrossCheck>,
        context: &written::Context,
    ) -> Result<CrossCheck> {
        let keys = |at: &At<written::Keys>| {
            let (store, query, there) = match (&at.value.postgres, &at.value.neo4j) {
                (Some(sql), None) => (Store::Postgres, sql, context.postgres.is_some()),
                (None, Some(cypher)) => (Store::Neo4j, cypher, context.neo4j.is_some()),
                _ => {
                    return Err(self
                        .bad(at, "this side of the check does not name exactly one store")
                        .hint(
                            "Give it `postgres = \"SELECT …\"` or `neo4j = \"MATCH … RETURN …\"`.",
                        ));
                }
            };
            if !there {
                return Err(self.bad(query, format!("the context has no {store}")));
            }
            let query = self.sourced(query);
            Ok(Keys { store, query })
        };
        let check = CrossCheck {
            name: name.to_owned(),
            every: keys(&at.value.every)?,
            is_in: keys(&at.value.is_in)?,
            must: self.or(at.value.must.as_ref(), false),
        };
        if check.every.store == check.is_in.store {
            return Err(self
                .bad(at, "both sides of the check ask the same store")
                .hint("Within one store, use a foreign key or a constraint."));
        }
        Ok(check)
    }

    fn data_plane(
        &self,
        at: &At<written::DataPlane>,
        gateway: Option<&At<written::Gateway>>,
    ) -> Result<DataPlane> {
        let plane = &at.value;
        let Some(gateway) = gateway else {
            return Err(self
                .bad(at, "`data-plane` needs a gateway to write through")
                .hint("Add `gateway.url` to the same context."));
        };
        let graphql = gateway
            .value
            .graphql
            .as_ref()
            .map_or("/graphql", |g| g.value.as_str());
        let request = |at: &At<written::Request>| self.request(at, graphql);
        let write = request(&plane.write)?;
        if !mentions(&plane.write.value, "${marker}") {
            return Err(self
                .bad(&plane.write, "the write does not use `${marker}`")
                .hint("Put `${marker}` where the unique value belongs, so that it can be found again."));
        }
        let optional = |at: &Option<At<written::Request>>| at.as_ref().map(&request).transpose();
        let query = |at: &At<String>, placeholder: &str| {
            if at.value.contains(placeholder) {
                Ok(self.sourced(at))
            } else {
                Err(self.bad(at, format!("this does not use `{placeholder}`")))
            }
        };
        let redis = |at: &At<String>| {
            if at.value.contains("${marker}") || at.value.contains("${id}") {
                Ok(self.sourced(at))
            } else {
                Err(self.bad(at, "this key uses neither `${marker}` nor `${id}`"))
            }
        };
        Ok(DataPlane {
            timeout: self.or(plane.timeout.as_ref(), Span::secs(10)),
            write,
            read: optional(&plane.read)?,
            delete: optional(&plane.delete)?,
            postgres: plane
                .postgres
                .as_ref()
                .map(|q| query(&q.sql, "$1"))
                .transpose()?,
            neo4j: plane
                .neo4j
                .as_ref()
                .map(|q| query(&q.cypher, "$marker"))
                .transpose()?,
            redis: plane.redis.as_ref().map(|q| redis(&q.key)).transpose()?,
        })
    }

    fn request(&self, at: &At<written::Request>, graphql: &str) -> Result<Request> {
        let request = &at.value;
        let payload = match (&request.graphql, &request.body) {
            (Some(_), Some(body)) => {
                return Err(self.bad(body, "`graphql` and `body` exclude each other"));
            }
            (Some(document), None) => Payload::Graphql {
                document: document.value.clone(),
                variables: request
                    .variables
                    .as_ref()
                    .map(|v| v.value.clone().into_iter().collect())
                    .unwrap_or_default(),
            },
            (None, Some(body)) => Payload::Body(body.value.clone()),
            (None, None) => Payload::Empty,
        };
        if let (Some(variables), None) = (&request.variables, &request.graphql) {
            return Err(self.bad(
                variables,
                "`variables` belong to `graphql`, which is missing",
            ));
        }
        if payload == Payload::Empty && request.path.is_none() {
            return Err(self.bad(at, "this request has neither `graphql`, `body` nor `path`"));
        }
        let default_method = if payload == Payload::Empty {
            "GET"
        } else {
            "POST"
        };
        const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        if let Some(method) = &request.method
            && !METHODS.contains(&method.value.as_str())
        {
            return Err(self
                .bad(method, "this is not a method that can be sent")
                .hint("Valid here: `GET`, `POST`, `PUT`, `PATCH`, `DELETE`."));
        }
        for pointer in [&request.id, &request.expect].into_iter().flatten() {
            if !pointer.value.starts_with('/') {
                return Err(self
                    .bad(pointer, "this is not a JSON pointer")
                    .hint("A JSON pointer begins with `/`, as in `/data/createEntity/id`."));
            }
        }
        let text = |at: &Option<At<String>>| at.as_ref().map(|a| a.value.clone());
        Ok(Request {
            source: self.at(at),
            method: text(&request.method).unwrap_or_else(|| default_method.to_owned()),
            path: self.http_path(request.path.as_ref(), graphql)?.value,
            payload,
            id: text(&request.id),
            expect: text(&request.expect),
        })
    }
}

fn mentions(request: &written::Request, placeholder: &str) -> bool {
    let texts = [&request.graphql, &request.body, &request.path];
    texts
        .into_iter()
        .flatten()
        .any(|t| t.value.contains(placeholder))
        || request
            .variables
            .as_ref()
            .is_some_and(|v| v.value.values().any(|t| t.contains(placeholder)))
}

impl Scope<'_, '_> {
    fn optional<W, T>(
        &mut self,
        at: Option<&At<W>>,
        read: impl FnOnce(&mut Self, &At<W>) -> Result<T>,
    ) -> Result<Option<T>> {
        at.map(|at| read(self, at)).transpose()
    }

    /// A secret: a reference, or, in development, the secret itself.
    fn secret(&mut self, key: &str, at: &At<Written>) -> Result<Sourced<SecretRef>> {
        let reference = at
            .value
            .read(self.file.base)
            .map_err(|e| self.file.wrap(at, &e))?;
        if reference.is_literal() {
            self.literal(key, at)?;
        }
        Ok(Sourced::new(reference, self.file.at(at)))
    }

    pub fn optional_secret(
        &mut self,
        key: &str,
        at: Option<&At<Written>>,
    ) -> Result<Option<Sourced<SecretRef>>> {
        at.map(|at| self.secret(key, at)).transpose()
    }

    /// A connection URL; a password inside it counts as written out.
    fn url(&mut self, key: &str, at: &At<String>) -> Result<Sourced<ConnectionUrl>> {
        let url =
            ConnectionUrl::parse(&at.value, self.file.base).map_err(|e| self.file.wrap(at, &e))?;
        if let ConnectionUrl::Plain {
            url: plain,
            password,
        } = &url
        {
            if password.is_some() {
                self.literal(key, at)?;
            }
            if !plain.contains("://") {
                return Err(self
                    .file
                    .bad(
                        at,
                        format!("`{key}` is neither a URL nor a secret reference"),
                    )
                    .hint(as_url(key)));
            }
        }
        Ok(Sourced::new(url, self.file.at(at)))
    }

    /// Notes a secret that was written out; refuses it where that is dangerous.
    fn literal<T>(&mut self, key: &str, at: &At<T>) -> Result<()> {
        if self.tier == Tier::Development {
            let note = Sourced::new(key.to_owned(), self.file.at(at));
            self.literals.push(note);
            return Ok(());
        }
        let tier = match self.tier {
            Tier::Staging => "staging",
            _ => "production",
        };
        let section = key.split('.').next().unwrap_or(key);
        let variable = format!("{}_{}", self.name, section)
            .to_ascii_uppercase()
            .replace(['-', '.'], "_");
        Err(self
            .file
            .text
            .error(
                &LITERAL_SECRET,
                at.span.clone(),
                format!(
                    "`contexts.{}.{key}` holds a secret itself, in a {tier} context,",
                    self.name
                ),
            )
            .hint(format!(
                "Put the secret elsewhere and refer to it: `\"env:{variable}\"`, `\"file:PATH\"` or `\"exec:[…]\"`."
            ))
            .hint("Treat the secret as disclosed if this file was shared or committed, and rotate it."))
    }

    fn endpoint(
        &mut self,
        store: &str,
        url: &At<String>,
        user: Option<&At<String>>,
        password: Option<&At<Written>>,
    ) -> Result<Endpoint> {
        Ok(Endpoint {
            url: self.url(&format!("{store}.url"), url)?,
            user: user.map(|u| self.file.sourced(u)),
            password: self.optional_secret(&format!("{store}.password"), password)?,
        })
    }

    fn postgres(&mut self, at: &At<written::Postgres>) -> Result<Postgres> {
        let p = &at.value;
        Ok(Postgres {
            endpoint: self.endpoint("postgres", &p.url, p.user.as_ref(), p.password.as_ref())?,
            databases: self.databases(&p.databases)?,
            maintenance_database: self
                .file
                .or(p.maintenance_database.as_ref(), "postgres".to_owned()),
            give_way_after: self.patience(
                "give-way-after",
                p.give_way_after.as_ref(),
                Postgres::GIVE_WAY_AFTER,
            )?,
            longest_snapshot: self.patience(
                "longest-snapshot",
                p.longest_snapshot.as_ref(),
                Postgres::LONGEST_SNAPSHOT,
            )?,
            read_replicas: p
                .read_replicas
                .iter()
                .map(|r| self.url("postgres.read-replicas", r))
                .collect::<Result<_>>()?,
        })
    }

    fn databases(&self, written: &[At<String>]) -> Result<Vec<Sourced<String>>> {
        let mut databases: Vec<Sourced<String>> = Vec::new();
        for at in written {
            let bad = |what: &str| Err(self.file.bad(at, what));
            if at.value.is_empty() || at.value.contains(['/', '\0']) {
                return bad("this cannot be a database's name");
            }
            if databases.iter().any(|d| d.value == at.value) {
                return bad("this database is named twice");
            }
            databases.push(self.file.sourced(at));
        }
        Ok(databases)
    }

    /// A time that is looked at by the second, so that less means nothing.
    fn patience(&self, key: &str, at: Option<&At<Span>>, default: Span) -> Result<Sourced<Span>> {
        match at {
            Some(at) if at.value < Span::secs(1) => Err(self
                .file
                .bad(at, format!("`{key}` is less than a second"))
                .hint(format!("Leave it out for the default, `{default}`."))),
            _ => Ok(self.file.or(at, default)),
        }
    }

    fn neo4j(&mut self, at: &At<written::Neo4j>) -> Result<Neo4j> {
        let n = &at.value;
        Ok(Neo4j {
            endpoint: self.endpoint("neo4j", &n.url, n.user.as_ref(), n.password.as_ref())?,
            database: n.database.as_ref().map(|d| self.file.sourced(d)),
            offline: self.optional(n.offline.as_ref(), Scope::offline)?,
        })
    }

    fn offline(&mut self, at: &At<written::Offline>) -> Result<Offline> {
        let o = &at.value;
        let default = Offline::START_WITHIN;
        Ok(Offline {
            stop: self.file.program(&o.stop)?,
            start: self.file.program(&o.start)?,
            admin: self.file.program(&o.admin)?,
            start_within: self.patience("start-within", o.start_within.as_ref(), default)?,
        })
    }

    fn redis(&mut self, at: &At<written::Redis>) -> Result<Redis> {
        let r = &at.value;
        let endpoint = match (&r.url, &r.host) {
            (Some(_), Some(host)) => {
                return Err(self
                    .file
                    .bad(host, "`url` and `host` exclude each other")
                    .hint(REDIS_WAYS));
            }
            (Some(url), None) => {
                if let Some(port) = &r.port {
                    return Err(self
                        .file
                        .bad(port, "`url` and `port` exclude each other")
                        .hint("Write the port into the URL, as in `redis://HOST:6379/0`."));
                }
                self.endpoint("redis", url, r.user.as_ref(), r.password.as_ref())?
            }
            (None, Some(host)) => Endpoint {
                url: Sourced::new(
                    ConnectionUrl::Plain {
                        url: redis_url(&host.value, r.port.as_ref().map_or(6379, |p| p.value)),
                        password: None,
                    },
                    self.file.at(host),
                ),
                user: r.user.as_ref().map(|u| self.file.sourced(u)),
                password: self.optional_secret("redis.password", r.password.as_ref())?,
            },
            (None, None) => {
                return Err(self
                    .file
                    .bad(at, "`redis` has neither `url` nor `host`")
                    .hint(REDIS_WAYS));
            }
        };
        Ok(Redis { endpoint })
    }

    fn gateway(&mut self, at: &At<written::Gateway>) -> Result<Gateway> {
        let (g, file) = (&at.value, self.file);
        let health = |pick: fn(&written::Health) -> &Option<At<String>>, default: &str| {
            file.http_path(g.health.as_ref().and_then(|h| pick(h).as_ref()), default)
        };
        let queues = match &g.queues {
            None => None,
            Some(at) => match &at.value {
                written::Queues::Wanted(false) => None,
                written::Queues::Wanted(true) => {
                    Some(Sourced::new("/queues/health".to_owned(), file.at(at)))
                }
                written::Queues::Path(path) if path.starts_with('/') => {
                    Some(Sourced::new(path.clone(), file.at(at)))
                }
                written::Queues::Path(_) => {
                    return Err(file.bad(at, "this path does not begin with `/`"));
                }
            },
        };
        Ok(Gateway {
            url: file.http_url(&g.url)?,
            ui_url: g.ui_url.as_ref().map(|u| file.http_url(u)).transpose()?,
            live: health(|h| &h.live, "/health")?,
            live_alias: health(|h| &h.live_alias, "/healthz")?,
            detailed: health(|h| &h.detailed, "/health/detailed")?,
            ready: health(|h| &h.ready, "/health/ready")?,
            graphql: file.http_path(g.graphql.as_ref(), "/graphql")?,
            queues,
            token: self.optional_secret("gateway.token", g.token.as_ref())?,
            tls_ca: g.tls_ca.as_ref().map(|p| file.path(p)),
        })
    }

    fn evidence(&mut self, evidence: Option<&written::Evidence>) -> Result<Evidence> {
        let Some(evidence) = evidence else {
            return Ok(Evidence::default());
        };
        Ok(Evidence {
            dir: evidence.dir.as_ref().map(|d| self.file.path(d)),
            signing_key: self
                .optional_secret("evidence.signing-key", evidence.signing_key.as_ref())?,
        })
    }
}

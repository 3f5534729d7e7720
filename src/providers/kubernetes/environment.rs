//! What a container's environment is made of, by the kubelet's own rules (`makeEnvironmentVariables` in its
//! `kubelet_pods.go`): `env` over `envFrom`, a later `envFrom` over an earlier one, `$(NAME)` filled in from what was set
//! before. What cannot be known here stays unknown, with the reason.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, EnvVarSource, Service};
use zeroize::Zeroizing;

/// Where a container's values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl Store {
    /// As kubectl writes it.
    pub fn word(self) -> &'static str {
        match self {
            Store::ConfigMap => "configmap",
            Store::Secret => "secret",
        }
    }
}

/// What was seen of a ConfigMap or Secret.
pub enum Held {
    /// Its values by key; none where the bytes are no text.
    Here(BTreeMap<String, Option<Zeroizing<String>>>),
    /// There is none of this name.
    Absent,
    /// It may not be read, and why.
    Unreadable(String),
}

/// ConfigMaps and Secrets by name.
pub type Sources = BTreeMap<(Store, String), Held>;

/// What the kubelet says of the namespace's Services.
pub enum Links {
    /// Variables by name, with the Service each is about.
    Known(BTreeMap<String, (String, String)>),
    /// The Services may not be read, and why.
    Unreadable(String),
}

/// Where a variable comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The container's own `env`.
    Written,
    /// A key of a ConfigMap or Secret.
    Key(Store, String, String),
    /// The cluster, when it starts the container: the field or resource.
    Cluster(String),
}

/// A variable as the container gets it.
pub struct Variable {
    /// Where it comes from.
    pub origin: Origin,
    /// Its value, or why nobody here knows it.
    pub value: Result<Zeroizing<String>, String>,
    /// Whether the value is a Secret's, or holds one.
    pub secret: bool,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable")
            .field("origin", &self.origin)
            .field("known", &self.value.is_ok())
            .finish_non_exhaustive()
    }
}

/// A source that gives variables of which not even the names are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veil {
    /// What their names begin with.
    pub prefix: String,
    /// Why they are not known.
    pub why: String,
    /// The source.
    pub of: (Store, String),
}

/// A container's environment.
#[derive(Debug, Default)]
pub struct Given {
    /// By name.
    pub variables: BTreeMap<String, Variable>,
    /// Whatever else may be set.
    pub veils: Vec<Veil>,
    /// What keeps a new container from being started: a source or key that must be there, and is not.
    pub broken: Vec<String>,
    /// References that nobody had set, with the variable that holds each: they stay as they are written.
    pub dangling: Vec<(String, String)>,
    /// Names that stand in `env` more than once.
    pub repeated: Vec<String>,
    /// Keys that are no names of variables everywhere, with their source.
    pub odd: Vec<String>,
    /// Sources and keys that are optional, and not there.
    pub left_out: Vec<String>,
}

/// What a container gets of these sources.
pub fn environment(container: &Container, sources: &Sources, links: &Links) -> Given {
    let mut reader = Reader {
        sources,
        links,
        given: Given::default(),
    };
    for source in container.env_from.iter().flatten() {
        reader.all_of(source);
    }
    let mut own: Vec<&str> = Vec::new();
    for variable in container.env.iter().flatten() {
        if own.contains(&variable.name.as_str()) && !reader.given.repeated.contains(&variable.name)
        {
            reader.given.repeated.push(variable.name.clone());
        }
        own.push(&variable.name);
        reader.one(variable);
    }
    reader.given
}

/// The ConfigMaps and Secrets that a container's environment takes something from.
pub fn named_in(container: &Container) -> Vec<(Store, String)> {
    let mut found = Vec::new();
    let mut add = |store, name: &str| {
        let name = (store, name.to_owned());
        if !found.contains(&name) {
            found.push(name);
        }
    };
    for source in container.env_from.iter().flatten() {
        if let Some((store, name, _)) = whole(source) {
            add(store, name);
        }
    }
    for source in container.env.iter().flatten() {
        if let Some(from) = &source.value_from
            && let Some((store, name, ..)) = key_of(from)
        {
            add(store, name);
        }
    }
    found
}

/// The ConfigMap or Secret of an `envFrom`, and whether it may be missing.
fn whole(source: &EnvFromSource) -> Option<(Store, &str, bool)> {
    let map = source.config_map_ref.as_ref();
    let map = map.map(|r| (Store::ConfigMap, r.name.as_str(), r.optional));
    let secret = source.secret_ref.as_ref();
    let secret = secret.map(|r| (Store::Secret, r.name.as_str(), r.optional));
    map.or(secret)
        .map(|(store, name, optional)| (store, name, optional.unwrap_or(false)))
}

/// The ConfigMap or Secret of a `valueFrom`, its key, and whether either may be missing.
fn key_of(from: &EnvVarSource) -> Option<(Store, &str, &str, bool)> {
    let map = from.config_map_key_ref.as_ref();
    let map = map.map(|r| {
        (
            Store::ConfigMap,
            r.name.as_str(),
            r.key.as_str(),
            r.optional,
        )
    });
    let secret = from.secret_key_ref.as_ref();
    let secret = secret.map(|r| (Store::Secret, r.name.as_str(), r.key.as_str(), r.optional));
    map.or(secret)
        .map(|(store, name, key, optional)| (store, name, key, optional.unwrap_or(false)))
}

struct Reader<'a> {
    sources: &'a Sources,
    links: &'a Links,
    given: Given,
}

impl<'a> Reader<'a> {
    fn held(&self, store: Store, name: &str) -> &'a Held {
        // Every source that is named is asked for; one that was not is not there.
        static ABSENT: Held = Held::Absent;
        let held = self.sources.get(&(store, name.to_owned()));
        held.unwrap_or(&ABSENT)
    }

    fn set(&mut self, name: &str, origin: Origin, value: Result<Zeroizing<String>, String>) {
        let secret = matches!(origin, Origin::Key(Store::Secret, ..));
        let variable = Variable {
            origin,
            value,
            secret,
        };
        self.given.variables.insert(name.to_owned(), variable);
    }

    /// Everything that a source of `envFrom` holds.
    fn all_of(&mut self, source: &EnvFromSource) {
        let Some((store, name, optional)) = whole(source) else {
            return;
        };
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let shown = format!("{} `{name}`", store.word());
        match self.held(store, name) {
            Held::Here(values) => {
                for (key, value) in values {
                    let variable = format!("{prefix}{key}");
                    if !is_name(&variable) {
                        self.given.odd.push(format!("`{variable}` of {shown}"));
                    }
                    let value = value.clone().ok_or_else(|| no_text(&shown, key));
                    self.set(
                        &variable,
                        Origin::Key(store, name.to_owned(), key.clone()),
                        value,
                    );
                }
            }
            Held::Absent if optional => self.given.left_out.push(shown),
            Held::Absent => {
                self.given
                    .broken
                    .push(format!("there is no {shown}, which `envFrom` names"));
                self.veil(prefix, store, name, format!("there is no {shown}"));
            }
            Held::Unreadable(why) => self.veil(prefix, store, name, why.clone()),
        }
    }

    /// From here on, any name with this prefix may have another value.
    fn veil(&mut self, prefix: &str, store: Store, name: &str, why: String) {
        let variables = self.given.variables.iter_mut();
        for (_, known) in variables.filter(|(name, _)| name.starts_with(prefix)) {
            known.value = Err(format!("{} `{name}` may replace it: {why}", store.word()));
        }
        self.given.veils.push(Veil {
            prefix: prefix.to_owned(),
            why,
            of: (store, name.to_owned()),
        });
    }

    /// An entry of `env`.
    fn one(&mut self, variable: &EnvVar) {
        let name = &variable.name;
        match (variable.value.as_deref(), &variable.value_from) {
            (Some(text), _) if !text.is_empty() => self.written(name, text),
            (_, Some(from)) => self.taken(name, from),
            _ => self.set(name, Origin::Written, Ok(Zeroizing::default())),
        }
    }

    fn written(&mut self, name: &str, text: &str) {
        let mut secret = false;
        let mut dangling = Vec::new();
        let value = expand(text, |reference| {
            if let Some(known) = self.given.variables.get(reference) {
                secret |= known.secret;
                return match &known.value {
                    Ok(value) => Meant::Text(value),
                    Err(why) => Meant::Unknown(format!("it uses `$({reference})`: {why}")),
                };
            }
            let meant = self.meant(reference);
            if matches!(meant, Meant::Nothing) {
                dangling.push((name.to_owned(), reference.to_owned()));
            }
            meant
        });
        self.given.dangling.extend(dangling);
        let variable = Variable {
            origin: Origin::Written,
            value,
            secret,
        };
        self.given.variables.insert(name.to_owned(), variable);
    }

    /// What a name means that no entry before has set.
    fn meant(&self, name: &str) -> Meant<'_> {
        let veil = self.given.veils.iter().rev();
        if let Some(veil) = veil.clone().find(|v| name.starts_with(&v.prefix)) {
            return Meant::Unknown(format!("it uses `$({name})`: {}", veil.why));
        }
        // The API server's own Service, which is in another namespace.
        if name.starts_with("KUBERNETES_SERVICE_") || name.starts_with("KUBERNETES_PORT") {
            return Meant::Unknown(format!("it uses `$({name})`, which the cluster sets"));
        }
        match self.links {
            Links::Known(links) => links
                .get(name)
                .map_or(Meant::Nothing, |(value, _)| Meant::Text(value)),
            Links::Unreadable(why) if is_link(name) => Meant::Unknown(format!(
                "it uses `$({name})`, which a Service may set: {why}"
            )),
            Links::Unreadable(_) => Meant::Nothing,
        }
    }

    /// A value from elsewhere. One that is optional and missing leaves what was set before.
    fn taken(&mut self, name: &str, from: &EnvVarSource) {
        let Some((store, source, key, optional)) = key_of(from) else {
            let what = by_cluster(from);
            let why = format!("the cluster sets it from {what} when it starts the container");
            return self.set(name, Origin::Cluster(what), Err(why));
        };
        let shown = format!("{} `{source}`", store.word());
        let value = match self.held(store, source) {
            Held::Here(values) => match values.get(key) {
                Some(value) => value.clone().ok_or_else(|| no_text(&shown, key)),
                None if optional => {
                    let left = format!("key `{key}` of {shown}");
                    return self.given.left_out.push(left);
                }
                None => Err(self.break_off(name, format!("{shown} has no key `{key}`"))),
            },
            Held::Absent if optional => return self.given.left_out.push(shown),
            Held::Absent => Err(self.break_off(name, format!("there is no {shown}"))),
            Held::Unreadable(why) => Err(why.clone()),
        };
        let origin = Origin::Key(store, source.to_owned(), key.to_owned());
        self.set(name, origin, value);
    }

    fn break_off(&mut self, name: &str, what: String) -> String {
        self.given
            .broken
            .push(format!("{what}, which `{name}` needs"));
        what
    }
}

fn no_text(source: &str, key: &str) -> String {
    format!("key `{key}` of {source} holds bytes that are no UTF-8 text")
}

fn by_cluster(from: &EnvVarSource) -> String {
    if let Some(field) = &from.field_ref {
        return format!("the field `{}`", field.field_path);
    }
    if let Some(resource) = &from.resource_field_ref {
        return format!("the resource `{}`", resource.resource);
    }
    if let Some(file) = &from.file_key_ref {
        return format!(
            "key `{}` of a file in volume `{}`",
            file.key, file.volume_name
        );
    }
    "a source that this version does not know".to_owned()
}

/// Names of variables that every version takes (`IsEnvVarName` in apimachinery); 1.34 takes more.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !name.is_empty()
        && name.chars().all(good)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name != "."
        && !name.starts_with("..")
}

/// What a reference stands for.
enum Meant<'a> {
    Text(&'a str),
    Unknown(String),
    Nothing,
}

/// Fills in `$(NAME)`; `$$` is a `$`, and a name that means nothing stays as it is written (the `expansion` package).
fn expand<'a>(
    text: &str,
    mut lookup: impl FnMut(&str) -> Meant<'a>,
) -> Result<Zeroizing<String>, String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut unknown = None;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let reference = after
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'));
        if let Some((name, behind)) = reference {
            match lookup(name) {
                Meant::Text(value) => out.push_str(value),
                Meant::Unknown(why) => unknown = unknown.or(Some(why)),
                Meant::Nothing => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = behind;
        } else {
            out.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
        }
    }
    out.push_str(rest);
    match unknown {
        Some(why) => Err(why),
        None => Ok(out),
    }
}

/// Whether a name has the form of one that the kubelet makes of a Service.
fn is_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST") || name.ends_with("_PORT") || name.contains("_PORT_")
}

/// The variables that the kubelet makes of Services with an address (`FromServices` in its `envvars` package).
pub fn links(services: &[Service]) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    for service in services {
        let Some(spec) = &service.spec else { continue };
        let address = spec.cluster_ip.as_deref().unwrap_or_default();
        let ports = spec.ports.as_deref().unwrap_or_default();
        let (false, Some(first)) = (address.is_empty() || address == "None", ports.first()) else {
            continue;
        };
        let own = service.metadata.name.as_deref().unwrap_or_default();
        let name = |text: &str| text.replace('-', "_").to_ascii_uppercase();
        let prefix = name(own);
        let mut add = |variable: String, value: String| {
            found.insert(variable, (value, own.to_owned()));
        };
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        };
        add(format!("{prefix}_SERVICE_HOST"), address.to_owned());
        add(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
        for (at, port) in ports.iter().enumerate() {
            let number = port.port.to_string();
            if let Some(named) = port.name.as_deref().filter(|n| !n.is_empty()) {
                add(
                    format!("{prefix}_SERVICE_PORT_{}", name(named)),
                    number.clone(),
                );
            }
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let place = format!("{}://{host}:{number}", protocol.to_ascii_lowercase());
            if at == 0 {
                add(format!("{prefix}_PORT"), place.clone());
            }
            let long = format!("{prefix}_PORT_{number}_{}", protocol.to_ascii_uppercase());
            add(format!("{long}_PROTO"), protocol.to_ascii_lowercase());
            add(format!("{long}_PORT"), number);
            add(format!("{long}_ADDR"), address.to_owned());
            add(long, place);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(pairs: &[(&str, &str)]) -> Held {
        let text = |v: &str| Some(Zeroizing::new(v.to_owned()));
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), text(v)));
        Held::Here(pairs.collect())
    }

    fn sources() -> Sources {
        [
            (
                (Store::ConfigMap, "base".to_owned()),
                held(&[("A", "base"), ("B", "base"), ("1-x.y", "odd")]),
            ),
            (
                (Store::Secret, "keys".to_owned()),
                held(&[("B", "secret"), ("PASSWORD", "pw")]),
            ),
            (
                (Store::Secret, "closed".to_owned()),
                Held::Unreadable("it may not be read".to_owned()),
            ),
        ]
        .into()
    }

    fn given(container: serde_json::Value) -> Given {
        let container: Container = serde_json::from_value(container).expect("a container");
        let redis = json!({
            "metadata": {"name": "my-redis"},
            "spec": {"clusterIP": "10.0.0.7", "ports": [{"name": "main", "port": 6379}]},
        });
        let services = [serde_json::from_value(redis).expect("a service")];
        environment(&container, &sources(), &Links::Known(links(&services)))
    }

    fn value(given: &Given, name: &str) -> String {
        match given.variables.get(name).map(|v| &v.value) {
            Some(Ok(text)) => text.to_string(),
            Some(Err(why)) => format!("?{why}"),
            None => "-".to_owned(),
        }
    }

    #[test]
    fn env_wins_over_env_from_and_the_later_source_over_the_earlier() {
        let seen = given(json!({
            "name": "app",
            "envFrom": [
                {"configMapRef": {"name": "base"}},
                {"secretRef": {"name": "keys"}},
                {"prefix": "X_", "configMapRef": {"name": "base"}},
                {"configMapRef": {"name": "gone", "optional": true}},
            ],
            "env": [
                {"name": "A", "value": "own"},
                {"name": "URL", "value": "redis://:$(PASSWORD)@$(MY_REDIS_SERVICE_HOST):$(MY_REDIS_SERVICE_PORT_MAIN)/$(NONE)?p=$$(B)"},
                {"name": "LATE", "value": "$(LATER)"},
                {"name": "LATER", "value": "1"},
                {"name": "LATER", "value": "2"},
                {"name": "EMPTY", "value": ""},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "none", "optional": true}}},
            ],
        }));
        assert_eq!(value(&seen, "A"), "own");
        assert_eq!(
            value(&seen, "B"),
            "secret",
            "what is optional and missing leaves what was set"
        );
        assert_eq!(value(&seen, "X_B"), "base");
        assert_eq!(value(&seen, "X_1-x.y"), "odd");
        assert_eq!(
            value(&seen, "URL"),
            "redis://:pw@10.0.0.7:6379/$(NONE)?p=$(B)"
        );
        assert_eq!(
            value(&seen, "LATE"),
            "$(LATER)",
            "only what was set before is filled in"
        );
        assert_eq!(value(&seen, "LATER"), "2");
        assert_eq!(value(&seen, "EMPTY"), "");
        assert!(seen.variables["URL"].secret && seen.variables["B"].secret);
        assert!(!seen.variables["A"].secret);
        let dangling: Vec<_> = seen
            .dangling
            .iter()
            .map(|(v, r)| (v.as_str(), r.as_str()))
            .collect();
        assert_eq!(dangling, [("URL", "NONE"), ("LATE", "LATER")]);
        assert_eq!(seen.repeated, ["LATER"]);
        assert_eq!(seen.odd, ["`1-x.y` of configmap `base`"]);
        assert_eq!(
            seen.left_out,
            ["configmap `gone`", "key `none` of secret `keys`"]
        );
        assert!(seen.broken.is_empty() && seen.veils.is_empty());
        assert!(!format!("{seen:?}").contains("pw@"), "{seen:?}");
    }

    #[test]
    fn what_is_missing_breaks_and_what_may_not_be_read_is_unknown() {
        let seen = given(json!({
            "name": "app",
            "envFrom": [{"configMapRef": {"name": "base"}}, {"secretRef": {"name": "closed"}}, {"secretRef": {"name": "gone"}}],
            "env": [
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "closed", "key": "k"}}},
                {"name": "NO_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}},
                {"name": "NO_MAP", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "k"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "URL", "value": "http://$(IP)/$(WHATEVER)"},
                {"name": "PLAIN", "value": "1"},
            ],
        }));
        assert_eq!(
            seen.broken,
            [
                "there is no secret `gone`, which `envFrom` names",
                "secret `keys` has no key `k`, which `NO_KEY` needs",
                "there is no configmap `no`, which `NO_MAP` needs",
            ]
        );
        assert_eq!(value(&seen, "KEY"), "?it may not be read");
        assert!(
            value(&seen, "A").starts_with("?secret `gone` may replace it"),
            "{}",
            value(&seen, "A")
        );
        assert!(value(&seen, "IP").contains("the field `status.podIP`"));
        assert!(value(&seen, "URL").starts_with("?it uses `$(IP)`"));
        assert_eq!(value(&seen, "PLAIN"), "1");
        assert!(
            seen.dangling.is_empty(),
            "anything may be in what cannot be read"
        );
        assert_eq!(seen.veils.len(), 2);
    }

    #[test]
    fn dollars_that_begin_no_reference_stay() {
        let nothing = |_: &str| Meant::Nothing;
        for (text, expected) in [
            ("", ""),
            ("$", "$"),
            ("a$b$$c", "a$b$c"),
            ("$(open", "$(open"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$$(A)"),
            ("$()", "$()"),
            ("ä$ä", "ä$ä"),
        ] {
            assert_eq!(*expand(text, nothing).expect("known"), expected, "{text}");
        }
    }

    #[test]
    fn services_without_an_address_give_nothing() {
        let headless = json!({"metadata": {"name": "db"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}});
        let six = json!({"metadata": {"name": "six"}, "spec": {"clusterIP": "fd00::1", "ports": [{"port": 53, "protocol": "UDP"}]}});
        let services: Vec<Service> =
            serde_json::from_value(json!([headless, six])).expect("services");
        let seen = links(&services);
        assert_eq!(seen["SIX_PORT"].0, "udp://[fd00::1]:53");
        assert_eq!(seen["SIX_PORT_53_UDP_ADDR"].0, "fd00::1");
        assert!(!seen.keys().any(|k| k.starts_with("DB_")));
    }
}

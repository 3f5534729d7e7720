//! Files and environments, right and wrong, and what is said of them.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::consent::Tier;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::time::Span;

const FULL: &str = r##"
version = 1
default-context = "staging"

[contexts.staging]
tier = "staging"
platform = "summit"

[contexts.staging.postgres]
url = "postgres://app@db.internal:5432/app"
password = "env:PGPASSWORD"
maintenance-database = "template1"
databases = ["app", "billing"]
give-way-after = "90s"
read-replicas = ["env:REPLICA"]

[contexts.staging.neo4j]
url = "neo4j+s://graph.internal:7687"
user = "neo4j"
password = ["vault", "read", "neo4j"]
database = "graph"

[contexts.staging.redis]
host = "cache.internal"
port = 6380
password = "file:keys/redis"

[contexts.staging.gateway]
url = "https://api.example.com/"
ui-url = "https://app.example.com"
queues = true
token = "env:GATEWAY_TOKEN"
tls-ca = "ca.pem"
health = { ready = "/ready" }

[contexts.staging.data-plane]
timeout = "15s"
[contexts.staging.data-plane.write]
graphql = "mutation($n: String!) { createEntity(name: $n) { id } }"
variables = { n = "${marker}" }
id = "/data/createEntity/id"
[contexts.staging.data-plane.delete]
graphql = "mutation { deleteEntity(id: \"${id}\") }"
[contexts.staging.data-plane.postgres]
sql = "SELECT count(*) FROM entities WHERE name = $1"
[contexts.staging.data-plane.neo4j]
cypher = "MATCH (n {name: $marker}) RETURN count(n)"
[contexts.staging.data-plane.redis]
key = "entity:${id}"

[contexts.staging.prometheus]
url = "http://prometheus:9090"

[contexts.staging.repository]
path = "backups"
secret = "file:keys/repository"
recipients = ["age1qqq"]
identity = "file:/keys/identity"
signing-key = "file:keys/signing.pem"
trusted-keys = ["keys/signing.pub"]

[contexts.staging.evidence]
dir = "evidence"

[contexts.staging.policy]
rpo = "12h"
verify-level = 2

[contexts.staging.lease]
backend = "file"
dir = "leases"

[contexts.laptop]
tier = "development"
[contexts.laptop.redis]
url = "redis://:canary-laptop@localhost:6379"
"##;

fn read(text: &str) -> Result<build::Built> {
    build::build(Path::new("conf/summitctl.toml"), text)
}

fn context(text: &str, name: &str) -> Context {
    read(text).unwrap().contexts.remove(name).unwrap()
}

fn refused(text: &str) -> Error {
    match read(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error,
    }
}

/// Everything that could be printed of an error.
fn printed(error: &Error) -> String {
    format!(
        "{error}\n{}\n{}\n{}",
        error.causes().join("\n"),
        error.hints().join("\n"),
        error.innermost_excerpt().unwrap_or_default()
    )
}

fn file_line(line: usize) -> Provenance {
    Provenance::File {
        path: "conf/summitctl.toml".into(),
        line,
    }
}

#[test]
fn a_full_file_is_read_with_the_line_of_each_value() {
    let staging = context(FULL, "staging");
    assert_eq!(staging.tier, Sourced::new(Tier::Staging, file_line(6)));
    let postgres = staging.postgres.unwrap();
    assert_eq!(
        postgres.endpoint.url,
        Sourced::new(
            ConnectionUrl::Plain {
                url: "postgres://app@db.internal:5432/app".into(),
                password: None
            },
            file_line(10)
        )
    );
    assert_eq!(
        postgres.endpoint.password,
        Some(Sourced::new(
            SecretRef::Env("PGPASSWORD".into()),
            file_line(11)
        ))
    );
    assert_eq!(postgres.maintenance_database.value, "template1");
    let databases: Vec<&str> = postgres
        .databases
        .iter()
        .map(|d| d.value.as_str())
        .collect();
    assert_eq!(databases, ["app", "billing"]);
    assert_eq!(postgres.give_way_after.value, Span::secs(90));
    assert_eq!(
        postgres.longest_snapshot,
        Sourced::default_of(Span::secs(12 * 3600))
    );
    let neo4j = staging.neo4j.unwrap().endpoint;
    assert_eq!(
        neo4j.password.unwrap().value,
        SecretRef::Exec(vec!["vault".into(), "read".into(), "neo4j".into()])
    );
    let redis = staging.redis.unwrap().endpoint;
    assert_eq!(
        redis.url.value,
        ConnectionUrl::Plain {
            url: "redis://cache.internal:6380".into(),
            password: None
        }
    );
    assert_eq!(
        redis.password.unwrap().value,
        SecretRef::File("conf/keys/redis".into())
    );
    let gateway = staging.gateway.unwrap();
    assert_eq!(gateway.url.value, "https://api.example.com");
    assert_eq!(gateway.ready.value, "/ready");
    assert_eq!(gateway.live, Sourced::default_of("/health".to_owned()));
    assert_eq!(gateway.queues.unwrap().value, "/queues/health");
    assert_eq!(gateway.tls_ca.unwrap().value, PathBuf::from("conf/ca.pem"));
    let repository = staging.repository.unwrap();
    assert_eq!(
        repository.place.value,
        Place::Folder(PathBuf::from("conf/backups"))
    );
    assert_eq!(
        repository.identity.unwrap().value,
        SecretRef::File("/keys/identity".into())
    );
    assert_eq!(staging.policy.rpo.value, Span::secs(12 * 3600));
    assert_eq!(staging.policy.rto, Policy::default().rto);
    assert_eq!(staging.policy.verify_level.value, 2);
}

#[test]
fn data_plane_requests_carry_the_marker_and_the_id() {
    let plane = context(FULL, "staging").data_plane.unwrap();
    assert_eq!(plane.timeout.value, Span::secs(15));
    let write = plane.write.render("m-1", None).unwrap();
    assert_eq!(
        (write.method.as_str(), write.path.as_str()),
        ("POST", "/graphql")
    );
    let body: serde_json::Value = serde_json::from_str(&write.body.unwrap()).unwrap();
    assert_eq!(body["variables"]["n"], "m-1");
    let delete = plane.delete.unwrap();
    assert!(delete.render("m-1", None).is_err());
    let body = delete.render("m-1", Some("7")).unwrap().body.unwrap();
    assert!(body.contains(r#"deleteEntity(id: \"7\")"#), "{body}");
    assert_eq!(plane.redis.unwrap().value, "entity:${id}");
}

#[test]
fn unknown_keys_show_the_line_and_the_nearest_key() {
    let error = refused(
        "version = 1\n[contexts.a]\ntier = \"staging\"\n[contexts.a.postgress]\nurl = \"x\"\n",
    );
    assert_eq!(error.reason(), &UNKNOWN_KEY);
    assert_eq!(error.exit(), Exit::Usage);
    let all = printed(&error);
    assert!(all.contains("unknown key `postgress`"), "{all}");
    assert!(all.contains("line 4, column 13"), "{all}");
    assert!(all.contains("Did you mean `postgres`?"), "{all}");
    assert!(
        all.contains("4 | [contexts.a.postgress]\n  |             ^^^^^^^^^"),
        "{all}"
    );
}

#[test]
fn wrong_values_say_what_is_expected_and_where() {
    let with = |line: &str| format!("version = 1\n[contexts.a]\n{line}\n");
    for (line, expected) in [
        ("tier = \"prod\"", "Did you mean `production`?"),
        ("tier = 3", "line 3"),
        ("platform = 3", "expected a string, found integer"),
        ("policy = { rpo = \"fast\" }", "`fast` is not a duration"),
        ("policy = { rpo = 24 }", "expected a string, found integer"),
        ("policy = { rpo = \"0s\" }", "zero"),
        ("policy = { verify-level = 9 }", "from 1 to 4"),
        ("postgres = { }", "missing field `url`"),
        ("postgres = { url = \"db:5432\" }", "neither a URL nor"),
        (
            "postgres = { url = \"postgres://h/d\", databases = [\"d\", \"d\"] }",
            "named twice",
        ),
        (
            "postgres = { url = \"postgres://h/d\", databases = \"all\" }",
            "expected a sequence",
        ),
        (
            "postgres = { url = \"postgres://h/d\", give-way-after = \"10ms\" }",
            "default, `30s`",
        ),
        (
            "postgres = { url = \"postgres://h/d\", password = 12345 }",
            "found integer",
        ),
        (
            "postgres = { url = \"postgres://h/d\", password = \"evn:X\" }",
            "Did you mean `env:`?",
        ),
        ("redis = { }", "neither `url` nor `host`"),
        (
            "redis = { url = \"redis://h\", host = \"h\" }",
            "exclude each other",
        ),
        ("redis = { host = \"h\", port = 70000 }", "line 3"),
        ("gateway = { url = \"api.example.com\" }", "not a URL"),
        (
            "gateway = { url = \"https://u:canary@h\" }",
            "holds a user or password",
        ),
        (
            "gateway = { url = \"https://h\", queues = 3 }",
            "`true`, `false` or the path",
        ),
        (
            "gateway = { url = \"https://h\", health = { live = \"x\" } }",
            "begin with `/`",
        ),
        (
            "data-plane = { write = { graphql = \"${marker}\" } }",
            "needs a gateway",
        ),
        (
            "gateway = { url = \"https://h\" }\ndata-plane = { write = { graphql = \"x\" } }",
            "does not use `${marker}`",
        ),
        (
            "repository = { path = \"p\", recipients = [\"ssh-ed25519 x\"] }",
            "not an age recipient",
        ),
        (
            "repository = { path = \"p\", recipients = [\"AGE-SECRET-KEY-1CANARY\"] }",
            "private key",
        ),
        (
            "cross-checks.x = { every = { neo4j = \"q\" }, is-in = { postgres = \"q\" } }",
            "the context has no neo4j",
        ),
        (
            "postgres = { url = \"postgres://h/d\" }\ncross-checks.x = { every = { postgres = \"q\" }, is-in = { postgres = \"q\" } }",
            "ask the same store",
        ),
        (
            "cross-checks.x = { every = { }, is-in = { postgres = \"q\" } }",
            "exactly one store",
        ),
        (
            "quiesce = { begin = [], end = [\"x\"] }",
            "names no program",
        ),
        ("lease = { backend = \"redis\" }", "Valid here: `file`"),
        ("lease = { backend = \"file\" ", "line 3"),
    ] {
        let all = printed(&refused(&with(line)));
        assert!(all.contains(expected), "{line}\n{all}");
        assert!(all.contains("summitctl.toml"), "{all}");
        assert!(
            !all.contains("canary") && !all.contains("CANARY") && !all.contains("12345"),
            "{all}"
        );
    }
    for (text, expected) in [
        ("version = 2\n", "version 2"),
        ("", "missing field `version`"),
        (
            "version = 1\ndefault-context = \"stagin\"\n[contexts.staging]\n",
            "Did you mean `staging`?",
        ),
        ("version = 1\n[contexts.env]\n", "the name `env` is taken"),
        (
            "version = 1\n[contexts.\"../x\"]\n",
            "cannot be a context's name",
        ),
        ("version = 1\nversion = 1\n", "duplicate key"),
    ] {
        let all = printed(&refused(text));
        assert!(all.contains(expected), "{text}\n{all}");
    }
}

#[test]
fn a_secret_in_the_file_is_refused_outside_development_and_never_shown() {
    for tier in ["tier = \"staging\"", "tier = \"production\"", ""] {
        for target in [
            "postgres = { url = \"postgres://app:canary-in-url@h/d\" }",
            "postgres = { url = \"postgres://h/d\", password = \"canary-in-url\" }",
            "redis = { host = \"h\", password = \"canary-in-url\" }",
            "gateway = { url = \"https://h\", token = \"canary-in-url\" }",
        ] {
            let error = refused(&format!("version = 1\n[contexts.a]\n{tier}\n{target}\n"));
            assert_eq!(error.reason(), &LITERAL_SECRET, "{target}");
            let all = printed(&error);
            assert!(!all.contains("canary"), "{all}");
        }
    }
    let laptop = context(FULL, "laptop");
    assert_eq!(laptop.literal_secrets[0].value, "redis.url");
    let shown = serde_json::to_string(&show(&laptop, &Environment::empty())).unwrap();
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!format!("{laptop:?}").contains("canary"), "{laptop:?}");
}

#[test]
fn a_syntax_error_next_to_a_secret_does_not_show_it() {
    for line in [
        "password = \"canary",
        "password = canary",
        "url = \"postgres://u:canary@h/d",
        "password = \"\"\"\ncanary\n",
    ] {
        let text = format!("version = 1\n[contexts.a.postgres]\n{line}\n");
        let all = printed(&refused(&text));
        assert!(!all.contains("canary"), "{all}");
        assert!(all.contains("line"), "{all}");
    }
}

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(k, v)| (*k, *v)).collect()
}

fn handbook() -> Environment {
    environment(&[
        (
            "DATABASE_URL",
            "postgres://app:canary-db@db:5432/app?sslmode=require",
        ),
        (
            "DATABASE_READ_REPLICAS",
            "postgres://app:canary-r1@r1/app, postgres://r2/app",
        ),
        ("NEO4J_URI", "neo4j://graph:7687"),
        ("NEO4J_USERNAME", "neo4j"),
        ("NEO4J_PASSWORD", "canary-neo"),
        ("REDIS_HOST", "cache"),
        ("REDIS_PORT", "6380"),
        ("REDIS_PASSWORD", "canary-redis"),
        ("SUMMITCTL_GATEWAY_URL", "https://api.example.com"),
        ("SUMMITCTL_REPOSITORY", "/backups"),
        (
            "SUMMITCTL_REPOSITORY_SECRET_FILE",
            "/run/secrets/repository",
        ),
        ("SUMMITCTL_RECIPIENTS", "age1a, age1b"),
        ("SUMMITCTL_RPO", "6h"),
    ])
}

#[tokio::test]
async fn the_handbooks_variables_make_a_production_context() {
    let environment = handbook();
    let context = from_environment(&environment).unwrap();
    assert_eq!(context.tier.value, Tier::Production);
    let endpoint = context.postgres.clone().unwrap().endpoint;
    let resolved = endpoint.resolve("postgres", &environment).await.unwrap();
    assert_eq!(resolved.url, "postgres://app@db:5432/app?sslmode=require");
    assert_eq!(resolved.password.unwrap().expose(), "canary-db");
    let endpoint = context.neo4j.clone().unwrap().endpoint;
    let resolved = endpoint.resolve("neo4j", &environment).await.unwrap();
    assert_eq!(resolved.user.as_deref(), Some("neo4j"));
    assert_eq!(resolved.password.unwrap().expose(), "canary-neo");
    let endpoint = context.redis.clone().unwrap().endpoint;
    let resolved = endpoint.resolve("redis", &environment).await.unwrap();
    assert_eq!(resolved.url, "redis://cache:6380");
    assert_eq!(resolved.password.unwrap().expose(), "canary-redis");
    assert_eq!(context.postgres.clone().unwrap().read_replicas.len(), 2);
    assert_eq!(
        context.policy.rpo.source,
        Provenance::environment("SUMMITCTL_RPO")
    );
    let repository = context.repository.clone().unwrap();
    assert_eq!(repository.recipients.len(), 2);
    assert_eq!(
        repository.secret.unwrap().value,
        SecretRef::File("/run/secrets/repository".into())
    );
    let all = format!(
        "{context:?} {environment:?} {}",
        serde_json::to_string(&show(&context, &environment)).unwrap()
    );
    assert!(!all.contains("canary"), "{all}");
    for bad in [
        ("REDIS_PORT", "canary"),
        ("SUMMITCTL_RPO", "soon"),
        ("SUMMITCTL_VERIFY_LEVEL", "5"),
        ("SUMMITCTL_GATEWAY_URL", "https://u:canary@h"),
        ("DATABASE_URL", "postgres://u:canary/x@h/d"),
    ] {
        let mut environment = handbook();
        environment.set(bad.0, bad.1);
        let error = from_environment(&environment).expect_err(bad.0);
        let all = printed(&error);
        assert!(all.contains(bad.0) && !all.contains("canary"), "{all}");
    }
}

#[test]
fn what_init_writes_is_read_back_and_holds_no_secret() {
    let environment = handbook();
    for environment in [&environment, &Environment::empty()] {
        let text = template(environment, "prod", Tier::Production).unwrap();
        assert!(!text.contains("canary"), "{text}");
        let read = read(&text).unwrap_or_else(|e| panic!("{}\n{text}", printed(&e)));
        assert_eq!(read.default.unwrap().value, "prod");
        assert_eq!(read.contexts["prod"].tier.value, Tier::Production);
    }
    let text = template(&environment, "prod", Tier::Production).unwrap();
    let prod = context(&text, "prod");
    assert_eq!(
        prod.postgres.unwrap().endpoint.url.value,
        ConnectionUrl::Reference(SecretRef::Env("DATABASE_URL".into()))
    );
    assert_eq!(
        prod.redis.unwrap().endpoint.password.unwrap().value,
        SecretRef::Env("REDIS_PASSWORD".into())
    );
    // What stands there as a comment is right too.
    let text = template(&Environment::empty(), "prod", Tier::Production).unwrap();
    let shown: String = text
        .lines()
        .map(|l| {
            let setting = l
                .strip_prefix("# ")
                .filter(|l| l.starts_with('[') || l.contains(" = "));
            format!("{}\n", setting.unwrap_or(l))
        })
        .collect();
    let shown = shown.replace("\"env:NAME\", \"file:PATH\" or an argv", "#");
    let prod = context(&shown, "prod");
    assert!(prod.data_plane.is_some() && prod.repository.is_some() && prod.prometheus.is_some());
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("summitctl-config-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Folder(dir)
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load(start: &Path, environment: &Environment, extra: &[PathBuf]) -> Result<Config> {
    Config::load(&Locate {
        flag: None,
        start: start.to_owned(),
        extra: extra.to_vec(),
        environment,
    })
}

const ONE: &str = "version = 1\n[contexts.one]\n";

#[test]
fn the_file_is_found_upward_to_the_repository_and_then_at_home() {
    let folder = Folder::new("find");
    folder.write("repo/.git/HEAD", "");
    let above = folder.write("summitctl.toml", "nonsense");
    let deep = folder.0.join("repo/a/b");
    std::fs::create_dir_all(&deep).unwrap();
    let home = folder.0.join("home");
    let mut environment = environment(&[]);
    environment.set("HOME", home.to_str().unwrap());
    let config = load(&deep, &environment, &[]).unwrap();
    assert!(config.file.is_none());
    assert!(
        !config.searched.contains(&above),
        "nothing above the repository is read"
    );
    assert_eq!(config.choose(None).expect_err("none").reason(), &NO_CONTEXT);

    let at_home = folder.write("home/.config/summitctl/summitctl.toml", ONE);
    assert_eq!(
        load(&deep, &environment, &[]).unwrap().file.unwrap().value,
        at_home
    );
    let in_repo = folder.write("repo/summitctl.toml", ONE);
    assert_eq!(
        load(&deep, &environment, &[]).unwrap().file.unwrap().value,
        in_repo
    );

    let named = folder.write("elsewhere.toml", "version = 1\n[contexts.two]\n");
    environment.set("SUMMITCTL_CONFIG", named.to_str().unwrap());
    let config = load(&deep, &environment, &[]).unwrap();
    assert_eq!(config.choose(None).unwrap().name, "two");
    environment.set("SUMMITCTL_CONFIG", "missing.toml");
    let error = load(&deep, &environment, &[]).expect_err("missing");
    assert_eq!(error.reason(), &crate::error::NOT_FOUND);
}

#[test]
fn a_context_is_chosen_only_when_it_is_clear_which() {
    let folder = Folder::new("choose");
    let sandbox = folder.write(
        "sandbox/summitctl.toml",
        "version = 1\n[contexts.sandbox]\ntier = \"development\"\n",
    );
    let extra = [sandbox, folder.0.join("missing.toml")];
    let none = Environment::empty();
    // Only the sandbox.
    let config = load(&folder.0, &none, &extra).unwrap();
    assert_eq!(config.choose(None).unwrap().name, "sandbox");
    // Variables win over a sandbox that happens to lie there.
    let variables = environment(&[("REDIS_URL", "redis://h")]);
    let config = load(&folder.0, &variables, &extra).unwrap();
    assert_eq!(config.choose(None).unwrap().name, "env");
    // A file with one context wins over both.
    folder.write("summitctl.toml", ONE);
    let config = load(&folder.0, &variables, &extra).unwrap();
    assert_eq!(config.choose(None).unwrap().name, "one");
    let named = |name: &str| Sourced::new(name.to_owned(), Provenance::flag("--context"));
    assert_eq!(
        config.choose(Some(&named("sandbox"))).unwrap().name,
        "sandbox"
    );
    assert_eq!(config.choose(Some(&named("env"))).unwrap().name, "env");
    let error = config.choose(Some(&named("sandbx"))).expect_err("unknown");
    assert!(
        error.hints().contains(&"Did you mean `sandbox`?"),
        "{error:?}"
    );
    // Two, and nobody said which.
    folder.write(
        "summitctl.toml",
        "version = 1\n[contexts.one]\n[contexts.two]\n",
    );
    let config = load(&folder.0, &variables, &extra).unwrap();
    assert_eq!(
        config.choose(None).expect_err("two").reason(),
        &AMBIGUOUS_CONTEXT
    );
    // A default that is `env`.
    folder.write(
        "summitctl.toml",
        "version = 1\ndefault-context = \"env\"\n[contexts.one]\n",
    );
    let config = load(&folder.0, &variables, &extra).unwrap();
    assert_eq!(config.choose(None).unwrap().name, "env");
    // The same name twice.
    folder.write("summitctl.toml", "version = 1\n[contexts.sandbox]\n");
    assert_eq!(
        load(&folder.0, &none, &extra).expect_err("twice").reason(),
        &BAD_VALUE
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s)(version = 1\n)?(\\[contexts\\.a(\\.redis)?\\]\n)?.{0,120}") {
        let _ = read(&text);
    }

    #[test]
    fn no_edit_of_a_full_file_shows_its_secret(at in 0_usize..2600, insert in "[\"'=\\[\\]{}\n,#]{1,2}") {
        // The laptop's password is a literal: whatever is broken around it, it must not be shown.
        let mut text = FULL.to_owned();
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) { at -= 1; }
        text.insert_str(at, &insert);
        if let Err(error) = read(&text) {
            let all = printed(&error);
            prop_assert!(!all.contains("canary-laptop"), "{}", all);
        }
    }
}

#[test]
fn the_documentations_examples_are_right() {
    let text = include_str!("../../docs/CONFIG.md");
    let blocks: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 8);
    let staging = context(&blocks.join("\n"), "staging");
    let offsite = context(&blocks.join("\n"), "offsite").repository.unwrap();
    let Place::Bucket(bucket) = &offsite.place.value else {
        panic!("{}", offsite.place.value);
    };
    assert_eq!(
        offsite.place.value.to_string(),
        "s3://example-backups/summit"
    );
    assert!(bucket.lock.is_some() && bucket.session_token.is_some() && bucket.tls_ca.is_some());
    assert!(staging.data_plane.is_some() && staging.repository.is_some());
    assert!(staging.variables.is_some());
    let [copy] = &staging.repository.as_ref().unwrap().copies[..] else {
        panic!("one copy");
    };
    assert_eq!(copy.place.value.to_string(), "s3://example-copies/summit");
    assert!(staging.cross_checks.len() == 1 && staging.quiesce.is_some());
    let offline = staging.neo4j.unwrap().offline.unwrap();
    assert_eq!(offline.start_within.value, Offline::START_WITHIN);
    // What is said to be the default is the default.
    let policy = staging.policy;
    let default = Policy::default();
    assert_eq!(policy.rpo.value, default.rpo.value);
    assert_eq!(policy.rto.value, default.rto.value);
    assert_eq!(policy.drill_interval.value, default.drill_interval.value);
    assert_eq!(policy.retention.value, default.retention.value);
    for (name, _) in ENV_VARIABLES {
        assert!(
            text.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
}

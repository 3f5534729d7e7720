//! Checks over good, bad and weak variables, files and repositories; and what they may never say.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;
use crate::check::{Evaluated, Options, Report, Severity, run};
use crate::wait::Deadline;

pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("summitctl-check-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Folder(dir)
    }

    pub(super) fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything as it should be, except for the TLS files.
const GOOD: &[(&str, &str)] = &[
    (
        "DATABASE_URL",
        "postgres://app:canaryA1-kq83hTz0@db.internal:5432/app?sslmode=verify-full",
    ),
    (
        "DATABASE_READ_REPLICAS",
        "postgres://app:canaryA2-kq83hTz0@r1.internal/app?sslmode=require",
    ),
    ("PG_WRITE_POOL_SIZE", "20"),
    ("PG_READ_POOL_SIZE", "40"),
    ("PG_MAX_LIFETIME_MS", "1800000"),
    ("NEO4J_URI", "neo4j+s://graph.internal:7687"),
    ("NEO4J_USERNAME", "neo4j"),
    ("NEO4J_PASSWORD", "canaryB-3hf8Qz0pLw"),
    (
        "REDIS_URL",
        "rediss://:canaryC-9vbTr2mXe@cache.internal:6379/0",
    ),
    ("JWT_SECRET", "canaryD-q7w2e9r4t1y8u3i6o5p0zxcvbn"),
    ("JWT_REFRESH_SECRET", "canaryE-q7w2e9r4t1y8u3i6o5p0zxcvbn"),
    ("SESSION_SECRET", "canaryF-q7w2e9r4t1y8u3i6o5p0zxcvbn"),
    ("ENCRYPTION_KEY", "canaryG-q7w2e9r4t1y8u3i6o5p0zxcvbn"),
    ("OIDC_ISSUER", "https://login.acme.test/realms/summit"),
    ("OIDC_CLIENT_ID", "summit"),
    ("OIDC_CLIENT_SECRET", "canaryH-8fj2kdo3nfa0"),
    ("OIDC_REDIRECT_URI", "https://app.acme.test/callback"),
    (
        "ALLOWED_ORIGINS",
        "https://app.acme.test,https://admin.acme.test",
    ),
    ("RATE_LIMIT_MAX", "600"),
    ("RATE_LIMIT_WINDOW_MS", "60000"),
    ("AI_RATE_LIMIT_MAX_REQUESTS", "50"),
    ("BACKGROUND_RATE_LIMIT_MAX_REQUESTS", "100"),
    (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "https://otel.acme.test/v1/traces",
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "http://collector:4318/v1/metrics",
    ),
    ("LOG_LEVEL", "info"),
    ("AI_ENABLED", "true"),
    ("KAFKA_ENABLED", "false"),
    ("MAESTRO_MCP_ENABLED", "true"),
    ("MAESTRO_PIPELINES_ENABLED", "true"),
];

pub(super) fn input(tier: Tier, changes: &[(&str, &str)]) -> Input {
    let mut environment: Environment = GOOD.iter().copied().collect();
    for (name, value) in changes {
        environment.set(*name, *value);
    }
    let host = |name: &str| Sourced::default_of(name.to_owned());
    Input {
        values: Values::of_process(&environment),
        tier,
        hosts: vec![host("api.acme.test"), host("app.acme.test")],
        ui_origin: Some(host("https://app.acme.test")),
        base: PathBuf::from("/nonexistent"),
        inside: None,
        repository: None,
        environment,
        now: "2026-11-21T00:00:00Z".parse().unwrap(),
    }
}

pub(super) async fn report(input: Input) -> Report {
    let options = Options::once(Deadline::after(Duration::from_secs(60)));
    let report = run("config", &variables(input), &options).await.unwrap();
    let json = serde_json::to_string(&report).unwrap();
    assert!(!json.contains("canary"), "{json}");
    report
}

pub(super) async fn evaluated(id: &str, tier: Tier, changes: &[(&str, &str)]) -> Evaluated {
    let report = report(input(tier, changes)).await;
    let found = report.check(id);
    found.unwrap_or_else(|| panic!("no check {id}")).clone()
}

#[tokio::test]
async fn a_good_production_configuration_passes() {
    let report = report(input(Tier::Production, &[])).await;
    let wrong: Vec<String> = report
        .checks()
        .filter(|c| !matches!(c.outcome, Outcome::Passed | Outcome::Skipped))
        .map(|c| format!("{}: {}", c.id, c.detail))
        .collect();
    // Whether the ingress has a certificate of its own cannot be seen here, which does not decide.
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("tls.files"), "{wrong:?}");
    assert_eq!(report.outcome, Outcome::Passed);
    let jwt = report.check("variable.jwt-secret").unwrap();
    assert_eq!(
        jwt.detail,
        "34 characters, base64; from environment `JWT_SECRET`"
    );
    assert_eq!(jwt.facts["length"], 34);
    let user = report.check("variable.neo4j-user").unwrap();
    assert_eq!(user.facts["variable"], "NEO4J_USERNAME");
}

#[tokio::test]
async fn weak_and_wrong_values_fail_in_production_by_name() {
    use Outcome::{Degraded, Failed, NotEvaluated, Skipped};
    for (id, name, value, outcome, said) in [
        (
            "variable.jwt-secret",
            "JWT_SECRET",
            "",
            Failed,
            "set to nothing",
        ),
        (
            "variable.jwt-secret",
            "JWT_SECRET",
            "canaryshort1",
            Failed,
            "12 characters, at least 32",
        ),
        (
            "variable.jwt-secret",
            "JWT_SECRET",
            "changeme-canary-0123456789abcdefgh",
            Failed,
            "examples use",
        ),
        (
            "variable.jwt-secret",
            "JWT_SECRET",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            Failed,
            "1 different character",
        ),
        (
            "variable.jwt-secret",
            "JWT_SECRET",
            "${JWT_SECRET_FROM_VAULT_canary_abcd}",
            Failed,
            "nobody filled in",
        ),
        (
            "variable.neo4j-password",
            "NEO4J_PASSWORD",
            "devpassword",
            Failed,
            "examples use",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "postgres://app:devpassword@db/app?sslmode=require",
            Failed,
            "its password contains a word",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "postgres://app:canaryA1-kq83hTz0@localhost/app?sslmode=require",
            Failed,
            "this machine",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "postgres://app:canaryA1-kq83hTz0@127.0.0.1/app?sslmode=require",
            Failed,
            "this machine",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "postgres://app:canaryA1-kq83hTz0@db/app",
            Failed,
            "does not ask for TLS",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "postgres://app:canaryA1-kq83hTz0@db/app?sslmode=prefer",
            Failed,
            "allows plain text",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "postgres://app@db/app?sslmode=require",
            Degraded,
            "holds no password",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "mysql://app:canaryA1-kq83hTz0@db/app",
            Failed,
            "does not begin with",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "postgres://app:canary/A1-kq83hTz0@db/app",
            Failed,
            "unescaped",
        ),
        (
            "variable.database-url",
            "DATABASE_URL",
            "postgres://app:canaryA1-kq83hTz0@db:port/app",
            Failed,
            "no port",
        ),
        (
            "variable.neo4j-uri",
            "NEO4J_URI",
            "http://graph:7474",
            Failed,
            "does not begin with",
        ),
        (
            "variable.neo4j-uri",
            "NEO4J_URI",
            "bolt://127.0.0.1:7687",
            Failed,
            "this machine",
        ),
        (
            "variable.oidc-issuer",
            "OIDC_ISSUER",
            "http://login.acme.test",
            Failed,
            "not `https`",
        ),
        (
            "variable.oidc-issuer",
            "OIDC_ISSUER",
            "https://login.acme.test/?canary=1",
            Failed,
            "query",
        ),
        (
            "variable.oidc-issuer",
            "OIDC_ISSUER",
            "login",
            Failed,
            "no URL",
        ),
        (
            "variables.oidc-redirects",
            "OIDC_REDIRECT_URI",
            "https://other.acme.test/cb",
            Failed,
            "`other.acme.test`",
        ),
        (
            "variable.allowed-origins",
            "ALLOWED_ORIGINS",
            "*",
            Failed,
            "any origin",
        ),
        (
            "variable.allowed-origins",
            "ALLOWED_ORIGINS",
            "https://app.acme.test/",
            Failed,
            "closing `/`",
        ),
        (
            "variable.allowed-origins",
            "ALLOWED_ORIGINS",
            "http://localhost:3000",
            Failed,
            "this machine",
        ),
        (
            "variables.origins",
            "ALLOWED_ORIGINS",
            "https://admin.acme.test",
            Degraded,
            "not among them",
        ),
        (
            "variable.rate-limit-max",
            "RATE_LIMIT_MAX",
            "canary",
            Failed,
            "is not a number of requests",
        ),
        (
            "variable.rate-limit-max",
            "RATE_LIMIT_MAX",
            "0",
            Failed,
            "not between 1",
        ),
        (
            "variable.rate-limit-window-ms",
            "RATE_LIMIT_WINDOW_MS",
            "60",
            Failed,
            "not between 1000",
        ),
        (
            "variables.rate-limits",
            "AI_RATE_LIMIT_MAX_REQUESTS",
            "600",
            Degraded,
            "expensive ones",
        ),
        (
            "variables.rate-limits",
            "AI_RATE_LIMIT_MAX_REQUESTS",
            "many",
            NotEvaluated,
            "not both numbers",
        ),
        (
            "variable.pg-write-pool-size",
            "PG_WRITE_POOL_SIZE",
            "-1",
            Failed,
            "is not a number",
        ),
        (
            "variables.pools",
            "PG_WRITE_POOL_SIZE",
            "300",
            Degraded,
            "300 connections",
        ),
        (
            "variables.pools",
            "PG_READ_POOL_SIZE",
            "5",
            Degraded,
            "smaller",
        ),
        (
            "variables.read-replicas",
            "DATABASE_READ_REPLICAS",
            "postgres://app@db.internal/app",
            Failed,
            "the primary itself",
        ),
        (
            "variables.read-replicas",
            "DATABASE_READ_REPLICAS",
            "postgres://app@r1/other",
            Failed,
            "another database",
        ),
        (
            "variables.read-replicas",
            "DATABASE_READ_REPLICAS",
            "",
            Skipped,
            "no read replicas",
        ),
        (
            "variable.log-level",
            "LOG_LEVEL",
            "debug",
            Degraded,
            "too much",
        ),
        (
            "variable.log-level",
            "LOG_LEVEL",
            "canary",
            Failed,
            "no level",
        ),
        (
            "variable.ai-enabled",
            "AI_ENABLED",
            "maybe-canary",
            Failed,
            "neither",
        ),
        (
            "variable.ai-enabled",
            "AI_ENABLED",
            "1",
            Degraded,
            "not written",
        ),
        (
            "variable.kafka-enabled",
            "KAFKA_ENABLED",
            "",
            Degraded,
            "default applies",
        ),
        (
            "variable.otel-exporter-otlp-traces-endpoint",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://otel.acme.test",
            Degraded,
            "without TLS",
        ),
        (
            "variable.otel-exporter-otlp-traces-endpoint",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "https://u:canary@otel.acme.test",
            Failed,
            "user or password",
        ),
        (
            "variables.distinct-secrets",
            "SESSION_SECRET",
            "canaryD-q7w2e9r4t1y8u3i6o5p0zxcvbn",
            Failed,
            "`JWT_SECRET` = `SESSION_SECRET`",
        ),
        (
            "variables.assignments",
            "NEO4J_USER",
            "someone-else",
            Degraded,
            "two names",
        ),
        ("variables.redis-form", "REDIS_URL", "", Failed, "neither"),
        (
            "variables.redis-form",
            "REDIS_HOST",
            "elsewhere",
            Degraded,
            "different places",
        ),
        (
            "tls.files",
            "TLS_CERT_PATH",
            "cert.pem",
            Failed,
            "`TLS_KEY_PATH` is missing",
        ),
    ] {
        let check = evaluated(id, Tier::Production, &[(name, value)]).await;
        assert_eq!(check.outcome, outcome, "{name}={value}: {}", check.detail);
        assert!(
            check.detail.contains(said),
            "{name}={value}: {}",
            check.detail
        );
    }
}

#[tokio::test]
async fn strictness_follows_the_tier() {
    let weak = [("JWT_SECRET", "devpassword")];
    for (tier, outcome) in [
        (Tier::Production, Outcome::Failed),
        (Tier::Staging, Outcome::Degraded),
        (Tier::Development, Outcome::Passed),
    ] {
        let check = evaluated("variable.jwt-secret", tier, &weak).await;
        assert_eq!(check.outcome, outcome, "{tier:?}: {}", check.detail);
    }
    let missing = evaluated(
        "variable.jwt-secret",
        Tier::Development,
        &[("JWT_SECRET", "")],
    )
    .await;
    assert_eq!(missing.outcome, Outcome::Degraded);
}

#[tokio::test]
async fn either_form_of_redis_will_do() {
    let parts = [
        ("REDIS_URL", ""),
        ("REDIS_HOST", "cache.internal"),
        ("REDIS_PORT", "6379"),
        ("REDIS_PASSWORD", "canaryC-9vbTr2mXe"),
    ];
    let form = evaluated("variables.redis-form", Tier::Production, &parts).await;
    assert_eq!(form.outcome, Outcome::Passed, "{}", form.detail);
    let url = evaluated("variable.redis-url", Tier::Production, &parts).await;
    assert_eq!(url.outcome, Outcome::Skipped);
    let incomplete = evaluated("variables.redis-form", Tier::Production, &parts[..3]).await;
    assert!(
        incomplete.detail.contains("`REDIS_PASSWORD` is missing"),
        "{}",
        incomplete.detail
    );
}

#[tokio::test]
async fn where_nothing_is_set_nothing_is_judged() {
    let mut input = input(Tier::Production, &[]);
    input.values = Values::of_process(&Environment::empty());
    let report = report(input).await;
    assert_eq!(report.totals.checks, 1);
    assert_eq!(report.outcome, Outcome::NotEvaluated);
}

#[tokio::test]
async fn a_contexts_own_references_are_checked_without_fetching_them() {
    let folder = Folder::new("context");
    folder.write("open", "canary-file", 0o644);
    let text = format!(
        "version = 1\n[contexts.a]\ntier = \"development\"\n[contexts.a.postgres]\nurl = \"postgres://u@h/d\"\npassword = \"env:NONE\"\n\
         [contexts.a.redis]\nhost = \"h\"\npassword = \"file:{0}/open\"\n[contexts.a.neo4j]\nurl = \"neo4j://h\"\npassword = \"canary-literal\"\n\
         [contexts.a.gateway]\nurl = \"https://h\"\ntoken = [\"{0}/never-run\"]\n",
        folder.0.display()
    );
    let path = folder.write("summitctl.toml", &text, 0o644);
    let mut built = crate::config::build::build(&path, &text).unwrap();
    let subject = built.contexts.remove("a").unwrap();
    let checks = context(&subject, &Environment::empty());
    let options = Options::once(Deadline::after(Duration::from_secs(5)));
    let report = run("config", &checks, &options).await.unwrap();
    let references = report.check("context.references").unwrap();
    assert_eq!(references.outcome, Outcome::Failed);
    assert!(
        references.detail.contains("`postgres.password` (env:NONE"),
        "{}",
        references.detail
    );
    assert_eq!(references.facts["not-fetched"], 1);
    let literals = report.check("context.literal-secrets").unwrap();
    assert!(
        literals.detail.contains("`neo4j.password`"),
        "{}",
        literals.detail
    );
    assert_eq!(literals.outcome, Outcome::Degraded);
    let files = report.check("context.secret-files").unwrap();
    assert!(files.detail.contains("mode 0644"), "{}", files.detail);
    let json = serde_json::to_string(&report).unwrap();
    assert!(!json.contains("canary"), "{json}");
}

#[tokio::test]
async fn the_hosts_come_from_the_contexts_gateway() {
    let environment: Environment = [
        ("SUMMITCTL_GATEWAY_URL", "https://API.acme.test:8443/base"),
        ("SUMMITCTL_UI_URL", "https://app.acme.test/"),
    ]
    .into_iter()
    .collect();
    let context = crate::config::from_environment(&environment).unwrap();
    let input = Input::of(&context, Values::default(), &environment, Path::new("."));
    let hosts: Vec<&str> = input.hosts.iter().map(|h| h.value.as_str()).collect();
    assert_eq!(hosts, ["api.acme.test", "app.acme.test"]);
    assert_eq!(input.ui_origin.unwrap().value, "https://app.acme.test");
    assert_eq!(input.tier, Tier::Production);
}

#[test]
fn only_what_the_handbook_leaves_to_defaults_does_not_decide() {
    for variable in VARIABLES {
        let checks = variables(input(Tier::Production, &[(variable.name, "")]));
        let check = checks.iter().find(|c| c.id == variable.check_id()).unwrap();
        let decides = variable.need != Need::Recommended;
        assert_eq!(
            check.severity == Severity::Required,
            decides,
            "{}",
            variable.name
        );
    }
}

#[test]
fn the_catalog_names_every_check_once() {
    let mut ids: Vec<String> = catalog().into_iter().map(|c| c.id).collect();
    assert!(ids.len() > VARIABLES.len() + 15, "{ids:?}");
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    for check in variables(input(Tier::Production, &[])) {
        assert!(ids.contains(&check.id), "{}", check.id);
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(VARIABLES.iter().map(|v| v.kind).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn no_value_makes_a_judge_panic(kind in kinds(), text in "(https?://|postgres://|redis://)?.{0,60}") {
        let _ = judge::judge(kind, &text, Tier::Production);
    }

    #[test]
    fn no_judge_repeats_a_secret(
        kind in kinds(),
        before in "(|postgres://u:|redis://:|https://u:|true )",
        after in "(|@h/d|@h:x/d|/@h)",
    ) {
        // Whatever a secret was mistakenly put into, it is not shown; hosts and paths are no secrets.
        prop_assume!(!matches!(kind, Kind::Path | Kind::Host));
        let text = format!("{before}cAnArY-kq83hTz0{after}");
        for tier in [Tier::Production, Tier::Staging, Tier::Development] {
            let judged = judge::judge(kind, &text, tier);
            let all = format!("{:?} {} {:?}", judged.problems, judged.seen, judged.facts);
            let shown_as_host = all.to_lowercase().contains("canary");
            prop_assert!(!shown_as_host, "{:?} {}: {}", kind, text, all);
        }
    }
}

#[tokio::test]
async fn what_is_not_known_is_never_called_missing() {
    let left_out = ["JWT_SECRET", "ALLOWED_ORIGINS", "REDIS_URL"];
    let kept = GOOD.iter().copied();
    let kept: Environment = kept.filter(|(n, _)| !left_out.contains(n)).collect();
    let mut input = input(Tier::Production, &[]);
    input.values = Values::of_process(&kept);
    let place = |key: Option<&str>| Provenance::Kubernetes {
        object: "secret `p/keys`".to_owned(),
        key: key.map(str::to_owned),
    };
    let why = || "it may not be read".to_owned();
    input
        .values
        .put_unknown("JWT_SECRET", why(), place(Some("key `jwt`")));
    input.values.veil("REDIS_", why(), place(None));
    let report = report(input).await;
    for (id, outcome, detail) in [
        (
            "variable.jwt-secret",
            Outcome::NotEvaluated,
            "not known: it may not be read; from secret `p/keys`, key `jwt`",
        ),
        (
            "variables.redis-form",
            Outcome::NotEvaluated,
            "`REDIS_URL` is not known: it may not be read",
        ),
        (
            "variables.distinct-secrets",
            Outcome::NotEvaluated,
            "5 secrets, all different; `REDIS_PASSWORD`, `JWT_SECRET` is not known",
        ),
        ("variable.allowed-origins", Outcome::Failed, ""),
    ] {
        let found = report.check(id).unwrap();
        assert_eq!(found.outcome, outcome, "{id}: {}", found.detail);
        if outcome == Outcome::NotEvaluated {
            assert_eq!(found.detail, detail, "{id}");
        }
    }
}

#[tokio::test]
async fn a_key_where_its_path_belongs_is_not_shown() {
    let key = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----";
    for id in ["variable.tls-key-path", "tls.files"] {
        let changes = [("TLS_KEY_PATH", key), ("TLS_CERT_PATH", "/tls/tls.crt")];
        let found = evaluated(id, Tier::Production, &changes).await;
        assert_eq!(found.outcome, Outcome::Failed, "{}", found.detail);
    }
}

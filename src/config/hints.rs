//! How what is refused is written right.

/// How the platform's addresses are written.
pub const AS_HTTP_URL: &str = "Write it as `https://HOST` or `http://HOST:PORT`.";

/// The two ways to name a Redis.
pub const REDIS_WAYS: &str =
    "Set `url = \"redis://HOST:6379/0\"`, or `host` and, if it is not 6379, `port`.";

/// What the levels are.
pub const LEVELS: &str =
    "1: the objects are whole; 2: every row decodes; 3: restored and compared.";

/// How a datastore's address is written.
pub fn as_url(key: &str) -> String {
    let url = match key.split('.').next() {
        Some("neo4j") => "bolt://HOST:7687",
        Some("redis") => "redis://HOST:6379/0",
        _ => "postgres://HOST:5432/DATABASE",
    };
    format!(
        "Write it as `{url}`, or refer to where it stands, as in `env:NAME` or `file:PATH`. Nothing is put in the place of `${{NAME}}`."
    )
}

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

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The message and the hints of a file that is refused.
    fn printed(text: &str) -> String {
        let built = super::super::build::build(Path::new("summitctl.toml"), text);
        let error = built.err().expect("it is refused");
        format!("{error}\n{}", error.hints().join("\n"))
    }

    #[test]
    fn what_newcomers_get_wrong_comes_with_how_it_is_written() {
        let with = |line: &str| format!("version = 1\n[contexts.a]\n{line}\n");
        for (line, expected) in [
            ("policy = { rpo = \"fast\" }", "`500ms`, `90s`"),
            ("policy = { rpo = 24 }", "double quotes"),
            ("policy = { verify-level = 9 }", "3: restored and compared"),
            ("postgres = { }", "Add `url` to this table"),
            (
                "postgres = { url = \"${DATABASE_URL}\" }",
                "as in `env:NAME`",
            ),
            ("redis = { }", "`host` and, if it is not 6379, `port`"),
            ("redis = { host = \"h\", port = 70000 }", "from 0 to 65535"),
            (
                "redis = { url = \"redis://h\", port = 1 }",
                "redis://HOST:6379/0",
            ),
            (
                "gateway = { url = \"localhost:80\" }",
                "Write it as `https://HOST`",
            ),
            (
                "repository = { path = \"p\", url = \"s3://bucket\" }",
                "A second place is a copy",
            ),
            ("repository = { url = \"s3://B\" }", "3 to 63 lower-case"),
            (
                "repository = { path = \"p\", copies = [{ name = \"Off Site\", path = \"q\" }] }",
                "`offsite`",
            ),
            (
                "redis = { host = \"h\", password = \"file:\" }",
                "file:secrets/password",
            ),
            ("tier = \"staging\"\ntier = \"staging\"", "Keep one of them"),
        ] {
            let all = printed(&with(line));
            assert!(all.contains(expected), "{line}\n{all}");
        }
        let all = printed("[contexts.a]\n");
        assert!(all.contains("`version = 1`"), "{all}");
    }
}

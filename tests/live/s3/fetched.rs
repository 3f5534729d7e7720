//! A repository in a bucket is fetched with the commands of `docs/FORMAT.md`, by the tools that people have.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use summitctl::sandbox::servers::redis::Options;

use super::flow::{Host, said};
use super::server::{KEY, Kind, SECRET, Server};
use crate::redis::Server as Redis;

/// The line of the page that begins with this tool.
fn line(tool: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut lines = page.lines().filter_map(|l| l.strip_prefix("    "));
    let line = lines.find(|l| l.starts_with(tool));
    line.unwrap_or_else(|| panic!("no `{tool}` on the page"))
        .to_owned()
}

fn bytes(root: &Path, below: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(below).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            bytes(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap();
            found.insert(
                name.to_str().unwrap().to_owned(),
                std::fs::read(path).unwrap(),
            );
        }
    }
}

fn all(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    bytes(folder, folder, &mut found);
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_fetched_with_the_commands_of_the_page() {
    let server = Server::start(Kind::Versity).await;
    server.bucket("backups").await;
    let redis = Redis::start(&Options::scratch()).await;
    let host = Host::new(&redis, &server.endpoint(), &server.endpoint());
    host.ok(&["evidence", "keygen", "key.pem"]);
    host.ok(&["backup", "init", "--new-secret", "--yes"]);
    host.ok(&["backup", "create", "--stores", "redis", "--yes"]);
    let there = server.file("backups/summit/staging");
    // What writers leave when they are killed is not fetched.
    for name in ["tmp/probe-0", "locks/x.json"] {
        let path = there.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "{}").unwrap();
    }
    let mut expected = all(&there);
    expected.retain(|name, _| !name.starts_with("tmp/") && !name.starts_with("locks/"));
    assert!(expected.len() > 5, "{:?}", expected.keys());
    let config = std::fs::read_to_string(host.dir.join("direct.toml")).unwrap();
    let (config, _) = config
        .split_once("\n[contexts.bucket.repository.s3]")
        .unwrap();
    let endpoint = format!(" --endpoint-url {}", server.endpoint());
    for (tool, here, store) in [
        ("aws s3 sync", "by-aws", endpoint.as_str()),
        ("rclone copy", "by-rclone", ""),
    ] {
        let command = line(tool)
            .replace("BUCKET/PREFIX", "backups/summit/staging")
            .replace("REMOTE:", "store:")
            + store;
        let folder = host.dir.join(here);
        let output = Command::new("sh")
            .args(["-euc", &command])
            .env("REPO", &folder)
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            // Some releases of rclone cannot start with it.
            .env_remove("AWS_CA_BUNDLE")
            .env("RCLONE_CONFIG", "/dev/null")
            .env("RCLONE_CONFIG_STORE_TYPE", "s3")
            .env("RCLONE_CONFIG_STORE_PROVIDER", "Other")
            .env("RCLONE_CONFIG_STORE_REGION", "us-east-1")
            .env("RCLONE_CONFIG_STORE_ENDPOINT", server.endpoint())
            .env("RCLONE_CONFIG_STORE_ACCESS_KEY_ID", KEY)
            .env("RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY", SECRET)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", said(&output));
        assert!(all(&folder) == expected, "{tool}: {}", said(&output));
        // The program opens what was fetched.
        let (url, path) = (
            "url = \"s3://backups/summit/staging\"",
            format!("path = \"{here}\""),
        );
        host.configure(|_| config.replace(url, &path));
        host.ok(&["backup", "verify", "newest", "--level", "2", "--yes"]);
    }
}

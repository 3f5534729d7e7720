//! A repository with and without secrets in it.

use super::super::tests::{Folder, input, report};
use super::*;
use crate::check::Evaluated;
use crate::consent::Tier;
use crate::event::Outcome;

#[test]
fn env_files_are_told_from_their_examples() {
    for name in [".env", "a/.env.production", "deploy/prod.env"] {
        assert!(is_env_file(name), "{name}");
    }
    for name in [".env.example", "a/.env.sample", "environment.ts", "env"] {
        assert!(!is_env_file(name), "{name}");
    }
}

fn git_environment(folder: &Folder) -> Environment {
    let path = std::env::var("PATH").unwrap();
    [
        ("PATH", path.as_str()),
        ("HOME", folder.0.to_str().unwrap()),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
    ]
    .into_iter()
    .collect()
}

fn run_git(folder: &Folder, args: &[&str]) {
    let done = std::process::Command::new("git")
        .args(args)
        .current_dir(&folder.0)
        .env_clear()
        .envs(git_environment(folder).iter())
        .output()
        .expect("git is installed");
    assert!(done.status.success(), "{args:?}: {done:?}");
}

async fn tracked_finding(folder: &Folder) -> Evaluated {
    let mut input = input(Tier::Production, &[]);
    input.repository = Some(folder.0.clone());
    input.environment = git_environment(folder);
    let report = report(input).await;
    report.check("secrets.tracked-files").unwrap().clone()
}

#[tokio::test]
async fn secrets_in_tracked_files_are_found_by_value_and_by_name() {
    let folder = Folder::new("tracked");
    let outside = tracked_finding(&folder).await;
    assert_eq!(outside.outcome, Outcome::NotEvaluated, "{}", outside.detail);
    run_git(&folder, &["init", "-q"]);
    folder.write("README.md", "nothing here\n", 0o644);
    folder.write(".env.example", "JWT_SECRET=changeme\n", 0o644);
    folder.write("untracked.txt", "canaryD-q7w2e9r4t1y8u3i6o5p0zxcvbn", 0o644);
    run_git(&folder, &["add", "README.md", ".env.example"]);
    let clean = tracked_finding(&folder).await;
    assert_eq!(clean.outcome, Outcome::Passed, "{}", clean.detail);
    assert_eq!(clean.facts["files"], 2);
    folder.write(
        "deploy/values.yaml",
        "a: 1\nurl: postgres://app:canaryA1-kq83hTz0@h/d\n",
        0o644,
    );
    folder.write("deploy/.env", "PORT=1\nSMTP_PASSWORD=hunter2\n", 0o644);
    run_git(&folder, &["add", "deploy"]);
    let found = tracked_finding(&folder).await;
    assert_eq!(found.outcome, Outcome::Failed);
    for place in [
        "`DATABASE_URL` in deploy/values.yaml:2",
        "`SMTP_PASSWORD` in deploy/.env:2",
    ] {
        assert!(found.detail.contains(place), "{}", found.detail);
    }
    assert!(!found.detail.contains("hunter2"), "{}", found.detail);
    assert!(found.hints.iter().any(|h| h.contains("git rm --cached")));
}

//! Commands that are killed at one request after another, and a prune beside a backup: the bucket needs no repair.

use std::process::Stdio;
use std::time::{Duration, Instant};

use summitctl::sandbox::servers::redis::Options;

use super::flow::{Host, said};
use super::healed::away;
use super::keys::{identify, operator, person};
use super::proxy::{Fault, Proxy};
use super::pruned::{Bucket, CREATE, backups, other_data};
use super::server::{Kind, Server, kinds};
use crate::redis::Server as Redis;

const PRUNE: [&str; 6] = ["backup", "prune", "--keep-last", "1", "--confirm", "bucket"];
const VERIFY: [&str; 6] = ["backup", "verify", "newest", "--level", "2", "--yes"];

/// Runs a command by way of a proxy and kills it once the server was asked so often; whether it came to that.
async fn killed_at(host: &Host, server: &Server, args: &[&str], request: usize) -> bool {
    let proxy = Proxy::start(server.port, Fault::None).await;
    away(host, server, &proxy);
    let mut command = host.command(args);
    command.env("SUMMITCTL_CONFIG", host.dir.join("away.toml"));
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        if proxy.heads.lock().unwrap().len() >= request {
            child.kill().unwrap();
        }
        assert!(Instant::now() < deadline, "{args:?} does not end");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    child.wait().unwrap().code().is_none()
}

/// The runs that a kill left open.
fn open_runs(host: &Host) -> Vec<String> {
    let (_, text) = host.call(&["run", "list", "--output", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let runs = listed["result"]["runs"].as_array().unwrap().iter();
    runs.filter(|run| run["state"] == "resumable")
        .map(|run| run["run"].as_str().unwrap().to_owned())
        .collect()
}

/// They are gone on with, or given up: what was removed by then stays removed, which is said with an exit code of its own.
fn settle(host: &Host, how: &str) {
    for run in open_runs(host) {
        let (output, text) = host.call(&["run", how, &run]);
        let code = output.status.code();
        assert!(
            code == Some(0) || (how == "abort" && code == Some(1)),
            "{text}"
        );
    }
    assert_eq!(open_runs(host), [""; 0]);
}

/// How often a command that goes through asks the server.
async fn requests(host: &Host, server: &Server, args: &[&str]) -> usize {
    let proxy = Proxy::start(server.port, Fault::None).await;
    away(host, server, &proxy);
    let mut command = host.command(args);
    let command = command.env("SUMMITCTL_CONFIG", host.dir.join("away.toml"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    proxy.heads.lock().unwrap().len()
}

/// Places all over so many requests.
fn spread(all: usize) -> impl Iterator<Item = usize> {
    (1..=POINTS).map(move |n| all * n / (POINTS + 1))
}

const POINTS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_that_is_killed_at_any_request_leaves_a_bucket_that_the_next_command_uses() {
    for kind in kinds() {
        for bucket in [Bucket::Plain, Bucket::Versioned] {
            pruned_and_killed(kind, bucket).await;
        }
    }
}

async fn pruned_and_killed(kind: Kind, bucket: Bucket) {
    let redis = Redis::start(&Options::scratch()).await;
    let (server, host) = bucket.set_up(kind, &redis).await;
    let two_backups = async |what: usize| {
        for turn in 0..2 {
            other_data(&redis, &format!("{what} {turn}")).await;
            host.ok(&CREATE);
        }
    };
    two_backups(0).await;
    let all = requests(&host, &server, &PRUNE).await;
    println!("{kind:?} {bucket:?}: {all} requests");
    for request in spread(all) {
        two_backups(request).await;
        let killed = killed_at(&host, &server, &PRUNE, request).await;
        assert!(killed, "{kind:?} {bucket:?}: {request} of {all}");
        // The next command is not the same one, and finds everything as it needs it.
        host.ok(&CREATE);
        host.ok(&VERIFY);
        settle(&host, if request % 2 == 0 { "resume" } else { "abort" });
        host.ok(&PRUNE);
        host.ok(&VERIFY);
        assert_eq!(backups(&host).len(), 1, "{kind:?} {bucket:?} {request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_killed_at_any_request_let_one_read_who_could_before_or_can_now() {
    for kind in kinds() {
        rotated_and_killed(kind).await;
    }
}

async fn rotated_and_killed(kind: Kind) {
    let redis = Redis::start(&Options::scratch()).await;
    let (server, host) = Bucket::Versioned.set_up(kind, &redis).await;
    host.ok(&CREATE);
    let mut reader = "first.age".to_owned();
    let first = person(&host, &reader);
    let rotate = ["keys", "rotate", &operator(&host), &first, "--yes"];
    let all = requests(&host, &server, &rotate).await;
    identify(&host, &reader);
    println!("{kind:?}: {all} requests");
    for request in spread(all) {
        let next = format!("reader-{request}.age");
        let recipient = person(&host, &next);
        let name = operator(&host);
        let rotate = ["keys", "rotate", &name, &recipient, "--yes"];
        let killed = killed_at(&host, &server, &rotate, request).await;
        assert!(killed, "{kind:?}: {request} of {all}");
        let reads = |file: &str| {
            identify(&host, file);
            let before = open_runs(&host);
            let (output, _) = host.call(&VERIFY);
            for run in open_runs(&host).iter().filter(|r| !before.contains(r)) {
                host.ok(&["run", "abort", run]);
            }
            output.status.success()
        };
        // Whoever could read before, or can now, goes on.
        let already = !reads(&reader);
        assert!(!already || reads(&next), "{kind:?} {request}");
        host.ok(&CREATE);
        settle(&host, "resume");
        if !reads(&next) {
            // It was killed before it had begun.
            identify(&host, &reader);
            host.ok(&rotate);
        }
        identify(&host, &next);
        host.ok(&VERIFY);
        reader = next;
    }
}

/// A backup that finds again what a prune is about to collect, on a link so slow that they meet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_beside_a_backup_takes_nothing_that_it_needs() {
    for kind in kinds() {
        let redis = Redis::start(&Options::scratch()).await;
        let (server, host) = Bucket::Plain.set_up(kind, &redis).await;
        for (round, request) in [4, 12, 20].into_iter().enumerate() {
            for turn in 0..2 {
                other_data(&redis, &format!("{round} {turn}")).await;
                host.ok(&CREATE);
            }
            // What only the older one has, which is removed while this one uses it again.
            other_data(&redis, &format!("{round} 0")).await;
            let pause = Duration::from_millis(15);
            let proxy = Proxy::start(server.port, Fault::SlowBoth(pause)).await;
            away(&host, &server, &proxy);
            let mut create = host.command(&CREATE);
            create.env("SUMMITCTL_CONFIG", host.dir.join("away.toml"));
            let create = create.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut create = create.spawn().unwrap();
            while create.try_wait().unwrap().is_none()
                && proxy.heads.lock().unwrap().len() < request
            {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            // From another machine: on one, the context's lease lets one of them wait.
            let mut prune = host.command(&PRUNE);
            prune.env("SUMMITCTL_STATE_DIR", host.dir.join("elsewhere"));
            let pruned = prune.output().unwrap();
            let output = create.wait_with_output().unwrap();
            let (text, said) = (said(&pruned), said(&output));
            assert!(pruned.status.success(), "{kind:?} {request}: {text}");
            assert!(output.status.success(), "{kind:?} {request}: {said}");
            for id in backups(&host) {
                host.ok(&["backup", "verify", &id, "--level", "2", "--yes"]);
            }
            host.ok(&["restore", "newest", "--confirm", "bucket"]);
        }
    }
}

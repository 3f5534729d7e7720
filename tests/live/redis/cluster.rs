//! A real cluster of three masters: captured shard by shard, restored slot by slot, and never taken for whole when it is not.

use std::sync::{Arc, Mutex};

use summitctl::capture::{Consistency, MemoryParts};
use summitctl::event::{Event, Events, Listener, Stamped};
use summitctl::identity::Store;
use summitctl::providers::redis::{
    CaptureOptions, Replace, RestoreOptions, capture, compare, fingerprints, identify,
    plant_marker, read_marker, restore, stage,
};
use summitctl::wait::{Look, poll};

use super::data::{client, fill_keys, later, run};
use super::round_trip::options;
use super::*;

/// Three masters, a third of the slots each.
struct Cluster(Vec<Server>);

const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

impl Cluster {
    async fn start() -> Cluster {
        let mut nodes = Vec::new();
        for (from, to) in SLOTS {
            let bus = summitctl::sandbox::servers::free_port().expect("a port");
            let settings = [
                ("cluster-enabled", "yes".to_owned()),
                ("cluster-port", bus.to_string()),
                ("cluster-node-timeout", "2000".to_owned()),
            ];
            let node = Server::start(&Options {
                settings: settings
                    .map(|(name, value)| (name.to_owned(), value))
                    .to_vec(),
                ..Options::scratch()
            })
            .await;
            let range = [
                "CLUSTER",
                "ADDSLOTSRANGE",
                &from.to_string(),
                &to.to_string(),
            ];
            run(&mut client(&node), &range);
            nodes.push((node, bus));
        }
        // Clients have one password for all nodes.
        let password = nodes[0].0.running.password.expose().to_owned();
        for (node, _) in &nodes {
            let one = ["ACL", "SETUSER", "default", &format!(">{password}")];
            run(&mut client(node), &one);
        }
        for (node, bus) in &nodes[1..] {
            let port = node.running.port.to_string();
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, &bus.to_string()];
            run(&mut client(&nodes[0].0), &meet);
        }
        let nodes: Vec<Server> = nodes.into_iter().map(|(node, _)| node).collect();
        let cluster = Cluster(nodes);
        cluster.until_whole().await;
        // A node that gets no time for a while has not failed.
        let patient = ["CONFIG", "SET", "cluster-node-timeout", "30000"];
        for node in &cluster.0 {
            run(&mut client(node), &patient);
        }
        cluster
    }

    async fn until_whole(&self) {
        let patience = Deadline::after(Duration::from_secs(30));
        poll(
            "the cluster",
            patience,
            Duration::from_millis(100),
            async || {
                let whole = self.0.iter().all(|node| {
                    let state = format!("{:?}", run(&mut client(node), &["CLUSTER", "INFO"]));
                    state.contains("cluster_state:ok") && state.contains("cluster_known_nodes:3")
                });
                Ok(match whole {
                    true => Look::Ready(()),
                    false => Look::NotYet("not whole".to_owned()),
                })
            },
        )
        .await
        .expect("comes up");
    }

    /// Any node will do.
    fn target(&self) -> Target {
        Target {
            password: Some(self.0[0].running.password.clone()),
            port: self.0[1].running.port,
            ..self.0[0].target()
        }
    }

    /// Runs a command where its key is.
    fn run(&self, words: &[&str]) -> redis::Value {
        for node in &self.0 {
            let mut command = redis::cmd(words[0]);
            for word in &words[1..] {
                command.arg(word);
            }
            match command.query(&mut client(node)) {
                Err(e) if e.code() == Some("MOVED") => {}
                answer => return answer.unwrap_or_else(|e| panic!("{words:?}: {e}")),
            }
        }
        panic!("nobody has {words:?}")
    }

    fn fill(&self) {
        for n in 0..60 {
            let text = n.to_string();
            self.run(&["SET", &format!("text:{n}"), &text]);
            self.run(&["RPUSH", &format!("list:{n}"), &text, "more"]);
            self.run(&["HSET", &format!("{{tag}}:hash:{n}"), "field", &text]);
        }
        let at = later(4).to_string();
        self.run(&["PEXPIREAT", "text:7", &at]);
        self.run(&["XADD", "stream", "1-1", "a", "b"]);
        let code = "#!lua name=lib\nredis.register_function('one', function() return 1 end)";
        for node in &self.0 {
            run(&mut client(node), &["FUNCTION", "LOAD", code]);
        }
    }

    fn sizes(&self) -> Vec<redis::Value> {
        let sizes = self
            .0
            .iter()
            .map(|node| run(&mut client(node), &["DBSIZE"]));
        sizes.collect()
    }
}

/// Keeps what is noted.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Listener for Notes {
    fn hear(&self, event: &Stamped) {
        if let Event::Note { message, .. } = &event.event {
            let mut notes = self.0.lock().expect("nobody panicked");
            notes.push(message.clone());
        }
    }
}

fn way(token: &str, replace: Replace) -> RestoreOptions {
    RestoreOptions {
        common: options(),
        replace,
        token: token.into(),
    }
}

#[tokio::test]
async fn a_cluster_is_captured_by_shards_and_restored_by_slots() {
    let (from, to) = (Cluster::start().await, Cluster::start().await);
    from.fill();
    // Cut into pieces, which must follow each other whatever the other shards send.
    let large = "x".repeat(3_000_000);
    for n in 0..4 {
        from.run(&["SET", &format!("large:{n}"), &large]);
    }
    plant_marker(&to.target(), "the-target")
        .await
        .expect("plants");
    // One of them saves for a while: the others are not asked before, since they would not wait.
    let mut busy = client(&from.0[0]);
    run(
        &mut busy,
        &["CONFIG", "SET", "rdb-key-save-delay", "100000"],
    );
    run(&mut busy, &["BGSAVE"]);
    run(&mut busy, &["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    let parts = MemoryParts::default();
    let notes = Notes::default();
    let told = CaptureOptions {
        events: Events::new(vec![Box::new(notes.clone())]),
        ..options()
    };
    let captured = capture(&from.target(), &parts, &told)
        .await
        .expect("captures");
    let port = from.0[0].running.port.to_string();
    let notes = notes.0.lock().expect("nobody panicked").join("\n");
    assert!(
        notes.contains("waiting for the background save") && notes.contains(&port),
        "{notes}"
    );
    assert_eq!(captured.method, "PSYNC of 3 shards");
    assert_eq!(captured.consistency, Consistency::Apart);
    assert!(captured.from <= captured.to);
    let names: Vec<&str> = captured.parts.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["redis/0/keys", "redis/functions"]);
    assert_eq!(captured.parts[0].meta["keys"], 185);
    assert_eq!(captured.parts[1].meta["libraries"], 1);

    let restored = restore(&to.target(), &parts, &way("t-1", Replace::Refuse))
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    assert_eq!(restored.keys, 185);
    let spread = |size: &redis::Value| matches!(size, redis::Value::Int(20..));
    assert!(to.sizes().iter().all(spread));
    for words in [
        &["GET", "text:7"][..],
        &["PEXPIRETIME", "text:7"],
        &["LRANGE", "list:33", "0", "-1"],
        &["HGET", "{tag}:hash:59", "field"],
        &["XRANGE", "stream", "-", "+"],
    ] {
        assert_eq!(to.run(words), from.run(words), "{words:?}");
    }
    for node in &to.0 {
        let one = run(&mut client(node), &["FCALL", "one", "0"]);
        assert_eq!(one, redis::Value::Int(1));
    }
    let marker = read_marker(&to.target()).await.expect("reads");
    assert_eq!(marker.as_deref(), Some("the-target"));
    let identity = identify(&to.target()).await.expect("identifies");
    assert_eq!(identity.store, Store::Redis);
    assert_eq!(identity.facts["marker"], "the-target");

    // Again is a no-op, another is refused, and with consent everything is replaced.
    let again = restore(&to.target(), &parts, &way("t-1", Replace::Refuse))
        .await
        .expect("looks");
    assert_eq!((again.keys, again.resumed), (0, true));
    to.run(&["SET", "stray", "x"]);
    let error = restore(&to.target(), &parts, &way("t-2", Replace::Refuse))
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "redis.not-empty");
    restore(&to.target(), &parts, &way("t-3", Replace::Flush))
        .await
        .expect("replaces");
    let compared = compare(&to.target(), &parts, &options())
        .await
        .expect("compares");
    assert_eq!(compared.differences(), Vec::<String>::new());
    let marker = read_marker(&to.target()).await.expect("reads");
    assert_eq!(marker.as_deref(), Some("the-target"));
    // There is no database beside.
    let error = stage(&to.target(), &parts, &way("t-4", Replace::Refuse))
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "redis.no-spare-database");
}

#[tokio::test]
async fn a_cluster_s_backup_fits_one_server_and_the_other_way_round() {
    let (cluster, alone) = (Cluster::start().await, Server::scratch().await);
    cluster.fill();
    let parts = MemoryParts::default();
    capture(&cluster.target(), &parts, &options())
        .await
        .expect("captures");
    let restored = restore(&alone.target(), &parts, &way("t", Replace::Refuse))
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    let of = async |target: &Target| fingerprints(target, &options()).await.expect("measures");
    assert_eq!(of(&alone.target()).await, of(&cluster.target()).await);

    let back = MemoryParts::default();
    capture(&alone.target(), &back, &options())
        .await
        .expect("captures");
    let restored = restore(&cluster.target(), &back, &way("u", Replace::Flush))
        .await
        .expect("restores");
    assert_eq!(restored.differences(), Vec::<String>::new());
    // A cluster has no database 5.
    fill_keys(&alone);
    let many = MemoryParts::default();
    capture(&alone.target(), &many, &options())
        .await
        .expect("captures");
    let sizes = cluster.sizes();
    let error = restore(&cluster.target(), &many, &way("v", Replace::Flush))
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "redis.database-missing");
    assert_eq!(cluster.sizes(), sizes);
}

#[tokio::test]
async fn without_replication_rights_every_shard_is_scanned() {
    let cluster = Cluster::start().await;
    cluster.fill();
    for node in &cluster.0 {
        let words = [
            "ACL",
            "SETUSER",
            "reader",
            "on",
            ">canary-reader-3",
            "~*",
            "+@all",
            "-psync",
        ];
        run(&mut client(node), &words);
    }
    let reader = Target {
        user: Some("reader".into()),
        password: Some(Secret::new("canary-reader-3")),
        ..cluster.target()
    };
    let captured = capture(&reader, &MemoryParts::default(), &options())
        .await
        .expect("captures");
    assert_eq!(captured.method, "SCAN of 3 shards");
    assert_eq!(
        fingerprints(&reader, &options()).await.expect("measures"),
        fingerprints(&cluster.target(), &options())
            .await
            .expect("measures")
    );

    // A master may keep keys of a slot that was given to another; no client is led to them.
    cluster.run(&["SET", "stray", "x"]);
    let slot = cluster.run(&["CLUSTER", "KEYSLOT", "stray"]);
    let redis::Value::Int(slot) = slot else {
        panic!("{slot:?}")
    };
    let owner = SLOTS.iter().position(|(_, to)| slot <= i64::from(*to));
    let taker = &cluster.0[(owner.expect("has one") + 1) % 3];
    for node in &cluster.0 {
        run(
            &mut client(node),
            &["CLUSTER", "DELSLOTS", &slot.to_string()],
        );
    }
    run(
        &mut client(taker),
        &["CLUSTER", "ADDSLOTS", &slot.to_string()],
    );
    cluster.until_whole().await;
    for target in [&cluster.target(), &reader] {
        let captured = capture(target, &MemoryParts::default(), &options())
            .await
            .expect("captures");
        let left = captured.not_carried.join("\n");
        assert!(left.contains("1 keys on masters"), "{captured:?}");
        assert_eq!(captured.parts[0].meta["keys"], 181);
    }
}

#[tokio::test]
async fn a_cluster_that_is_not_whole_or_not_at_rest_is_not_captured() {
    let cluster = Cluster::start().await;
    cluster.fill();
    let id = |node: usize| -> String {
        let mut ask = redis::cmd("CLUSTER");
        ask.arg("MYID")
            .query(&mut client(&cluster.0[node]))
            .expect("tells")
    };
    let (mover, taker) = (id(0), id(1));
    run(
        &mut client(&cluster.0[1]),
        &["CLUSTER", "SETSLOT", "7", "IMPORTING", &mover],
    );
    run(
        &mut client(&cluster.0[0]),
        &["CLUSTER", "SETSLOT", "7", "MIGRATING", &taker],
    );
    let error = capture(&cluster.target(), &MemoryParts::default(), &options())
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "redis.cluster-moving", "{error:?}");
    for node in [0, 1] {
        run(
            &mut client(&cluster.0[node]),
            &["CLUSTER", "SETSLOT", "7", "STABLE"],
        );
    }
    capture(&cluster.target(), &MemoryParts::default(), &options())
        .await
        .expect("captures");
    run(
        &mut client(&cluster.0[2]),
        &["CLUSTER", "DELSLOTS", "16383"],
    );
    let ask_it = Target {
        port: cluster.0[2].running.port,
        ..cluster.target()
    };
    let error = capture(&ask_it, &MemoryParts::default(), &options())
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "redis.cluster-down", "{error:?}");
    assert!(error.to_string().contains("1 of 16384 slots"), "{error}");
}

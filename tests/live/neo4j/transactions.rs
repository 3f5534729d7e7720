//! Transactions that wait for each other, and the end of the one at the root.

use std::time::Duration;

use summitctl::providers::neo4j::bolt::Begin;
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::transactions::{roots, transactions};
use summitctl::wait::{Deadline, Look, poll};

use super::{Server, connect, query};
use crate::program::{Program, said};

#[tokio::test(flavor = "multi_thread")]
async fn the_transaction_that_others_wait_for_is_told_and_ended() {
    let server = Server::start("transactions").await;
    let target = server.target();
    query(&target, "CREATE (:Order {id: 7, n: 1})").await;
    let mut root = connect(&target).await;
    root.begin(&Begin::write("a test")).await.unwrap();
    let lock = "MATCH (o:Order {id: 7}) SET o.n = 2, o.who = 'a secret'";
    root.run(lock, Value::Map(Vec::new()))
        .await
        .unwrap()
        .all()
        .await
        .unwrap();
    let waiter = {
        let target = target.clone();
        tokio::spawn(
            async move { query(&target, "MATCH (o:Order {id: 7}) SET o.n = o.n + 40").await },
        )
    };
    let all = poll(
        "a transaction that waits",
        Deadline::after(Duration::from_secs(60)),
        Duration::from_millis(200),
        async || {
            let all = transactions(&target).await?;
            Ok(if roots(&all).len() == 1 {
                Look::Ready(all)
            } else {
                Look::NotYet(format!("{all:?}"))
            })
        },
    )
    .await
    .unwrap();
    let id = roots(&all)[0].id.clone();

    let program = Program::bare("transactions");
    std::fs::write(
        program.dir.join("password"),
        server.running.password.expose(),
    )
    .unwrap();
    let config = format!(
        "version = 1\n[contexts.g]\ntier = \"staging\"\n[contexts.g.neo4j]\nurl = \"{}\"\nuser = \"{}\"\npassword = \"file:password\"\n",
        server.running.uri(),
        server.running.user
    );
    std::fs::write(program.dir.join("summitctl.toml"), config).unwrap();
    let call = |words: &[&str]| {
        let output = program.call(&[&["migrate", "blockers"], words].concat(), None);
        (output.status.code(), said(&output))
    };
    let (code, text) = call(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("Blocked by") && text.contains("SET o.n = o.n + ?"),
        "{text}"
    );
    assert!(
        text.contains(&format!("--end-root {id} --context g")),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    let (code, text) = call(&["--end-root", &id, "--confirm", "g"]);
    assert_eq!(code, Some(0), "{text}");
    waiter.await.unwrap();
    let left = query(&target, "MATCH (o:Order {id: 7}) RETURN o.n").await;
    assert_eq!(left, [[Value::Int(41)]], "what the root wrote is lost");
    drop(root);

    // A migration that makes an index and does not commit holds a lock of the schema, and writes of the label wait for it.
    let mut schema = connect(&target).await;
    schema.begin(&Begin::write("a migration")).await.unwrap();
    let index = "CREATE INDEX by_who FOR (o:Order) ON (o.who)";
    let made = schema.run(index, Value::Map(Vec::new())).await.unwrap();
    made.all().await.unwrap();
    let waiter = {
        let target = target.clone();
        tokio::spawn(async move { query(&target, "CREATE (:Order {id: 8, who: 'x'})").await })
    };
    let waits = async || {
        let all = transactions(&target).await?;
        Ok(match roots(&all).as_slice() {
            [root] => Look::Ready(root.id.clone()),
            _ => Look::NotYet(format!("{all:?}")),
        })
    };
    let deadline = Deadline::after(Duration::from_secs(60));
    let every = Duration::from_millis(200);
    let id = poll("a write that waits for the schema", deadline, every, waits)
        .await
        .unwrap();
    let (code, text) = call(&["--end-root", &id, "--confirm", "g"]);
    assert_eq!(code, Some(0), "{text}");
    waiter.await.unwrap();
    let left = query(&target, "SHOW INDEXES YIELD name WHERE name = 'by_who'").await;
    assert_eq!(left, [[]; 0], "the index was never committed");
    drop(schema);
}

//! A capture into a database that does not run, by neo4j-admin's own import.

use std::collections::BTreeMap;
use std::path::PathBuf;

use summitctl::capture::{Fingerprint, MemoryParts};
use summitctl::providers::neo4j::{self, import};
use summitctl::sandbox::servers::neo4j as servers;

use super::{Server, Target, capture_options, graph, key, query, restore_options, scratch};

/// A capture of a server, and its fingerprints as the server itself tells them.
async fn captured(from: &Target) -> (MemoryParts, BTreeMap<String, Fingerprint>) {
    let parts = MemoryParts::default();
    neo4j::capture(from, &parts, &capture_options())
        .await
        .expect("captures");
    let wanted = neo4j::fingerprints(from, &key(), None, 2).await;
    (parts, wanted.expect("measures"))
}

/// Imports into a folder, starts the server, adds the rest and compares. Returns the server, and how many nodes and
/// relationships followed over Bolt.
async fn imported(
    dir: PathBuf,
    parts: &MemoryParts,
    wanted: &BTreeMap<String, Fingerprint>,
    groups: usize,
) -> (Server, u64, u64) {
    let size = servers::Options::default();
    let offline = servers::offline(&dir, &size).await.expect("is free");
    let folder = offline.folder("import").expect("makes");
    let staged = import::stage(parts, &folder, groups, &restore_options())
        .await
        .expect("stages");
    let staged = staged.expect("can be imported");
    let (nodes, relationships) = (staged.patched_nodes, staged.patched_relationships);
    println!("{nodes} nodes and {relationships} relationships follow");
    let arguments = staged.arguments();
    offline
        .admin(staged.folder(), &arguments)
        .await
        .expect("imports");
    drop(offline);
    staged.remove_files().expect("removes");
    let running = servers::start(&dir, &size).await.expect("starts");
    let server = Server {
        dir: running.dir.clone(),
        running,
    };
    let restored = import::complete(&server.target(), staged, &restore_options())
        .await
        .expect("completes");
    let measured = neo4j::fingerprints(&server.target(), &key(), Some(&restored.id_map), 2).await;
    assert_eq!(measured.expect("measures"), *wanted);
    (server, nodes, relationships)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_of_everything_is_imported_exactly() {
    let source = Server::start("exported").await;
    let from = source.target();
    query(&from, "UNWIND range(1, 50) AS i CREATE (:Gone)").await;
    graph::make(&from).await;
    // What CSV can say in part only, and what it must say exactly.
    for text in [
        "CREATE (:Mixed {k: 1}), (:Mixed {k: 'one'}), (:Mixed {k: [1]}), (:Mixed {k: 1.0}), (:Mixed {k: true})",
        "CREATE (:Lines {t: 'one\ntwo\r\nthree', u: 'tab\tand \"quotes\", commas; and a \\\\ at the end\\\\'})",
        "CREATE (:Lines {t: 'only\nnewlines\n'}), (:Lines {t: ' spaces '}), (:Lines {t: '\"'}), (:Lines {t: ''})",
        "CREATE (:When {d: date('2020-02-29'), l: localdatetime('1582-10-15T00:00:00.5'), t: datetime('0999-01-01T00:00:00-00:30')})",
        "CREATE (:Part {fine: 1, nan: 0.0/0.0, p: point({x: 1, y: 2})})-[:HALF {fine: 1, d: duration('P1D')}]->(:Part {fine: 2})",
        "MATCH (n:Gone) DELETE n",
    ] {
        query(&from, text).await;
    }
    neo4j::plant_marker(&from, "source").await.expect("plants");
    // One row longer than the importer's buffer of 4 Mi characters: of texts, of numbers, of a list of texts.
    for (label, properties) in [
        ("Texts", "a: t, b: t, c: t, d: t, e: t"),
        ("Numbers", "n: range(1, 1000000)"),
        (
            "List",
            "l: [i IN range(1, 60) | substring(t, 0, 100000) + i]",
        ),
    ] {
        let text = "WITH substring(reduce(s = 'x', i IN range(1, 20) | s + s), 0, 900000) AS t";
        query(
            &from,
            &format!("{text} CREATE (:Huge:{label} {{{properties}}})"),
        )
        .await;
    }
    let (parts, wanted) = captured(&from).await;
    let told = graph::as_told(&from).await;
    // The same without line ends, where the importer looks for whole lines; and with few kinds of rows by file.
    query(
        &from,
        "MATCH (n) WHERE NOT (n:Huge OR n:Part OR n:Many) DETACH DELETE n",
    )
    .await;
    query(
        &from,
        "MATCH (t:Texts) CREATE (t)-[:LONG {n: range(1, 1000000)}]->(t)",
    )
    .await;
    // More than one transaction adds over Bolt.
    query(
        &from,
        "UNWIND range(1, 5500) AS i CREATE (:At {p: point({x: i, y: 1})})",
    )
    .await;
    let (plain, plain_wanted) = captured(&from).await;
    // A name that no file can say.
    query(&from, "MATCH (n) DETACH DELETE n").await;
    let named = "UNWIND range(1, 20) AS i CREATE (n:N {i: i})-[:`a\tb` {i: i}]->(n)";
    query(&from, named).await;
    let (tab, tab_wanted) = captured(&from).await;
    drop(source);

    let dir = scratch("tab");
    let size = servers::Options::default();
    let offline = servers::offline(&dir, &size).await.expect("is free");
    let folder = offline.folder("import").expect("makes");
    let staged = import::stage(&tab, &folder, import::GROUPS, &restore_options()).await;
    assert!(staged.expect("looks").is_none());
    drop(offline);
    // What was written before that is in nobody's way.
    let running = servers::start(&dir, &size).await.expect("starts");
    let server = Server {
        dir: running.dir.clone(),
        running,
    };
    let restored = neo4j::restore(&server.target(), &tab, &restore_options())
        .await
        .expect("restores");
    let map = Some(&restored.id_map);
    let measured = neo4j::fingerprints(&server.target(), &key(), map, 2).await;
    assert_eq!(measured.expect("measures"), tab_wanted);
    drop(server);

    let dir = scratch("plain,with a comma");
    let (server, nodes, relationships) = imported(dir, &plain, &plain_wanted, 2).await;
    assert!(
        nodes > 5_500 && relationships > 1,
        "{nodes}, {relationships}"
    );
    drop(server);

    let dir = scratch("imported");
    let (server, nodes, relationships) =
        imported(dir.clone(), &parts, &wanted, import::GROUPS).await;
    // All plain rows go by file.
    assert!(
        nodes < 100 && relationships < 50,
        "{nodes}, {relationships}"
    );
    let to = server.target();
    graph::check_temporal(&to).await;
    graph::check_scalars(&to).await;
    assert_eq!(graph::as_told(&to).await, told);
    // Ids that nobody has are given to new nodes, and none twice.
    query(&to, "UNWIND range(1, 100) AS i CREATE (:New)").await;
    let count = query(&to, "MATCH (n:New) RETURN count(DISTINCT id(n))").await;
    assert_eq!(count[0][0].as_int(), Some(100));

    // A server that runs is left alone.
    let Err(error) = servers::offline(&dir, &servers::Options::default()).await else {
        panic!("it runs");
    };
    assert!(format!("{error}").contains("runs"), "{error}");
}

//! Capture, restore elsewhere, compare; and what a comparison must find.

use std::collections::BTreeMap;
use std::time::Instant;

use summitctl::capture::{Captured, Consistency, Fingerprint, MemoryParts, PartSource as _};
use summitctl::event::Events;
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::providers::neo4j::{self, IdMap, Target};
use summitctl::wait::Cancel;

use super::{Server, capture_options, graph, key, query, restore_options};

/// The fingerprints as the capture recorded them.
fn recorded(captured: &Captured) -> BTreeMap<String, Fingerprint> {
    let of = |p: &summitctl::capture::PartInfo| (p.name.clone(), p.fingerprint.expect("has one"));
    captured.parts.iter().map(of).collect()
}

async fn measured(target: &Target, map: Option<&IdMap>) -> BTreeMap<String, Fingerprint> {
    neo4j::fingerprints(target, &key(), map, 2)
        .await
        .expect("measures")
}

/// The names of the parts that differ.
fn differing(a: &BTreeMap<String, Fingerprint>, b: &BTreeMap<String, Fingerprint>) -> Vec<String> {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    a.iter()
        .filter(|(name, f)| b[*name] != **f)
        .map(|(name, _)| name.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_of_everything_comes_back_exactly() {
    let source = Server::start("source").await;
    let scratch = Server::start("restored").await;
    let (from, to) = (source.target(), scratch.target());
    // Ids of the two servers must not agree by chance.
    query(&to, "UNWIND range(1, 7) AS i CREATE (:Gone)").await;
    query(&to, "MATCH (n:Gone) DELETE n").await;
    graph::make(&from).await;
    neo4j::plant_marker(&from, "source-marker")
        .await
        .expect("plants");
    neo4j::plant_marker(&to, "scratch-marker")
        .await
        .expect("plants");
    graph::check_temporal(&from).await;
    graph::check_scalars(&from).await;

    let parts = MemoryParts::default();
    let captured = neo4j::capture(&from, &parts, &capture_options())
        .await
        .expect("captures");
    assert_eq!(captured.consistency, Consistency::PointInTime);
    assert_eq!(captured.method, "bookmark unchanged");
    assert_eq!(captured.server_version, "5.26.16");
    assert_eq!(captured.identity.facts["marker"], "source-marker");
    let preview = neo4j::preview(&from).await.expect("counts");
    let rows = |name: &str| recorded(&captured)[&format!("neo4j/neo4j/{name}")].rows;
    assert_eq!(rows("nodes"), preview.nodes);
    assert_eq!(rows("relationships"), preview.relationships);
    assert_eq!(rows("schema"), preview.constraints + preview.indexes);
    assert_eq!(
        (preview.labels["Many"], preview.constraints, preview.indexes),
        (12_000, 3, 9)
    );

    // Level 2: from the bytes alone. And the live source, measured again, is what was captured.
    for info in parts.parts("neo4j/") {
        let mut reader = parts.open(&info.name).await.expect("opens");
        let again = neo4j::decode(&info, reader.as_mut(), &key())
            .await
            .expect("decodes");
        assert_eq!(again, info.fingerprint, "{}", info.name);
    }
    assert_eq!(measured(&from, None).await, recorded(&captured));

    let restored = neo4j::restore(&to, &parts, &restore_options())
        .await
        .expect("restores");
    assert!(
        captured
            .not_carried
            .iter()
            .any(|line| line.contains("`broken`"))
    );
    assert!(
        restored.notes[0].contains("`broken`"),
        "{:?}",
        restored.notes
    );
    let map = serde_json::to_string(&restored.id_map).expect("writes");
    let map: IdMap = serde_json::from_str(&map).expect("reads");
    assert_eq!(map.len() as u64, preview.nodes);
    assert_eq!(measured(&to, Some(&map)).await, recorded(&captured));
    assert_eq!(
        restored.parts.into_iter().collect::<BTreeMap<_, _>>(),
        recorded(&captured)
    );
    // The map matters: without it the ids differ.
    assert_ne!(measured(&to, None).await, recorded(&captured));

    // Seen in other ways than our own: the server's words, our codec's bits, and the planted markers.
    graph::check_temporal(&to).await;
    graph::check_scalars(&to).await;
    assert_eq!(graph::as_told(&from).await, graph::as_told(&to).await);
    let mut there = neo4j::preview(&to).await.expect("counts");
    there.database.clone_from(&preview.database);
    assert_eq!(there, preview);
    assert_eq!(
        neo4j::read_marker(&to).await.expect("reads").as_deref(),
        Some("scratch-marker")
    );

    // Not empty any more.
    let again = neo4j::restore(&to, &parts, &restore_options())
        .await
        .expect_err("refuses");
    assert_eq!(again.reason().code, "neo4j.not-empty");

    changes_are_found(&to, &parts, &map, &recorded(&captured)).await;
    in_place(&to, &parts, &recorded(&captured)).await;
}

/// Each change is found, named by its part and as what it is, and gone once it is taken back.
async fn changes_are_found(
    to: &Target,
    parts: &MemoryParts,
    map: &IdMap,
    wanted: &BTreeMap<String, Fingerprint>,
) {
    let nodes = "neo4j/neo4j/nodes".to_owned();
    let relationships = "neo4j/neo4j/relationships".to_owned();
    let schema = "neo4j/neo4j/schema".to_owned();
    let there = "MATCH (a:Twin)-[k:KNOWS]->(h:Hub) MATCH (b:Twin) WHERE b <> a \
         CREATE (b)-[n:KNOWS]->(h) SET n = properties(k) DELETE k";
    // Neo4j does not write a value that it takes for equal, such as -0.0 for 0.0 or the other side of a clock change:
    // hence the 1 in between.
    for (change, back, part, named) in [
        (
            "MATCH (s:Scalar {i: 0}) SET s.v = 1 SET s.v = -0.0",
            "MATCH (s:Scalar {i: 0}) SET s.v = 1 SET s.v = 0.0",
            &nodes,
            &["(:Scalar): its property `v` differs"][..],
        ),
        (
            "MATCH (t:Temporal {i: 8}) SET t.v = 1 SET t.v = datetime('2026-10-25T02:30:00+01:00[Europe/Berlin]')",
            "MATCH (t:Temporal {i: 8}) SET t.v = 1 SET t.v = datetime('2026-10-25T02:30:00+02:00[Europe/Berlin]')",
            &nodes,
            &["(:Temporal): its property `v` differs"],
        ),
        (
            "MATCH (m:Many {i: 5000}) SET m:Extra",
            "MATCH (m:Extra) REMOVE m:Extra",
            &nodes,
            &["(:Many): it has also the label `Extra`"],
        ),
        // The twins are equal: only the map tells that the relationship moved.
        (
            there,
            there,
            &relationships,
            &[
                "is in the backup and not on the server",
                "is on the server and not in the backup",
            ],
        ),
        (
            "MATCH (a:Many)-[r:NEXT {i: 17}]->() SET r.x = 1",
            "MATCH (a:Many)-[r:NEXT {i: 17}]->() REMOVE r.x",
            &relationships,
            &[": it has also the property `x`"],
        ),
        (
            "DROP INDEX texts",
            "CREATE TEXT INDEX texts FOR (n:Leaf) ON (n.name)",
            &schema,
            &["index texts is in the backup and not on the server"],
        ),
    ] {
        query(to, change).await;
        assert_eq!(
            differing(&measured(to, Some(map)).await, wanted),
            std::slice::from_ref(part),
            "{change}"
        );
        let lines = neo4j::survey(to, parts, Some(map), 2)
            .await
            .expect("looks again");
        assert_eq!(lines.len(), named.len(), "{change}: {lines:?}");
        for (line, named) in lines.iter().zip(named) {
            assert!(line.ends_with(named), "{change}: {line}");
        }
        query(to, back).await;
        assert_eq!(
            differing(&measured(to, Some(map)).await, wanted),
            [""; 0],
            "{back}"
        );
        let lines = neo4j::survey(to, parts, Some(map), 2).await;
        assert_eq!(lines.expect("looks again"), [""; 0], "{back}");
    }
}

/// Emptying a database and restoring in its place.
async fn in_place(to: &Target, parts: &MemoryParts, wanted: &BTreeMap<String, Fingerprint>) {
    let wiped = neo4j::wipe(to, &Events::silent(), &Cancel::new())
        .await
        .expect("wipes");
    assert_eq!(wiped.nodes, wanted["neo4j/neo4j/nodes"].rows);
    assert_eq!(
        wiped.relationships,
        wanted["neo4j/neo4j/relationships"].rows
    );
    assert_eq!(wiped.schema, 10);
    let again = neo4j::wipe(to, &Events::silent(), &Cancel::new())
        .await
        .expect("is a no-op");
    assert_eq!((again.nodes, again.relationships, again.schema), (0, 0, 0));
    assert_eq!(
        neo4j::read_marker(to).await.expect("reads").as_deref(),
        Some("scratch-marker")
    );
    // A lookup index that the source has and this place lost comes back as well.
    let lookup = query(
        to,
        "SHOW INDEXES YIELD name, type WHERE type = 'LOOKUP' RETURN name LIMIT 1",
    )
    .await;
    query(
        to,
        &format!("DROP INDEX {}", lookup[0][0].as_str().expect("a name")),
    )
    .await;
    let restored = neo4j::restore(to, parts, &restore_options())
        .await
        .expect("restores");
    assert_eq!(measured(to, Some(&restored.id_map)).await, *wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_enforces_read_mode_and_bookmarks_move_with_commits_alone() {
    let server = Server::start("modes").await;
    let target = server.target();
    let mut connection = super::connect(&target).await;
    let none = || Value::Map(Vec::new());
    let read = neo4j::bolt::Begin::read("test");
    let error = connection
        .query("CREATE (:No)", none(), &read)
        .await
        .expect_err("refuses");
    assert_eq!(error.reason().code, "neo4j.query-failed", "{error:?}");

    // The same connection is usable after the failure.
    let mut seen = Vec::new();
    for text in [
        "RETURN 1",
        "RETURN 1",
        "CREATE (:Yes)",
        "MATCH (y:Yes) SET y.x = 1",
        "MATCH (y:Yes) RETURN y",
        "CREATE INDEX i FOR (y:Yes) ON (y.x)",
    ] {
        query(&target, text).await;
        connection.begin(&read).await.expect("begins");
        connection
            .run("RETURN 1", none())
            .await
            .expect("runs")
            .all()
            .await
            .expect("reads");
        seen.push(connection.commit().await.expect("commits"));
    }
    let moved: Vec<bool> = seen.windows(2).map(|pair| pair[0] != pair[1]).collect();
    assert_eq!(moved, [false, true, true, false, true]);

    // A transaction's time limit holds.
    let mut limited = neo4j::bolt::Begin::read("test");
    limited.timeout = std::time::Duration::from_millis(300);
    let slow = "UNWIND range(1, 1000000000) AS i WITH i WHERE i < 0 RETURN count(i)";
    let started = Instant::now();
    let error = connection
        .query(slow, none(), &limited)
        .await
        .expect_err("is ended");
    assert!(started.elapsed().as_secs() < 20, "{error:?}");
    assert!(
        format!("{error:?}").contains("TransactionTimedOut"),
        "{error:?}"
    );
    connection
        .query("RETURN 1", none(), &read)
        .await
        .expect("is usable again");
}

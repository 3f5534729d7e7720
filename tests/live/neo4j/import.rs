//! A capture into a database that does not run, by neo4j-admin's own import.

use summitctl::capture::MemoryParts;
use summitctl::providers::neo4j::{self, import};
use summitctl::sandbox::servers::neo4j as servers;

use super::{Server, capture_options, graph, key, query, restore_options, scratch};

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
    let parts = MemoryParts::default();
    neo4j::capture(&from, &parts, &capture_options())
        .await
        .expect("captures");
    let wanted = neo4j::fingerprints(&from, &key(), None, 2)
        .await
        .expect("measures");
    let told = graph::as_told(&from).await;
    drop(source);

    let dir = scratch("imported");
    let size = servers::Options::default();
    let offline = servers::offline(&dir, &size).await.expect("is free");
    let folder = offline.folder("import").expect("makes");
    let staged = import::stage(&parts, &folder, &restore_options())
        .await
        .expect("stages");
    let staged = staged.expect("can be imported");
    println!(
        "{} nodes and {} relationships follow",
        staged.patched_nodes, staged.patched_relationships
    );
    // All plain rows go by file.
    assert!(staged.patched_nodes < 100 && staged.patched_relationships < 50);
    offline.admin(&staged.arguments()).await.expect("imports");
    drop(offline);
    staged.remove_files().expect("removes");
    let running = servers::start(&dir, &size).await.expect("starts");
    let server = Server {
        dir: running.dir.clone(),
        running,
    };
    let to = server.target();
    let restored = import::complete(&to, staged, &restore_options())
        .await
        .expect("completes");
    let measured = neo4j::fingerprints(&to, &key(), Some(&restored.id_map), 2).await;
    assert_eq!(measured.expect("measures"), wanted);
    graph::check_temporal(&to).await;
    graph::check_scalars(&to).await;
    assert_eq!(graph::as_told(&to).await, told);
    // Ids that nobody has are given to new nodes, and none twice.
    query(&to, "UNWIND range(1, 100) AS i CREATE (:New)").await;
    let count = query(&to, "MATCH (n:New) RETURN count(DISTINCT id(n))").await;
    assert_eq!(count[0][0].as_int(), Some(100));

    // A server that runs is left alone.
    let Err(error) = servers::offline(&dir, &size).await else {
        panic!("it runs");
    };
    assert!(format!("{error}").contains("runs"), "{error}");
}

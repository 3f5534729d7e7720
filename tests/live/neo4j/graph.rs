//! A graph that holds everything: every property type, odd names, twins, loops, parallels, every kind of index.

use summitctl::providers::neo4j::Target;
use summitctl::providers::neo4j::bolt::Begin;
use summitctl::providers::neo4j::bolt::packstream::Value;

use super::{query, query_with};

/// Names that must be quoted, one of them with what Cypher reads as an escape.
pub const ODD_NAMES: [&str; 4] = ["two words", "tick`ed", "Größe·層", r"back\u0041slash"];

/// The values that are written as text, and what the server says they are.
const TEMPORAL: [(&str, &str); 15] = [
    ("date('-0044-03-15')", "-0044-03-15"),
    ("date('+999999999-12-31')", "+999999999-12-31"),
    (
        "time('23:59:59.999999999+14:00')",
        "23:59:59.999999999+14:00",
    ),
    ("time('00:00:00-18:00')", "00:00:00-18:00"),
    ("localtime('12:34:56.000000001')", "12:34:56.000000001"),
    (
        "localdatetime('1582-10-15T00:00:00.5')",
        "1582-10-15T00:00:00.5",
    ),
    (
        "datetime('2026-11-21T03:04:05.678+05:45')",
        "2026-11-21T03:04:05.678+05:45",
    ),
    (
        "datetime('1883-11-18T12:00:00[America/New_York]')",
        "1883-11-18T12:00:00-04:56:02[America/New_York]",
    ),
    // The same wall-clock time twice: before and after the clocks go back.
    (
        "datetime('2026-10-25T02:30:00+02:00[Europe/Berlin]')",
        "2026-10-25T02:30:00+02:00[Europe/Berlin]",
    ),
    (
        "datetime('2026-10-25T02:30:00+01:00[Europe/Berlin]')",
        "2026-10-25T02:30:00+01:00[Europe/Berlin]",
    ),
    (
        "duration('P14M-3DT-0.000000001S')",
        "P1Y2M-3DT-0.000000001S",
    ),
    (
        "point({x: -0.0, y: 1e308})",
        "point({x: -0.0, y: 1.0E308, crs: 'cartesian'})",
    ),
    (
        "point({x: 1, y: 2, z: 3})",
        "point({x: 1.0, y: 2.0, z: 3.0, crs: 'cartesian-3d'})",
    ),
    (
        "point({longitude: -180, latitude: 90})",
        "point({x: -180.0, y: 90.0, crs: 'wgs-84'})",
    ),
    (
        "point({longitude: 12.5, latitude: -7.25, height: 8848.86})",
        "point({x: 12.5, y: -7.25, z: 8848.86, crs: 'wgs-84-3d'})",
    ),
];

/// The values that are sent.
fn scalars() -> Vec<Value> {
    let floats = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        5e-324,
        f64::MAX,
        0.1 + 0.2,
    ];
    let ints = [0, -1, i64::MIN, i64::MAX, 127, 128, -128, -129, 1 << 40];
    let strings = ["", "ä\u{1F3D4}\u{0}\n\"'`\\u0041", &"x".repeat(70_000)].map(Value::from);
    let bytes = vec![Value::Bytes(vec![]), Value::Bytes((0..=255).collect())];
    let lists = vec![
        Value::List(vec![]),
        Value::List(vec![Value::Int(1), Value::Int(i64::MIN)]),
        Value::List(floats.map(Value::Float).to_vec()),
        Value::List(strings.to_vec()),
        Value::List(vec![Value::Bool(true), Value::Bool(false)]),
        Value::List((0..70_000).map(Value::Int).collect()),
    ];
    let mut all: Vec<Value> = floats.map(Value::Float).to_vec();
    all.extend(ints.map(Value::Int));
    all.extend([Value::Bool(true), Value::Bool(false)]);
    all.extend(strings);
    all.extend(bytes);
    all.extend(lists);
    all
}

/// Fills an empty database.
pub async fn make(target: &Target) {
    for (i, value) in scalars().into_iter().enumerate() {
        let parameters = Value::map([("i", Value::Int(i as i64)), ("v", value)]);
        query_with(target, "CREATE (:Scalar {i: $i, v: $v})", parameters).await;
    }
    for (i, (text, _)) in TEMPORAL.iter().enumerate() {
        query(
            target,
            &format!("CREATE (:Temporal {{i: {i}, v: {text}, list: [{text}, {text}]}})"),
        )
        .await;
    }
    for name in ODD_NAMES {
        let parameters = Value::map([("name", Value::from(name))]);
        let text = "CREATE (a:$($name):Odd) SET a[$name] = 1 CREATE (a)-[r:$($name)]->(a) SET r[$name] = $name";
        query_with(target, text, parameters).await;
    }
    for text in [
        "CREATE ()",
        "CREATE ({only: 'properties'})",
        "CREATE (:A:B:C:D {k: 1}), (:D:C {k: 2})",
        // Equal twins, of which one has the relationship; loops; parallels, equal and not.
        "CREATE (:Twin {k: 1})-[:KNOWS {since: date('2020-02-29')}]->(h:Hub {k: 0}), (:Twin {k: 1})",
        "MATCH (h:Hub) CREATE (h)-[:LOOP]->(h), (h)-[:LOOP]->(h), (h)-[:LOOP {w: 1.5}]->(h)",
        "MATCH (h:Hub) UNWIND range(1, 3) AS i CREATE (h)-[:PAR {i: i % 2}]->(:Leaf {i: i})-[:PAR]->(h)",
        "UNWIND range(1, 12000) AS i CREATE (:Many {i: i})",
        "MATCH (a:Many) WITH a MATCH (b:Many {i: (a.i * 7919) % 12000 + 1}) CREATE (a)-[:NEXT {i: a.i}]->(b)",
    ] {
        query(target, text).await;
    }
    for text in [
        "CREATE CONSTRAINT many_unique FOR (n:Many) REQUIRE n.i IS UNIQUE",
        "CREATE CONSTRAINT pair_unique FOR (n:`two words`) REQUIRE (n.a, n.b) IS UNIQUE",
        "CREATE CONSTRAINT rel_unique FOR ()-[r:NEXT]-() REQUIRE r.i IS UNIQUE",
        "CREATE RANGE INDEX composite FOR (n:Leaf) ON (n.i, n.`tick``ed`)",
        "CREATE RANGE INDEX rel_range FOR ()-[r:KNOWS]-() ON (r.since)",
        "CREATE TEXT INDEX texts FOR (n:Leaf) ON (n.name)",
        "CREATE POINT INDEX points FOR (n:Temporal) ON (n.v) OPTIONS {indexConfig: {`spatial.cartesian.min`: [-10.0, -10.0]}}",
        "CREATE FULLTEXT INDEX words FOR (n:Odd|`Größe·層`) ON EACH [n.v, n.`two words`] OPTIONS {indexConfig: {`fulltext.analyzer`: 'english'}}",
        "CREATE VECTOR INDEX vectors FOR (n:Leaf) ON (n.embedding) OPTIONS {indexConfig: {`vector.dimensions`: 3, `vector.similarity_function`: 'euclidean'}}",
        "CALL db.awaitIndexes(120)",
        // A value is too long for it: it stays, broken.
        "CREATE TEXT INDEX broken FOR (n:Scalar) ON (n.v)",
    ] {
        query(target, text).await;
    }
    let mut connection = super::connect(target).await;
    let begin = Begin::read("test");
    let waiting = connection.query("CALL db.awaitIndexes(120)", Value::Map(Vec::new()), &begin);
    waiting.await.expect_err("an index fails");
}

/// What the server itself says of every property, as text: another way to see values than our codec.
pub async fn as_told(target: &Target) -> Vec<Vec<Value>> {
    query(
        target,
        "MATCH (n) WHERE NOT n:__SummitctlMarker AND NOT n:Many AND NOT n:Huge UNWIND keys(n) AS k \
         WITH labels(n) AS l, k, n[k] AS v UNWIND l AS label WITH label, k, v ORDER BY label, k \
         RETURN label, k, valueType(v), CASE WHEN valueType(v) STARTS WITH 'LIST' \
         THEN reduce(t = '', x IN v | t + '|' + coalesce(toStringOrNull(x), '?')) \
         ELSE coalesce(toStringOrNull(v), '?') END AS told ORDER BY label, k, valueType(v), told",
    )
    .await
}

/// Temporal and spatial values are what was meant.
pub async fn check_temporal(target: &Target) {
    let rows = query(
        target,
        "MATCH (t:Temporal) RETURN toString(t.v) ORDER BY t.i",
    )
    .await;
    let told: Vec<&str> = rows.iter().filter_map(|row| row[0].as_str()).collect();
    let meant: Vec<&str> = TEMPORAL.iter().map(|(_, meant)| *meant).collect();
    assert_eq!(told, meant);
}

/// Sent values come back bit by bit.
pub async fn check_scalars(target: &Target) {
    let rows = query(target, "MATCH (s:Scalar) RETURN s.v ORDER BY s.i").await;
    let encoded = |value: &Value| {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    };
    for (row, sent) in rows.iter().zip(scalars()) {
        assert_eq!(encoded(&row[0]), encoded(&sent));
    }
    assert_eq!(rows.len(), scalars().len());
}

//! Reading a whole database in read transactions side by side, and finding out whether that was one moment.
//!
//! Neo4j isolates at "read committed": a transaction sees what others commit while it runs. So the newest committed
//! transaction is asked for before and after (a read transaction's bookmark names it). The reading transactions wait
//! for the first bookmark to be wholly applied, and name the newest when they end; if all of these and the second are the
//! same, nothing was committed in between, on whichever member of a cluster each of them was, and what was read is one
//! moment. If not, it is read again, and after the last attempt the capture is labelled fuzzy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::barrier::{Barrier, Held};
use super::bolt::packstream::Value;
use super::bolt::raw::Raw;
use super::bolt::{Begin, Connection};
use super::counts::{Counts, KEYS};
use super::part::Part;
use super::rows::{self, NodeRecord, RelationshipRecord};
use super::scan::{self, What, Worker};
use super::target::Target;
use super::{INCONSISTENT, migrations, schema, server};
use crate::capture::{
    BatchFingerprinter, Captured, Consistency, FingerprintKey, PartInfo, PartSink,
};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::identity::Store;
use crate::time::{Instant, Span};
use crate::wait::{Cancel, Deadline};

/// The first reading and two more.
const ATTEMPTS: u32 = 3;

/// How a capture is made.
#[derive(Clone)]
pub struct CaptureOptions {
    /// The key of the fingerprints.
    pub key: FingerprintKey,
    /// How many connections read at once.
    pub jobs: usize,
    /// What the parts call the database, if not what the server does: one that was loaded from a dump keeps its name.
    pub called: Option<String>,
    /// For how long writes may be held back at a time, if a first reading was disturbed.
    pub barrier: Option<Duration>,
    /// Where progress goes.
    pub events: Events,
    /// Who may stop it.
    pub cancel: Cancel,
}

/// Captures the target's database into `sink`.
pub async fn capture(
    target: &Target,
    sink: &dyn PartSink,
    options: &CaptureOptions,
) -> Result<Captured> {
    options.cancel.guard(run(target, sink, options)).await
}

async fn run(target: &Target, sink: &dyn PartSink, options: &CaptureOptions) -> Result<Captured> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    let identity = server::identity(&mut connection, target).await?;
    let (server_version, _) = server::version(&mut connection).await?;
    let database = server::database(&mut connection).await?;
    let name = options.called.as_ref().unwrap_or(&database.name);
    let mut attempt = 1;
    let (pass, troubles, consistency, method, from, to) = loop {
        options.cancel.check()?;
        let barrier = match options.barrier.filter(|_| attempt > 1) {
            Some(limit) => raise(target, limit, options).await,
            None => None,
        };
        let from = Instant::now();
        let before = bookmark(&mut connection).await?;
        let pass = read(target, &mut connection, &before, name, sink, options).await?;
        let troubles = migrations::troubles(&mut connection, name).await?;
        let after = bookmark(&mut connection).await?;
        let to = Instant::now();
        let held = match barrier {
            Some(barrier) => held(&barrier.end().await),
            None => String::new(),
        };
        if is_one_moment(&before, &after, &pass.bookmarks) {
            let method = format!("bookmark unchanged{held}");
            break (pass, troubles, Consistency::PointInTime, method, from, to);
        }
        if attempt == ATTEMPTS {
            let method = format!("bookmark changed during each of {ATTEMPTS} readings{held}");
            break (pass, troubles, Consistency::Fuzzy, method, from, to);
        }
        options.events.note(format!(
            "Neo4j committed transactions while it was read: reading again ({} of {ATTEMPTS})",
            attempt + 1
        ));
        attempt += 1;
    };
    connection.close().await;
    let (parts, mut not_carried) = pass.finish(consistency).await?;
    let edition = identity.facts.get("edition").map(String::as_str);
    not_carried.extend(unproven(edition));
    Ok(Captured {
        store: Store::Neo4j,
        identity,
        server_version,
        consistency,
        method,
        from,
        to,
        not_carried,
        troubles: Some(troubles),
        parts,
    })
}

/// What is to be said of another edition than the one that our tests run.
fn unproven(edition: Option<&str>) -> Option<String> {
    let edition = edition.filter(|edition| *edition != "community")?;
    Some(format!(
        "unproven: what only the {edition} edition of Neo4j has; backup and restore are proved with the community edition alone"
    ))
}

/// The barrier, if it can be raised: a reading without it is worth what the bookmark says.
async fn raise(target: &Target, limit: Duration, options: &CaptureOptions) -> Option<Barrier> {
    match Barrier::raise(target, limit, &options.events, &options.cancel).await {
        Ok(barrier) => Some(barrier),
        Err(error) => {
            let why = error.one_line();
            options
                .events
                .note(format!("writes to Neo4j are not held back: {why}"));
            None
        }
    }
}

fn held(held: &Held) -> String {
    let lasted = Span(Duration::from_millis(held.lasted.as_millis() as u64));
    let until = if held.throughout {
        ""
    } else {
        ", which was not long enough"
    };
    format!(", writes held back for {lasted}{until}")
}

/// Whether nothing was committed meanwhile, wherever one looked.
fn is_one_moment(before: &str, after: &str, readers: &[String]) -> bool {
    after == before && readers.iter().all(|reader| reader == before)
}

/// The newest transaction committed in the database, as a read transaction's bookmark names it.
async fn bookmark(connection: &mut Connection) -> Result<String> {
    connection.begin(&Begin::read("bookmark")).await?;
    connection
        .run("RETURN 1", Value::Map(Vec::new()))
        .await?
        .all()
        .await?;
    connection.commit().await
}

/// One reading: all parts written and none sealed, since only the second bookmark says what they are worth.
struct Pass {
    schema: Part,
    nodes: Part,
    relationships: Part,
    failed_indexes: Vec<String>,
    /// Relationships at a node that was not read: at our marker, or made meanwhile.
    at_marker: u64,
    dangling: u64,
    /// The newest transaction that each reader's server had committed at its end.
    bookmarks: Vec<String>,
}

impl Pass {
    async fn finish(self, consistency: Consistency) -> Result<(Vec<PartInfo>, Vec<String>)> {
        let mut not_carried = vec![
            "users, roles and settings: they live in the database `system` and in files".to_owned(),
        ];
        if self.at_marker > 0 {
            not_carried.push(format!(
                "{} relationships of the marker node `{}`",
                self.at_marker,
                rows::MARKER_LABEL
            ));
        }
        match (self.dangling, consistency) {
            (0, _) => {}
            (n, Consistency::Fuzzy) => not_carried.push(format!(
                "{n} relationships whose nodes appeared or went while they were read"
            )),
            (n, Consistency::PointInTime | Consistency::Apart) => {
                return Err(Error::new(
                    &INCONSISTENT,
                    format!("{n} relationships begin or end at nodes that a scan does not find"),
                ));
            }
        }
        for name in &self.failed_indexes {
            not_carried.push(format!(
                "the content of index `{name}`: its population failed"
            ));
        }
        let mut parts = Vec::new();
        for part in [self.nodes, self.relationships, self.schema] {
            parts.push(part.finish().await?);
        }
        Ok((parts, not_carried))
    }
}

async fn read(
    target: &Target,
    connection: &mut Connection,
    after: &str,
    database: &str,
    sink: &dyn PartSink,
    options: &CaptureOptions,
) -> Result<Pass> {
    let mut begin = Begin::read("capture").unlimited();
    begin.bookmarks = vec![after.to_owned()];
    let found = schema::read(connection, &begin).await?;
    let markers = server::marker_ids(connection).await?;
    let meta = |key: &str, version: u64| BTreeMap::from([(key.to_owned(), json!(version))]);

    let part = |name: &str, format, meta| {
        let name = format!("neo4j/{database}/{name}");
        async move { Part::create(sink, &name, format, meta, options).await }
    };
    let mut about = meta("schema-format", 1);
    about.insert("failed-indexes".to_owned(), json!(found.failed));
    let mut schema = part("schema", schema::FORMAT, about).await?;
    schema.sum = schema::fingerprint(&found.items, &options.key);
    schema.write(&schema::write(&found.items)?).await?;

    let about = meta("row-format", rows::ROW_FORMAT);
    let mut nodes = part("nodes", rows::FORMAT, about.clone()).await?;
    let make = || NodeWorker {
        sum: options.key.gather(),
        seen: IdSet::default(),
        labels: Counts::default(),
    };
    let (what, jobs) = (What::Nodes, options.jobs);
    let done = scan::read(target, &begin, what, jobs, make, Some(&mut nodes)).await?;
    let mut sum = options.key.start();
    let (mut seen, mut labels) = (IdSet::default(), Counts::default());
    for mut worker in done.workers {
        sum.merge(&worker.sum.finish());
        seen.merge(worker.seen);
        labels.merge(worker.labels);
    }
    nodes.note(KEYS[0], labels.meta());
    let mut bookmarks = done.bookmarks;
    nodes.sum = sum.finish();

    let mut relationships = part("relationships", rows::FORMAT, about).await?;
    let (seen, markers) = (Arc::new(seen), Arc::new(markers));
    let make = || RelationshipWorker {
        sum: options.key.gather(),
        seen: Arc::clone(&seen),
        markers: Arc::clone(&markers),
        types: Counts::default(),
        at_marker: 0,
        dangling: 0,
    };
    let what = What::Relationships;
    let done = scan::read(target, &begin, what, jobs, make, Some(&mut relationships)).await?;
    let mut sum = options.key.start();
    let (mut at_marker, mut dangling) = (0, 0);
    let mut types = Counts::default();
    bookmarks.extend(done.bookmarks);
    for mut worker in done.workers {
        sum.merge(&worker.sum.finish());
        types.merge(worker.types);
        at_marker += worker.at_marker;
        dangling += worker.dangling;
    }
    relationships.sum = sum.finish();
    relationships.note(KEYS[1], types.meta());
    Ok(Pass {
        schema,
        nodes,
        relationships,
        failed_indexes: found.failed,
        at_marker,
        dangling,
        bookmarks,
    })
}

/// Writes nodes, and remembers which there are.
struct NodeWorker {
    sum: BatchFingerprinter,
    seen: IdSet,
    labels: Counts,
}

impl Worker for NodeWorker {
    fn take(&mut self, record: Raw<'_>, out: &mut Vec<u8>) -> Result<i64> {
        let node = NodeRecord::of(record)?;
        let id = node.id;
        self.seen.insert(id);
        let at = rows::frame(out, |out| {
            node.encode(id, out, |label| self.labels.add(label))
        })?;
        self.sum.add(&out[at..]);
        Ok(id)
    }
}

/// Writes the relationships whose ends were read.
struct RelationshipWorker {
    sum: BatchFingerprinter,
    seen: Arc<IdSet>,
    markers: Arc<Vec<i64>>,
    types: Counts,
    at_marker: u64,
    dangling: u64,
}

impl Worker for RelationshipWorker {
    fn take(&mut self, record: Raw<'_>, out: &mut Vec<u8>) -> Result<i64> {
        let relationship = RelationshipRecord::of(record)?;
        let id = relationship.id;
        let ends = [relationship.start, relationship.end];
        if ends.iter().any(|end| self.markers.contains(end)) {
            self.at_marker += 1;
            return Ok(id);
        }
        if !ends.iter().all(|end| self.seen.contains(*end)) {
            self.dangling += 1;
            return Ok(id);
        }
        self.types.add(relationship.kind);
        relationship.frame(out, |row| self.sum.add(row))?;
        Ok(id)
    }
}

/// The ids of the nodes that were read: one bit each where they lie close together.
#[derive(Default)]
struct IdSet(BTreeMap<i64, Box<[u64; 64]>>);

impl IdSet {
    fn insert(&mut self, id: i64) {
        let page = self.0.entry(id >> 12).or_insert_with(|| Box::new([0; 64]));
        page[((id >> 6) & 63) as usize] |= 1 << (id & 63);
    }

    /// Adds the ids of another; workers share no range, but a page may be wider or narrower than one.
    fn merge(&mut self, other: IdSet) {
        for (page, bits) in other.0 {
            let ours = self.0.entry(page).or_insert_with(|| Box::new([0; 64]));
            ours.iter_mut().zip(bits.iter()).for_each(|(a, b)| *a |= b);
        }
    }

    fn contains(&self, id: i64) -> bool {
        self.0
            .get(&(id >> 12))
            .is_some_and(|page| page[((id >> 6) & 63) as usize] >> (id & 63) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::MemoryParts;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_set_holds_what_was_put_in(
            ids in proptest::collection::btree_set(0_i64..20_000, 0..200), far in 0_i64..i64::MAX
        ) {
            let mut set = IdSet::default();
            ids.iter().for_each(|id| set.insert(*id));
            for id in 0..20_000 {
                prop_assert_eq!(set.contains(id), ids.contains(&id));
            }
            set.insert(far);
            prop_assert!(set.contains(far));
            let (mut even, mut odd) = (IdSet::default(), IdSet::default());
            ids.iter().for_each(|id| if id % 2 == 0 { even.insert(*id) } else { odd.insert(*id) });
            even.merge(odd);
            prop_assert!(ids.iter().all(|id| even.contains(*id)));
        }
    }

    #[test]
    fn every_reader_must_have_seen_the_same_newest_transaction() {
        let readers = |seen: &[&str]| seen.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert!(is_one_moment("n", "n", &readers(&["n", "n"])));
        assert!(!is_one_moment("n", "m", &readers(&["n", "n"])));
        // The member of a cluster that was asked before and after lags; another one, which was read, does not.
        assert!(!is_one_moment("n", "n", &readers(&["n", "m"])));
    }

    #[tokio::test]
    async fn relationships_without_their_nodes_are_left_out_of_a_fuzzy_capture_and_damage_a_quiet_one()
     {
        for (consistency, dangling) in [
            (Consistency::Fuzzy, 2),
            (Consistency::PointInTime, 2),
            (Consistency::PointInTime, 0),
        ] {
            let options = CaptureOptions {
                key: FingerprintKey::new([1; 32]),
                jobs: 1,
                called: None,
                barrier: None,
                events: Events::silent(),
                cancel: Cancel::new(),
            };
            let parts = MemoryParts::default();
            let part = async |name| {
                let made = Part::create(&parts, name, rows::FORMAT, BTreeMap::new(), &options);
                made.await.expect("creates")
            };
            let pass = Pass {
                schema: part("schema").await,
                nodes: part("nodes").await,
                relationships: part("relationships").await,
                failed_indexes: Vec::new(),
                at_marker: 0,
                dangling,
                bookmarks: Vec::new(),
            };
            match (pass.finish(consistency).await, consistency, dangling) {
                (Ok((_, lines)), Consistency::Fuzzy, _) => {
                    assert!(lines[1].starts_with("2 relationships whose nodes appeared or went"));
                }
                (Err(error), Consistency::PointInTime, 2) => {
                    assert_eq!(error.reason(), &INCONSISTENT);
                }
                (Ok((_, lines)), Consistency::PointInTime, 0) => assert_eq!(lines.len(), 1),
                (other, ..) => panic!("{:?}", other.map(|seen| seen.1)),
            }
        }
    }

    #[test]
    fn another_edition_is_marked() {
        assert_eq!(unproven(Some("community")), None);
        assert_eq!(unproven(None), None);
        let said = unproven(Some("enterprise")).expect("is marked");
        assert!(
            said.starts_with("unproven: what only the enterprise edition"),
            "{said}"
        );
    }
}

//! A capture as files for `neo4j-admin database import`, the way into a database that is not running.
//!
//! Nodes keep the source's ids (`--id-type=actual`), so relationships need no map to find them. Rows are grouped by the
//! names and types of their properties, a file each. CSV cannot say everything: empty lists, byte arrays, NaN, infinities,
//! points, durations, times with named zones, control characters, names with punctuation, nor rows of more than 2 MiB. A node's
//! properties of that kind, and relationships that have any, are kept aside and follow over Bolt ([`complete`]).

mod cell;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use self::cell::Row;
use super::bolt::packstream::Value;
use super::bolt::{Begin, Connection};
use super::idmap::IdMap;
use super::restore::{self, Parts, RestoreOptions, Restored};
use super::rows::{self, Frames, Node, Relationship, unexpected_record, without_id};
use super::target::Target;
use super::{schema, server};
use crate::capture::{Fingerprint, PartSource};
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// As many files of rows of one kind are open at once, and may be: rows of rarer kinds follow over Bolt.
pub const GROUPS: usize = 200;

const PATCH_ROWS: usize = 5_000;
const PATCH_BYTES: usize = 2 << 20;

/// A capture as files.
#[derive(Debug)]
pub struct Staged {
    folder: PathBuf,
    nodes: usize,
    relationships: usize,
    multiline: bool,
    parts: Parts,
    wanted: Vec<schema::Item>,
    nodes_seen: Fingerprint,
    relationships_seen: Fingerprint,
    id_map: IdMap,
    /// Nodes whose properties follow over Bolt.
    pub patched_nodes: u64,
    /// Relationships that follow over Bolt.
    pub patched_relationships: u64,
}

impl Staged {
    /// The arguments of `neo4j-admin`, run in the files' folder, that load them into the database `neo4j` of a home without
    /// one. They name no folder, because a comma in a path would end it.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = [
            "database",
            "import",
            "full",
            "neo4j",
            "--id-type=actual",
            "--overwrite-destination=true",
            "--bad-tolerance=0",
            "--legacy-style-quoting=false",
            "--trim-strings=false",
            "--ignore-empty-strings=false",
            "--array-delimiter=U+001F",
        ]
        .map(OsString::from)
        .to_vec();
        arguments.push(format!("--multiline-fields={}", self.multiline).into());
        arguments.push("--report-file=report".into());
        for (option, groups) in [("nodes", self.nodes), ("relationships", self.relationships)] {
            for group in 0..groups {
                let files = format!("{option}-{group}.header,{option}-{group}.csv");
                arguments.push(format!("--{option}={files}").into());
            }
        }
        arguments
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes the files that neo4j-admin has read; what follows over Bolt stays.
    pub fn remove_files(&self) -> Result<()> {
        for (what, groups) in [("nodes", self.nodes), ("relationships", self.relationships)] {
            for group in 0..groups {
                for kind in ["header", "csv"] {
                    let path = self.folder.join(format!("{what}-{group}.{kind}"));
                    std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
                }
            }
        }
        Ok(())
    }

    fn aside(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{what}.aside"))
    }
}

/// Writes the files into `folder`, which only we may read: at most `groups` of nodes, and of relationships. `None` if the
/// capture cannot be loaded this way: it holds no node, or a label or type with a control character in it.
pub async fn stage(
    source: &dyn PartSource,
    folder: &Path,
    groups: usize,
    options: &RestoreOptions,
) -> Result<Option<Staged>> {
    let writing = write(source, folder, groups, options);
    options.cancel.guard(writing).await
}

async fn write(
    source: &dyn PartSource,
    folder: &Path,
    groups: usize,
    options: &RestoreOptions,
) -> Result<Option<Staged>> {
    let parts = restore::parts_of(source)?;
    let wanted = restore::wanted_schema(source, &parts.schema, options).await?;
    let mut nodes = Groups::new(folder, groups, "nodes", ":ID,:LABEL");
    let mut aside = Aside::create(&folder.join("nodes.aside"))?;
    let mut reader = source.open(&parts.nodes.name).await?;
    let mut frames = Frames::new(&parts.nodes, reader.as_mut())?;
    let mut pace = restore::Pace::new(&options.events, &parts.nodes);
    let mut sum = options.key.gather();
    let mut ids = Vec::new();
    let mut row = Row::default();
    while let Some((bytes, values)) = frames.next().await? {
        sum.add(bytes);
        let full = pace.row(bytes.len());
        let Some(node) = Node::of(values) else {
            return Err(frames.bad("it is no node"));
        };
        ids.push((node.id, node.id));
        let labels: Vec<&str> = node.labels.iter().filter_map(Value::as_str).collect();
        let Value::Map(properties) = node.properties else {
            return Err(frames.bad("it is no node"));
        };
        if !row.begin(&[node.id], &labels) {
            return Ok(None);
        }
        let mut rest = refused(&mut row, &properties);
        if !nodes.put(&row)? {
            row.strip();
            nodes.put(&row)?;
            rest = properties;
        }
        if !rest.is_empty() {
            aside.put(&Value::List(vec![Value::Int(node.id), Value::Map(rest)]))?;
        }
        if full {
            pace.sent();
            options.cancel.check()?;
            // Nothing else here waits, and the other stores are restored by the same task.
            tokio::task::yield_now().await;
        }
    }
    pace.sent();
    let nodes_seen = sum.finish();
    restore::check(&parts.nodes, &nodes_seen)?;
    if ids.is_empty() {
        return Ok(None);
    }
    let patched_nodes = aside.finish()?;
    let id_map = IdMap::new(&parts.database, ids);

    let header = ":START_ID,:END_ID,:TYPE";
    let mut relationships = Groups::new(folder, groups, "relationships", header);
    let mut aside = Aside::create(&folder.join("relationships.aside"))?;
    let mut reader = source.open(&parts.relationships.name).await?;
    let mut frames = Frames::new(&parts.relationships, reader.as_mut())?;
    let mut pace = restore::Pace::new(&options.events, &parts.relationships);
    let mut sum = options.key.gather();
    while let Some((bytes, values)) = frames.next().await? {
        sum.add(&without_id(bytes));
        let full = pace.row(bytes.len());
        let Some(relationship) = Relationship::of(values) else {
            return Err(frames.bad("it is no relationship"));
        };
        let (start, end) = (relationship.start, relationship.end);
        if id_map.new_of(start).is_none() || id_map.new_of(end).is_none() {
            return Err(frames.bad("it begins or ends at a node that the capture does not hold"));
        }
        let Value::Map(properties) = relationship.properties else {
            return Err(frames.bad("it is no relationship"));
        };
        if !row.begin(&[start, end], &[&relationship.kind]) {
            return Ok(None);
        }
        if !refused(&mut row, &properties).is_empty() || !relationships.put(&row)? {
            // Nothing says afterwards which relationship it was, so it follows as a whole.
            aside.put(&Value::List(vec![
                Value::Int(start),
                Value::Int(end),
                Value::String(relationship.kind),
                Value::Map(properties),
            ]))?;
        }
        if full {
            pace.sent();
            options.cancel.check()?;
            // Nothing else here waits, and the other stores are restored by the same task.
            tokio::task::yield_now().await;
        }
    }
    pace.sent();
    let relationships_seen = sum.finish();
    restore::check(&parts.relationships, &relationships_seen)?;
    let patched_relationships = aside.finish()?;
    let multiline = nodes.multiline || relationships.multiline;
    Ok(Some(Staged {
        folder: folder.to_owned(),
        nodes: nodes.finish()?,
        relationships: relationships.finish()?,
        multiline,
        parts,
        wanted,
        nodes_seen,
        relationships_seen,
        id_map,
        patched_nodes,
        patched_relationships,
    }))
}

/// Adds properties to a row; returns those that CSV cannot say.
fn refused(row: &mut Row, properties: &[(String, Value)]) -> Vec<(String, Value)> {
    let mut refused = Vec::new();
    for (name, value) in properties {
        if !row.add(name, value) {
            refused.push((name.clone(), value.clone()));
        }
    }
    refused
}

/// Adds over Bolt what the files could not say, then constraints and indexes, to a server that runs on the imported
/// database.
pub async fn complete(
    target: &Target,
    staged: Staged,
    options: &RestoreOptions,
) -> Result<Restored> {
    options.cancel.guard(add(target, staged, options)).await
}

async fn add(target: &Target, staged: Staged, options: &RestoreOptions) -> Result<Restored> {
    let mut connection = Connection::open(target, Deadline::after(server::LOGIN)).await?;
    patch_nodes(&mut connection, &staged.aside("nodes"), options).await?;
    add_relationships(&mut connection, &staged.aside("relationships"), options).await?;
    let notes = restore::finish_schema(
        &mut connection,
        &staged.parts.schema,
        &staged.wanted,
        options,
    )
    .await?;
    connection.close().await;
    let Parts {
        nodes,
        relationships,
        schema,
        ..
    } = staged.parts;
    Ok(Restored {
        parts: vec![
            (nodes.name, staged.nodes_seen),
            (relationships.name, staged.relationships_seen),
            (
                schema.name,
                schema::fingerprint(&staged.wanted, &options.key),
            ),
        ],
        id_map: staged.id_map,
        notes,
    })
}

async fn patch_nodes(
    connection: &mut Connection,
    aside: &Path,
    options: &RestoreOptions,
) -> Result<()> {
    let mut reader = AsideReader::open(aside)?;
    while let Some(rows) = reader.batch(options)? {
        let wanted = rows.len();
        let mut list = Vec::with_capacity(rows.len());
        for row in rows {
            let [id @ Value::Int(_), properties @ Value::Map(_)] = row_of(row)? else {
                return Err(unexpected_record());
            };
            list.push(Value::map([("i", id), ("p", properties)]));
        }
        let query =
            "UNWIND $rows AS row MATCH (n) WHERE id(n) = row.i SET n += row.p RETURN count(n)";
        let parameters = Value::map([("rows", Value::List(list))]);
        let begin = Begin::write("restore nodes");
        let made = connection.query(query, parameters, &begin).await?;
        restore::made(&made, wanted, || "imported nodes Neo4j found".to_owned())?;
    }
    Ok(())
}

async fn add_relationships(
    connection: &mut Connection,
    aside: &Path,
    options: &RestoreOptions,
) -> Result<()> {
    let mut reader = AsideReader::open(aside)?;
    while let Some(rows) = reader.batch(options)? {
        let mut batch: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in rows {
            let [start, end, Value::String(kind), properties] = row_of(row)? else {
                return Err(unexpected_record());
            };
            let row = Value::map([("s", start), ("e", end), ("p", properties)]);
            batch.entry(kind).or_default().push(row);
        }
        restore::create_relationships(connection, &mut batch).await?;
    }
    Ok(())
}

fn row_of<const N: usize>(row: Value) -> Result<[Value; N]> {
    match row {
        Value::List(values) => values.try_into().map_err(|_| unexpected_record()),
        _ => Err(unexpected_record()),
    }
}

/// The files of one kind, by the columns of their rows.
struct Groups<'a> {
    folder: &'a Path,
    most: usize,
    what: &'static str,
    header: &'static str,
    files: HashMap<String, BufWriter<File>>,
    multiline: bool,
}

impl<'a> Groups<'a> {
    fn new(folder: &'a Path, most: usize, what: &'static str, header: &'static str) -> Groups<'a> {
        Groups {
            folder,
            most,
            what,
            header,
            files: HashMap::new(),
            multiline: false,
        }
    }

    /// Writes a row to the file of its columns; false if there are too many kinds of rows already.
    fn put(&mut self, row: &Row) -> Result<bool> {
        if !self.files.contains_key(row.header()) {
            // The file for rows without properties is always allowed.
            if self.files.len() >= self.most && !row.header().is_empty() {
                return Ok(false);
            }
            let number = self.files.len();
            let name = |kind: &str| self.folder.join(format!("{}-{number}.{kind}", self.what));
            let mut header = create(&name("header"))?;
            let text = format!("{}{}\n", self.header, row.header());
            header
                .write_all(text.as_bytes())
                .and_then(|()| header.flush())
                .map_err(|e| Error::io("write", self.folder, e))?;
            self.files
                .insert(row.header().to_owned(), create(&name("csv"))?);
        }
        self.multiline |= row.multiline();
        if let Some(file) = self.files.get_mut(row.header()) {
            file.write_all(row.line())
                .and_then(|()| file.write_all(b"\n"))
                .map_err(|e| Error::io("write", self.folder, e))?;
        }
        Ok(true)
    }

    /// How many files there are.
    fn finish(self) -> Result<usize> {
        let count = self.files.len();
        for mut file in self.files.into_values() {
            file.flush()
                .map_err(|e| Error::io("write", self.folder, e))?;
        }
        Ok(count)
    }
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| Error::io("create", path, e))?;
    Ok(BufWriter::with_capacity(128 << 10, file))
}

/// Rows that follow over Bolt, framed.
struct Aside {
    path: PathBuf,
    file: BufWriter<File>,
    count: u64,
    frame: Vec<u8>,
}

impl Aside {
    fn create(path: &Path) -> Result<Aside> {
        Ok(Aside {
            path: path.to_owned(),
            file: create(path)?,
            count: 0,
            frame: Vec::new(),
        })
    }

    fn put(&mut self, row: &Value) -> Result<()> {
        self.frame.clear();
        rows::frame(&mut self.frame, |out| {
            row.encode(out);
            Ok(())
        })?;
        self.count += 1;
        self.file
            .write_all(&self.frame)
            .map_err(|e| Error::io("write", &self.path, e))
    }

    fn finish(mut self) -> Result<u64> {
        self.file
            .flush()
            .map_err(|e| Error::io("write", &self.path, e))?;
        Ok(self.count)
    }
}

struct AsideReader {
    path: PathBuf,
    file: BufReader<File>,
}

impl AsideReader {
    fn open(path: &Path) -> Result<AsideReader> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        Ok(AsideReader {
            path: path.to_owned(),
            file: BufReader::with_capacity(128 << 10, file),
        })
    }

    /// The next rows, as many as a transaction takes; `None` at the end.
    fn batch(&mut self, options: &RestoreOptions) -> Result<Option<Vec<Value>>> {
        options.cancel.check()?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < PATCH_ROWS && bytes < PATCH_BYTES {
            let failed = |e| Error::io("read", &self.path, e);
            if self.file.fill_buf().map_err(failed)?.is_empty() {
                break;
            }
            let mut size = [0; 4];
            self.file.read_exact(&mut size).map_err(failed)?;
            let mut frame = vec![0; u32::from_be_bytes(size) as usize];
            self.file.read_exact(&mut frame).map_err(failed)?;
            bytes += frame.len();
            rows.push(Value::decode(&frame).map_err(|e| unexpected_record().caused_by(e))?);
        }
        Ok((!rows.is_empty()).then_some(rows))
    }
}

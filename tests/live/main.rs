//! Tests on real servers. A missing server fails a test; it never skips it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helpers are tests too: a panic is a failed test, and its output is read by a developer"
)]

mod blockers;
mod can_i;
mod changed;
mod choose;
mod copies;
mod diff;
mod documents;
mod export;
mod faults;
mod fields;
mod import;
mod journey;
mod kills;
mod kubernetes;
mod majors;
mod many;
#[path = "../shared/memory.rs"]
mod memory;
mod migrations;
mod neo4j;
mod poison;
mod postgres;
mod program;
mod prune;
mod redis;
mod restore;
mod runbooks;
mod s3;
mod sandbox;
mod sets;
mod several;
#[path = "../shared/documents.rs"]
mod shared;
mod stock;
mod table;
mod unfinished;

use summitctl::capture::{MemoryParts, PartInfo, PartSink as _};

/// A host that nobody is asked for: the label is longer than any name may be.
fn nameless() -> String {
    format!("{}.invalid", "x".repeat(64))
}

/// A backup of this one part, which holds other bytes than its fingerprint says.
async fn holding(info: &PartInfo, bytes: Vec<u8>) -> MemoryParts {
    let parts = MemoryParts::default();
    let mut writer = parts
        .create(&info.name, &info.format)
        .await
        .expect("creates");
    writer.write(bytes.into()).await.expect("writes");
    writer
        .finish(info.fingerprint, info.meta.clone())
        .await
        .expect("finishes");
    parts
}

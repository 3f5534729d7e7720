//! Hermetic tests of the command line: one binary, a cleared environment, folders of their own; stdout, stderr and the
//! exit code together.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers are tests too: a panic is a failed test"
)]

mod bench;
mod by_hand;
mod commands;
mod copies;
mod documents;
mod forget;
mod generated;
mod interrupted;
mod keys;
mod kills;
#[path = "../shared/memory.rs"]
mod memory;
mod prune;
mod records;
mod refusals;
mod scale;
#[path = "../shared/documents.rs"]
mod shared;
#[path = "../shared/scale.rs"]
mod stock;
mod stocked;
mod unlock;

//! Tests across the repository's modules.

mod flow;
mod kill;
mod open;
pub mod support;
mod tamper;

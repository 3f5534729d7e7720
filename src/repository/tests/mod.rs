//! Tests across the repository's modules.

mod flow;
mod kill;
mod open;
mod stock;
pub mod support;
mod tamper;

//! Tests across the repository's modules.

mod collect;
mod flow;
mod kill;
mod open;
mod steps;
mod stock;
pub mod support;
mod tamper;

//! Tests across the repository's modules.

mod away;
mod collect;
mod copy;
mod damage;
mod flow;
mod kill;
mod open;
mod proved;
mod remember;
mod sampled;
mod scale;
mod steps;
mod stock;
mod stored;
pub mod support;
mod tamper;
mod told_progress;

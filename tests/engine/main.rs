//! Tests of the engine over fakes: every step is failed, repeated, crashed around and resumed, and the end is the same.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers are tests too: a panic is a failed test"
)]

mod fakes;
mod journal;
mod lease;
mod runs;
mod sweep;

//! Tests of the engine over fakes: every step is failed, repeated, crashed around and resumed, and the end is the same.

mod fakes;
mod journal;
mod lease;
mod runs;
mod sweep;

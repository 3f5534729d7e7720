//! Tests that look at the module as a whole: what an attacker, a crash, a second writer or a stock tool does to it.

mod crash;
mod outside;
mod recording;
mod rendering;
mod tamper;

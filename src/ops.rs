//! What the commands do, above the steps and below the terminal: one file per operation, no printing.

pub mod explain;

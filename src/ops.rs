//! The operations: what a command or a schedule asks for, as steps for the engine, and the one way they are executed.

pub mod abandon;
pub mod backup;
pub mod can_restore;
pub mod diff;
pub mod doctor;
pub mod execute;
pub mod explain;
pub mod findings;
pub mod keep;
pub mod keys;
pub mod migrate;
pub mod record;
pub mod restore;
pub mod runbook_run;
pub mod sandbox;
pub mod stale;
pub mod status;

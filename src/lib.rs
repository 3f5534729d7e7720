//! The operator's runbook and ops toolbox: a library, and the thin binary `summitctl`.
#![doc = include_str!("../docs/code-map.md")]
// Stores that are restored side by side are futures nested deeper than the default allows.
#![recursion_limit = "256"]

pub mod capture;
pub mod check;
pub mod cli;
pub mod config;
pub mod consent;
pub mod durable;
pub mod engine;
pub mod error;
pub mod event;
pub mod evidence;
pub mod exit;
pub mod expr;
pub mod identity;
pub mod ops;
pub mod pid;
pub mod providers;
pub mod repository;
pub mod runbook;
pub mod sandbox;
pub mod secret;
pub mod sign;
pub mod steps;
pub mod time;
pub mod tls;
pub mod wait;

//! One folder per outside system: typed facts and actions, no printing, no policy.

pub mod dns;
pub mod http;
pub mod kubernetes;
pub mod neo4j;
pub mod postgres;
pub mod redis;

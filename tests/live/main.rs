//! Tests on real servers. A missing server fails a test; it never skips it.
mod neo4j;
mod postgres;
mod redis;

//! Tests on real servers. A missing server fails a test; it never skips it.
mod postgres;
mod redis;

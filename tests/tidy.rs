//! Mechanical taste.

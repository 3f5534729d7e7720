//! Throw-away servers: the practice stack of `sandbox up`, and the scratch servers that restores are proved on.
//!
//! Everything lives in one labelled folder. Nothing without our label is ever touched or removed.

pub mod platform;
pub mod servers;

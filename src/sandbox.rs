//! Throw-away servers: the practice stack of `sandbox up`, and the scratch servers that restores are proved on.
//!
//! Everything lives in one labelled folder. Nothing without our label is ever touched or removed.

mod context;
pub mod faults;
pub mod folder;
pub mod platform;
pub mod seed;
pub mod servers;
pub mod stack;
pub mod variables;

pub use faults::{Changed, Fault};
pub use folder::{Keys, Layout, Part};
pub use stack::{Down, PartStatus, PartUp, Sandbox, Seen, Status, Up};

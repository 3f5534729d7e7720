//! The step engine: typed steps, a plan that is a value, an executor that journals before it acts.
//!
//! `planner` asks each step what it would do and makes a [`plan::Plan`] with a digest. `executor` takes the plan and a
//! [`crate::consent::Consent`] to that digest, writes intent to the [`journal`] before each effect and the outcome after
//! it, looks again, and can be killed at any point: `resume` re-observes what was in doubt. The engine knows no
//! datastore; it is generic over the world `W` that its steps work on, and is tested over fakes.

mod bind;
pub mod executor;
pub mod journal;
pub mod lease;
pub mod plan;
pub mod planner;
pub mod registry;
pub mod replay;
pub mod runs;
pub mod step;

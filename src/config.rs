//! Contexts, secret references and provenance: what `summitctl.toml` and the environment say, and where each value
//! came from.
//!
//! Nothing here reads the process environment: it is passed in as an [`Environment`]. Secrets are references until
//! [`Endpoint::resolve`] or [`SecretRef::resolve`] fetches them at the last moment. `docs/CONFIG.md` describes the file.

use crate::reasons;

mod bucket;
mod build;
pub mod check;
pub mod compose;
mod connection;
mod context;
mod document;
pub mod dotenv;
mod environment;
mod excerpt;
mod from_env;
mod hints;
mod init;
mod interpolate;
mod keep;
mod kubernetes;
mod load;
pub mod pins;
pub mod reference;
mod show;
mod source;
mod values;
pub mod variables;

pub use bucket::{Bucket, Lock as ObjectLock, Place};
pub use connection::{ConnectionUrl, Endpoint, Resolved, split_password};
pub use context::{
    Context, CrossCheck, DataPlane, ENV_CONTEXT, Evidence, Gateway, Keys, Kubernetes, Lease, Neo4j,
    Offline, Payload, Policy, Postgres, Quiesce, Redis, Rendered, Repository, Request, substitute,
};
pub use environment::Environment;
pub use excerpt::{Position, Text, is_secret_name, nearest, redact};
pub use from_env::{ENV_VARIABLES, from_environment, has_targets};
pub use init::template;
pub use keep::Keep;
pub use load::{Config, FILE_NAME, Locate};
pub use reference::{Presence, SecretRef};
pub use show::{Shown, Value, show};
pub use source::{Provenance, Sourced};
pub use values::{Text as ValueText, Values};

reasons! {
    /// A key that does not exist.
    UNKNOWN_KEY = "config.unknown-key", Usage,
        "The file holds a key that does not exist at this place. The message shows the line and the nearest key that does; \
         the keys are described in `docs/CONFIG.md`.";
    /// A value that makes no sense at its place.
    BAD_VALUE = "config.bad-value", Usage,
        "A value in the configuration cannot be used. The message shows the line and says what is expected there.";
    /// A secret written out where a reference must stand.
    LITERAL_SECRET = "config.literal-secret", Usage,
        "The configuration of a staging or production context holds a password itself. Put it into a variable, a file or a \
         vault, refer to it as `env:NAME`, `file:PATH` or `exec:[…]`, and rotate it if the file was shared or committed.";
    /// There is no configuration at all.
    NO_CONTEXT = "config.no-context", Usage,
        "There is nothing to work on: no `summitctl.toml` was found and none of the platform's variables is set. \
         `summitctl init` writes a file, `summitctl sandbox up` starts a practice stack.";
    /// Nothing has this name.
    UNKNOWN_CONTEXT = "config.unknown-context", Usage,
        "No context has this name. `summitctl context list` shows those that exist and where they are defined.";
    /// Several contexts, and nobody said which.
    AMBIGUOUS_CONTEXT = "config.ambiguous-context", Usage,
        "There are several contexts and nobody said which one is meant. Name one with `--context`, or set `default-context` in the file.";
}

#[cfg(test)]
mod tests;

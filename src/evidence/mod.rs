//! Evidence: signed records of what was done, by whom, when and how it went, which somebody who does not trust us
//! can check offline.
//!
//! A run writes a *start* record before it changes anything and a *closing* record when it is over. Each is an
//! in-toto statement in a DSSE envelope; each signer's records stand in one hash-chained log with a signed head. A
//! start without an end is itself a finding. Formats and stock-tool commands: `docs/EVIDENCE.md`.
//!
//! Write with [`Recorder`]; read with [`Archive`], which verifies first; show with [`render`].

mod archive;
mod bridge;
mod entry;
pub mod envelope;
pub mod export;
mod files;
pub mod keys;
mod log;
mod measure;
mod predicate;
mod record;
pub mod render;
pub mod schema;
mod statement;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod verify;

pub use archive::{Archive, Filed, Query, Run};
pub use bridge::Timeline;
pub use entry::{Anchor, Entry, Head};
pub use keys::TrustedKeys;
pub use measure::sha256_of_file;
pub use predicate::{
    Artefact, CheckRecord, Closing, ClosingFacts, ConsentFact, Failure, Host, IdentityFacts,
    Measure, Measurement, Position, Start, StartFacts, StartRef, StepRecord, Tool, VERSION,
};
pub use record::{EvidenceRef, Recorder};
pub use statement::{CLOSING_TYPE, Kind, Record, START_TYPE, STATEMENT_TYPE, Statement, Subject};
pub use text::{Digest, Facts, Name, Quantity, Seen, Text};
pub use verify::{Finding, Freshness, OpenRun, Report, Severity, SignerReport, verify};

crate::reasons! {
    /// A log, a head or a record is not what was written.
    BROKEN = "evidence.broken", Integrity,
        "A file of the evidence directory is not what was written: edited, removed, swapped, or put there by somebody else. \
         The message names the first bad record. Keep the directory for examination, compare it with a copy or a stored anchor, \
         and move the damaged signer's folder aside so that new records go to a fresh log.";
    /// A record's signature does not fit.
    BAD_SIGNATURE = "evidence.bad-signature", Integrity,
        "The signature does not fit the record: one of the two was changed. Do not rely on the record.";
    /// A record is signed by somebody who is not trusted.
    UNTRUSTED = "evidence.untrusted-signer", Integrity,
        "The record may be whole, but its signer is not among the trusted keys, so it proves nothing yet. Get the signer's \
         public key from the signer, never from the evidence directory, and pass it with `--trusted-key`.";
    /// A file does not have its form.
    MALFORMED = "evidence.malformed", Integrity,
        "A file does not have the form of an envelope, statement, log or head.";
    /// A newer or foreign format.
    UNKNOWN_FORMAT = "evidence.unknown-format", Usage,
        "The record has a type or version that this summitctl does not know. Use the version that wrote it, or a newer one.";
    /// The stored anchor is not in the log.
    ANCHOR_MISSING = "evidence.anchor-missing", Integrity,
        "The log does not contain the entry that `--expect-head` names: it was rolled back or replaced since the anchor was stored.";
    /// Nothing is trusted.
    NO_TRUSTED_KEY = "evidence.no-trusted-key", Usage,
        "Verification needs at least one public key that you trust. Pass a file or a folder of public keys with `--trusted-key`.";
    /// Another process writes.
    LOCKED = "evidence.locked", Failed,
        "Another process held the log's lock for longer than a record takes to write. Look for a stopped summitctl on this host; \
         the lock ends with its process.";
    /// The run's id is taken.
    RUN_CONFLICT = "evidence.run-conflict", Refused,
        "A run with this id has a start record already, and it says something else. Run ids are never used twice.";
}

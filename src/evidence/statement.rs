//! in-toto Statements (attestation framework v1) that carry our two predicates.
//!
//! A statement binds a predicate to *subjects*: immutable things named by digest. Subjects are what the caller
//! measured (a backup's manifest, a commit, an image), the plan, the executable, or the start record; never made up.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::predicate::{Closing, Position, Start, VERSION};
use super::text::{Digest, Name, Text, is_hex};
use super::{MALFORMED, UNKNOWN_FORMAT};
use crate::error::{Error, Result};

/// `_type` of every statement: in-toto attestation framework, Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The predicate type of a start record. A name, not an address: nothing is fetched from anywhere.
pub const START_TYPE: &str = "urn:summitctl:evidence:start:v1";
/// The predicate type of a closing record.
pub const CLOSING_TYPE: &str = "urn:summitctl:evidence:closing:v1";

/// An in-toto Statement, its fields in the specification's order and spelling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Statement<P> {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What the statement is about; at least one.
    pub subject: Vec<Subject>,
    /// Which predicate follows.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// The claim.
    pub predicate: P,
}

/// Something immutable, named by its digests (in-toto's ResourceDescriptor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// What it is called.
    pub name: Text,
    /// Algorithm to lower-case hexadecimal digest, as in-toto's DigestSet defines them.
    pub digest: BTreeMap<String, String>,
}

impl Subject {
    /// Something whose SHA-256 is known: a backup's manifest, an image, a file.
    pub fn sha256(name: impl Into<Text>, digest: &Digest) -> Self {
        Self::of(name, "sha256", digest.hex())
    }

    /// A Git commit by its full id.
    pub fn git_commit(name: impl Into<Text>, commit: &str) -> Result<Self> {
        if is_hex(commit, 40) || is_hex(commit, 64) {
            Ok(Self::of(name, "gitCommit", commit))
        } else {
            Err(
                Error::input(format!("`{commit}` is not a whole Git commit id"))
                    .hint("Give all 40 digits, as `git rev-parse HEAD` prints them."),
            )
        }
    }

    /// A container image by its digest, `sha256:…` or `repository@sha256:…`.
    pub fn image(reference: &str) -> Result<Self> {
        let (name, digest) = reference.rsplit_once('@').unwrap_or(("image", reference));
        let digest: Digest = digest
            .starts_with("sha256:")
            .then(|| digest.parse().ok())
            .flatten()
            .ok_or_else(|| {
                Error::input(format!(
                    "`{reference}` does not name an image by its digest"
                ))
                .hint("A tag can move. Give `repository@sha256:` and 64 digits.")
            })?;
        Ok(Self::sha256(name, &digest))
    }

    fn of(name: impl Into<Text>, algorithm: &str, hex: &str) -> Self {
        Subject {
            name: name.into(),
            digest: BTreeMap::from([(algorithm.to_owned(), hex.to_owned())]),
        }
    }
}

/// Which of the two records.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A start record.
    Start,
    /// A closing record.
    End,
}

impl Kind {
    /// The word in file names and output.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Start => "start",
            Kind::End => "end",
        }
    }

    /// Its predicate type.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Kind::Start => START_TYPE,
            Kind::End => CLOSING_TYPE,
        }
    }
}

/// Either record's predicate.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A start record.
    Start(Box<Start>),
    /// A closing record.
    Closing(Box<Closing>),
}

impl Record {
    /// Which of the two it is.
    pub fn kind(&self) -> Kind {
        match self {
            Record::Start(_) => Kind::Start,
            Record::Closing(_) => Kind::End,
        }
    }

    /// The run's id.
    pub fn run(&self) -> &Name {
        match self {
            Record::Start(start) => &start.facts.run,
            Record::Closing(closing) => &closing.run,
        }
    }

    /// What was done.
    pub fn operation(&self) -> &Name {
        match self {
            Record::Start(start) => &start.facts.operation,
            Record::Closing(closing) => &closing.operation,
        }
    }

    /// The context's name.
    pub fn context(&self) -> &Name {
        match self {
            Record::Start(start) => &start.facts.context,
            Record::Closing(closing) => &closing.context,
        }
    }

    /// Where it stands in its log.
    pub fn position(&self) -> &Position {
        match self {
            Record::Start(start) => &start.log,
            Record::Closing(closing) => &closing.log,
        }
    }

    /// The bytes that get signed: the statement as compact JSON, every free text masked.
    pub fn to_payload(&self, subject: Vec<Subject>) -> Result<Vec<u8>> {
        let bytes = match self {
            Record::Start(start) => payload(START_TYPE, subject, start),
            Record::Closing(closing) => payload(CLOSING_TYPE, subject, closing),
        }?;
        // What cannot be read back must not be signed.
        Record::from_payload(&bytes).map_err(|e| {
            Error::bug("a record does not read back as it was written").caused_by(e)
        })?;
        Ok(bytes)
    }

    /// Reads a signed payload. Unknown fields are ignored, as in-toto asks; unknown types and versions are errors.
    pub fn from_payload(bytes: &[u8]) -> Result<(Vec<Subject>, Record)> {
        let malformed = |what: &str, e: serde_json::Error| {
            Error::new(&MALFORMED, format!("the payload is not {what}")).caused_by(e)
        };
        let statement: Statement<Value> =
            serde_json::from_slice(bytes).map_err(|e| malformed("an in-toto statement", e))?;
        if statement.kind != STATEMENT_TYPE {
            return Err(unknown("statement type", &statement.kind));
        }
        if statement.subject.is_empty() {
            return Err(Error::new(&MALFORMED, "the statement has no subject"));
        }
        let predicate = statement.predicate;
        let version = predicate.get("version").and_then(Value::as_u64);
        if version != Some(u64::from(VERSION))
            && [START_TYPE, CLOSING_TYPE].contains(&statement.predicate_type.as_str())
        {
            let seen = version.map_or_else(|| "none".to_owned(), |v| v.to_string());
            return Err(unknown("predicate version", &seen));
        }
        let record = match statement.predicate_type.as_str() {
            START_TYPE => serde_json::from_value(predicate)
                .map(|start| Record::Start(Box::new(start)))
                .map_err(|e| malformed("a start record", e))?,
            CLOSING_TYPE => serde_json::from_value(predicate)
                .map(|closing| Record::Closing(Box::new(closing)))
                .map_err(|e| malformed("a closing record", e))?,
            other => return Err(unknown("predicate type", other)),
        };
        Ok((statement.subject, record))
    }
}

fn payload<P: Serialize>(kind: &str, subject: Vec<Subject>, predicate: &P) -> Result<Vec<u8>> {
    serde_json::to_vec(&Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject,
        predicate_type: kind.to_owned(),
        predicate,
    })
    .map_err(|e| Error::bug("a record cannot be written as JSON").caused_by(e))
}

fn unknown(what: &str, seen: &str) -> Error {
    Error::new(&UNKNOWN_FORMAT, format!("unknown {what} `{seen}`"))
        .hint("Verify it with the summitctl that wrote it or a newer one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_whole_digests_or_nothing() {
        let commit = "8c1f3a0e5b7d9c2e4f60718293a4b5c6d7e8f901";
        let subject = Subject::git_commit("platform", commit).expect("a commit");
        assert_eq!(subject.digest["gitCommit"], commit);
        assert!(Subject::git_commit("platform", &commit[..12]).is_err());
        let digest = Digest::of(b"image");
        let image = Subject::image(&format!("registry/app@{digest}")).expect("an image");
        assert_eq!(image.digest["sha256"], digest.hex());
        assert_eq!(image.name.as_str(), "registry/app");
        assert!(Subject::image("registry/app:latest").is_err());
    }

    #[test]
    fn payloads_of_another_kind_are_named() {
        let odd = |kind: &str, predicate: &str, version: u32| {
            let bytes = serde_json::json!({
                "_type": kind, "subject": [{"name": "x", "digest": {"sha256": "00"}}],
                "predicateType": predicate, "predicate": {"version": version},
            })
            .to_string();
            Record::from_payload(bytes.as_bytes()).expect_err("refused")
        };
        assert_eq!(
            odd("https://in-toto.io/Statement/v0.1", START_TYPE, 1).reason(),
            &UNKNOWN_FORMAT
        );
        assert_eq!(
            odd(STATEMENT_TYPE, "https://slsa.dev/provenance/v1", 1).reason(),
            &UNKNOWN_FORMAT
        );
        let newer = odd(STATEMENT_TYPE, CLOSING_TYPE, 2);
        assert!(
            newer.to_string().contains("predicate version `2`"),
            "{newer}"
        );
        assert_eq!(odd(STATEMENT_TYPE, CLOSING_TYPE, 1).reason(), &MALFORMED);
    }
}

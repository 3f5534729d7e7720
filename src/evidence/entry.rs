//! The log's lines and its signed head, and how the two must fit.
//!
//! A line is derived from its record, byte for byte, so a changed line is found by writing it again. Its `prev` is the
//! digest of the line before, which each record also carries under its own signature.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::envelope::Envelope;
use super::files;
use super::statement::{Kind, Record};
use super::text::{Digest, Name};
use super::{BROKEN, MALFORMED};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::sign::{KeyId, PublicKey, SigningKey};
use crate::time::Instant;

/// A signer's log: one entry a line.
pub(super) const LOG: &str = "log.ndjson";
/// A signer's signed head.
pub(super) const HEAD: &str = "head.json";
/// A signer's envelope files.
pub(super) const RECORDS: &str = "records";
/// How an envelope file's name ends.
pub(super) const ENVELOPE_SUFFIX: &str = ".dsse.json";
/// The payload type of a head.
pub const HEAD_TYPE: &str = "application/vnd.summitctl.evidence-head+json";

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    /// The format's version: 1.
    pub version: u32,
    /// The entry's number, from 1, without gaps.
    pub seq: u64,
    /// The SHA-256 of the line before, its line feed included; zeros in the first line.
    pub prev: Digest,
    /// When the record was made.
    pub time: Instant,
    /// Which record it is.
    pub kind: Kind,
    /// The run's id.
    pub run: Name,
    /// What was done.
    pub operation: Name,
    /// The context's name.
    pub context: Name,
    /// How it went; in closing records only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The envelope file, relative to the signer's folder.
    pub file: String,
    /// The SHA-256 of the envelope file.
    pub envelope: Digest,
}

impl Entry {
    /// The only entry that fits this record.
    pub(super) fn of(record: &Record, envelope: Digest) -> Self {
        let position = record.position();
        Entry {
            version: 1,
            seq: position.seq,
            prev: position.prev.clone(),
            time: position.recorded,
            kind: record.kind(),
            run: record.run().clone(),
            operation: record.operation().clone(),
            context: record.context().clone(),
            outcome: match record {
                Record::Start(_) => None,
                Record::Closing(closing) => Some(closing.facts.outcome),
            },
            file: format!(
                "{RECORDS}/{}",
                file_name(position.seq, record.kind(), record.run())
            ),
            envelope,
        }
    }

    /// The line, its line feed included.
    pub(super) fn to_line(&self) -> Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)
            .map_err(|e| Error::bug("a log entry cannot be written as JSON").caused_by(e))?;
        line.push(b'\n');
        Ok(line)
    }
}

/// `000012-end-20261121T030405Z-backup-4f2a.dsse.json`.
pub(super) fn file_name(seq: u64, kind: Kind, run: &Name) -> String {
    format!("{seq:06}-{}-{run}{ENVELOPE_SUFFIX}", kind.word())
}

/// The signed statement of how far a log goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Head {
    /// The format's version: 1.
    pub version: u32,
    /// Whose log it is.
    pub signer: KeyId,
    /// The number of the last entry.
    pub seq: u64,
    /// The SHA-256 of the last line, its line feed included.
    pub entry: Digest,
    /// When the head was signed.
    pub time: Instant,
}

impl Head {
    /// Signs a head for a log that ends in this line and makes it durable.
    pub(super) fn write(folder: &Path, key: &SigningKey, seq: u64, entry: &Digest) -> Result<()> {
        let head = Head {
            version: 1,
            signer: key.id(),
            seq,
            entry: entry.clone(),
            time: Instant::now(),
        };
        let payload = serde_json::to_vec(&head)
            .map_err(|e| Error::bug("a head cannot be written as JSON").caused_by(e))?;
        let envelope = Envelope::sign(key, HEAD_TYPE, &payload);
        files::write_whole(&folder.join(HEAD), &envelope.to_bytes()?)
    }

    /// Reads a signer's head; without a key its signature is not checked. `None` if there is no head.
    pub(super) fn read(
        folder: &Path,
        signer: &KeyId,
        key: Option<&PublicKey>,
    ) -> Result<Option<Head>> {
        let Some(bytes) = files::read_if_there(&folder.join(HEAD))? else {
            return Ok(None);
        };
        let envelope = Envelope::from_exact_bytes(&bytes)?;
        let payload = match key {
            Some(key) => envelope.verified_by(key)?,
            None => envelope.unverified_payload()?,
        };
        let named = |s: &super::envelope::EnvelopeSignature| s.keyid == signer.as_str();
        if envelope.payload_type != HEAD_TYPE
            || envelope.signatures.len() != 1
            || !envelope.signatures.iter().all(named)
        {
            return Err(Error::new(
                &MALFORMED,
                "the envelope is not a head of this log",
            ));
        }
        let head: Head = serde_json::from_slice(&payload)
            .map_err(|e| Error::new(&MALFORMED, "the payload is not a head").caused_by(e))?;
        if head.version != 1 {
            return Err(Error::new(
                &super::UNKNOWN_FORMAT,
                format!("unknown head version `{}`", head.version),
            ));
        }
        if head.signer != *signer {
            return Err(Error::new(
                &BROKEN,
                format!("the head belongs to the log of key `{}`", head.signer),
            ));
        }
        Ok(Some(head))
    }
}

/// A point in a log, to be stored somewhere else: `SEQ:sha256:…`, optionally with `KEYID@` before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Whose log; any if absent.
    pub signer: Option<KeyId>,
    /// The entry's number.
    pub seq: u64,
    /// The digest of that entry's line.
    pub digest: Digest,
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(signer) = &self.signer {
            write!(f, "{signer}@")?;
        }
        write!(f, "{}:{}", self.seq, self.digest)
    }
}

impl FromStr for Anchor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::input(format!("`{text}` is not an anchor")).hint(
                "Write `SEQ:sha256:` and 64 digits, as `summitctl evidence verify` prints it.",
            )
        };
        let (signer, rest) = match text.split_once('@') {
            Some((id, rest)) => (Some(id.parse().map_err(|_| bad())?), rest),
            None => (None, text),
        };
        let (seq, digest) = rest.split_once(':').ok_or_else(bad)?;
        Ok(Anchor {
            signer,
            seq: seq.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?,
            digest: digest.parse().map_err(|_| bad())?,
        })
    }
}

/// One whole line as it was found.
pub(super) struct Line {
    /// Its bytes, line feed included.
    pub bytes: Vec<u8>,
    /// The digest of those bytes.
    pub digest: Digest,
    /// What it says, if it is an entry at all.
    pub entry: std::result::Result<Entry, String>,
}

/// A log file as it was found.
#[derive(Default)]
pub(super) struct Lines {
    /// The whole lines.
    pub lines: Vec<Line>,
    /// How many bytes they take.
    pub whole: u64,
    /// How many bytes follow the last line feed: what a crash left of a line.
    pub torn: u64,
}

impl Lines {
    /// Reads a signer's log; one that does not exist is empty.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let bytes = files::read_if_there(&folder.join(LOG))?.unwrap_or_default();
        let mut found = Lines::default();
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            if line.ends_with(b"\n") {
                found.whole += line.len() as u64;
                found.lines.push(Line {
                    digest: Digest::of(line),
                    entry: serde_json::from_slice(line).map_err(|e| e.to_string()),
                    bytes: line.to_vec(),
                });
            } else {
                found.torn = line.len() as u64;
            }
        }
        Ok(found)
    }

    /// The digest the next line must name.
    pub(super) fn tip(&self) -> Digest {
        self.lines
            .last()
            .map_or_else(Digest::zero, |l| l.digest.clone())
    }

    /// How many whole lines there are.
    pub(super) fn count(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The digest of entry `seq`'s line, counted by lines.
    pub(super) fn digest_at(&self, seq: u64) -> Option<&Digest> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.lines.get(index).map(|l| &l.digest)
    }
}

/// Where a head and a log disagree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The line at which the log is wrong; absent if the head is.
    pub line: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// Whether the head fits the log. `Ok(true)`: the writer died after the last line and before its head, which is
/// the one disagreement that an honest crash can leave.
pub(super) fn compare(head: Option<&Head>, log: &Lines) -> std::result::Result<bool, Misfit> {
    let count = log.count();
    let misfit = |line, message: String| Err(Misfit { line, message });
    let Some(head) = head else {
        return match count {
            0 => Ok(false),
            1 => Ok(true),
            _ => misfit(
                None,
                format!("the log has {count} entries and no signed head"),
            ),
        };
    };
    if head.seq > count {
        let gone = if head.seq == count + 1 {
            format!("entry {} is", head.seq)
        } else {
            format!("entries {} to {} are", count + 1, head.seq)
        };
        return misfit(
            Some(count + 1),
            format!(
                "the signed head covers {} entries, but {gone} missing at the log's end",
                head.seq
            ),
        );
    }
    if head.seq + 1 < count {
        return misfit(
            None,
            format!(
                "the signed head covers {} entries, but the log has {count}: the head was rolled back",
                head.seq
            ),
        );
    }
    if log.digest_at(head.seq) != Some(&head.entry) {
        return misfit(
            Some(head.seq),
            format!(
                "entry {} is not the one that the signed head covers",
                head.seq
            ),
        );
    }
    Ok(head.seq < count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log_of(texts: &[String]) -> Lines {
        let lines: Vec<Line> = texts
            .iter()
            .map(|t| Line {
                bytes: t.clone().into_bytes(),
                digest: Digest::of(t.as_bytes()),
                entry: Err("not looked at".into()),
            })
            .collect();
        Lines {
            lines,
            ..Lines::default()
        }
    }

    fn head_of(log: &Lines, seq: u64) -> Head {
        Head {
            version: 1,
            signer: "0123456789abcdef".parse().expect("a key id"),
            seq,
            entry: log.digest_at(seq).cloned().unwrap_or_else(Digest::zero),
            time: Instant::from_millis(0),
        }
    }

    #[test]
    fn anchors_round_trip() {
        let digest = Digest::of(b"line");
        for text in [
            format!("12:{digest}"),
            format!("0123456789abcdef@12:{digest}"),
        ] {
            assert_eq!(text.parse::<Anchor>().expect("parses").to_string(), text);
        }
        let bare: Anchor = format!("12:{}", digest.hex()).parse().expect("parses");
        assert_eq!(bare.digest, digest);
        for bad in ["", "12", "0:sha256:00", "x@1:sha256:00", "12:abc"] {
            assert!(bad.parse::<Anchor>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_head_fits_its_own_log_and_one_crash_only(count in 1_u64..12, covered in 0_u64..14) {
            let texts: Vec<String> = (0..count).map(|n| format!("{n}\n")).collect();
            let log = log_of(&texts);
            let head = (covered > 0).then(|| head_of(&log, covered));
            let verdict = compare(head.as_ref(), &log);
            match covered {
                c if c == count => prop_assert_eq!(verdict, Ok(false)),
                c if c + 1 == count => prop_assert_eq!(verdict, Ok(true)),
                _ => prop_assert!(verdict.is_err()),
            }
        }

        #[test]
        fn removing_swapping_or_changing_the_last_covered_line_is_found(count in 2_u64..12, with in 0_usize..11) {
            let texts: Vec<String> = (0..count).map(|n| format!("{n}\n")).collect();
            let head = head_of(&log_of(&texts), count);
            let mut fewer = texts.clone();
            fewer.pop();
            prop_assert!(compare(Some(&head), &log_of(&fewer)).is_err());
            let mut swapped = texts.clone();
            let last = texts.len() - 1;
            if with < last {
                swapped.swap(with, last);
                prop_assert!(compare(Some(&head), &log_of(&swapped)).is_err());
            }
        }
    }
}

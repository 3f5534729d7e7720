//! The names of things in a repository: backups, segments, and the objects that hold them.
//!
//! Names are parsed once, strictly, so that no document and no command line can lead outside the repository.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::identity::Store as Kind;
use crate::time::Instant;

/// The repository's own description.
pub(super) const REPOSITORY: &str = "repository.json";
/// Where backups lie.
pub(super) const BACKUPS: &str = "backups/";
/// Where locks lie.
pub(super) const LOCKS: &str = "locks/";

/// A backup's id: its moment to the second, and four hex digits that keep two of one second apart
/// (`20261121T030405Z-9f3a`). Sorts by time as text.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct BackupId(String);

impl BackupId {
    /// A new id for a backup that begins at `at`.
    pub fn new(at: Instant) -> Result<Self> {
        let bytes: [u8; 2] = random()?;
        Ok(BackupId(format!("{}-{}", at.compact(), hex(&bytes))))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The manifest: the backup exists when it does.
    pub(super) fn manifest(&self) -> String {
        format!("{BACKUPS}{}/manifest.json", self.0)
    }

    /// The manifest's signature.
    pub(super) fn signature(&self) -> String {
        format!("{BACKUPS}{}/manifest.json.sig", self.0)
    }

    /// The folder of what is not yet a backup.
    pub(super) fn staging(&self) -> String {
        format!("{BACKUPS}{}/staged/", self.0)
    }

    /// One store's finished capture.
    pub(super) fn staged(&self, store: Kind) -> String {
        format!("{}{}.json", self.staging(), store.name())
    }

    /// The manifest as it will be published.
    pub(super) fn staged_manifest(&self) -> String {
        format!("{}manifest.json", self.staging())
    }

    /// The folder of verification records.
    pub(super) fn verified(&self) -> String {
        format!("{BACKUPS}{}/verified/", self.0)
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BackupId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // Twenty-one characters: YYYYMMDD T HHMMSS Z - xxxx.
        let shaped = text.len() == 21
            && text.bytes().enumerate().all(|(at, b)| match at {
                8 => b == b'T',
                15 => b == b'Z',
                16 => b == b'-',
                17.. => is_hex(b),
                _ => b.is_ascii_digit(),
            });
        if shaped {
            Ok(BackupId(text.to_owned()))
        } else {
            Err(Error::input(format!("`{text}` is not a backup id"))
                .hint("A backup id looks like `20261121T030405Z-9f3a`; `summitctl backup list` shows them."))
        }
    }
}

impl TryFrom<String> for BackupId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> String {
        id.0
    }
}

/// A BLAKE3 or SHA-256 digest as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Digest(pub(super) [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        from_hex(&text)
            .map(Digest)
            .ok_or_else(|| Error::input(format!("`{text}` is not 64 lower-case hex digits")))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// The object that holds the segment with this id.
pub(super) fn segment(id: &Digest) -> String {
    let text = id.to_string();
    format!("segments/{}/{text}.zst.age", &text[..2])
}

/// The object that holds an epoch's keys.
pub(super) fn keys(epoch: u32) -> String {
    format!("keys/{epoch}.age")
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Thirty-two bytes from lower-case hex.
pub(super) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(|b| is_hex(*b)) {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// Random bytes from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::bug(format!("the system gives no random numbers: {e}")))?;
    Ok(bytes)
}

fn is_hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_lead_nowhere_else() {
        let at: Instant = "2026-11-21T03:04:05Z".parse().unwrap();
        let id = BackupId::new(at).unwrap();
        assert!(id.as_str().starts_with("20261121T030405Z-"));
        assert_eq!(id.as_str().parse::<BackupId>().unwrap(), id);
        let later = BackupId::new(at.plus(std::time::Duration::from_secs(1))).unwrap();
        assert!(later > id);
        for bad in [
            "",
            "../../../../etc/passwd",
            "20261121T030405Z-9F3A",
            "20261121T030405Z-9f3a/",
        ] {
            assert!(bad.parse::<BackupId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_are_lower_case_hex() {
        let digest = Digest([0xab; 32]);
        assert_eq!(Digest::try_from(digest.to_string()).unwrap(), digest);
        assert!(Digest::try_from("AB".repeat(32)).is_err());
        assert_eq!(
            segment(&digest),
            format!("segments/ab/{}.zst.age", "ab".repeat(32))
        );
    }
}

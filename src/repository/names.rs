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
/// Where segments lie.
pub(super) const SEGMENTS: &str = "segments/";
/// Where it is said which backups were removed.
pub(super) const REMOVED: &str = "removed/";
/// Where it is said which segments are about to be deleted.
pub(super) const TOMBSTONES: &str = "tombstones/";
/// What a segment's object ends with.
const SEGMENT_END: &str = ".zst.age";

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

    /// The folder of holds and releases.
    pub(super) fn held(&self) -> String {
        format!("{BACKUPS}{}/held/", self.0)
    }

    /// The folder of proofs that an identity opens it.
    pub(super) fn opened(&self) -> String {
        format!("{BACKUPS}{}/opened/", self.0)
    }

    /// Everything of the backup but its segments.
    pub(super) fn folder(&self) -> String {
        format!("{BACKUPS}{}/", self.0)
    }

    /// The statement that it was removed.
    pub(super) fn removed(&self) -> String {
        format!("{REMOVED}{}.json", self.0)
    }

    /// When the backup began, to the second.
    pub fn moment(&self) -> Instant {
        let t = &self.0;
        let text = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &t[..4],
            &t[4..6],
            &t[6..8],
            &t[9..11],
            &t[11..13],
            &t[13..15]
        );
        // A day that no calendar has counts as the oldest.
        text.parse().unwrap_or(Instant::from_millis(0))
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

/// What tells one object of a segment from another one: eight random hex digits, so that no name is ever used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct CopyTag([u8; 4]);

impl TryFrom<String> for CopyTag {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let number = u32::from_str_radix(&text, 16);
        match number {
            Ok(number) if text.len() == 8 && text.bytes().all(is_hex) => {
                Ok(CopyTag(number.to_be_bytes()))
            }
            _ => Err(Error::input(format!(
                "`{text}` is not eight lower-case hex digits"
            ))),
        }
    }
}

impl From<CopyTag> for String {
    fn from(tag: CopyTag) -> String {
        hex(&tag.0)
    }
}

/// The name of a segment's object: its id, and a tag if it was stored anew while another object of this id could not be
/// used. Written `<id>` or `<id>.<tag>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct SegmentName {
    pub id: Digest,
    pub copy: Option<CopyTag>,
}

impl SegmentName {
    /// The name that a segment gets first.
    pub fn first(id: Digest) -> Self {
        SegmentName { id, copy: None }
    }

    /// A name that was never used.
    pub fn another(id: Digest) -> Result<Self> {
        let copy = Some(CopyTag(random()?));
        Ok(SegmentName { id, copy })
    }

    /// The object's full name.
    pub fn object(&self) -> String {
        let text = self.to_string();
        format!("{SEGMENTS}{}/{text}{SEGMENT_END}", &text[..2])
    }

    /// The name of a listed object; `None` if it is no segment.
    pub fn of_object(object: &str) -> Option<Self> {
        let text = object.strip_prefix(SEGMENTS)?.get(3..)?;
        let name: SegmentName = text.strip_suffix(SEGMENT_END)?.to_owned().try_into().ok()?;
        (name.object() == object).then_some(name)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        match self.copy {
            Some(tag) => write!(f, ".{}", String::from(tag)),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for SegmentName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let (id, copy) = match text.split_once('.') {
            Some((id, tag)) => (id.to_owned(), Some(tag.to_owned().try_into()?)),
            None => (text, None),
        };
        Ok(SegmentName {
            id: id.try_into()?,
            copy,
        })
    }
}

impl From<SegmentName> for String {
    fn from(name: SegmentName) -> String {
        name.to_string()
    }
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
        let first = SegmentName::first(digest);
        assert_eq!(
            first.object(),
            format!("segments/ab/{}.zst.age", "ab".repeat(32))
        );
        let another = SegmentName::another(digest).unwrap();
        for name in [first, another] {
            assert_eq!(SegmentName::of_object(&name.object()), Some(name));
            assert_eq!(SegmentName::try_from(name.to_string()).unwrap(), name);
        }
        assert_ne!(first, another);
        let moved = another.object().replacen("/ab/", "/ac/", 1);
        assert_eq!(SegmentName::of_object(&moved), None);
        for bad in ["", "x", "ab", "..", "+1234567"] {
            assert!(CopyTag::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_backup_knows_its_moment() {
        let id: BackupId = "20261121T030405Z-9f3a".parse().unwrap();
        assert_eq!(id.moment().to_string(), "2026-11-21T03:04:05.000Z");
        let never: BackupId = "20269999T030405Z-9f3a".parse().unwrap();
        assert_eq!(never.moment(), Instant::from_millis(0));
    }
}

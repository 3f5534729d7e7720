//! The keys of a repository: the secret that backup hosts hold, the keys derived from it, and the epoch's age key that
//! only operators can unwrap.
//!
//! Everything encrypted is a standard age file to an X25519 recipient. What must be authentic rather than confidential
//! carries a keyed BLAKE3, because anybody can encrypt to a recipient.

use std::io::{Read as _, Write as _};

use age::secrecy::ExposeSecret as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bech32::{Bech32, Hrp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::format::{self, EpochDoc, RepositoryDoc};
use super::names::{Digest, random};
use super::recipients::{Identity, Recipient, age_recipient};
use super::{BAD_SECRET, DAMAGED, WRONG_IDENTITY};
use crate::capture::FingerprintKey;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::time::Instant;

/// What a repository secret's text begins with, so that it is recognised where it should not be.
const SECRET_PREFIX: &str = "summitctl-repository-";
/// What an age identity begins with: age-encryption.org/v1, "X25519 recipient".
const IDENTITY_PREFIX: &str = "age-secret-key-";
/// The largest key file: a thousand operators take about 200 KiB.
pub(super) const KEYS_LIMIT: u64 = 1 << 20;
/// A sealed document is at most this large when it is opened.
const SEALED_LIMIT: u64 = format::DOCUMENT_LIMIT;

/// The 32-byte repository secret of one epoch.
#[derive(Clone)]
pub(super) struct RepositorySecret(Zeroizing<[u8; 32]>);

impl RepositorySecret {
    pub fn generate() -> Result<Self> {
        Ok(RepositorySecret(Zeroizing::new(random()?)))
    }

    /// Reads the text form; its checksum tells a typing error from another repository's secret.
    pub fn parse(text: &Secret) -> Result<Self> {
        let bad = || {
            Error::new(&BAD_SECRET, "this is not a repository secret").hint(
                "A repository secret is one line that begins with `SUMMITCTL-REPOSITORY-1`; check the file or variable it comes from.",
            )
        };
        let (prefix, bytes) = bech32::decode(text.expose().trim()).map_err(|_| bad())?;
        let bytes = Zeroizing::new(bytes);
        if prefix.to_lowercase() != SECRET_PREFIX {
            return Err(bad());
        }
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| bad())?;
        Ok(RepositorySecret(Zeroizing::new(key)))
    }

    pub fn to_text(&self) -> Result<Secret> {
        Ok(Secret::new(bech32_upper(SECRET_PREFIX, &*self.0)?))
    }

    /// BLAKE3 key derivation from the secret, the repository's id and the epoch.
    fn derive(&self, purpose: &str, repository: &str, epoch: u32) -> Zeroizing<[u8; 32]> {
        let context = format!("summitctl repository v1 {purpose}");
        let mut hasher = blake3::Hasher::new_derive_key(&context);
        hasher.update(&*self.0);
        hasher.update(repository.as_bytes());
        hasher.update(&epoch.to_le_bytes());
        Zeroizing::new(*hasher.finalize().as_bytes())
    }
}

/// What a holder of an epoch's secret can do, and with `segments` also read.
#[derive(Clone)]
pub(super) struct EpochKeys {
    pub epoch: u32,
    pub secret: RepositorySecret,
    pub recipient: age::x25519::Recipient,
    /// Only after an operator's identity unwrapped it.
    pub segments: Option<age::x25519::Identity>,
    sealing: age::x25519::Identity,
    ids: Zeroizing<[u8; 32]>,
    cuts: Zeroizing<[u8; 32]>,
    macs: Zeroizing<[u8; 32]>,
    fingerprints: Zeroizing<[u8; 32]>,
}

impl EpochKeys {
    /// The keys for this epoch, if the secret is its secret: the binding must be ours, so that a storage that
    /// swapped the recipient is found before anything is encrypted to it.
    pub fn new(
        secret: &RepositorySecret,
        repository: &str,
        doc: &EpochDoc,
    ) -> Result<Option<EpochKeys>> {
        let keys = Self::derive(secret, repository, doc.epoch, &doc.segments).map_err(|e| {
            Error::new(&DAMAGED, "`repository.json` names a recipient that is none").caused_by(e)
        })?;
        if keys.sealing.to_public().to_string() != doc.sealed {
            return Ok(None);
        }
        if keys.mac(&doc.authenticated(repository)) != doc.binding {
            return Err(Error::new(
                &DAMAGED,
                format!(
                    "epoch {} in `repository.json` was not written by a holder of its secret",
                    doc.epoch
                ),
            )
            .hint("Do not back up into this repository: data would be encrypted to a key that nobody vouches for. Compare `repository.json` with an older copy."));
        }
        Ok(Some(keys))
    }

    fn derive(
        secret: &RepositorySecret,
        repository: &str,
        epoch: u32,
        segments: &str,
    ) -> Result<EpochKeys> {
        let of = |purpose| secret.derive(purpose, repository, epoch);
        Ok(EpochKeys {
            epoch,
            recipient: age_recipient(segments)?,
            segments: None,
            sealing: identity_from(&of("sealing identity"))?,
            ids: of("segment ids"),
            cuts: of("segment cuts"),
            macs: of("authentication"),
            fingerprints: of("fingerprints"),
            secret: secret.clone(),
        })
    }

    /// The id of a segment with these plain bytes.
    pub fn segment_id(&self, plain: &[u8]) -> Digest {
        Digest(*blake3::keyed_hash(&self.ids, plain).as_bytes())
    }

    /// The key of the segment cutter.
    pub fn cut_key(&self) -> [u8; 32] {
        *self.cuts
    }

    /// The key of row hashes.
    pub fn fingerprint_key(&self) -> FingerprintKey {
        FingerprintKey::new(*self.fingerprints)
    }

    /// A proof that a holder of the secret wrote this text.
    pub fn mac(&self, text: &str) -> Digest {
        Digest(*blake3::keyed_hash(&self.macs, text.as_bytes()).as_bytes())
    }

    /// Seals a document: base64 of an age file of a zstd frame of its JSON.
    pub fn seal(&self, doc: &impl Serialize) -> Result<String> {
        let plain = format::to_bytes(doc)?;
        let packed = zstd::encode_all(&plain[..], 3)
            .map_err(|e| Error::bug("a document does not compress").caused_by(e))?;
        Ok(BASE64.encode(encrypt(
            &[Recipient::Age(self.sealing.to_public())],
            &packed,
        )?))
    }

    /// Opens what [`EpochKeys::seal`] sealed.
    pub fn unseal<T: DeserializeOwned>(&self, sealed: &str, what: &str) -> Result<T> {
        let damaged =
            |why: String| Error::new(&DAMAGED, format!("the sealed part of `{what}` {why}"));
        let cipher = BASE64
            .decode(sealed)
            .map_err(|e| damaged("is not base64".into()).caused_by(e))?;
        let packed = decrypt(&self.sealing, &cipher).map_err(|e| {
            damaged("does not open with this repository's secret".into()).caused_by(e)
        })?;
        let mut plain = Vec::new();
        let decoder = zstd::Decoder::new(&packed[..])
            .map_err(|e| damaged("is not a zstd frame".into()).caused_by(e))?;
        decoder
            .take(SEALED_LIMIT)
            .read_to_end(&mut plain)
            .map_err(|e| damaged("is not a zstd frame".into()).caused_by(e))?;
        format::from_authentic(&plain, &format!("{what} (sealed)"))
    }
}

/// A new epoch: its public half, and the key file for its operators.
pub(super) fn new_epoch(
    repository: &str,
    epoch: u32,
    secret: &RepositorySecret,
    operators: &[Operator],
) -> Result<(EpochDoc, EpochKeys, Vec<u8>)> {
    let identity = age::x25519::Identity::generate();
    let segments = identity.to_public().to_string();
    let mut keys = EpochKeys::derive(secret, repository, epoch, &segments)?;
    keys.segments = Some(identity);
    let mut doc = EpochDoc {
        epoch,
        created: Instant::now(),
        segments,
        sealed: keys.sealing.to_public().to_string(),
        keys_sha256: Vec::new(),
        binding: Digest([0; 32]),
    };
    doc.binding = keys.mac(&doc.authenticated(repository));
    let file = wrap(repository, &keys, operators)?;
    doc.keys_sha256 = vec![super::store::sha256(&file)];
    Ok((doc, keys, file))
}

/// Signs `repository.json` with the last epoch's secret.
pub(super) fn authenticate(doc: &mut RepositoryDoc, keys: &EpochKeys) {
    doc.mac = keys.mac(&doc.authenticated());
}

/// Somebody who can read backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// What people call them.
    pub name: String,
    /// Their recipient: `age1…`, or an SSH key without its comment.
    pub recipient: String,
}

impl Operator {
    /// Parses the recipient; the name is one line without leading or trailing space.
    pub fn new(name: &str, recipient_text: &str) -> Result<Self> {
        let recipient = Recipient::parse(recipient_text.trim())?;
        let name = name.trim();
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Error::input(format!("`{name}` cannot name an operator"))
                .hint("Use one line of text, such as `alice` or `break-glass key, safe 2`."));
        }
        Ok(Operator {
            name: name.to_owned(),
            recipient: recipient.to_string(),
        })
    }
}

/// What a key file holds.
pub(super) struct Unwrapped {
    pub keys: EpochKeys,
    pub operators: Vec<Operator>,
}

/// Encrypts an epoch's keys to its operators. The plain text is an age identity file, so that `age -d -i` takes it.
pub(super) fn wrap(repository: &str, keys: &EpochKeys, operators: &[Operator]) -> Result<Vec<u8>> {
    let segments = keys
        .segments
        .as_ref()
        .ok_or_else(|| Error::bug("an epoch's keys are wrapped without its identity"))?;
    let mut text = Zeroizing::new(format!(
        "# summitctl repository keys\n# version: {}\n# repository: {repository}\n# epoch: {}\n",
        format::VERSION,
        keys.epoch
    ));
    for operator in operators {
        text.push_str(&format!(
            "# operator: {} {}\n",
            operator.recipient, operator.name
        ));
    }
    text.push_str("# secret: ");
    text.push_str(keys.secret.to_text()?.expose());
    text.push_str("\n# opens segments:\n");
    text.push_str(segments.to_string().expose_secret());
    text.push_str("\n# opens sealed documents (derived from the secret):\n");
    text.push_str(keys.sealing.to_string().expose_secret());
    text.push('\n');
    let recipients = operators
        .iter()
        .map(|o| Recipient::parse(&o.recipient))
        .collect::<Result<Vec<_>>>()?;
    if recipients.is_empty() {
        return Err(Error::input("a repository needs at least one operator")
            .hint("Make a key with `age-keygen -o operator.txt` and give its public half, the line with `age1…`."));
    }
    encrypt(&recipients, text.as_bytes())
}

/// Opens a key file with an operator's identities.
pub(super) fn unwrap(
    repository: &str,
    doc: &EpochDoc,
    file: &[u8],
    identities: &[Identity],
) -> Result<Unwrapped> {
    let name = super::names::keys(doc.epoch);
    let damaged = |why: &str| Error::new(&DAMAGED, format!("`{name}` {why}"));
    let plain = decrypt_any(identities, file).map_err(|e| match e {
        age::DecryptError::NoMatchingKeys => Error::new(
            &WRONG_IDENTITY,
            format!("none of the identities given opens `{name}`"),
        )
        .hint("Use the identity file of one of the repository's operators; `age-keygen -y FILE` shows the recipient of an identity."),
        other => damaged("is damaged").caused_by(other),
    })?;
    let text = std::str::from_utf8(&plain).map_err(|_| damaged("does not hold text"))?;
    let field = |key: &str| {
        let start = format!("# {key}: ");
        text.lines()
            .find_map(|line| line.strip_prefix(start.as_str()))
    };
    let bound = field("repository") == Some(repository)
        && field("epoch") == Some(doc.epoch.to_string().as_str());
    if !bound {
        return Err(damaged("holds the keys of another repository or epoch"));
    }
    let secret = field("secret").ok_or_else(|| damaged("holds no repository secret"))?;
    let secret = RepositorySecret::parse(&Secret::new(secret))?;
    let mut keys = EpochKeys::new(&secret, repository, doc)?
        .ok_or_else(|| damaged("holds a secret that is not this epoch's"))?;
    keys.segments = text
        .lines()
        .filter_map(|line| line.parse::<age::x25519::Identity>().ok())
        .find(|identity| identity.to_public().to_string() == doc.segments);
    if keys.segments.is_none() {
        return Err(damaged("does not hold the key of the epoch's segments"));
    }
    let operators = text
        .lines()
        .filter_map(|line| operator_line(line.strip_prefix("# operator: ")?))
        .map(|(recipient, name)| Operator::new(name, recipient))
        .collect::<Result<Vec<_>>>()?;
    Ok(Unwrapped { keys, operators })
}

/// An operator's recipient and name. SSH keys are two words.
fn operator_line(line: &str) -> Option<(&str, &str)> {
    let words = if line.starts_with("ssh-") { 2 } else { 1 };
    let (at, _) = line.match_indices(' ').nth(words - 1)?;
    Some((&line[..at], &line[at + 1..]))
}

/// Encrypts to these recipients: a standard, binary age file.
pub(super) fn encrypt(recipients: &[Recipient], plain: &[u8]) -> Result<Vec<u8>> {
    let failed = |e: String| Error::bug(format!("age does not encrypt: {e}"));
    let recipients = recipients.iter().map(Recipient::as_age);
    let encryptor =
        age::Encryptor::with_recipients(recipients).map_err(|e| failed(e.to_string()))?;
    let mut out = Vec::with_capacity(plain.len() + 1024);
    let mut writer = encryptor
        .wrap_output(&mut out)
        .map_err(|e| failed(e.to_string()))?;
    writer
        .write_all(plain)
        .and_then(|()| writer.finish().map(|_| ()))
        .map_err(|e| failed(e.to_string()))?;
    Ok(out)
}

fn decrypt(
    identity: &age::x25519::Identity,
    cipher: &[u8],
) -> std::result::Result<Zeroizing<Vec<u8>>, age::DecryptError> {
    decrypt_with(std::iter::once(identity as &dyn age::Identity), cipher)
}

/// Opens a file with whichever of these identities it is for.
pub(super) fn decrypt_any(
    identities: &[Identity],
    cipher: &[u8],
) -> std::result::Result<Zeroizing<Vec<u8>>, age::DecryptError> {
    decrypt_with(identities.iter().map(Identity::as_age), cipher)
}

fn decrypt_with<'a>(
    identities: impl Iterator<Item = &'a dyn age::Identity>,
    cipher: &[u8],
) -> std::result::Result<Zeroizing<Vec<u8>>, age::DecryptError> {
    let decryptor = age::Decryptor::new_buffered(cipher)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(cipher.len()));
    decryptor
        .decrypt(identities)?
        .read_to_end(&mut plain)
        .map_err(age::DecryptError::Io)?;
    Ok(plain)
}

fn identity_from(bytes: &[u8; 32]) -> Result<age::x25519::Identity> {
    let text = Zeroizing::new(bech32_upper(IDENTITY_PREFIX, bytes)?);
    text.parse()
        .map_err(|e| Error::bug(format!("a derived identity does not parse: {e}")))
}

fn bech32_upper(prefix: &str, bytes: &[u8]) -> Result<String> {
    let failed = |e: String| Error::bug(format!("a key has no text form: {e}"));
    let prefix = Hrp::parse(prefix).map_err(|e| failed(e.to_string()))?;
    bech32::encode_upper::<Bech32>(prefix, bytes).map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator() -> (Operator, Identity) {
        let identity = age::x25519::Identity::generate();
        let operator = Operator::new("alice", &identity.to_public().to_string()).unwrap();
        (operator, Identity::Age(identity))
    }

    #[test]
    fn a_secret_has_a_text_form_with_a_checksum() {
        let secret = RepositorySecret::generate().unwrap();
        let text = secret.to_text().unwrap();
        assert!(
            text.expose().starts_with("SUMMITCTL-REPOSITORY-1"),
            "{}",
            text.len()
        );
        assert_eq!(*RepositorySecret::parse(&text).unwrap().0, *secret.0);
        let last = if text.expose().ends_with('Q') {
            "P"
        } else {
            "Q"
        };
        let typo = format!("{}{last}", &text.expose()[..text.len() - 1]);
        for bad in [typo.as_str(), "", "hunter2", "AGE-SECRET-KEY-1QQ"] {
            let error = RepositorySecret::parse(&Secret::new(bad)).err().unwrap();
            assert_eq!(error.reason(), &BAD_SECRET);
        }
    }

    #[test]
    fn keys_differ_by_purpose_repository_epoch_and_secret() {
        let (one, two) = (
            RepositorySecret::generate().unwrap(),
            RepositorySecret::generate().unwrap(),
        );
        let all = [
            one.derive("a", "r", 1),
            one.derive("b", "r", 1),
            one.derive("a", "s", 1),
            one.derive("a", "r", 2),
            two.derive("a", "r", 1),
        ];
        let distinct: std::collections::HashSet<[u8; 32]> = all.iter().map(|k| **k).collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn a_key_file_opens_for_its_operators_alone() {
        let secret = RepositorySecret::generate().unwrap();
        let (alice, alice_key) = operator();
        let (_, mallory_key) = operator();
        let (doc, keys, file) = new_epoch("r", 1, &secret, std::slice::from_ref(&alice)).unwrap();
        let opened = unwrap("r", &doc, &file, &[mallory_key.clone(), alice_key.clone()]).unwrap();
        assert_eq!(opened.operators, [alice]);
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
        let carol = Operator::new("carol, on call", &format!("{key} carol@laptop")).unwrap();
        assert_eq!(carol.recipient, key);
        let both = [opened.operators[0].clone(), carol];
        let file = wrap("r", &opened.keys, &both).unwrap();
        let opened = unwrap("r", &doc, &file, std::slice::from_ref(&alice_key)).unwrap();
        assert_eq!(opened.operators, both);
        assert_eq!(opened.keys.segment_id(b"x"), keys.segment_id(b"x"));
        let reason = |result: Result<Unwrapped>| result.err().unwrap().reason().code;
        assert_eq!(
            reason(unwrap("r", &doc, &file, &[mallory_key])),
            WRONG_IDENTITY.code
        );
        assert_eq!(
            reason(unwrap("s", &doc, &file, std::slice::from_ref(&alice_key))),
            DAMAGED.code
        );
        assert_eq!(
            reason(unwrap("r", &doc, &file[..file.len() - 1], &[alice_key])),
            DAMAGED.code
        );
    }

    #[test]
    fn a_swapped_recipient_is_refused() {
        let secret = RepositorySecret::generate().unwrap();
        let (mut doc, _, _) = new_epoch("r", 1, &secret, &[operator().0]).unwrap();
        assert!(EpochKeys::new(&secret, "r", &doc).unwrap().is_some());
        let other = RepositorySecret::generate().unwrap();
        assert!(EpochKeys::new(&other, "r", &doc).unwrap().is_none());
        doc.segments = operator().0.recipient;
        assert_eq!(
            EpochKeys::new(&secret, "r", &doc).err().unwrap().reason(),
            &DAMAGED
        );
    }
}

//! Ed25519 keys that sign manifests, verification records and evidence, in the text formats that `openssl` reads.
//!
//! The private key is a PKCS#8 PEM file (RFC 8410) with mode 0600, the public key an SPKI PEM. Signatures cover the
//! exact bytes of a document, so an auditor needs only `openssl pkeyutl -verify -pubin -rawin`.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::{Context as _, Error, Result};
use crate::reasons;
use crate::secret::Secret;

reasons! {
    /// The text is not an Ed25519 key.
    BAD_KEY = "sign.bad-key", Usage,
        "A signing or public key is not an Ed25519 key in PEM form. `summitctl evidence keygen` makes one; `openssl genpkey -algorithm ed25519` does as well.";
    /// The key file may be written by others.
    EXPOSED_KEY = "sign.exposed-key", Usage,
        "The signing key's file can be written by somebody else than its owner, so its signatures would prove nothing. Set its mode to 0600, and replace the key if somebody may have changed it.";
    /// A key file is already there.
    KEY_EXISTS = "sign.key-exists", Refused,
        "A signing key is never overwritten: what it signed could not be attributed any more. Choose another path, or move the old key away and keep its public half.";
    /// The signature is not the key's.
    BAD_SIGNATURE = "sign.bad-signature", Integrity,
        "A document's signature does not fit its bytes: one of the two was changed, or another key signed it. Do not rely on the document before you know why.";
}

/// DER of a PKCS#8 v1 Ed25519 private key up to its 32-byte seed: RFC 8410, section 7.
const PKCS8_V1: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// The same for version 2, which carries the public key after the seed: RFC 8410, section 7.
const PKCS8_V2: [u8; 16] = [
    0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What stands between seed and public key in version 2.
const PKCS8_V2_MIDDLE: [u8; 3] = [0x81, 0x21, 0x00];
/// DER of an Ed25519 SubjectPublicKeyInfo up to its 32 bytes: RFC 8410, section 4.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Names a public key: the first 16 hex digits of the SHA-256 of its SPKI DER, as
/// `openssl pkey -pubin -outform DER | sha256sum` shows.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The 16 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 16 && text.bytes().all(lower_hex) {
            Ok(KeyId(text.to_owned()))
        } else {
            Err(Error::input(format!(
                "`{text}` is not a key id of 16 hex digits"
            )))
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.0
    }
}

/// A private key. It has no `Debug` or `Serialize`, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key from the system's random numbers.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut *seed)
            .map_err(|e| Error::bug(format!("the system gives no random numbers: {e}")))?;
        Ok(SigningKey(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads a key file. A file that others may write is refused; one that others may read is not, because
    /// Kubernetes mounts secrets so ([`SigningKey::readable_by_others`] tells).
    pub fn load(path: &Path) -> Result<Self> {
        let mode = fs::metadata(path)
            .map_err(|e| Error::io("read the signing key", path, e))?
            .permissions()
            .mode();
        if mode & 0o022 != 0 {
            return Err(Error::new(
                &EXPOSED_KEY,
                format!(
                    "the signing key `{}` can be written by others (mode {:04o})",
                    path.display(),
                    mode & 0o7777
                ),
            )
            .hint(format!("Run `chmod 600 {}`.", path.display())));
        }
        let text =
            fs::read_to_string(path).map_err(|e| Error::io("read the signing key", path, e))?;
        Self::from_pem(&Secret::new(text))
            .context(|| format!("cannot use the signing key `{}`", path.display()))
    }

    /// Whether the file's mode lets others than its owner read it.
    pub fn readable_by_others(path: &Path) -> Result<bool> {
        let found = fs::metadata(path).map_err(|e| Error::io("look at", path, e))?;
        Ok(found.permissions().mode() & 0o044 != 0)
    }

    /// Writes the key durably to a new file with mode 0600; an existing file is never overwritten.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => Error::new(
                    &KEY_EXISTS,
                    format!("there is already a file `{}`", path.display()),
                ),
                _ => Error::io("write the signing key", path, e),
            })?;
        let write = |file: &mut fs::File| -> std::io::Result<()> {
            file.write_all(self.to_pem().expose().as_bytes())?;
            file.sync_all()?;
            match path.parent().filter(|p| !p.as_os_str().is_empty()) {
                Some(parent) => fs::File::open(parent)?.sync_all(),
                None => Ok(()),
            }
        };
        write(&mut file).map_err(|e| {
            // Half a key is worse than none: the next attempt must not meet it.
            let _ = fs::remove_file(path);
            Error::io("write the signing key", path, e)
        })
    }

    /// Reads a PKCS#8 PEM (`-----BEGIN PRIVATE KEY-----`), version 1 or 2.
    pub fn from_pem(pem: &Secret) -> Result<Self> {
        let der = Zeroizing::new(pem_body(pem.expose(), "PRIVATE KEY")?);
        let seed: Option<[u8; 32]> = if let Some(seed) = der.strip_prefix(&PKCS8_V1) {
            seed.try_into().ok()
        } else {
            der.strip_prefix(&PKCS8_V2).and_then(|rest| {
                let (seed, rest) = rest.split_at_checked(32)?;
                (rest.len() == 35 && rest.starts_with(&PKCS8_V2_MIDDLE)).then_some(())?;
                seed.try_into().ok()
            })
        };
        let seed = Zeroizing::new(seed.ok_or_else(|| not_ed25519("PRIVATE KEY"))?);
        Ok(SigningKey(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The key as a PKCS#8 PEM, byte for byte what `openssl genpkey -algorithm ed25519` would write.
    pub fn to_pem(&self) -> Secret {
        let mut der = Zeroizing::new(Vec::with_capacity(48));
        der.extend_from_slice(&PKCS8_V1);
        der.extend_from_slice(self.0.as_bytes());
        Secret::new(pem("PRIVATE KEY", &der))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The public half's id.
    pub fn id(&self) -> KeyId {
        self.public().id()
    }

    /// Signs these exact bytes. The same bytes always give the same signature (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Signature {
        use ed25519_dalek::Signer as _;
        Signature(self.0.sign(message).to_bytes())
    }
}

/// A public key; in documents it is its SPKI PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Reads an SPKI PEM (`-----BEGIN PUBLIC KEY-----`).
    pub fn from_pem(text: &str) -> Result<Self> {
        let der = pem_body(text, "PUBLIC KEY")?;
        let bytes: [u8; 32] = der
            .strip_prefix(&SPKI)
            .and_then(|rest| rest.try_into().ok())
            .ok_or_else(|| not_ed25519("PUBLIC KEY"))?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes)
            .map_err(|e| not_ed25519("PUBLIC KEY").caused_by(e))?;
        Ok(PublicKey(key))
    }

    /// Reads an SPKI PEM file.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).map_err(|e| Error::io("read the public key", path, e))?;
        Self::from_pem(&text).context(|| format!("cannot use the public key `{}`", path.display()))
    }

    /// The key as an SPKI PEM, as `openssl pkey -pubout` writes it.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &self.der())
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        let digest = Sha256::digest(self.der());
        KeyId(digest[..8].iter().map(|b| format!("{b:02x}")).collect())
    }

    /// Whether the signature is this key's over these exact bytes; strict, so that nobody else finds a second
    /// signature that passes.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<()> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).map_err(|e| {
            Error::new(
                &BAD_SIGNATURE,
                format!("the signature is not one of key `{}`", self.id()),
            )
            .caused_by(e)
        })
    }

    fn der(&self) -> Vec<u8> {
        [&SPKI[..], &self.0.as_bytes()[..]].concat()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        PublicKey::from_pem(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_pem()
    }
}

/// A signature of 64 bytes; in documents it is standard base64.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Signature([u8; 64]);

impl Signature {
    /// A signature from its 64 bytes.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Signature(bytes)
    }

    /// The 64 bytes, as `openssl pkeyutl -sigfile` wants them.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl TryFrom<String> for Signature {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let bytes = BASE64.decode(text.as_bytes()).ok();
        bytes
            .and_then(|b| b.try_into().ok())
            .map(Signature)
            .ok_or_else(|| Error::input("a signature must be 64 bytes in base64"))
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> String {
        signature.to_string()
    }
}

fn not_ed25519(label: &str) -> Error {
    Error::new(
        &BAD_KEY,
        format!("the `{label}` block does not hold an Ed25519 key"),
    )
}

/// RFC 7468: 64 characters a line.
fn pem(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(BASE64.encode(der));
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

fn pem_body(text: &str, label: &str) -> Result<Vec<u8>> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let body = text
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end))
        .map(|(body, _)| body);
    let body =
        body.ok_or_else(|| Error::new(&BAD_KEY, format!("the text holds no `{label}` PEM block")))?;
    let packed: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    // The decoder's error would quote the offending symbol, which may be part of a key.
    BASE64.decode(packed.as_bytes()).map_err(|_| {
        Error::new(
            &BAD_KEY,
            format!("the `{label}` PEM block is not valid base64"),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("summitctl-sign-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn openssl(args: &[&str]) -> (bool, Vec<u8>) {
        let out = Command::new("openssl").args(args).output().unwrap();
        (out.status.success(), out.stdout)
    }

    #[test]
    fn openssl_reads_our_keys_and_verifies_our_signatures() {
        let dir = Folder::new("out");
        let at = |name: &str| dir.0.join(name).to_str().unwrap().to_owned();
        let key = SigningKey::generate().unwrap();
        key.save(&dir.0.join("key.pem")).unwrap();
        fs::write(at("pub.pem"), key.public().to_pem()).unwrap();
        fs::write(at("message"), b"a measured claim").unwrap();
        fs::write(at("sig"), key.sign(b"a measured claim").as_bytes()).unwrap();

        let (ok, public) = openssl(&["pkey", "-in", &at("key.pem"), "-pubout"]);
        assert!(ok);
        assert_eq!(String::from_utf8(public).unwrap(), key.public().to_pem());
        let verify = |message: &str| {
            openssl(&[
                "pkeyutl",
                "-verify",
                "-pubin",
                "-inkey",
                &at("pub.pem"),
                "-rawin",
                "-in",
                message,
                "-sigfile",
                &at("sig"),
            ])
            .0
        };
        assert!(verify(&at("message")));
        fs::write(at("other"), b"a typed claim").unwrap();
        assert!(!verify(&at("other")));

        let (_, der) = openssl(&["pkey", "-pubin", "-in", &at("pub.pem"), "-outform", "DER"]);
        let digest: String = Sha256::digest(der)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(key.id().as_str(), &digest[..16]);
    }

    #[test]
    fn keys_made_by_openssl_are_read() {
        let dir = Folder::new("in");
        let path = dir.0.join("key.pem");
        let (ok, _) = openssl(&[
            "genpkey",
            "-algorithm",
            "ed25519",
            "-out",
            path.to_str().unwrap(),
        ]);
        assert!(ok);
        let key = SigningKey::load(&path).unwrap();
        assert_eq!(key.to_pem().expose(), fs::read_to_string(&path).unwrap());
    }

    #[test]
    fn a_key_file_is_private_and_never_overwritten() {
        let dir = Folder::new("save");
        let path = dir.0.join("key.pem");
        let key = SigningKey::generate().unwrap();
        key.save(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(!SigningKey::readable_by_others(&path).unwrap());
        let again = SigningKey::generate().unwrap().save(&path).unwrap_err();
        assert_eq!(again.reason(), &KEY_EXISTS);
        assert_eq!(SigningKey::load(&path).unwrap().id(), key.id());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(
            SigningKey::load(&path).err().unwrap().reason(),
            &EXPOSED_KEY
        );
    }

    #[test]
    fn version_2_files_are_read_and_other_keys_refused() {
        let key = SigningKey::generate().unwrap();
        let mut der = PKCS8_V2.to_vec();
        der.extend_from_slice(key.0.as_bytes());
        der.extend_from_slice(&PKCS8_V2_MIDDLE);
        der.extend_from_slice(key.public().0.as_bytes());
        let read = SigningKey::from_pem(&Secret::new(pem("PRIVATE KEY", &der))).unwrap();
        assert_eq!(read.id(), key.id());
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----",
        ] {
            let error = SigningKey::from_pem(&Secret::new(bad)).err().unwrap();
            assert_eq!(error.reason(), &BAD_KEY);
        }
        let error = PublicKey::from_pem(&key.to_pem().expose().replace("PRIVATE", "PUBLIC"));
        assert_eq!(error.unwrap_err().reason(), &BAD_KEY);
    }

    #[test]
    fn a_changed_message_or_signature_is_refused() {
        let key = SigningKey::generate().unwrap();
        let signature = key.sign(b"message");
        key.public().verify(b"message", &signature).unwrap();
        assert!(key.public().verify(b"messagf", &signature).is_err());
        for at in 0..64 {
            let mut bytes = *signature.as_bytes();
            bytes[at] ^= 1;
            assert!(
                key.public()
                    .verify(b"message", &Signature::from_bytes(bytes))
                    .is_err()
            );
        }
        let other = SigningKey::generate().unwrap();
        assert!(other.public().verify(b"message", &signature).is_err());
    }

    #[test]
    fn documents_hold_keys_and_signatures_as_text() {
        let key = SigningKey::generate().unwrap();
        let json = serde_json::to_string(&(key.public(), key.sign(b"x"), key.id())).unwrap();
        let (public, signature, id): (PublicKey, Signature, KeyId) =
            serde_json::from_str(&json).unwrap();
        public.verify(b"x", &signature).unwrap();
        assert_eq!(id, public.id());
        assert!(serde_json::from_str::<KeyId>("\"ABCDEF0123456789\"").is_err());
        assert!(serde_json::from_str::<Signature>("\"AAAA\"").is_err());
    }
}

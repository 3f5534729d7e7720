//! The two halves of an operator's key: recipients, which keys are wrapped for, and identities, which open them. Both are
//! what `age -r` and `age -i` take: X25519 keys of age, and Ed25519 and RSA keys of OpenSSH.

use age::ssh::ParseRecipientKeyError;

use super::{BAD_RECIPIENT, WRONG_IDENTITY};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What a private key in PEM begins with.
const PEM: &str = "-----BEGIN";

/// Whom an epoch's keys are wrapped for.
pub(super) enum Recipient {
    Age(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl Recipient {
    /// Reads `age1…`, or a line of a `.pub` file or of `authorized_keys` without options.
    pub fn parse(text: &str) -> Result<Recipient> {
        if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
            let parsed = text.parse().map_err(|e| bad_ssh(text, &e))?;
            return Ok(Recipient::Ssh(parsed));
        }
        age_recipient(text).map(Recipient::Age)
    }

    pub fn as_age(&self) -> &dyn age::Recipient {
        match self {
            Recipient::Age(recipient) => recipient,
            Recipient::Ssh(recipient) => recipient,
        }
    }
}

/// As it is kept and compared: without the comment of an SSH key.
impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Recipient::Age(recipient) => recipient.fmt(f),
            Recipient::Ssh(recipient) => recipient.fmt(f),
        }
    }
}

/// An age X25519 recipient, the only kind that data are encrypted to.
pub(super) fn age_recipient(text: &str) -> Result<age::x25519::Recipient> {
    text.parse().map_err(|e: &str| {
        let private = text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") || text.starts_with(PEM);
        let hint = if private {
            "This is the private half. Give the public one: `age-keygen -y FILE` or `ssh-keygen -y -f FILE` shows it."
        } else {
            "An operator's recipient is the line `age1…` that `age-keygen` prints, or the line of an SSH key's `.pub` file; recipients of plugins are not supported."
        };
        // A private key given by mistake must not be echoed.
        let shown = if text.starts_with("age1") { text } else { "the text given" };
        Error::new(&BAD_RECIPIENT, format!("`{shown}` is not an age X25519 recipient: {e}")).hint(hint)
    })
}

fn bad_ssh(text: &str, why: &ParseRecipientKeyError) -> Error {
    let kind = text.split_whitespace().next().unwrap_or_default();
    let (why, hint) = match why {
        ParseRecipientKeyError::Unsupported(_) => (
            "age encrypts to SSH keys of the kinds `ssh-ed25519` and `ssh-rsa` only",
            "Make a key for this alone: `age-keygen -o operator.txt`, or `ssh-keygen -t ed25519`.",
        ),
        ParseRecipientKeyError::RsaModulusTooSmall => (
            "RSA keys of less than 2048 bits are refused",
            "Make a better key: `ssh-keygen -t ed25519`.",
        ),
        ParseRecipientKeyError::RsaModulusTooLarge => (
            "RSA keys of more than 4096 bits are refused",
            "Use another key: `ssh-keygen -t ed25519`.",
        ),
        _ => (
            "the key is damaged or cut off",
            "Give the whole line of the `.pub` file, in quotes.",
        ),
    };
    Error::new(
        &BAD_RECIPIENT,
        format!("the `{kind}` key cannot be a recipient: {why}"),
    )
    .hint(hint)
}

/// What opens an epoch's keys.
#[derive(Clone)]
pub(super) enum Identity {
    Age(age::x25519::Identity),
    /// Without a passphrase, and of a kind that age knows.
    Ssh(Box<age::ssh::Identity>),
}

impl Identity {
    pub fn as_age(&self) -> &dyn age::Identity {
        match self {
            Identity::Age(identity) => identity,
            Identity::Ssh(identity) => identity.as_ref(),
        }
    }

    fn recipient(&self) -> Result<Recipient> {
        match self {
            Identity::Age(identity) => Ok(Recipient::Age(identity.to_public())),
            Identity::Ssh(identity) => age::ssh::Recipient::try_from((**identity).clone())
                .map(Recipient::Ssh)
                .map_err(|_| bad("the public half of the SSH key cannot be read".to_owned())),
        }
    }
}

fn bad(why: String) -> Error {
    Error::new(&WRONG_IDENTITY, why).hint(
        "An identity file holds lines that begin with `AGE-SECRET-KEY-1`, or one private SSH key. One that is itself encrypted must be opened first: `age -d identity.age`.",
    )
}

/// The identities of a file, as `age-keygen` or `ssh-keygen` writes it.
pub(super) fn identities(file: &Secret) -> Result<Vec<Identity>> {
    if file.expose().trim_start().starts_with(PEM) {
        return ssh_identity(file).map(|identity| vec![identity]);
    }
    let mut found = Vec::new();
    for (at, line) in file.expose().lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Keys inside a masked file must be masked by themselves too.
        let line = Secret::new(line);
        let identity = line.expose().parse().map_err(|e: &str| {
            bad(format!(
                "line {} of the identity file is not an age identity: {e}",
                at + 1
            ))
        })?;
        found.push(Identity::Age(identity));
    }
    if found.is_empty() {
        return Err(bad("the identity file holds no identity".to_owned()));
    }
    Ok(found)
}

fn ssh_identity(file: &Secret) -> Result<Identity> {
    use age::ssh::Identity as Ssh;
    for line in file.expose().lines().filter(|l| !l.starts_with("-----")) {
        Secret::new(line.trim());
    }
    match Ssh::from_buffer(file.expose().trim_start().as_bytes(), None) {
        Ok(identity @ Ssh::Unencrypted(_)) => Ok(Identity::Ssh(Box::new(identity))),
        Ok(Ssh::Encrypted(_)) => Err(Error::new(
            &WRONG_IDENTITY,
            "the SSH key is locked by a passphrase, which nobody can type during a restore at night",
        )
        .hint("Keep an age identity for backups instead: `age-keygen -o operator.txt`, then `summitctl keys rotate OPERATOR age1…`.")
        .hint("Or open a copy of the key on a disk in memory: `cp KEY /dev/shm/key`, `ssh-keygen -p -N '' -f /dev/shm/key`; delete it afterwards.")),
        Ok(Ssh::Unsupported(_)) => Err(bad(
            "the SSH key is of a kind that age does not decrypt with: `ssh-ed25519` and `ssh-rsa` are".to_owned(),
        )),
        Err(e) => Err(bad(format!("the identity file is no whole SSH key: {e}"))),
    }
}

/// The recipients that belong to the identities of an identity file.
pub fn recipients_of(file: &Secret) -> Result<Vec<String>> {
    let identities = identities(file)?;
    let recipients = identities.iter().map(|i| i.recipient());
    recipients.map(|r| r.map(|r| r.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use age::secrecy::ExposeSecret as _;

    use super::*;

    fn reason<T>(of: Result<T>) -> &'static str {
        of.err().unwrap().reason().code
    }

    /// Runs `ssh-keygen`, and gives the private and the public file.
    fn keygen(dir: &Path, name: &str, words: &[&str]) -> (Secret, String) {
        let path = dir.join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-C", "alice@laptop", "-f"])
            .arg(&path)
            .args(words)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        (Secret::new(std::fs::read_to_string(&path).unwrap()), public)
    }

    #[test]
    fn ssh_keys_are_both_halves() {
        let dir = std::env::temp_dir().join(format!("summitctl-ssh-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (name, kind) in [
            ("ed25519", &["-t", "ed25519"][..]),
            ("rsa", &["-t", "rsa", "-b", "2048"]),
            ("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ] {
            let (private, public) = keygen(&dir, name, &[kind, &["-N", ""]].concat());
            let recipient = Recipient::parse(public.trim()).unwrap();
            let text = recipient.to_string();
            assert!(
                public.starts_with(&text) && !text.contains("alice"),
                "{text}"
            );
            assert_eq!(recipients_of(&private).unwrap(), [text]);
            let cipher = super::super::keys::encrypt(&[recipient], b"keys").unwrap();
            let opened = super::super::keys::decrypt_any(&identities(&private).unwrap(), &cipher);
            assert_eq!(&**opened.unwrap(), b"keys", "{name}");
            // Stock age opens it, too.
            let file = dir.join("cipher.age");
            std::fs::write(&file, cipher).unwrap();
            let mut stock = Command::new("age");
            stock.arg("-d").arg("-i").arg(dir.join(name)).arg(&file);
            assert_eq!(stock.output().unwrap().stdout, b"keys", "{name}");
        }
        let (locked, _) = keygen(&dir, "locked", &["-t", "ed25519", "-N", "canary-phrase"]);
        let error = identities(&locked).err().unwrap();
        assert!(error.to_string().contains("passphrase"), "{error}");
        let (other, public) = keygen(&dir, "ecdsa", &["-t", "ecdsa", "-N", ""]);
        assert_eq!(reason(Recipient::parse(public.trim())), BAD_RECIPIENT.code);
        assert_eq!(reason(identities(&other)), WRONG_IDENTITY.code);
        let cut = Secret::new(&locked.expose()[..200]);
        assert_eq!(reason(identities(&cut)), WRONG_IDENTITY.code);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_private_key_given_as_recipient_is_not_echoed() {
        let identity = age::x25519::Identity::generate();
        let text = identity.to_string();
        let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n";
        for private in [text.expose_secret(), pem] {
            let error = Recipient::parse(private).err().unwrap();
            assert_eq!(error.reason(), &BAD_RECIPIENT);
            assert!(!format!("{error:?}").contains(private));
            assert!(error.hints().iter().any(|h| h.contains("ssh-keygen -y")));
        }
        let file = Secret::new("# comment\n\nnot a key\n");
        assert_eq!(reason(identities(&file)), WRONG_IDENTITY.code);
        let file = Secret::new(format!("# created\n{}\n", text.expose_secret()));
        assert_eq!(identities(&file).unwrap().len(), 1);
    }
}

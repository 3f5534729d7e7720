//! Keys as files: making a signing key, and reading the public keys that an auditor trusts.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::NO_TRUSTED_KEY;
use crate::error::{Context as _, Error, Result};
use crate::sign::{KEY_EXISTS, KeyId, PublicKey, SigningKey};

/// A key pair that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The private key's file, mode 0600.
    pub private: PathBuf,
    /// The public key's file, beside it.
    pub public: PathBuf,
    /// The key's id.
    pub id: KeyId,
}

/// Makes a signing key at `path` and its public half at `path` with `.pub` added. Neither file may exist.
pub fn generate(path: &Path) -> Result<Generated> {
    let public = public_path(path);
    if public.exists() {
        return Err(Error::new(
            &KEY_EXISTS,
            format!("there is already a file `{}`", public.display()),
        )
        .hint("Choose another path; a public key that others trust is never overwritten."));
    }
    let key = SigningKey::generate()?;
    key.save(path)?;
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&public)
        .and_then(|mut file| {
            file.write_all(key.public().to_pem().as_bytes())?;
            file.sync_all()
        });
    written.map_err(|e| {
        Error::io("write the public key", &public, e).hint(format!(
            "The private key is whole. Write its public half with `openssl pkey -in {} -pubout -out {}`.",
            path.display(),
            public.display()
        ))
    })?;
    Ok(Generated {
        private: path.to_owned(),
        public,
        id: key.id(),
    })
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

/// The public keys an auditor trusts, each with where it came from.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Vec<Trusted>);

#[derive(Debug, Clone)]
struct Trusted {
    key: PublicKey,
    origin: String,
}

impl TrustedKeys {
    /// Trusts exactly these keys.
    pub fn of(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let mut trusted = Self::default();
        for key in keys {
            trusted.add(key, "this process");
        }
        trusted
    }

    /// Reads files that hold one or more public keys in PEM form (text around them is ignored), and folders of
    /// such files (`*.pub` and `*.pem`, not deeper). Private keys are refused: a trusted-keys file gets shared.
    pub fn load<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut trusted = Self::default();
        for path in paths {
            let path = path.as_ref();
            if path.is_dir() {
                trusted.load_folder(path)?;
            } else {
                trusted.load_file(path)?;
            }
        }
        Ok(trusted)
    }

    /// Adds a key; one that is there already is not added twice.
    pub fn add(&mut self, key: PublicKey, origin: impl Into<String>) {
        if self.get(&key.id()).is_none() {
            self.0.push(Trusted {
                key,
                origin: origin.into(),
            });
        }
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter().map(|t| &t.key)
    }

    /// The key with this id.
    pub fn get(&self, id: &KeyId) -> Option<&PublicKey> {
        self.keys().find(|k| k.id() == *id)
    }

    /// Where the key with this id came from: a file's path.
    pub fn origin(&self, id: &KeyId) -> Option<&str> {
        let found = self.0.iter().find(|t| t.key.id() == *id);
        found.map(|t| t.origin.as_str())
    }

    /// Whether nothing is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn load_folder(&mut self, folder: &Path) -> Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(|e| Error::io("list", folder, e))? {
            let path = entry.map_err(|e| Error::io("list", folder, e))?.path();
            let fits = path.extension().is_some_and(|e| e == "pub" || e == "pem");
            if fits && path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(Error::new(
                &NO_TRUSTED_KEY,
                format!(
                    "the folder `{}` holds no `*.pub` or `*.pem` file",
                    folder.display()
                ),
            ));
        }
        files.iter().try_for_each(|file| self.load_file(file))
    }

    fn load_file(&mut self, path: &Path) -> Result<()> {
        let text =
            fs::read_to_string(path).map_err(|e| Error::io("read the trusted keys", path, e))?;
        let keys =
            parse(&text).context(|| format!("cannot use the trusted keys `{}`", path.display()))?;
        for key in keys {
            self.add(key, path.display().to_string());
        }
        Ok(())
    }
}

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

fn parse(text: &str) -> Result<Vec<PublicKey>> {
    if text.contains("PRIVATE KEY-----") {
        return Err(Error::input("the file holds a private key")
            .hint("Trust its public half instead: `openssl pkey -in KEY -pubout -out KEY.pub`."));
    }
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let block = &rest[begin..];
        let end = block
            .find(END)
            .map(|at| at + END.len())
            .ok_or_else(|| Error::input(format!("key {} has no `{END}` line", keys.len() + 1)))?;
        let number = keys.len() + 1;
        keys.push(
            PublicKey::from_pem(&block[..end]).context(|| format!("cannot read key {number}"))?,
        );
        rest = &block[end..];
    }
    if keys.is_empty() {
        return Err(Error::new(
            &NO_TRUSTED_KEY,
            "there is no `PUBLIC KEY` PEM block in it",
        ));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::evidence::testing::Folder;

    #[test]
    fn a_generated_key_is_private_and_is_never_overwritten() {
        let folder = Folder::new("keygen");
        let path = folder.path().join("signer");
        let made = generate(&path).expect("makes a key");
        let mode = fs::metadata(&path).expect("exists").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let before = fs::read(&path).expect("reads");
        assert_eq!(generate(&path).expect_err("refused").reason(), &KEY_EXISTS);
        fs::remove_file(&made.public).expect("removes");
        assert_eq!(generate(&path).expect_err("refused").reason(), &KEY_EXISTS);
        assert_eq!(fs::read(&path).expect("reads"), before);
        assert!(!made.public.exists());
        assert_eq!(SigningKey::load(&path).expect("loads").id(), made.id);
    }

    #[test]
    fn trusted_keys_come_from_files_and_folders() {
        let folder = Folder::new("trusted");
        let keys: Vec<SigningKey> = (0..3)
            .map(|_| SigningKey::generate().expect("a key"))
            .collect();
        let two = format!(
            "the drill host\n{}\n# the gate\n{}",
            keys[0].public().to_pem(),
            keys[1].public().to_pem()
        );
        fs::write(folder.path().join("a.pub"), two).expect("writes");
        fs::write(folder.path().join("b.pem"), keys[2].public().to_pem()).expect("writes");
        fs::write(folder.path().join("README"), "not a key").expect("writes");
        let trusted = TrustedKeys::load([folder.path()]).expect("loads");
        assert_eq!(trusted.keys().count(), 3);
        assert!(
            trusted
                .origin(&keys[1].id())
                .is_some_and(|o| o.ends_with("a.pub"))
        );
        let again = TrustedKeys::load([folder.path().join("a.pub"), folder.path().to_owned()]);
        assert_eq!(again.expect("loads").keys().count(), 3);
    }

    #[test]
    fn private_keys_and_empty_files_are_refused() {
        let private = SigningKey::generate().expect("a key").to_pem();
        let error = parse(private.expose()).expect_err("refused");
        assert!(error.to_string().contains("private key"), "{error}");
        assert_eq!(
            parse("nothing").expect_err("refused").reason(),
            &NO_TRUSTED_KEY
        );
        let cut = &SigningKey::generate().expect("a key").public().to_pem()[..60];
        assert!(parse(cut).is_err());
    }
}

//! The sandbox with everything a context needs: its servers, and the keys and the repository that belong to it.

use std::path::Path;
use std::sync::Arc;

use crate::durable::write_private;
use crate::error::{Error, Result};
use crate::repository::{LocalStore, Operator, Repository};
use crate::sandbox::{Keys, Layout, Sandbox};
use crate::secret::Secret;
use crate::sign::SigningKey;

/// The name of the sandbox's context.
pub const CONTEXT: &str = "sandbox";

/// The sandbox of a folder, which makes its own keys.
pub fn sandbox(dir: &Path) -> Sandbox {
    Sandbox::at(dir).with_keys(make_keys)
}

/// Makes the files of keys that are missing; those that are there stay.
fn make_keys(layout: &Layout) -> Result<Keys> {
    let (secret, identity, signing) = (
        layout.repository_secret(),
        layout.identity(),
        layout.signing_key(),
    );
    if !secret.exists() {
        write_private(&secret, Repository::generate_secret()?.expose().as_bytes())?;
    }
    if !identity.exists() {
        let made = age::x25519::Identity::generate();
        let text = format!(
            "# public key: {}\n{}\n",
            made.to_public(),
            secret_text(&made)
        );
        write_private(&identity, text.as_bytes())?;
    }
    if !signing.exists() {
        SigningKey::generate()?.save(&signing)?;
    }
    let public = SigningKey::load(&signing)?.public();
    write_private(&layout.trusted_key(), public.to_pem().as_bytes())?;
    Ok(Keys {
        recipients: vec![recipient(&identity)?],
    })
}

fn secret_text(identity: &age::x25519::Identity) -> String {
    use age::secrecy::ExposeSecret as _;
    identity.to_string().expose_secret().to_owned()
}

fn recipient(path: &Path) -> Result<String> {
    let text = read(path)?;
    let line = text
        .expose()
        .lines()
        .find(|l| l.starts_with("AGE-SECRET-KEY-"))
        .unwrap_or_default()
        .to_owned();
    let identity: age::x25519::Identity = line.parse().map_err(|e: &str| {
        Error::input(format!("`{}` holds no age identity: {e}", path.display()))
    })?;
    Ok(identity.to_public().to_string())
}

fn read(path: &Path) -> Result<Secret> {
    std::fs::read_to_string(path)
        .map(Secret::new)
        .map_err(|e| Error::io("read", path, e))
}

/// Makes the sandbox's repository, if it is not there yet.
pub async fn repository(sandbox: &Sandbox) -> Result<()> {
    let layout = sandbox.layout()?;
    let secret = Secret::new(read(&layout.repository_secret())?.expose().trim());
    let signer = SigningKey::load(&layout.signing_key())?.public();
    let operator = Operator::new("sandbox", &recipient(&layout.identity())?)?;
    let store = Arc::new(LocalStore::new(layout.repository()));
    Repository::init(
        store,
        &secret,
        &[operator],
        &[("sandbox".to_owned(), signer)],
    )
    .await
    .map(drop)
}

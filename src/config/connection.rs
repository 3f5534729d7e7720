//! Connection URLs: a password inside one is moved into a [`Secret`] before anything else looks at the URL.

use super::environment::Environment;
use super::reference::SecretRef;
use super::source::Sourced;
use crate::error::{Context as _, Error, Result};
use crate::secret::Secret;

/// A URL that may need a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionUrl {
    /// Written out; the password it held is beside it, never inside.
    Plain {
        /// Without a password.
        url: String,
        /// What was inside.
        password: Option<Secret>,
    },
    /// The whole URL is a secret, as `DATABASE_URL` is.
    Reference(SecretRef),
}

/// How to reach a datastore, before its secrets are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where.
    pub url: Sourced<ConnectionUrl>,
    /// As whom; wins over the user inside the URL.
    pub user: Option<Sourced<String>>,
    /// The password; wins over the one inside the URL.
    pub password: Option<Sourced<SecretRef>>,
}

/// How to reach a datastore: what a provider's `Target::parse` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Without a password.
    pub url: String,
    /// The user given beside the URL.
    pub user: Option<String>,
    /// The password given beside the URL, else the one inside it.
    pub password: Option<Secret>,
}

impl ConnectionUrl {
    /// Reads a URL as written, or a reference to one.
    ///
    /// # Errors
    /// The form of the reference, or a password whose end cannot be told; never repeats the text.
    pub fn parse(text: &str, base: &std::path::Path) -> Result<ConnectionUrl> {
        if SecretRef::is_reference(text) {
            return Ok(ConnectionUrl::Reference(SecretRef::parse(text, base)?));
        }
        let (url, password) = split_password(text)?;
        Ok(ConnectionUrl::Plain { url, password })
    }

    /// Fetches it: the URL without a password, and the password.
    ///
    /// # Errors
    /// Those of [`SecretRef::resolve`] and [`split_password`].
    pub async fn resolve(&self, environment: &Environment) -> Result<(String, Option<Secret>)> {
        match self {
            ConnectionUrl::Plain { url, password } => Ok((url.clone(), password.clone())),
            ConnectionUrl::Reference(reference) => {
                let text = reference.resolve(environment).await?;
                split_password(text.expose())
            }
        }
    }
}

impl Endpoint {
    /// Fetches what is needed to connect. `what` names the endpoint in errors, as in `postgres`.
    ///
    /// # Errors
    /// A secret that cannot be had, with where it was looked for.
    pub async fn resolve(&self, what: &str, environment: &Environment) -> Result<Resolved> {
        let (url, inside) = self
            .url
            .value
            .resolve(environment)
            .await
            .context(|| format!("the URL of `{what}` cannot be had ({})", self.url.source))?;
        let beside = match &self.password {
            None => None,
            Some(reference) => Some(reference.value.resolve(environment).await.context(|| {
                format!(
                    "the password of `{what}` cannot be had ({})",
                    reference.source
                )
            })?),
        };
        Ok(Resolved {
            url,
            user: self.user.as_ref().map(|u| u.value.clone()),
            password: beside.or(inside),
        })
    }
}

/// Splits `scheme://user:password@host/…` into the URL without the password, and the password, percent-decoded. A
/// `password` parameter in the query is moved out as well.
///
/// # Errors
/// A user or password that holds an unescaped `/`, `?` or `#`, so that nobody can tell where it ends. The text is not
/// repeated, and what may be the password is masked from then on.
pub fn split_password(text: &str) -> Result<(String, Option<Secret>)> {
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((text.to_owned(), None));
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (mut authority, mut password) = match authority.rsplit_once('@') {
        None => (authority.to_owned(), None),
        Some((userinfo, host)) => match userinfo.split_once(':') {
            None => (authority.to_owned(), None),
            Some((user, inside)) => {
                let secret = register(inside);
                (
                    format!("{user}@{host}"),
                    Some(secret).filter(|s| !s.is_empty()),
                )
            }
        },
    };
    if !authority.contains('@') {
        unescaped(&authority, tail, rest)?;
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let mut kept: Vec<&str> = Vec::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        match pair.split_once('=') {
            Some(("password" | "pass" | "pwd", inside)) => {
                let secret = register(inside);
                password = password.or(Some(secret).filter(|s| !s.is_empty()));
            }
            _ => kept.push(pair),
        }
    }
    if authority.starts_with('@') {
        authority.remove(0);
    }
    let query = if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    };
    Ok((format!("{scheme}://{authority}{path}{query}"), password))
}

/// Refuses a URL whose path holds an `@`: its user part was cut short by a character that must be escaped.
fn unescaped(authority: &str, tail: &str, rest: &str) -> Result<()> {
    let is_port = |p: &str| p.chars().all(|c| c.is_ascii_digit());
    let plain_host = authority.rsplit_once(':').is_none_or(|(_, p)| is_port(p))
        || authority.ends_with(']')
        || authority.contains(',');
    let path = tail.split('?').next().unwrap_or_default();
    let suspicious = path.contains('@') || (!plain_host && tail.contains('@'));
    if !suspicious {
        return Ok(());
    }
    if let Some((userinfo, _)) = rest.rsplit_once('@')
        && let Some((_, inside)) = userinfo.split_once(':')
    {
        register(inside);
    }
    Err(Error::input(
        "the URL's user or password holds an unescaped `/`, `?` or `#`, so its end cannot be told",
    )
    .hint(
        "Percent-encode it (`/` is `%2F`, `?` is `%3F`, `#` is `%23`, `@` is `%40`), or give the password beside the URL.",
    ))
}

/// Takes a password as it stands in a URL: both its forms are masked from now on.
fn register(inside: &str) -> Secret {
    let _as_written = Secret::new(inside);
    Secret::new(percent_decoded(inside))
}

/// Decodes `%XX`; what is not such an escape, or does not give UTF-8, stays as it stands.
pub(super) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|h| std::str::from_utf8(h).ok())
            .filter(|h| h.chars().all(|c| c.is_ascii_hexdigit()))
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// The URL of a Redis that is given by host and port; IPv6 addresses get their brackets.
pub(super) fn redis_url(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("redis://[{host}]:{port}")
    } else {
        format!("redis://{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> (String, Option<String>) {
        let (url, password) = split_password(text).unwrap();
        (url, password.map(|p| p.expose().to_owned()))
    }

    #[test]
    fn the_password_is_moved_out() {
        for (text, url, password) in [
            (
                "postgres://a:p%40ss@h:1/d?sslmode=require",
                "postgres://a@h:1/d?sslmode=require",
                Some("p@ss"),
            ),
            ("postgres://a:b@c@h/d", "postgres://a@h/d", Some("b@c")),
            (
                "redis://:hush-hush@h:6379/0",
                "redis://h:6379/0",
                Some("hush-hush"),
            ),
            ("redis://h:6379/0?x=a@b", "redis://h:6379/0?x=a@b", None),
            (
                "postgres://a@h1:1,h2:2/d?password=qqqq&x=1",
                "postgres://a@h1:1,h2:2/d?x=1",
                Some("qqqq"),
            ),
            ("bolt://[::1]:7687", "bolt://[::1]:7687", None),
            ("postgres://a:@h/d", "postgres://a@h/d", None),
            ("not a url", "not a url", None),
        ] {
            assert_eq!(
                split(text),
                (url.to_owned(), password.map(str::to_owned)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_without_an_end_is_refused_without_being_shown() {
        for text in [
            "postgres://app:canary/12@h/d",
            "postgres://app:canary#12@h/d",
            "postgres://app:12/canary@h/d",
            "postgres://app:canary?12@h/d",
        ] {
            let error = split_password(text).expect_err(text);
            let all = format!("{error} {:?} {:?}", error.hints(), error.causes());
            assert!(!all.contains("canary"), "{all}");
        }
    }

    proptest! {
        #[test]
        fn no_part_of_an_escaped_password_stays(password in "[ -~]{6,20}") {
            let escaped: String = password.bytes().map(|b| format!("%{b:02X}")).collect();
            let (url, found) = split_password(&format!("postgres://u:{escaped}@h/d")).unwrap();
            prop_assert_eq!(url, "postgres://u@h/d");
            let found = found.unwrap();
            prop_assert_eq!(found.expose(), password.as_str());
        }

        #[test]
        fn splitting_never_panics(text in "(?s).{0,80}") {
            let _ = split_password(&text);
        }
    }
}

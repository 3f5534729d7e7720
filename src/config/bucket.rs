//! Where a repository lies: a folder, or an S3 bucket with what the store has to be told.

use std::fmt;
use std::path::PathBuf;

use super::build::Scope;
use super::context::{Repository, RepositoryCopy};
use super::document::{self as written, At, LockMode};
use super::environment::Environment;
use super::from_env::http_url;
use super::reference::SecretRef;
use super::source::Sourced;
use crate::error::{Error, Result};
use crate::time::Span;

/// What the URL of a bucket begins with.
pub(super) const S3: &str = "s3://";

/// Where a repository lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket(Box<Bucket>),
}

/// An S3 bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What every name in it begins with; may be empty.
    pub prefix: String,
    /// Its region.
    pub region: Option<Sourced<String>>,
    /// The store's URL; AWS's own if nobody said.
    pub endpoint: Option<Sourced<String>>,
    /// Whether the bucket is named in the path of requests.
    pub path_style: Option<Sourced<bool>>,
    /// The class that objects are stored in.
    pub storage_class: Option<Sourced<String>>,
    /// The KMS key that the store encrypts with.
    pub kms_key: Option<Sourced<String>>,
    /// Object Lock for what is written: its mode, and for how long.
    pub lock: Option<(Sourced<Lock>, Sourced<Span>)>,
    /// The access key's id.
    pub access_key_id: Option<Sourced<SecretRef>>,
    /// Its secret.
    pub secret_access_key: Option<Sourced<SecretRef>>,
    /// The token of a temporary key.
    pub session_token: Option<Sourced<SecretRef>>,
    /// PEM file of the authority to trust besides the system's.
    pub tls_ca: Option<Sourced<PathBuf>>,
}

/// Who may shorten a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Whoever has the right to bypass it.
    Governance,
    /// Nobody.
    Compliance,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Folder(path) => path.display().fmt(f),
            Place::Bucket(bucket) if bucket.prefix.is_empty() => {
                write!(f, "{S3}{}", bucket.name)
            }
            Place::Bucket(bucket) => write!(f, "{S3}{}/{}", bucket.name, bucket.prefix),
        }
    }
}

impl Place {
    /// A path, or the URL of a bucket, as a variable holds it.
    pub(super) fn parse(text: &str, environment: &Environment) -> Result<Place, String> {
        if !text.starts_with(S3) {
            return Ok(Place::Folder(PathBuf::from(text)));
        }
        let mut bucket = Bucket::parse(text)?;
        bucket
            .from_environment(environment)
            .map_err(|e| e.to_string())?;
        Ok(Place::Bucket(Box::new(bucket)))
    }
}

/// What a repository or a copy of one is given.
const ONE_PLACE: &str = "Keep `path` for a folder, or `url` for a bucket. A second place is a copy: `[[contexts.NAME.repository.copies]]`.";

impl Bucket {
    /// `s3://BUCKET` or `s3://BUCKET/PREFIX`.
    fn parse(text: &str) -> Result<Bucket, String> {
        let rest = text.strip_prefix(S3).unwrap_or_default();
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        // docs.aws.amazon.com, "General purpose bucket naming rules".
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if !(3..=63).contains(&name.len()) || !name.chars().all(good) {
            return Err(format!(
                "`{name}` cannot be a bucket's name: 3 to 63 lower-case letters, digits, `.` and `-`"
            ));
        }
        let plain = |part: &str| {
            !["", ".", ".."].contains(&part)
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !prefix.is_empty() && !prefix.split('/').all(plain) {
            return Err(format!(
                "`{prefix}` cannot be a prefix: use letters, digits, `.`, `_`, `-` and `/`"
            ));
        }
        Ok(Bucket {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            ..Bucket::default()
        })
    }

    /// Takes from the environment what AWS's own tools take from there and nobody said here.
    pub fn from_environment(&mut self, environment: &Environment) -> Result<()> {
        let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        if let (None, Some((name, url))) = (&self.endpoint, environment.first(&names)) {
            let source = super::source::Provenance::environment(name);
            self.endpoint = Some(Sourced::new(http_url(name, url)?, source));
        }
        Ok(())
    }
}

impl Scope<'_, '_> {
    pub(super) fn repository(&mut self, at: &At<written::Repository>) -> Result<Repository> {
        let r = &at.value;
        for recipient in &r.recipients {
            let text = recipient.value.trim();
            if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-")
                || text.starts_with("-----BEGIN")
            {
                crate::secret::Secret::new(&recipient.value);
                return Err(self
                    .file
                    .bad(recipient, "this is a private key, not a recipient")
                    .hint("Treat it as disclosed. `age-keygen -y FILE` or `ssh-keygen -y -f FILE` prints the recipient of a key."));
            }
            if !text.starts_with("age1") && text.parse::<age::ssh::Recipient>().is_err() {
                return Err(self
                    .file
                    .bad(recipient, "this is not an age recipient")
                    .hint("It is the line `age1…` that `age-keygen -y FILE` prints, or the whole line of an SSH key's `.pub` file, of the kinds `ssh-ed25519` and `ssh-rsa`."));
            }
        }
        Ok(Repository {
            place: self.place(at, &r.path, &r.url, &r.s3)?,
            secret: self.optional_secret("repository.secret", r.secret.as_ref())?,
            recipients: r.recipients.iter().map(|a| self.file.sourced(a)).collect(),
            identity: self.optional_secret("repository.identity", r.identity.as_ref())?,
            signing_key: self.optional_secret("repository.signing-key", r.signing_key.as_ref())?,
            trusted_keys: r.trusted_keys.iter().map(|a| self.file.path(a)).collect(),
            copies: self.copies(&r.copies)?,
        })
    }

    fn copies(&mut self, written: &[At<written::Copy>]) -> Result<Vec<RepositoryCopy>> {
        let mut copies: Vec<RepositoryCopy> = Vec::new();
        for at in written {
            let (copy, file) = (&at.value, self.file);
            let name = file.sourced(&copy.name);
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.value.is_empty() || !name.value.chars().all(plain) {
                return Err(file
                    .bad(
                        &copy.name,
                        "a copy's name is made of lower-case letters, digits and `-`",
                    )
                    .hint("Call it something like `offsite` or `eu-west-1`."));
            }
            if copies.iter().any(|c| c.name.value == name.value) {
                return Err(file.bad(&copy.name, "two copies have this name"));
            }
            let place = self.place(at, &copy.path, &copy.url, &copy.s3)?;
            copies.push(RepositoryCopy { name, place });
        }
        Ok(copies)
    }

    fn place<T>(
        &mut self,
        at: &At<T>,
        path: &Option<At<String>>,
        url: &Option<At<String>>,
        s3: &Option<At<written::S3>>,
    ) -> Result<Sourced<Place>> {
        let file = self.file;
        let url = match (path, url) {
            (Some(_), Some(url)) => {
                return Err(file
                    .bad(url, "`path` and `url` exclude each other")
                    .hint(ONE_PLACE));
            }
            (None, None) => {
                return Err(file
                    .bad(at, "`repository` has neither `path` nor `url`")
                    .hint("Set `path = \"FOLDER\"`, or `url = \"s3://BUCKET/PREFIX\"`."));
            }
            (Some(path), None) if path.value.contains("://") => {
                return Err(file
                    .bad(path, "this is a URL, not a path")
                    .hint("Write it as `url = \"s3://BUCKET/PREFIX\"`."));
            }
            (Some(path), None) => {
                if let Some(s3) = s3 {
                    return Err(file
                        .bad(s3, "`s3` belongs to `url`, and here is a `path`")
                        .hint("Leave the `s3` table out, or set `url = \"s3://BUCKET/PREFIX\"` instead of `path`."));
                }
                return Ok(file.path(path).map(Place::Folder));
            }
            (None, Some(url)) => url,
        };
        if !url.value.starts_with(S3) {
            return Err(file.bad(url, "this URL does not begin with `s3://`").hint(
                "Write `s3://BUCKET/PREFIX`; the store's own address goes into `s3.endpoint`.",
            ));
        }
        let mut bucket = Bucket::parse(&url.value).map_err(|why| file.bad(url, why))?;
        if let Some(options) = s3 {
            self.options(&mut bucket, options)?;
        }
        Ok(Sourced::new(Place::Bucket(Box::new(bucket)), file.at(url)))
    }

    fn options(&mut self, bucket: &mut Bucket, at: &At<written::S3>) -> Result<()> {
        let (s3, file) = (&at.value, self.file);
        let text = |at: &Option<At<String>>| at.as_ref().map(|at| file.sourced(at));
        bucket.region = text(&s3.region);
        bucket.endpoint = s3
            .endpoint
            .as_ref()
            .map(|at| file.http_url(at))
            .transpose()?;
        bucket.path_style = s3.path_style.as_ref().map(|at| file.sourced(at));
        bucket.storage_class = match &s3.storage_class {
            Some(at) if ["GLACIER", "DEEP_ARCHIVE"].contains(&at.value.as_str()) => {
                return Err(file
                    .bad(at, "what lies in this class cannot be read without thawing it for hours")
                    .hint("Use `STANDARD_IA`, `GLACIER_IR` or `INTELLIGENT_TIERING`; every command reads manifests."));
            }
            at => text(at),
        };
        bucket.kms_key = text(&s3.kms_key);
        bucket.tls_ca = s3.tls_ca.as_ref().map(|at| file.path(at));
        bucket.lock = match (&s3.object_lock, &s3.retain_for) {
            (None, None) => None,
            (Some(mode), Some(span)) if span.value >= Span::secs(24 * 3_600) => {
                let lock = match mode.value {
                    LockMode::Governance => Lock::Governance,
                    LockMode::Compliance => Lock::Compliance,
                };
                Some((file.sourced(mode).map(|_| lock), file.sourced(span)))
            }
            (Some(_), Some(span)) => {
                return Err(file.bad(span, "a retention below a day keeps nothing"));
            }
            (Some(lone), None) => {
                return Err(file
                    .bad(lone, "`object-lock` says not for how long")
                    .hint("Set `retain-for` as well, such as `retain-for = \"30d\"`."));
            }
            (None, Some(lone)) => {
                return Err(file
                    .bad(lone, "`retain-for` says not how")
                    .hint("Set `object-lock` as well: `governance`, or `compliance`, which nobody can take back."));
            }
        };
        // An id names a key and opens nothing: it may stand in the file.
        bucket.access_key_id = match &s3.access_key_id {
            Some(at) => {
                let id = at.value.read(file.base).map_err(|e| file.wrap(at, &e))?;
                Some(Sourced::new(id, file.at(at)))
            }
            None => None,
        };
        let secret = s3.secret_access_key.as_ref();
        bucket.secret_access_key =
            self.optional_secret("repository.s3.secret-access-key", secret)?;
        let token = s3.session_token.as_ref();
        bucket.session_token = self.optional_secret("repository.s3.session-token", token)?;
        if s3.access_key_id.is_some() != s3.secret_access_key.is_some() {
            return Err(file.bad(at, "`access-key-id` and `secret-access-key` go together"));
        }
        Ok(())
    }
}

/// The place that a variable names.
pub(super) fn from_variable(
    path: Sourced<PathBuf>,
    environment: &Environment,
) -> Result<Sourced<Place>> {
    let text = path.value.to_string_lossy();
    let place = Place::parse(&text, environment).map_err(|why| {
        Error::new(&super::BAD_VALUE, format!("`SUMMITCTL_REPOSITORY`: {why}"))
            .hint("Set it to a folder, or to `s3://BUCKET/PREFIX`.")
    })?;
    Ok(Sourced::new(place, path.source))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::build::build;
    use super::*;

    fn read(repository: &str) -> Result<Sourced<Place>> {
        let text = format!("version = 1\n[contexts.a]\nrepository = {repository}\n");
        let mut built = build(Path::new("summitctl.toml"), &text)?;
        let context = built.contexts.remove("a");
        Ok(context.and_then(|c| c.repository).unwrap().place)
    }

    #[test]
    fn wrong_places_are_refused_with_what_is_wrong() {
        for (repository, told) in [
            ("{}", "neither `path` nor `url`"),
            (
                r#"{ path = "p", url = "s3://bucket" }"#,
                "exclude each other",
            ),
            (r#"{ path = "s3://bucket" }"#, "a URL, not a path"),
            (r#"{ url = "gs://bucket" }"#, "does not begin with `s3://`"),
            (
                r#"{ url = "s3://Bad_Name/x" }"#,
                "cannot be a bucket's name",
            ),
            (r#"{ url = "s3://bucket/../x" }"#, "cannot be a prefix"),
            (
                r#"{ path = "p", s3 = { region = "r" } }"#,
                "`s3` belongs to `url`",
            ),
            (
                r#"{ url = "s3://bucket", s3 = { object-lock = "governance" } }"#,
                "not for how long",
            ),
            (
                r#"{ url = "s3://bucket", s3 = { retain-for = "30d" } }"#,
                "says not how",
            ),
            (
                r#"{ url = "s3://bucket", s3 = { object-lock = "compliance", retain-for = "1h" } }"#,
                "below a day",
            ),
            (
                r#"{ url = "s3://bucket", s3 = { storage-class = "GLACIER" } }"#,
                "without thawing it",
            ),
            (
                r#"{ url = "s3://bucket", s3 = { access-key-id = "K" } }"#,
                "go together",
            ),
            (
                r#"{ url = "s3://bucket", s3 = { access-key-id = "K", secret-access-key = "canary-written-out" } }"#,
                "holds a secret itself",
            ),
        ] {
            let error = read(repository).map(|p| p.value).unwrap_err();
            assert!(error.one_line().contains(told), "{repository}: {error:?}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn copies_have_names_of_their_own() {
        let copies = |copies: &str| {
            let text = format!(
                "version = 1\n[contexts.a.repository]\npath = \"p\"\n{}",
                copies.replace('|', "\n[[contexts.a.repository.copies]]\n")
            );
            let mut built = build(Path::new("summitctl.toml"), &text)?;
            let context = built.contexts.remove("a");
            Ok::<_, Error>(context.and_then(|c| c.repository).unwrap().copies)
        };
        let two =
            "|name = \"offsite\"\nurl = \"s3://bucket/x\"|name = \"usb\"\npath = \"/mnt/usb\"\n";
        let found: Vec<String> = copies(two)
            .unwrap()
            .iter()
            .map(|c| format!("{} {}", c.name.value, c.place.value))
            .collect();
        assert_eq!(found, ["offsite s3://bucket/x", "usb /mnt/usb"]);
        for (wrong, told) in [
            (
                "|name = \"a\"\npath = \"p\"|name = \"a\"\npath = \"q\"\n",
                "two copies",
            ),
            ("|name = \"Off site\"\npath = \"p\"\n", "lower-case"),
            ("|name = \"a\"\n", "neither `path` nor `url`"),
        ] {
            let error = copies(wrong).unwrap_err();
            assert!(error.one_line().contains(told), "{error:?}");
        }
    }

    #[test]
    fn the_environment_gives_what_the_file_does_not() {
        let environment: Environment = [
            ("AWS_ENDPOINT_URL", "http://all"),
            ("AWS_ENDPOINT_URL_S3", "http://s3/"),
        ]
        .into_iter()
        .collect();
        let Ok(Place::Bucket(bucket)) = Place::parse("s3://bucket/a/b/", &environment) else {
            panic!("no bucket");
        };
        assert_eq!(bucket.prefix, "a/b");
        assert_eq!(bucket.endpoint.unwrap().value, "http://s3");
        let said = read(r#"{ url = "s3://bucket", s3 = { endpoint = "http://said" } }"#);
        let Place::Bucket(mut bucket) = said.unwrap().value else {
            panic!("no bucket");
        };
        bucket.from_environment(&environment).unwrap();
        assert_eq!(bucket.endpoint.unwrap().value, "http://said");
        for (url, told) in [
            ("http://user:canary@proxy", "holds a user or password"),
            ("proxy:9000", "is not a URL"),
        ] {
            let environment: Environment = [("AWS_ENDPOINT_URL", url)].into_iter().collect();
            let error = Place::parse("s3://bucket", &environment).unwrap_err();
            assert!(error.contains(told), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}

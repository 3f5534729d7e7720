//! Secret references: where a secret is, instead of the secret itself.
//!
//! `env:NAME`, `file:PATH`, `exec:["program", "argument"]`. Nothing here ever falls back to an empty value: a secret
//! that cannot be had is an error that says where it was looked for.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::environment::Environment;
use super::excerpt::nearest;
use crate::error::{Error, Result};
use crate::reasons;
use crate::secret::{self, Secret};
use crate::wait::Deadline;

reasons! {
    /// The place a reference names holds nothing.
    SECRET_MISSING = "config.secret-missing", Usage,
        "A secret reference names a variable that is not set, a file that cannot be read, or something that is empty. \
         The message names the place. `summitctl config show` lists every reference and whether its place holds something.";
    /// The program of an `exec:` reference failed.
    SECRET_EXEC = "config.secret-exec-failed", Usage,
        "The program that an `exec:` reference names could not be started, failed, took too long or printed nothing. The \
         message holds the end of what it wrote to standard error. Run the same program by hand to see more.";
    /// The reference's form is understood but this version cannot follow it.
    SECRET_BACKEND_ABSENT = "config.secret-backend-absent", Usage,
        "This version understands references to AWS Secrets Manager and Kubernetes Secrets but cannot follow them. Mount the \
         secret as a file and use `file:`, or let a program print it and use `exec:`.";
    /// A reference that cannot be understood.
    SECRET_FORM = "config.secret-form", Usage,
        "A secret reference is `env:NAME`, `file:PATH`, `exec:[\"program\", \"argument\"]`, `aws-secretsmanager:ID` or \
         `kubernetes-secret:NAMESPACE/NAME/KEY`.";
}

/// The prefixes of references.
pub(super) const SCHEMES: [&str; 5] = [
    "env:",
    "file:",
    "exec:",
    "aws-secretsmanager:",
    "kubernetes-secret:",
];

/// What works in the place of what this version cannot follow.
const MOUNT: &str = "Mount the secret as a file and refer to it as `file:PATH`, or refer to a program that prints it \
     as `exec:[\"program\", \"argument\"]`.";

/// What shows every reference.
const LOOK: &str =
    "`summitctl config show` lists every reference and whether its place holds something.";

/// How long the program of an `exec:` reference may take.
const EXEC_DEADLINE: Duration = Duration::from_secs(30);

/// A secret is a password or a key, not a document.
const LARGEST: u64 = 256 * 1024;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// The value of a variable.
    Env(String),
    /// The content of a file, without the line ends after it.
    File(PathBuf),
    /// What a program prints, without the line ends after it: an argv, never a shell line.
    Exec(Vec<String>),
    /// The id of a secret in AWS Secrets Manager.
    AwsSecretsManager(String),
    /// `NAMESPACE/NAME/KEY`.
    KubernetesSecret(String),
    /// The secret itself, written where a reference should stand. Development contexts only.
    Literal(Secret),
}

/// What can be said of a secret's place without fetching the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// The place holds something.
    Present,
    /// It does not, or cannot be read.
    Absent,
    /// Only fetching it would tell.
    Unknown,
}

impl SecretRef {
    /// Reads a reference; `file:` paths are relative to `base`. What has no known prefix is a literal.
    ///
    /// # Errors
    /// `config.secret-form`; never repeats a text that may be a secret.
    pub fn parse(text: &str, base: &Path) -> Result<SecretRef> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Ok(SecretRef::Literal(Secret::new(text)));
        };
        match scheme {
            "env" => {
                let valid = !rest.is_empty()
                    && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && !rest.starts_with(|c: char| c.is_ascii_digit());
                if valid {
                    Ok(SecretRef::Env(rest.to_owned()))
                } else {
                    Err(Error::new(
                        &SECRET_FORM,
                        "`env:` is not followed by a variable's name",
                    )
                    .hint("Write letters, digits and `_` after it, as in `env:DATABASE_PASSWORD`."))
                }
            }
            "file" if rest.is_empty() => Err(Error::new(
                &SECRET_FORM,
                "`file:` is not followed by a path",
            )
            .hint(
                "Write it as `file:secrets/password`; the path counts from the configuration file.",
            )),
            "file" => Ok(SecretRef::File(base.join(rest))),
            "exec" => serde_json::from_str::<Vec<String>>(rest)
                .ok()
                .map_or_else(|| Err(bad_argv()), Self::exec),
            "aws-secretsmanager" if !rest.is_empty() => {
                Ok(SecretRef::AwsSecretsManager(rest.to_owned()))
            }
            "kubernetes-secret" if rest.split('/').filter(|p| !p.is_empty()).count() == 3 => {
                Ok(SecretRef::KubernetesSecret(rest.to_owned()))
            }
            "aws-secretsmanager" => Err(Error::new(
                &SECRET_FORM,
                "`aws-secretsmanager:` is not followed by an id",
            )
            .hint(MOUNT)),
            "kubernetes-secret" => Err(Error::new(
                &SECRET_FORM,
                "`kubernetes-secret:` is not followed by `NAMESPACE/NAME/KEY`",
            )
            .hint(MOUNT)),
            other => {
                let known = SCHEMES.map(|s| s.trim_end_matches(':'));
                let word = !other.is_empty()
                    && other.len() <= 20
                    && other.chars().all(|c| c.is_ascii_lowercase() || c == '-');
                match nearest(other, known).filter(|_| word) {
                    Some(meant) => Err(Error::new(
                        &SECRET_FORM,
                        format!("`{other}:` is not a kind of secret reference"),
                    )
                    .hint(format!("Did you mean `{meant}:`?"))),
                    None => Ok(SecretRef::Literal(Secret::new(text))),
                }
            }
        }
    }

    /// A program that prints the secret.
    ///
    /// # Errors
    /// `config.secret-form` if there is no program.
    pub fn exec(argv: Vec<String>) -> Result<SecretRef> {
        if argv.first().is_none_or(String::is_empty) {
            return Err(bad_argv());
        }
        Ok(SecretRef::Exec(argv))
    }

    /// Whether `text` begins with the prefix of a reference.
    pub fn is_reference(text: &str) -> bool {
        SCHEMES.iter().any(|s| text.starts_with(s))
    }

    /// Whether the secret itself was written here.
    pub fn is_literal(&self) -> bool {
        matches!(self, SecretRef::Literal(_))
    }

    /// Fetches the secret. Variables come from `environment`, which a program gets as its whole environment.
    ///
    /// # Errors
    /// `config.secret-missing`, `config.secret-exec-failed`, `config.secret-backend-absent`. An empty value is missing.
    pub async fn resolve(&self, environment: &Environment) -> Result<Secret> {
        let secret = match self {
            SecretRef::Env(name) => environment.get(name).map(Secret::new).ok_or_else(|| {
                Error::new(
                    &SECRET_MISSING,
                    format!("the variable `{name}` is not set, or empty"),
                )
                .hint(format!(
                    "Set `{name}` where this program runs, or name another place in the configuration."
                ))
                .hint(LOOK)
            })?,
            SecretRef::File(path) => read(path)?,
            SecretRef::Exec(argv) => run(argv, environment).await?,
            SecretRef::Literal(secret) => secret.clone(),
            SecretRef::AwsSecretsManager(_) | SecretRef::KubernetesSecret(_) => {
                return Err(Error::new(
                    &SECRET_BACKEND_ABSENT,
                    format!("this version cannot follow `{self}`"),
                )
                .hint(MOUNT));
            }
        };
        if secret.is_empty() {
            return Err(Error::new(&SECRET_MISSING, format!("`{self}` is empty")).hint(LOOK));
        }
        Ok(secret)
    }

    /// Whether its place holds something, without running anything.
    pub fn presence(&self, environment: &Environment) -> Presence {
        let present = match self {
            SecretRef::Env(name) => environment.get(name).is_some(),
            SecretRef::File(path) => std::fs::metadata(path)
                .is_ok_and(|m| m.is_file() && m.len() > 0 && std::fs::File::open(path).is_ok()),
            SecretRef::Literal(secret) => !secret.is_empty(),
            SecretRef::Exec(_)
            | SecretRef::AwsSecretsManager(_)
            | SecretRef::KubernetesSecret(_) => {
                return Presence::Unknown;
            }
        };
        if present {
            Presence::Present
        } else {
            Presence::Absent
        }
    }

    /// The file's mode bits, if it is a file that its group or everybody may read: a finding, not an error, because
    /// mounted Kubernetes Secrets look like that.
    pub fn readable_by_others(&self) -> Option<u32> {
        let SecretRef::File(path) = self else {
            return None;
        };
        let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o044 != 0).then_some(mode)
    }
}

/// The reference, never the secret; of a program only its name, because arguments can hold anything.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
            SecretRef::Exec(argv) => write!(f, "exec:{}", argv[0]),
            SecretRef::AwsSecretsManager(id) => write!(f, "aws-secretsmanager:{id}"),
            SecretRef::KubernetesSecret(path) => write!(f, "kubernetes-secret:{path}"),
            SecretRef::Literal(_) => f.write_str("literal value"),
        }
    }
}

fn bad_argv() -> Error {
    Error::new(
        &SECRET_FORM,
        "`exec:` is not followed by a JSON array of strings that begins with a program",
    )
    .hint(
        "Write it as `\"exec:[\\\"vault\\\", \\\"kv\\\", \\\"get\\\", \\\"-field=password\\\", \\\"secret/app\\\"]\"`, or as the TOML array \
         `[\"vault\", \"kv\", \"get\", \"-field=password\", \"secret/app\"]`.",
    )
}

fn read(path: &Path) -> Result<Secret> {
    use std::io::ErrorKind::NotFound;
    let unreadable = |e: std::io::Error| {
        Error::new(
            &SECRET_MISSING,
            format!("the secret's file `{}` cannot be read", path.display()),
        )
        .hint(match e.kind() {
            NotFound => format!(
                "Put the secret there, readable by nobody else (`chmod 600 {}`), or name its place in the configuration.",
                path.display()
            ),
            _ => format!(
                "Compare `id` with the owner and mode that `ls -l {}` shows.",
                path.display()
            ),
        })
        .hint(LOOK)
        .caused_by(e)
    };
    let mut text = zeroize::Zeroizing::new(String::new());
    std::fs::File::open(path)
        .map_err(unreadable)?
        .take(LARGEST)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(Secret::new(text.trim_end_matches(['\n', '\r'])))
}

async fn run(argv: &[String], environment: &Environment) -> Result<Secret> {
    let program = &argv[0];
    let failed = |what: String| {
        Error::new(&SECRET_EXEC, format!("`exec:{program}` {what}")).hint(format!(
            "Run `{program}` by hand, as this user and with the arguments that the configuration has: it must print the secret and nothing else, and end with 0."
        ))
    };
    let mut child = tokio::process::Command::new(program)
        .args(&argv[1..])
        .env_clear()
        .envs(environment.iter())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed("could not be started".to_owned()).caused_by(e))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::bug("a child process has no pipes"));
    };
    let work = async {
        let mut out = zeroize::Zeroizing::new(Vec::new());
        let mut err = Vec::new();
        let (mut stdout, mut stderr) = (stdout.take(LARGEST), stderr.take(LARGEST));
        let (a, b) = tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
        a.and(b)
            .map_err(|e| failed("could not be read".to_owned()).caused_by(e))?;
        // What is beyond the limit is not read; closing the pipes lets the program end.
        drop((stdout, stderr));
        let status = child
            .wait()
            .await
            .map_err(|e| failed("could not be waited for".to_owned()).caused_by(e))?;
        Ok((status, out, err))
    };
    let deadline = Deadline::after(EXEC_DEADLINE);
    let (status, out, err) = match tokio::time::timeout(deadline.left(), work).await {
        Ok(done) => done?,
        Err(_) => {
            return Err(failed(format!(
                "took longer than {}",
                crate::time::Span(EXEC_DEADLINE)
            )));
        }
    };
    let text = std::str::from_utf8(&out).map_err(|_| failed("printed no UTF-8 text".to_owned()))?;
    // Known to the masker even if the program failed, so that its own complaint cannot repeat it.
    let secret = Secret::new(text.trim_end_matches(['\n', '\r']));
    if !status.success() {
        let complaint = String::from_utf8_lossy(&err);
        let last = complaint
            .lines()
            .rev()
            .find(|l| !l.trim().is_empty())
            .unwrap_or_default();
        let last: String = secret::mask(last.trim()).chars().take(300).collect();
        return Err(failed(format!("ended with {status}: {last}")));
    }
    if secret.is_empty() {
        return Err(failed("printed nothing".to_owned()));
    }
    Ok(secret)
}

/// A reference as written: a string, or an argv.
#[derive(Clone)]
pub(super) enum Written {
    Text(String),
    Argv(Vec<String>),
}

impl Written {
    pub(super) fn read(&self, base: &Path) -> Result<SecretRef> {
        match self {
            Written::Text(text) => SecretRef::parse(text, base),
            Written::Argv(argv) => SecretRef::exec(argv.clone()),
        }
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret reference such as `env:NAME`, or an argv as an array")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Written, E> {
                Ok(Written::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Written, A::Error> {
                let mut argv = Vec::new();
                while let Some(word) = seq.next_element()? {
                    argv.push(word);
                }
                Ok(Written::Argv(argv))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SecretRef> {
        SecretRef::parse(text, Path::new("/etc/summitctl"))
    }

    #[test]
    fn references_are_told_from_literals_and_typing_errors() {
        assert_eq!(parse("env:PG_PW").unwrap(), SecretRef::Env("PG_PW".into()));
        assert_eq!(
            parse("file:keys/pw").unwrap(),
            SecretRef::File("/etc/summitctl/keys/pw".into())
        );
        assert_eq!(
            parse("file:/run/pw").unwrap(),
            SecretRef::File("/run/pw".into())
        );
        assert_eq!(
            parse(r#"exec:["vault", "read"]"#).unwrap(),
            SecretRef::Exec(vec!["vault".into(), "read".into()])
        );
        assert!(parse("pa:ss").unwrap().is_literal());
        assert!(parse("no-colon").unwrap().is_literal());
        for bad in [
            "evn:X",
            "flie:x",
            "env:",
            "env:A B",
            "file:",
            "exec:vault read",
            "exec:[]",
            "aws-secretsmanager:",
            "kubernetes-secret:a/b",
        ] {
            let error = parse(bad).expect_err(bad);
            assert_eq!(error.reason(), &SECRET_FORM, "{bad}");
        }
    }

    #[tokio::test]
    async fn nothing_resolves_to_nothing() {
        let mut environment = Environment::empty();
        environment.set("EMPTY", "");
        environment.set("SET", "canary-env-value");
        let dir = std::env::temp_dir().join(format!("summitctl-ref-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("empty"), "\n").unwrap();
        std::fs::write(dir.join("full"), "canary-file-value\n").unwrap();
        let file = |name: &str| SecretRef::File(dir.join(name));
        for (reference, reason) in [
            (SecretRef::Env("NONE".into()), &SECRET_MISSING),
            (SecretRef::Env("EMPTY".into()), &SECRET_MISSING),
            (file("none"), &SECRET_MISSING),
            (file("empty"), &SECRET_MISSING),
            (
                SecretRef::AwsSecretsManager("x".into()),
                &SECRET_BACKEND_ABSENT,
            ),
            (
                SecretRef::KubernetesSecret("a/b/c".into()),
                &SECRET_BACKEND_ABSENT,
            ),
            (SecretRef::Exec(vec!["/bin/true".into()]), &SECRET_EXEC),
            (SecretRef::Exec(vec!["/bin/false".into()]), &SECRET_EXEC),
            (
                SecretRef::Exec(vec!["/nonexistent/tool".into()]),
                &SECRET_EXEC,
            ),
        ] {
            let error = reference.resolve(&environment).await.expect_err("missing");
            assert_eq!(error.reason(), reason, "{reference}");
        }
        let value = SecretRef::Env("SET".into())
            .resolve(&environment)
            .await
            .unwrap();
        assert_eq!(value.expose(), "canary-env-value");
        assert_eq!(
            file("full").resolve(&environment).await.unwrap().expose(),
            "canary-file-value"
        );
        assert!(file("full").readable_by_others().is_some());
        std::fs::set_permissions(dir.join("full"), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(file("full").readable_by_others(), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[tokio::test]
    async fn a_program_sees_only_the_environment_it_is_given_and_its_complaints_are_masked() {
        let mut environment = Environment::empty();
        environment.set("ONLY", "canary-exec-value");
        let printenv = SecretRef::Exec(vec!["/usr/bin/env".into()]);
        let seen = printenv.resolve(&environment).await.unwrap();
        assert_eq!(seen.expose(), "ONLY=canary-exec-value");
        let failing = SecretRef::Exec(vec![
            "/bin/sh".into(),
            "-c".into(),
            "echo canary-out-value; echo bad canary-out-value >&2; exit 3".into(),
        ]);
        let error = failing.resolve(&environment).await.expect_err("fails");
        assert!(error.to_string().contains("bad ***"), "{error}");
        assert!(!failing.to_string().contains("canary"), "{failing}");
    }
}

//! `pg_dump` and `pg_restore`, for the schema only: run without a shell, the password in the environment, exit status
//! and every word on standard error looked at.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::tools::Tool;
use super::{
    CONNECTION_LOST, DISK_FULL, DUMP_FAILED, LOCK_TIMEOUT, LOGIN_REFUSED, NOT_ACCEPTING,
    OWN_SCHEMA, RESTORE_FAILED, Target, UNREACHABLE,
};
use crate::capture::PartWriter;
use crate::error::{Error, Reason, Result};

/// No more than this is kept of what a program says on standard error.
const MOST_WORDS: u64 = 64 * 1024;

/// Streams the schema under an exported snapshot into `writer`; returns the warnings.
pub(super) async fn dump_schema(
    target: &Target,
    tool: &Tool,
    snapshot: &str,
    lock_wait: std::time::Duration,
    subscriptions: bool,
    writer: &mut dyn PartWriter,
) -> Result<Vec<String>> {
    let mut command = Command::new(&tool.path);
    command
        .args(["--format=custom", "--schema-only", "--no-password"])
        // Uncompressed, so that the repository compresses it, and the bytes of unchanged objects stay the same.
        .arg("--compress=0")
        .arg(format!("--exclude-schema={OWN_SCHEMA}"))
        .arg(format!("--snapshot={snapshot}"))
        .arg(format!("--lock-wait-timeout={}", lock_wait.as_millis()))
        .arg(format!("--dbname={}", connection_word(&target.database)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if !subscriptions {
        command.arg("--no-subscriptions");
    }
    let _lent = target.lend_to(&mut command)?;
    let mut child = spawn(command, tool)?;
    let (Some(mut out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::bug("a piped stream is missing"));
    };
    let write = async {
        let mut buffer = BytesMut::with_capacity(256 * 1024);
        loop {
            buffer.reserve(64 * 1024);
            let read = out
                .read_buf(&mut buffer)
                .await
                .map_err(|e| Error::io("read the output of", &tool.path, e))?;
            if read == 0 || buffer.len() >= 256 * 1024 {
                let chunk: Bytes = buffer.split().freeze();
                if !chunk.is_empty() {
                    writer.write(chunk).await?;
                }
            }
            if read == 0 {
                return Ok(());
            }
        }
    };
    let (written, words) = tokio::join!(write, words_of(err));
    written?;
    let status = child
        .wait()
        .await
        .map_err(|e| Error::io("wait for", &tool.path, e))?;
    judge(&DUMP_FAILED, target, tool, status, &words)
}

/// How a section is loaded.
pub(super) struct Loading<'a> {
    pub section: &'a str,
    pub jobs: usize,
    /// With owners and grants.
    pub ownership: bool,
    /// The server's version.
    pub major: u32,
    /// More words for `PGOPTIONS`.
    pub options: String,
    /// The entries to load, instead of all of the section.
    pub list: Option<&'a Path>,
}

/// Loads one section of an archive file; returns the warnings.
pub(super) async fn restore_section(
    target: &Target,
    tool: &Tool,
    archive: &Path,
    how: &Loading<'_>,
) -> Result<Vec<String>> {
    let Loading { section, jobs, .. } = *how;
    // From 17 on, every session of the program begins with a setting that older servers do not know: it must carry on.
    let complains = tool.major >= 17 && how.major < 17;
    let mut command = Command::new(&tool.path);
    command
        .args(["--no-password", "--no-tablespaces"])
        .arg(format!("--dbname={}", connection_word(&target.database)));
    if jobs > 1 {
        command.arg(format!("--jobs={jobs}"));
    }
    if !complains {
        command.arg("--exit-on-error");
    }
    if !how.ownership {
        command.args(["--no-owner", "--no-privileges"]);
    }
    if let Some(list) = how.list {
        // Of entries without a section, such as grants, only those behind one with it would be loaded: a list is enough by itself.
        let mut word = std::ffi::OsString::from("--use-list=");
        word.push(list);
        command.arg(word);
    } else {
        command.arg(format!("--section={section}"));
    }
    command
        .arg(archive)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let _lent = target.lend_to(&mut command)?;
    // Settings of the restored database that would stop its own restore.
    command.env(
        "PGOPTIONS",
        format!("-c default_transaction_read_only=off{}", how.options),
    );
    let mut child = spawn(command, tool)?;
    let Some(err) = child.stderr.take() else {
        return Err(Error::bug("a piped stream is missing"));
    };
    let words = words_of(err).await;
    let status = child
        .wait()
        .await
        .map_err(|e| Error::io("wait for", &tool.path, e))?;
    if complains && let Some(words) = only_unknown_setting(&words) {
        return Ok(words);
    }
    judge(&RESTORE_FAILED, target, tool, status, &words)
}

/// The other words, if nothing failed but the setting that an older server does not know.
fn only_unknown_setting(words: &str) -> Option<Vec<String>> {
    const REFUSED: &str = "unrecognized configuration parameter \"transaction_timeout\"";
    let mut refused = 0_u32;
    let mut rest = Vec::new();
    for line in discreet(words) {
        if line.contains("error:") && line.ends_with(REFUSED) {
            refused += 1;
        } else if line != "Command was: SET transaction_timeout = 0;" {
            rest.push(line);
        }
    }
    // The count leaves out some of those of sessions beside the first.
    let told = |line: &String| {
        let (_, count) = line.split_once("errors ignored on restore: ")?;
        count.parse().ok().filter(|count: &u32| *count <= refused)
    };
    let last = rest.iter().position(|line| told(line).is_some())?;
    rest.remove(last);
    (!rest.iter().any(|line| line.contains("error:"))).then_some(rest)
}

/// The archive's table of contents, one line for each entry.
pub(super) async fn contents(target: &Target, tool: &Tool, archive: &Path) -> Result<String> {
    let mut command = Command::new(&tool.path);
    command
        .arg("--list")
        .arg(archive)
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    let output = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| Error::io("start", &tool.path, e))?;
    let words = String::from_utf8_lossy(&output.stderr);
    judge(&RESTORE_FAILED, target, tool, output.status, &words)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a program said, without rows, and without the values in statements that failed: options of user mappings and connections of
/// subscriptions hold passwords.
fn discreet(words: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut hidden = false;
    for line in words.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if line.starts_with("pg_restore:") || line.starts_with("pg_dump:") {
            hidden = false;
        }
        // The server's DETAIL and CONTEXT quote rows.
        hidden |= line.starts_with("DETAIL:") || line.starts_with("CONTEXT:");
        if line.starts_with("HINT:") || line.starts_with("Command was:") {
            hidden = false;
        }
        if hidden {
            continue;
        }
        if line.starts_with("Command was:") {
            hidden = true;
            let shown = line.split(['\'', '$']).next().unwrap_or_default();
            lines.push(shown.trim_end().to_owned());
        } else {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// A connection string (PostgreSQL documentation, section 34.1.1) for this database, by which a peer that does not answer any more is
/// noticed after two minutes, as on our own connections.
fn connection_word(database: &str) -> String {
    let escaped = database.replace('\\', "\\\\").replace('\'', "\\'");
    format!(
        "dbname='{escaped}' keepalives_idle=60 keepalives_interval=10 keepalives_count=6 tcp_user_timeout=120000"
    )
}

fn spawn(command: Command, tool: &Tool) -> Result<tokio::process::Child> {
    tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Error::io("start", &tool.path, e))
}

async fn words_of(stream: impl AsyncRead + Unpin) -> String {
    let mut words = Vec::new();
    let mut limited = stream.take(MOST_WORDS);
    // What could be read is judged; a broken pipe shows in the exit status.
    let _ = limited.read_to_end(&mut words).await;
    let mut rest = limited.into_inner();
    let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&words).into_owned()
}

fn judge(
    reason: &'static Reason,
    target: &Target,
    tool: &Tool,
    status: ExitStatus,
    words: &str,
) -> Result<Vec<String>> {
    let lines = discreet(words);
    // A status of 0 beside an error message would be a lie of the program; it is not believed.
    let complained = lines.iter().any(|line| line.contains("error:"));
    if status.success() && !complained {
        return Ok(lines);
    }
    let name = tool.path.file_name().unwrap_or_default().to_string_lossy();
    Err(Error::new(
        outside(&lines).unwrap_or(reason),
        format!(
            "`{name}` {} failed on {} ({status}): {}",
            tool.version,
            target.place(),
            if lines.is_empty() {
                "it said nothing".to_owned()
            } else {
                lines.join("; ")
            }
        ),
    ))
}

/// The reason, if what failed was not the work itself: words of libpq and of the server. Libpq's are English here, where
/// `LC_ALL` is C.
fn outside(lines: &[String]) -> Option<&'static Reason> {
    let known: [(&'static Reason, &[&str]); 6] = [
        (&DISK_FULL, &["No space left on device"]),
        (&LOCK_TIMEOUT, &["canceling statement due to lock timeout"]),
        (
            &NOT_ACCEPTING,
            &[
                "the database system is ",
                "sorry, too many clients already",
                "remaining connection slots are reserved",
            ],
        ),
        (&LOGIN_REFUSED, &["authentication failed for user"]),
        (
            &UNREACHABLE,
            &[
                "Connection refused",
                "Connection timed out",
                "Network is unreachable",
                "No route to host",
            ],
        ),
        (
            &CONNECTION_LOST,
            &[
                "server closed the connection unexpectedly",
                "terminating connection",
                "could not receive data from server",
                "could not send data to server",
                "no connection to the server",
                "SSL connection has been closed unexpectedly",
            ],
        ),
    ];
    let says = |words: &[&str]| {
        let mut lines = lines
            .iter()
            .filter(|line| !line.starts_with("Command was:"));
        lines.any(|line| words.iter().any(|word| line.contains(word)))
    };
    known
        .into_iter()
        .find_map(|(reason, words)| says(words).then_some(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_failed_statements_are_not_repeated() {
        let words = "pg_restore: error: could not execute query: ERROR:  no\nCommand was: CREATE USER MAPPING FOR a SERVER b OPTIONS (\n    password 'canary'\n);\n\npg_restore: warning: errors ignored on restore: 1\n";
        let said = discreet(words);
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(
            said[1],
            "Command was: CREATE USER MAPPING FOR a SERVER b OPTIONS ("
        );
        let words = "pg_restore: error: could not execute query: ERROR:  could not create unique index \"i\"\nDETAIL:  Key (ssn)=(canary\n1) is duplicated.\nCONTEXT:  canary\nHINT:  none\nCommand was: ALTER TABLE t;\n";
        let said = discreet(words);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(!said.concat().contains("canary"), "{said:?}");
        let said = discreet("Command was: CREATE SUBSCRIPTION s CONNECTION 'password=canary' X\n");
        assert_eq!(said, ["Command was: CREATE SUBSCRIPTION s CONNECTION"]);
    }

    #[test]
    fn a_setting_unknown_to_an_older_server_is_the_only_failure_that_is_none() {
        let refused = "pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter \"transaction_timeout\"\nCommand was: SET transaction_timeout = 0;\n";
        let words =
            format!("{refused}{refused}pg_restore: warning: errors ignored on restore: 2\n");
        assert_eq!(only_unknown_setting(&words), Some(vec![]));
        let other = "pg_restore: error: could not execute query: ERROR:  no such function\n";
        let words = format!("{refused}{other}pg_restore: warning: errors ignored on restore: 2\n");
        assert_eq!(only_unknown_setting(&words), None);
        assert_eq!(only_unknown_setting(refused), None);
    }

    #[test]
    fn a_lost_connection_is_told_from_a_refused_statement() {
        let judged = |words: &str| outside(&discreet(words)).map(|reason| reason.code);
        let lost = "pg_restore: error: could not execute query: server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or while processing the request.\nCommand was: CREATE INDEX i ON t (a);\n";
        assert_eq!(judged(lost), Some("postgres.connection-lost"));
        let unmade = "pg_restore: error: connection to server at \"127.0.0.1\", port 5 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n";
        assert_eq!(judged(unmade), Some("postgres.unreachable"));
        let refused = "pg_restore: error: could not execute query: ERROR:  function f() does not exist\nCommand was: CREATE INDEX i ON t (f());\n";
        assert_eq!(judged(refused), None);
    }

    #[test]
    fn odd_database_names_stay_names() {
        let word = connection_word("a=b 'c'\\");
        assert!(word.starts_with("dbname='a=b \\'c\\'\\\\' "), "{word}");
        assert!(word.contains(" tcp_user_timeout=120000"), "{word}");
    }
}

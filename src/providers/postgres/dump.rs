//! `pg_dump` and `pg_restore`, for the schema only: run without a shell, the password in the environment, exit status
//! and every word on standard error looked at.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::tools::Tool;
use super::{DUMP_FAILED, OWN_SCHEMA, RESTORE_FAILED, Target};
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
    writer: &mut dyn PartWriter,
) -> Result<Vec<String>> {
    let mut command = Command::new(&tool.path);
    command
        .args(["--format=custom", "--schema-only", "--no-password"])
        // Uncompressed, so that the repository compresses it, and the bytes of unchanged objects stay the same.
        .args(["--compress=0", "--no-subscriptions"])
        .arg(format!("--exclude-schema={OWN_SCHEMA}"))
        .arg(format!("--snapshot={snapshot}"))
        .arg(format!("--lock-wait-timeout={}", lock_wait.as_millis()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
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

/// What an archive file holds, as `pg_restore --list` says and `--use-list` reads.
pub(super) async fn list_archive(target: &Target, tool: &Tool, archive: &Path) -> Result<String> {
    let mut command = tokio::process::Command::new(&tool.path);
    command
        .arg("--list")
        .arg(archive)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command
        .output()
        .await
        .map_err(|e| Error::io("start", &tool.path, e))?;
    let words = String::from_utf8_lossy(&output.stderr);
    judge(&RESTORE_FAILED, target, tool, output.status, &words)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Loads one section of an archive file, or what a list names of it; returns the warnings.
pub(super) async fn restore_section(
    target: &Target,
    tool: &Tool,
    archive: &Path,
    section: &str,
    jobs: usize,
    ownership: bool,
    list: Option<&Path>,
) -> Result<Vec<String>> {
    let mut command = Command::new(&tool.path);
    command
        .args(["--no-password", "--exit-on-error", "--no-tablespaces"])
        .arg(format!("--section={section}"))
        .arg(format!("--dbname={}", connection_word(&target.database)));
    if jobs > 1 {
        command.arg(format!("--jobs={jobs}"));
    }
    if !ownership {
        command.args(["--no-owner", "--no-privileges"]);
    }
    if let Some(list) = list {
        command.arg("--use-list").arg(list);
    }
    command
        .arg(archive)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let _lent = target.lend_to(&mut command)?;
    // Settings of the restored database that would stop its own restore.
    command.env("PGOPTIONS", "-c default_transaction_read_only=off");
    let mut child = spawn(command, tool)?;
    let Some(err) = child.stderr.take() else {
        return Err(Error::bug("a piped stream is missing"));
    };
    let words = words_of(err).await;
    let status = child
        .wait()
        .await
        .map_err(|e| Error::io("wait for", &tool.path, e))?;
    judge(&RESTORE_FAILED, target, tool, status, &words)
}

/// A database name that cannot be taken for a connection string (PostgreSQL documentation, section 34.1.1).
fn connection_word(database: &str) -> String {
    let escaped = database.replace('\\', "\\\\").replace('\'', "\\'");
    format!("dbname='{escaped}'")
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
    let lines: Vec<String> = words
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    // A status of 0 beside an error message would be a lie of the program; it is not believed.
    let complained = lines.iter().any(|line| line.contains("error:"));
    if status.success() && !complained {
        return Ok(lines);
    }
    let name = tool.path.file_name().unwrap_or_default().to_string_lossy();
    Err(Error::new(
        reason,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_database_names_stay_names() {
        assert_eq!(connection_word("a=b 'c'\\"), "dbname='a=b \\'c\\'\\\\'");
    }
}

//! `neo4j-admin` on the files of a server that does not run, and the programs that stop and start it.
//!
//! Community copies its files only while the server is stopped; neo4j-admin itself refuses files that are in use. Its
//! processes carry a mark in their environment, so that one that outlived us is found and ended before the server starts.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{ADMIN_FAILED, CONTROL_FAILED};
use crate::capture::{PartInfo, PartReader, PartSink};
use crate::error::{Error, Result};
use crate::pid::Process;
use crate::secret;
use crate::wait::Deadline;

/// The format of a part that is a dump of neo4j-admin, as it wrote it.
pub const DUMP_FORMAT: &str = "neo4j-dump";

/// What dumps begin with (org.neo4j.dbms.archive, StandardCompressionFormat).
pub const DUMP_MAGIC: [&[u8]; 2] = [b"DZV1", b"DGV1"];

/// The variable that tells its processes from all others.
const MARK: &str = "SUMMITCTL_NEO4J_ADMIN";

/// Large graphs take hours; the caller can stop the wait.
const LIMIT: Duration = Duration::from_secs(24 * 3600);
/// A server that is being stopped finishes its transactions first.
const STOP_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Until a process that was told to end is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of what a program says is kept, from its end.
const KEPT: usize = 4096;
const CHUNK: usize = 1 << 20;

/// The programs that work on a stopped server.
#[derive(Debug, Clone)]
pub struct Admin {
    /// neo4j-admin and its first arguments; ours follow.
    pub admin: Vec<String>,
    /// Stops the server.
    pub stop: Vec<String>,
    /// Starts it.
    pub start: Vec<String>,
    /// Their variables.
    pub environment: Vec<(String, String)>,
    /// The same for one piece of work across crashes, and no other's.
    pub mark: String,
}

impl Admin {
    /// Stops the server.
    pub async fn stop(&self, folder: &Path) -> Result<()> {
        let deadline = Deadline::after(STOP_LIMIT);
        self.control(&self.stop, true, folder, deadline).await
    }

    /// Starts the server: done when the program is, which says nothing of the server.
    pub async fn start(&self, folder: &Path, deadline: Deadline) -> Result<()> {
        // Without the mark: what it leaves running is the server.
        self.control(&self.start, false, folder, deadline).await
    }

    /// Starts the server without waiting, for whoever is being dropped.
    pub fn start_blindly(&self) {
        let Some((program, arguments)) = self.start.split_first() else {
            return;
        };
        let _ = std::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }

    /// Dumps a database of the stopped server into a new file that only we may read.
    pub async fn dump(&self, database: &str, to: &Path) -> Result<()> {
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(|e| Error::io("create", to, e))?;
        let words = ["database", "dump", database, "--to-stdout"];
        let mut command = self.command(&self.admin, true)?;
        command.args(words).stdin(Stdio::null()).stdout(file);
        let what = format!("`{} {}`", self.admin.join(" "), words.join(" "));
        let work = async {
            let (mut child, group) = spawn(&mut command, &self.admin)?;
            let said = tail(child.stderr.take()).await;
            let status = child.wait().await;
            group.waited_for();
            ended(status, &what, &said)
        };
        Deadline::after(LIMIT).run(&what, work).await?;
        let mut first = [0; 4];
        let read = fs::File::open(to).and_then(|mut file| file.read_exact(&mut first));
        match read {
            Ok(()) if DUMP_MAGIC.contains(&first.as_slice()) => Ok(()),
            _ => Err(Error::new(
                &ADMIN_FAILED,
                format!("{what} ended well, and wrote no dump to its standard output"),
            )
            .hint("Look at the context's `neo4j.offline.admin`: it must hand on what neo4j-admin writes, and nothing else.")),
        }
    }

    /// Loads a dump into a database of the stopped server, whatever it holds.
    pub async fn load(&self, database: &str, dump: &mut dyn PartReader) -> Result<()> {
        let overwrite = "--overwrite-destination=true";
        let words = ["database", "load", database, overwrite, "--from-stdin"];
        let mut command = self.command(&self.admin, true)?;
        command.args(words);
        let what = format!("`{} {}`", self.admin.join(" "), words.join(" "));
        Deadline::after(LIMIT)
            .run(&what, load(command, &self.admin, dump, &what))
            .await
    }

    /// Ends what an earlier process of ours started and did not see the end of.
    pub async fn end_left(&self) -> Result<()> {
        for process in self.left() {
            process.end(Signal::TERM, PATIENCE).await?;
        }
        Ok(())
    }

    fn left(&self) -> Vec<Process> {
        let wanted = format!("{MARK}={}", self.mark);
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let marked = entries.filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            // That of another user's process cannot be read.
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let mut variables = environment.split(|b| *b == 0);
            variables
                .any(|variable| variable == wanted.as_bytes())
                .then(|| Process::of(pid))
                .flatten()
        });
        marked.collect()
    }

    /// Runs a program to its end. What it leaves running keeps its output, so that goes to a file.
    async fn control(
        &self,
        argv: &[String],
        marked: bool,
        folder: &Path,
        deadline: Deadline,
    ) -> Result<()> {
        let path: PathBuf = folder.join("said");
        let open = || {
            fs::OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&path)
                .map_err(|e| Error::io("create", &path, e))
        };
        let _ = fs::remove_file(&path);
        let what = format!("`{}`", argv.join(" "));
        let mut command = self.command(argv, marked)?;
        command.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
        let work = async {
            let mut child = command.spawn().map_err(|e| not_started(argv, e))?;
            child
                .wait()
                .await
                .map_err(|e| Error::io("wait for", &argv[0], e))
        };
        let status = deadline.run(&what, work).await?;
        let said = fs::read(&path).unwrap_or_default();
        let _ = fs::remove_file(&path);
        if status.success() {
            return Ok(());
        }
        Err(Error::new(
            &CONTROL_FAILED,
            format!("{what} ended with {status}: {}", last(&said)),
        ))
    }

    fn command(&self, argv: &[String], marked: bool) -> Result<Command> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| Error::input("this names no program"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stderr(Stdio::piped())
            .process_group(0);
        if marked {
            command.env(MARK, &self.mark);
        }
        Ok(command)
    }
}

/// Loads a dump through the standard input of a program that reads it from there.
pub async fn load(
    mut command: Command,
    argv: &[String],
    dump: &mut dyn PartReader,
    what: &str,
) -> Result<()> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let (mut child, group) = spawn(&mut command, argv)?;
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        let Some(mut input) = input else {
            return Err(Error::bug("a child process has no pipe"));
        };
        while let Some(bytes) = dump.next().await? {
            // It says itself why it takes no more.
            if input.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = input.shutdown().await;
        Ok(())
    };
    // A dump that cannot be read must not look like one that ends.
    let (fed, said) = tokio::join!(
        async {
            let fed = feed.await;
            if fed.is_err() {
                kill(&child);
            }
            fed
        },
        tail(errors)
    );
    fed?;
    let status = child.wait().await;
    group.waited_for();
    ended(status, what, &said)
}

/// Writes a dump as a part, as it is.
pub async fn keep(
    dump: &Path,
    database: &str,
    server_version: &str,
    sink: &dyn PartSink,
) -> Result<PartInfo> {
    let name = format!("neo4j/{database}/dump");
    let mut writer = sink.create(&name, DUMP_FORMAT).await?;
    let mut file = tokio::fs::File::open(dump)
        .await
        .map_err(|e| Error::io("open", dump, e))?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file
            .read(&mut chunk)
            .await
            .map_err(|e| Error::io("read", dump, e))?;
        if read == 0 {
            break;
        }
        writer.append(&chunk[..read]);
        writer.settle().await?;
    }
    let version = serde_json::json!(server_version);
    let meta = [("server-version".to_owned(), version)].into();
    writer.finish(None, meta).await
}

/// Ends a program with everything it started, whatever became of the wait for it.
struct Group(Option<Pid>);

impl Group {
    /// It was waited for: its number may be another's by now.
    fn waited_for(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }
}

fn kill(child: &Child) {
    drop(Group(group(child)));
}

fn group(child: &Child) -> Option<Pid> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    id.and_then(Pid::from_raw)
}

fn spawn(command: &mut Command, argv: &[String]) -> Result<(Child, Group)> {
    let child = command
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| not_started(argv, e))?;
    let group = Group(group(&child));
    Ok((child, group))
}

fn not_started(argv: &[String], error: std::io::Error) -> Error {
    let program = argv.first().map_or("", String::as_str);
    Error::new(&CONTROL_FAILED, format!("`{program}` cannot be started"))
        .caused_by(error)
        .hint("Look at the context's `neo4j.offline` section, and at `PATH`.")
}

fn ended(status: std::io::Result<ExitStatus>, what: &str, said: &[u8]) -> Result<()> {
    let status = status.map_err(|e| Error::io("wait for", what, e))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::new(
        &ADMIN_FAILED,
        format!("{what} ended with {status}: {}", last(said)),
    ))
}

/// The last lines that say something else than how far it is, masked.
fn last(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let text = secret::mask(&text);
    let lines: Vec<&str> = text
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Files: "))
        .collect();
    match lines.as_slice() {
        [] => "it said nothing".to_owned(),
        lines => lines[lines.len().saturating_sub(4)..].join("; "),
    }
}

/// The end of what a stream carries.
async fn tail(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::new();
    let Some(mut stream) = stream else {
        return kept;
    };
    let mut chunk = vec![0_u8; 8192];
    while let Ok(read) = stream.read(&mut chunk).await
        && read > 0
    {
        kept.extend_from_slice(&chunk[..read]);
        if kept.len() > 4 * KEPT {
            kept.drain(..kept.len() - KEPT);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin(mark: &str, admin: &[&str]) -> Admin {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Admin {
            admin: words(admin),
            stop: words(&["true"]),
            start: words(&["true"]),
            environment: vec![("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())],
            mark: mark.to_owned(),
        }
    }

    #[tokio::test]
    async fn what_outlived_us_is_found_by_its_mark_alone() {
        let ours = admin("run/step", &["sleep", "600"]);
        let mut left = ours.command(&ours.admin, true).expect("is one");
        let mut left = left.spawn().expect("starts");
        let mut server = ours.command(&ours.admin, false).expect("is one");
        let mut server = server.kill_on_drop(true).spawn().expect("starts");
        let of_another = admin("run/step-2", &["sleep", "600"]);
        assert!(of_another.left().is_empty());
        assert_eq!(ours.left().len(), 1);
        let (gone, status) = tokio::join!(ours.end_left(), left.wait());
        gone.expect("ends it");
        assert!(!status.expect("is known").success());
        assert!(server.try_wait().expect("is known").is_none());
    }

    #[tokio::test]
    async fn a_program_that_writes_no_dump_is_not_believed() {
        let dir = tempfile();
        let error = admin("m", &["echo"]).dump("neo4j", &dir.join("a")).await;
        let error = error.expect_err("is no dump");
        assert_eq!(error.reason(), &ADMIN_FAILED);
        assert!(error.to_string().contains("wrote no dump"), "{error}");
        let error = admin("m", &["sh", "-c", "echo why >&2; exit 3"])
            .dump("neo4j", &dir.join("b"))
            .await
            .expect_err("fails");
        assert!(error.to_string().contains("why"), "{error}");
        fs::remove_dir_all(dir).expect("is removed");
    }

    fn tempfile() -> PathBuf {
        let dir = std::env::temp_dir().join(format!("summitctl-admin-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("is made");
        dir
    }
}

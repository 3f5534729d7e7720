//! What a throw-away Neo4j runs on: Java, the server's jars, our compiled launcher and its class-data archive.
//!
//! Everything slow is kept in `${XDG_CACHE_HOME:-~/.cache}/summitctl/servers` and rebuilt from nothing when it is gone.
//! Each piece is made under a temporary name and renamed, so that a killed preparation leaves nothing that counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::super::{ADMIN_FAILED, MISSING_PROGRAM, START_FAILED, make_dir, program};
use super::Options;
use crate::durable::write_private;
use crate::error::{Context as _, Error, Result};
use crate::wait::{Deadline, Look, poll};

/// The version that `pom.xml` names.
pub const VERSION: &str = "5.26.16";

const POM: &str = include_str!("pom.xml");
const LAUNCHER: &str = include_str!("Launcher.java");

/// The downloads are about 116 MB.
const FETCH_LIMIT: Duration = Duration::from_secs(900);
const TRAIN_LIMIT: Duration = Duration::from_secs(300);

/// A cache whose launcher is this old outlives single runs.
const KEPT: Duration = Duration::from_secs(3_600);

/// Imports of large graphs take hours; the caller can stop the wait.
const ADMIN_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The system property by which a neo4j-admin of ours names its home, so that it is found again after a crash.
pub(super) const HOME_PROPERTY: &str = "-Dsummitctl.neo4j.home=";

/// Where the pieces lie.
#[derive(Debug, Clone)]
pub struct Install {
    /// The Java launcher program.
    pub java: PathBuf,
    /// The folder of the server's jars: `$NEO4J_HOME/lib`, or the cache's.
    pub lib: PathBuf,
    /// Our compiled launcher; absent where there is no `javac`, and the source is launched instead.
    launcher_jar: Option<PathBuf>,
    /// Our launcher's source.
    launcher_source: PathBuf,
    /// The class-data archive; it exists once [`prepare`] has trained it.
    archive: PathBuf,
}

/// Makes everything ready, the class-data archive included (about 25 s once, and then each start is some 4 s quicker).
pub async fn prepare() -> Result<Install> {
    let install = find_or_fetch().await?;
    if install.launcher_jar.is_some() && !install.archive.is_file() {
        let _lock = lock(&install.archive.with_extension("lock")).await?;
        if !install.archive.is_file() {
            train(&install).await?;
        }
    }
    Ok(install)
}

/// Trains the archive if it is missing and the cache is one that stays: the launcher in it is older than an hour. Where
/// every run begins with an empty cache, training would only cost. Says whether it was made now.
pub async fn prepare_if_kept() -> Result<bool> {
    let install = find_or_fetch().await?;
    let made = install.launcher_jar.as_ref().map(fs::metadata);
    let age = made.and_then(|m| m.ok()?.modified().ok()?.elapsed().ok());
    if install.archive.is_file() || age.is_none_or(|age| age < KEPT) {
        return Ok(false);
    }
    prepare().await.map(|_| true)
}

/// Finds Java and the jars, fetching and compiling what is missing. The archive is used if it is there.
pub(super) async fn find_or_fetch() -> Result<Install> {
    let java = java()?;
    let servers = cache()?;
    make_dir(&servers, 0o755)?;
    let lib = match std::env::var_os("NEO4J_HOME") {
        Some(home) if !home.is_empty() => user_lib(Path::new(&home))?,
        _ => fetched_lib(&servers).await?,
    };
    let folder = servers
        .join("neo4j-launcher")
        .join(launcher_key(&java, &lib)?);
    make_dir(&folder, 0o755)?;
    let launcher_source = folder.join("Launcher.java");
    if !launcher_source.is_file() {
        write_private(&launcher_source, LAUNCHER.as_bytes())?;
    }
    let jar = folder.join("launcher.jar");
    if !jar.is_file() {
        let _lock = lock(&folder.join("compile.lock")).await?;
        if !jar.is_file() {
            compile(&java, &lib, &launcher_source, &jar).await?;
        }
    }
    Ok(Install {
        java,
        lib,
        launcher_jar: jar.is_file().then_some(jar),
        launcher_source,
        archive: folder.join("classes.jsa"),
    })
}

impl Install {
    /// Java's arguments up to and including the launcher; the launcher's own follow.
    pub(super) fn java_arguments(&self, heap_mib: u32) -> Vec<String> {
        let mut arguments = self.machine_arguments(heap_mib);
        arguments.push("-XX:TieredStopAtLevel=1".to_owned());
        match self.launcher_jar {
            Some(_) => arguments.push("Launcher".to_owned()),
            None => arguments.push(self.launcher_source.display().to_string()),
        }
        arguments
    }

    /// neo4j-admin's own program, to be run on a home, in a folder.
    pub(super) fn admin_command(
        &self,
        home: &Path,
        folder: &Path,
        heap_mib: u32,
        arguments: &[std::ffi::OsString],
    ) -> Command {
        let mut named = std::ffi::OsString::from(HOME_PROPERTY);
        named.push(home);
        let mut command = Command::new(&self.java);
        command
            .args(self.machine_arguments(heap_mib))
            .arg(named)
            .arg("org.neo4j.cli.AdminTool")
            .args(arguments)
            .env("NEO4J_HOME", home)
            .env("NEO4J_CONF", home.join("conf"))
            .current_dir(folder);
        command
    }

    /// Runs it to its end.
    pub(super) async fn admin(
        &self,
        home: &Path,
        folder: &Path,
        heap_mib: u32,
        arguments: &[std::ffi::OsString],
    ) -> Result<()> {
        let mut command = self.admin_command(home, folder, heap_mib, arguments);
        let what = arguments.iter().take(3).map(|a| a.to_string_lossy());
        let what = what.collect::<Vec<_>>().join(" ");
        let done = output_of(&mut command, &format!("`neo4j-admin {what}`"), ADMIN_LIMIT).await;
        done.map_err(|e| {
            Error::new(&ADMIN_FAILED, "a scratch database could not be imported")
                .caused_by(e)
                .hint(format!(
                    "Look at the space free under `{}`; `summitctl drill run` loads the same backup over Bolt, without the import.",
                    home.display()
                ))
        })
    }

    /// The arguments of every Java program of the server.
    fn machine_arguments(&self, heap_mib: u32) -> Vec<String> {
        let mut arguments = vec![
            format!("-Xmx{heap_mib}m"),
            "-XX:+UseSerialGC".to_owned(),
            "-XX:+ExitOnOutOfMemoryError".to_owned(),
            "-XX:-UsePerfData".to_owned(),
        ];
        if self.launcher_jar.is_some() && self.archive.is_file() {
            arguments.push("-Xshare:auto".to_owned());
            arguments.push("-Xlog:cds=off".to_owned());
            arguments.push(format!("-XX:SharedArchiveFile={}", self.archive.display()));
        }
        for package in ["java.nio", "java.io", "sun.nio.ch"] {
            arguments.push(format!("--add-opens=java.base/{package}=ALL-UNNAMED"));
        }
        let lib = self.lib.join("*");
        arguments.push("-cp".to_owned());
        match &self.launcher_jar {
            Some(jar) => arguments.push(format!("{}:{}", jar.display(), lib.display())),
            None => arguments.push(lib.display().to_string()),
        }
        arguments
    }
}

/// The configuration of a throw-away server that listens on one loopback port and nowhere else.
pub(super) fn configuration(port: u16, options: &Options) -> String {
    let page_cache_mib = options.page_cache_mib;
    let transactions = options.transaction_memory_mib;
    let transactions = transactions
        .map(|mib| format!("dbms.memory.transaction.total.max={mib}m\n"))
        .unwrap_or_default();
    // The quiet period is what makes a stop take 10 s; the logs' preallocation is 256 MiB a database.
    format!(
        "server.default_listen_address=127.0.0.1\n\
         server.bolt.enabled=true\n\
         server.bolt.listen_address=127.0.0.1:{port}\n\
         server.bolt.advertised_address=127.0.0.1:{port}\n\
         server.http.enabled=false\n\
         server.https.enabled=false\n\
         dbms.security.auth_enabled=true\n\
         dbms.usage_report.enabled=false\n\
         server.memory.pagecache.size={page_cache_mib}m\n\
         db.tx_log.preallocate=false\n\
         db.logs.query.enabled=OFF\n\
         server.config.strict_validation.enabled=false\n\
         internal.dbms.bolt.netty_server_shutdown_quiet_period=0\n{transactions}"
    )
}

fn java() -> Result<PathBuf> {
    program(&["java"], &java_home_bin(), "openjdk-17-jdk-headless")
}

fn java_home_bin() -> Vec<PathBuf> {
    std::env::var_os("JAVA_HOME")
        .filter(|home| !home.is_empty())
        .map(|home| PathBuf::from(home).join("bin"))
        .into_iter()
        .collect()
}

fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => match std::env::var_os("HOME").filter(|v| !v.is_empty()) {
            Some(home) => PathBuf::from(home).join(".cache"),
            None => {
                return Err(Error::input("neither `XDG_CACHE_HOME` nor `HOME` is set")
                    .hint("Set `XDG_CACHE_HOME` to a folder for the sandbox servers' jars."));
            }
        },
    };
    Ok(base.join("summitctl").join("servers"))
}

fn user_lib(home: &Path) -> Result<PathBuf> {
    let lib = home.join("lib");
    if jars(&lib)?
        .iter()
        .any(|name| name.starts_with("neo4j-dbms-"))
    {
        return Ok(lib);
    }
    Err(Error::new(
        &MISSING_PROGRAM,
        format!(
            "`NEO4J_HOME` is `{}`, but its `lib` holds no Neo4j server",
            home.display()
        ),
    )
    .hint(
        "Point `NEO4J_HOME` at an unpacked Neo4j 5 server, or unset it to have the jars fetched.",
    ))
}

async fn fetched_lib(servers: &Path) -> Result<PathBuf> {
    let home = servers.join(format!("neo4j-{VERSION}"));
    let lib = home.join("lib");
    let complete = |lib: &Path| -> Result<bool> {
        let wanted = format!("neo4j-dbms-{VERSION}.jar");
        Ok(jars(lib)?.contains(&wanted))
    };
    if complete(&lib)? {
        return Ok(lib);
    }
    make_dir(&home, 0o755)?;
    let _lock = lock(&home.join("fetch.lock")).await?;
    if complete(&lib)? {
        return Ok(lib);
    }
    let mvn = program(&["mvn"], &[], "maven")
        .context(|| format!("cannot fetch the jars of Neo4j {VERSION}"))?;
    let temporary = home.join(format!("lib.fetching{}", std::process::id()));
    let pom = home.join("pom.xml");
    write_private(&pom, POM.as_bytes())?;
    let mut command = Command::new(mvn);
    command
        .args(["-q", "-B", "dependency:copy-dependencies", "-f"])
        .arg(&pom)
        .arg(format!("-DoutputDirectory={}", temporary.display()));
    let fetched = output_of(
        &mut command,
        "fetching Neo4j's jars with Maven",
        FETCH_LIMIT,
    )
    .await;
    if let Err(error) = fetched {
        let _ = fs::remove_dir_all(&temporary);
        return Err(error.hint(
            "Maven needs a reachable repository (see `~/.m2/settings.xml`); or set `NEO4J_HOME` to an unpacked Neo4j 5 server.",
        ));
    }
    if lib.exists() {
        fs::remove_dir_all(&lib).map_err(|e| Error::io("remove", &lib, e))?;
    }
    fs::rename(&temporary, &lib).map_err(|e| Error::io("rename", &temporary, e))?;
    Ok(lib)
}

/// The jars in a folder, sorted; none if there is no such folder.
fn jars(lib: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(lib) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", lib, e)),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".jar"))
        .collect();
    names.sort();
    Ok(names)
}

/// Names the launcher made for exactly this Java, these jars and this source.
fn launcher_key(java: &Path, lib: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(LAUNCHER.as_bytes());
    let real = fs::canonicalize(java).map_err(|e| Error::io("find", java, e))?;
    hasher.update(real.as_os_str().as_encoded_bytes());
    if let Some(release) = real
        .parent()
        .and_then(Path::parent)
        .map(|h| h.join("release"))
    {
        hasher.update(&fs::read(release).unwrap_or_default());
    }
    hasher.update(lib.as_os_str().as_encoded_bytes());
    for name in jars(lib)? {
        hasher.update(name.as_bytes());
    }
    Ok(hasher.finalize().to_hex()[..16].to_owned())
}

/// Compiles the launcher into a jar; does nothing where there is no Java compiler.
async fn compile(java: &Path, lib: &Path, source: &Path, jar_path: &Path) -> Result<()> {
    let beside: Vec<PathBuf> = fs::canonicalize(java)
        .ok()
        .and_then(|p| p.parent().map(Path::to_path_buf))
        .into_iter()
        .collect();
    let tool = |name: &str| program(&[name], &beside, "openjdk-17-jdk-headless").ok();
    let (Some(javac), Some(jar)) = (tool("javac"), tool("jar")) else {
        return Ok(());
    };
    let classes = jar_path.with_extension(format!("classes{}", std::process::id()));
    make_dir(&classes, 0o755)?;
    let mut command = Command::new(javac);
    command
        .arg("-cp")
        .arg(lib.join("*"))
        .arg("-d")
        .arg(&classes)
        .arg(source);
    output_of(&mut command, "compiling the Neo4j launcher", TRAIN_LIMIT).await?;
    let temporary = jar_path.with_extension(format!("tmp{}", std::process::id()));
    let mut command = Command::new(jar);
    command
        .arg("cf")
        .arg(&temporary)
        .arg("-C")
        .arg(&classes)
        .arg(".");
    output_of(&mut command, "packing the Neo4j launcher", TRAIN_LIMIT).await?;
    fs::rename(&temporary, jar_path).map_err(|e| Error::io("rename", &temporary, e))?;
    fs::remove_dir_all(&classes).map_err(|e| Error::io("remove", &classes, e))
}

/// Runs a server once, in a scratch home, to record the classes it loads.
async fn train(install: &Install) -> Result<()> {
    remove_left_homes(&install.archive);
    let home = install
        .archive
        .with_extension(format!("home{}", std::process::id()));
    // Also when somebody interrupts us: it holds a password.
    let _gone = Gone(&home);
    make_dir(&home.join("conf"), 0o700)?;
    train_in(install, &home).await
}

/// A folder that goes with the value.
struct Gone<'a>(&'a Path);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0);
    }
}

/// Removes what killed trainings left; call it under the lock, so that none is in use.
fn remove_left_homes(archive: &Path) {
    let Some(folder) = archive.parent() else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("classes.home") {
            let _ = fs::remove_dir_all(entry.path());
        } else if name.starts_with("classes.tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

async fn train_in(install: &Install, home: &Path) -> Result<()> {
    let conf = home.join("conf/neo4j.conf");
    // Port 0: any free one; nobody connects.
    fs::write(
        &conf,
        configuration(
            0,
            &Options {
                page_cache_mib: 16,
                ..Options::default()
            },
        ),
    )
    .map_err(|e| Error::io("write", &conf, e))?;
    let password = super::super::password(home)?;
    drop(password);
    let temporary = install
        .archive
        .with_extension(format!("tmp{}", std::process::id()));
    let mut command = Command::new(&install.java);
    command
        .arg(format!("-XX:ArchiveClassesAtExit={}", temporary.display()))
        .args(["-Xlog:cds=off", "-Xlog:cds+dynamic=off"])
        .args(install.java_arguments(384))
        .arg(home)
        .arg(home.join("password"))
        .arg("--train");
    output_of(&mut command, "training the Neo4j launcher", TRAIN_LIMIT).await?;
    fs::rename(&temporary, &install.archive).map_err(|e| Error::io("rename", &temporary, e))
}

/// Runs a program to its end; the error holds the end of what it said.
async fn output_of(command: &mut Command, what: &str, limit: Duration) -> Result<()> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = Deadline::after(limit)
        .run(what, async {
            running
                .await
                .map_err(|e| Error::new(&START_FAILED, format!("{what} failed")).caused_by(e))
        })
        .await?;
    if output.status.success() {
        return Ok(());
    }
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(12)..].join("\n");
    Err(Error::new(
        &START_FAILED,
        format!("{what} ended with {}; it said:\n{tail}", output.status),
    ))
}

/// Waits for an exclusive lock, held until the file is dropped, so that two of us do not do the same work.
pub(super) async fn lock(path: &Path) -> Result<fs::File> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| Error::io("open", path, e))?;
    poll(
        "another process's work on the same sandbox server",
        Deadline::after(FETCH_LIMIT),
        Duration::from_millis(100),
        async || match file.try_lock() {
            Ok(()) => Ok(Look::Ready(())),
            Err(fs::TryLockError::WouldBlock) => {
                Ok(Look::NotYet(format!("`{}` is locked", path.display())))
            }
            Err(fs::TryLockError::Error(e)) => Err(Error::io("lock", path, e)),
        },
    )
    .await?;
    Ok(file)
}

//! Dumps that others made: `pg_dump` in each of its formats, loaded into a database of a scratch server by a role of few rights.
//!
//! Archives are turned into a script by `pg_restore`, and scripts are read by ourselves: no shell, no `psql`, whose commands in a dump
//! run programs on the machine that loads it (CVE-2025-8714, CVE-2025-8715). The role that loads owns the database and nothing else.

mod named;
mod script;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::Executor as _;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt as _, BufReader};

use super::session::{Access, close, close_unlimited, failed, open, open_unlimited, run, run_as};
use super::sql::{ident, literal};
use super::tools::{self, Tool};
use super::{RESTORE_FAILED, Target};
use crate::error::{Context as _, Error, Result};
use crate::event::{Events, Unit};
use crate::reasons;
use crate::secret::Secret;
use crate::time::Instant;
use crate::wait::Cancel;

use named::{extension_in, missing_role, name_at};
use script::{Said, Script, Statement};

reasons! {
    /// A dump cannot be taken in.
    BAD_DUMP = "postgres.bad-dump", Usage,
        "The dump is not whole, or holds what is not taken from a dump that somebody else made. The message says where. The repository was not changed.";
}

/// What a dump says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// Where it is.
    pub path: PathBuf,
    /// Whether `pg_restore` must read it.
    pub archive: bool,
    /// When it was made, as it says.
    pub made: Option<Instant>,
    /// What an archive says of it: the clock of the machine that made it, without a zone, which is no moment.
    pub clock: Option<String>,
    /// The database that it was made of, as it says.
    pub database: Option<String>,
    /// The version of the server that it was made of, as it says.
    pub server_version: Option<String>,
}

impl Dump {
    /// What kind of dump it is.
    pub fn kind(&self) -> &'static str {
        if self.archive {
            "pg_dump archive"
        } else {
            "SQL script"
        }
    }

    /// The major version of the server.
    pub fn major(&self) -> Option<u32> {
        let version = self.server_version.as_deref()?;
        let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    /// The major version of the server that loads it: its own, or the oldest that there is for an older one.
    pub fn loads_in(&self) -> Option<u32> {
        self.major().map(|major| major.max(OLDEST))
    }
}

/// The oldest server that is started for dumps.
const OLDEST: u32 = 14;

/// As many roles as policies may name.
const ROLES: usize = 1_000;

/// What loading left out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Each with how often.
    pub left_out: Vec<String>,
}

/// The magic bytes of `pg_dump --format=custom`.
const CUSTOM: &[u8] = b"PGDMP";
/// A tar archive of `pg_dump` begins with the entry of this name, as does a folder of its directory format.
const CONTENTS: &str = "toc.dat";

/// What a file or folder is, if it is a dump of Postgres.
pub async fn describe(path: &Path) -> Result<Option<Dump>> {
    let folder = path.is_dir();
    let archive = if folder {
        if !path.join(CONTENTS).is_file() {
            return Ok(None);
        }
        true
    } else {
        let mut start = [0_u8; 512];
        let mut file = tokio::fs::File::open(path)
            .await
            .map_err(|e| Error::io("open", path, e))?;
        let mut length = 0;
        while length < start.len() {
            match file
                .read(&mut start[length..])
                .await
                .map_err(|e| Error::io("read", path, e))?
            {
                0 => break,
                read => length += read,
            }
        }
        let start = &start[..length];
        let tar = start.get(257..262) == Some(b"ustar") && start.starts_with(CONTENTS.as_bytes());
        let text = start.starts_with(b"--\n-- PostgreSQL database dump")
            || path.extension().is_some_and(|e| e == "sql");
        if start.starts_with(b"--\n-- PostgreSQL database cluster dump") {
            return Err(Error::new(
                &BAD_DUMP,
                format!("`{}` is the dump of a whole server", path.display()),
            )
            .hint("Dump each database with `pg_dump`; `pg_dumpall` is not taken in."));
        }
        if !start.starts_with(CUSTOM) && !tar && !text {
            return Ok(None);
        }
        !text || start.starts_with(CUSTOM) || tar
    };
    let mut dump = Dump {
        path: path.to_owned(),
        archive,
        made: None,
        clock: None,
        database: None,
        server_version: None,
    };
    if archive {
        listed(&mut dump).await?;
    } else {
        let said = script_said(path).await?;
        dump.server_version = said.version.map(|v| first_word(&v));
        dump.made = said.started.and_then(|text| moment(&text));
    }
    Ok(Some(dump))
}

fn first_word(text: &str) -> String {
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// `2026-11-21 03:04:05 UTC`; another zone's name says too little.
fn moment(text: &str) -> Option<Instant> {
    let plain = text
        .trim()
        .strip_suffix(" UTC")
        .or_else(|| text.trim().strip_suffix(" GMT"))?;
    format!("{}Z", plain.replacen(' ', "T", 1)).parse().ok()
}

/// The head of a script: the comments before its first statement.
async fn script_said(path: &Path) -> Result<Said> {
    let file = tokio::fs::File::open(path)
        .await
        .map_err(|e| Error::io("open", path, e))?;
    let mut script = Script::new(BufReader::new(file));
    script.next().await.context(|| shown(path))?;
    Ok(script.said)
}

fn shown(path: &Path) -> String {
    format!("the dump `{}`", path.display())
}

fn pg_restore() -> Result<Tool> {
    // It says by itself if an archive is newer than it.
    tools::newest_pg_restore()
}

/// What `pg_restore --list` says at its head.
async fn listed(dump: &mut Dump) -> Result<()> {
    let tool = pg_restore()?;
    let output = tokio::process::Command::new(&tool.path)
        .arg("--list")
        .arg(&dump.path)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|e| Error::io("run", &tool.path, e))?;
    if !output.status.success() {
        return Err(refused(&dump.path, &tool, &output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().take_while(|line| line.starts_with(';')) {
        let words = line.trim_start_matches([';', ' ']);
        if let Some(made) = words.strip_prefix("Archive created at ") {
            // `pg_dump` writes local time, and `pg_restore` takes it for its own.
            dump.clock = Some(made.trim_end_matches(" UTC").to_owned());
        } else if let Some(name) = words.strip_prefix("dbname: ") {
            dump.database = Some(name.to_owned());
        } else if let Some(version) = words.strip_prefix("Dumped from database version: ") {
            dump.server_version = Some(first_word(version));
        }
    }
    Ok(())
}

fn refused(path: &Path, tool: &Tool, said: &[u8]) -> Error {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().next().unwrap_or("it said nothing");
    Error::new(
        &BAD_DUMP,
        format!(
            "`{}` cannot read the dump `{}`",
            tool.path.display(),
            path.display()
        ),
    )
    .caused_by(line.to_owned())
    .hint("copy the dump again from where it was made, and compare the checksums of both; or take it anew")
}

/// Makes a database of a scratch server and loads a dump into it, as a new role of the name `owner`. `server` is the server's
/// maintenance database, as its administrator.
pub async fn load(
    server: &Target,
    database: &str,
    owner: &str,
    password: &Secret,
    dump: &Dump,
    events: &Events,
    cancel: &Cancel,
) -> Result<Imported> {
    let mut session = open_unlimited(server).await?;
    let make = format!(
        "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}",
        ident(owner),
        literal(password.expose())
    );
    let made = format!(
        "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'",
        ident(database),
        ident(owner)
    );
    let ready = async {
        run_as(server, &mut session, "make the role that loads", &make).await?;
        run(server, &mut session, &made).await
    };
    let ready = ready.await;
    close_unlimited(server, session).await;
    ready?;
    let admin = server.with_database(database);
    let mut user = admin.clone();
    user.user = owner.to_owned();
    user.password = Some(password.clone());
    let place = Place {
        admin: &admin,
        user: &user,
        dump,
        events,
    };
    let loaded = cancel.guard(place.load()).await;
    // What its owner has set for every session of the database must not reach the administrator's.
    let mut session = open(server, Access::Write).await?;
    let reset = format!("ALTER DATABASE {} RESET ALL", ident(database));
    let was_reset = run(server, &mut session, &reset).await;
    close(session).await;
    let loaded = loaded?;
    was_reset.map(|()| loaded)
}

struct Place<'a> {
    /// The new database, as the administrator.
    admin: &'a Target,
    /// As its owner.
    user: &'a Target,
    dump: &'a Dump,
    events: &'a Events,
}

impl Place<'_> {
    async fn load(&self) -> Result<Imported> {
        if !self.dump.archive {
            let file = tokio::fs::File::open(&self.dump.path)
                .await
                .map_err(|e| Error::io("open", &self.dump.path, e))?;
            return self
                .statements(BufReader::with_capacity(1 << 18, file))
                .await;
        }
        let tool = pg_restore()?;
        let mut child = tokio::process::Command::new(&tool.path)
            .args([
                "--file=-",
                "--no-owner",
                "--no-privileges",
                "--no-tablespaces",
            ])
            .arg(&self.dump.path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| Error::io("run", &tool.path, e))?;
        let (Some(out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::bug("a piped stream is missing"));
        };
        let mut words = Vec::new();
        let (loaded, _) = tokio::join!(
            self.statements(BufReader::with_capacity(1 << 18, out)),
            limited(&mut err, &mut words)
        );
        let status = child
            .wait()
            .await
            .map_err(|e| Error::io("wait for", &tool.path, e))?;
        // If a statement failed, we stopped listening, and the program can only say that.
        let cut_off = String::from_utf8_lossy(&words).contains("Broken pipe");
        match loaded {
            Err(e) if words.is_empty() || cut_off => Err(e),
            _ if !status.success() => Err(refused(&self.dump.path, &tool, &words)),
            Ok(mut imported) => {
                imported.left_out.push("owners and grants".to_owned());
                Ok(imported)
            }
            Err(e) => Err(e),
        }
    }

    async fn statements<R: AsyncBufRead + Unpin>(&self, from: R) -> Result<Imported> {
        let mut script = Script::new(from);
        let mut session = open(self.user, Access::AsGiven).await?;
        run(
            self.user,
            &mut session,
            "SET default_transaction_read_only = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0",
        )
        .await?;
        let mut left_out: std::collections::BTreeMap<&'static str, u64> = Default::default();
        let mut rows = 0_u64;
        let mut early = true;
        let mut roles = BTreeSet::new();
        while let Some(statement) = script.next().await.context(|| shown(&self.dump.path))? {
            match judge(&statement.sql) {
                Verdict::Run => {
                    early &= is_early(&statement.sql);
                    let at = statement.line;
                    let mut done = self
                        .one(&mut session, &statement, &mut script, &mut rows)
                        .await;
                    while let Err(e) = &done
                        && let Some(role) = missing_role(&statement.sql, e)
                        && roles.len() < ROLES
                        && roles.insert(role.clone())
                    {
                        self.empty_role(&role).await?;
                        done = self
                            .one(&mut session, &statement, &mut script, &mut rows)
                            .await;
                    }
                    done.context(|| format!("{}, line {at}", shown(&self.dump.path)))?;
                }
                // The administrator goes where nothing of the dump can wait for it: `pg_dump` puts extensions first.
                Verdict::Extension if early => self.extension(&statement).await?,
                Verdict::Extension => {
                    return Err(Error::new(
                        &BAD_DUMP,
                        format!(
                            "{}, line {}: it makes an extension after other objects, which could then act for the administrator",
                            shown(&self.dump.path),
                            statement.line
                        ),
                    ));
                }
                Verdict::Skip => {}
                Verdict::LeaveOut(what) => *left_out.entry(what).or_default() += 1,
                Verdict::Refuse(why) => {
                    return Err(Error::new(
                        &BAD_DUMP,
                        format!("{}, line {}: {why}", shown(&self.dump.path), statement.line),
                    )
                    .hint("Dump one database with `pg_dump`, without `--create`."));
                }
            }
        }
        close(session).await;
        if script.said.begun && !script.said.complete {
            return Err(Error::new(
                &BAD_DUMP,
                format!(
                    "{} has no end: `pg_dump` did not finish it",
                    shown(&self.dump.path)
                ),
            )
            .hint("It was cut off when it was made or copied. Take another one."));
        }
        let left_out = left_out.into_iter().map(|(what, n)| format!("{n} {what}"));
        let empty = roles.into_iter().map(|role| {
            format!("what role `{role}` may do: policies name it, and the dump does not hold it")
        });
        Ok(Imported {
            left_out: left_out.chain(empty).collect(),
        })
    }

    /// A role that policies name, which no dump of a database holds: it may do nothing, not even log in.
    async fn empty_role(&self, role: &str) -> Result<()> {
        let mut session = open(self.admin, Access::Write).await?;
        let made = run(
            self.admin,
            &mut session,
            &format!("CREATE ROLE {} NOLOGIN", ident(role)),
        )
        .await;
        close(session).await;
        made.map(drop)
    }

    async fn one<R: AsyncBufRead + Unpin>(
        &self,
        session: &mut sqlx::postgres::PgConnection,
        statement: &Statement,
        script: &mut Script<R>,
        rows: &mut u64,
    ) -> Result<()> {
        if !statement.copies {
            return session
                .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement.sql.as_str())))
                .await
                .map(drop)
                .map_err(|e| failed(self.user, "run a statement of the dump", e));
        }
        let mut copy = session
            .copy_in_raw(&statement.sql)
            .await
            .map_err(|e| failed(self.user, "begin to load rows of the dump", e))?;
        loop {
            let chunk = match script.rows().await {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => chunk,
                Err(e) => {
                    let _ = copy.abort("the dump could not be read").await;
                    return Err(e);
                }
            };
            copy.send(chunk)
                .await
                .map_err(|e| failed(self.user, "send rows of the dump", e))?;
        }
        *rows += copy
            .finish()
            .await
            .map_err(|e| failed(self.user, "load rows of the dump", e))?;
        self.events.progress("import", *rows, None, Unit::Items);
        Ok(())
    }

    /// An extension is made by the administrator, from the server's own files: of the dump only two names are taken.
    async fn extension(&self, statement: &Statement) -> Result<()> {
        let refused = || {
            Error::new(
                &BAD_DUMP,
                format!(
                    "{}, line {}: it makes an extension in a way that `pg_dump` does not",
                    shown(&self.dump.path),
                    statement.line
                ),
            )
        };
        let (name, schema) = extension_in(&statement.sql).ok_or_else(refused)?;
        let mut session = open(self.admin, Access::Write).await?;
        let owner = ident(&self.user.user);
        let mut make = format!(
            "CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {}",
            ident(&name),
            ident(&schema)
        );
        // The server's own schemas are there, and may not be asked for.
        if !schema.starts_with("pg_") {
            let schema = ident(&schema);
            make = format!("CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}; {make}");
        }
        let made = run(self.admin, &mut session, &make).await;
        close(session).await;
        made.map_err(|e| {
            Error::new(
                &RESTORE_FAILED,
                format!(
                    "the scratch server cannot make the extension `{name}` that the dump needs"
                ),
            )
            .caused_by(e)
            .hint("Install the extension's files for this version of Postgres, and import again.")
        })
    }
}

async fn limited(from: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) {
    // What a program says more is of no use, but it must be able to say it.
    let mut buffer = [0_u8; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if into.len() < 1 << 16 {
            into.extend_from_slice(&buffer[..read]);
        }
    }
}

/// What is done with a statement of a dump.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Run,
    Extension,
    /// Nothing is lost by leaving it out.
    Skip,
    LeaveOut(&'static str),
    Refuse(&'static str),
}

fn judge(sql: &str) -> Verdict {
    let lower: String = sql
        .chars()
        .take(4096)
        .collect::<String>()
        .to_ascii_lowercase();
    let all: Vec<&str> = lower.split_whitespace().collect();
    // Where a text stands it may be that of a default.
    let owner = matches!(all[..], ["alter", .., "owner", "to", _]) && !lower.contains('\'');
    let words = &all[..all.len().min(3)];
    match *words {
        ["create", "extension", ..] => Verdict::Extension,
        // A newer `pg_restore` sets it, and an older server does not know it.
        ["set", "transaction_timeout", "="] => Verdict::Skip,
        ["comment", "on", "extension"] => Verdict::LeaveOut("comments on extensions"),
        ["grant" | "revoke", ..] | ["alter", "default", "privileges"] => {
            Verdict::LeaveOut("grants")
        }
        _ if owner => Verdict::LeaveOut("owners"),
        ["create" | "alter" | "drop", "user", "mapping"] => Verdict::LeaveOut("user mappings"),
        ["set", "session", "authorization"] | ["security", "label", _] => {
            Verdict::LeaveOut("owners")
        }
        ["create" | "alter", "subscription", ..] | ["comment", "on", "subscription"] => {
            Verdict::LeaveOut("subscriptions")
        }
        ["create", "event", "trigger"]
        | ["alter", "event", "trigger"]
        | ["comment", "on", "event"] => Verdict::LeaveOut("event triggers"),
        ["create" | "alter" | "drop", "database", ..] => {
            Verdict::Refuse("it makes or changes a database")
        }
        [
            "create" | "alter" | "drop",
            "role" | "user" | "tablespace",
            ..,
        ] => Verdict::Refuse("it makes or changes roles or tablespaces of the whole server"),
        _ => Verdict::Run,
    }
}

/// Whether a statement may come before an extension is made: it puts nothing into a schema that could act.
fn is_early(sql: &str) -> bool {
    let lower = sql.to_ascii_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    match words[..] {
        ["set", name, ..] => name != "role",
        ["select", call, ..] => call.starts_with("pg_catalog.set_config('search_path',"),
        // A schema can be made with what is in it.
        ["create", "schema", ..] => {
            let name = sql.trim_start()["create".len()..].trim_start();
            let name = name_at(name["schema".len()..].trim_start());
            name.is_some_and(|(_, rest)| rest.trim().is_empty())
        }
        // What `pg_dump --clean --if-exists` begins with.
        ["drop", ..] | ["alter", "table", "if", "exists", ..] => true,
        ["create", "collation", ..] | ["comment", "on", "schema" | "collation", ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_extension_two_names_are_taken() {
        let of = |sql: &str| extension_in(sql);
        assert_eq!(
            of("CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public"),
            Some(("pgcrypto".into(), "public".into()))
        );
        assert_eq!(
            of("CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA \"a \"\"b\""),
            Some(("uuid-ossp".into(), "a \"b".into()))
        );
        for bad in [
            "CREATE EXTENSION x",
            "CREATE EXTENSION IF NOT EXISTS x WITH SCHEMA y VERSION '1'",
            "CREATE EXTENSION IF NOT EXISTS x WITH SCHEMA y; DROP TABLE z",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_needs_more_rights_is_left_out_or_refused() {
        assert_eq!(
            judge("ALTER TABLE public.t OWNER TO app"),
            Verdict::LeaveOut("owners")
        );
        assert_eq!(judge("GRANT ALL ON t TO x"), Verdict::LeaveOut("grants"));
        assert_eq!(judge("SET transaction_timeout = 0"), Verdict::Skip);
        assert!(matches!(judge("CREATE DATABASE x"), Verdict::Refuse(_)));
        assert!(matches!(judge("create  role x"), Verdict::Refuse(_)));
        assert_eq!(
            judge("ALTER TABLE ONLY t ADD CONSTRAINT c UNIQUE (a)"),
            Verdict::Run
        );
        assert_eq!(
            judge("CREATE USER MAPPING FOR x SERVER y"),
            Verdict::LeaveOut("user mappings")
        );
        assert_eq!(
            judge("ALTER TABLE t ALTER c SET DEFAULT 'the owner to be'"),
            Verdict::Run
        );
    }

    #[test]
    fn extensions_come_before_what_is_in_schemas() {
        for early in [
            "SET client_encoding = 'UTF8'",
            "SELECT pg_catalog.set_config('search_path', '', false)",
            "CREATE SCHEMA ext",
            "CREATE SCHEMA \"two words\"",
            "DROP EXTENSION IF EXISTS pgcrypto",
            "ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS t_pkey",
            "CREATE COLLATION public.german (provider = icu, locale = 'de')",
        ] {
            assert!(is_early(early), "{early}");
        }
        for late in [
            "CREATE SCHEMA ext CREATE TABLE t (n int)",
            "CREATE SCHEMA \"two words\" AUTHORIZATION app",
            "ALTER TABLE t ADD COLUMN n int",
            "DO $$ BEGIN END $$",
            "SELECT evil()",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ] {
            assert!(!is_early(late), "{late}");
        }
    }

    #[test]
    fn only_a_moment_in_utc_is_one() {
        assert!(moment("2026-11-21 03:04:05 UTC").is_some());
        assert_eq!(moment("2026-11-21 03:04:05 CET"), None);
    }
}

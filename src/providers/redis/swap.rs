//! Restoring into the server that is in use: the new data are loaded into a spare numbered database beside the old, looked
//! at, and then exchanged with database 0 by one atomic `SWAPDB`. The old data stay in the spare database.
//!
//! The state is on the server, in a key of ours that travels with the data, so every step can be repeated and observed.
//! Only database 0 can be exchanged; function libraries belong to no database and stay as they are.

use ::redis::Pipeline;

use crate::capture::PartSource;
use crate::error::{Error, Result};

use super::capture::{Measured, database_of};
use super::connect::Conn;
use super::fleet::Fleet;
use super::gather::{Collector, server_time, zero};
use super::health::{Info, MARKER_KEY, RESTORE_KEY, databases};
use super::load::Load;
use super::restore::{
    Left, Progress, RestoreOptions, Restored, Stage, admissible, all_ok, is_functions, room,
};
use super::scan;
use super::target::Target;
use super::{NO_SPARE, NOT_STAGED, ONLY_ZERO};

/// How far a restore beside the live data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapState {
    /// Nothing of it is there.
    Absent,
    /// The new data are being loaded, or their loading was interrupted.
    Loading {
        /// The spare database.
        database: u32,
    },
    /// The new data are complete in the spare database; the old are live.
    Staged {
        /// The spare database.
        database: u32,
    },
    /// The new data are live; the old are in the spare database.
    Swapped {
        /// The spare database.
        database: u32,
    },
    /// The new data are live; the old were dropped.
    Finished,
}

/// What was loaded beside the live data.
#[derive(Debug, Clone, PartialEq)]
pub struct Staged {
    /// The spare database that holds it.
    pub database: u32,
    /// What was loaded, measured there in terms of database 0.
    pub restored: Restored,
}

/// Where the restore with this token stands, as the server shows it.
pub async fn swap_state(target: &Target, token: &str) -> Result<SwapState> {
    let mut conn = zero(target).await?;
    let live = Progress::read(&mut conn).await?;
    if let Some(Progress {
        state: Stage::Done,
        database,
        ..
    }) = live.filter(|p| p.token == token)
    {
        return Ok(match database {
            Some(database) => SwapState::Swapped { database },
            None => SwapState::Finished,
        });
    }
    for database in Info::read(&mut conn).await?.keyspace().into_keys() {
        if database == 0 {
            continue;
        }
        conn.select(database).await?;
        let found = Progress::read(&mut conn).await?;
        match found.filter(|p| p.token == token && p.database == Some(database)) {
            Some(Progress {
                state: Stage::Done, ..
            }) => return Ok(SwapState::Staged { database }),
            Some(_) => return Ok(SwapState::Loading { database }),
            None => {}
        }
    }
    Ok(SwapState::Absent)
}

/// Loads a capture's database 0 into a spare database and measures it there. A second call goes on, or only measures.
///
/// # Errors
/// `redis.only-database-zero` if the capture holds other databases, `redis.no-spare-database`, and those of
/// [`super::restore`].
pub async fn stage(
    target: &Target,
    source: &dyn PartSource,
    options: &RestoreOptions,
) -> Result<Staged> {
    let endpoint = target.endpoint();
    let mut notes = Vec::new();
    let mut parts = source.parts("redis/");
    let mut others = Vec::new();
    for part in parts.iter().filter(|part| !is_functions(part)) {
        let database = database_of(part)?;
        if database != 0 {
            others.push(database.to_string());
        }
    }
    if !others.is_empty() {
        return Err(Error::new(
            &ONLY_ZERO,
            format!(
                "the backup holds database {}; only database 0 can be exchanged",
                others.join(", ")
            ),
        )
        .hint("Restore into another server, or consent to replacing everything this one holds."));
    }
    if parts.iter().any(is_functions) {
        notes.push(
            "Function libraries belong to no database; the server's own were left as they are."
                .to_owned(),
        );
        parts.retain(|part| !is_functions(part));
    }
    let mut fleet = Fleet::open(target).await?;
    if fleet.is_cluster() {
        return Err(Error::new(
            &NO_SPARE,
            format!("Redis at `{endpoint}` is a cluster, which has no database beside database 0"),
        ));
    }
    let state = swap_state(target, &options.token).await?;
    let node = &mut fleet.nodes[0];
    admissible(node, false, &parts, &mut notes).await?;
    let conn = &mut node.conn;
    let marker: Option<Vec<u8>> = conn.query(::redis::cmd("GET").arg(MARKER_KEY)).await?;
    let (database, loaded) = match state {
        SwapState::Staged { database } | SwapState::Swapped { database } => (database, true),
        SwapState::Loading { database } => (database, false),
        SwapState::Finished => (0, true),
        SwapState::Absent => {
            room(node, &parts, Left::All).await?;
            (spare(&mut node.conn, &node.info, &endpoint).await?, false)
        }
    };
    let resumed = state != SwapState::Absent;
    let mut load = Load::new(&mut fleet, options, resumed).await?;
    load.zero_into = database;
    load.no_functions = true;
    load.read_only = loaded;
    if !loaded {
        load.state(Stage::Loading, Some(database)).await?;
    }
    for part in &parts {
        load.part(part, source, false).await?;
    }
    if !loaded {
        load.settle(&mut notes).await?;
        if let Some(marker) = marker {
            // The server keeps its identity when the databases change places.
            load.mark(&marker).await?;
        }
        load.state(Stage::Done, Some(database)).await?;
    }
    let (expected, keys, bytes) = load.finish().await?;
    let conn = &mut fleet.nodes[0].conn;
    let holds = match state {
        SwapState::Swapped { .. } | SwapState::Finished => 0,
        _ => database,
    };
    let measured = measure_one(conn, holds, options).await?;
    Ok(Staged {
        database,
        restored: Restored::of(&expected, &measured, keys, bytes, resumed, notes)?,
    })
}

/// Exchanges the staged data with database 0. A second call is a no-op.
pub async fn swap_in(target: &Target, token: &str) -> Result<SwapState> {
    match swap_state(target, token).await? {
        done @ (SwapState::Swapped { .. } | SwapState::Finished) => Ok(done),
        SwapState::Staged { database } => exchange(target, token, database, true).await,
        other => Err(not(
            target,
            token,
            other,
            "are not complete in a spare database",
        )),
    }
}

/// Takes [`swap_in`] back: the old data are live again, the new ones staged. A second call is a no-op.
pub async fn swap_back(target: &Target, token: &str) -> Result<SwapState> {
    match swap_state(target, token).await? {
        done @ SwapState::Staged { .. } => Ok(done),
        SwapState::Swapped { database } => exchange(target, token, database, false).await,
        other => Err(not(target, token, other, "were never exchanged")),
    }
}

/// Drops what is in the spare database: the old data once the new are live, else the new. This cannot be undone; the
/// caller has consent for it. A second call is a no-op.
pub async fn discard(target: &Target, token: &str) -> Result<()> {
    let state = swap_state(target, token).await?;
    let (database, live) = match state {
        SwapState::Absent | SwapState::Finished => return Ok(()),
        SwapState::Swapped { database } => (database, true),
        SwapState::Loading { database } | SwapState::Staged { database } => (database, false),
    };
    let mut conn = zero(target).await?;
    let mut pipeline = Pipeline::new();
    pipeline.cmd("MULTI");
    pipeline.cmd("SELECT").arg(database).cmd("FLUSHDB");
    pipeline.cmd("SELECT").arg(0);
    if let Some(progress) = Progress::read(&mut conn).await?.filter(|_| live) {
        // It stays known as done: whoever goes on with this restore must not load it anew over what was written since.
        let done = Progress {
            database: None,
            ..progress
        };
        pipeline.cmd("SET").arg(RESTORE_KEY).arg(done.text()?);
    }
    pipeline.cmd("EXEC");
    all_ok(&mut conn, &mut pipeline, "FLUSHDB").await
}

/// Exchanges the databases once, whoever else tries: the exchange is bound to the state that it was decided on.
async fn exchange(
    target: &Target,
    token: &str,
    database: u32,
    into_use: bool,
) -> Result<SwapState> {
    let is_done = |state| match into_use {
        true => matches!(state, SwapState::Swapped { .. }),
        false => matches!(state, SwapState::Staged { .. }),
    };
    let mut conn = zero(target).await?;
    let () = conn.query(::redis::cmd("WATCH").arg(RESTORE_KEY)).await?;
    let before = swap_state(target, token).await?;
    if is_done(before) {
        return Ok(before);
    }
    let mut pipeline = Pipeline::new();
    pipeline.cmd("MULTI");
    pipeline.cmd("SWAPDB").arg(0).arg(database).cmd("EXEC");
    all_ok(&mut conn, &mut pipeline, "SWAPDB").await?;
    let after = swap_state(target, token).await?;
    match is_done(after) {
        true => Ok(after),
        false => Err(not(
            target,
            token,
            after,
            "did not change places as they should have",
        )),
    }
}

async fn measure_one(conn: &mut Conn, database: u32, options: &RestoreOptions) -> Result<Measured> {
    let info = Info::read(conn).await?;
    let mut collector = Collector::new(&options.common, None).taking_for_zero(database);
    collector.begun(server_time(conn).await?);
    scan::scan(conn, &info, Some(database), &mut collector).await?;
    let now = server_time(conn).await?;
    Ok(Measured::new(collector.sums().await?, now))
}

/// The highest database without keys. Where the server will not say how many there are, the default of 16 is tried.
async fn spare(conn: &mut Conn, info: &Info, endpoint: &str) -> Result<u32> {
    let used = info.keyspace();
    let count = databases(conn).await.unwrap_or(16);
    for database in (1..count).rev() {
        if !used.contains_key(&database) && conn.select(database).await.is_ok() {
            conn.select(0).await?;
            return Ok(database);
        }
    }
    Err(Error::new(
        &NO_SPARE,
        format!("Redis at `{endpoint}` has no empty numbered database to load into"),
    )
    .hint("Restore into another server, or consent to replacing everything this one holds."))
}

fn not(target: &Target, token: &str, state: SwapState, what: &str) -> Error {
    let state = match state {
        SwapState::Absent => "absent".to_owned(),
        SwapState::Loading { database } => format!("loading into database {database}"),
        SwapState::Staged { database } => format!("staged in database {database}"),
        SwapState::Swapped { database } => format!("live, the old data in database {database}"),
        SwapState::Finished => "live, the old data dropped".to_owned(),
    };
    Error::new(
        &NOT_STAGED,
        format!(
            "the data of restore `{token}` {what} on Redis at `{}`: they are {state}",
            target.endpoint()
        ),
    )
}

//! Redis in a restore: what is replaced, and how: beside it and exchanged where the server allows it, else in place.

use super::super::world::World;
use super::equal;
use crate::capture::PartSource as _;
use crate::engine::step::ReadCx;
use crate::error::Result;
use crate::providers::redis;
use crate::repository::{BackupParts, State};

pub(super) fn options_of(cx: &ReadCx<'_, World>, source: &BackupParts) -> redis::CaptureOptions {
    redis::CaptureOptions {
        key: source.fingerprint_key(),
        jobs: cx.world.jobs,
        events: cx.events.clone(),
        cancel: cx.cancel.clone(),
    }
}

/// How many keys Redis holds now, and how many the backup does.
pub(super) async fn replaced(
    world: &World,
    source: &BackupParts,
    keys: Option<redis::Replace>,
) -> Result<Vec<String>> {
    let deadline = crate::wait::Deadline::after(std::time::Duration::from_secs(15));
    let now = match redis::ping(world.redis()?, deadline).await {
        Ok(health) => {
            let counts = health.facts.get("keys").and_then(|keys| keys.as_object());
            let keys: u64 = counts
                .into_iter()
                .flat_map(|counts| counts.values())
                .filter_map(serde_json::Value::as_u64)
                .sum();
            let here = match health.facts.get("cluster") {
                Some(json) if json == true => "on the node that was asked",
                _ => "in all databases",
            };
            format!("now: {keys} keys {here}")
        }
        Err(e) => format!("not measured: {}", e.one_line()),
    };
    let parts = source.parts("redis/");
    let held: u64 = parts
        .iter()
        .filter_map(|part| part.meta.get("keys")?.as_u64())
        .sum();
    let stay = match keys {
        Some(redis::Replace::Overwrite) => "keys of other names stay",
        Some(redis::Replace::Keep) => "keys that are there stay as they are",
        _ => "nothing of what is there stays",
    };
    let mut lines = vec![now, format!("backup: {held} keys; {stay}")];
    let way = keys.unwrap_or(redis::Replace::Flush);
    if let Err(e) = redis::admits(world.redis()?, source, way).await {
        lines.push(format!("as things are, it would fail: {}", e.one_line()));
    }
    Ok(lines)
}

/// What is to be done about queues before their jobs come back.
pub(super) fn quiesce(queues: &[redis::Queue]) -> Vec<String> {
    const SHOWN: usize = 12;
    let mut lines = vec![
        "stop their workers before the restore, and start them when it is decided what still must run:"
            .to_owned(),
    ];
    // Jobs first: a backup may hold hundreds of stream groups.
    let mut order: Vec<&redis::Queue> = queues.iter().collect();
    order.sort_by_key(|queue| queue.is_stream_group());
    lines.extend(order.into_iter().take(SHOWN).map(redis::Queue::line));
    if queues.len() > SHOWN {
        lines.push(format!("and {} more", queues.len() - SHOWN));
    }
    lines
}

/// As asked; without a word, beside and exchanged where the server allows it, else everything is dropped and loaded.
pub(super) async fn replace(
    cx: &ReadCx<'_, World>,
    source: &BackupParts,
    keys: Option<redis::Replace>,
) -> Result<()> {
    let target = cx.world.redis()?;
    let mut options = redis::RestoreOptions {
        common: options_of(cx, source),
        replace: redis::Replace::Refuse,
        token: cx.run.to_owned(),
    };
    if let Some(keys) = keys {
        options.replace = keys;
        return load(cx, target, source, &options).await;
    }
    match redis::stage(target, source, &options).await {
        Ok(staged) => {
            equal(&staged.restored.differences(), "the spare Redis database")?;
            staged
                .restored
                .notes
                .into_iter()
                .for_each(|note| cx.events.note(note));
            redis::swap_in(target, &options.token).await?;
            let safety = cx.run.parse()?;
            if cx.world.repository().await?.state(&safety).await? == State::Complete {
                // Else they would take memory for ever, and go into the next backup.
                redis::discard(target, &options.token).await?;
                cx.events.note(format!(
                    "the old data are in the safety backup `{safety}` and no longer on the server"
                ));
            } else {
                cx.events.note(format!(
                    "there is no safety backup: the old data stay in database {0} of the server, until you drop them with `redis-cli -n {0} FLUSHDB`",
                    staged.database
                ));
            }
            Ok(())
        }
        Err(error) if [&redis::ONLY_ZERO, &redis::NO_SPARE].contains(&error.reason()) => {
            cx.events
                .note(format!("{error}; everything is replaced in place"));
            options.replace = redis::Replace::Flush;
            load(cx, target, source, &options).await
        }
        Err(error) => Err(error),
    }
}

async fn load(
    cx: &ReadCx<'_, World>,
    target: &redis::Target,
    source: &BackupParts,
    options: &redis::RestoreOptions,
) -> Result<()> {
    let restored = redis::restore(target, source, options).await?;
    equal(&restored.differences(), "Redis")?;
    let notes = restored.notes.into_iter();
    notes.for_each(|note| cx.events.note(note));
    Ok(())
}

//! Capturing a server, measuring one, and recomputing fingerprints from a capture's bytes.

use std::collections::BTreeMap;

use crate::capture::{
    Captured, Consistency, Fingerprint, FingerprintKey, PartInfo, PartReader, PartSink, PartSource,
};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::identity::Store;
use crate::time::Instant;
use crate::wait::Cancel;

use super::gather::{Collector, FUNCTIONS_PART, gather, keys_part, server_time, zero};
use super::health::identify;
use super::rdb::{Row, function_row, functions};
use super::record::{FORMAT, FUNCTIONS_FORMAT, Records, describe};
use super::tally::{Tally, horizon};
use super::target::Target;
use super::whole::Assembly;
use super::{INCOMPARABLE, MALFORMED};

/// What every gathering needs to know.
#[derive(Clone)]
pub struct CaptureOptions {
    /// The key of row hashes.
    pub key: FingerprintKey,
    /// How many connections may be used. A snapshot takes one, whatever is allowed.
    pub jobs: usize,
    /// Who hears of the progress.
    pub events: Events,
    /// Who may stop it.
    pub cancel: Cancel,
}

impl CaptureOptions {
    /// Options that nobody hears of and nobody stops.
    pub fn quiet(key: FingerprintKey) -> Self {
        CaptureOptions {
            key,
            jobs: 1,
            events: Events::silent(),
            cancel: Cancel::new(),
        }
    }
}

/// Captures all databases and function libraries into `redis/<database>/keys` and `redis/functions`.
///
/// One snapshot by replication, at one point in time; where the server withholds that, SCAN and DUMP, labelled fuzzy. One
/// value at a time is held whole. No part is finished before the snapshot's checksum and end were seen to be right.
///
/// # Errors
/// Those of [`super::ping`], `redis.connection-lost`, `redis.malformed-dump`, `redis.unsupported-value`,
/// `redis.cluster-unsupported`, `redis.permission-denied`.
pub async fn capture(
    target: &Target,
    sink: &dyn PartSink,
    options: &CaptureOptions,
) -> Result<Captured> {
    let mut collector = Collector::new(options, Some(sink));
    let gathered = gather(target, options, &mut collector).await?;
    let identity = identify(target).await?;
    if collector.expired > 0 {
        options.events.note(format!(
            "{} keys had expired before the capture and are not in it",
            collector.expired
        ));
    }
    let parts = collector.finish(sink).await?;
    Ok(Captured {
        store: Store::Redis,
        identity,
        server_version: gathered.server_version,
        consistency: gathered.consistency,
        method: gathered.method,
        from: gathered.from,
        to: gathered.to,
        not_carried: gathered.not_carried,
        troubles: None,
        parts,
    })
}

/// Fingerprints at some moment, of data of which some expire: ask for them as of a horizon.
#[derive(Clone)]
pub struct Measured {
    sums: BTreeMap<String, Tally>,
    /// The first whole second after the measurement, by the server's clock: the earliest horizon that makes sense.
    pub horizon: Instant,
    /// Whether the measured server was read at one moment; `None` for a capture's bytes.
    pub consistency: Option<Consistency>,
    /// How: `PSYNC` or `SCAN`; `None` for a capture's bytes.
    pub method: Option<String>,
}

impl Measured {
    pub(super) fn new(sums: BTreeMap<String, Tally>, now: Instant) -> Self {
        Measured {
            sums,
            horizon: horizon(now),
            consistency: None,
            method: None,
        }
    }

    /// By part, everything that was there.
    pub fn all(&self) -> BTreeMap<String, Fingerprint> {
        let sums = self.sums.iter();
        sums.map(|(name, tally)| (name.clone(), tally.all()))
            .collect()
    }

    /// By part, without what expires before `horizon`, a whole second within a day of the measurement. Parts of which
    /// nothing is left are absent, except `redis/0/keys`.
    pub fn at(&self, horizon: Instant) -> Result<BTreeMap<String, Fingerprint>> {
        let mut out = BTreeMap::new();
        for (name, tally) in &self.sums {
            let sum = tally.at(horizon)?;
            if sum.rows > 0 || *name == keys_part(0) {
                out.insert(name.clone(), sum);
            }
        }
        Ok(out)
    }
}

/// Measures a live server with the same machinery as a capture, keeping nothing.
pub async fn measure(target: &Target, options: &CaptureOptions) -> Result<Measured> {
    let mut collector = Collector::new(options, None);
    let gathered = gather(target, options, &mut collector).await?;
    let now = server_time(&mut zero(target).await?).await?;
    Ok(Measured {
        consistency: Some(gathered.consistency),
        method: Some(gathered.method),
        ..Measured::new(collector.sums().await?, now)
    })
}

/// The fingerprints of a live server by part, of everything it holds now. Where keys expire, use [`compare`]: it
/// compares as of one horizon.
pub async fn fingerprints(
    target: &Target,
    options: &CaptureOptions,
) -> Result<BTreeMap<String, Fingerprint>> {
    Ok(measure(target, options).await?.all())
}

/// Sums a capture's bytes: every payload's checksum verified, every value decoded. `now` is when, for what expires.
pub async fn measure_source(
    source: &dyn PartSource,
    options: &CaptureOptions,
    now: Instant,
) -> Result<Measured> {
    let mut sums = BTreeMap::new();
    for info in source.parts("redis/") {
        options.cancel.check()?;
        let mut reader = source.open(&info.name).await?;
        let mut tally = Tally::new(&options.key, now);
        let assembly = Assembly::default();
        if !sum(&info, reader.as_mut(), &mut tally, assembly).await? {
            return Err(unknown_format(&info));
        }
        sums.insert(info.name, tally);
    }
    sums.entry(keys_part(0))
        .or_insert_with(|| Tally::new(&options.key, now));
    Ok(Measured::new(sums, now))
}

/// A live server and a capture side by side, as of one horizon.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What the capture says should be there, by part.
    pub expected: BTreeMap<String, Fingerprint>,
    /// What is there, by part.
    pub measured: BTreeMap<String, Fingerprint>,
    /// Rows that expire before this instant are left out on both sides.
    pub horizon: Instant,
    /// Rows of the capture that were left out for that.
    pub expired: u64,
}

impl Compared {
    pub(super) fn of(expected: &Measured, measured: &Measured) -> Result<Self> {
        let horizon = measured.horizon.max(expected.horizon);
        let all: u64 = expected.all().values().map(|f| f.rows).sum();
        let expected = expected.at(horizon)?;
        let left: u64 = expected.values().map(|f| f.rows).sum();
        Ok(Compared {
            measured: measured.at(horizon)?,
            expired: all - left,
            expected,
            horizon,
        })
    }

    /// The parts that differ, with what was expected and what was measured.
    pub fn differences(&self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> =
            self.expected.keys().chain(self.measured.keys()).collect();
        let shown = |f: Option<&Fingerprint>| f.map_or("absent".to_owned(), ToString::to_string);
        names
            .into_iter()
            .filter(|name| self.expected.get(*name) != self.measured.get(*name))
            .map(|name| {
                format!(
                    "`{name}`: expected {}, measured {}",
                    shown(self.expected.get(name)),
                    shown(self.measured.get(name))
                )
            })
            .collect()
    }
}

/// Measures a live server and compares it with a capture, row for row (verify level 3).
pub async fn compare(
    target: &Target,
    source: &dyn PartSource,
    options: &CaptureOptions,
) -> Result<Compared> {
    let now = server_time(&mut zero(target).await?).await?;
    let expected = measure_source(source, options, now).await?;
    let measured = measure(target, options).await?;
    Compared::of(&expected, &measured)
}

/// Recomputes a part's fingerprint from its bytes alone, every payload's checksum verified and every value decoded
/// (verify level 2). `None` for a part that is not of ours.
pub async fn decode(
    info: &PartInfo,
    reader: &mut dyn PartReader,
    key: &FingerprintKey,
) -> Result<Option<Fingerprint>> {
    let mut tally = Tally::new(key, Instant::now());
    let ours = sum(info, reader, &mut tally, Assembly::as_described(info)?).await?;
    Ok(ours.then(|| tally.all()))
}

async fn sum(
    info: &PartInfo,
    reader: &mut dyn PartReader,
    tally: &mut Tally,
    mut assembly: Assembly,
) -> Result<bool> {
    match info.format.as_str() {
        FORMAT => {
            let database = database_of(info)?;
            let mut records = Records::new(&info.name, reader);
            while let Some(entry) = records.next().await? {
                let ((rows, _), _) = assembly.take(database, &entry, false)?;
                tally.add(&rows);
            }
            assembly.closed(&info.name)?;
        }
        FUNCTIONS_FORMAT => {
            for code in libraries(info, &reader.read_all().await?)? {
                tally.add(&[Row {
                    expiry: 0,
                    bytes: function_row(&code),
                }]);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The libraries of `redis/functions`.
pub(super) fn libraries(info: &PartInfo, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let read = functions(bytes).map_err(|stop| {
        Error::new(
            &MALFORMED,
            format!("the part `{}` is damaged: {}", info.name, describe(stop)),
        )
    })?;
    Ok(read.0)
}

/// The database whose keys a part holds: from its name.
pub(super) fn database_of(info: &PartInfo) -> Result<u32> {
    let number = info
        .name
        .strip_prefix("redis/")
        .and_then(|rest| rest.strip_suffix("/keys"))
        .and_then(|number| number.parse().ok());
    number.ok_or_else(|| {
        Error::input(format!(
            "the part `{}` names no Redis database; `redis/<number>/keys` or `{FUNCTIONS_PART}` was expected",
            info.name
        ))
    })
}

/// A part of Redis that this version cannot read.
pub(super) fn unknown_format(info: &PartInfo) -> Error {
    Error::new(
        &INCOMPARABLE,
        format!(
            "the part `{}` has the format `{}`, which is not known",
            info.name, info.format
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::record;
    use super::*;
    use crate::capture::MemoryParts;
    use crate::providers::redis::rdb::{Entry, Payload, Piece, Usage, kind, rows, undivided};

    /// One key whose value is large, in a part that says in which form its rows were summed.
    async fn decoded(kind: u8, form: &str) -> Result<(Fingerprint, Vec<Row>, Vec<Row>)> {
        let text = vec![b'x'; 3 << 20];
        let text = [&[0x80][..], &(3_u32 << 20).to_be_bytes(), &text].concat();
        let body = match kind {
            // Its id, one string, and the mark of its end.
            kind::MODULE_2 => [&[0x80, 0, 1, 2, 3, 5][..], &text, &[0]].concat(),
            _ => text,
        };
        let entry = Entry {
            key: b"k".to_vec(),
            expiry: 0,
            usage: Usage::Unknown,
            piece: Piece::Whole,
            fragment: false,
            payload: Payload::build(kind, &body, 10),
        };
        let mut bytes = record::MAGIC.to_vec();
        record::write(&mut bytes, &entry)?;
        record::write_end(&mut bytes, 1);
        let parts = MemoryParts::default();
        let mut writer = parts.create(&keys_part(0), FORMAT).await?;
        writer.write(bytes.into()).await?;
        let meta = BTreeMap::from([("rows".to_owned(), json!(form))]);
        let info = writer.finish(None, meta).await?;
        let mut reader = parts.open(&info.name).await?;
        let key = FingerprintKey::new([7; 32]);
        let seen = decode(&info, reader.as_mut(), &key).await?;
        let value = record::value(0, &entry)?;
        Ok((
            seen.expect("is ours"),
            undivided(0, b"k", 0, &value),
            rows(0, b"k", 0, &value),
        ))
    }

    #[tokio::test]
    async fn parts_of_an_earlier_version_keep_their_fingerprints() {
        let of = |rows: &[Row]| {
            let key = FingerprintKey::new([7; 32]);
            let mut tally = Tally::new(&key, Instant::from_millis(0));
            tally.add(rows);
            tally.all()
        };
        for kind in [kind::STRING, kind::MODULE_2] {
            let decoded = async |form| decoded(kind, form).await.expect("decodes");
            let (seen, undivided, ours) = decoded("redis-rows-1").await;
            assert_eq!(seen, of(&undivided));
            assert!(of(&undivided) != of(&ours));
            let (seen, ..) = decoded("redis-rows-2").await;
            let divided = if kind == kind::STRING {
                &ours
            } else {
                &undivided
            };
            assert_eq!(seen, of(divided));
            let (seen, ..) = decoded("redis-rows-3").await;
            assert_eq!(seen, of(&ours));
        }
        let error = decoded(kind::STRING, "redis-rows-4").await;
        let error = error.expect_err("is newer");
        assert_eq!(error.reason().code, "redis.unknown-format");
    }
}

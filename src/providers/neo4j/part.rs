//! A part that is being written: chunks in, progress out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::capture::CaptureOptions;
use crate::capture::{Fingerprint, PartInfo, PartSink, PartWriter};
use crate::error::Result;
use crate::event::{Events, Unit};

/// A long row is handed on in pieces, so that what is written of it leaves memory while the rest waits.
const PIECE: usize = 1 << 20;

const PROGRESS_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Part {
    writer: Box<dyn PartWriter>,
    name: String,
    meta: BTreeMap<String, serde_json::Value>,
    bytes: u64,
    events: Events,
    told: std::time::Instant,
    /// What its rows add up to.
    pub(super) sum: Fingerprint,
}

impl Part {
    pub(super) async fn create(
        sink: &dyn PartSink,
        name: &str,
        format: &str,
        meta: BTreeMap<String, serde_json::Value>,
        options: &CaptureOptions,
    ) -> Result<Part> {
        Ok(Part {
            writer: sink.create(name, format).await?,
            name: name.to_owned(),
            meta,
            bytes: 0,
            events: options.events.clone(),
            told: std::time::Instant::now(),
            sum: Fingerprint::default(),
        })
    }

    /// Says something of it beside its rows.
    pub(super) fn note(&mut self, key: &str, value: Option<serde_json::Value>) {
        self.meta.extend(value.map(|value| (key.to_owned(), value)));
    }

    /// Says that a segment may end here.
    pub(super) fn cut(&mut self) {
        self.writer.cut();
    }

    /// Writes bytes; waits while more is in flight than memory is meant for.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        for piece in bytes.chunks(PIECE) {
            self.writer.append(piece);
            self.writer.settle().await?;
        }
        if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = std::time::Instant::now();
            self.events
                .progress(&self.name, self.bytes, None, Unit::Bytes);
        }
        Ok(())
    }

    pub(super) async fn finish(self) -> Result<PartInfo> {
        self.events
            .progress(&self.name, self.bytes, Some(self.bytes), Unit::Bytes);
        self.writer.finish(Some(self.sum), self.meta).await
    }
}

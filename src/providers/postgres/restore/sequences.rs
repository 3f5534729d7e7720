//! Sequences stand where they stood.

use super::super::BAD_PART;
use super::super::copy::Rows;
use super::super::enumerate::SequenceState;
use super::super::session::{close, run};
use super::super::sql::{literal, qualified};
use super::{Work, agree, open_loader, part_named};
use crate::error::{Error, Result};

/// Each is locked until its transaction ends, and the server has room for some thousands of locks.
const SEQUENCES_AT_ONCE: usize = 500;

impl Work<'_> {
    pub(super) async fn sequences(&mut self) -> Result<()> {
        let name = format!("{}sequences", self.prefix);
        let Some(part) = part_named(self.source, &name)? else {
            return Err(Error::new(
                &BAD_PART,
                format!("the backup has no part `{name}`"),
            ));
        };
        let mut fingerprinter = self.options.key.start();
        let mut statements = Vec::new();
        let mut reader = self.source.open(&name).await?;
        let mut rows = Rows::default();
        while let Some(chunk) = reader.next().await? {
            rows.feed(&chunk, |row| {
                fingerprinter.add(row);
                let state: SequenceState = serde_json::from_slice(row)
                    .map_err(|e| Error::new(&BAD_PART, "a sequence is damaged").caused_by(e))?;
                let sequence = literal(&qualified(&state.schema, &state.name));
                statements.push(format!(
                    "SELECT pg_catalog.setval({sequence}, {}, {})",
                    state.last_value, state.is_called
                ));
                Ok(())
            })?;
        }
        rows.end()?;
        let mut session = open_loader(self.target).await?;
        for batch in statements.chunks(SEQUENCES_AT_ONCE) {
            let all = format!("BEGIN; {}; COMMIT", batch.join("; "));
            run(self.target, &mut session, &all).await?;
        }
        close(session).await;
        let fingerprint = agree(&name, part.fingerprint, fingerprinter.finish())?;
        self.done.parts.push((name, fingerprint));
        Ok(())
    }
}

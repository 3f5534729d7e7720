//! Whether the store honours conditional writes: asked of the store itself, once in a process, before anything is written.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::upload::{Condition, Put};
use super::{S3Store, UNSAFE};
use crate::error::{Error, Result};
use crate::repository::names::{hex, random};
use crate::repository::store::{Object, Store as _};

/// An ETag that no object has.
const NOBODYS: &str = "\"00000000000000000000000000000000\"";

/// The places that kept their promises.
static PROVEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

impl S3Store {
    pub(super) async fn prove_once(&self) -> Result<()> {
        let place = format!("{} {:?}", self.place, self.place.endpoint);
        let known = || PROVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&place) {
            return Ok(());
        }
        let name = format!("tmp/probe-{}", hex(&random::<8>()?));
        let broken = self.broken_promise(&name).await;
        // Whatever it holds, nobody reads it.
        let removed = self.delete(&name).await;
        if let Some(condition) = broken? {
            return Err(Error::new(
                &UNSAFE,
                format!("`{}` ignores {condition}, so that a finished backup could be overwritten", self.place),
            )
            .hint("Nothing was written there but a probe, which was removed. Use a store that honours conditional writes: AWS S3, MinIO and versitygw do.")
            .hint("If there is a proxy or gateway in front of the store, let it pass these headers on."));
        }
        removed?;
        self.sweep().await;
        known().insert(place);
        Ok(())
    }

    /// The condition that is ignored, if one is.
    async fn broken_promise(&self, name: &str) -> Result<Option<&'static str>> {
        let one = Object::new(&b"one"[..]);
        let two = Object::new(&b"two"[..]);
        if self.put(name, &one, Condition::Absent, "one").await? != Put::Done {
            return Err(Error::bug("a probe's random name was taken"));
        }
        if self.put(name, &two, Condition::Absent, "two").await? == Put::Done {
            return Ok(Some("`If-None-Match`"));
        }
        if self
            .put(name, &two, Condition::Still(NOBODYS), "two")
            .await?
            == Put::Done
        {
            return Ok(Some("`If-Match`"));
        }
        if self.put_parts(name, &two, Condition::Absent, "two").await? == Put::Done {
            return Ok(Some(
                "`If-None-Match` where an upload in parts is completed",
            ));
        }
        Ok(None)
    }
}

//! Whether the store honours conditional writes: asked of the store itself, once in a process, before anything is written.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::upload::{Condition, Put};
use super::{S3Store, UNSAFE};
use crate::error::{Error, Result};
use crate::repository::names::{hex, random};
use crate::repository::store::{Object, Store as _};

/// An ETag that no object has.
const NOBODYS: &str = "\"00000000000000000000000000000000\"";

/// The places that kept their promises, and whether a name stays taken there when its object was deleted.
static PROVEN: LazyLock<Mutex<HashMap<String, bool>>> = LazyLock::new(Mutex::default);

fn proven() -> MutexGuard<'static, HashMap<String, bool>> {
    PROVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl S3Store {
    pub(super) async fn prove_once(&self) -> Result<()> {
        let place = self.proved_as();
        if proven().contains_key(&place) {
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
        let again = Object::new(&b"again"[..]);
        let buries = self.put(&name, &again, Condition::Absent, "again").await? == Put::Unmet;
        if !buries {
            self.delete(&name).await?;
        }
        self.sweep().await;
        proven().insert(place, buries);
        Ok(())
    }

    /// Whether a name stays taken when its object was deleted, as in a bucket with versioning of a store that takes the mark
    /// of the deletion for an object. S3 itself does not. Whoever wants such a name again must take another.
    pub(super) fn buries(&self) -> bool {
        proven().get(&self.proved_as()) == Some(&true)
    }

    pub(super) fn proved_as(&self) -> String {
        format!("{} {:?}", self.place, self.place.endpoint)
    }

    /// The condition that is ignored, if one is.
    async fn broken_promise(&self, name: &str) -> Result<Option<&'static str>> {
        let one = Object::new(&b"one"[..]);
        let two = Object::new(&b"two"[..]);
        // A first answer that is lost must not make a stranger of us.
        if !self.upload(name, &one, Condition::Absent).await? {
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

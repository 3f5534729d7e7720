//! A store in memory, on which several actors' operations come in an order that a test chooses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::super::store::sha256;
use super::super::*;

/// Objects in memory. A clone is a copy.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// When everything was stored, if it is known.
    pub stored: Mutex<Option<Instant>>,
    /// Operations so far, and those that named one segment.
    pub operations: AtomicU64,
    pub segment_operations: AtomicU64,
    /// The segments that were read, in order.
    pub segments_read: Mutex<Vec<String>>,
    /// Whether it keeps the digest of what is written and refuses other bytes to readers, as a bucket does.
    pub measures: AtomicBool,
    digests: Mutex<BTreeMap<String, Digest>>,
    /// Whether a name stays taken when its object was deleted, as in a versioned bucket of some stores.
    pub buries: AtomicBool,
    buried: Mutex<BTreeSet<String>>,
}

fn is_segment(name: &str) -> bool {
    name.starts_with("segments/") && name.ends_with(".age")
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        Memory {
            objects: Mutex::new(self.objects.lock().unwrap().clone()),
            measures: AtomicBool::new(self.measures()),
            digests: Mutex::new(self.digests.lock().unwrap().clone()),
            buries: AtomicBool::new(self.buries.load(Ordering::Relaxed)),
            buried: Mutex::new(self.buried.lock().unwrap().clone()),
            ..Memory::default()
        }
    }
}

impl Memory {
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        let names = objects.keys().filter(|name| name.starts_with(prefix));
        names.cloned().collect()
    }

    pub fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        let mut objects = self.objects.lock().unwrap();
        objects.insert(name.to_owned(), bytes.into());
    }

    pub fn read(&self, name: &str) -> Option<Bytes> {
        self.objects.lock().unwrap().get(name).cloned()
    }

    fn measures(&self) -> bool {
        self.measures.load(Ordering::Relaxed)
    }

    fn keep(&self, name: &str, digest: Digest) {
        self.digests.lock().unwrap().insert(name.to_owned(), digest);
    }

    fn kept(&self, name: &str) -> Option<Digest> {
        let kept = self.digests.lock().unwrap().get(name).copied();
        kept.filter(|_| self.measures())
    }

    fn count(&self, name: &str) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        if is_segment(name) {
            self.segment_operations.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl Store for Memory {
    fn place(&self) -> String {
        "memory".to_owned()
    }
    async fn create(&self, name: &str, object: &Object) -> Result<Created> {
        self.count(name);
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(name) || self.buried.lock().unwrap().contains(name) {
            return Ok(Created::Exists);
        }
        objects.insert(name.to_owned(), object.bytes().clone());
        self.keep(name, object.sha256());
        Ok(Created::New)
    }
    async fn unbury(&self, name: &str, object: &Object) -> Result<bool> {
        self.count(name);
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(name) || !self.buried.lock().unwrap().remove(name) {
            return Ok(false);
        }
        objects.insert(name.to_owned(), object.bytes().clone());
        self.keep(name, object.sha256());
        Ok(true)
    }
    async fn replace(&self, name: &str, old: Digest, object: &Object) -> Result<bool> {
        self.count(name);
        let mut objects = self.objects.lock().unwrap();
        let fits = objects.get(name).is_some_and(|there| sha256(there) == old);
        if fits {
            objects.insert(name.to_owned(), object.bytes().clone());
            self.keep(name, object.sha256());
        }
        Ok(fits)
    }
    async fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
        let found = self.get_as_it_is(name, limit).await?;
        let rotten = |b: &Bytes| self.kept(name).is_some_and(|kept| kept != sha256(b));
        match found.as_ref().is_some_and(rotten) {
            true => Err(Error::new(&DAMAGED, format!("`{name}` has other bytes"))),
            false => Ok(found),
        }
    }
    async fn look(&self, name: &str) -> Result<Option<Seen>> {
        let size = self.head(name).await?;
        Ok(size.map(|size| Seen {
            size,
            sha256: self.kept(name),
            runs_out: false,
        }))
    }
    async fn get_as_it_is(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
        self.count(name);
        if is_segment(name) {
            self.segments_read.lock().unwrap().push(name.to_owned());
        }
        let found = self.read(name);
        assert!(found.as_ref().is_none_or(|b| b.len() as u64 <= limit));
        Ok(found)
    }
    async fn head(&self, name: &str) -> Result<Option<u64>> {
        self.count(name);
        Ok(self.read(name).map(|b| b.len() as u64))
    }
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        self.count(prefix);
        let objects = self.objects.lock().unwrap();
        let below = objects.range(prefix.to_owned()..);
        Ok(below
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, bytes)| Entry {
                name: name.clone(),
                size: bytes.len() as u64,
                stored: *self.stored.lock().unwrap(),
            })
            .collect())
    }
    async fn children(&self, prefix: &str) -> Result<Vec<String>> {
        let mut found = BTreeSet::new();
        for entry in self.list(prefix).await? {
            let rest = &entry.name[prefix.len()..];
            let end = rest.find('/').map_or(rest.len(), |at| at + 1);
            found.insert(format!("{prefix}{}", &rest[..end]));
        }
        Ok(found.into_iter().collect())
    }
    async fn delete(&self, name: &str) -> Result<Deleted> {
        self.count(name);
        let there = self.objects.lock().unwrap().remove(name);
        if there.is_some() && self.buries.load(Ordering::Relaxed) {
            self.buried.lock().unwrap().insert(name.to_owned());
        }
        Ok(there.map_or(Deleted::Absent, |_| Deleted::Gone))
    }
}

/// Who goes next: one permission for each operation of an actor.
#[derive(Default)]
pub struct Turns {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<VecDeque<oneshot::Sender<oneshot::Sender<()>>>>,
    finished: Vec<bool>,
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

impl Turns {
    pub fn new(actors: usize) -> Arc<Turns> {
        let state = State {
            waiting: (0..actors).map(|_| VecDeque::new()).collect(),
            finished: vec![false; actors],
        };
        Arc::new(Turns {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    async fn turn(&self, actor: usize) -> oneshot::Sender<()> {
        let (grant, granted) = oneshot::channel();
        self.state.lock().unwrap().waiting[actor].push_back(grant);
        self.changed.notify_one();
        granted.await.unwrap()
    }

    pub fn finish(&self, actor: usize) {
        self.state.lock().unwrap().finished[actor] = true;
        self.changed.notify_one();
    }

    /// Lets the actors go on until all have finished: `next` names the actor of each operation, of those that have not
    /// finished. How many operations each made.
    pub async fn drive(&self, mut next: impl FnMut(&[usize], &[usize]) -> usize) -> Vec<usize> {
        let mut made = vec![0; self.state.lock().unwrap().finished.len()];
        loop {
            let open: Vec<usize> = {
                let state = self.state.lock().unwrap();
                let actors = 0..state.finished.len();
                actors.filter(|a| !state.finished[*a]).collect()
            };
            if open.is_empty() {
                return made;
            }
            let actor = next(&open, &made);
            let grant = loop {
                let changed = self.changed.notified();
                {
                    let mut state = self.state.lock().unwrap();
                    if let Some(grant) = state.waiting[actor].pop_front() {
                        break Some(grant);
                    }
                    if state.finished[actor] {
                        break None;
                    }
                }
                changed.await;
            };
            if let Some(grant) = grant {
                let (done, was_done) = oneshot::channel();
                if grant.send(done).is_ok() {
                    let _ = was_done.await;
                    made[actor] += 1;
                }
            }
        }
    }
}

/// An actor's view of a store, which waits for its turn.
#[derive(Debug)]
pub struct Stepped {
    pub inner: Arc<Memory>,
    pub turns: Arc<Turns>,
    pub actor: usize,
}

impl Stepped {
    async fn step<T>(&self, _: &str, work: impl Future<Output = T>) -> T {
        let done = self.turns.turn(self.actor).await;
        let result = work.await;
        let _ = done.send(());
        result
    }
}

/// A store that fails from some operation on, whatever it is, as a killed process does nothing more.
#[derive(Debug)]
pub struct Killed {
    pub inner: Arc<Memory>,
    pub left: AtomicI64,
}

impl Killed {
    async fn step<T>(&self, _: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            work.await
        } else {
            Err(Error::io("use", "killed", std::io::ErrorKind::Other.into()))
        }
    }
}

/// A store that is too busy for whatever has this in its name.
#[derive(Debug)]
pub struct Away {
    pub inner: Arc<Memory>,
    pub word: String,
}

impl Away {
    async fn step<T>(&self, name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        if name.contains(&self.word) {
            return Err(Error::new(&s3::BUSY, format!("cannot use `{name}`")));
        }
        work.await
    }
}

macro_rules! by_steps {
    ($kind:ty) => {
        #[async_trait]
        impl Store for $kind {
            fn place(&self) -> String {
                self.inner.place()
            }
            async fn create(&self, name: &str, object: &Object) -> Result<Created> {
                self.step(name, self.inner.create(name, object)).await
            }
            async fn unbury(&self, name: &str, object: &Object) -> Result<bool> {
                self.step(name, self.inner.unbury(name, object)).await
            }
            async fn replace(&self, name: &str, old: Digest, object: &Object) -> Result<bool> {
                self.step(name, self.inner.replace(name, old, object)).await
            }
            async fn get(&self, name: &str, limit: u64) -> Result<Option<Bytes>> {
                self.step(name, self.inner.get(name, limit)).await
            }
            async fn head(&self, name: &str) -> Result<Option<u64>> {
                self.step(name, self.inner.head(name)).await
            }
            async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
                self.step(prefix, self.inner.list(prefix)).await
            }
            async fn children(&self, prefix: &str) -> Result<Vec<String>> {
                self.step(prefix, self.inner.children(prefix)).await
            }
            async fn delete(&self, name: &str) -> Result<Deleted> {
                self.step(name, self.inner.delete(name)).await
            }
        }
    };
}

by_steps!(Stepped);
by_steps!(Killed);
by_steps!(Away);

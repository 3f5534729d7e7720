//! What a verification tells of its progress: bytes that were read, from the moment on when their reading begins.

use std::sync::{Arc, Mutex};

use super::super::*;
use super::support::*;
use crate::event::{Event, Events, Listener, Stamped, Unit};

/// A task, and how much of it is done, and of how much.
type Told = (String, u64, Option<u64>);

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Told>>>);

impl Listener for Heard {
    fn hear(&self, event: &Stamped) {
        if let Event::Progress {
            task,
            done,
            total,
            unit,
            ..
        } = &event.event
        {
            assert_eq!(*unit, Unit::Bytes);
            let told = (task.clone(), *done, *total);
            self.0.lock().unwrap().push(told);
        }
    }
}

impl Heard {
    /// Of one verification: its task and the last figure, which the others lead up to from nothing.
    fn take(&self) -> (String, u64) {
        let told = std::mem::take(&mut *self.0.lock().unwrap());
        let (task, first, total) = told.first().expect("something is told").clone();
        assert_eq!(first, 0, "the beginning is told before anything was read");
        assert!(told.iter().all(|(t, _, all)| *t == task && *all == total));
        assert!(told.is_sorted_by_key(|(_, done, _)| *done), "{told:?}");
        let last = told.last().expect("something is told").1;
        assert_eq!(Some(last), total);
        (task, last)
    }
}

#[tokio::test]
async fn verify_tells_the_bytes_of_each_level_from_their_beginning() {
    let fixture = Fixture::new().await;
    let parts: Vec<(String, Vec<u8>)> = (0..20)
        .map(|n| (format!("postgres/{n}"), noise(n, 9_000)))
        .collect();
    let named: Vec<(&str, Vec<u8>)> = parts.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let id = fixture.backup(&named).await;
    let heard = Heard::default();
    let options = VerifyOptions {
        events: Events::new(vec![Box::new(heard.clone())]),
        ..options()
    };

    let done = fixture.host().await.verify_objects(&id, &options).await;
    let read = done.unwrap().measured["bytes"];
    assert_eq!(heard.take(), ("level 1: stored bytes".to_owned(), read));

    let reader = fixture.reader().await;
    let done = reader.verify_rows(&id, &NoiseDecoder, &options).await;
    let read = done.unwrap().measured["plain-bytes"];
    assert_eq!(read, 20 * 9_000);
    assert_eq!(heard.take(), ("level 2: decoded bytes".to_owned(), read));
}

//! Buffers of whole segments, used again: memory that was touched once costs no page faults the second time.

use std::sync::{Arc, Mutex, PoisonError};

/// More than this many idle ones are given back to the system.
const IDLE: usize = 4;

/// The idle buffers, all of one capacity.
pub(super) struct Buffers {
    capacity: usize,
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// None yet.
    pub fn new(capacity: usize) -> Self {
        Buffers {
            capacity,
            idle: Mutex::default(),
        }
    }

    /// An empty buffer.
    pub fn take(&self) -> Vec<u8> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
            .unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    /// Takes a buffer back, once nobody else reads it.
    pub fn give(&self, buffer: Arc<Vec<u8>>) {
        let Ok(mut buffer) = Arc::try_unwrap(buffer) else {
            return;
        };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.capacity() >= self.capacity && idle.len() < IDLE {
            buffer.clear();
            idle.push(buffer);
        }
    }
}

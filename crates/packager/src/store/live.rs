//! The store of a stream that is live. All who fill it and all who read it share this, and hear of each change.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use weir_model::StreamId;
use weir_observe::Observe;

use super::Store;

/// A request waits so many target durations at most. Then it is told to come again.
pub(crate) const WAIT_TARGETS: u64 = 3;

#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) stream_id: StreamId,
    pub(crate) observe: Observe,
    // This is a std mutex, because nobody awaits anything while it is held. Media waits for this one, so no text is written under it.
    store: Mutex<Store>,
    pub(crate) version: watch::Sender<u64>,
}

impl Live {
    pub(crate) fn new(stream_id: StreamId, observe: Observe, store: Store) -> Self {
        Self { stream_id, observe, store: Mutex::new(store), version: watch::Sender::new(0) }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    /// Asks `look` after every change of the store, until it returns an answer. None means that the time is up.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        // Most requests need not wait, and preparing to wait costs more than looking.
        if let Some(found) = look() {
            return Some(found);
        }
        let mut version = self.version.subscribe();
        let seconds = self.store().target_seconds() * WAIT_TARGETS;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            version.mark_unchanged();
            if let Some(found) = look() {
                return Some(found);
            }
            // The sender lives as long as this does, so `changed` does not fail.
            timeout_at(deadline, version.changed()).await.ok()?.ok()?;
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

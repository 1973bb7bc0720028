//! What runs, as a handle: commands wake the reconciler and reach running restreams through it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use weir_hub::StreamHub;
use weir_model::{RestreamId, StreamId};
use weir_packager::Packager;

use crate::stream_run::StreamRun;

/// A stream that was created a moment ago is waited for this long by whoever comes for it, whatever the protocol.
const NEW_STREAM_PATIENCE: Duration = Duration::from_secs(2);

/// Clones share it. Holds the registry of running streams; only the supervisor changes it.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    streams: Mutex<BTreeMap<StreamId, StreamRun>>,
    /// What viewers of those streams need. It has a lock of its own, which nobody holds for longer than a look: thousands of
    /// viewers a second must not meet the supervisor, which copies all that runs under the other one.
    shown: RwLock<HashMap<StreamId, Shown>>,
    kicked: Notify,
    /// Rounds of reconciliation that have ended.
    rounds: watch::Sender<u64>,
}

/// A running stream as viewers meet it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) packager: Packager,
    pub(crate) hub: StreamHub,
}

impl Runtime {
    pub fn new() -> Self {
        Self::default()
    }

    /// Something stored has changed: make what runs match. Kicks while one is under way are one.
    pub fn kick(&self) {
        self.shared.kicked.notify_one();
    }

    /// Has a running restream try at once; false when it does not run.
    pub fn retry(&self, id: RestreamId) -> bool {
        self.streams().values().any(|stream| stream.retry(id))
    }

    pub(crate) async fn kicked(&self) {
        self.shared.kicked.notified().await;
    }

    pub(crate) fn round_ended(&self) {
        self.shared.rounds.send_modify(|rounds| *rounds += 1);
    }

    /// What `look` finds in the running stream. An encoder may come faster than the stream that was just created for it
    /// gets to run: it is waited for.
    pub(crate) async fn in_stream<T>(&self, id: StreamId, look: impl Fn(&StreamRun) -> T) -> Option<T> {
        self.soon(|| self.streams().get(&id).map(&look)).await
    }

    /// What `look` finds of the stream as viewers meet it; who asks for one that was just created waits for it, too.
    pub(crate) async fn in_shown<T>(&self, id: StreamId, look: impl Fn(&Shown) -> T) -> Option<T> {
        // Nearly always it runs: looked at before anything is set up for waiting.
        match self.look_at_shown(id, &look) {
            Some(found) => Some(found),
            None => self.soon(|| self.look_at_shown(id, &look)).await,
        }
    }

    pub(crate) fn look_at_shown<T>(&self, id: StreamId, look: impl FnOnce(&Shown) -> T) -> Option<T> {
        self.shared.shown.read().unwrap_or_else(PoisonError::into_inner).get(&id).map(look)
    }

    /// The stream runs, or does with another packager.
    pub(crate) fn show(&self, run: &StreamRun) {
        let shown = Shown { packager: run.packager.clone(), hub: run.hub.clone() };
        self.shared.shown.write().unwrap_or_else(PoisonError::into_inner).insert(run.stream.id, shown);
    }

    pub(crate) fn hide(&self, id: StreamId) {
        let hidden = self.shared.shown.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        // Dropped outside the lock: a window may hang on it.
        drop(hidden);
    }

    async fn soon<T>(&self, look: impl Fn() -> Option<T>) -> Option<T> {
        let mut rounds = self.shared.rounds.subscribe();
        let wait = async {
            loop {
                rounds.mark_unchanged();
                if let Some(found) = look() {
                    return Some(found);
                }
                rounds.changed().await.ok()?;
            }
        };
        timeout(NEW_STREAM_PATIENCE, wait).await.ok().flatten()
    }

    /// Never held over an await.
    pub(crate) fn streams(&self) -> MutexGuard<'_, BTreeMap<StreamId, StreamRun>> {
        self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

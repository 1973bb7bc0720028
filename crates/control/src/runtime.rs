//! What runs, as a handle: commands wake the reconciler and reach running restreams through it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use weir_model::{RestreamId, StreamId};

use crate::stream_run::StreamRun;

/// Clones share it. Holds the registry of running streams; only the supervisor changes it.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    streams: Mutex<BTreeMap<StreamId, StreamRun>>,
    kicked: Notify,
    /// Rounds of reconciliation that have ended.
    rounds: watch::Sender<u64>,
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
    /// gets to run: it is waited for, `patience` long.
    pub(crate) async fn in_stream<T>(
        &self,
        id: StreamId,
        patience: Duration,
        look: impl Fn(&StreamRun) -> T,
    ) -> Option<T> {
        let mut rounds = self.shared.rounds.subscribe();
        let wait = async {
            loop {
                rounds.mark_unchanged();
                if let Some(found) = self.streams().get(&id).map(&look) {
                    return Some(found);
                }
                rounds.changed().await.ok()?;
            }
        };
        timeout(patience, wait).await.ok().flatten()
    }

    /// Never held over an await.
    pub(crate) fn streams(&self) -> MutexGuard<'_, BTreeMap<StreamId, StreamRun>> {
        self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

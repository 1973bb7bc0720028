//! What runs, as everybody but the supervisor sees it: an immutable picture of the streams, and the bell that wakes the supervisor.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use weir_hub::{Feeds, StreamHub};
use weir_ingest::{CannotSwitch, Intake};
use weir_model::{Rendition, RenditionStatus, RestreamId, Slot, Stream, StreamId};
use weir_packager::Packager;
use weir_restream::RetryHandle;

use crate::demand::{Demand, Demanding, Demands};

/// A stream that was created a moment ago is waited for so long by whoever comes for it, whatever the protocol.
const NEW_STREAM_PATIENCE: Duration = Duration::from_secs(2);

/// All clones share it. Only the supervisor changes it, by putting another picture in place of the one before: those who look, and
/// thousands of viewers a second do, never wait for what the supervisor is doing.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    picture: watch::Sender<Arc<Picture>>,
    kicked: Notify,
    demands: Demands,
}

/// What runs at one moment.
type Picture = HashMap<StreamId, Arc<Shown>>;

/// A running stream as doors, viewers and the API see it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The stream's settings as it is run.
    pub(crate) stream: Arc<Stream>,
    pub(crate) hub: StreamHub,
    pub(crate) intake: Intake,
    pub(crate) feeds: Feeds,
    pub(crate) packager: Packager,
    /// The state of what is encoded.
    pub(crate) renditions: watch::Receiver<Vec<RenditionStatus>>,
    /// The handles of the restreams that push.
    pub(crate) retries: BTreeMap<RestreamId, RetryHandle>,
}

impl Runtime {
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the supervisor, as something stored has changed. Calls while it is busy count as one.
    pub fn kick(&self) {
        self.shared.kicked.notify_one();
    }

    /// Has a rendition made of a stream that runs, for as long as the answer is held. None where as much is made of it as may be, or it
    /// does not run.
    pub(crate) fn demand(&self, stream: StreamId, rendition: Rendition, why: &str) -> Option<Demand> {
        let statuses = self.look_at(stream, |run| run.renditions.clone())?;
        let demands = &self.shared.demands;
        let Demanding { name, is_new } = demands.add(stream, rendition, why)?;
        if is_new {
            self.kick();
        }
        Some(Demand::new(demands.clone(), (stream, name), statuses))
    }

    pub(crate) fn demands(&self) -> &Demands {
        &self.shared.demands
    }

    /// Puts a source of a running stream on air; None goes back to the stream's order. A stream that does not run has no live source.
    pub fn switch(&self, id: StreamId, slot: Option<&Slot>) -> Result<(), CannotSwitch> {
        let intake = self.look_at(id, |run| run.intake.clone()).ok_or(CannotSwitch::NotLive)?;
        intake.switch(slot, Instant::now())
    }

    /// Makes a running restream try at once; false when it does not run.
    pub fn retry(&self, id: RestreamId) -> bool {
        let picture = self.picture();
        let found = picture.values().find_map(|shown| shown.retries.get(&id));
        found.inspect(|restream| restream.retry()).is_some()
    }

    pub(crate) async fn kicked(&self) {
        self.shared.kicked.notified().await;
    }

    /// Puts up the picture of what runs from now on.
    pub(crate) fn show(&self, picture: Picture) {
        let before = self.shared.picture.send_replace(Arc::new(picture));
        // It is dropped outside of the lock, as a window of media may hang on it.
        drop(before);
    }

    fn picture(&self) -> Arc<Picture> {
        Arc::clone(&self.shared.picture.borrow())
    }

    /// A stream that runs.
    pub(crate) fn stream(&self, id: StreamId) -> Option<Arc<Shown>> {
        self.shared.picture.borrow().get(&id).cloned()
    }

    /// What `look` finds at a stream: for those who come thousands of times a second and need no more.
    pub(crate) fn look_at<T>(&self, id: StreamId, look: impl FnOnce(&Shown) -> T) -> Option<T> {
        self.shared.picture.borrow().get(&id).map(|shown| look(shown))
    }

    /// A stream that runs, or will in a moment. An encoder or a player may come faster than the stream that was just created for it gets
    /// to run, so the stream is waited for.
    pub(crate) async fn stream_soon(&self, id: StreamId) -> Option<Arc<Shown>> {
        // Nearly always the stream runs, so this is checked before anything is set up for waiting.
        if let Some(shown) = self.stream(id) {
            return Some(shown);
        }
        let mut pictures = self.shared.picture.subscribe();
        let found = timeout(NEW_STREAM_PATIENCE, pictures.wait_for(|picture| picture.contains_key(&id))).await;
        found.ok()?.ok()?.get(&id).cloned()
    }
}

//! The feeds of one stream: each rendition is serialised for each protocol once, while anybody wants it.
//!
//! Pushes live on several lanes. Waking a task of another thread costs a system call (an eventfd write) each, so a batch
//! crosses to each other lane once, through a relay, and wakes that lane's pushes from there: measured at 200 pushes, this
//! is a third of all the CPU that is not the kernel's sending.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;
use weir_hub::{Cursor, Item, Rendition, StreamHub};
use weir_rtmp::batch::SharedBatch;
use weir_srt::from_frames::TsBatch;

/// What serialises a rendition for one protocol.
pub trait Serialiser: Clone + Default + Send + 'static {
    type Batch: Item;

    fn subscribe(&self) -> Cursor<Self::Batch>;
    fn run(self, rendition: Rendition) -> impl Future<Output = ()> + Send + 'static;
    fn relay(self, batches: Cursor<Self::Batch>) -> impl Future<Output = ()> + Send + 'static;
}

impl Serialiser for weir_rtmp::feed::Feed {
    type Batch = SharedBatch;

    fn subscribe(&self) -> Cursor<SharedBatch> {
        self.subscribe()
    }

    fn run(self, rendition: Rendition) -> impl Future<Output = ()> + Send + 'static {
        self.run(rendition)
    }

    fn relay(self, batches: Cursor<SharedBatch>) -> impl Future<Output = ()> + Send + 'static {
        self.relay(batches)
    }
}

impl Serialiser for weir_srt::feed::Feed {
    type Batch = TsBatch;

    fn subscribe(&self) -> Cursor<TsBatch> {
        self.subscribe()
    }

    fn run(self, rendition: Rendition) -> impl Future<Output = ()> + Send + 'static {
        self.run(rendition)
    }

    fn relay(self, batches: Cursor<TsBatch>) -> impl Future<Output = ()> + Send + 'static {
        self.relay(batches)
    }
}

/// Handle on a stream's feeds; clones share it.
#[derive(Clone, Debug)]
pub struct Feeds {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    hub: StreamHub,
    /// Where the serialising runs: the stream's lane, beside its ingest.
    lane: Handle,
    rtmp: Table<weir_rtmp::feed::Feed>,
    ts: Table<weir_srt::feed::Feed>,
}

/// What runs of one protocol, by rendition and lane.
type Table<F> = Mutex<HashMap<(String, Id), Weak<Running<F>>>>;

/// Keeps a feed running; the last one to be dropped ends it.
#[derive(Debug)]
pub struct FeedHandle<F: Serialiser = weir_rtmp::feed::Feed> {
    running: Arc<Running<F>>,
}

/// A feed of MPEG-TS.
pub type TsFeedHandle = FeedHandle<weir_srt::feed::Feed>;

impl<F: Serialiser> Clone for FeedHandle<F> {
    fn clone(&self) -> Self {
        Self { running: Arc::clone(&self.running) }
    }
}

#[derive(Debug)]
struct Running<F: Serialiser> {
    feed: F,
    task: AbortHandle,
    /// What a relay reads from.
    _origin: Option<FeedHandle<F>>,
}

impl<F: Serialiser> Drop for Running<F> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<F: Serialiser> FeedHandle<F> {
    /// Starts on the cached GOP or waits for one.
    pub fn subscribe(&self) -> Cursor<F::Batch> {
        self.running.feed.subscribe()
    }
}

impl Feeds {
    pub fn new(hub: StreamHub, lane: Handle) -> Self {
        Self { shared: Arc::new(Shared { hub, lane, rtmp: Mutex::default(), ts: Mutex::default() }) }
    }

    /// The rendition's RTMP feed on the lane of the caller, started if it is not running. It begins with the cached GOP.
    pub fn feed(&self, rendition: &str, lane: &Handle) -> FeedHandle {
        self.of(&self.shared.rtmp, rendition, lane)
    }

    /// The rendition's MPEG-TS feed, likewise.
    pub fn ts_feed(&self, rendition: &str, lane: &Handle) -> TsFeedHandle {
        self.of(&self.shared.ts, rendition, lane)
    }

    fn of<F: Serialiser>(&self, table: &Table<F>, rendition: &str, lane: &Handle) -> FeedHandle<F> {
        let home = &self.shared.lane;
        let here = self.running(table, rendition, home, || None);
        if lane.id() == home.id() { here } else { self.running(table, rendition, lane, || Some(here.clone())) }
    }

    fn running<F: Serialiser>(
        &self,
        table: &Table<F>,
        rendition: &str,
        lane: &Handle,
        origin: impl FnOnce() -> Option<FeedHandle<F>>,
    ) -> FeedHandle<F> {
        let mut running = table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (rendition.to_owned(), lane.id());
        if let Some(running) = running.get(&key).and_then(Weak::upgrade) {
            return FeedHandle { running };
        }
        running.retain(|_, feed| feed.strong_count() > 0);
        let feed = F::default();
        let origin = origin();
        let task = match &origin {
            None => lane.spawn(feed.clone().run(self.shared.hub.rendition(rendition))),
            Some(origin) => lane.spawn(feed.clone().relay(origin.subscribe())),
        };
        let started = Arc::new(Running { feed, task: task.abort_handle(), _origin: origin });
        running.insert(key, Arc::downgrade(&started));
        FeedHandle { running: started }
    }
}

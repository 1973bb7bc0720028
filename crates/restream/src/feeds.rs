//! The feeds of one stream: each rendition is serialised for each protocol once, while anybody wants it.
//!
//! Pushes live on several lanes. Waking a task of another thread costs a system call (an eventfd write) each, so a batch
//! crosses to each other lane once, through a relay, and wakes that lane's pushes from there: measured at 200 pushes, this
//! is a third of all the CPU that is not the kernel's sending.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;
use weir_hub::{Batcher, Cursor, Feed, StreamHub};
use weir_rtmp::from_frames::RtmpBatcher;
use weir_srt::from_frames::TsBatcher;

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
    rtmp: Table<RtmpBatcher>,
    ts: Table<TsBatcher>,
}

/// What runs of one protocol, by rendition and lane.
type Table<B> = Mutex<HashMap<(String, Id), Weak<Running<B>>>>;

/// Keeps a feed running; the last one to be dropped ends it.
#[derive(Debug)]
pub struct FeedHandle<B: Batcher = RtmpBatcher> {
    running: Arc<Running<B>>,
}

/// A feed of MPEG-TS.
pub type TsFeedHandle = FeedHandle<TsBatcher>;

impl<B: Batcher> Clone for FeedHandle<B> {
    fn clone(&self) -> Self {
        Self { running: Arc::clone(&self.running) }
    }
}

#[derive(Debug)]
struct Running<B: Batcher> {
    feed: Feed<B>,
    task: AbortHandle,
    /// What a relay reads from.
    _origin: Option<FeedHandle<B>>,
}

impl<B: Batcher> Drop for Running<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<B: Batcher> FeedHandle<B> {
    /// Starts on the cached GOP or waits for one.
    pub fn subscribe(&self) -> Cursor<B::Batch> {
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

    fn of<B: Batcher>(&self, table: &Table<B>, rendition: &str, lane: &Handle) -> FeedHandle<B> {
        let home = &self.shared.lane;
        let here = self.running(table, rendition, home, || None);
        if lane.id() == home.id() { here } else { self.running(table, rendition, lane, || Some(here.clone())) }
    }

    fn running<B: Batcher>(
        &self,
        table: &Table<B>,
        rendition: &str,
        lane: &Handle,
        origin: impl FnOnce() -> Option<FeedHandle<B>>,
    ) -> FeedHandle<B> {
        let mut running = table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (rendition.to_owned(), lane.id());
        if let Some(running) = running.get(&key).and_then(Weak::upgrade) {
            return FeedHandle { running };
        }
        running.retain(|_, feed| feed.strong_count() > 0);
        let feed = Feed::default();
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

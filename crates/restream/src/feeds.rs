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
use weir_media::Language;
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

/// What runs of one protocol, by what it carries and lane.
type Table<B> = Mutex<HashMap<(Wish, Id), Weak<Running<B>>>>;

/// A rendition, and the language of the sound where only one can be carried.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wish {
    rendition: String,
    language: Option<Language>,
}

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

/// What a feed is made of: the rendition's frames, or the same feed on the stream's lane.
enum Origin<B: Batcher> {
    Frames(B),
    Feed(FeedHandle<B>),
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

    /// The rendition's RTMP feed, with the sound of that language if one is wished, on the lane of the caller; started if it is not running.
    /// It begins with the cached GOP.
    pub fn feed(&self, rendition: &str, language: Option<Language>, lane: &Handle) -> FeedHandle {
        let wish = Wish { rendition: rendition.to_owned(), language };
        self.of(&self.shared.rtmp, &wish, lane, || RtmpBatcher::speaking(language))
    }

    /// The rendition's MPEG-TS feed, likewise.
    pub fn ts_feed(&self, rendition: &str, lane: &Handle) -> TsFeedHandle {
        let wish = Wish { rendition: rendition.to_owned(), language: None };
        self.of(&self.shared.ts, &wish, lane, TsBatcher::default)
    }

    fn of<B: Batcher>(
        &self,
        table: &Table<B>,
        wish: &Wish,
        lane: &Handle,
        batcher: impl FnOnce() -> B,
    ) -> FeedHandle<B> {
        let home = &self.shared.lane;
        let here = self.running(table, wish, home, || Origin::Frames(batcher()));
        if lane.id() == home.id() { here } else { self.running(table, wish, lane, || Origin::Feed(here.clone())) }
    }

    fn running<B: Batcher>(
        &self,
        table: &Table<B>,
        wish: &Wish,
        lane: &Handle,
        origin: impl FnOnce() -> Origin<B>,
    ) -> FeedHandle<B> {
        let mut running = table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (wish.clone(), lane.id());
        if let Some(running) = running.get(&key).and_then(Weak::upgrade) {
            return FeedHandle { running };
        }
        running.retain(|_, feed| feed.strong_count() > 0);
        let feed = Feed::default();
        let (task, origin) = match origin() {
            Origin::Frames(batcher) => {
                (lane.spawn(feed.clone().run(self.shared.hub.rendition(&wish.rendition), batcher)), None)
            }
            Origin::Feed(origin) => (lane.spawn(feed.clone().relay(origin.subscribe())), Some(origin)),
        };
        let started = Arc::new(Running { feed, task: task.abort_handle(), _origin: origin });
        running.insert(key, Arc::downgrade(&started));
        FeedHandle { running: started }
    }
}

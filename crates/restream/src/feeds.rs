//! The feeds of one stream: each rendition is serialised for RTMP once, while anybody wants it.
//!
//! Pushes live on several lanes. Waking a task of another thread costs a system call (an eventfd write) each, so a batch
//! crosses to each other lane once, through a relay, and wakes that lane's pushes from there: measured at 200 pushes, this
//! is a third of all the CPU that is not the kernel's sending.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;
use weir_hub::{Cursor, StreamHub};
use weir_rtmp::batch::SharedBatch;
use weir_rtmp::feed::Feed;

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
    running: Mutex<HashMap<(String, Id), Weak<Running>>>,
}

/// Keeps a feed running; the last one to be dropped ends it.
#[derive(Clone, Debug)]
pub struct FeedHandle {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    feed: Feed,
    task: AbortHandle,
    /// What a relay reads from.
    _origin: Option<FeedHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::ops::Deref for FeedHandle {
    type Target = Feed;
    fn deref(&self) -> &Feed {
        &self.running.feed
    }
}

impl Feeds {
    pub fn new(hub: StreamHub, lane: Handle) -> Self {
        Self { shared: Arc::new(Shared { hub, lane, running: Mutex::default() }) }
    }

    /// The rendition's feed on the lane of the caller, started if it is not running. It begins with the cached GOP.
    pub fn feed(&self, rendition: &str, lane: &Handle) -> FeedHandle {
        let home = &self.shared.lane;
        if lane.id() == home.id() {
            return self.running(rendition, home, || (None, None));
        }
        let origin = self.running(rendition, home, || (None, None));
        self.running(rendition, lane, || (Some(origin.subscribe()), Some(origin.clone())))
    }

    fn running(
        &self,
        rendition: &str,
        lane: &Handle,
        origin: impl FnOnce() -> (Option<Cursor<SharedBatch>>, Option<FeedHandle>),
    ) -> FeedHandle {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (rendition.to_owned(), lane.id());
        if let Some(running) = running.get(&key).and_then(Weak::upgrade) {
            return FeedHandle { running };
        }
        running.retain(|_, feed| feed.strong_count() > 0);
        let feed = Feed::new();
        let (batches, origin) = origin();
        let task = match batches {
            None => lane.spawn(feed.clone().run(self.shared.hub.rendition(rendition))),
            Some(batches) => lane.spawn(feed.clone().relay(batches)),
        };
        let started = Arc::new(Running { feed, task: task.abort_handle(), _origin: origin });
        running.insert(key, Arc::downgrade(&started));
        FeedHandle { running: started }
    }
}

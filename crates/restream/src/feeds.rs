//! The feeds of one stream: each rendition is serialised for RTMP once, while anybody wants it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use weir_hub::StreamHub;
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
    running: Mutex<HashMap<String, Weak<Running>>>,
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

    /// The rendition's feed, started if it is not running. It begins with the cached GOP.
    pub fn feed(&self, rendition: &str) -> FeedHandle {
        let mut running = self.shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.get(rendition).and_then(Weak::upgrade) {
            return FeedHandle { running };
        }
        running.retain(|_, feed| feed.strong_count() > 0);
        let feed = Feed::new();
        let task = self.shared.lane.spawn(feed.clone().run(self.shared.hub.rendition(rendition)));
        let started = Arc::new(Running { feed, task: task.abort_handle() });
        running.insert(rendition.to_owned(), Arc::downgrade(&started));
        FeedHandle { running: started }
    }
}

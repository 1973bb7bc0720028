//! The feeds of one stream: each rendition is serialised for each protocol once, while anybody wants it.
//!
//! A protocol is known here by the type of its batcher alone, so a new one needs no change to this file.
//!
//! Pushes and players live on several lanes. Waking a task of another thread costs a system call (an eventfd write) each, so a batch
//! crosses to each other lane once, through a relay, and wakes that lane's receivers from there. Measured at 200 pushes, this saves a
//! third of all the CPU that is not the kernel's sending.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;

use crate::{Batcher, Cursor, Feed, StreamHub};

/// A handle on a stream's feeds. Clones share it.
#[derive(Clone, Debug)]
pub struct Feeds {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    hub: StreamHub,
    /// The lane of the stream, where batches are made beside the stream's ingest.
    lane: Handle,
    /// A [`Table`] for each type of batcher that was ever asked for.
    tables: Mutex<HashMap<TypeId, Box<dyn Any + Send>>>,
}

/// The running feeds of one type, by what they carry and by lane.
type Table<B> = HashMap<(Wish<B>, Id), Weak<Running<B>>>;

/// A rendition, and the choice that distinguishes its feeds of this type.
type Wish<B> = (String, <B as Batcher>::Choice);

/// Keeps a feed running. The feed ends when its last handle is dropped.
#[derive(Debug)]
pub struct FeedHandle<B: Batcher> {
    running: Arc<Running<B>>,
}

impl<B: Batcher> Clone for FeedHandle<B> {
    fn clone(&self) -> Self {
        Self { running: Arc::clone(&self.running) }
    }
}

#[derive(Debug)]
struct Running<B: Batcher> {
    feed: Feed<B>,
    task: AbortHandle,
    /// The same feed on the stream's lane, from which a relay reads.
    _origin: Option<FeedHandle<B>>,
}

impl<B: Batcher> Drop for Running<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<B: Batcher> FeedHandle<B> {
    /// A cursor that starts on the cached GOP, or waits for one.
    pub fn subscribe(&self) -> Cursor<B::Batch> {
        self.running.feed.subscribe()
    }
}

impl Feeds {
    /// Makes the feeds of a stream whose own lane is `lane`.
    pub fn new(hub: StreamHub, lane: Handle) -> Self {
        Self { shared: Arc::new(Shared { hub, lane, tables: Mutex::default() }) }
    }

    /// The feed of the rendition with this choice, on the lane of the caller. It is started if it is not running, and then begins with
    /// the cached GOP.
    pub fn feed<B: Batcher>(&self, rendition: &str, choice: B::Choice, lane: &Handle) -> FeedHandle<B> {
        let home = &self.shared.lane;
        let wish = (rendition.to_owned(), choice);
        let here = self.running(&wish, home, None);
        if lane.id() == home.id() { here } else { self.running(&wish, lane, Some(here)) }
    }

    /// Finds the running feed or starts it, from the rendition's frames or (with an `origin`) from the same feed on the stream's lane.
    fn running<B: Batcher>(&self, wish: &Wish<B>, lane: &Handle, origin: Option<FeedHandle<B>>) -> FeedHandle<B> {
        let mut tables = self.shared.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let table = tables.entry(TypeId::of::<B>()).or_insert_with(|| Box::new(Table::<B>::new()));
        #[expect(
            clippy::expect_used,
            reason = "what lies under a type's id is that type's table: it was put there one line above"
        )]
        let running = table.downcast_mut::<Table<B>>().expect("a table of this type");
        let key = (wish.clone(), lane.id());
        if let Some(running) = running.get(&key).and_then(Weak::upgrade) {
            return FeedHandle { running };
        }
        running.retain(|_, feed| feed.strong_count() > 0);
        let feed = Feed::default();
        let task = match &origin {
            None => lane.spawn(feed.clone().run(self.shared.hub.rendition(&wish.0), B::new(&wish.1))),
            Some(origin) => lane.spawn(feed.clone().relay(origin.subscribe())),
        };
        let started = Arc::new(Running { feed, task: task.abort_handle(), _origin: origin });
        running.insert(key, Arc::downgrade(&started));
        FeedHandle { running: started }
    }
}

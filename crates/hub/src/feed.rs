//! A feed: one rendition, serialised once for a protocol into batches, which lie in a window of their own that all receivers share.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use crate::{Cursor, Entry, Item, Next, RenditionHub, Subscriber, Window, WindowLimits};
use tokio::time::{Instant, sleep_until};

/// Audio waits this long at most for the picture that ends its batch. It is more than the 42 ms between pictures at 24 fps, because a
/// picture that comes in time must not find that its audio has already gone out in a write of its own.
const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// A destination may lag 2 s before it skips, beside the bytes that its socket holds (with RTMP, half a second at 4 Mbps). The limit in
/// bytes is 10 s of GOP at 50 Mbps, which are 62.5 MB.
const LIMITS: WindowLimits = WindowLimits { duration: Duration::from_secs(2), items_max: 8_192, bytes_max: 64 << 20 };

/// Turns entries into the batches of one protocol. A new batcher begins with the first entry that it is given.
pub trait Batcher: Debug + Send + 'static {
    /// Some frames in the form in which they go to every receiver.
    type Batch: Debug + Item;
    /// What may differ between two feeds of one rendition, such as the language of the sound where a protocol carries only one.
    type Choice: Clone + Debug + Eq + Hash + Send + Sync;

    fn new(choice: &Self::Choice) -> Self;
    /// Takes the next entry, and returns a batch when one is complete.
    fn push(&mut self, entry: &Entry) -> Option<Self::Batch>;
    /// Whether frames wait for the one that completes their batch.
    fn has_pending(&self) -> bool;
    /// A batch of the frames that wait, complete or not.
    fn flush(&mut self) -> Option<Self::Batch>;
}

/// A handle on one rendition's batches. Clones share them; somebody must drive [`Feed::run`].
#[derive(Debug)]
pub struct Feed<B: Batcher> {
    window: Window<B::Batch>,
}

impl<B: Batcher> Feed<B> {
    pub fn new() -> Self {
        Self { window: Window::new(LIMITS) }
    }

    /// A cursor that starts on the cached GOP, or waits for one.
    pub fn subscribe(&self) -> Cursor<B::Batch> {
        self.window.cursor()
    }

    /// Serialises the rendition's frames until it closes. The stream's task tree owns this task.
    pub async fn run(self, rendition: RenditionHub, batcher: B) {
        self.pump(rendition.subscribe(), batcher).await;
        self.window.close();
    }

    /// Offers the batches of another feed in a window of its own, for the tasks of another thread.
    pub async fn relay(self, mut batches: Cursor<B::Batch>) {
        loop {
            match batches.next().await {
                Next::Item(batch) => self.window.push(batch),
                Next::Skipped { items } => tracing::warn!(batches = items, "a relay fell behind its feed"),
                Next::Closed => break,
            }
        }
        self.window.close();
    }

    async fn pump(&self, mut frames: Subscriber, mut batcher: B) {
        let mut flush_at = None;
        loop {
            let next = match frames.try_next() {
                Some(next) => next,
                None => {
                    let flush = async {
                        match flush_at {
                            Some(at) => sleep_until(at).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        next = frames.next() => next,
                        () = flush => {
                            batcher.flush().into_iter().for_each(|batch| self.window.push(batch));
                            flush_at = None;
                            continue;
                        }
                    }
                }
            };
            match next {
                Next::Item(entry) => {
                    if let Some(batch) = batcher.push(&entry) {
                        self.window.push(batch);
                        flush_at = None;
                    } else if batcher.has_pending() {
                        flush_at.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
                    }
                }
                // This task was starved for a whole window. The next entry is a start, and the batcher keeps its chain of time
                // differences, so that connections see the gap and nothing else.
                Next::Skipped { items } => {
                    tracing::warn!(items, "serialising fell behind the source and skipped to the newest keyframe");
                }
                Next::Closed => break,
            }
        }
        batcher.flush().into_iter().for_each(|batch| self.window.push(batch));
    }
}

impl<B: Batcher> Clone for Feed<B> {
    fn clone(&self) -> Self {
        Self { window: self.window.clone() }
    }
}

impl<B: Batcher> Default for Feed<B> {
    fn default() -> Self {
        Self::new()
    }
}

//! A feed: one rendition, written once for a protocol into batches in a window of their own that all its receivers share.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use crate::{Cursor, Entry, Item, Next, Rendition, Subscriber, Window, WindowLimits};
use tokio::time::{Instant, sleep_until};

/// Audio waits this long for the picture that ends its batch, no longer. Above the 42 ms between pictures at 24 fps: a picture
/// that comes when it should must not find its audio gone ahead in a write of its own.
const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// A destination may lag 2 s before it skips, beside what its socket holds (by RTMP half a second at 4 Mbps). Bytes: 10 s of GOP at
/// 50 Mbps are 62.5 MB.
const LIMITS: WindowLimits = WindowLimits { duration: Duration::from_secs(2), items_max: 8_192, bytes_max: 64 << 20 };

/// Writes entries as one protocol has them; a new one begins with the first entry that it is given.
pub trait Batcher: Debug + Send + 'static {
    /// Some frames as they go to every receiver.
    type Batch: Debug + Item;
    /// What may differ between two feeds of one rendition, such as the language of the sound where only one is carried.
    type Choice: Clone + Debug + Eq + Hash + Send + Sync;

    fn new(choice: &Self::Choice) -> Self;
    /// Takes the next entry; gives a batch when one is complete.
    fn push(&mut self, entry: &Entry) -> Option<Self::Batch>;
    /// Whether something waits for what completes its batch.
    fn has_pending(&self) -> bool;
    /// What waits, as it is.
    fn flush(&mut self) -> Option<Self::Batch>;
}

/// Handle on one rendition's batches. Clones share them; somebody must drive [`Feed::run`].
#[derive(Debug)]
pub struct Feed<B: Batcher> {
    window: Window<B::Batch>,
}

impl<B: Batcher> Feed<B> {
    pub fn new() -> Self {
        Self { window: Window::new(LIMITS) }
    }

    /// Starts on the cached GOP or waits for one.
    pub fn subscribe(&self) -> Cursor<B::Batch> {
        self.window.cursor()
    }

    /// Serialises the rendition's frames until it closes. Owned by the stream's task tree.
    pub async fn run(self, rendition: Rendition, batcher: B) {
        self.pump(rendition.subscribe(), batcher).await;
        self.window.close();
    }

    /// Offers another feed's batches: the same ones, in a window of their own, for the tasks of another thread.
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
                // This task was starved for a whole window. The next entry is a start, and the batcher keeps its chain of
                // time differences, so that connections see the gap and nothing else.
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

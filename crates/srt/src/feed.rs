//! A feed: one rendition as batches of MPEG-TS in a window of their own, shared by every SRT destination and player.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use weir_hub::{Cursor, Next, Rendition, Subscriber, Window, WindowLimits};

use crate::from_frames::{Batcher, TsBatch};

/// Audio waits this long for the picture that ends its batch, no longer: above the 42 ms between pictures at 24 fps.
const FLUSH_AFTER: Duration = Duration::from_millis(50);

/// A destination may lag 2 s before it skips, beside what libsrt holds for it. Bytes: 10 s of GOP at 50 Mbps are 62.5 MB.
const LIMITS: WindowLimits = WindowLimits { duration: Duration::from_secs(2), items_max: 8_192, bytes_max: 64 << 20 };

/// Handle on one rendition's batches. Clones share them; somebody must drive [`Feed::run`].
#[derive(Clone, Debug)]
pub struct Feed {
    window: Window<TsBatch>,
}

impl Feed {
    pub fn new() -> Self {
        Self { window: Window::new(LIMITS) }
    }

    /// Starts on the cached GOP or waits for one.
    pub fn subscribe(&self) -> Cursor<TsBatch> {
        self.window.cursor()
    }

    /// Serialises the rendition's frames until it closes. Owned by the stream's task tree.
    pub async fn run(self, rendition: Rendition) {
        self.pump(rendition.subscribe()).await;
        self.window.close();
    }

    /// Offers another feed's batches: the same ones, in a window of their own, for the tasks of another thread.
    pub async fn relay(self, mut batches: Cursor<TsBatch>) {
        loop {
            match batches.next().await {
                Next::Item(batch) => self.window.push(batch),
                Next::Skipped { items } => tracing::warn!(batches = items, "a relay fell behind its feed"),
                Next::Closed => break,
            }
        }
        self.window.close();
    }

    async fn pump(&self, mut frames: Subscriber) {
        let mut batcher = Batcher::new();
        let mut flush_at = None;
        loop {
            let flush = async {
                match flush_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                biased;
                next = frames.next() => next,
                () = flush => {
                    batcher.flush().into_iter().for_each(|batch| self.window.push(batch));
                    flush_at = None;
                    continue;
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
                // This task was starved for a whole window; the next entry is a start.
                Next::Skipped { items } => {
                    tracing::warn!(items, "writing MPEG-TS fell behind the source and skipped to the newest keyframe");
                }
                Next::Closed => break,
            }
        }
        batcher.flush().into_iter().for_each(|batch| self.window.push(batch));
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::new()
    }
}

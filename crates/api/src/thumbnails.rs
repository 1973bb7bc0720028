//! Small pictures of what streams show now, made only when somebody asks, and for many askers once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;
use weir_control::Playback;
use weir_model::StreamId;
use weir_transcode::Workshop;

/// Each takes a process and a fifth of a second of a core.
const MADE_AT_ONCE: usize = 2;

/// For so long a picture is new enough, and a failure is not tried again.
const FRESH: Duration = Duration::from_secs(5);

/// Where there is an older picture, new ones are begun this far apart in all: fifty tiles on many screens cost a third of a core.
const PACE: Duration = Duration::from_millis(500);

/// Entries of streams that are gone are looked for when there are more. A picture is about 30 kB.
const SWEPT_ABOVE: usize = 256;

/// Clones share it.
#[derive(Clone, Debug)]
pub struct Thumbnails {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    playback: Playback,
    workshop: Workshop,
    making: Semaphore,
    begun_at: Mutex<Option<Instant>>,
    kept: Mutex<HashMap<StreamId, Arc<Kept>>>,
}

/// Of one stream.
#[derive(Debug, Default)]
struct Kept {
    /// One makes it, the others wait.
    turn: tokio::sync::Mutex<()>,
    newest: Mutex<Newest>,
}

#[derive(Clone, Debug, Default)]
struct Newest {
    picture: Option<Thumbnail>,
    /// When it was last made, or could not be.
    at: Option<Instant>,
}

/// A JPEG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thumbnail {
    pub(crate) jpeg: Bytes,
    /// Differs between pictures of one stream.
    pub(crate) tag: u64,
}

impl Thumbnails {
    pub fn new(playback: Playback, workshop: Workshop) -> Self {
        let shared = Shared {
            playback,
            workshop,
            making: Semaphore::new(MADE_AT_ONCE),
            begun_at: Mutex::default(),
            kept: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What the stream shows; None where it has shown nothing.
    pub(crate) async fn newest(&self, id: StreamId) -> Option<Thumbnail> {
        let shared = &*self.shared;
        let source = shared.playback.source(id)?;
        let kept = shared.kept(id);
        let before = kept.read();
        if before.is_fresh() {
            return before.picture;
        }
        // Where there is an older picture nobody waits for a better one.
        let is_first = before.picture.is_none();
        let (_turn, _making) = if is_first {
            let turn = kept.turn.lock().await;
            let made = kept.read();
            if made.is_fresh() {
                return made.picture;
            }
            (turn, shared.making.acquire().await.ok()?)
        } else {
            match (kept.turn.try_lock(), shared.making.try_acquire()) {
                (Ok(turn), Ok(making)) if shared.may_begin() => (turn, making),
                _ => return before.picture,
            }
        };
        let made = shared.workshop.thumbnail(&source).await;
        let made = made.unwrap_or_else(|error| {
            tracing::warn!(stream_id = %id, %error, "no picture could be made of a stream");
            None
        });
        kept.put(made)
    }
}

impl Shared {
    fn kept(&self, id: StreamId) -> Arc<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SWEPT_ABOVE && !kept.contains_key(&id) {
            kept.retain(|id, _| self.playback.source(*id).is_some());
        }
        Arc::clone(kept.entry(id).or_default())
    }

    fn may_begin(&self) -> bool {
        let mut begun_at = self.begun_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = begun_at.is_none_or(|at| at.elapsed() >= PACE);
        if may {
            *begun_at = Some(Instant::now());
        }
        may
    }
}

impl Kept {
    fn read(&self) -> Newest {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A failure leaves nothing: an old picture would say that all is well.
    fn put(&self, made: Option<Vec<u8>>) -> Option<Thumbnail> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let tag = newest.picture.as_ref().map_or(1, |picture| picture.tag + 1);
        newest.at = Some(Instant::now());
        newest.picture = made.map(|jpeg| Thumbnail { jpeg: jpeg.into(), tag });
        newest.picture.clone()
    }
}

impl Newest {
    fn is_fresh(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < FRESH)
    }
}

//! Thumbnails are small pictures of what streams show now. One is made only when somebody asks for it, and once for all who ask.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use weir_control::Playback;
use weir_hub::StreamHub;
use weir_model::StreamId;
use weir_transcode::EncodingResources;

/// How many thumbnails are made at once. Each takes a process and a fifth of a second of a core.
const MADE_AT_ONCE: usize = 2;

/// For so long a picture is new enough, and for so long no other try is made after a failure.
const FRESH: Duration = Duration::from_secs(5);

/// An older picture tells nothing of what the stream shows now. A stream whose keyframes are further apart has no thumbnail.
const AGE_MAX: Duration = Duration::from_secs(30);

/// The time between two tries for streams that have an older picture, or whose picture could not be made, counted over all such streams.
/// With it, fifty tiles on many screens cost a third of a core.
const PACE: Duration = Duration::from_millis(500);

/// When there are more entries, those of streams that are gone are removed. A picture is about 30 kB.
const SWEPT_ABOVE: usize = 256;

/// A clone shares the pictures.
#[derive(Clone, Debug)]
pub struct Thumbnails {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    playback: Playback,
    encoding: EncodingResources,
    making: Semaphore,
    begun_at: Mutex<Option<Instant>>,
    kept: Mutex<HashMap<StreamId, Arc<Kept>>>,
}

/// What is kept of one stream.
#[derive(Debug, Default)]
struct Kept {
    newest: watch::Sender<Newest>,
    is_being_made: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct Newest {
    picture: Option<ServedThumbnail>,
    /// When a picture was last made, or could not be made.
    at: Option<Instant>,
}

/// A JPEG as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedThumbnail {
    pub jpeg: Bytes,
    /// The tag differs between the pictures of one stream.
    pub tag: u64,
    /// When the stream showed this picture.
    shown: Instant,
}

impl ServedThumbnail {
    pub fn age_seconds(&self) -> u64 {
        self.shown.elapsed().as_secs()
    }

    pub fn shown_at(&self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_sub(self.shown.elapsed()).unwrap_or(now)
    }

    fn is_of_now(&self) -> bool {
        self.shown.elapsed() <= AGE_MAX
    }
}

impl Thumbnails {
    pub fn new(playback: Playback, encoding: EncodingResources) -> Self {
        let shared = Shared {
            playback,
            encoding,
            making: Semaphore::new(MADE_AT_ONCE),
            begun_at: Mutex::default(),
            kept: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The picture of what the stream shows, or none if it has shown nothing for [`AGE_MAX`]. Whoever asks first has it made, and all
    /// others wait for it together, but not longer than `patience`.
    pub async fn newest(&self, id: StreamId, patience: Duration) -> Option<ServedThumbnail> {
        let hub = self.shared.playback.hub(id)?;
        let kept = self.shared.kept(id);
        let mut newest = kept.newest.subscribe();
        let before = newest.borrow_and_update().clone();
        // A picture that could not be made is paced as well: whoever asks for many such streams must not have many processes started.
        let has_failed = before.at.is_some() && before.picture.is_none();
        let of_now = before.picture.filter(ServedThumbnail::is_of_now);
        let is_paced = of_now.is_some() || has_failed;
        if before.at.is_some_and(|at| at.elapsed() < FRESH) || is_paced && !self.shared.may_begin() {
            return of_now;
        }
        if let Some(turn) = Turn::take(&kept) {
            // The picture is made by a task of its own: whoever waits may go, and on a slow machine it is ready for the next who asks.
            tokio::spawn(self.clone().make(id, hub, turn));
        }
        let _ = tokio::time::timeout(patience, newest.changed()).await;
        let now = newest.borrow().picture.clone();
        now.filter(ServedThumbnail::is_of_now)
    }

    async fn make(self, id: StreamId, hub: StreamHub, turn: Turn) {
        let Ok(_making) = self.shared.making.acquire().await else { return };
        let made = self.shared.encoding.thumbnail(&hub).await.unwrap_or_else(|error| {
            tracing::warn!(stream_id = %id, %error, "no picture could be made of a stream");
            None
        });
        turn.kept.put(made);
    }
}

/// The right to make a stream's next picture, which one task has at a time.
struct Turn {
    kept: Arc<Kept>,
}

impl Turn {
    fn take(kept: &Arc<Kept>) -> Option<Self> {
        let was = kept.is_being_made.swap(true, Ordering::AcqRel);
        (!was).then(|| Self { kept: Arc::clone(kept) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.kept.is_being_made.store(false, Ordering::Release);
    }
}

impl Shared {
    fn kept(&self, id: StreamId) -> Arc<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SWEPT_ABOVE && !kept.contains_key(&id) {
            kept.retain(|id, _| self.playback.hub(*id).is_some());
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
    /// Keeps what was made. After a failure, the picture before it stays, and says how old it is.
    fn put(&self, made: Option<weir_transcode::Thumbnail>) {
        self.newest.send_modify(|newest| {
            newest.at = Some(Instant::now());
            let Some(made) = made else { return };
            let tag = newest.picture.as_ref().map_or(1, |picture| picture.tag + 1);
            newest.picture = Some(ServedThumbnail { jpeg: made.jpeg.into(), tag, shown: made.shown_at });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_a_picture_that_grows_old() {
        let kept = Kept::default();
        let put = |made| {
            kept.put(made);
            kept.newest.borrow().picture.clone()
        };
        assert_eq!(put(None), None);
        let made = |seconds_ago| {
            let shown_at = Instant::now().checked_sub(Duration::from_secs(seconds_ago)).unwrap();
            Some(weir_transcode::Thumbnail { jpeg: vec![1], shown_at })
        };
        for (seconds_ago, of_now) in [(0, true), (29, true), (31, false)] {
            let before = put(made(seconds_ago)).unwrap();
            assert_eq!((before.age_seconds(), before.is_of_now()), (seconds_ago, of_now));
            assert_eq!(put(None), Some(before));
        }
        let (first, second) = (put(made(0)).unwrap(), put(made(0)).unwrap());
        assert_ne!(first.tag, second.tag);
    }

    #[test]
    fn one_makes_it_at_a_time() {
        let kept = Arc::new(Kept::default());
        let turn = Turn::take(&kept);
        assert!(turn.is_some() && Turn::take(&kept).is_none());
        drop(turn);
        assert!(Turn::take(&kept).is_some());
    }
}

//! Gives out a segment that is still being made, each part as soon as it is ready. Players of low-latency DASH take it so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::store::live::Live;
use crate::store::track_name::TrackName;

/// The rest of a segment won't come: the source went away for good, or the reader is so slow that the segment has left memory. What was
/// given out is not the whole segment, and must not end as if it were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the segment was not finished")]
pub struct Unfinished;

/// Gives out exactly the bytes that the complete segment will have.
#[derive(Clone, Debug)]
pub struct Growing {
    live: Arc<Live>,
    version: watch::Receiver<u64>,
    rendition: String,
    track: TrackName,
    number: u64,
    run: u64,
    /// How many parts were given out. `bytes` is how many bytes they had.
    parts: usize,
    bytes: usize,
    /// How long one part is waited for at most.
    patience: Duration,
}

enum Step {
    Part(Bytes),
    Wait,
    End(Result<(), Unfinished>),
}

impl Growing {
    pub(crate) fn new(
        live: &Arc<Live>,
        rendition: &str,
        track: TrackName,
        (number, run): (u64, u64),
        patience: Duration,
    ) -> Self {
        let (live, version) = (Arc::clone(live), live.version.subscribe());
        let rendition = rendition.to_owned();
        Self { live, version, rendition, track, number, run, parts: 0, bytes: 0, patience }
    }

    /// The next part, as soon as there is one, and None at the segment's end. If the future is dropped, nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Bytes, Unfinished>> {
        loop {
            self.version.mark_unchanged();
            match self.step() {
                Step::Part(body) => {
                    self.parts += 1;
                    self.bytes += body.len();
                    return Some(Ok(body));
                }
                Step::End(end) => return end.err().map(Err),
                Step::Wait => {}
            }
            // The sender lives as long as this does, so only the time can run out.
            if timeout(self.patience, self.version.changed()).await.is_err() {
                return Some(Err(Unfinished));
            }
        }
    }

    fn step(&self) -> Step {
        let mut store = self.live.store();
        let segment = store.track_mut(&self.rendition, self.track).and_then(|track| track.segment_mut(self.number));
        let Some(segment) = segment.filter(|segment| segment.run == self.run) else {
            return Step::End(Err(Unfinished));
        };
        if let Some(part) = segment.parts.get_mut(self.parts) {
            return Step::Part(part.body());
        }
        match segment.is_complete() {
            false => Step::Wait,
            true => Step::End(if self.bytes == segment.bytes { Ok(()) } else { Err(Unfinished) }),
        }
    }
}

impl PartialEq for Growing {
    /// Two are equal if they are at the same place in the same segment.
    fn eq(&self, other: &Self) -> bool {
        let place = |it: &Self| (it.track, it.number, it.run, it.parts);
        Arc::ptr_eq(&self.live, &other.live) && self.rendition == other.rendition && place(self) == place(other)
    }
}

impl Eq for Growing {}

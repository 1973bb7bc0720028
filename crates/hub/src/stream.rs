//! One stream's meeting place: its renditions by name, and the pulse of its source.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use weir_media::MediaTime;

use crate::keyframe_asks::KeyframeBell;
use crate::{Publisher, RenditionHub, StreamClock, WindowLimits};

/// The name of the rendition that is the input as it came.
pub const SOURCE_RENDITION: &str = "source";

/// Media older than this is no start for a newcomer. Media that is younger may still be read by subscribers that held on while an encoder
/// restarted.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// A handle on a stream's renditions. Clones share it. The stream's task tree owns it and passes it to the stages.
#[derive(Clone, Debug)]
pub struct StreamHub {
    renditions: Arc<Mutex<BTreeMap<String, RenditionHub>>>,
    pulse: watch::Sender<SourcePulse>,
    keyframe_bell: KeyframeBell,
    clock: StreamClock,
    limits: WindowLimits,
}

/// Whether the source lives. Stages decide by this whether it is "lost" or "back". Watchers wake only at rare changes (attach, detach,
/// start of each GOP); the time of the last frame is there to be read, not waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourcePulse {
    /// A publisher is connected.
    pub attached: bool,
    /// When the newest frame came.
    pub last_frame_at: Option<Instant>,
    /// The stream's time at that moment: the latest time of all its frames.
    pub last_frame_time: MediaTime,
    /// The number of publishers that have come so far.
    pub sessions: u64,
    /// The present session has sent a frame on which a subscriber can start.
    pub started: bool,
}

impl SourcePulse {
    /// Whether media has come within `within` before `now`, and the session has sent a start.
    pub fn is_live(&self, now: Instant, within: Duration) -> bool {
        self.started && self.last_frame_at.is_some_and(|at| now.saturating_duration_since(at) < within)
    }

    /// The stream's time at `now`. `None` if it never had a frame.
    pub fn time_at(&self, now: Instant) -> Option<MediaTime> {
        let since = now.saturating_duration_since(self.last_frame_at?);
        Some(self.last_frame_time + MediaTime::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Notes a frame. Returns whether watchers should wake, which is only when the source starts, not at every frame.
    pub(crate) fn beat(&mut self, now: Instant, time: MediaTime, start: bool) -> bool {
        self.last_frame_at = Some(now);
        self.last_frame_time = self.last_frame_time.max(time);
        let begins = start && !self.started;
        self.started |= start;
        begins
    }

    pub(crate) fn detach(&mut self) -> bool {
        self.attached = false;
        self.started = false;
        true
    }
}

impl StreamHub {
    /// With a clock that begins with its first frame.
    pub fn new(limits: WindowLimits) -> Self {
        Self::on(StreamClock::new(), limits)
    }

    pub fn on(clock: StreamClock, limits: WindowLimits) -> Self {
        Self {
            renditions: Arc::default(),
            pulse: watch::Sender::new(SourcePulse::default()),
            keyframe_bell: KeyframeBell::default(),
            clock,
            limits,
        }
    }

    pub fn clock(&self) -> &StreamClock {
        &self.clock
    }

    /// The rendition of that name. It is made if nobody asked for it before.
    pub fn rendition(&self, name: &str) -> RenditionHub {
        let mut renditions = self.renditions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rendition) = renditions.get(name) {
            return rendition.clone();
        }
        let rendition = RenditionHub::ringing(self.limits, &self.keyframe_bell);
        renditions.insert(name.to_owned(), rendition.clone());
        rendition
    }

    pub fn source(&self) -> RenditionHub {
        self.rendition(SOURCE_RENDITION)
    }

    /// Makes the source's publisher. The caller has made sure that it is the only one (`ingest` holds the slot).
    ///
    /// Media of a session that ended long ago is forgotten, so that no subscriber that joins now begins with it.
    pub fn publish_source(&self, now: Instant) -> Publisher {
        let mut session = 0;
        let mut stale = false;
        self.pulse.send_modify(|pulse| {
            stale = pulse.last_frame_at.is_some_and(|at| now.saturating_duration_since(at) > STALE_AFTER);
            pulse.attached = true;
            pulse.started = false;
            pulse.sessions += 1;
            session = pulse.sessions;
        });
        if stale {
            self.source().clear();
        }
        self.source().publisher(Some((self.pulse.clone(), session)))
    }

    /// Makes the publisher of a rendition that is made from the source.
    pub fn publish_rendition(&self, name: &str) -> Publisher {
        self.rendition(name).publisher(None)
    }

    pub fn pulse(&self) -> SourcePulse {
        *self.pulse.borrow()
    }

    pub fn watch_pulse(&self) -> watch::Receiver<SourcePulse> {
        self.pulse.subscribe()
    }

    /// Wakes when a subscriber of any rendition asks for a keyframe; [`Publisher::keyframes_asked`] tells of which.
    pub fn watch_keyframe_asks(&self) -> watch::Receiver<()> {
        self.keyframe_bell.watch()
    }

    /// Ends every subscriber of every rendition, because the stream is stopped or deleted.
    pub fn close(&self) {
        for rendition in self.renditions.lock().unwrap_or_else(PoisonError::into_inner).values() {
            rendition.close();
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;

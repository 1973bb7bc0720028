//! One track's place on the timeline: where its last frame went, and where the next one may go.

use std::time::Duration;

use super::clock::nanos;
use super::mapping::{Mapping, wall};
use super::{
    BACKWARD_JUMP_NANOS, BACKWARD_STEP_NANOS, BEHIND_NANOS, DUPLICATE_STEP_NANOS, FORWARD_JUMP_NANOS, TimelineEvent,
};
use crate::{MediaKind, MediaTime, TrackId};

/// Until two frames tell: 30 fps.
const VIDEO_FRAME_NANOS: i64 = 33_333_333;
/// Until two frames tell: 1,024 samples at 48 kHz.
const AUDIO_FRAME_NANOS: i64 = 21_333_333;
/// A longer step is a gap, not a frame.
const FRAME_NANOS_MAX: i128 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct TrackClock {
    pub(super) id: TrackId,
    frame_nanos: i64,
    last_dts: Option<MediaTime>,
    on_time: Option<OnTime>,
    /// In the running session.
    current: Option<Current>,
}

/// The last frame that went where its stamp said. Frames nudged since then say nothing of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnTime {
    pub(super) dts: MediaTime,
    pub(super) at: Duration,
    frame_nanos: i64,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    mapping: u64,
    raw: u64,
    /// Where the mapping put the last frame, before any nudge.
    mapped: i128,
    at: Duration,
    /// The wall time when the stamp last changed.
    changed_at: Duration,
}

/// Where a frame went.
pub(super) struct Placed {
    pub(super) dts: MediaTime,
    pub(super) discontinuity: bool,
    pub(super) nudge: Option<TimelineEvent>,
}

/// Where a frame of the track may be.
pub(super) struct Expected {
    /// Without any fault it lies between these.
    from: i128,
    to: i128,
    /// Outside of these it is a jump.
    min: i128,
    max: i128,
}

impl OnTime {
    /// Where a frame belongs that comes `passed` of wall time later. Up to two frames' time says nothing (frames come late and
    /// early by that much): then it is one frame on.
    pub(super) fn next_after(self, passed: Duration) -> MediaTime {
        let frame = i128::from(self.frame_nanos);
        let passed = wall(passed);
        let step = if passed <= 2 * frame { frame } else { passed };
        nanos(i128::from(self.dts.as_nanos()) + step)
    }
}

impl Expected {
    /// How far a time is from where it should be; `None` when that is a jump.
    pub(super) fn error_of(&self, mapped: i128) -> Option<i128> {
        (self.min..=self.max).contains(&mapped).then(|| (self.from - mapped).max(mapped - self.to).max(0))
    }
}

impl TrackClock {
    pub(super) fn new(id: TrackId, kind: MediaKind) -> Self {
        let frame_nanos = match kind {
            MediaKind::Video => VIDEO_FRAME_NANOS,
            MediaKind::Audio => AUDIO_FRAME_NANOS,
        };
        Self { id, frame_nanos, last_dts: None, on_time: None, current: None }
    }

    pub(super) fn leave_session(&mut self) {
        self.current = None;
    }

    pub(super) fn on_time(&self) -> Option<OnTime> {
        self.on_time
    }

    pub(super) fn on_time_in_session(&self) -> Option<OnTime> {
        self.current.and(self.on_time)
    }

    pub(super) fn mapping(&self) -> Option<u64> {
        self.current.map(|current| current.mapping)
    }

    pub(super) fn is_frozen(&self, raw: u64, now: Duration, after: Duration) -> bool {
        self.current.is_some_and(|current| current.raw == raw) && self.frozen_for(now) > after
    }

    pub(super) fn frozen_for(&self, now: Duration) -> Duration {
        self.current.map_or(Duration::ZERO, |current| now.saturating_sub(current.changed_at))
    }

    /// Where the next frame may be if it comes through this mapping.
    pub(super) fn expects(&self, mapping: &Mapping, now: Duration) -> Expected {
        let latest = mapping.latest(now);
        match (self.current, self.last_dts) {
            (Some(current), Some(last_dts)) => {
                let passed = wall(now.saturating_sub(current.at)).max(i128::from(self.frame_nanos));
                let to = latest.max(current.mapped + passed);
                Expected {
                    from: current.mapped,
                    to,
                    min: (current.mapped - BACKWARD_JUMP_NANOS).max(i128::from(last_dts.as_nanos()) - BEHIND_NANOS),
                    max: to + FORWARD_JUMP_NANOS,
                }
            }
            // The first frame of the track in this session: beside the other tracks.
            _ => Expected {
                from: mapping.furthest - BEHIND_NANOS,
                to: latest,
                min: mapping.furthest - BEHIND_NANOS,
                max: latest + FORWARD_JUMP_NANOS,
            },
        }
    }

    /// Puts the frame on the timeline, after the track's last one.
    pub(super) fn place(&mut self, mapping: u64, raw: u64, mapped: i128, now: Duration) -> Placed {
        let same_clock = self.current.filter(|current| current.mapping == mapping);
        let duplicate = same_clock.is_some_and(|current| current.raw == raw);
        if let Some(current) = same_clock {
            let step = mapped - current.mapped;
            if (1..=FRAME_NANOS_MAX).contains(&step) {
                // An eighth of the way: RTMP's 33, 33, 34 ms even out.
                self.frame_nanos += (i64::try_from(step).unwrap_or(self.frame_nanos) - self.frame_nanos) / 8;
            }
        }
        let wanted = nanos(mapped);
        let step = if duplicate { DUPLICATE_STEP_NANOS } else { BACKWARD_STEP_NANOS };
        let dts = match self.last_dts {
            Some(last_dts) if wanted <= last_dts => last_dts + MediaTime::from_nanos(step),
            // The timeline starts at zero, even if a second track started before the first.
            _ => wanted.max(MediaTime::ZERO),
        };
        let nudge = (dts != wanted)
            .then(|| if duplicate { TimelineEvent::Duplicate } else { TimelineEvent::Backward { by: dts - wanted } });
        let discontinuity = self.last_dts.is_some() && same_clock.is_none();
        self.last_dts = Some(dts);
        if nudge.is_none() || self.on_time.is_none() {
            self.on_time = Some(OnTime { dts, at: now, frame_nanos: self.frame_nanos });
        }
        let changed_at = same_clock.filter(|_| duplicate).map_or(now, |current| current.changed_at);
        self.current = Some(Current { mapping, raw, mapped, at: now, changed_at });
        Placed { dts, discontinuity, nudge }
    }
}

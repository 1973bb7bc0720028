//! The timeline: maps a source's clocks to the stream's one continuous, monotonic time, whatever those clocks do.
//!
//! A wire clock is followed through *mappings*: "wire time + offset = stream time". One mapping serves all tracks, so the
//! relation of sound to picture is kept exactly. When the clock leaps, a new mapping is made such that the frame lands where
//! the wall clock says it belongs; the old mapping is remembered for a while, because the other track may still send
//! stamps of the old clock, or because one broken frame leapt alone. Each frame takes the mapping that puts it nearest to
//! where its track should be.

mod clock;
mod mapping;
mod splice;
mod track_clock;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use clock::WireClock;
pub use splice::Splice;

use crate::{MediaKind, MediaTime, TrackId};
use clock::nanos;
use mapping::{Mapping, Step, wall};
use track_clock::TrackClock;

/// A step of the wire clock is a jump when it leads this much beyond where the wall clock allows a frame to be. Frames that
/// wait in TCP and then come in a burst stay well below it; a viewer would notice anything above.
const FORWARD_JUMP_NANOS: i128 = 3_000_000_000;

/// Within a track decode times never fall. A fall up to this is a broken stamp (encoders that write pts as dts zigzag by
/// their reorder depth, 16 frames at 60 fps = 267 ms) and the frame is nudged; a longer one is a jump.
const BACKWARD_JUMP_NANOS: i128 = 500_000_000;

/// A track may stay behind its own last output (nudged along) by this much before that too is a jump.
const BEHIND_NANOS: i128 = FORWARD_JUMP_NANOS;

/// A clock that repeats one stamp for this long is frozen (an FLV muxer that saturates at 2^31 ms): wall time takes over.
const FROZEN_AFTER: Duration = Duration::from_secs(3);

/// How near a frame must be to where its track should be to go through another mapping than the track's own: a clock that
/// leaps back to about where it was must not take the difference along.
const STRAY_NANOS: i128 = 100_000_000;

/// How long a mapping without use is remembered: tracks that jump together do so within their interleaving, about 1 s.
const MAPPING_KEPT: Duration = Duration::from_secs(10);

/// One mapping in use, one left behind, one each for tracks that never agreed.
const MAPPINGS_MAX: usize = 4;

/// No codec holds a picture back longer: 16 frames at 1 fps. More is a broken composition time.
const CTS_NANOS_MAX: i128 = 16_000_000_000;

/// A frame with the same stamp as the one before: the smallest step.
const DUPLICATE_STEP_NANOS: i64 = 1;

/// A frame whose own stamp lies behind: 1 ms, so that stamps that were distinct stay distinct in RTMP's milliseconds.
const BACKWARD_STEP_NANOS: i64 = 1_000_000;

/// Maps one source's clocks to the stream's timeline. Pure: what the stream's clock says comes in as `now`, which never falls.
#[derive(Debug, Default)]
pub struct Timeline {
    clock: WireClock,
    /// The mappings of this session, oldest first.
    mappings: Vec<Mapping>,
    next_mapping: u64,
    tracks: Vec<TrackClock>,
    session: Option<u64>,
    counts: TimelineCounts,
}

/// A frame's place on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Greater than that of every earlier frame of the track; never negative.
    pub dts: MediaTime,
    /// At or after `dts`.
    pub pts: MediaTime,
    /// This track's first frame after a cut: a new session, or a jump of the clock.
    pub discontinuity: bool,
}

/// What was repaired, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelineEvent {
    /// A new session continued the timeline after `gap` without frames.
    Resumed { gap: Duration },
    /// The clock leapt by this much (negative: back) and was re-based.
    Jump { by: MediaTime },
    /// The clock fell back to its zero and was re-based; `by` as for a jump.
    Reset { by: MediaTime },
    /// The clock repeated one stamp for this long and was re-based.
    Frozen { lasted: Duration },
    /// The counter passed its last value of so many bits.
    Wrapped { bits: u8 },
    /// A stamp repeated that of the track's frame before; moved by the smallest step.
    Duplicate,
    /// A stamp lay behind that of the track's frame before; moved `by` forward.
    Backward { by: MediaTime },
}

/// How often each repair was made since the stream began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimelineCounts {
    pub sessions: u64,
    pub jumps: u64,
    pub resets: u64,
    pub frozen: u64,
    pub wraps: u64,
    pub duplicates: u64,
    pub backward: u64,
}

/// A clock fell to its start when the new stamp is below this.
const RESET_BELOW_NANOS: i128 = 5_000_000_000;

impl Timeline {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn counts(&self) -> TimelineCounts {
        self.counts
    }

    /// A new session of the source begins: a publisher connected, or came back. Its first frame is put where the stream's clock is,
    /// and at least one frame behind the last one. Returns the session's number.
    pub fn begin_session(&mut self, clock: WireClock) -> u64 {
        self.clock = clock;
        self.mappings.clear();
        for track in &mut self.tracks {
            track.leave_session();
        }
        self.counts.sessions = self.counts.sessions.saturating_add(1);
        self.session = Some(self.counts.sessions);
        self.counts.sessions
    }

    /// The session is over. Whoever still sends for it has no place here any more.
    pub fn end_session(&mut self) {
        self.session = None;
    }

    /// The number of the session whose frames belong here now. None between sessions.
    pub fn session(&self) -> Option<u64> {
        self.session
    }

    /// Places one frame. `dts_raw` as on the wire (not unwrapped) and `cts_offset` (pts - dts), both in the clock's ticks.
    pub fn stamp(
        &mut self,
        track: TrackId,
        kind: MediaKind,
        dts_raw: u64,
        cts_offset: i64,
        now: Duration,
    ) -> (Stamped, Option<TimelineEvent>) {
        let dts_raw = self.clock.mask(dts_raw);
        let track = self.track_index(track, kind);
        self.forget_mappings(now);
        let (mapping, step, mut event) = match self.choose(track, dts_raw, now) {
            Some((mapping, step)) => (mapping, step, None),
            None => self.rebase(track, dts_raw, now),
        };
        let wrapped = self.mappings[mapping].advance(step, now);
        if let Some(bits) = wrapped {
            self.counts.wraps = self.counts.wraps.saturating_add(1);
            event = event.or(Some(TimelineEvent::Wrapped { bits }));
        }
        let mapping_id = self.mappings[mapping].id;
        let placed = self.tracks[track].place(mapping_id, dts_raw, step.mapped, now);
        match placed.nudge {
            Some(TimelineEvent::Duplicate) => self.counts.duplicates = self.counts.duplicates.saturating_add(1),
            Some(_) => self.counts.backward = self.counts.backward.saturating_add(1),
            None => {}
        }
        let cts = self.clock.to_nanos(i128::from(cts_offset)).clamp(0, CTS_NANOS_MAX);
        let pts = nanos(step.mapped + cts).max(placed.dts);
        let stamped = Stamped { dts: placed.dts, pts, discontinuity: placed.discontinuity };
        (stamped, event.or(placed.nudge))
    }

    /// The mapping to use for this frame, if one of them explains it.
    fn choose(&self, track: usize, dts_raw: u64, now: Duration) -> Option<(usize, Step)> {
        let state = &self.tracks[track];
        if state.is_frozen(dts_raw, now, FROZEN_AFTER) {
            return None;
        }
        // The track's own mapping first, then the one used last: on equal errors nothing changes.
        let own = self.mappings.iter().position(|mapping| Some(mapping.id) == state.mapping());
        let preferred = own.or_else(|| {
            (0..self.mappings.len()).max_by_key(|&index| (self.mappings[index].used_at, self.mappings[index].id))
        })?;
        let (step, error) = self.try_mapping(preferred, track, dts_raw, now);
        let mut best = error.map(|error| (preferred, step, error));
        // Another mapping must be clearly better, else jitter would move frames between two close ones.
        for index in (0..self.mappings.len()).rev().filter(|&index| index != preferred) {
            let (step, error) = self.try_mapping(index, track, dts_raw, now);
            let Some(error) = error.filter(|&error| error <= STRAY_NANOS) else { continue };
            let better = match best {
                None => true,
                Some((_, _, best)) => best > BACKWARD_JUMP_NANOS / 2 && error < best / 2,
            };
            if better {
                best = Some((index, step, error));
            }
        }
        best.map(|(index, step, _)| (index, step))
    }

    /// Where a mapping puts the frame, and how far that is from where the track should be; `None` when it is a jump away.
    fn try_mapping(&self, index: usize, track: usize, dts_raw: u64, now: Duration) -> (Step, Option<i128>) {
        let mapping = &self.mappings[index];
        let step = mapping.step(self.clock, dts_raw);
        let allowed = self.tracks[track].expects(mapping, now);
        (step, allowed.error_of(step.mapped))
    }

    /// Makes a mapping that puts the frame where it belongs.
    fn rebase(&mut self, track: usize, dts_raw: u64, now: Duration) -> (usize, Step, Option<TimelineEvent>) {
        let first_of_session = self.mappings.is_empty();
        let (target, event) = if first_of_session {
            match self.tracks.iter().filter_map(TrackClock::on_time).max_by_key(|last| last.dts) {
                Some(last) => {
                    let gap = now.saturating_sub(last.at);
                    (last.next_after(Duration::ZERO).max(nanos(wall(now))), Some(TimelineEvent::Resumed { gap }))
                }
                None => (nanos(wall(now)), None),
            }
        } else {
            self.leap(track, dts_raw, now)
        };
        if self.mappings.len() >= MAPPINGS_MAX
            && let Some(oldest) = (0..self.mappings.len()).min_by_key(|&index| self.mappings[index].used_at)
        {
            self.mappings.remove(oldest);
        }
        let mapping = Mapping::new(self.next_mapping, self.clock, dts_raw, target, now);
        self.next_mapping += 1;
        let step = mapping.step(self.clock, dts_raw);
        self.mappings.push(mapping);
        (self.mappings.len() - 1, step, event)
    }

    /// Where a frame belongs whose clock leapt, and what to call the leap.
    fn leap(&mut self, track: usize, dts_raw: u64, now: Duration) -> (MediaTime, Option<TimelineEvent>) {
        let state = &self.tracks[track];
        let frozen = state.is_frozen(dts_raw, now, FROZEN_AFTER).then(|| state.frozen_for(now));
        // A track that is new to the session goes beside the one that is furthest.
        let on_time = state
            .on_time_in_session()
            .or_else(|| self.tracks.iter().filter_map(TrackClock::on_time_in_session).max_by_key(|last| last.dts));
        let target = on_time.map_or(nanos(wall(now)), |last| last.next_after(now.saturating_sub(last.at)));
        if let Some(lasted) = frozen {
            self.counts.frozen = self.counts.frozen.saturating_add(1);
            return (target, Some(TimelineEvent::Frozen { lasted }));
        }
        let recent = self.mappings.iter().max_by_key(|mapping| (mapping.used_at, mapping.id));
        let by = recent.map_or(0, |mapping| mapping.step(self.clock, dts_raw).mapped - i128::from(target.as_nanos()));
        let event = if by < 0 && self.clock.to_nanos(i128::from(dts_raw)) < RESET_BELOW_NANOS {
            self.counts.resets = self.counts.resets.saturating_add(1);
            TimelineEvent::Reset { by: nanos(by) }
        } else {
            self.counts.jumps = self.counts.jumps.saturating_add(1);
            TimelineEvent::Jump { by: nanos(by) }
        };
        (target, Some(event))
    }

    fn forget_mappings(&mut self, now: Duration) {
        let Some(newest) = self.mappings.iter().map(|mapping| mapping.used_at).max() else { return };
        self.mappings
            .retain(|mapping| mapping.used_at == newest || now.saturating_sub(mapping.used_at) <= MAPPING_KEPT);
    }

    fn track_index(&mut self, id: TrackId, kind: MediaKind) -> usize {
        match self.tracks.iter().position(|track| track.id == id) {
            Some(index) => index,
            None => {
                self.tracks.push(TrackClock::new(id, kind));
                self.tracks.len() - 1
            }
        }
    }
}

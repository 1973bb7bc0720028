//! The beginning of a source: its tracks and frames are held until each sound that was announced has shown, so that everyone who follows
//! the stream begins with all sounds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_media::{TrackId, TrackInfo};

use crate::source_writer::RawFrame;

/// When a track has gone on for so long, in ticks of 90 kHz, and a sound still has not shown, the sound is not coming: muxers lay sound
/// within half a second of its picture.
const HELD_TICKS_MAX: u64 = 90_000;
/// The same limit by the clock, for a source that sends packets and hardly any frames.
const HELD_MAX: Duration = Duration::from_secs(2);
/// The most bytes that are held. A second of 100 Mb/s is 12.5 MB, and what the frames take beside their payloads needs room too.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Holds tracks, and each frame with the time at which it came. Once the source has opened, nothing is held any more.
#[derive(Debug)]
pub(crate) struct Opening {
    tracks: Vec<TrackInfo>,
    held: Vec<(RawFrame, Instant)>,
    /// The time of each track's first frame, because tracks need not begin at the same time.
    began: BTreeMap<TrackId, u64>,
    bytes: usize,
    is_long: bool,
}

impl Opening {
    pub(crate) fn new() -> Self {
        Self { tracks: Vec::new(), held: Vec::new(), began: BTreeMap::new(), bytes: 0, is_long: false }
    }

    /// Keeps a track for later. If half a list of tracks were told, pushes would refuse the tracks that they can't carry, although those
    /// that they can carry are still to come.
    pub(crate) fn tell(&mut self, info: TrackInfo) {
        self.tracks.retain(|known| known.id != info.id);
        self.tracks.push(info);
    }

    pub(crate) fn hold(&mut self, frame: RawFrame, now: Instant) {
        let began = *self.began.entry(frame.track).or_insert(frame.dts_ticks);
        // If the sender's count wraps at 2^33 or jumps, the track seems long at once, and nothing is held up by that.
        self.is_long |= frame.dts_ticks.abs_diff(began) >= HELD_TICKS_MAX;
        self.bytes += frame.payload.len() + size_of::<(RawFrame, Instant)>();
        self.held.push((frame, now));
    }

    /// Whether frames of that track are held.
    pub(crate) fn holds(&self, track: TrackId) -> bool {
        self.began.contains_key(&track)
    }

    /// Whether what is held may go on: no sound is awaited any more, or one was awaited for long enough.
    pub(crate) fn is_over(&self, awaits_sound: bool, now: Instant) -> bool {
        let waited = self.held.first().map(|(_, at)| now.saturating_duration_since(*at));
        waited.is_some_and(|waited| !awaits_sound || self.is_long || waited >= HELD_MAX || self.bytes >= HELD_BYTES_MAX)
    }

    pub(crate) fn into_parts(self) -> (Vec<TrackInfo>, Vec<(RawFrame, Instant)>) {
        (self.tracks, self.held)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(track: u32, dts_ticks: u64, bytes: usize) -> RawFrame {
        let payload = Bytes::from(vec![0; bytes]);
        RawFrame { track: TrackId(track), keyframe: true, dts_ticks, cts_ticks: 0, payload }
    }

    #[test]
    fn it_opens_when_nothing_is_awaited_or_too_much_is_held() {
        let now = Instant::now();
        // Each case has the frames that came (track, time and length), how much later it is, whether a sound is awaited, and whether the
        // source opens.
        for (came, later_ms, awaits, expected) in [
            (vec![], 0, false, false),
            (vec![(0, 0, 10)], 0, false, true),
            (vec![(0, 0, 10)], 0, true, false),
            (vec![(0, 0, 10), (0, 89_999, 10)], 0, true, false),
            (vec![(0, 0, 10), (0, 90_000, 10)], 0, true, true),
            // Pictures are ahead of their sound by more than a second, as in DVB, but neither track has gone on for so long.
            (vec![(0, 100_000, 10), (1, 0, 10), (0, 103_600, 10), (1, 2_160, 10)], 0, true, false),
            // The clock jumps back.
            (vec![(0, 1 << 33, 10), (0, 0, 10)], 0, true, true),
            (vec![(0, 0, 10)], 1_999, true, false),
            (vec![(0, 0, 10)], 2_000, true, true),
            (vec![(0, 0, HELD_BYTES_MAX)], 0, true, true),
        ] {
            let mut opening = Opening::new();
            came.iter().for_each(|(track, dts, bytes)| opening.hold(frame(*track, *dts, *bytes), now));
            let over = opening.is_over(awaits, now + Duration::from_millis(later_ms));
            assert_eq!(over, expected, "{came:?}, {later_ms} ms later, {awaits}");
        }
    }

    #[test]
    fn frames_without_bytes_take_room_too() {
        let now = Instant::now();
        let mut opening = Opening::new();
        let held = (0..).find(|_| {
            opening.hold(frame(1, 0, 0), now);
            opening.is_over(true, now)
        });
        assert!(held.is_some_and(|held| held < HELD_BYTES_MAX / 32), "{held:?}");
    }
}

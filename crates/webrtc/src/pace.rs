//! The pace says when the next batch may go. A viewer who joins gets the cached GOP faster than it was made, but not all at once: a burst
//! of a megabyte overflows the queues on the way, and a viewer misses a lost part of a keyframe for seconds.

use std::time::{Duration, Instant};

use weir_media::MediaTime;

/// The cached GOP goes out at so many times its own speed: a GOP of 2 s is there after a quarter of a second.
const SPEED: u32 = 8;

/// So many packets of a picture go out together, and then the next ones wait for so long. 38 kB every 4 ms are 77 Mbit/s: ten times what is
/// streamed, and a twentieth of a burst at line speed.
pub(crate) const PACKETS_AT_ONCE: usize = 32;
pub(crate) const BETWEEN: Duration = Duration::from_millis(4);

/// What is so much behind the newest of its rendition is cached, and what is less is live.
const LIVE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Pace {
    begun: Option<(Instant, MediaTime)>,
    is_live: bool,
}

impl Pace {
    /// When the batch of that time may go, given that it could go `now`. Live media is always due, because its own time passes more slowly
    /// than the pace.
    pub(crate) fn due(&mut self, time: MediaTime, now: Instant) -> Instant {
        let (begun, first) = *self.begun.get_or_insert((now, time));
        begun + time.since(first) / SPEED
    }

    /// Whether the sound of the batch of that time is sent, too. Cached pictures are needed for what follows, and a browser shows the newest of them at
    /// once. Cached sound it would play to its end, and hold the pictures back for it: a GOP of 2 s, half a second for half a minute. Once sound has
    /// begun, it is sent whatever comes late.
    pub(crate) fn sounds(&mut self, time: MediaTime, newest: MediaTime) -> bool {
        self.is_live |= newest.since(time) <= LIVE;
        self.is_live
    }

    /// Notes that the next batch does not follow on the one before, so the pace begins anew with it.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cached_is_held_back_and_what_is_live_is_not() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let at = MediaTime::from_millis;
        assert_eq!(pace.due(at(5_000), now), now);
        assert_eq!(pace.due(at(5_800), now), now + Duration::from_millis(100));
        let live = now + Duration::from_secs(60);
        assert!(pace.due(at(65_000), live) < live);
        pace.restart();
        assert_eq!(pace.due(at(0), live), live, "the timeline may begin anew");
        assert_eq!(pace.due(at(-50), live), live, "and sound may be before its start");
    }

    #[test]
    fn cached_sound_is_left_out_until_the_live_edge() {
        let (mut pace, at) = (Pace::default(), MediaTime::from_millis);
        let sounds = [(0, 2_000), (1_800, 2_000), (1_950, 2_033), (1_983, 2_500), (5_000, 4_000)]
            .map(|(time, newest)| pace.sounds(at(time), at(newest)));
        assert_eq!(sounds, [false, false, true, true, true]);
        pace.restart();
        assert!(!pace.sounds(at(5_000), at(6_000)));
    }
}

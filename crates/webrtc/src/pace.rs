//! When the next batch may go: a viewer who joins gets the cached GOP faster than it was made, but not all at once. A burst of a megabyte
//! overflows what is between the two, and what is lost of a keyframe is missed for seconds.

use std::time::{Duration, Instant};

use weir_media::MediaTime;

/// The cached GOP goes at so many times its own speed: a GOP of 2 s is there after a quarter of a second.
const SPEED: u32 = 8;

/// A picture's packets go this many at a time, this far apart. 38 kB each 4 ms are 77 Mbit/s: ten times what is streamed, and a twentieth of
/// what a burst at line speed is.
pub(crate) const PACKETS_AT_ONCE: usize = 32;
pub(crate) const BETWEEN: Duration = Duration::from_millis(4);

#[derive(Debug, Default)]
pub(crate) struct Pace {
    begun: Option<(Instant, MediaTime)>,
}

impl Pace {
    /// When the batch of that time may go, given that it could go `now`. What is live is always due: its time goes by more slowly.
    pub(crate) fn due(&mut self, time: MediaTime, now: Instant) -> Instant {
        let (begun, first) = *self.begun.get_or_insert((now, time));
        begun + time.since(first) / SPEED
    }

    /// What comes next does not follow on what went before.
    pub(crate) fn restart(&mut self) {
        self.begun = None;
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
}

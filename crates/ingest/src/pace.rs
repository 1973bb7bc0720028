//! Says when a frame is due that was fetched before its time, as from HLS: as far behind the first one as its decode time is.

use std::time::{Duration, Instant};

/// A clock that goes on by more than this has jumped, and its frames are due from now on.
const JUMP_TICKS: i64 = 10 * 90_000;
/// What is later than this is not caught up with.
const LATE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The decode time of the first frame since the last jump, and when it was due.
    began: Option<(i64, Instant)>,
    newest_ticks: i64,
}

impl Pace {
    /// When a frame is due whose decode time is so many ticks of 90 kHz.
    pub(crate) fn due_at(&mut self, ticks: i64, now: Instant) -> Instant {
        let (began_ticks, began_at) = *self.began.get_or_insert((ticks, now));
        let jumped = (ticks - self.newest_ticks).abs() > JUMP_TICKS;
        let behind = u64::try_from(ticks.saturating_sub(began_ticks)).unwrap_or(0);
        // A tick of 90 kHz is 100,000 / 9 nanoseconds.
        let due_at = began_at + Duration::from_nanos(behind.saturating_mul(100_000) / 9);
        if self.newest_ticks != 0 && jumped || now.saturating_duration_since(due_at) > LATE_MAX {
            self.began = Some((ticks, now));
            self.newest_ticks = ticks;
            return now;
        }
        self.newest_ticks = self.newest_ticks.max(ticks);
        due_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_due_as_they_play() {
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::default();
        // Each case has the decode time, when it is asked, and when the frame is due.
        for (ticks, asked_ms, due_ms) in [
            (900_000, 0, 0_u64),
            (903_000, 0, 33),
            (990_000, 10, 1_000),
            // Sound that lies behind its picture is due at once.
            (890_000, 20, 0),
            (1_080_000, 5_000, 2_000),
            // The clock jumps back, and on.
            (90_000, 6_000, 6_000),
            (180_000, 6_000, 7_000),
            (90_000_000, 6_500, 6_500),
            // It was away for too long to catch up.
            (90_090_000, 60_000, 60_000),
            (90_180_000, 60_000, 61_000),
        ] {
            let due = pace.due_at(ticks, after(asked_ms)) - start;
            assert_eq!(due.as_millis(), u128::from(due_ms), "{ticks} at {asked_ms}");
        }
    }
}

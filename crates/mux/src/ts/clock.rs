//! The 33-bit clock. It is unrolled once for all tracks of a programme, and counted on within a PES packet.

use super::{CLOCK_BITS, CLOCK_HZ};

const SPAN: i64 = 1 << CLOCK_BITS;

/// The distance from `before` to `after` on the 33-bit counter, by the shorter way round.
pub(super) fn distance(before: u64, after: u64) -> i64 {
    let ahead = (after.wrapping_sub(before) & (SPAN as u64 - 1)).cast_signed();
    if ahead >= SPAN / 2 { ahead - SPAN } else { ahead }
}

pub(super) const fn wrapped(ticks: i64) -> u64 {
    ticks.rem_euclid(SPAN).cast_unsigned()
}

/// Follows the counter over its wraps. All tracks share one, so that those before and behind a wrap stay together.
#[derive(Debug, Default)]
pub(super) struct Unroller {
    last: Option<i64>,
}

impl Unroller {
    pub(super) fn unroll(&mut self, raw: u64) -> i64 {
        let ticks = match self.last {
            None => raw.cast_signed(),
            Some(last) => last.saturating_add(distance(wrapped(last), raw)),
        };
        self.last = Some(ticks);
        ticks
    }
}

/// Where frames of sound lie in time. A PES packet gives the time of its first frame; counted samples give those of the others.
#[derive(Debug, Default)]
pub(super) struct SoundClock {
    base: Option<i64>,
    samples: u64,
}

impl SoundClock {
    pub(super) fn set(&mut self, ticks: i64) {
        (self.base, self.samples) = (Some(ticks), 0);
    }

    /// The time of the next frame, which has this many samples. `None` before a first time was given.
    pub(super) fn next(&mut self, samples: u32, rate_hz: u32) -> Option<i64> {
        // The samples so far are counted at the present rate, which does not change within one PES packet.
        let ahead = u128::from(self.samples) * u128::from(CLOCK_HZ) / u128::from(rate_hz.max(1));
        self.samples = self.samples.saturating_add(u64::from(samples));
        Some(self.base?.saturating_add(i64::try_from(ahead).unwrap_or(i64::MAX)))
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_are_unrolled_both_ways() {
        let mut unroller = Unroller::default();
        let last = SPAN as u64 - 1000;
        let raw = [last, 2000, last + 500, 5000];
        let unrolled = raw.map(|raw| unroller.unroll(raw) - last.cast_signed());
        assert_eq!(unrolled, [0, 3000, 500, 6000]);
        assert!(raw.iter().zip(unrolled).all(|(raw, ticks)| wrapped(ticks + last.cast_signed()) == *raw));
    }

    #[test]
    fn goes_the_shorter_way_round() {
        for (before, after, expected) in
            [(0, 3000, 3000), (3000, 0, -3000), (SPAN as u64 - 1, 2, 3), (2, SPAN as u64 - 1, -3), (7, 7, 0)]
        {
            assert_eq!(distance(before, after), expected, "{before} {after}");
        }
    }

    #[test]
    fn sound_is_counted_in_samples() {
        let mut clock = SoundClock::default();
        assert_eq!(clock.next(1024, 48_000), None);
        clock.set(90_000);
        let times: Vec<_> = (0..4).map(|_| clock.next(1024, 44_100).unwrap()).collect();
        assert_eq!(times, [90_000, 92_089, 94_179, 96_269]);
        assert_eq!(SoundClock { base: Some(i64::MAX), samples: u64::MAX }.next(9, 0), Some(i64::MAX));
    }
}

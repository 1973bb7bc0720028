//! Time on a stream's one timeline: integer nanoseconds, converted at the edges and never accumulated.

use std::fmt;
use std::ops::{Add, Sub};

/// Nanoseconds on a stream's timeline. Zero is the first frame of the stream's first session, for as long as the stream exists: what
/// the wall clock said then is kept ([`crate::ClockMark`]).
///
/// The unit is the nanosecond because RTMP counts milliseconds, TS 1/90,000 s and WebRTC 1/48,000 s: each is converted with an error
/// under 1 ns, and i64 lasts 292 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaTime(i64);

impl MediaTime {
    pub const ZERO: Self = Self(0);

    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The time of `ticks` of a clock of `rate_hz`, rounded down. i128 keeps 33-bit and 64-bit counts exact.
    pub fn from_ticks(ticks: i64, rate_hz: u32) -> Self {
        let nanos = i128::from(ticks) * 1_000_000_000 / i128::from(rate_hz.max(1));
        Self(i64::try_from(nanos).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX }))
    }

    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds, rounded to the nearest, so that a time that came from milliseconds goes back unchanged.
    pub const fn as_millis(self) -> i64 {
        self.0.saturating_add(500_000).div_euclid(1_000_000)
    }

    pub fn as_ticks(self, rate_hz: u32) -> i64 {
        let ticks = (i128::from(self.0) * i128::from(rate_hz) + 500_000_000).div_euclid(1_000_000_000);
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }

    /// Which of the slots of that length the time is in, counted from zero. A time that came from milliseconds is up to half a
    /// millisecond early: so much before a slot is in it.
    ///
    /// Encoders open each slot with a keyframe and segments begin where slots do, so that whoever makes a rendition, and whoever
    /// cuts it, does so at the same times without talking to anyone.
    pub fn slot(self, length: std::time::Duration) -> i64 {
        let length = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX).max(1);
        self.0.saturating_add(500_000).div_euclid(length)
    }

    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// How long after `earlier` this time is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add for MediaTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for MediaTime {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Debug for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_without_drift() {
        for millis in [0, 1, 33, 67, 1 << 24, (1 << 32) + 5] {
            assert_eq!(MediaTime::from_millis(millis).as_millis(), millis);
        }
        for ticks in [0, 1, 3003, (1 << 33) - 1, 1 << 40] {
            assert_eq!(MediaTime::from_ticks(ticks, 90_000).as_ticks(90_000), ticks);
        }
        assert_eq!(MediaTime::from_ticks(1, 0).as_nanos(), 1_000_000_000, "a rate of 0 is read as 1");
    }

    #[test]
    fn slots_are_opened_by_times_that_were_rounded_too() {
        let two = std::time::Duration::from_secs(2);
        for (nanos, slot) in [
            (0, 0),
            (1_999_499_999, 0),
            (1_999_500_000, 1),
            (2_000_000_000, 1),
            (3_999_000_000, 1),
            (-1_000_000, -1),
            (-500_000, 0),
        ] {
            assert_eq!(MediaTime::from_nanos(nanos).slot(two), slot, "{nanos}");
        }
        assert_eq!(
            MediaTime::from_nanos(i64::MAX).slot(std::time::Duration::ZERO),
            i64::MAX,
            "a length of 0 is read as 1 ns"
        );
    }

    #[test]
    fn saturates_instead_of_overflowing() {
        assert_eq!(MediaTime::from_ticks(i64::MAX, 1).as_nanos(), i64::MAX);
        assert_eq!(MediaTime::from_ticks(i64::MIN, 1).as_nanos(), i64::MIN);
        assert_eq!((MediaTime::from_nanos(i64::MAX) + MediaTime::from_nanos(1)).as_nanos(), i64::MAX);
    }
}

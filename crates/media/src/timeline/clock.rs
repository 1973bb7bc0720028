//! A wire clock: how fast it ticks and when its counter starts again.

use crate::MediaTime;

/// What a protocol's stamps count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireClock {
    pub rate_hz: u32,
    /// The counter starts again at 2^bits.
    pub bits: u8,
}

impl WireClock {
    /// Milliseconds in 32 bits: wraps after 49.7 days.
    pub const RTMP: Self = Self { rate_hz: 1_000, bits: 32 };
    /// 90 kHz in 33 bits: wraps after 26.5 hours.
    pub const MPEG_TS: Self = Self { rate_hz: 90_000, bits: 33 };

    pub(super) fn to_nanos(self, ticks: i128) -> i128 {
        // Ticks here are below 2^65, so that this stays far inside 2^127.
        ticks * 1_000_000_000 / i128::from(self.rate_hz.max(1))
    }

    pub(super) fn mask(self, raw: u64) -> u64 {
        mask(raw, self.bits)
    }
}

impl Default for WireClock {
    fn default() -> Self {
        Self::RTMP
    }
}

/// How far `raw` is from `before` on a counter of so many bits: the shorter way round.
pub(super) fn wrapping_distance(before: u64, raw: u64, bits: u8) -> i128 {
    let span = span(bits);
    let distance = (i128::from(raw) - i128::from(before)).rem_euclid(span);
    if distance >= span / 2 { distance - span } else { distance }
}

/// 2^bits; at least 2 and at most 2^64.
pub(super) fn span(bits: u8) -> i128 {
    1_i128 << bits.clamp(1, 64)
}

fn mask(raw: u64, bits: u8) -> u64 {
    if bits >= 64 { raw } else { raw & ((1 << bits.max(1)) - 1) }
}

/// Into the range of a `MediaTime`.
pub(super) fn nanos(nanos: i128) -> MediaTime {
    MediaTime::from_nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_the_shorter_way_round() {
        for (before, raw, bits, expected) in [
            (0, 40, 32, 40),
            (40, 0, 32, -40),
            ((1 << 32) - 10, 23, 32, 33),
            (23, (1 << 32) - 10, 32, -33),
            ((1 << 33) - 1, 3002, 33, 3003),
            (0, 1 << 31, 32, -(1_i128 << 31)),
            (u64::MAX, 0, 64, 1),
        ] {
            assert_eq!(wrapping_distance(before, raw, bits), expected, "{before} -> {raw} in {bits} bits");
        }
    }

    #[test]
    fn odd_clocks_are_read_as_the_nearest_sane_one() {
        assert_eq!(WireClock { rate_hz: 0, bits: 0 }.to_nanos(1), 1_000_000_000);
        assert_eq!(WireClock { rate_hz: 1, bits: 0 }.mask(3), 1);
        assert_eq!(WireClock { rate_hz: 1, bits: 200 }.mask(u64::MAX), u64::MAX);
    }
}

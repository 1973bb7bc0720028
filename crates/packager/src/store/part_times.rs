//! The lengths that playlists tell of a segment's parts.
//!
//! Shaka Player compares a part's start by the playlist with the time in the part, and throws parts away where the first is not a hair
//! later (docs/decisions/0006-times-of-parts.md). So starts are rounded up and told 10 µs late, but for the segment's own.

use std::time::Duration;

/// Playlists have five decimals: 10 µs.
const UNITS_PER_SECOND: u64 = 100_000;

/// A told length is at most so much longer than the part: 10 µs for rounding up, 10 µs for being late.
pub(crate) const MORE_MAX: Duration = Duration::from_micros(20);

/// Tells the parts of one segment, in their order.
#[derive(Debug)]
pub(crate) struct PartTimes {
    timescale: u64,
    /// Where the next part begins, from the start of the segment: truly, and as told.
    start_ticks: u64,
    told_units: u64,
}

impl PartTimes {
    pub(crate) fn new(timescale: u32) -> Self {
        Self { timescale: u64::from(timescale.max(1)), start_ticks: 0, told_units: 0 }
    }

    /// The told length of the next part, in seconds. It depends on the parts before it only, so it never changes.
    pub(crate) fn next(&mut self, duration_ticks: u64) -> f64 {
        self.start_ticks += duration_ticks;
        let end_units = self.start_ticks.saturating_mul(UNITS_PER_SECOND).div_ceil(self.timescale) + 1;
        let told = end_units - self.told_units;
        self.told_units = end_units;
        told as f64 / UNITS_PER_SECOND as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_told_late_and_lengths_stay_near_the_truth() {
        // Milliseconds of RTMP at 30 fps, thirds of a second exactly, sound at 44.1 kHz, one tick.
        let cases: [(u32, &[u64]); 4] = [
            (90_000, &[29_970, 30_060, 29_970, 29_970, 30_060, 29_970]),
            (90_000, &[30_000, 30_000, 30_000]),
            (44_100, &[14_336, 14_336, 14_336, 14_336, 14_336, 16_520]),
            (90_000, &[1, 1, 1]),
        ];
        for (timescale, parts) in cases {
            let mut times = PartTimes::new(timescale);
            let (mut start, mut told_start) = (0.0, 0.0);
            for (index, ticks) in parts.iter().enumerate() {
                let late = told_start - start;
                let expected = if index == 0 { 0.0..=0.0 } else { 9.9e-6..=20.1e-6 };
                assert!(expected.contains(&late), "part {index} of {parts:?} is told {late} s late");
                let (length, told) = (*ticks as f64 / f64::from(timescale), times.next(*ticks));
                let more = told - length;
                assert!(more <= MORE_MAX.as_secs_f64() + 1e-9, "part {index} of {parts:?} is told {more} s longer");
                start += length;
                told_start += told;
            }
        }
    }
}

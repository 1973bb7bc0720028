//! The lengths that playlists tell of a segment's parts.
//!
//! Shaka Player compares a part's start in the playlist with the time in the part itself, and throws the part away unless the playlist's
//! is a hair later (docs/decisions/0006-times-of-parts.md). So starts are rounded up and told 10 µs late, except that of the segment's
//! first part.

use std::time::Duration;

/// Lengths in playlists have five decimals, so their unit is 10 µs.
const UNITS_PER_SECOND: u64 = 100_000;

/// A told length is at most so much longer than the part: 10 µs for rounding up, and 10 µs for being late.
pub(crate) const MORE_MAX: Duration = Duration::from_micros(20);

/// Tells the lengths of the parts of one segment, in order.
#[derive(Debug)]
pub(crate) struct PartTimes {
    timescale: u64,
    /// Where the next part truly begins, counted from the start of the segment. `told_units` is where it begins by what was told.
    start_ticks: u64,
    told_units: u64,
}

impl PartTimes {
    pub(crate) fn new(timescale: u32) -> Self {
        Self { timescale: u64::from(timescale.max(1)), start_ticks: 0, told_units: 0 }
    }

    /// The length in seconds that is told of the next part. It depends only on this part and those before it, so it never changes.
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
        // The parts are of RTMP's milliseconds at 30 fps, of exact thirds of a second, of sound at 44.1 kHz, and of one tick each.
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

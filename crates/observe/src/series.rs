//! One figure over time, in bounded memory: every second of a quarter of an hour, and every ten seconds of a day.

use std::collections::VecDeque;

/// This many seconds are kept one by one.
pub const FINE_SECONDS: u64 = 15 * 60;

/// One point of the long view stands for so many seconds.
pub const COARSE_STEP_SECONDS: u64 = 10;

/// The long view reaches back this many seconds.
pub const COARSE_SECONDS: u64 = 24 * 3600;

const FINE_POINTS: usize = FINE_SECONDS as usize;
const COARSE_POINTS: usize = (COARSE_SECONDS / COARSE_STEP_SECONDS) as usize;

/// What a full series takes: 2 bytes for each of 900 + 8,640 points are 19 kB. A stream with four renditions has about 16 series (300
/// kB), a restream three (57 kB).
pub const SERIES_BYTES_MAX: usize = (FINE_POINTS + COARSE_POINTS) * size_of::<u16>();

/// A point's second follows from its place: `end` is the second after the newest point.
#[derive(Debug, Default)]
pub(crate) struct Series {
    fine: VecDeque<u16>,
    coarse: VecDeque<u16>,
    end: u64,
    /// The sum of the long view's point that is not complete yet.
    sum: f64,
    count: u32,
}

impl Series {
    /// Adds a second's value. Seconds that were left out become gaps; a second that has its value already keeps it.
    pub(crate) fn push(&mut self, second: u64, value: f64) {
        if self.fine.is_empty() || second >= self.end + COARSE_SECONDS {
            *self = Self { end: second, ..Self::default() };
        }
        if second < self.end {
            return;
        }
        while self.end < second {
            self.push_next(None);
        }
        self.push_next(Some(value));
    }

    /// The second after the newest point.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The points of the seconds from..to; a gap is None.
    pub(crate) fn fine(&self, from: u64, to: u64) -> Vec<Option<f64>> {
        let first = self.end - self.fine.len() as u64;
        let at = |second: u64| self.fine.get(usize::try_from(second.checked_sub(first)?).ok()?).copied();
        (from..to).map(|second| at(second).and_then(unpacked)).collect()
    }

    /// The points in steps of [`COARSE_STEP_SECONDS`]; `from` and `to` count steps.
    pub(crate) fn coarse(&self, from: u64, to: u64) -> Vec<Option<f64>> {
        let first = self.end / COARSE_STEP_SECONDS - self.coarse.len() as u64;
        let at = |step: u64| self.coarse.get(usize::try_from(step.checked_sub(first)?).ok()?).copied();
        (from..to).map(|step| at(step).and_then(unpacked)).collect()
    }

    fn push_next(&mut self, value: Option<f64>) {
        put(&mut self.fine, packed(value), FINE_POINTS);
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
        self.end += 1;
        if self.end.is_multiple_of(COARSE_STEP_SECONDS) {
            let mean = (self.count > 0).then(|| self.sum / f64::from(self.count));
            put(&mut self.coarse, packed(mean), COARSE_POINTS);
            (self.sum, self.count) = (0.0, 0);
        }
    }
}

fn put(points: &mut VecDeque<u16>, point: u16, points_max: usize) {
    if points.len() == points_max {
        points.pop_front();
    } else if points.len() == points.capacity() {
        // By itself the memory would double beyond what is ever used.
        points.reserve_exact((points_max - points.len()).min(points.len().max(16)));
    }
    points.push_back(point);
}

const GAP: u16 = u16::MAX;
const MANTISSA_BITS: u32 = 11;
const MANTISSA_MAX: u64 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_MAX: u32 = 30;
/// A value is kept in thousandths: rates of pictures and keyframes have decimals.
const PER_ONE: f64 = 1_000.0;

/// Packs thousandths into an unsigned float of 16 bits: 11 bits of mantissa
/// are 0.05 % of the value, and 5 bits of exponent reach 2 Gbps x 1000.
fn packed(value: Option<f64>) -> u16 {
    let Some(value) = value.filter(|value| value.is_finite()) else { return GAP };
    // The cast saturates.
    let thousandths = (value.max(0.0) * PER_ONE).round() as u64;
    let bits = |value: u64| u64::BITS - value.leading_zeros();
    let shift = bits(thousandths).saturating_sub(MANTISSA_BITS);
    // The mantissa is rounded to the nearest, which may need one bit more.
    let rounded = thousandths.saturating_add((1 << shift) >> 1);
    let exponent = bits(rounded).saturating_sub(MANTISSA_BITS);
    if exponent > EXPONENT_MAX {
        return (EXPONENT_MAX << MANTISSA_BITS) as u16 | MANTISSA_MAX as u16;
    }
    (exponent << MANTISSA_BITS) as u16 | (rounded >> exponent) as u16
}

fn unpacked(point: u16) -> Option<f64> {
    if point == GAP {
        return None;
    }
    let (exponent, mantissa) = (u32::from(point) >> MANTISSA_BITS, u64::from(point) & MANTISSA_MAX);
    Some((mantissa << exponent) as f64 / PER_ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_within_a_tenth_of_a_percent() {
        for value in [0.0, 0.001, 1.0, 2.047, 29.97, 59.94, 128_000.0, 5_234_567.0, 1.9e9] {
            let back = unpacked(packed(Some(value))).unwrap();
            assert!((back - value).abs() <= value * 0.001, "{value} is {back}");
        }
        assert_eq!(unpacked(packed(Some(f64::NAN))), None);
        assert_eq!(unpacked(packed(Some(-1.0))), Some(0.0));
        assert!(unpacked(packed(Some(1e300))).unwrap() > 2e9, "what is too much is the most there is");
    }

    #[test]
    fn seconds_gaps_and_means() {
        let mut series = Series::default();
        for second in (100..120).filter(|second| *second != 105) {
            series.push(second, second as f64);
        }
        series.push(110, 0.0);
        let rounded = |points: Vec<Option<f64>>| -> Vec<Option<f64>> {
            points.into_iter().map(|point| point.map(f64::round)).collect()
        };
        assert_eq!(rounded(series.fine(99, 102)), [None, Some(100.0), Some(101.0)]);
        assert_eq!(rounded(series.fine(104, 107)), [Some(104.0), None, Some(106.0)]);
        assert_eq!(rounded(series.fine(119, 122)), [Some(119.0), None, None]);
        // 100 to 109 without 105 are 940 / 9 = 104.4 in the mean, 110 to 119 are 114.5, kept as 114.496.
        assert_eq!(rounded(series.coarse(9, 13)), [None, Some(104.0), Some(114.0), None]);
    }

    #[test]
    fn a_day_takes_no_more_than_it_says() {
        let mut series = Series::default();
        for second in 0..COARSE_SECONDS + 5_000 {
            series.push(second, 1.0);
        }
        assert_eq!((series.fine.len(), series.coarse.len()), (FINE_POINTS, COARSE_POINTS));
        assert!((series.fine.capacity() + series.coarse.capacity()) * 2 <= SERIES_BYTES_MAX + 64);
        // A day of silence is not filled in second by second.
        series.push(10 * COARSE_SECONDS, 7.0);
        assert_eq!(
            (series.fine.len(), series.fine(10 * COARSE_SECONDS, 10 * COARSE_SECONDS + 1)),
            (1, vec![Some(7.0)])
        );
    }
}

//! Notices when a source's bitrate falls: the first sign of trouble on the way from the encoder.
//!
//! What is usual is what three quarters of the last half minute were above. An encoder's first burst and its keyframes are too short
//! to move that, however large they are: where they come seldom the quarter lies between them, where they come often the bitrate,
//! which is a mean over two seconds, has them in it all the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use weir_model::Warning;

/// The first seconds of a session say nothing of the usual: encoders begin with a burst.
const IGNORED_AT_FIRST: Duration = Duration::from_secs(5);

/// The status looks twice a second, and more often when something happens: those looks would count a moment twice.
const REMEMBERED_EVERY: Duration = Duration::from_millis(400);

/// Half a minute at two looks a second.
const REMEMBERED_MAX: usize = 60;

/// Five seconds of looks: fewer do not say what is usual.
const REMEMBERED_MIN: usize = 10;

/// Below this share of the usual for [`FALLEN_FOR`]: fallen. Scene changes of variable-rate encoders stay above.
const FALLEN_SHARE: f64 = 0.65;

/// A bitrate that is halved at once is below the share after 1.4 s, because it is a mean over 2 s; it is told about 3.5 s after.
const FALLEN_FOR: Duration = Duration::from_millis(1_500);

/// What has been low for so long is the usual now.
const LOW_IS_USUAL_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct BitrateWatch {
    began_at: Option<Instant>,
    /// Of looks at a bitrate that was not low, oldest first.
    remembered: VecDeque<f64>,
    remembered_at: Option<Instant>,
    low_since: Option<(Instant, OffsetDateTime)>,
}

impl BitrateWatch {
    pub(crate) fn look(&mut self, bitrate_bps: u64, now: Instant, wall: OffsetDateTime) -> Option<Warning> {
        let bitrate = bitrate_bps as f64;
        let began_at = *self.began_at.get_or_insert(now);
        if now.saturating_duration_since(began_at) < IGNORED_AT_FIRST {
            return None;
        }
        let Some(usual) = self.usual().filter(|usual| bitrate < usual * FALLEN_SHARE) else {
            self.low_since = None;
            self.remember(bitrate, now);
            return None;
        };
        let (since, since_wall) = *self.low_since.get_or_insert((now, wall));
        let low_for = now.saturating_duration_since(since);
        if low_for >= LOW_IS_USUAL_AFTER {
            self.remembered.clear();
            self.low_since = None;
            return None;
        }
        (low_for >= FALLEN_FOR).then(|| Warning {
            code: "bitrate_drop".to_owned(),
            message: format!("{:.0} kbps arrive where {:.0} kbps are usual", bitrate / 1_000.0, usual / 1_000.0),
            since: since_wall,
        })
    }

    /// What a quarter of the looks were below; None while there are too few.
    fn usual(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.remembered.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 4).copied().filter(|_| sorted.len() >= REMEMBERED_MIN)
    }

    fn remember(&mut self, bitrate: f64, now: Instant) {
        if self.remembered_at.is_some_and(|at| now.saturating_duration_since(at) < REMEMBERED_EVERY) {
            return;
        }
        self.remembered_at = Some(now);
        self.remembered.push_back(bitrate);
        if self.remembered.len() > REMEMBERED_MAX {
            self.remembered.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `GopMeter` makes of a source: the mean of the last two seconds, twice a second. `kilobits` says what comes in each tenth
    /// of a second.
    fn looks(seconds: usize, kilobits: impl Fn(usize) -> f64) -> Vec<u64> {
        let came: Vec<f64> = (0..seconds * 10).map(kilobits).collect();
        let mean = |end: usize| {
            let window = &came[end.saturating_sub(20)..end];
            (window.iter().sum::<f64>() * 10_000.0 / window.len() as f64) as u64
        };
        (1..=seconds * 2).map(|look| mean(look * 5)).collect()
    }

    /// When it was told, in half seconds from the start.
    fn told(looks: &[u64]) -> Vec<usize> {
        let (start, mut watch) = (Instant::now(), BitrateWatch::default());
        let mut look = |(index, bps): (usize, &u64)| {
            let now = start + Duration::from_millis(500 * index as u64);
            watch.look(*bps, now, OffsetDateTime::UNIX_EPOCH).map(|_| index)
        };
        looks.iter().enumerate().filter_map(&mut look).collect()
    }

    /// The same numbers for the same seed.
    fn chance(seed: usize, at: usize) -> f64 {
        let mut mixed =
            (seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (at as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ (mixed >> 32)) % 1_000) as f64 / 1_000.0
    }

    /// A steady source: its first burst, its keyframes, and a wobble of a fifth up and down.
    fn steady(seed: usize) -> impl Fn(usize) -> f64 {
        let burst_for = (chance(seed, 1) * 40.0) as usize;
        let burst = 1.5 + chance(seed, 2) * 3.0;
        let gop = 10 + (chance(seed, 3) * 90.0) as usize;
        let keyframe_share = chance(seed, 4) * 0.7;
        move |tenth| {
            let frames = 60.0 * (1.0 - keyframe_share) * (0.8 + 0.4 * chance(seed, 100 + tenth));
            let keyframe = if tenth % gop == 0 { 60.0 * keyframe_share * gop as f64 } else { 0.0 };
            (frames + keyframe) * if tenth < burst_for { burst } else { 1.0 }
        }
    }

    #[test]
    fn fifty_starts_of_a_steady_source_tell_nothing() {
        for seed in 0..50 {
            let found = told(&looks(120, steady(seed)));
            assert!(found.is_empty(), "start {seed}: told at {found:?}");
        }
    }

    /// As seen: 960 kbps in the first seconds, 510 from then on.
    #[test]
    fn the_first_burst_is_not_the_usual() {
        for burst_tenths in [10, 20, 40, 60] {
            let found = told(&looks(60, |tenth| if tenth < burst_tenths { 96.0 } else { 51.0 }));
            assert!(found.is_empty(), "a burst of {burst_tenths} tenths: told at {found:?}");
        }
    }

    #[test]
    fn a_half_is_told_within_six_seconds_and_is_the_usual_in_the_end() {
        for seed in 0..50 {
            let steady = steady(seed);
            for fell_at in [15, 40, 90] {
                let found =
                    told(&looks(fell_at + 60, |tenth| steady(tenth) * if tenth >= fell_at * 10 { 0.4 } else { 1.0 }));
                let (fell, first) = (fell_at * 2, found.first().copied());
                assert!(first.is_some_and(|at| at >= fell && at <= fell + 12), "start {seed}: {first:?} after {fell}");
            }
        }
        let halved = |tenth| if tenth >= 300 { 50.0 } else { 100.0 };
        let found = told(&looks(90, halved));
        assert!(found.first().is_some_and(|at| (60..=68).contains(at)), "{found:?}");
        assert!(found.last().is_some_and(|at| *at <= 60 + 70), "it ends when low is the new usual: {found:?}");
    }

    #[test]
    fn a_moment_is_no_fall_and_a_return_ends_it() {
        let dip = |from: usize, to: usize| move |tenth| if (from..to).contains(&tenth) { 30.0 } else { 100.0 };
        assert!(told(&looks(60, dip(300, 310))).is_empty(), "one second is a scene");
        let found = told(&looks(60, dip(300, 360)));
        assert!(found.last().is_some_and(|at| *at < 76), "over two seconds after it returned: {found:?}");
    }
}

//! A limiter that looks ahead: no peak, not even one between two samples, goes over the ceiling, and its gain moves smoothly.

use std::collections::VecDeque;

/// The ceiling is -1 dBTP, as EBU R128 and streaming platforms ask for,
/// and a tenth of a dB below, since peaks between samples are estimated.
const CEILING: f32 = 0.881;

/// The points from one sample to the next that are looked at: BS.1770 asks for fourfold oversampling.
const PHASES: usize = 4;
/// The samples that a point between two samples is computed from; it lies in their middle.
const TAPS: usize = 12;

/// The limiter looks ahead, and so delays, by 5 ms: short beside a picture, and long beside the period of what can be heard as a click.
const AHEAD_PER_SECOND: u32 = 200;
/// How fast the gain comes back after a peak: in about a fifth of a second.
const RELEASE_PER_SECOND: f32 = 5.0;

#[derive(Debug)]
pub(crate) struct Limiter<const CHANNELS: usize> {
    /// The frames on their way out.
    delay: VecDeque<[f32; CHANNELS]>,
    ahead: usize,
    filter: [[f32; TAPS]; PHASES - 1],
    /// A point between samples is at most this many times larger than the largest sample.
    overshoot_max: f32,
    /// The lowest gains that the frames ahead ask for, with the frames' numbers, the lowest first.
    lowest: VecDeque<(u64, f32)>,
    number: u64,
    held: f32,
    release: f32,
    /// The gains whose mean is applied.
    gains: VecDeque<f32>,
    sum: f64,
}

impl<const CHANNELS: usize> Limiter<CHANNELS> {
    pub(crate) fn new(rate_hz: u32) -> Self {
        let ahead = (rate_hz / AHEAD_PER_SECOND).max(2 * TAPS as u32) as usize;
        let filter = std::array::from_fn(|phase| taps((phase + 1) as f64 / PHASES as f64));
        let gain_of = |taps: &[f32; TAPS]| taps.iter().map(|tap| tap.abs()).sum::<f32>();
        // The mean is taken over fewer frames than lie ahead, so that all of its gains know of the peak that comes out now; a peak
        // between samples is known half a filter later.
        let averaged = ahead - TAPS / 2;
        Self {
            delay: VecDeque::from(vec![[0.0; CHANNELS]; ahead]),
            ahead,
            overshoot_max: filter.iter().map(gain_of).fold(1.0, f32::max),
            filter,
            lowest: VecDeque::new(),
            number: 0,
            held: 1.0,
            release: RELEASE_PER_SECOND / rate_hz as f32,
            gains: VecDeque::from(vec![1.0; averaged]),
            sum: averaged as f64,
        }
    }

    /// Takes a frame and gives the one of 5 ms ago.
    pub(crate) fn next(&mut self, frame: [f32; CHANNELS]) -> [f32; CHANNELS] {
        self.delay.push_back(frame);
        let peak = self.peak();
        let wanted = if peak > CEILING { CEILING / peak } else { 1.0 };
        // This keeps the lowest gain of the window without looking at all of it each time.
        while self.lowest.pop_back_if(|(_, gain)| *gain >= wanted).is_some() {}
        self.lowest.push_back((self.number, wanted));
        while self.lowest.pop_front_if(|(number, _)| *number + (self.ahead as u64) < self.number).is_some() {}
        self.number += 1;
        let lowest = self.lowest.front().map_or(1.0, |(_, gain)| *gain);
        self.held = lowest.min(self.held + (1.0 - self.held) * self.release);
        self.gains.push_back(self.held);
        self.sum += f64::from(self.held) - f64::from(self.gains.pop_front().unwrap_or(1.0));
        let gain = (self.sum / self.gains.len() as f64) as f32;
        let out = self.delay.pop_front().unwrap_or(frame);
        out.map(|sample| (sample * gain).clamp(-1.0, 1.0))
    }

    /// The highest value of the newest frame, and of the points between samples half a filter ago.
    fn peak(&self) -> f32 {
        let newest = |back: usize| self.delay[self.delay.len() - 1 - back];
        let largest = |frame: [f32; CHANNELS]| frame.iter().fold(0.0f32, |most, sample| most.max(sample.abs()));
        let peak = largest(newest(0));
        let around = (0..TAPS).map(|back| largest(newest(back))).fold(0.0f32, f32::max);
        if around * self.overshoot_max <= CEILING {
            return peak;
        }
        let point = |taps: &[f32; TAPS], channel: usize| -> f32 {
            taps.iter().enumerate().map(|(back, tap)| newest(back)[channel] * tap).sum()
        };
        let points = self.filter.iter().flat_map(|taps| (0..CHANNELS).map(move |channel| point(taps, channel).abs()));
        points.fold(peak, f32::max)
    }
}

/// A windowed sinc that gives the point `between` two samples in its middle.
fn taps(between: f64) -> [f32; TAPS] {
    let half = TAPS as f64 / 2.0;
    let mut taps: [f64; TAPS] = std::array::from_fn(|tap| {
        let x = tap as f64 - (half - between);
        let sinc = if x.abs() < 1e-9 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        let window = 0.5 + 0.5 * (std::f64::consts::PI * x / (half + 0.5)).cos();
        sinc * window
    });
    let sum: f64 = taps.iter().sum();
    taps.iter_mut().for_each(|tap| *tap /= sum);
    taps.map(|tap| tap as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    fn limited(samples: impl IntoIterator<Item = f32>) -> Vec<f32> {
        let mut limiter = Limiter::<1>::new(RATE);
        samples.into_iter().map(|sample| limiter.next([sample])[0]).collect()
    }

    #[test]
    fn what_is_below_the_ceiling_is_only_delayed() {
        let ramp: Vec<f32> = (0..2_000).map(|at| (at as f32 / 50.0).sin() * 0.5).collect();
        let out = limited(ramp.clone());
        let delay = (RATE / AHEAD_PER_SECOND) as usize;
        assert!(out[..delay].iter().all(|sample| *sample == 0.0));
        assert!(out[delay..].iter().zip(&ramp).all(|(out, sample)| (out - sample).abs() < 1e-6));
    }

    #[test]
    fn no_peak_goes_over_the_ceiling() {
        for (what, at) in [("a click", 1_000..1_001), ("a burst", 1_000..1_500), ("two clicks", 1_000..1_002)] {
            let out = limited((0..8_000).map(|now| if at.contains(&now) { 4.0 } else { 0.1 }));
            let peak = out.iter().fold(0.0f32, |most, sample| most.max(sample.abs()));
            assert!(peak <= CEILING + 1e-4, "{what}: {peak}");
            // The first 300 frames are skipped: they lie in the delay.
            let steps = out[300..].windows(2).map(|pair| (pair[1] - pair[0]).abs()).filter(|step| *step < 0.5);
            assert!(steps.fold(0.0, f32::max) < 0.01, "{what}: but for the click itself the gain moves smoothly");
            assert!((out[7_999] - 0.1).abs() < 0.06, "{what}: {}", out[7_999]);
        }
    }

    #[test]
    fn peaks_between_samples_are_seen() {
        // A wave of a quarter of the rate, sampled beside its peaks: its samples of 1.0 belong to a wave of 1.414.
        let wave = |at: u32| (f64::from(at) * std::f64::consts::FRAC_PI_2 + std::f64::consts::FRAC_PI_4).sin() as f32;
        let out = limited((0..9_600).map(|at| wave(at) * std::f32::consts::SQRT_2));
        let peak = out[4_800..].iter().fold(0.0f32, |most, sample| most.max(sample.abs()));
        // The samples are 3 dB below the wave's peak.
        assert!((0.58..=CEILING / std::f32::consts::SQRT_2 + 0.02).contains(&peak), "{peak}");
    }
}

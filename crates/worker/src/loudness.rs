//! Brings sound to a loudness (EBU R128) as it passes: it is measured first, then gets
//! a gain that moves slowly, and a limiter behind it. There is no GStreamer here.

use ebur128::{EbuR128, Mode};
use weir_pipeline::AudioOutput;

use crate::element::BuildFault;
use crate::limiter::Limiter;

const CHANNELS: usize = AudioOutput::CHANNELS as usize;
const BYTES_PER_SAMPLE: usize = size_of::<f32>();

/// How often the gain is decided anew: R128's momentary loudness is that of the last 400 ms.
const LOOK_EVERY_FRAMES: usize = AudioOutput::SAMPLE_RATE_HZ as usize / 10;
/// Sound that is quieter than this is silence, or a room's noise: it
/// says nothing of how loud the programme is, and is not raised further.
const GATE_LUFS: f64 = -50.0;
/// Sound that is so much quieter than the rest is a pause (R128 excludes what
/// is 10 LU below its integrated loudness; we know less of the programme).
const GATE_BELOW_LU: f64 = 15.0;
/// The programme's loudness is a mean over this many looks, ten seconds: longer than a sentence, shorter than a song.
const MEMORY_LOOKS: f64 = 100.0;
/// The gain moves so slowly that a listener only hears somebody speak up.
const SLEW_DB_PER_SECOND: f64 = 1.0;
/// A higher gain brings up the noise of the recording.
const GAIN_MAX_DB: f64 = 24.0;
const GAIN_MIN_DB: f64 = -36.0;

pub(crate) struct Leveller {
    target_lufs: f64,
    meter: EbuR128,
    /// The frames since the gain was last decided.
    unlooked: usize,
    /// The programme's mean power, weighted as loudness is, and how many looks are in it, [`MEMORY_LOOKS`] at most.
    power: f64,
    looks: f64,
    gain_db: f64,
    wanted_db: f64,
    limiter: Limiter<CHANNELS>,
    /// A buffer that is reused from call to call.
    samples: Vec<f32>,
}

impl Leveller {
    pub(crate) fn new(target_lufs: f64) -> Result<Self, BuildFault> {
        let meter = EbuR128::new(u32::from(AudioOutput::CHANNELS), AudioOutput::SAMPLE_RATE_HZ, Mode::M);
        Ok(Self {
            target_lufs,
            meter: meter.map_err(|error| BuildFault(format!("loudness can't be measured: {error}")))?,
            unlooked: 0,
            power: 0.0,
            looks: 0.0,
            gain_db: 0.0,
            wanted_db: 0.0,
            limiter: Limiter::new(AudioOutput::SAMPLE_RATE_HZ),
            samples: Vec::new(),
        })
    }

    /// Processes a buffer of interleaved F32LE.
    pub(crate) fn process_bytes(&mut self, bytes: &mut [u8]) {
        let mut samples = std::mem::take(&mut self.samples);
        samples.clear();
        // A sample that is not a finite number would stay in the meter's filters for ever.
        let number = |bytes: &[u8; BYTES_PER_SAMPLE]| Some(f32::from_le_bytes(*bytes)).filter(|it| it.is_finite());
        samples.extend(bytes.as_chunks().0.iter().map(|bytes| number(bytes).unwrap_or_default()));
        self.process(&mut samples);
        for (to, sample) in bytes.as_chunks_mut().0.iter_mut().zip(&samples) {
            *to = sample.to_le_bytes();
        }
        self.samples = samples;
    }

    /// Processes interleaved samples, which must be finite.
    pub(crate) fn process(&mut self, samples: &mut [f32]) {
        let mut rest = samples.as_chunks_mut::<CHANNELS>().0;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(rest.len().min(LOOK_EVERY_FRAMES - self.unlooked));
            rest = later;
            // The meter only refuses what is not a whole number of frames.
            let _ = self.meter.add_frames_f32(now.as_flattened());
            self.amplify(now);
            self.unlooked += now.len();
            if self.unlooked == LOOK_EVERY_FRAMES {
                self.unlooked = 0;
                self.look();
            }
        }
    }

    /// Applies the gain, which moves with every frame: a step would be a click.
    fn amplify(&mut self, frames: &mut [[f32; CHANNELS]]) {
        let step_db = SLEW_DB_PER_SECOND / f64::from(AudioOutput::SAMPLE_RATE_HZ);
        let mut gain = ratio(self.gain_db);
        let (up, down) = (ratio(step_db), ratio(-step_db));
        for frame in frames {
            if self.gain_db < self.wanted_db - step_db {
                self.gain_db += step_db;
                gain *= up;
            } else if self.gain_db > self.wanted_db + step_db {
                self.gain_db -= step_db;
                gain *= down;
            }
            let louder = frame.map(|sample| (f64::from(sample) * gain) as f32);
            *frame = self.limiter.next(louder);
        }
    }

    fn look(&mut self) {
        let loudness = self.meter.loudness_momentary().unwrap_or(f64::NEG_INFINITY);
        let pause = self.looks > 0.0 && loudness < self.programme_lufs() - GATE_BELOW_LU;
        if loudness < GATE_LUFS || pause {
            // A pause that lasts is the programme: what was loud is forgotten little by little.
            self.looks = if loudness < GATE_LUFS { self.looks } else { (self.looks - 1.0).max(0.0) };
            return;
        }
        // At first it is a plain mean, so that the loudness of a source is known long before the whole memory is filled.
        self.looks = (self.looks + 1.0).min(MEMORY_LOOKS);
        self.power += (10f64.powf(loudness / 10.0) - self.power) / self.looks;
        self.wanted_db = (self.target_lufs - self.programme_lufs()).clamp(GAIN_MIN_DB, GAIN_MAX_DB);
    }

    fn programme_lufs(&self) -> f64 {
        10.0 * self.power.log10()
    }
}

/// The ratio of amplitudes that a number of decibels stands for.
fn ratio(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: usize = AudioOutput::SAMPLE_RATE_HZ as usize;

    /// A sine of 997 Hz on both channels: at 0 dBFS it has 0 LUFS (two channels of -3.01 each, by BS.1770).
    fn sine(lufs: f64, seconds: usize) -> Vec<f32> {
        let peak = ratio(lufs);
        (0..seconds * RATE)
            .flat_map(|frame| {
                let phase = frame as f64 * 997.0 / RATE as f64 * std::f64::consts::TAU;
                [(phase.sin() * peak) as f32; CHANNELS]
            })
            .collect()
    }

    fn lufs(samples: &[f32]) -> f64 {
        let mut meter = EbuR128::new(2, RATE as u32, Mode::I | Mode::TRUE_PEAK).unwrap();
        meter.add_frames_f32(samples).unwrap();
        meter.loudness_global().unwrap()
    }

    fn true_peak_db(samples: &[f32]) -> f64 {
        let mut meter = EbuR128::new(2, RATE as u32, Mode::TRUE_PEAK).unwrap();
        meter.add_frames_f32(samples).unwrap();
        20.0 * meter.true_peak(0).unwrap().max(meter.true_peak(1).unwrap()).log10()
    }

    /// Levels the samples in pieces as decoders give them.
    fn levelled(target: f64, mut samples: Vec<f32>) -> Vec<f32> {
        let mut leveller = Leveller::new(target).unwrap();
        samples.chunks_mut(1024 * CHANNELS).for_each(|piece| leveller.process(piece));
        samples
    }

    fn seconds(samples: &[f32], range: std::ops::Range<usize>) -> &[f32] {
        &samples[range.start * RATE * CHANNELS..range.end * RATE * CHANNELS]
    }

    #[test]
    fn whatever_comes_ends_at_the_target() {
        for (comes, target) in [(-35.0, -23.0), (-35.0, -14.0), (-23.0, -23.0), (-8.0, -23.0), (-12.0, -16.0)] {
            let out = levelled(target, sine(comes, 30));
            let end = lufs(seconds(&out, 25..30));
            assert!((end - target).abs() < 1.0, "{comes} to {target}: {end}");
        }
    }

    #[test]
    fn the_gain_never_jumps() {
        let out = levelled(-14.0, [sine(-30.0, 5), sine(-18.0, 10), sine(-30.0, 5)].concat());
        let whole = [sine(-30.0, 5), sine(-18.0, 10), sine(-30.0, 5)].concat();
        // The gain of each second.
        let gains: Vec<f64> =
            (0..20).map(|at| lufs(seconds(&out, at..at + 1)) - lufs(seconds(&whole, at..at + 1))).collect();
        for pair in gains.windows(2) {
            assert!((pair[1] - pair[0]).abs() < SLEW_DB_PER_SECOND + 0.2, "{gains:?}");
        }
    }

    #[test]
    fn silence_and_noise_are_not_raised() {
        let silent = levelled(-14.0, vec![0.0; 10 * RATE * CHANNELS]);
        assert!(silent.iter().all(|sample| *sample == 0.0));
        let noise = levelled(-14.0, sine(-55.0, 10));
        assert!((lufs(seconds(&noise, 5..10)) - -55.0).abs() < 0.5);
        // During a pause the gain stays as it was.
        let out = levelled(-23.0, [sine(-23.0, 5), sine(-60.0, 20), sine(-23.0, 3)].concat());
        assert!((lufs(seconds(&out, 20..25)) - -60.0).abs() < 1.0);
        assert!((lufs(seconds(&out, 25..28)) - -23.0).abs() < 1.0);
    }

    #[test]
    fn a_source_that_becomes_quieter_for_good_is_raised_again() {
        let out = levelled(-23.0, [sine(-20.0, 12), sine(-40.0, 50)].concat());
        let end = lufs(seconds(&out, 58..62));
        assert!((end - -23.0).abs() < 1.0, "{end}");
    }

    #[test]
    fn nothing_is_clipped() {
        // The sound is quiet for long, so that the gain is high, and then as loud as can be.
        let out = levelled(-14.0, [sine(-36.0, 24), sine(0.0, 4)].concat());
        let peak = true_peak_db(&out);
        assert!(peak <= -0.9, "{peak} dBTP");
    }

    #[test]
    fn what_is_no_number_is_silence() {
        let mut bytes: Vec<u8> =
            [f32::NAN, f32::INFINITY, 0.5, -0.5].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut leveller = Leveller::new(-23.0).unwrap();
        leveller.process_bytes(&mut bytes);
        let mut later: Vec<u8> = sine(-20.0, 1).iter().flat_map(|sample| sample.to_le_bytes()).collect();
        leveller.process_bytes(&mut later);
        let numbers = later.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        assert!(numbers.clone().all(f32::is_finite) && numbers.into_iter().any(|sample| sample > 0.05));
    }
}

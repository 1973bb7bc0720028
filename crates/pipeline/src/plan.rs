//! What one worker runs: every encode of a stream, as data that says all that the graph needs.

use serde::{Deserialize, Serialize};
use weir_model::{AudioCodec, PictureSettings, SoundSettings};

use crate::Memory;

/// The number of an encode. It follows from what is encoded, so equal wishes
/// are one encode, and a plan that changes does not touch what stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutputId(pub u32);

/// All that a worker runs. It may be given another plan at any time, and changes only what differs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerPlan {
    /// Where the source is decoded; its pictures stay in that memory up to the encoders.
    pub decode_in: Memory,
    pub video: Vec<VideoOutput>,
    pub audio: Vec<AudioOutput>,
}

/// One encode of the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoOutput {
    pub id: OutputId,
    pub picture: PictureSettings,
    /// The name of the file in `pipelines/encoders`, without its ending.
    pub encoder: String,
    /// The device's index where the family has devices.
    pub device: Option<u32>,
    /// The pictures come into system memory between scaler and encoder, where a
    /// logo can be laid over them. Those of software encoders are there anyway.
    pub overlaid: bool,
}

impl VideoOutput {
    /// The frame rate; None means every picture of the source.
    pub fn fps(&self) -> Option<Fps> {
        self.picture.fps.map(Fps::new)
    }

    /// A keyframe opens every slot of this length.
    pub fn gop_ms(&self) -> u32 {
        (self.picture.gop_seconds * 1000.0).round() as u32
    }
}

/// One encode of one of the source's sounds, at 48 kHz in stereo, which every destination takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioOutput {
    pub id: OutputId,
    /// The source's track number.
    pub source: u32,
    pub sound: SoundSettings,
}

impl AudioOutput {
    pub const SAMPLE_RATE_HZ: u32 = 48_000;
    pub const CHANNELS: u8 = 2;

    /// The GStreamer element that encodes this codec.
    pub fn element(codec: AudioCodec) -> &'static str {
        match codec {
            AudioCodec::Aac => "avenc_aac",
            AudioCodec::Opus => "opusenc",
        }
    }
}

/// Frames a second as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fps {
    pub numerator: u32,
    pub denominator: u32,
}

impl Fps {
    /// The exact fraction of what people write as 29.97, 23.976 or 59.94; whole numbers stay as they are.
    pub fn new(fps: f64) -> Self {
        let rounded = fps.round();
        if (fps - rounded).abs() < 0.001 {
            return Self { numerator: rounded as u32, denominator: 1 };
        }
        let ntsc = (fps * 1.001).round();
        if (fps * 1.001 - ntsc).abs() < 0.01 {
            return Self { numerator: ntsc as u32 * 1000, denominator: 1001 };
        }
        Self { numerator: (fps * 1000.0).round() as u32, denominator: 1000 }
    }

    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_what_people_mean() {
        for (written, numerator, denominator) in
            [(30.0, 30, 1), (29.97, 30_000, 1001), (59.94, 60_000, 1001), (23.976, 24_000, 1001), (12.5, 12_500, 1000)]
        {
            assert_eq!(Fps::new(written), Fps { numerator, denominator }, "{written}");
        }
    }
}

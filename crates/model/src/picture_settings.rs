//! The picture of a rendition: every knob of an encode, with nothing left out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RenditionFault;

/// Equal settings are one encode. The worker's plan, names and costs use this very type. The settings as people write them, with gaps,
/// are a [`crate::RenditionDraft`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PictureSettings {
    pub width: u32,
    pub height: u32,
    /// The frame rate. `None` means every picture of the source.
    pub fps: Option<f64>,
    pub bitrate_kbps: u32,
    pub codec: VideoCodec,
    /// The length of a GOP. On the stream's timeline a keyframe begins every slot of this length.
    pub gop_seconds: f64,
    pub rate_control: RateControl,
    /// The profile. `None` means the encoder's best one that every player plays.
    pub profile: Option<String>,
    pub fit: Fit,
}

/// What happens to a source of another shape than the rendition: bars around it, its middle only, or out of shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = FitDto)]
pub enum Fit {
    #[default]
    Pad,
    Crop,
    Stretch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CodecDto)]
pub enum VideoCodec {
    H264,
    H265,
    Av1,
}

impl VideoCodec {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Av1 => "av1",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = RateControlDto)]
pub enum RateControl {
    Cbr,
    Vbr,
}

impl RateControl {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cbr => "cbr",
            Self::Vbr => "vbr",
        }
    }
}

impl PictureSettings {
    /// A picture of this size and bitrate whose other knobs are as they are where nobody says anything of them.
    pub fn usual(width: u32, height: u32, bitrate_kbps: u32) -> Self {
        Self {
            width,
            height,
            fps: None,
            bitrate_kbps,
            codec: VideoCodec::H264,
            gop_seconds: 2.0,
            // Every platform that has a wish wants a constant rate, and no platform objects to one.
            rate_control: RateControl::Cbr,
            profile: None,
            fit: Fit::Pad,
        }
    }

    pub(crate) fn check(&self) -> Result<(), RenditionFault> {
        let fault = |field, problem| Err(RenditionFault { field, problem });
        // 4:2:0 chroma needs even sizes, and 8192 is the largest that any hardware encoder takes.
        if !(16..=8192).contains(&self.width) || !self.width.is_multiple_of(2) {
            return fault("width", "must be an even number from 16 to 8192");
        }
        if !(16..=8192).contains(&self.height) || !self.height.is_multiple_of(2) {
            return fault("height", "must be an even number from 16 to 8192");
        }
        if self.fps.is_some_and(|fps| !(1.0..=240.0).contains(&fps)) {
            return fault("fps", "must be from 1 to 240");
        }
        if !(50..=200_000).contains(&self.bitrate_kbps) {
            return fault("video_bitrate_kbps", "must be from 50 to 200000");
        }
        if !(0.5..=20.0).contains(&self.gop_seconds) {
            return fault("gop_seconds", "must be from 0.5 to 20");
        }
        if let Some(profile) = &self.profile
            && !matches!(profile.as_str(), "baseline" | "main" | "high" | "main10")
        {
            return fault("profile", "must be baseline, main, high or main10");
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn hd() -> PictureSettings {
        PictureSettings {
            width: 1280,
            height: 720,
            fps: None,
            bitrate_kbps: 3000,
            codec: VideoCodec::H264,
            gop_seconds: 2.0,
            rate_control: RateControl::Cbr,
            profile: Some("high".into()),
            fit: Fit::Pad,
        }
    }

    #[test]
    fn limits_name_their_field() {
        assert_eq!(hd().check(), Ok(()));
        for (settings, field) in [
            (PictureSettings { width: 1281, ..hd() }, "width"),
            (PictureSettings { height: 0, ..hd() }, "height"),
            (PictureSettings { fps: Some(f64::NAN), ..hd() }, "fps"),
            (PictureSettings { bitrate_kbps: 0, ..hd() }, "video_bitrate_kbps"),
            (PictureSettings { gop_seconds: 0.0, ..hd() }, "gop_seconds"),
            (PictureSettings { profile: Some("hi".into()), ..hd() }, "profile"),
        ] {
            assert_eq!(settings.check().unwrap_err().field, field);
        }
    }
}

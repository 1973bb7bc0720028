//! A rendition as somebody asked for it: what was left out stays left out, and is filled in where it is used.

use serde::{Deserialize, Serialize};

use crate::sound::BITRATE_KBPS_DEFAULT;
use crate::{
    AudioCodec, Encoding, EncodingSettings, Fit, PlatformRules, RateControl, Rendition, RenditionFault, SoundSettings,
    VideoCodec,
};

/// Kept in the restream's row: rules of a platform that change later fill it differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenditionDraft {
    pub name: String,
    pub encoding: EncodingDraft,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodingDraft {
    /// The input as it is.
    Passthrough,
    Encode(PictureDraft),
    /// Sound without a picture.
    Sound(SoundDraft),
}

/// A picture with sound. Its size must be said: nothing else says what it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PictureDraft {
    pub width: u32,
    pub height: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_bitrate_kbps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<VideoCodec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gop_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_control: Option<RateControl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    #[serde(flatten)]
    pub sound: SoundDraft,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SoundDraft {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_bitrate_kbps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<AudioCodec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loudness_lufs: Option<f64>,
}

impl RenditionDraft {
    /// The whole of it for a destination with these rules; None: for nobody in particular. What was said stays as it is, also
    /// where it breaks a rule: that is for a warning to say.
    pub fn fill(&self, rules: Option<&PlatformRules>) -> Rendition {
        let encoding = match &self.encoding {
            EncodingDraft::Passthrough => Encoding::Passthrough,
            EncodingDraft::Encode(picture) => Encoding::Encode(picture.fill(rules)),
            EncodingDraft::Sound(sound) => Encoding::Sound(sound.fill(rules)),
        };
        Rendition { name: self.name.clone(), encoding }
    }

    /// What is filled in is within all limits, so a fault is of something that was said.
    pub fn check(&self) -> Result<(), RenditionFault> {
        self.fill(None).check()
    }
}

impl PictureDraft {
    fn fill(&self, rules: Option<&PlatformRules>) -> EncodingSettings {
        let sound = self.sound.fill(rules);
        let codec = self.codec.unwrap_or(VideoCodec::H264);
        EncodingSettings {
            width: self.width,
            height: self.height,
            fps: self.fps,
            video_bitrate_kbps: self
                .video_bitrate_kbps
                .unwrap_or_else(|| recommended_kbps(rules, self.width, self.height)),
            audio_bitrate_kbps: sound.bitrate_kbps,
            audio_codec: sound.codec,
            loudness_lufs: sound.loudness_lufs,
            codec,
            gop_seconds: self.gop_seconds.or(rules.map(|rules| rules.gop_recommended_seconds)).unwrap_or(2.0),
            // Every platform that has a wish wants it constant, and none minds.
            rate_control: self.rate_control.unwrap_or(RateControl::Cbr),
            profile: self.profile.clone().or_else(|| rules?.usual_profile(codec)),
            fit: self.fit.unwrap_or_default(),
        }
    }
}

impl SoundDraft {
    fn fill(&self, rules: Option<&PlatformRules>) -> SoundSettings {
        let most = rules.and_then(|rules| rules.audio_max_kbps).unwrap_or(BITRATE_KBPS_DEFAULT);
        SoundSettings {
            bitrate_kbps: self.audio_bitrate_kbps.unwrap_or(BITRATE_KBPS_DEFAULT.min(most)),
            codec: self.audio_codec.unwrap_or_default(),
            loudness_lufs: self.loudness_lufs,
        }
    }
}

impl From<&Rendition> for RenditionDraft {
    /// With everything said.
    fn from(rendition: &Rendition) -> Self {
        let sound = |sound: SoundSettings| SoundDraft {
            audio_bitrate_kbps: Some(sound.bitrate_kbps),
            audio_codec: Some(sound.codec),
            loudness_lufs: sound.loudness_lufs,
        };
        let encoding = match &rendition.encoding {
            Encoding::Passthrough => EncodingDraft::Passthrough,
            Encoding::Sound(settings) => EncodingDraft::Sound(sound(*settings)),
            Encoding::Encode(settings) => EncodingDraft::Encode(PictureDraft {
                width: settings.width,
                height: settings.height,
                fps: settings.fps,
                video_bitrate_kbps: Some(settings.video_bitrate_kbps),
                codec: Some(settings.codec),
                gop_seconds: Some(settings.gop_seconds),
                rate_control: Some(settings.rate_control),
                profile: settings.profile.clone(),
                fit: Some(settings.fit),
                sound: sound(settings.sound()),
            }),
        };
        Self { name: rendition.name.clone(), encoding }
    }
}

/// What platforms recommend is said of this size.
const RECOMMENDED_FOR: (u32, u32) = (1920, 1080);
/// Over the public internet RTMP above 5 Mbps risks interruptions.
const RECOMMENDED_KBPS: u32 = 5_000;
/// Half the pixels need more than half the bits: a picture's detail grows slower than its area. By it 6000 kbps at 1080p are
/// 3260 at 720p, where Twitch says 3000, and 8000 are 4350, where YouTube says 4000.
const AREA_EXPONENT: f64 = 0.75;
/// People read them.
const BITRATE_STEP_KBPS: u32 = 50;
/// As a rendition's own limits have it.
const BITRATE_MIN_KBPS: u32 = 50;
const BITRATE_MAX_KBPS: u32 = 200_000;

fn recommended_kbps(rules: Option<&PlatformRules>, width: u32, height: u32) -> u32 {
    let area = |width: u32, height: u32| f64::from(width) * f64::from(height);
    let share = (area(width, height) / area(RECOMMENDED_FOR.0, RECOMMENDED_FOR.1)).powf(AREA_EXPONENT);
    let whole = rules.and_then(|rules| rules.video_recommended_kbps).unwrap_or(RECOMMENDED_KBPS);
    let kbps = (f64::from(whole) * share) as u32 / BITRATE_STEP_KBPS * BITRATE_STEP_KBPS;
    let most = rules.and_then(|rules| rules.video_max_kbps).unwrap_or(BITRATE_MAX_KBPS);
    kbps.clamp(BITRATE_MIN_KBPS, BITRATE_MAX_KBPS).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Platforms;

    fn sized(width: u32, height: u32) -> PictureDraft {
        PictureDraft { width, height, ..PictureDraft::default() }
    }

    fn draft(picture: PictureDraft) -> RenditionDraft {
        RenditionDraft { name: "own".into(), encoding: EncodingDraft::Encode(picture) }
    }

    /// As the platform's rules fill it.
    fn filled(platform: &str, picture: PictureDraft) -> EncodingSettings {
        let platforms = Platforms::load().unwrap();
        let Encoding::Encode(settings) = draft(picture).fill(Some(&platforms.get(platform).unwrap().rules)).encoding
        else {
            unreachable!()
        };
        settings
    }

    #[test]
    fn what_is_left_out_comes_from_the_platform() {
        for (platform, size, kbps, audio_kbps, gop_seconds) in [
            ("youtube", (1920, 1080), 8_000, 128, 2.0),
            ("youtube", (1280, 720), 4_350, 128, 2.0),
            ("youtube", (3840, 2160), 22_600, 128, 2.0),
            ("twitch", (1920, 1080), 6_000, 128, 2.0),
            ("twitch", (1280, 720), 3_250, 128, 2.0),
            ("facebook", (1920, 1080), 4_000, 128, 2.0),
            ("kick", (1280, 720), 3_250, 128, 2.0),
            ("x", (1280, 720), 4_850, 128, 3.0),
            ("instagram", (720, 1280), 3_250, 128, 2.0),
            ("tiktok", (1080, 1920), 6_000, 128, 2.0),
            ("generic-rtmp", (1920, 1080), 5_000, 128, 2.0),
            ("generic-rtmp", (640, 360), 950, 128, 2.0),
            ("generic-srt", (1280, 720), 2_700, 128, 2.0),
        ] {
            let settings = filled(platform, sized(size.0, size.1));
            assert_eq!(
                (settings.video_bitrate_kbps, settings.audio_bitrate_kbps, settings.gop_seconds),
                (kbps, audio_kbps, gop_seconds),
                "{platform} {size:?}"
            );
            let rest = (settings.rate_control, settings.codec, settings.audio_codec, settings.fps);
            assert_eq!(rest, (RateControl::Cbr, VideoCodec::H264, AudioCodec::Aac, None), "{platform}");
            assert_eq!(draft(sized(size.0, size.1)).check(), Ok(()));
        }
    }

    #[test]
    fn what_was_said_stays_whatever_the_rules_are() {
        let said = PictureDraft {
            fps: Some(120.0),
            video_bitrate_kbps: Some(20_000),
            codec: Some(VideoCodec::H265),
            gop_seconds: Some(10.0),
            rate_control: Some(RateControl::Vbr),
            profile: Some("main10".into()),
            fit: Some(Fit::Crop),
            sound: SoundDraft {
                audio_bitrate_kbps: Some(320),
                audio_codec: Some(AudioCodec::Opus),
                loudness_lufs: Some(-16.0),
            },
            ..sized(3840, 2160)
        };
        let whole = draft(said.clone()).fill(None);
        for platform in Platforms::load().unwrap().all() {
            assert_eq!(draft(said.clone()).fill(Some(&platform.rules)), whole, "{}", platform.id);
        }
        assert_eq!(RenditionDraft::from(&whole), draft(said));
    }

    #[test]
    fn a_platform_that_does_not_take_the_usual_profile_gets_its_best() {
        let mut rules = Platforms::load().unwrap().get("twitch").unwrap().rules.clone();
        for (listed, codec, expected) in [
            (vec!["baseline", "main", "high"], VideoCodec::H264, None),
            (vec!["baseline", "main"], VideoCodec::H264, Some("main")),
            (vec!["baseline"], VideoCodec::H264, Some("baseline")),
            (vec!["baseline"], VideoCodec::H265, None),
            (vec![], VideoCodec::H264, None),
        ] {
            rules.video_profiles = listed.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(rules.usual_profile(codec).as_deref(), expected, "{listed:?}");
        }
        rules.audio_max_kbps = Some(96);
        let sound = RenditionDraft { name: "radio".into(), encoding: EncodingDraft::Sound(SoundDraft::default()) };
        let Encoding::Sound(settings) = sound.fill(Some(&rules)).encoding else { unreachable!() };
        assert_eq!(settings.bitrate_kbps, 96);
    }

    #[test]
    fn rows_have_only_what_was_said() {
        let own = draft(PictureDraft { gop_seconds: Some(1.0), ..sized(1280, 720) });
        let row = serde_json::to_value(&own).unwrap();
        let expected = r#"{"name":"own","encoding":{"encode":{"width":1280,"height":720,"gop_seconds":1.0}}}"#;
        assert_eq!(row, serde_json::from_str::<serde_json::Value>(expected).unwrap());
        assert_eq!(serde_json::from_value::<RenditionDraft>(row).unwrap(), own);
        // As rows were before anything could be left out.
        let old = r#"{"name":"p","encoding":{"encode":{"width":640,"height":360,"fps":null,"video_bitrate_kbps":600,
            "audio_bitrate_kbps":64,"codec":"h264","gop_seconds":2.0,"rate_control":"cbr","profile":null}}}"#;
        let old: RenditionDraft = serde_json::from_str(old).unwrap();
        let Encoding::Encode(settings) = old.fill(None).encoding else { unreachable!() };
        assert_eq!((settings.video_bitrate_kbps, settings.audio_bitrate_kbps), (600, 64));
    }
}

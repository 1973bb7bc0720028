//! A rendition as somebody wrote it. Settings that were left out stay out, and are filled in where the rendition is used.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::sound::BITRATE_KBPS_DEFAULT;
use crate::{
    Audio, AudioCodec, Fit, PictureSettings, PlatformRules, RateControl, Rendition, RenditionFault, SoundSettings,
    Video, VideoCodec,
};

/// Either `passthrough`, or a size and a bitrate, or `audio_bitrate_kbps` alone, which is sound without a picture, or `video: "source"`,
/// which is the picture as it is beside sound that is encoded. A restream's own may leave out everything but its size: what is left
/// out follows the platform's rules.
// This is its one form outside the process: bodies of the API, rows and ladder files have it. If the rules of a platform change later,
// they fill a restream's row differently.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RenditionDto)]
pub struct RenditionDraft {
    #[schema(pattern = "^[A-Za-z0-9_-]{1,32}$")]
    pub name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passthrough: bool,
    /// Says that the picture stays as it is; then all else is about the sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<AsItIs>,
    /// Says that the sound stays as it is, beside a picture that is encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<AsItIs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192, multiple_of = 2)]
    pub width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192, multiple_of = 2)]
    pub height: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 240)]
    pub fps: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 50, maximum = 200000)]
    pub video_bitrate_kbps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_bitrate_kbps: Option<u32>,
    /// `aac` unless said otherwise; `opus` goes where it is taken (CMAF, Enhanced RTMP, SRT).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<AudioCodec>,
    /// Brings the sound to this integrated loudness (EBU R128), -30 to -10; left out, it stays as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -30, maximum = -10)]
    pub loudness_lufs: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<VideoCodec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.5, maximum = 20)]
    pub gop_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_control: Option<RateControl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(baseline|main|high|main10)$")]
    pub profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
}

/// What is not made, but taken from the source frame by frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AsItIsDto)]
pub enum AsItIs {
    Source,
}

impl RenditionDraft {
    /// The whole rendition for a destination with these rules, or (without rules) for any. Settings that were written stay as they are,
    /// even if they break a rule: then a warning tells so.
    pub fn fill(&self, rules: Option<&PlatformRules>) -> Rendition {
        let name = self.name.clone();
        if self.passthrough {
            return Rendition::passthrough(name);
        }
        let video = match (self.video, self.width, self.height) {
            (Some(AsItIs::Source), _, _) => Video::Source,
            (None, Some(width), Some(height)) => Video::Encode(self.picture(width, height, rules)),
            (None, _, _) => Video::None,
        };
        let audio = match self.audio {
            Some(AsItIs::Source) => Audio::Source,
            None => Audio::Encode(self.sound(rules)),
        };
        Rendition { name, video, audio }
    }

    fn picture(&self, width: u32, height: u32, rules: Option<&PlatformRules>) -> PictureSettings {
        let bitrate_kbps = self.video_bitrate_kbps.unwrap_or_else(|| recommended_kbps(rules, width, height));
        let usual = PictureSettings::usual(width, height, bitrate_kbps);
        let codec = self.codec.unwrap_or(usual.codec);
        // Each knob is named, so that the compiler tells of one that is forgotten here.
        PictureSettings {
            width,
            height,
            fps: self.fps,
            bitrate_kbps,
            codec,
            gop_seconds: self
                .gop_seconds
                .or(rules.map(|rules| rules.gop_recommended_seconds))
                .unwrap_or(usual.gop_seconds),
            rate_control: self.rate_control.unwrap_or(usual.rate_control),
            profile: self.profile.clone().or_else(|| rules?.usual_profile(codec)),
            fit: self.fit.unwrap_or(usual.fit),
        }
    }

    fn sound(&self, rules: Option<&PlatformRules>) -> SoundSettings {
        let most = rules.and_then(|rules| rules.audio_max_kbps).unwrap_or(BITRATE_KBPS_DEFAULT);
        SoundSettings {
            bitrate_kbps: self.audio_bitrate_kbps.unwrap_or(BITRATE_KBPS_DEFAULT.min(most)),
            codec: self.audio_codec.unwrap_or_default(),
            loudness_lufs: self.loudness_lufs,
        }
    }

    /// Checks the draft. Settings that are filled in are within all limits, so a fault lies in one that was written.
    pub fn check(&self) -> Result<(), RenditionFault> {
        self.check_shape()?;
        self.fill(None).check()
    }

    /// Checks which fields go together.
    fn check_shape(&self) -> Result<(), RenditionFault> {
        let fault = |field, problem| Err(RenditionFault { field, problem });
        let (picture, sound) = (self.says_picture(), self.says_sound());
        match (self.passthrough, self.video, self.audio) {
            (true, None, None) if !picture && !sound => return Ok(()),
            (true, ..) => return fault("passthrough", "goes with a name and nothing else"),
            (_, Some(_), Some(_)) => return fault("audio", "and video as they are: say passthrough instead"),
            (_, Some(_), _) if picture => {
                return fault("video", "that stays as it is goes with what is said of the sound alone");
            }
            (_, _, Some(_)) if sound => {
                return fault("audio", "that stays as it is goes with what is said of the picture alone");
            }
            (_, Some(_), _) => return Ok(()),
            (_, _, None) if self.audio_bitrate_kbps.is_some() && !picture => return Ok(()),
            _ => {}
        }
        for (field, value) in [("width", self.width), ("height", self.height)] {
            if value.is_none() {
                let problem =
                    "is required unless it is passthrough, or sound alone with nothing but audio_bitrate_kbps";
                return fault(field, problem);
            }
        }
        Ok(())
    }

    /// Whether any setting of an encoded picture was written.
    fn says_picture(&self) -> bool {
        let Self { name, passthrough, video, audio, audio_bitrate_kbps, audio_codec, loudness_lufs, .. } = self.clone();
        let rest =
            Self { name, passthrough, video, audio, audio_bitrate_kbps, audio_codec, loudness_lufs, ..Self::default() };
        *self != rest
    }

    fn says_sound(&self) -> bool {
        self.audio_bitrate_kbps.is_some() || self.audio_codec.is_some() || self.loudness_lufs.is_some()
    }
}

/// This is for a ladder, which suits no particular destination, so the picture's bitrate must be given.
impl TryFrom<RenditionDraft> for Rendition {
    type Error = RenditionFault;

    fn try_from(draft: RenditionDraft) -> Result<Self, RenditionFault> {
        draft.check_shape()?;
        let whole = draft.fill(None);
        if whole.picture().is_some() && draft.video_bitrate_kbps.is_none() {
            return Err(RenditionFault {
                field: "video_bitrate_kbps",
                problem: "is required unless it is passthrough",
            });
        }
        Ok(whole)
    }
}

/// The draft in which everything is set.
impl From<Rendition> for RenditionDraft {
    fn from(rendition: Rendition) -> Self {
        let passthrough = rendition.is_passthrough();
        let kept = |is_kept: bool| (is_kept && !passthrough).then_some(AsItIs::Source);
        let mut draft = Self {
            passthrough,
            video: kept(rendition.video == Video::Source),
            audio: kept(rendition.audio == Audio::Source),
            name: rendition.name,
            ..Self::default()
        };
        if let Audio::Encode(SoundSettings { bitrate_kbps, codec, loudness_lufs }) = rendition.audio {
            draft.audio_bitrate_kbps = Some(bitrate_kbps);
            draft.audio_codec = Some(codec);
            draft.loudness_lufs = loudness_lufs;
        }
        let Video::Encode(picture) = rendition.video else { return draft };
        Self {
            width: Some(picture.width),
            height: Some(picture.height),
            fps: picture.fps,
            video_bitrate_kbps: Some(picture.bitrate_kbps),
            codec: Some(picture.codec),
            gop_seconds: Some(picture.gop_seconds),
            rate_control: Some(picture.rate_control),
            profile: picture.profile,
            fit: Some(picture.fit),
            ..draft
        }
    }
}

/// The recommended bitrates of platforms are for this size.
const RECOMMENDED_FOR: (u32, u32) = (1920, 1080);
/// Over the public internet RTMP above 5 Mbps risks interruptions.
const RECOMMENDED_KBPS: u32 = 5_000;
/// The bitrate falls more slowly than the area: half the pixels need more than half the bits, because a picture's detail grows slower
/// than its area. With this exponent 6000 kbps at 1080p are 3260 at 720p, where Twitch says 3000, and 8000 are 4350, where YouTube says
/// 4000.
const AREA_EXPONENT: f64 = 0.75;
/// Bitrates that are filled in are multiples of this, because people read them.
const BITRATE_STEP_KBPS: u32 = 50;
/// These limits are those of any rendition.
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

    fn sized(width: u32, height: u32) -> RenditionDraft {
        RenditionDraft { name: "own".into(), width: Some(width), height: Some(height), ..RenditionDraft::default() }
    }

    /// The draft as the platform's rules fill it.
    fn filled(platform: &str, draft: &RenditionDraft) -> (PictureSettings, SoundSettings) {
        let platforms = Platforms::load().unwrap();
        let whole = draft.fill(Some(&platforms.get(platform).unwrap().rules));
        (whole.picture().unwrap().clone(), *whole.sound().unwrap())
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
            let draft = sized(size.0, size.1);
            let (picture, sound) = filled(platform, &draft);
            assert_eq!(
                (picture.bitrate_kbps, sound.bitrate_kbps, picture.gop_seconds),
                (kbps, audio_kbps, gop_seconds),
                "{platform} {size:?}"
            );
            let rest = (picture.rate_control, picture.codec, sound.codec, picture.fps);
            assert_eq!(rest, (RateControl::Cbr, VideoCodec::H264, AudioCodec::Aac, None), "{platform}");
            assert_eq!(draft.check(), Ok(()));
        }
    }

    #[test]
    fn what_was_said_stays_whatever_the_rules_are() {
        let said = RenditionDraft {
            fps: Some(120.0),
            video_bitrate_kbps: Some(20_000),
            codec: Some(VideoCodec::H265),
            gop_seconds: Some(10.0),
            rate_control: Some(RateControl::Vbr),
            profile: Some("main10".into()),
            fit: Some(Fit::Crop),
            audio_bitrate_kbps: Some(320),
            audio_codec: Some(AudioCodec::Opus),
            loudness_lufs: Some(-16.0),
            ..sized(3840, 2160)
        };
        let whole = said.fill(None);
        for platform in Platforms::load().unwrap().all() {
            assert_eq!(said.fill(Some(&platform.rules)), whole, "{}", platform.id);
        }
        assert_eq!(RenditionDraft::from(whole), said);
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
        let radio = RenditionDraft { name: "radio".into(), ..RenditionDraft::default() };
        assert_eq!(radio.fill(Some(&rules)).sound().map(|sound| sound.bitrate_kbps), Some(96));
    }

    #[test]
    fn rows_have_only_what_was_said() {
        let own = RenditionDraft { gop_seconds: Some(1.0), ..sized(1280, 720) };
        let row = serde_json::to_value(&own).unwrap();
        let expected = r#"{"name":"own","width":1280,"height":720,"gop_seconds":1.0}"#;
        assert_eq!(row, serde_json::from_str::<serde_json::Value>(expected).unwrap());
        assert_eq!(serde_json::from_value::<RenditionDraft>(row).unwrap(), own);
    }

    #[test]
    fn fields_that_do_not_go_together_are_named() {
        const KEPT: Option<AsItIs> = Some(AsItIs::Source);
        let named = || RenditionDraft { name: "a".into(), ..RenditionDraft::default() };
        let asis = || RenditionDraft { passthrough: true, ..named() };
        for (draft, faults) in [
            (asis(), (None, None)),
            (RenditionDraft { fit: Some(Fit::Pad), ..asis() }, (Some("passthrough"), Some("passthrough"))),
            (
                RenditionDraft { audio_codec: Some(AudioCodec::Aac), ..asis() },
                (Some("passthrough"), Some("passthrough")),
            ),
            (named(), (Some("width"), Some("width"))),
            (RenditionDraft { audio_codec: Some(AudioCodec::Aac), ..named() }, (Some("width"), Some("width"))),
            (RenditionDraft { audio_bitrate_kbps: Some(64), ..named() }, (None, None)),
            (
                RenditionDraft { audio_bitrate_kbps: Some(64), fps: Some(25.0), ..named() },
                (Some("width"), Some("width")),
            ),
            (RenditionDraft { width: Some(640), ..named() }, (Some("height"), Some("height"))),
            (RenditionDraft { video: KEPT, ..named() }, (None, None)),
            (RenditionDraft { video: KEPT, audio_codec: Some(AudioCodec::Opus), ..named() }, (None, None)),
            (RenditionDraft { video: KEPT, ..asis() }, (Some("passthrough"), Some("passthrough"))),
            (RenditionDraft { video: KEPT, audio: KEPT, ..named() }, (Some("audio"), Some("audio"))),
            (RenditionDraft { video: KEPT, ..sized(640, 360) }, (Some("video"), Some("video"))),
            (RenditionDraft { audio: KEPT, ..named() }, (Some("width"), Some("width"))),
            (RenditionDraft { audio: KEPT, ..sized(640, 360) }, (None, Some("video_bitrate_kbps"))),
            (
                RenditionDraft { audio: KEPT, loudness_lufs: Some(-23.0), ..sized(640, 360) },
                (Some("audio"), Some("audio")),
            ),
            // A platform gives the bitrate; a ladder suits no particular destination.
            (sized(640, 360), (None, Some("video_bitrate_kbps"))),
            (RenditionDraft { video_bitrate_kbps: Some(600), ..sized(640, 360) }, (None, None)),
        ] {
            let alone = draft.check().err().map(|fault| fault.field);
            let of_ladder = Rendition::try_from(draft.clone()).err().map(|fault| fault.field);
            assert_eq!((alone, of_ladder), faults, "{draft:?}");
        }
    }
}

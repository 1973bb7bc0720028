//! Checks what is sent to a platform against its rules, in words, and suggests a rendition that breaks none. Pure.

use crate::{
    Audio, AudioCodec, IngestStatus, PictureSettings, Platform, RateControl, Rendition, SoundSettings, Video,
    VideoCodec,
};

/// Measured rates swing around their target, so only a rate that is clearly above a limit counts as above it.
const BITRATE_TOLERANCE: f64 = 1.1;
/// A frame rate of 59.94 fps, measured over a second, may read 60.4.
const FPS_TOLERANCE: f64 = 0.75;
/// A keyframe interval of 4 s measured on a wall clock may read 4.02.
const GOP_TOLERANCE_SECONDS: f64 = 0.1;

/// The bitrate of sound that is suggested. Platforms with a lower limit get their limit.
const AUDIO_KBPS: u32 = 128;
/// Suggested bitrates are multiples of this, because people read them.
const BITRATE_STEP_KBPS: u32 = 100;
/// The least bitrate that is suggested.
const BITRATE_KBPS_MIN: u32 = 200;
const SIZE_MIN: u32 = 16;
/// The size that is suggested if the stream has no picture.
const PICTURE: (u32, u32) = (1280, 720);

/// What goes to the platform. Unknown figures are `None` and break no rule.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sent {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fps: Option<f64>,
    pub video_bps: Option<u64>,
    pub video_codec: Option<String>,
    /// The codec of the sound. `None` means that it is not known whether there is sound; `Some(None)` means that there is none.
    pub audio_codec: Option<Option<String>>,
    /// The rate of sound that we encode. The rate of the source's sound is not measured by itself.
    pub audio_kbps: Option<u32>,
    pub video_profile: Option<String>,
    pub gop_seconds: Option<f64>,
    pub rate_control: Option<RateControl>,
    pub b_frames: Option<bool>,
    /// The stream is sound alone.
    pub no_picture: bool,
    /// The picture is the source's own.
    pub picture_as_it_is: bool,
}

impl Sent {
    /// The source as it is.
    pub fn source(ingest: &IngestStatus, warnings: &[crate::Warning]) -> Self {
        let warned = |code: &str| warnings.iter().any(|warning| warning.code == code);
        Self {
            width: ingest.width,
            height: ingest.height,
            fps: ingest.fps,
            video_bps: Some(ingest.bitrate_bps).filter(|bps| *bps > 0),
            video_codec: ingest.video_codec.clone(),
            // Sound that has not come yet is not missing: the ingest warns when it is.
            audio_codec: match &ingest.audio_codec {
                Some(codec) => Some(Some(codec.clone())),
                None => warned("missing_audio").then_some(None),
            },
            audio_kbps: None,
            video_profile: None,
            gop_seconds: ingest.gop_seconds,
            rate_control: None,
            b_frames: Some(warned("b_frames")),
            // The source has been sending for a while, but no picture.
            no_picture: ingest.bitrate_bps > 0 && ingest.audio_codec.is_some() && ingest.video_codec.is_none(),
            picture_as_it_is: true,
        }
    }

    /// What is made of a source: our encodes always have sound and never B-frames. `None` if the rendition takes from the source what is
    /// not known.
    pub fn rendition(rendition: &Rendition, source: Option<Self>) -> Option<Self> {
        let known = source.clone().unwrap_or_default();
        let sent = match &rendition.video {
            Video::Source => source?,
            Video::Encode(picture) => Self {
                width: Some(picture.width),
                height: Some(picture.height),
                fps: picture.fps.or(known.fps),
                video_bps: Some(u64::from(picture.bitrate_kbps) * 1_000),
                video_codec: Some(picture.codec.as_str().to_owned()),
                video_profile: picture.profile.clone().filter(|_| picture.codec == VideoCodec::H264),
                gop_seconds: Some(picture.gop_seconds),
                rate_control: Some(picture.rate_control),
                b_frames: Some(false),
                ..Self::default()
            },
            Video::None => Self { no_picture: true, ..Self::default() },
        };
        Some(match &rendition.audio {
            Audio::Source => Self { audio_codec: known.audio_codec, audio_kbps: known.audio_kbps, ..sent },
            Audio::Encode(sound) => Self {
                audio_codec: Some(Some(sound.codec.as_str().to_owned())),
                audio_kbps: Some(sound.bitrate_kbps),
                ..sent
            },
        })
    }
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    pub code: &'static str,
    /// A text for people: what is sent, what the platform says about it, and what to do.
    pub message: String,
}

/// The rules that `sent` breaks, and one rendition that breaks none. There is no rendition if nothing is broken or the size is not known.
pub fn check_platform(platform: &Platform, sent: &Sent) -> (Vec<Violation>, Option<Rendition>) {
    let violations = violations(platform, sent);
    let suggestion =
        if violations.is_empty() { None } else { only_sound(platform, sent).or_else(|| suggestion(platform, sent)) };
    (violations, suggestion)
}

/// The cheapest cure leaves the picture as it is and encodes the sound. `None` if the picture breaks a rule, too.
fn only_sound(platform: &Platform, sent: &Sent) -> Option<Rendition> {
    if !sent.picture_as_it_is || sent.no_picture {
        return None;
    }
    let cured =
        Rendition { name: "source-aac".to_owned(), video: Video::Source, audio: Audio::Encode(sound(platform)) };
    let sent = Sent::rendition(&cured, Some(sent.clone()))?;
    violations(platform, &sent).is_empty().then_some(cured)
}

fn sound(platform: &Platform) -> SoundSettings {
    SoundSettings {
        bitrate_kbps: platform.rules.audio_max_kbps.map_or(AUDIO_KBPS, |max| max.min(AUDIO_KBPS)),
        codec: AudioCodec::Aac,
        loudness_lufs: None,
    }
}

fn violations(platform: &Platform, sent: &Sent) -> Vec<Violation> {
    let (rules, title) = (&platform.rules, &platform.title);
    let mut found = Vec::new();
    let mut add = |code, message| found.push(Violation { code, message });
    let listed = |list: &[String], codec: &str| list.is_empty() || list.iter().any(|known| known == codec);
    if let Some(codec) = sent.video_codec.as_ref().filter(|codec| !listed(&rules.video_codecs, codec)) {
        let takes = rules.video_codecs.join(", ");
        let message = format!("the video is {codec}, {title} takes {takes}: transcode to h264");
        add("codec_unsupported_by_destination", message);
    }
    if sent.no_picture && rules.video_required {
        add("missing_video", format!("it is sound alone, and {title} wants a picture: send a rendition that has one"));
    }
    match &sent.audio_codec {
        Some(Some(codec)) if !listed(&rules.audio_codecs, codec) => {
            let takes = rules.audio_codecs.join(", ");
            let message =
                format!("the sound is {codec}, {title} takes {takes}: send it as aac, the picture may stay as it is");
            add("codec_unsupported_by_destination", message);
        }
        Some(None) if rules.audio_required => {
            let message = format!("there is no sound, and {title} wants some: transcode, which adds silence");
            add("missing_audio", message);
        }
        _ => {}
    }
    if let Some(profile) = sent.video_profile.as_ref().filter(|profile| !listed(&rules.video_profiles, profile)) {
        let takes = rules.video_profiles.join(", ");
        let message = format!("the profile is {profile}, {title} takes {takes}: leave it out, or set one of these");
        add("profile_unsupported_by_destination", message);
    }
    if let (Some(kbps), Some(max)) = (sent.audio_kbps, rules.audio_max_kbps)
        && kbps > max
    {
        add(
            "audio_bitrate_too_high",
            format!("the sound has {kbps} kbps, {title} takes at most {max}: set it to less"),
        );
    }
    if let (Some(gop), Some(max)) = (sent.gop_seconds, rules.gop_max_seconds)
        && gop > max + GOP_TOLERANCE_SECONDS
    {
        let good = rules.gop_recommended_seconds;
        add(
            "gop_too_long",
            format!("GOP is {}, {title} rejects over {}: transcode to {}", seconds(gop), seconds(max), seconds(good)),
        );
    }
    if let (Some(bps), Some(max)) = (sent.video_bps, rules.video_max_kbps)
        && bps as f64 > f64::from(max) * 1_000.0 * BITRATE_TOLERANCE
    {
        let message = format!("{} kbps are sent, {title} takes at most {max}: transcode to less", bps / 1_000);
        add("bitrate_too_high", message);
    }
    if let (Some(width), Some(height)) = (sent.width, sent.height)
        && scale(platform, width, height) < 1.0
    {
        let (max_width, max_height) = (rules.max_width.unwrap_or(u32::MAX), rules.max_height.unwrap_or(u32::MAX));
        let message =
            format!("the picture is {width}x{height}, {title} takes up to {max_width}x{max_height}: transcode to less");
        add("picture_too_large", message);
    }
    if let (Some(fps), Some(max)) = (sent.fps, rules.max_fps)
        && fps > f64::from(max) + FPS_TOLERANCE
    {
        add("fps_too_high", format!("{fps:.0} frames a second, {title} takes up to {max}: transcode to {max}"));
    }
    if rules.cbr && sent.rate_control == Some(RateControl::Vbr) {
        add("not_cbr", format!("the bitrate varies, {title} wants it constant: set the rate control to cbr"));
    }
    if !rules.b_frames && sent.b_frames == Some(true) {
        let message =
            format!("the video has B-frames, which disturb {title}: transcode, or set them to 0 in the encoder");
        add("b_frames", message);
    }
    found
}

/// The factor by which the picture must become smaller. An upright picture may be as tall as another may be wide.
fn scale(platform: &Platform, width: u32, height: u32) -> f64 {
    let max = |limit: Option<u32>| f64::from(limit.unwrap_or(u32::MAX));
    let (long, short) = (max(platform.rules.max_width), max(platform.rules.max_height));
    let (long, short) = (long.max(short), long.min(short));
    let (w, h) = (f64::from(width.max(1)), f64::from(height.max(1)));
    (long / w.max(h)).min(short / w.min(h)).min(1.0)
}

fn suggestion(platform: &Platform, sent: &Sent) -> Option<Rendition> {
    let rules = &platform.rules;
    let (width, height) = match (sent.width, sent.height) {
        (Some(width), Some(height)) => (width, height),
        // A stream without a picture gets a usual one, because any picture is better than none.
        _ if sent.no_picture => PICTURE,
        _ => return None,
    };
    let scale = scale(platform, width, height);
    let even = |size: u32| (((f64::from(size) * scale) as u32) & !1).max(SIZE_MIN);
    let (width, height) = (even(width), even(height));
    let source_kbps = sent.video_bps.map(|bps| u32::try_from(bps / 1_000).unwrap_or(u32::MAX));
    let wanted = source_kbps.or(rules.video_recommended_kbps).unwrap_or(4_000);
    // More than the incoming rate gains nothing, and more than the recommended rate is seldom sustained.
    let kbps = wanted.min(rules.video_recommended_kbps.or(rules.video_max_kbps).unwrap_or(wanted));
    let bitrate_kbps = (kbps / BITRATE_STEP_KBPS * BITRATE_STEP_KBPS).max(BITRATE_KBPS_MIN);
    let picture = PictureSettings {
        fps: match (sent.fps, rules.max_fps) {
            (Some(fps), Some(max)) if fps > f64::from(max) + FPS_TOLERANCE => Some(f64::from(max)),
            _ => None,
        },
        gop_seconds: rules.gop_recommended_seconds,
        ..PictureSettings::usual(width, height, bitrate_kbps)
    };
    let name = format!("{}-{}p", platform.id, width.min(height));
    let rendition = Rendition { name, video: Video::Encode(picture), audio: Audio::Encode(sound(platform)) };
    // A suggestion that would be refused helps nobody.
    rendition.check().is_ok().then_some(rendition)
}

/// A time such as `2 s` or `8.3 s`.
fn seconds(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    format!("{rounded} s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Platforms;

    fn fine() -> Sent {
        Sent {
            width: Some(1920),
            height: Some(1080),
            fps: Some(30.0),
            video_bps: Some(4_400_000),
            video_codec: Some("h264".into()),
            audio_codec: Some(Some("aac".into())),
            audio_kbps: None,
            video_profile: None,
            gop_seconds: Some(2.0),
            rate_control: None,
            b_frames: Some(false),
            no_picture: false,
            picture_as_it_is: true,
        }
    }

    fn check(platform: &str, sent: &Sent) -> (Vec<Violation>, Option<Rendition>) {
        check_platform(Platforms::load().unwrap().get(platform).unwrap(), sent)
    }

    #[test]
    fn each_rule_has_its_code_and_what_is_suggested_breaks_none() {
        for (platform, sent, code) in [
            ("facebook", Sent { gop_seconds: Some(10.0), ..fine() }, "gop_too_long"),
            ("twitch", Sent { video_codec: Some("h265".into()), ..fine() }, "codec_unsupported_by_destination"),
            ("youtube", Sent { audio_codec: Some(Some("opus".into())), ..fine() }, "codec_unsupported_by_destination"),
            ("youtube", Sent { audio_codec: Some(None), ..fine() }, "missing_audio"),
            ("twitch", Sent { video_bps: Some(20_000_000), ..fine() }, "bitrate_too_high"),
            ("facebook", Sent { width: Some(3840), height: Some(2160), ..fine() }, "picture_too_large"),
            ("facebook", Sent { fps: Some(120.0), ..fine() }, "fps_too_high"),
            ("twitch", Sent { audio_kbps: Some(320), ..fine() }, "audio_bitrate_too_high"),
            ("kick", Sent { video_profile: Some("main10".into()), ..fine() }, "profile_unsupported_by_destination"),
            ("x", Sent { gop_seconds: Some(5.0), ..fine() }, "gop_too_long"),
            ("tiktok", Sent { rate_control: Some(RateControl::Vbr), ..fine() }, "not_cbr"),
            ("instagram", Sent { video_bps: Some(12_000_000), ..fine() }, "bitrate_too_high"),
            ("twitch", Sent { rate_control: Some(RateControl::Vbr), ..fine() }, "not_cbr"),
            ("kick", Sent { b_frames: Some(true), ..fine() }, "b_frames"),
            (
                "generic-rtmp",
                Sent { audio_codec: Some(Some("opus".into())), ..fine() },
                "codec_unsupported_by_destination",
            ),
        ] {
            let (found, suggestion) = check(platform, &sent);
            assert!(found.iter().any(|violation| violation.code == code), "{platform} {code}: {found:?}");
            let suggestion = suggestion.unwrap();
            // If only the sound is wrong, the suggestion leaves the picture alone.
            let about_sound = sent.audio_codec != fine().audio_codec || sent.audio_kbps != fine().audio_kbps;
            assert_eq!(suggestion.video == Video::Source, about_sound, "{platform} {code}: {suggestion:?}");
            let pleasing = Sent::rendition(&suggestion, Some(sent)).unwrap();
            assert_eq!(check(platform, &pleasing), (vec![], None), "{platform} {code}");
        }
    }

    #[test]
    fn sound_alone_is_shown_by_no_platform() {
        let sound = SoundSettings { bitrate_kbps: 96, codec: AudioCodec::Aac, loudness_lufs: None };
        let radio = Rendition { name: "radio".to_owned(), video: Video::None, audio: Audio::Encode(sound) };
        let radio = Sent::rendition(&radio, None).unwrap();
        let codes =
            |platform| check(platform, &radio).0.into_iter().map(|violation| violation.code).collect::<Vec<_>>();
        for platform in ["youtube", "facebook", "twitch", "kick", "x", "instagram", "tiktok"] {
            assert_eq!(codes(platform), ["missing_video"], "{platform}");
            let pleasing = Sent::rendition(&check(platform, &radio).1.unwrap(), None).unwrap();
            assert_eq!(check(platform, &pleasing), (vec![], None), "{platform}");
        }
        for platform in ["generic-rtmp", "generic-srt"] {
            assert_eq!(codes(platform), [""; 0], "{platform}");
        }
        let mut ingest = IngestStatus {
            protocol: "rtmp",
            slot: crate::Slot::primary(),
            remote: None,
            video_codec: None,
            audio_codec: Some("aac".to_owned()),
            width: None,
            height: None,
            fps: None,
            bitrate_bps: 0,
            gop_seconds: None,
            dropped_frames: 0,
            latency_ms: None,
            webrtc: None,
            rtt_ms: None,
            loss_percent: None,
            continuity_errors: None,
            srt: None,
        };
        assert!(!Sent::source(&ingest, &[]).no_picture, "it has only just begun");
        ingest.bitrate_bps = 96_000;
        assert!(Sent::source(&ingest, &[]).no_picture);
    }

    #[test]
    fn what_is_fine_or_unknown_offends_nobody() {
        for platform in ["youtube", "facebook", "twitch", "kick", "generic-rtmp", "generic-srt"] {
            for sent in [Sent::default(), Sent { gop_seconds: Some(4.05), fps: Some(60.5), ..fine() }] {
                assert_eq!(check(platform, &sent), (vec![], None), "{platform}");
            }
        }
        let upright = Sent { width: Some(1080), height: Some(1920), ..fine() };
        assert_eq!(check("facebook", &upright).0, vec![]);
        assert_eq!(
            check("facebook", &Sent { gop_seconds: Some(9.0), ..Sent::default() }).1,
            None,
            "no size, no advice"
        );
    }

    #[test]
    fn the_words_say_what_to_do() {
        let (found, suggestion) = check("facebook", &Sent { gop_seconds: Some(10.02), ..fine() });
        assert_eq!(found[0].message, "GOP is 10 s, Facebook rejects over 4 s: transcode to 2 s");
        let suggestion = suggestion.unwrap();
        assert_eq!(suggestion.name, "facebook-1080p");
        let picture = suggestion.picture().unwrap();
        assert_eq!((picture.bitrate_kbps, picture.gop_seconds), (4_000, 2.0));
    }
}

//! Warns, in the operator's words, of what works here but will make trouble downstream. All of this is pure.

use std::time::Duration;

use time::OffsetDateTime;
use weir_media::{Codec, TrackInfo};
use weir_model::Warning;

/// Facebook rejects longer GOPs, and players of every protocol start late with them.
const GOP_SECONDS_MAX: f64 = 4.0;

/// A source that has sent no audio frame for so long has no audio.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(5);

/// If the measured picture rate is below this share of what the encoder announces, frames are lost before they reach us.
const FPS_SHARE_MIN: f64 = 0.8;

/// Rates are measured over a second or two, so they mean nothing before a session is this old.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// What is known of a session, from which warnings are made.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) has_video: bool,
    pub(crate) has_audio: bool,
    pub(crate) b_frames: bool,
    pub(crate) gop_seconds: Option<f64>,
    pub(crate) session_age: Duration,
    pub(crate) nominal_fps: Option<(u32, u32)>,
    pub(crate) fps: Option<f64>,
}

pub(crate) fn from_facts(facts: &Facts, since: OffsetDateTime) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: String| warnings.push(Warning { code: code.to_owned(), message, since });
    if let Some(gop) = facts.gop_seconds.filter(|gop| *gop > GOP_SECONDS_MAX) {
        warn("gop_too_long", format!("a keyframe comes every {gop:.1} s; set the encoder's keyframe interval to 2 s"));
    }
    if facts.session_age > SILENT_AFTER && facts.has_video && !facts.has_audio {
        warn("missing_audio", "no audio arrives; YouTube and others reject streams without it".to_owned());
    }
    if facts.b_frames {
        warn("b_frames", "B-frames add delay and cannot be played by WebRTC; set them to 0 in the encoder".to_owned());
    }
    if let (Some(fps), Some((frames, seconds))) = (facts.fps, facts.nominal_fps) {
        let nominal = f64::from(frames) / f64::from(seconds.max(1));
        if facts.session_age > SETTLED_AFTER && fps < nominal * FPS_SHARE_MIN {
            warn("fps_drop", format!("{fps:.1} frames a second arrive of the {nominal:.1} that the encoder announces"));
        }
    }
    warnings
}

/// Says that no browser plays this track, and what helps. None for a track that browsers play.
pub(crate) fn unplayable(info: &TrackInfo) -> Option<String> {
    let language = info.language.map(|language| format!(", {language}")).unwrap_or_default();
    match info.codec {
        Codec::Mpeg2 => Some(
            "the picture is MPEG-2, which browsers and RTMP do not take: give the stream a ladder, so that it is encoded"
                .to_owned(),
        ),
        codec @ (Codec::Vp8 | Codec::Vp9) => Some(format!(
            "the picture is {}, which HLS, DASH, RTMP and SRT do not carry: they get what the stream's ladder encodes; H.264 from the publisher goes \
             everywhere as it is",
            codec.name().to_uppercase()
        )),
        Codec::Mp2 => Some(format!(
            "the sound of track {}{language} is MP2, which browsers do not play: HLS and DASH are without it, unless a rendition encodes \
             the sound",
            info.id.0
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Facts {
        Facts {
            has_video: true,
            has_audio: true,
            b_frames: false,
            gop_seconds: Some(2.0),
            session_age: Duration::from_secs(10),
            nominal_fps: Some((30, 1)),
            fps: Some(29.9),
        }
    }

    #[test]
    fn each_fault_has_its_code() {
        let young = Duration::from_secs(1);
        for (facts, expected) in [
            (fine(), None),
            (Facts { gop_seconds: Some(10.0), ..fine() }, Some("gop_too_long")),
            (Facts { gop_seconds: Some(4.0), ..fine() }, None),
            (Facts { has_audio: false, ..fine() }, Some("missing_audio")),
            (Facts { has_audio: false, session_age: young, ..fine() }, None),
            (Facts { b_frames: true, ..fine() }, Some("b_frames")),
            (Facts { fps: Some(20.0), ..fine() }, Some("fps_drop")),
            (Facts { fps: Some(20.0), session_age: young, ..fine() }, None),
            (Facts { fps: Some(20.0), nominal_fps: None, ..fine() }, None),
        ] {
            let warnings = from_facts(&facts, OffsetDateTime::UNIX_EPOCH);
            assert_eq!(warnings.first().map(|warning| warning.code.as_str()), expected, "{facts:?}");
        }
    }
}

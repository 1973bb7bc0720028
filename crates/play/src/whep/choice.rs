//! Which of a stream's renditions a browser is shown, and what is made for it where none will do. The decision is pure: it is made from what
//! the renditions are, and what has been seen of them.

use weir_hub::{StreamHub, Tracks};
use weir_media::{Codec, TrackInfo};
use weir_model::{Audio, AudioCodec, PictureSettings, RateControl, Rendition, SoundSettings, Video, VideoCodec};
use weir_webrtc::from_frames::{Carried, Unsupported, carried, carries_sound, reorders};

/// The profile that every browser must decode (RFC 7742, 6.2), by its name and its number in SDP.
const BASELINE: (&str, u8) = ("baseline", 66);
const MAIN: (&str, u8) = ("main", 77);
/// What encoders make where nobody chose a profile.
const HIGH_IDC: u8 = 100;

const OPUS: SoundSettings = SoundSettings { bitrate_kbps: 128, codec: AudioCodec::Opus, loudness_lufs: None };

/// A lost keyframe is missed for so long at most, where the encoder can't be asked for one.
const GOP_SECONDS: f64 = 2.0;

/// A tenth of a bit for each pixel: 2.8 Mbit/s for 720p30, 6.2 for 1080p30. Viewers' lines set an end to it.
const BITS_PER_PIXEL: f64 = 0.1;
const BITRATE_KBPS: std::ops::RangeInclusive<u32> = 300..=8_000;
const FPS_ASSUMED: f64 = 30.0;

/// What is made of a source that nobody asked to encode is no larger and no faster than this, because any viewer may begin it, and whoever
/// may watch a public stream is anybody. At these limits it takes about one core; 2160p60 would take twenty.
const LONG_SIDE_MAX: u32 = 1_280;
const SHORT_SIDE_MAX: u32 = 720;
const FPS_MAX: f64 = 30.0;

/// A rendition that a viewer may be shown: the source, or one of the ladder.
#[derive(Clone, Copy, Debug)]
pub struct Rung<'a> {
    /// The hub's name.
    pub in_hub: &'a str,
    pub rendition: &'a Rendition,
    /// This machine does not make it, at least for now.
    pub is_refused: bool,
}

/// A rendition that browsers can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The hub's name of it.
    pub rendition: String,
    pub carried: Carried,
}

/// None of the renditions will do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoneFits {
    /// This is the first rendition's reason: the others are made of it.
    #[error("{0}")]
    Unsupported(Unsupported),
    #[error("nothing has come of this rendition yet")]
    NothingYet,
}

/// What is to be done for a viewer.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The rendition is there, or comes by itself.
    There(Chosen),
    /// Nothing that is there will do.
    Made(Box<Making>),
}

/// A rendition that is to be made while somebody watches.
#[derive(Clone, Debug, PartialEq)]
pub struct Making {
    /// Its name is for whoever makes it to give.
    pub rendition: Rendition,
    /// What it will carry.
    pub carried: Carried,
    /// What is wrong with what is there.
    pub why: String,
    /// What the viewer gets where it can't be made.
    pub instead: Result<Chosen, NoneFits>,
}

/// Chooses among these renditions, the best first, for a viewer who takes sound or does not.
pub fn choose(hub: &StreamHub, rungs: &[Rung<'_>], hears: bool) -> Result<Choice, NoneFits> {
    let source = hub.source();
    let tracks = source.tracks();
    if tracks.is_empty() {
        return Err(NoneFits::NothingYet);
    }
    let of_source = found(&tracks, || reorders(&source)).unwrap_or(Err(NoneFits::NothingYet));
    let look = |rung: &Rung<'_>| {
        let rendition = hub.rendition(rung.in_hub);
        let seen = found(&rendition.tracks(), || reorders(&rendition));
        seen.unwrap_or_else(|| expected(rung, &of_source, &tracks).ok_or(NoneFits::NothingYet))
    };
    let seen: Vec<_> = rungs.iter().map(|rung| (*rung, look(rung))).collect();
    decide(&seen, &tracks, hears)
}

/// What is seen of a rendition; None while nothing has come of it.
fn found(tracks: &Tracks, reorders: impl FnOnce() -> bool) -> Option<Result<Carried, NoneFits>> {
    if tracks.is_empty() {
        return None;
    }
    let fits = carried(tracks).and_then(|carried| if reorders() { Err(Unsupported::Reordered) } else { Ok(carried) });
    Some(fits.map_err(NoneFits::Unsupported))
}

/// What will come of a rendition that has only just been begun; None where that is not known, or nothing will.
fn expected(rung: &Rung<'_>, of_source: &Result<Carried, NoneFits>, source: &Tracks) -> Option<Carried> {
    let profile_idc = match &rung.rendition.video {
        _ if rung.is_refused => return None,
        Video::Encode(picture) if picture.codec == VideoCodec::H264 => Some(profile_idc(picture)),
        Video::Encode(_) => return None,
        Video::Source => of_source.as_ref().ok()?.profile_idc,
        Video::None => None,
    };
    let left_out = match rung.rendition.audio {
        Audio::Encode(sound) => (sound.codec != AudioCodec::Opus).then_some(Codec::Aac),
        Audio::Source if carries_sound(source) => None,
        Audio::Source => source.audio().map(|info| info.codec),
    };
    let has_sound = matches!(rung.rendition.audio, Audio::Encode(_)) || source.audio().is_some();
    let sound = has_sound && left_out.is_none();
    (profile_idc.is_some() || sound).then_some(Carried { profile_idc, sound, left_out })
}

fn profile_idc(picture: &PictureSettings) -> u8 {
    let known = [BASELINE, MAIN].into_iter().find(|(name, _)| picture.profile.as_deref() == Some(*name));
    known.map_or(HIGH_IDC, |(_, idc)| idc)
}

/// A rendition, and what was seen of it or is expected.
type Seen<'a> = (Rung<'a>, Result<Carried, NoneFits>);

fn decide(seen: &[Seen<'_>], source: &Tracks, hears: bool) -> Result<Choice, NoneFits> {
    // Sound alone is no answer to who came for pictures.
    let has_picture = source.video().is_some() && seen.iter().any(|(rung, _)| rung.rendition.video != Video::None);
    let shown = || {
        let carried = seen.iter().filter_map(|(rung, found)| Some((*rung, found.as_ref().ok()?)));
        carried.filter(|(_, carried)| carried.profile_idc.is_some() || !has_picture)
    };
    let chosen =
        |(rung, carried): (Rung<'_>, &Carried)| Chosen { rendition: rung.in_hub.to_owned(), carried: carried.clone() };
    let Some(first) = shown().next() else { return remade(seen, source, hears) };
    // The sound decides between renditions of one picture, and never for another picture.
    let same_picture = |(rung, _): &(Rung<'_>, &Carried)| rung.rendition.video == first.0.rendition.video;
    let is_whole = |(_, carried): &(Rung<'_>, &Carried)| !hears || carried.left_out.is_none();
    if let Some(whole) = shown().filter(same_picture).find(is_whole) {
        return Ok(Choice::There(chosen(whole)));
    }
    let Some(codec) = first.1.left_out else { return Ok(Choice::There(chosen(first))) };
    Ok(Choice::Made(Box::new(Making {
        rendition: Rendition { audio: Audio::Encode(OPUS), ..first.0.rendition.clone() },
        carried: Carried { sound: true, left_out: None, ..first.1.clone() },
        why: format!("the sound is {codec}, and WebRTC carries Opus"),
        instead: Ok(chosen(first)),
    })))
}

/// The best rendition once more, as browsers take it.
fn remade(seen: &[Seen<'_>], source: &Tracks, hears: bool) -> Result<Choice, NoneFits> {
    let first = seen.iter().find_map(|(rung, found)| match found {
        Err(NoneFits::Unsupported(unsupported)) => Some((*rung, unsupported.clone())),
        _ => None,
    });
    let (rung, unsupported) = first.ok_or(NoneFits::NothingYet)?;
    let none_fits = NoneFits::Unsupported(unsupported.clone());
    let heard = carries_sound(source);
    let audio = match source.audio() {
        Some(_) if hears && !heard => Audio::Encode(OPUS),
        _ => Audio::Source,
    };
    let video = match (&rung.rendition.video, source.video()) {
        (Video::None, _) | (_, None) => Video::None,
        (Video::Encode(picture), Some(_)) => Video::Encode(for_browsers(picture)),
        (Video::Source, Some(info)) => Video::Encode(of_source(info)),
    };
    let sound = matches!(audio, Audio::Encode(_)) || heard;
    if video == Video::None && !matches!(audio, Audio::Encode(_)) {
        return Err(none_fits);
    }
    let profile_idc = matches!(video, Video::Encode(_)).then_some(BASELINE.1);
    let left_out = source.audio().map(|info| info.codec).filter(|_| !sound);
    Ok(Choice::Made(Box::new(Making {
        rendition: Rendition { name: rung.rendition.name.clone(), video, audio },
        carried: Carried { profile_idc, sound, left_out },
        why: unsupported.to_string(),
        instead: Err(none_fits),
    })))
}

/// A rung of another codec: H.264 takes half as much again as H.265 and AV1 for the same picture.
fn for_browsers(picture: &PictureSettings) -> PictureSettings {
    PictureSettings {
        codec: VideoCodec::H264,
        profile: Some(BASELINE.0.to_owned()),
        bitrate_kbps: (picture.bitrate_kbps.saturating_mul(3) / 2).min(*BITRATE_KBPS.end()).max(picture.bitrate_kbps),
        ..picture.clone()
    }
}

/// The source's picture, within the limits.
fn of_source(info: &TrackInfo) -> PictureSettings {
    let format = info.video.clone().unwrap_or_default();
    let (long, short) = (format.width.max(format.height).max(1), format.width.min(format.height).max(1));
    let scale = (f64::from(LONG_SIDE_MAX) / f64::from(long)).min(f64::from(SHORT_SIDE_MAX) / f64::from(short)).min(1.0);
    // Chroma needs even sizes. A product that should be whole may lie just below that.
    let side = |pixels: u32| ((f64::from(pixels) * scale / 2.0 + 0.01) as u32 * 2).clamp(16, LONG_SIDE_MAX);
    let (width, height) = (side(format.width), side(format.height));
    let source_fps =
        format.fps.map_or(FPS_ASSUMED, |(numerator, denominator)| f64::from(numerator) / f64::from(denominator.max(1)));
    // Every second picture of 50 or 60 is shown: any other number would stutter. What is measured as 31 is 30.
    let each = (source_fps / FPS_MAX - 0.05).ceil().max(1.0);
    let fps = source_fps / each;
    let kbps = f64::from(width) * f64::from(height) * fps * BITS_PER_PIXEL / 1_000.0;
    let bitrate_kbps = kbps.clamp(f64::from(*BITRATE_KBPS.start()), f64::from(*BITRATE_KBPS.end())) as u32;
    PictureSettings {
        fps: (each > 1.0).then_some(fps),
        gop_seconds: GOP_SECONDS,
        rate_control: RateControl::Vbr,
        profile: Some(BASELINE.0.to_owned()),
        ..PictureSettings::usual(width, height, bitrate_kbps)
    }
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;

//! What playlists and manifests say of a track, measured from its segments.

use std::collections::BTreeMap;
use std::ops::Add;

use weir_media::TrackInfo;

use crate::store::clock::seconds;
use crate::store::segment::Segment;
use crate::store::track::Track;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The rate of the segment with the highest one.
    pub(crate) peak_bps: u64,
    pub(crate) average_bps: u64,
}

impl Add for Rate {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { peak_bps: self.peak_bps + other.peak_bps, average_bps: self.average_bps + other.average_bps }
    }
}

/// A segment that silence cut shorter than this says little about bandwidth: a keyframe alone looks like ten times the rate.
const TELLING_SECONDS_MIN: f64 = 0.9;

/// The track's rate. It is measured from complete segments, and from the open one as long as there are none.
pub(crate) fn rate(track: &Track) -> Rate {
    let telling = |segment: &&Segment| segment.is_complete() && segment.seconds() >= TELLING_SECONDS_MIN;
    let measured = measure(track.listed().filter(telling));
    measured.or_else(|| measure(track.listed())).unwrap_or(Rate { peak_bps: 1, average_bps: 1 })
}

fn measure<'a>(segments: impl Iterator<Item = &'a Segment>) -> Option<Rate> {
    let (mut peak, mut bits, mut length) = (0.0_f64, 0.0_f64, 0.0_f64);
    for segment in segments.filter(|segment| segment.duration_ticks > 0) {
        let segment_bits = segment.bytes as f64 * 8.0;
        peak = peak.max(segment_bits / segment.seconds());
        bits += segment_bits;
        length += segment.seconds();
    }
    let rounded = |value: f64| (value.ceil() as u64).max(1);
    (length > 0.0).then(|| Rate { peak_bps: rounded(peak), average_bps: rounded(bits / length) })
}

/// The pictures a second. They are counted as they come, which is more to be believed than what the configuration says.
pub(crate) fn fps(track: &Track, info: &TrackInfo) -> Option<f64> {
    let counted = track.complete().rev().take(3).fold((0_u64, 0.0), |(samples, length), segment| {
        (samples + segment.samples, length + seconds(segment.duration_ticks, segment.timescale))
    });
    let said = || info.video.as_ref().and_then(|video| video.fps).filter(|fps| fps.1 > 0);
    match counted {
        (samples, length) if samples > 1 && length > 0.0 => Some(samples as f64 / length),
        _ => said().map(|(rate, ticks)| f64::from(rate) / f64::from(ticks)),
    }
}

/// Whether every segment that playlists show begins with a keyframe. A segment does not if the one before it had to end within a GOP
/// because the next keyframe came too late, or if the source paused within a GOP.
pub(crate) fn all_independent(track: &Track) -> bool {
    track.listed().all(|segment| segment.independent || !segment.has_begun())
}

pub(crate) fn codec_string(info: &TrackInfo) -> &str {
    match (&info.video, &info.audio) {
        (Some(video), _) => &video.codec_string,
        (None, Some(audio)) => &audio.codec_string,
        (None, None) => "",
    }
}

/// The name of a sound in a player's menu: the source's own word for it, or else its language, or else a number.
pub(crate) fn menu_name(info: &TrackInfo, place: usize) -> String {
    match (&info.label, info.language) {
        (Some(label), Some(language)) => format!("{label} ({language})"),
        (Some(label), None) => label.clone(),
        (None, Some(language)) => language.to_string(),
        (None, None) => format!("sound {}", place + 1),
    }
}

/// The renditions with the source first, and then the others by name. Players begin with the first variant.
pub(crate) fn source_first(renditions: &BTreeMap<String, Vec<Track>>) -> impl Iterator<Item = (&String, &Vec<Track>)> {
    let is_source = |(name, _): &(&String, &Vec<Track>)| name.as_str() == weir_hub::SOURCE_RENDITION;
    let others = renditions.iter().filter(move |found| !is_source(found));
    renditions.get_key_value(weir_hub::SOURCE_RENDITION).into_iter().chain(others)
}

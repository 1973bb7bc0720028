//! The live manifest of DASH (ISO 23009-1, profile isoff-live), which names the same segment files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use time::OffsetDateTime;
use weir_media::codec::captions::Captions;
use weir_media::{Codec, Language, MediaKind, MediaTime, TrackInfo};

use crate::store::Store;
use crate::store::awaited::Missing;
use crate::store::awaited::awaits_in_period;
use crate::store::clock::seconds;
use crate::store::measure;
use crate::store::segment::Segment;
use crate::store::track::Track;
use crate::wall_time::rfc3339;

/// Players stay three segments behind the live edge, as with classic HLS.
const DELAY_TARGETS: u64 = 3;

/// If a Period ends so little before the next one begins, it is only rounded.
const ROUNDING_MAX: Duration = Duration::from_millis(20);

/// Low latency aims at this distance. A player that is so far behind has two or three parts in hand when one is as late as a busy machine
/// or a mobile network makes it.
const LATENCY_TARGET_MILLIS: u64 = 3_000;
const LATENCY_MIN_MILLIS: u64 = 1_500;
const LATENCY_MAX_MILLIS: u64 = 6_000;

const PROFILE_LOW_LATENCY: &str = ",http://www.dashif.org/guidelines/low-latency-live-v5";

/// How often a player at low latency asks for the manifest: segments are listed when they begin, and should be found soon after that.
const LOW_LATENCY_UPDATE: Duration = Duration::from_millis(500);

/// A rendition's track within one Period.
struct Representation<'a> {
    set: SetKey,
    rendition: &'a str,
    track: &'a Track,
    info: &'a TrackInfo,
    segments: Vec<&'a Segment>,
    /// The segment that is being made, with how long it will be, as far as that can be known.
    open: Option<(&'a Segment, u64)>,
}

impl<'a> Representation<'a> {
    fn first(&self) -> Option<&'a Segment> {
        self.segments.first().copied().or(self.open.map(|(segment, _)| segment))
    }
}

/// The manifest, as soon as a segment is complete. For low latency it also lists the segments that are being made.
///
/// Players keep the sets of a Period as they first find them, so a Period is not listed before each of its tracks is in it.
pub(crate) fn manifest(store: &Store, now: OffsetDateTime, low_latency: bool) -> Result<String, Missing> {
    let zero_at = store.zero_at.ok_or(Missing::Now)?;
    let tracks = offered(store);
    let periods: BTreeSet<MediaTime> =
        tracks.iter().flat_map(|found| found.track.complete().map(|segment| segment.period_start)).collect();
    let target = store.target_seconds();
    let mut out = String::with_capacity(4096);
    let (update, delay, profile) = match low_latency {
        false => (Duration::from_secs(target), Duration::from_secs(target * DELAY_TARGETS), ""),
        true => (LOW_LATENCY_UPDATE, Duration::from_millis(LATENCY_TARGET_MILLIS), PROFILE_LOW_LATENCY),
    };
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011{profile}\" \
         type=\"dynamic\" availabilityStartTime=\"{}\" publishTime=\"{}\" minimumUpdatePeriod=\"PT{}S\" \
         timeShiftBufferDepth=\"PT{}S\" maxSegmentDuration=\"PT{}S\" minBufferTime=\"PT{target}S\" \
         suggestedPresentationDelay=\"PT{}S\">\n",
        rfc3339(zero_at),
        rfc3339(now),
        update.as_secs_f64(),
        store.config().window.as_secs(),
        // A segment may be longer than the target by half a second before the target counts as one more.
        target + 1,
        delay.as_secs_f64(),
    );
    if low_latency {
        let _ = writeln!(
            out,
            "<ServiceDescription id=\"0\"><Latency target=\"{LATENCY_TARGET_MILLIS}\" min=\"{LATENCY_MIN_MILLIS}\" \
             max=\"{LATENCY_MAX_MILLIS}\"/><PlaybackRate min=\"0.96\" max=\"1.04\"/></ServiceDescription>"
        );
    }
    let mut begun = periods.iter().copied().peekable();
    let mut written = 0;
    let mut is_held = false;
    while let Some(start) = begun.next() {
        let end = begun.peek().copied();
        is_held = end.is_none() && awaits_in_period(tracks.iter().map(|found| found.track), start);
        if is_held {
            break;
        }
        // The segments that are being made belong to the last Period.
        let part_target = (low_latency && end.is_none()).then_some(store.config().part_target);
        let late_by = part_target.map(|part| (part, target));
        written += usize::from(put_period(&mut out, &tracks, (start, end), late_by));
    }
    let _ =
        writeln!(out, "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"{}\"/>\n</MPD>", rfc3339(now));
    match written {
        0 if is_held => Err(Missing::Yet),
        0 => Err(Missing::Now),
        _ => Ok(out),
    }
}

/// A track that is live, the rendition that it lies with, and its place among the rendition's sounds.
struct Live<'a> {
    rendition: &'a str,
    track: &'a Track,
    place: usize,
}

/// The tracks that players are offered. Each is there once, however many renditions have it.
fn offered(store: &Store) -> Vec<Live<'_>> {
    let mut found: Vec<Live<'_>> = Vec::new();
    for (name, _) in measure::source_first(&store.renditions) {
        let picture = store.picture_of(name).into_iter().map(|track| Live { rendition: name, track, place: 0 });
        let sounds = store.sounds_of(name).into_iter();
        let sounds = sounds.map(|sound| Live { rendition: sound.home, track: sound.track, place: sound.place });
        for new in picture.chain(sounds).filter(|new| new.track.live) {
            if !found.iter().any(|known| (known.rendition, known.track.name) == (new.rendition, new.track.name)) {
                found.push(new);
            }
        }
    }
    found
}

/// Writes a Period, which reaches from one change of decoder configuration, or one pause of the source, to the next. Returns whether there
/// was anything in it.
///
/// `open` asks for the segments that are being made. It has the length of parts, and the length of segments in case none is complete yet.
fn put_period(
    out: &mut String,
    tracks: &[Live<'_>],
    (start, end): (MediaTime, Option<MediaTime>),
    open: Option<(Duration, u64)>,
) -> bool {
    let within = |segment: &&Segment| {
        let at = segment.start().max(segment.period_start);
        at >= start && end.is_none_or(|end| at < end)
    };
    let representations: Vec<Representation<'_>> = tracks
        .iter()
        .filter_map(|&Live { rendition, track, place }| {
            let segments: Vec<&Segment> = track.complete().filter(within).collect();
            let info = &*track.inits.get(&segments.first()?.init)?.info;
            let open = open.and_then(|(_, target)| being_made(track, &segments, target));
            let set = match track.name.kind {
                MediaKind::Video => SetKey::PICTURE,
                MediaKind::Audio => SetKey::sound(place, info),
            };
            Some(Representation { set, rendition, track, info, segments, open })
        })
        .collect();
    if representations.is_empty() {
        return false;
    }
    let _ = write!(out, "<Period id=\"p{}\" start=\"PT{:.3}S\"", start.as_millis(), start.as_secs_f64());
    // If the source was away between two Periods, this one ends with its media, and not where the next one begins.
    let media_end = representations.iter().filter_map(|found| found.segments.last()).map(|last| last.end()).max();
    if let (Some(end), Some(media_end)) = (end, media_end)
        && end.since(media_end) > ROUNDING_MAX
    {
        let _ = write!(out, " duration=\"PT{:.3}S\"", (media_end - start).as_secs_f64());
    }
    out.push_str(">\n");
    let mut sets: BTreeMap<SetKey, Vec<&Representation<'_>>> = BTreeMap::new();
    for found in &representations {
        sets.entry(found.set).or_default().push(found);
    }
    let sounds = sets.keys().filter(|set| set.kind == SetKind::Sound).count();
    for (set, of_set) in &sets {
        put_adaptation_set(out, *set, of_set, sounds > 1);
        of_set.iter().for_each(|found| put_representation(out, found, start, open.map(|(part, _)| part)));
        out.push_str("</AdaptationSet>\n");
    }
    out.push_str("</Period>\n");
    true
}

/// A set has what players may switch between without anybody noticing: sizes of one picture, or bit rates of one sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SetKey {
    kind: SetKind,
    place: usize,
    /// The codec's place in a fixed order, so that a set keeps its number. Decoders do not switch between codecs.
    codec: usize,
    language: Option<Language>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SetKind {
    Picture,
    Sound,
}

impl SetKey {
    const PICTURE: Self = Self { kind: SetKind::Picture, place: 0, codec: 0, language: None };

    fn sound(place: usize, info: &TrackInfo) -> Self {
        let codec = Codec::ALL.iter().filter(|codec| codec.kind() == MediaKind::Audio).position(|it| *it == info.codec);
        Self { kind: SetKind::Sound, place, codec: codec.unwrap_or(0), language: info.language }
    }

    /// The set's number. That of the picture is 0, and that of the first sound in AAC is 1.
    fn number(self) -> usize {
        match self.kind {
            SetKind::Picture => 0,
            SetKind::Sound => 1 + self.place * Codec::ALL.len() + self.codec,
        }
    }
}

/// Writes the beginning of a set. If there are several sounds, it says which is the main one.
fn put_adaptation_set(out: &mut String, set: SetKey, of_set: &[&Representation<'_>], several: bool) {
    let Some(first) = of_set.first() else { return };
    let (id, kind) = (set.number(), first.track.name.kind_word());
    let independent = of_set.iter().all(|found| measure::all_independent(found.track));
    let sap = if independent { " startWithSAP=\"1\"" } else { "" };
    let language = set.language.map(|language| format!(" lang=\"{}\"", language.tag())).unwrap_or_default();
    let _ = writeln!(
        out,
        "<AdaptationSet id=\"{id}\" contentType=\"{kind}\" mimeType=\"{kind}/mp4\"{language} segmentAlignment=\"true\"{sap}>"
    );
    if set.kind == SetKind::Sound && several {
        let role = if set.place == 0 { "main" } else { "alternate" };
        let _ = writeln!(out, "<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{role}\"/>");
    }
    put_captions(out, of_set.iter().fold(Captions::default(), |all, found| all.and(found.track.captions)));
    if let Some(label) = &first.info.label {
        let _ = writeln!(out, "<Label>{label}</Label>");
    }
}

/// The segment that is being made, if it goes on from those, with its likely length: that of the one before it, or more if it is longer
/// already.
fn being_made<'a>(track: &'a Track, segments: &[&Segment], target: u64) -> Option<(&'a Segment, u64)> {
    let open = track.listed().next_back().filter(|segment| segment.has_begun() && !segment.is_complete())?;
    let before = segments.last()?;
    if open.number != before.number + 1 || open.period_start != before.period_start || open.run != before.run {
        return None;
    }
    let telling = segments.iter().rev().find(|segment| segment.seconds() >= target as f64 / 2.0);
    let likely = telling.map_or(target * u64::from(open.timescale), |segment| segment.duration_ticks);
    Some((open, likely.max(open.duration_ticks)))
}

/// Says which captions are in the pictures (SCTE 214-1, 6.1). Their language is not known.
fn put_captions(out: &mut String, captions: Captions) {
    let channels: Vec<String> = captions.channels().map(|channel| format!("CC{channel}=und")).collect();
    let services: Vec<String> = captions.services().map(|service| format!("{service}=lang:und")).collect();
    for (scheme, values) in [("cea-608", channels), ("cea-708", services)] {
        if !values.is_empty() {
            let value = values.join(";");
            let _ = writeln!(out, "<Accessibility schemeIdUri=\"urn:scte:dash:cc:{scheme}:2015\" value=\"{value}\"/>");
        }
    }
}

fn put_representation(
    out: &mut String,
    found: &Representation<'_>,
    period_start: MediaTime,
    part_target: Option<Duration>,
) {
    let Representation { rendition, track, info, segments, open, .. } = found;
    let Some(first) = found.first() else { return };
    let kind = track.name;
    let _ = write!(
        out,
        "<Representation id=\"{rendition}-{kind}\" codecs=\"{}\" bandwidth=\"{}\"",
        measure::codec_string(info),
        measure::rate(track).peak_bps
    );
    if let Some(video) = &info.video {
        let _ = write!(out, " width=\"{}\" height=\"{}\"", video.width, video.height);
        if let Some(fps) = measure::fps(track, info) {
            let _ = write!(out, " frameRate=\"{}\"", frame_rate(fps));
        }
    }
    if let Some(audio) = &info.audio {
        let _ = write!(out, " audioSamplingRate=\"{}\"", audio.sample_rate_hz);
    }
    out.push_str(">\n");
    if let Some(audio) = &info.audio {
        let _ = writeln!(
            out,
            "<AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" \
             value=\"{}\"/>",
            audio.channels
        );
    }
    // Each run of the server begins a Period, so all segments here are of one run.
    let run = if first.run == 0 { String::new() } else { format!("-{}", first.run) };
    // How early a segment can be asked for matters for the one that is being made. The others have been there for long.
    let newest = open.or(segments.last().map(|last| (*last, last.duration_ticks)));
    let early = part_target.zip(newest).and_then(|(part, (segment, ticks))| {
        let early = seconds(ticks, segment.timescale) - part.as_secs_f64();
        (early > 0.0).then(|| format!(" availabilityTimeOffset=\"{early:.3}\" availabilityTimeComplete=\"false\""))
    });
    let early = early.unwrap_or_default();
    let _ = write!(
        out,
        "<SegmentTemplate timescale=\"{}\" presentationTimeOffset=\"{}\"{early} startNumber=\"{}\" \
         initialization=\"{rendition}/{kind}/init-{}.mp4\" media=\"{rendition}/{kind}/$Number${run}.m4s\">\n\
         <SegmentTimeline>\n",
        first.timescale,
        period_start.as_ticks(first.timescale),
        first.number,
        first.init,
    );
    put_timeline(out, segments, *open);
    out.push_str("</SegmentTimeline>\n</SegmentTemplate>\n</Representation>\n");
}

/// Writes the `S` rows. Segments of equal length that follow edge to edge share one.
fn put_timeline(out: &mut String, segments: &[&Segment], open: Option<(&Segment, u64)>) {
    let mut rows: Vec<(u64, u64, u64)> = Vec::new();
    for (segment, ticks) in segments.iter().map(|segment| (*segment, segment.duration_ticks)).chain(open) {
        match rows.last_mut() {
            Some((start, length, count)) if *length == ticks && *start + *length * *count == segment.start_ticks => {
                *count += 1;
            }
            _ => rows.push((segment.start_ticks, ticks, 1)),
        }
    }
    for (start, length, count) in rows {
        let repeat = if count > 1 { format!(" r=\"{}\"", count - 1) } else { String::new() };
        let _ = writeln!(out, "<S t=\"{start}\" d=\"{length}\"{repeat}/>");
    }
}

/// The frame rate as DASH writes it: a whole number if it is one, a fraction over 1001 if it is of the NTSC family, and otherwise one over
/// 1000.
fn frame_rate(fps: f64) -> String {
    let whole = fps.round();
    if (fps - whole).abs() < 0.01 {
        return format!("{whole:.0}");
    }
    let ntsc = fps * 1.001;
    match (ntsc - ntsc.round()).abs() < 0.01 {
        true => format!("{:.0}/1001", ntsc.round() * 1000.0),
        false => format!("{:.0}/1000", fps * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::frame_rate;

    #[test]
    fn frame_rates_are_whole_or_fractions() {
        for (fps, expected) in
            [(30.0, "30"), (29.999, "30"), (29.97, "30000/1001"), (23.976, "24000/1001"), (12.5, "12500/1000")]
        {
            assert_eq!(frame_rate(fps), expected);
        }
    }
}

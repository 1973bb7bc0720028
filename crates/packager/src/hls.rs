//! HLS playlists (RFC 8216bis): the multivariant playlist, and media playlists with parts, delta updates and reports.

pub(crate) mod listing;
mod sound_groups;

use std::fmt::Write;

use weir_media::TrackInfo;
use weir_media::codec::captions::Captions;

use crate::hls::listing::{Listing, put_address, put_breaks, put_map, put_time};
use crate::hls::sound_groups::{Group, Groups, Offered, offered};
use crate::store::measure;
use crate::store::part_times::PartTimes;
use crate::store::segment::Segment;
use crate::store::track::Track;
use crate::store::track_name::TrackName;
use crate::store::{LeftOut, Store};

/// Players stay so many parts behind the newest one. The specification demands two at least, and recommends three.
const PART_HOLD_BACK_PARTS: f64 = 3.0;
/// Classic players stay three target durations behind.
const HOLD_BACK_TARGETS: u64 = 3;
/// Delta updates leave out what is older than six target durations, which is the least that the specification allows.
const SKIP_TARGETS: u64 = 6;

/// Whether a multivariant playlist can be written: every track of some rendition has begun, or one began so long ago that the other is
/// not coming.
pub(crate) fn is_ready(store: &Store) -> bool {
    store.renditions.values().any(|tracks| {
        let mut live = tracks.iter().filter(|track| track.live).peekable();
        let begun = tracks.iter().any(|track| track.live && track.complete().next().is_some());
        live.peek().is_some() && (begun || live.all(|track| track.newest().is_some()))
    })
}

pub(crate) fn multivariant(store: &Store) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
    if store.renditions.values().flatten().all(measure::all_independent) {
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let mut variants = String::new();
    let mut groups = Groups::default();
    let any_picture = store.renditions.keys().any(|name| store.picture_of(name).is_some_and(|track| track.live));
    let source_sounds = offered(store, weir_hub::SOURCE_RENDITION);
    let all_sounds: Vec<Offered<'_>> =
        measure::source_first(&store.renditions).flat_map(|(name, _)| offered(store, name)).collect();
    for (name, _) in measure::source_first(&store.renditions) {
        let picture = store.picture_of(name).filter(|track| track.live && track.newest().is_some());
        let picture = picture.and_then(|track| Some((track, &**track.info()?)));
        let own = offered(store, name);
        match picture {
            Some(picture) => {
                // A rendition without sound of its own is offered with the source's.
                let (of, sounds) =
                    if own.is_empty() { (weir_hub::SOURCE_RENDITION, &source_sounds) } else { (name.as_str(), &own) };
                let beside = groups.of(of, sounds, &all_sounds);
                if beside.is_empty() {
                    put_variant(&mut variants, name, picture, None);
                }
                for group in beside.into_iter().filter_map(|at| groups.get(at)) {
                    put_variant(&mut variants, name, picture, Some(group));
                }
            }
            // The sound of a picture that can't be packaged is not a radio programme, so it is offered only if there is nothing else.
            None if !store.hides_picture(name) || !any_picture => {
                if let Some(Offered { sound, info }) = own.first() {
                    put_variant(&mut variants, sound.home, (sound.track, info), None);
                }
            }
            None => {}
        }
    }
    groups.put(&mut out);
    put_left_out(&mut out, store);
    put_captions(&mut out, store);
    out.push_str(&variants);
    out
}

/// Under this id the playlist names the sounds that no segment can carry, for pages that show what there is. Players keep data whose id
/// they do not know.
const LEFT_OUT: &str = "weir.sounds-left-out";

fn put_left_out(out: &mut String, store: &Store) {
    let left_out = store.left_out_of(weir_hub::SOURCE_RENDITION);
    let said: Vec<String> =
        left_out.iter().map(|LeftOut { name, codec }| format!("{codec} {}", name.replace(';', ","))).collect();
    if !said.is_empty() {
        let _ = writeln!(out, "#EXT-X-SESSION-DATA:DATA-ID=\"{LEFT_OUT}\",VALUE=\"{}\"", said.join(";"));
    }
}

/// All variants name this one group: captions are in the pictures, and are the same in each rendition that kept them.
const CAPTIONS_GROUP: &str = "captions";

fn put_captions(out: &mut String, store: &Store) {
    let captions = store.renditions.values().flatten().filter(|track| track.live);
    let captions = captions.fold(Captions::default(), |all, track| all.and(track.captions));
    let channels = captions.channels().map(|channel| format!("CC{channel}"));
    for id in channels.chain(captions.services().map(|service| format!("SERVICE{service}"))) {
        let _ = writeln!(
            out,
            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"{CAPTIONS_GROUP}\",NAME=\"{id}\",AUTOSELECT=YES,INSTREAM-ID=\"{id}\""
        );
    }
}

fn put_variant(out: &mut String, name: &str, (track, info): (&Track, &TrackInfo), sound: Option<&Group<'_>>) {
    let mut rate = measure::rate(track);
    let mut codecs = measure::codec_string(info).to_owned();
    if let Some(sound) = sound {
        rate = rate + sound.rate();
        codecs = format!("{codecs},{}", sound.codec_strings());
    }
    let _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{codecs}\"",
        rate.peak_bps, rate.average_bps
    );
    if let Some(video) = &info.video {
        let _ = write!(out, ",RESOLUTION={}x{}", video.width, video.height);
        if let Some(fps) = measure::fps(track, info) {
            let _ = write!(out, ",FRAME-RATE={fps:.3}");
        }
    }
    if let Some(sound) = sound {
        let _ = write!(out, ",AUDIO=\"{}\"", sound.name);
    }
    if !track.captions.is_empty() {
        let _ = write!(out, ",CLOSED-CAPTIONS=\"{CAPTIONS_GROUP}\"");
    }
    let _ = writeln!(out, "\n{name}/{}.m3u8", track.name);
}

/// A track's media playlist. The listing must have been brought up to date. `skip` asks for a delta update.
pub(crate) fn media(store: &Store, rendition: &str, track: &Track, listing: &Listing, skip: bool) -> String {
    let target = store.target_seconds();
    let part_target = store.config().part_target.as_secs_f64();
    let mut out = String::with_capacity(4096);
    let _ = write!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={:.1},HOLD-BACK={:.1},PART-HOLD-BACK={:.3}\n\
         #EXT-X-PART-INF:PART-TARGET={part_target:.3}\n",
        (target * SKIP_TARGETS) as f64,
        (target * HOLD_BACK_TARGETS) as f64,
        ceil_millis(part_target * PART_HOLD_BACK_PARTS),
    );
    let first = track.listed().next();
    let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", first.map_or(0, |segment| segment.number));
    let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", first.map_or(0, |segment| segment.breaks));
    if measure::all_independent(track) {
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let skipped = if skip { track.count_before(target * SKIP_TARGETS) } else { 0 };
    let parts_from = track.parts_from(target);
    if skipped > 0 {
        let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    }
    let (listed, mut before) = listing.put(&mut out, track, skipped);
    for segment in track.listed().skip(listed).filter(|segment| segment.is_listed()) {
        let (breaks, init) = before.unzip();
        put_breaks(&mut out, breaks.map_or(0, |breaks| segment.breaks.saturating_sub(breaks)));
        if init != Some(segment.init) {
            put_map(&mut out, track, segment.init);
        }
        before = Some((segment.breaks, segment.init));
        put_time(&mut out, segment, store.zero_at);
        put_segment(&mut out, track, segment, segment.number >= parts_from);
    }
    put_hint(&mut out, track);
    put_reports(&mut out, store, rendition, track.name);
    out
}

fn put_segment(out: &mut String, track: &Track, segment: &Segment, with_parts: bool) {
    let (folder, name) = (track.name, segment.name());
    let mut times = PartTimes::new(segment.timescale);
    for (index, part) in segment.listed_parts().iter().enumerate().filter(|_| with_parts) {
        let duration = times.next(part.duration_ticks);
        let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
        let _ = writeln!(out, "#EXT-X-PART:DURATION={duration:.5},URI=\"{folder}/{name}.{index}.m4s\"{independent}");
    }
    if segment.is_complete() {
        put_address(out, track, segment);
    }
}

/// Writes the hint at the part that comes next. That part has begun already, because a part ends when a frame of the next one is here.
fn put_hint(out: &mut String, track: &Track) {
    let goes_on = |segment: &&Segment| !segment.is_complete() && segment.unlisted_from.is_none();
    if let Some(open) = track.segments.back().filter(goes_on) {
        let (folder, name, part) = (track.name, open.name(), open.parts.len());
        let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{folder}/{name}.{part}.m4s\"");
    }
}

fn put_reports(out: &mut String, store: &Store, rendition: &str, own: TrackName) {
    for (name, tracks) in measure::source_first(&store.renditions) {
        for track in tracks.iter().filter(|track| track.live && !(name == rendition && track.name == own)) {
            let Some((number, part)) = track.newest() else { continue };
            let above = if name == rendition { String::new() } else { format!("../{name}/") };
            let name = track.name;
            let _ = write!(out, "#EXT-X-RENDITION-REPORT:URI=\"{above}{name}.m3u8\",LAST-MSN={number}");
            let _ = match part {
                Some(part) => writeln!(out, ",LAST-PART={part}"),
                None => writeln!(out),
            };
        }
    }
}

/// The seconds rounded up to milliseconds, so that the number is never below what it must be at least.
fn ceil_millis(seconds: f64) -> f64 {
    (seconds * 1000.0 - 1e-6).ceil() / 1000.0
}

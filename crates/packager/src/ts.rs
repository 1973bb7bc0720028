//! HLS with MPEG-TS segments, for old boxes. A rendition has one playlist, and picture and sound are in one file.
//!
//! Nothing is made until somebody asks. Then a TS segment is muxed from the CMAF segments of the same time, which are there anyway, in
//! memory or on disk, and it is kept for those who ask next. A stream whose TS nobody watches costs nothing, and one that thousands watch
//! is muxed once a segment. TS segments are cut where the picture's CMAF segments are, and have their numbers.

pub(crate) mod press;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use weir_media::{Codec, Frame, FrameFlags, MediaKind, MediaTime, TrackInfo};
use weir_mux::fmp4::{self, Fmp4Error};
use weir_mux::ts::{self, TsError};

use crate::store::Store;
use crate::store::awaited::Missing;
use crate::store::backlog::TrackKey;
use crate::store::clock::media_time;
use crate::store::measure;
use crate::store::part::Part;
use crate::store::segment::Segment;
use crate::store::track::Track;
use crate::store::track_name::TrackName;
use crate::wall_time::{rfc3339, wall_time};

/// Sound is cut at the first frame that is not before the picture's cut, but the sound's clock may count that frame half a frame earlier.
const SOUND_EARLY: MediaTime = MediaTime::from_millis(20);
/// Sound that is so many segments behind the picture is not waited for any longer.
const SOUND_BEHIND_MAX: u64 = 2;

/// What TS adds at most is this share and `ADDED_BPS`: packet headers are 2 %, and there are half a packet a frame (at 60 fps), tables, and
/// packets that only bring the counters round.
const ADDED_SHARE: u64 = 32;
const ADDED_BPS: u64 = 100_000;

/// The tracks from which one playlist takes its segments.
#[derive(Clone, Debug)]
struct Tracks<'a> {
    rendition: &'a str,
    /// The track that says where segments begin. It is the picture, or the first sound if there is no picture.
    lead: &'a Track,
    /// The sounds, each with the rendition that it lies with.
    sounds: Vec<(&'a str, &'a Track)>,
}

/// Whether a track goes into TS. Opus could be written, but no box that needs TS plays it.
fn is_writable(info: &TrackInfo) -> bool {
    !matches!(info.codec, Codec::Av1 | Codec::Opus | Codec::Vp8 | Codec::Vp9)
}

impl<'a> Tracks<'a> {
    /// The tracks of a rendition. None if there is nothing to play, or only what TS can't carry.
    fn of(store: &'a Store, rendition: &'a str) -> Option<Self> {
        let writable = |track: &&Track| track.info().is_some_and(|info| is_writable(info));
        let begun = |of: &str| {
            let all = store.sounds_of(of).into_iter().filter(|sound| sound.track.newest().is_some());
            all.map(|sound| (sound.home, sound.track)).collect::<Vec<_>>()
        };
        let picture = store.picture_of(rendition).filter(|track| track.newest().is_some());
        let own = begun(rendition);
        let fit = |all: &[(&'a str, &'a Track)]| -> Vec<_> {
            all.iter().filter(|(_, track)| writable(track)).copied().collect()
        };
        let Some(lead) = picture.filter(writable) else {
            let mut sounds = fit(&own).into_iter();
            let (home, lead) = sounds.next().filter(|_| picture.is_none())?;
            return Some(Self { rendition: home, lead, sounds: sounds.collect() });
        };
        // A rendition without sound that can be written takes the source's.
        let mut sounds = fit(&own);
        if sounds.is_empty() {
            sounds = fit(&begun(weir_hub::SOURCE_RENDITION));
        }
        // A rendition that would be silent in TS is left out, because another rendition is better than a silent picture.
        (own.is_empty() || !sounds.is_empty()).then_some(Self { rendition, lead, sounds })
    }

    /// The segments that can be asked for, oldest first. They end where the sound has not come as far.
    fn listed(&self) -> impl Iterator<Item = &'a Segment> {
        self.lead.complete().take_while(|segment| self.sounds_have_come(segment))
    }

    fn end_of(&self, segment: &Segment) -> MediaTime {
        let next = self.lead.segment(segment.number + 1);
        next.map_or(segment.end(), |next| next.start().min(segment.end()))
    }

    /// The sound's segments that begin within this segment of the picture.
    fn sound_of(&self, sound: &'a Track, segment: &Segment) -> impl Iterator<Item = &'a Segment> {
        let (start, end) = (segment.start(), self.end_of(segment));
        let begins = move |sound: &&Segment| (start..end).contains(&(sound.start() + SOUND_EARLY));
        sound.segments.iter().filter(begins)
    }

    fn sounds_have_come(&self, segment: &Segment) -> bool {
        let end = self.end_of(segment);
        let newest = self.lead.newest().map_or(0, |(number, _)| number);
        let has_come = |sound: &Track| {
            sound.segments.back().is_some_and(|newest| newest.start() + SOUND_EARLY >= end)
                || newest >= segment.number + SOUND_BEHIND_MAX
        };
        self.sounds.iter().filter(|(_, sound)| sound.live).all(|(_, sound)| has_come(sound))
    }
}

pub(crate) fn multivariant(store: &Store) -> Result<String, Missing> {
    let (mut variants, mut coming) = (String::new(), store.renditions.is_empty());
    for (name, own) in measure::source_first(&store.renditions) {
        let sounds = store.sounds_of(name);
        let mut all =
            own.iter().filter(|track| track.name.kind == MediaKind::Video).chain(sounds.iter().map(|it| it.track));
        if !all.clone().any(|track| track.live) {
            continue;
        }
        coming |= all.all(|track| track.newest().is_none());
        let Some(tracks) = Tracks::of(store, name) else { continue };
        coming = true;
        if tracks.listed().next().is_some() {
            put_variant(&mut variants, name, &tracks);
        }
    }
    match (variants.is_empty(), coming) {
        (false, _) => Ok(format!("#EXTM3U\n#EXT-X-VERSION:3\n{variants}")),
        (true, true) => Err(Missing::Yet),
        (true, false) => Err(Missing::Forever),
    }
}

fn put_variant(out: &mut String, name: &str, tracks: &Tracks<'_>) {
    let Some(info) = tracks.lead.info() else { return };
    let mut rate = measure::rate(tracks.lead);
    let mut codecs = measure::codec_string(info).to_owned();
    for (sound, sound_info) in tracks.sounds.iter().filter_map(|(_, sound)| Some((sound, sound.info()?))) {
        rate = rate + measure::rate(sound);
        let codec = measure::codec_string(sound_info);
        if codecs.split(',').all(|known| known != codec) {
            codecs = format!("{codecs},{codec}");
        }
    }
    let [peak_bps, average_bps] =
        [rate.peak_bps, rate.average_bps].map(|bps| bps.saturating_add(bps / ADDED_SHARE).saturating_add(ADDED_BPS));
    let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak_bps},AVERAGE-BANDWIDTH={average_bps},CODECS=\"{codecs}\"");
    if let Some(video) = &info.video {
        let _ = write!(out, ",RESOLUTION={}x{}", video.width, video.height);
    }
    let _ = writeln!(out, "\n{name}/media.m3u8");
}

/// The media playlist of a rendition.
pub(crate) fn media(store: &Store, rendition: &str) -> Result<String, Missing> {
    let tracks = Tracks::of(store, rendition).ok_or(Missing::Forever)?;
    let first = tracks.listed().next().ok_or(Missing::Yet)?;
    let mut out = String::with_capacity(1024);
    let _ = write!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        store.target_seconds(),
        first.number,
        first.breaks
    );
    let mut breaks = first.breaks;
    for segment in tracks.listed() {
        (breaks..segment.breaks).for_each(|_| out.push_str("#EXT-X-DISCONTINUITY\n"));
        breaks = segment.breaks;
        if let Some(zero_at) = store.zero_at {
            let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339(wall_time(zero_at, segment.start())));
        }
        let _ = writeln!(out, "#EXTINF:{:.5},\n{}.ts", segment.seconds(), segment.name());
    }
    Ok(out)
}

/// Where the bytes of a CMAF segment are.
#[derive(Clone, Debug)]
enum Source {
    Parts(Vec<Part>),
    /// A file below the stream's folder on the shelf.
    File(PathBuf),
}

impl Source {
    fn of(segment: &Segment, rendition: &str, track: TrackName) -> Self {
        if segment.is_on_disk_only() {
            return Self::File(TrackKey::new(rendition, track).file(segment));
        }
        Self::Parts(segment.parts.clone())
    }
}

/// CMAF segments of one track, and the configuration of their decoder.
#[derive(Debug)]
struct Piece {
    info: Arc<TrackInfo>,
    init: u32,
    sources: Vec<(Source, u32)>,
}

impl Piece {
    fn of<'a>(rendition: &str, track: &Track, segments: impl Iterator<Item = &'a Segment>) -> Option<Self> {
        let mut piece: Option<Self> = None;
        for segment in segments.filter(|segment| segment.is_complete()) {
            let Some(init) = track.inits.get(&segment.init) else { continue };
            let piece = piece.get_or_insert_with(|| Self {
                info: Arc::clone(&init.info),
                init: segment.init,
                sources: Vec::new(),
            });
            // A TS segment has one PMT, so a CMAF segment with another configuration does not go into this one.
            if piece.init == segment.init {
                piece.sources.push((Source::of(segment, rendition, track.name), segment.timescale));
            }
        }
        piece
    }

    fn samples(&self, out: &mut Vec<Frame>) -> Result<(), Fmp4Error> {
        let track = self.info.id;
        let bodies = self.sources.iter().flat_map(|(source, timescale)| match source {
            Source::Parts(parts) => parts.iter().map(|part| (part.clone().body(), timescale)).collect(),
            Source::File(_) => Vec::new(),
        });
        for (body, timescale) in bodies {
            for timed in fmp4::samples(&body)? {
                let dts = media_time(timed.decode_ticks, *timescale);
                let offset = MediaTime::from_ticks(i64::from(timed.sample.composition_offset_ticks), *timescale);
                let flags = FrameFlags { keyframe: timed.sample.keyframe, discontinuity: false };
                out.push(Frame { track, dts, pts: dts + offset, flags, payload: timed.sample.payload });
            }
        }
        Ok(())
    }
}

/// What a TS segment is made of. These are counted references, which are taken while the store is locked. The segment is made afterwards.
#[derive(Debug)]
pub(crate) struct Recipe {
    lead: Piece,
    sounds: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecipeError {
    #[error(transparent)]
    Read(#[from] Fmp4Error),
    #[error(transparent)]
    Write(#[from] TsError),
}

impl Recipe {
    /// The recipe for a segment. None if no playlist lists or listed the segment.
    pub(crate) fn of(store: &Store, rendition: &str, number: u64, run: u64) -> Option<Self> {
        let tracks = Tracks::of(store, rendition)?;
        let segment = tracks.lead.segment(number).filter(|segment| segment.run == run && segment.is_complete())?;
        if !tracks.sounds_have_come(segment) {
            return None;
        }
        let lead = Piece::of(tracks.rendition, tracks.lead, std::iter::once(segment))?;
        let sounds = tracks.sounds.iter();
        let sounds = sounds.filter_map(|(home, track)| Piece::of(home, track, tracks.sound_of(track, segment)));
        Some(Self { lead, sounds: sounds.collect() })
    }

    /// The files that have to be read from disk first.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let sources = std::iter::once(&self.lead).chain(&self.sounds).flat_map(|piece| &piece.sources);
        sources
            .filter_map(|(source, _)| if let Source::File(path) = source { Some(path.clone()) } else { None })
            .collect()
    }

    /// Takes the bytes of a file that has been read.
    pub(crate) fn give(&mut self, path: &Path, body: &Bytes) {
        let pieces = std::iter::once(&mut self.lead).chain(&mut self.sounds);
        for (source, _) in pieces.flat_map(|piece| &mut piece.sources) {
            if matches!(source, Source::File(wanted) if wanted == path) {
                *source = Source::Parts(vec![Part::new(Arc::from([body.clone()]), 0, true, 0)]);
            }
        }
    }

    pub(crate) fn make(&self) -> Result<Bytes, RecipeError> {
        let mut frames = Vec::new();
        let mut tracks = vec![&*self.lead.info];
        self.lead.samples(&mut frames)?;
        for sound in &self.sounds {
            sound.samples(&mut frames)?;
            tracks.push(&sound.info);
        }
        let inits = self.sounds.iter().fold(self.lead.init, |inits, sound| inits.wrapping_add(sound.init));
        Ok(ts::segment(&tracks, (inits & 0x1F) as u8, &frames)?)
    }
}

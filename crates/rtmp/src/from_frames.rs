//! Frames to RTMP: one rendition's entries become batches of messages, which are serialised once for all connections.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_hub::{Batcher, Entry, Tracks};
use weir_media::{Codec, Language, MediaKind, MediaTime, TrackId, TrackInfo};
use weir_mux::flv::{self, TagHeader};

use crate::batch::{Batch, MediaOut, Setup, SharedBatch};
use crate::protocol::MessageKind;
use crate::wire::{Value, encode};

/// A rendition without pictures is sent in batches of this length, as if it had 30 pictures a second.
const AUDIO_BATCH: MediaTime = MediaTime::from_millis(33);

/// A batch never holds more messages than this, whatever the source does. 64 AAC frames are 1.4 s of sound.
const BATCH_MESSAGES_MAX: usize = 64;

/// Why a rendition can't go out over RTMP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("{0} can't be carried in RTMP; choose a rendition that encodes it")]
    Codec(Codec),
    #[error("{0} needs Enhanced RTMP, which this destination is not known to take")]
    NeedsEnhanced(Codec),
    #[error("the sound in {language} is {codec}, which can't be carried in RTMP; choose a rendition that encodes it")]
    Language { language: Language, codec: Codec },
}

/// The one sound that goes out of those, in that language where it can.
pub fn carried_sound(tracks: &Tracks, language: Option<Language>) -> Option<&Arc<TrackInfo>> {
    sound_of(tracks, language).filter(|info| is_carried(info.codec))
}

/// Checks that the tracks can be sent to a destination, which takes Enhanced RTMP (`enhanced`) or only what came before it.
pub fn check_tracks(tracks: &Tracks, language: Option<Language>, enhanced: bool) -> Result<(), Unsupported> {
    let sound = sound_of(tracks, language);
    let spoken = tracks.audios().find(|info| language.is_some() && info.language == language);
    if let (Some(language), Some(spoken)) = (language, spoken)
        && sound.is_some_and(|sound| sound.language != spoken.language)
    {
        return Err(Unsupported::Language { language, codec: spoken.codec });
    }
    for info in tracks.video().into_iter().chain(sound) {
        match info.codec {
            Codec::H265 | Codec::Av1 | Codec::Opus if !enhanced => {
                return Err(Unsupported::NeedsEnhanced(info.codec));
            }
            codec if !is_carried(codec) => return Err(Unsupported::Codec(codec)),
            _ => {}
        }
    }
    Ok(())
}

const fn is_carried(codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Aac | Codec::Opus | Codec::Mp3 => true,
        Codec::Mpeg2 | Codec::Mp2 | Codec::Ac3 | Codec::Eac3 | Codec::Vp8 | Codec::Vp9 => false,
    }
}

/// The one sound that goes out: the first in the wished language that RTMP can carry, else the first of all that it can carry. If it can
/// carry none, this is the default sound.
fn sound_of(tracks: &Tracks, language: Option<Language>) -> Option<&Arc<TrackInfo>> {
    let carried = |info: &&Arc<TrackInfo>| is_carried(info.codec);
    let wished = tracks.audios().filter(carried).find(|info| language.is_some() && info.language == language);
    wished.or_else(|| tracks.audios().find(carried)).or_else(|| tracks.audio())
}

/// Gathers a rendition's frames into batches. Each video frame ends a batch, which also holds the audio that came before it.
#[derive(Debug, Default)]
pub struct RtmpBatcher {
    number: u64,
    /// The language that the sound should have, if one is wished.
    language: Option<Language>,
    tracks: Option<Arc<Tracks>>,
    /// Says that another sound is wished for than the one that goes out: it begins with the next GOP.
    is_to_change: bool,
    /// The tracks of the picture and of the sound that go out.
    carried: [Option<TrackId>; 2],
    setup: Arc<Setup>,
    /// Says that the setup changed after the last batch, so that the next one's shared bytes begin with its configurations.
    setup_changed: bool,
    pending: Vec<MediaOut>,
    pending_time: MediaTime,
    pending_start: bool,
    last_audio_ms: Option<i64>,
    last_video_ms: Option<i64>,
}

impl Batcher for RtmpBatcher {
    type Batch = SharedBatch;
    /// The language that the sound should have, if one is wished.
    type Choice = Option<Language>;

    fn new(language: &Option<Language>) -> Self {
        Self { language: *language, ..Self::default() }
    }

    fn push(&mut self, entry: &Entry) -> Option<SharedBatch> {
        let is_new = self.tracks.as_ref().is_none_or(|tracks| !Arc::ptr_eq(tracks, &entry.tracks));
        if is_new || self.is_to_change && entry.is_start() {
            self.change_tracks(&entry.tracks, entry.is_start());
        }
        let track = entry.track();
        if !self.carried.contains(&Some(track.id)) {
            return None;
        }
        let timestamp_ms = entry.frame.dts.as_millis();
        let (kind, last_ms, tag) = match track.kind() {
            MediaKind::Video => (MessageKind::Video, &mut self.last_video_ms, video_tag(entry, track.codec)?),
            MediaKind::Audio => {
                (MessageKind::Audio, &mut self.last_audio_ms, flv::audio_frame_header(track.codec).ok()?)
            }
        };
        // Sounds are not muxed quite alike: another one may begin before the end of the one that it follows.
        if kind == MessageKind::Audio && last_ms.is_some_and(|last_ms| timestamp_ms < last_ms) {
            return None;
        }
        let previous_ms = last_ms.replace(timestamp_ms).unwrap_or(timestamp_ms);
        if self.pending.is_empty() {
            self.pending_time = entry.frame.dts;
        }
        self.pending_start |= entry.is_start();
        self.pending.push(MediaOut { kind, timestamp_ms, previous_ms, tag, payload: entry.frame.payload.clone() });
        let audio_only = entry.tracks.video().is_none();
        let long = audio_only && entry.frame.dts - self.pending_time >= AUDIO_BATCH;
        if kind == MessageKind::Video || long || self.pending.len() >= BATCH_MESSAGES_MAX { self.flush() } else { None }
    }

    fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Ends the batch now, because audio must not wait for a picture that does not come.
    fn flush(&mut self) -> Option<SharedBatch> {
        if self.pending.is_empty() {
            return None;
        }
        let messages = std::mem::take(&mut self.pending).into_boxed_slice();
        let start = std::mem::take(&mut self.pending_start);
        let changed = std::mem::take(&mut self.setup_changed);
        self.number += 1;
        let batch = Batch::new(self.number, self.pending_time, start, &self.setup, changed, messages);
        Some(SharedBatch::new(batch))
    }
}

impl RtmpBatcher {
    fn change_tracks(&mut self, tracks: &Arc<Tracks>, at_start: bool) {
        self.tracks = Some(Arc::clone(tracks));
        let wished = sound_of(tracks, self.language);
        // What goes out goes on to the end of its GOP, if it is still there.
        let known = self.carried[1].and_then(|id| tracks.audios().find(|info| info.id == id));
        let sound = if at_start { wished } else { known.or(wished) };
        self.is_to_change = sound.map(|info| info.id) != wished.map(|info| info.id);
        let (video, audio) = (tracks.video().map(|info| &**info), sound.map(|info| &**info));
        self.carried = [video.map(|info| info.id), audio.map(|info| info.id)];
        let setup = Setup {
            metadata: metadata(video, audio),
            video_config: video.and_then(|info| flv::write_video_config(info, !is_legacy(info.codec)).ok()),
            audio_config: audio.and_then(|info| flv::write_audio_config(info).ok()).flatten(),
        };
        if setup != *self.setup {
            self.setup = Arc::new(setup);
            self.setup_changed = true;
        }
    }
}

fn video_tag(entry: &Entry, codec: Codec) -> Option<TagHeader> {
    let cts_ms = i32::try_from(entry.frame.pts.as_millis() - entry.frame.dts.as_millis()).unwrap_or(0);
    flv::video_frame_header(codec, entry.frame.is_keyframe(), cts_ms).ok()
}

/// Whether the codec goes out in the old form that every server knows. Only H.264 does; every later codec needs Enhanced RTMP.
fn is_legacy(codec: Codec) -> bool {
    codec == Codec::H264
}

/// The message `@setDataFrame onMetaData {...}`, which players and platforms read before the first frame.
fn metadata(video: Option<&TrackInfo>, audio: Option<&TrackInfo>) -> Bytes {
    let number = |name: &str, value: f64| (name.to_owned(), Value::Number(value));
    let mut fields = Vec::new();
    if let Some(info) = video {
        if let Some(video) = &info.video {
            fields.push(number("width", f64::from(video.width)));
            fields.push(number("height", f64::from(video.height)));
            if let Some((frames, seconds)) = video.fps.filter(|(_, seconds)| *seconds > 0) {
                fields.push(number("framerate", f64::from(frames) / f64::from(seconds)));
            }
        }
        fields.push(number("videocodecid", video_codec_id(info.codec)));
    }
    if let Some(info) = audio {
        fields.push(number("audiocodecid", audio_codec_id(info)));
        if let Some(audio) = &info.audio {
            fields.push(number("audiosamplerate", f64::from(audio.sample_rate_hz)));
            fields.push(number("audiosamplesize", 16.0));
            fields.push(("stereo".to_owned(), Value::Boolean(audio.channels > 1)));
        }
    }
    fields.push(("encoder".to_owned(), Value::String(concat!("Weir ", env!("CARGO_PKG_VERSION")).to_owned())));
    let mut out = BytesMut::new();
    let command = [Value::String("@setDataFrame".into()), Value::String("onMetaData".into()), Value::EcmaArray(fields)];
    encode(&mut out, &command);
    out.freeze()
}

/// FLV's number of the codec. Where Enhanced RTMP names the codec by a FourCC, this is the FourCC read as a number.
fn video_codec_id(codec: Codec) -> f64 {
    match codec {
        Codec::H265 => f64::from(u32::from_be_bytes(*b"hvc1")),
        Codec::Av1 => f64::from(u32::from_be_bytes(*b"av01")),
        _ => 7.0,
    }
}

fn audio_codec_id(info: &TrackInfo) -> f64 {
    match info.codec {
        Codec::Opus => f64::from(u32::from_be_bytes(*b"Opus")),
        Codec::Mp3 => 2.0,
        _ => 10.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks(sounds: &[(Codec, &str)]) -> Tracks {
        let sound = |(id, (codec, language)): (u32, &(Codec, &str))| TrackInfo {
            language: Language::parse(language),
            ..TrackInfo::new(TrackId(id), *codec, Bytes::new())
        };
        let picture = TrackInfo::new(TrackId(0), Codec::H264, Bytes::new());
        std::iter::once(picture).chain((1..).zip(sounds).map(sound)).map(Arc::new).collect()
    }

    /// What goes out is not cut within a GOP: one may come back in the next moment.
    #[test]
    fn another_sound_begins_with_a_gop() {
        let hub = weir_hub::StreamHub::new(weir_hub::WindowLimits::FRAMES);
        let mut cursor = hub.source().subscribe();
        let mut publisher = hub.publish_source(std::time::Instant::now());
        let mut batcher = RtmpBatcher::new(&Language::parse("eng"));
        let (german, both) = (tracks(&[(Codec::Aac, "deu")]), tracks(&[(Codec::Aac, "deu"), (Codec::Aac, "eng")]));
        let english: Tracks = both.iter().filter(|info| info.id != TrackId(1)).cloned().collect();
        let mut at = 0;
        for (tracks, keyframe, expected) in [
            (&german, true, 1),
            (&both, false, 1),
            (&both, false, 1),
            (&both, true, 2),
            (&both, false, 2),
            // One that goes leaves its place at once.
            (&german, false, 1),
            (&both, false, 1),
            (&english, false, 2),
        ] {
            publisher.set_tracks(tracks.clone());
            at += 40;
            let flags = weir_media::FrameFlags { keyframe, discontinuity: false };
            let (dts, payload) = (MediaTime::from_millis(at), Bytes::from_static(&[0; 8]));
            let frame = weir_media::Frame { track: TrackId(0), dts, pts: dts, flags, payload };
            publisher.write(frame, std::time::Instant::now());
            while let Some(weir_hub::Next::Item(entry)) = cursor.try_next() {
                batcher.push(&entry);
            }
            assert_eq!(batcher.carried[1], Some(TrackId(expected)), "at {at} ms");
        }
    }

    #[test]
    fn one_sound_is_chosen() {
        use Codec::{Aac, Ac3, Mp2, Opus};
        for (sounds, wish, chosen, fault) in [
            (&[(Aac, "deu"), (Aac, "eng")][..], "", Some(1), None),
            (&[(Aac, "deu"), (Aac, "eng")], "eng", Some(2), None),
            (&[(Aac, "deu"), (Aac, "eng")], "fra", Some(1), None),
            (&[(Ac3, "deu"), (Aac, "eng")], "", Some(2), None),
            (&[(Ac3, "deu"), (Aac, "deu"), (Aac, "eng")], "deu", Some(2), None),
            (
                &[(Aac, "deu"), (Ac3, "eng")],
                "eng",
                Some(1),
                Some("the sound in eng is ac3, which can't be carried in RTMP; choose a rendition that encodes it"),
            ),
            (&[(Mp2, "deu")], "", Some(1), Some("mp2 can't be carried in RTMP; choose a rendition that encodes it")),
            (&[(Opus, "")], "", Some(1), Some("opus needs Enhanced RTMP, which this destination is not known to take")),
            (&[], "eng", None, None),
        ] {
            let tracks = tracks(sounds);
            let language = Language::parse(wish);
            let found = sound_of(&tracks, language).map(|info| info.id.0);
            let told = check_tracks(&tracks, language, false).err().map(|error| error.to_string());
            assert_eq!((found, told.as_deref()), (chosen, fault), "{sounds:?} {wish}");
        }
    }
}

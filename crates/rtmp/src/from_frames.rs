//! Frames to RTMP: one rendition's entries become batches, which are serialised once for all connections.
//!
//! A batch is the messages of one picture and of the sound before it. Its shared bytes use chunk type 1, whose header holds a time
//! *difference* and no message stream id. So they are the same for every connection, whatever its start time and stream id; only a
//! connection's first message of each kind needs a full header of its own ([`crate::outlet`]).

use std::sync::Arc;

use bytes::Bytes;
use weir_hub::{Batcher, Entry, Item, Tracks};
use weir_media::{Codec, Language, MediaKind, MediaTime, TrackId};
use weir_mux::flv::{self, TagHeader};

use crate::carried::sound_of;
use crate::parcel::{Parcel, ParcelWriter};
use crate::protocol::{MessageKind, PLAY_CHUNK_SIZE, PUSH_CHUNK_SIZE};
use crate::setup::Setup;
use crate::wire::{Header, MessageHeader, type_id};

/// A rendition without pictures is sent in batches of this length, as if it had 30 pictures a second.
const AUDIO_BATCH: MediaTime = MediaTime::from_millis(33);

/// A batch never holds more messages than this, whatever the source does. 64 AAC frames are 1.4 s of sound.
const BATCH_MESSAGES_MAX: usize = 64;

/// The chunk size of all media that we send. Pushes and plays both announce it.
pub const MEDIA_CHUNK_BYTES: usize = PUSH_CHUNK_SIZE as usize;
const _: () = assert!(PUSH_CHUNK_SIZE == PLAY_CHUNK_SIZE, "batches are shared by pushes and plays");

/// The chunk streams of media. Audio and video have separate ones, so that each has its own chain of time differences.
const DATA_CSID: u32 = 5;
const AUDIO_CSID: u32 = 4;
const VIDEO_CSID: u32 = 6;

impl MessageKind {
    const fn csid(self) -> u32 {
        match self {
            Self::Data => DATA_CSID,
            Self::Audio => AUDIO_CSID,
            Self::Video => VIDEO_CSID,
        }
    }

    const fn type_id(self) -> u8 {
        match self {
            Self::Data => type_id::DATA_AMF0,
            Self::Audio => type_id::AUDIO,
            Self::Video => type_id::VIDEO,
        }
    }
}

/// One audio or video message on the stream's timeline that will go into a batch.
#[derive(Clone, Debug)]
pub(crate) struct MediaOut {
    pub(crate) kind: MessageKind,
    pub(crate) timestamp_ms: i64,
    /// The time of the message before it on the same chunk stream.
    pub(crate) previous_ms: i64,
    /// The body of the message is this tag (what FLV puts before a payload), followed by the payload as the hub holds it.
    pub(crate) tag: TagHeader,
    pub(crate) payload: Bytes,
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
        let setup = Setup::new(video, audio);
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

/// The messages of one picture, or of some sound, in the form in which all connections send them. A feed's window holds its batches by
/// reference count.
#[derive(Debug)]
pub struct Batch {
    /// The number rises by one from batch to batch of a feed, so a gap tells an outlet that some were passed over.
    pub(crate) number: u64,
    time: MediaTime,
    start: bool,
    pub(crate) setup: Arc<Setup>,
    pub(crate) messages: Box<[MediaOut]>,
    /// The time of the keyframe that makes this batch a start. A connection that begins here puts its zero there.
    pub(crate) start_ms: i64,
    pub(crate) shared: Parcel,
    /// Says that `shared` has messages of audio, even if only a configuration.
    pub(crate) has_audio: bool,
    pub(crate) has_video: bool,
    video_frames: u32,
}

impl Batch {
    /// Serialises messages for all connections. Where the setup has `changed`, its configurations go before them.
    pub(crate) fn new(
        number: u64,
        time: MediaTime,
        start: bool,
        setup: &Arc<Setup>,
        changed: bool,
        messages: Box<[MediaOut]>,
    ) -> Self {
        let of_kind = |kind| messages.iter().find(move |message| message.kind == kind);
        let first_ms = messages.first().map_or(0, |message| message.timestamp_ms);
        let mut shared = ParcelWriter::new(MEDIA_CHUNK_BYTES);
        for (kind, config) in setup.configs().filter(|_| changed) {
            // Its difference to the message before is 0, which leaves the chain of differences of its kind as it was.
            relative(&mut shared, kind, 0, &[], config);
        }
        for MediaOut { kind, timestamp_ms, previous_ms, tag, payload } in &messages {
            relative(&mut shared, *kind, timestamp_ms - previous_ms, tag, payload);
        }
        Self {
            number,
            time,
            start,
            // A start with pictures begins at its picture, which is the last message; a start of audio alone begins at its first message.
            start_ms: of_kind(MessageKind::Video).map_or(first_ms, |message| message.timestamp_ms),
            has_audio: of_kind(MessageKind::Audio).is_some() || (changed && setup.audio_config.is_some()),
            has_video: of_kind(MessageKind::Video).is_some() || (changed && setup.video_config.is_some()),
            video_frames: u32::from(of_kind(MessageKind::Video).is_some()),
            setup: Arc::clone(setup),
            shared: shared.finish(),
            messages,
        }
    }

    pub fn video_frames(&self) -> u32 {
        self.video_frames
    }

    pub fn is_start(&self) -> bool {
        self.start
    }

    pub fn time(&self) -> MediaTime {
        self.time
    }

    /// Of the keyframe that makes this batch a start.
    pub fn start_ms(&self) -> i64 {
        self.start_ms
    }
}

/// A batch as it lies in a feed's window. A clone counts one more reference and copies nothing.
#[derive(Clone, Debug)]
pub struct SharedBatch(Arc<Batch>);

impl SharedBatch {
    pub(crate) fn new(batch: Batch) -> Self {
        Self(Arc::new(batch))
    }
}

impl std::ops::Deref for SharedBatch {
    type Target = Batch;
    fn deref(&self) -> &Batch {
        &self.0
    }
}

impl Item for SharedBatch {
    fn time(&self) -> MediaTime {
        self.0.time
    }

    fn is_start(&self) -> bool {
        self.0.start
    }

    fn size_bytes(&self) -> usize {
        self.0.shared.left_bytes()
    }
}

/// The time of a message as RTMP writes it: modulo 2^32 ms (49.7 days), on purpose.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "modulo 2^32 is what RTMP time is")]
pub(crate) fn wire_ms(timestamp_ms: i64, zero_ms: i64) -> u32 {
    (timestamp_ms - zero_ms) as u32
}

/// Appends one message with a relative header, which names neither a time nor a message stream and so is right for every connection.
fn relative(out: &mut ParcelWriter, kind: MessageKind, difference_ms: i64, tag: &[u8], payload: &Bytes) {
    // Chunk type 1 can say 2^31 - 1 ms (24 days) at most, and no connection outlives such a gap.
    let timestamp_ms = wire_ms(difference_ms.clamp(0, i64::from(i32::MAX)), 0);
    write(out, kind, Header::Delta { previous_timestamp_ms: 0 }, 0, timestamp_ms, tag, payload);
}

/// Appends one message.
pub(crate) fn write(
    out: &mut ParcelWriter,
    kind: MessageKind,
    header: Header,
    stream_id: u32,
    timestamp_ms: u32,
    tag: &[u8],
    payload: &Bytes,
) {
    let length = tag.len() + payload.len();
    let message = MessageHeader { type_id: kind.type_id(), stream_id, timestamp_ms, length };
    out.message(kind.csid(), header, &message, tag, payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carried::tests::tracks;

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
}

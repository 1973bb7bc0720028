//! A batch: the RTMP messages of one video frame and the audio around it, serialised once for every destination.
//!
//! The shared bytes use chunk type 1, whose header holds a time *difference* and no message stream id. So they are the same for every
//! connection, whatever its start time and stream id; only a connection's first message of each kind needs a full header of its own
//! ([`Outlet`]).

use std::sync::Arc;

use bytes::Bytes;
use weir_hub::Item;
use weir_media::MediaTime;
use weir_mux::flv::TagHeader;

use crate::parcel::{Parcel, ParcelWriter};
use crate::protocol::{MessageKind, PLAY_CHUNK_SIZE, PUSH_CHUNK_SIZE};
use crate::wire::{Header, MessageHeader, type_id};

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

/// What a connection must send before media: metadata and decoder configurations, as message bodies.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Setup {
    pub metadata: Bytes,
    pub video_config: Option<Bytes>,
    pub audio_config: Option<Bytes>,
}

impl Setup {
    fn configs(&self) -> impl Iterator<Item = (MessageKind, &Bytes)> {
        let configs = [(MessageKind::Video, &self.video_config), (MessageKind::Audio, &self.audio_config)];
        configs.into_iter().filter_map(|(kind, config)| Some((kind, config.as_ref()?)))
    }
}

/// See the module. A feed's window holds its batches by reference count.
#[derive(Debug)]
pub struct Batch {
    /// The number rises by one from batch to batch of a feed, so a gap tells an outlet that some were passed over.
    number: u64,
    time: MediaTime,
    start: bool,
    setup: Arc<Setup>,
    messages: Box<[MediaOut]>,
    /// The time of the keyframe that makes this batch a start. A connection that begins here puts its zero there.
    start_ms: i64,
    shared: Parcel,
    /// Says that `shared` has messages of audio, even if only a configuration.
    has_audio: bool,
    has_video: bool,
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

/// One connection's side of a feed: it turns batches into the bytes that this connection must send.
#[derive(Debug)]
pub struct Outlet {
    stream_id: u32,
    /// The connection's time zero, as a time on the stream's timeline.
    zero_ms: Option<i64>,
    setup: Option<Arc<Setup>>,
    /// The number of the batch that was sent last.
    number: Option<u64>,
    video_begun: bool,
    audio_begun: bool,
}

impl Outlet {
    pub fn new(stream_id: u32) -> Self {
        Self { stream_id, zero_ms: None, setup: None, number: None, video_begun: false, audio_begun: false }
    }

    /// Whether `parcel` is the shared parcel of `batch`, rather than one made for this connection. Tests and figures ask this.
    pub fn shares(parcel: &Parcel, batch: &Batch) -> bool {
        parcel.shares(&batch.shared)
    }

    /// Notes that batches were passed over, so that the next one gets full headers and the configurations again.
    pub fn skipped(&mut self) {
        self.setup = None;
        self.video_begun = false;
        self.audio_begun = false;
    }

    /// The parcel to send for this batch: the shared one, except around this connection's start. The first batch after the beginning or
    /// after a skip must be a start, which the window's cursor sees to.
    pub fn parcel(&mut self, batch: &Batch) -> Parcel {
        if self.number.replace(batch.number).is_some_and(|last| last + 1 != batch.number) {
            self.skipped();
        }
        let begun = (self.video_begun || !batch.has_video) && (self.audio_begun || !batch.has_audio);
        let same_setup = self.setup.as_ref().is_some_and(|setup| Arc::ptr_eq(setup, &batch.setup));
        if begun && self.setup.is_some() {
            // A setup that has changed is part of the shared bytes of the batch that changed it, so it is not sent again here.
            self.setup = Some(Arc::clone(&batch.setup));
            return batch.shared.clone();
        }
        self.own_parcel(batch, same_setup)
    }

    fn own_parcel(&mut self, batch: &Batch, same_setup: bool) -> Parcel {
        let zero_ms = *self.zero_ms.get_or_insert(batch.start_ms);
        let mut out = ParcelWriter::new(MEDIA_CHUNK_BYTES);
        if !same_setup {
            let at_ms = wire_ms(batch.start_ms, zero_ms);
            let setup = &batch.setup;
            let metadata = (MessageKind::Data, &setup.metadata);
            for (kind, body) in std::iter::once(metadata).chain(setup.configs()) {
                write(&mut out, kind, Header::Full, self.stream_id, at_ms, &[], body);
            }
            self.setup = Some(Arc::clone(setup));
        }
        for MediaOut { kind, timestamp_ms, previous_ms, tag, payload } in &batch.messages {
            let begun = match kind {
                MessageKind::Video => &mut self.video_begun,
                MessageKind::Audio => &mut self.audio_begun,
                MessageKind::Data => continue,
            };
            let header = if *begun {
                Header::Delta { previous_timestamp_ms: wire_ms(*previous_ms, zero_ms) }
            } else if *timestamp_ms >= zero_ms {
                *begun = true;
                Header::Full
            } else {
                // This audio is older than the picture with which the connection begins, so no player could play it in its place.
                continue;
            };
            write(&mut out, *kind, header, self.stream_id, wire_ms(*timestamp_ms, zero_ms), tag, payload);
        }
        out.finish()
    }
}

/// The time of a message as RTMP writes it: modulo 2^32 ms (49.7 days), on purpose.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "modulo 2^32 is what RTMP time is")]
fn wire_ms(timestamp_ms: i64, zero_ms: i64) -> u32 {
    (timestamp_ms - zero_ms) as u32
}

/// Appends one message with a relative header, which names neither a time nor a message stream and so is right for every connection.
fn relative(out: &mut ParcelWriter, kind: MessageKind, difference_ms: i64, tag: &[u8], payload: &Bytes) {
    // Chunk type 1 can say 2^31 - 1 ms (24 days) at most, and no connection outlives such a gap.
    let timestamp_ms = wire_ms(difference_ms.clamp(0, i64::from(i32::MAX)), 0);
    write(out, kind, Header::Delta { previous_timestamp_ms: 0 }, 0, timestamp_ms, tag, payload);
}

fn write(
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

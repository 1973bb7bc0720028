//! A batch: the RTMP messages of one video frame and the audio around it, serialised once for every destination.
//!
//! The shared bytes use chunk type 1, whose header holds a time *difference* and no message stream id. So they are the same
//! for every connection, whatever its start time and stream id; only a connection's first message of each kind needs a full
//! header of its own ([`Outlet`]).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_hub::Item;
use weir_media::MediaTime;

use crate::session::{PLAY_CHUNK_SIZE, PUSH_CHUNK_SIZE};
use crate::wire::{Header, Message, type_id, write_chunks};

/// Chunk size of all media that we send: what pushes and plays announce.
pub const MEDIA_CHUNK_BYTES: usize = PUSH_CHUNK_SIZE as usize;
const _: () = assert!(PUSH_CHUNK_SIZE == PLAY_CHUNK_SIZE, "batches are shared by pushes and plays");

/// Chunk streams of media. Audio and video keep apart, so that each has its own chain of time differences.
const DATA_CSID: u32 = 5;
const AUDIO_CSID: u32 = 4;
const VIDEO_CSID: u32 = 6;

/// Lengths of what `write_chunks` puts before a body: our chunk stream ids are below 64, so their header is one byte.
const BASIC_HEADER_BYTES: usize = 1;
const RELATIVE_HEADER_BYTES: usize = 7;
/// A difference from here on is written as an extended timestamp.
const EXTENDED_FROM_MS: i64 = 0xFF_FFFF;
/// Room for headers; a message in two chunks needs 9.
const MESSAGE_OVERHEAD_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Data,
    Audio,
    Video,
}

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

/// One audio or video message on the stream's timeline, on its way into a batch.
#[derive(Clone, Debug)]
pub(crate) struct MediaOut {
    pub(crate) kind: MessageKind,
    pub(crate) timestamp_ms: i64,
    /// Time of the message before it on the same chunk stream.
    pub(crate) previous_ms: i64,
    pub(crate) body: Bytes,
}

/// A message within a batch's shared bytes: its body is not kept a second time.
#[derive(Clone, Copy, Debug)]
struct Placed {
    kind: MessageKind,
    timestamp_ms: i64,
    previous_ms: i64,
    /// Where the body begins in the shared bytes, and its length without the headers of continuation chunks.
    at: usize,
    body_bytes: usize,
    continuation_bytes: usize,
}

/// What a connection must send before media: metadata and decoder configurations, as message bodies.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Setup {
    pub metadata: Bytes,
    pub video_config: Option<Bytes>,
    pub audio_config: Option<Bytes>,
}

/// See the module. Held by reference count in the feed's window.
#[derive(Debug)]
pub struct Batch {
    /// Rises by one from batch to batch of a feed: a gap tells an outlet that some were passed over.
    number: u64,
    time: MediaTime,
    start: bool,
    setup: Arc<Setup>,
    messages: Vec<Placed>,
    /// Time of the keyframe that makes this batch a start: where a connection that begins here puts its zero.
    start_ms: i64,
    shared: Bytes,
    /// `shared` has messages of this kind, be they only a configuration.
    has_audio: bool,
    has_video: bool,
    video_frames: u32,
}

impl Batch {
    /// Serialises messages for all connections; `changed` configurations go before them.
    pub(crate) fn new(
        number: u64,
        time: MediaTime,
        start: bool,
        setup: &Arc<Setup>,
        changed: bool,
        messages: &[MediaOut],
    ) -> Self {
        let of_kind = |kind| messages.iter().find(move |message| message.kind == kind);
        let first_ms = messages.first().map_or(0, |message| message.timestamp_ms);
        let total: usize = messages.iter().map(|message| message.body.len() + MESSAGE_OVERHEAD_BYTES).sum();
        let mut shared = BytesMut::with_capacity(total);
        let configs = [(MessageKind::Video, &setup.video_config), (MessageKind::Audio, &setup.audio_config)];
        for (kind, config) in configs {
            if let Some(config) = config.as_ref().filter(|_| changed) {
                // Difference 0 to the message before: the chain of differences of the kind is left as it was.
                let at_ms = of_kind(kind).map_or(first_ms, |message| message.previous_ms);
                place(&mut shared, kind, at_ms, at_ms, config);
            }
        }
        let placed = messages
            .iter()
            .map(|message| place(&mut shared, message.kind, message.timestamp_ms, message.previous_ms, &message.body))
            .collect();
        Self {
            number,
            time,
            start,
            // A start with pictures begins at its picture, which is the last message; a start of audio alone at its first.
            start_ms: of_kind(MessageKind::Video).map_or(first_ms, |message| message.timestamp_ms),
            has_audio: of_kind(MessageKind::Audio).is_some() || (changed && setup.audio_config.is_some()),
            has_video: of_kind(MessageKind::Video).is_some() || (changed && setup.video_config.is_some()),
            video_frames: u32::from(of_kind(MessageKind::Video).is_some()),
            setup: Arc::clone(setup),
            messages: placed,
            shared: shared.freeze(),
        }
    }

    /// A message's body, out of the shared bytes.
    fn body(&self, message: &Placed) -> Bytes {
        if message.body_bytes <= MEDIA_CHUNK_BYTES {
            return self.shared.slice(message.at..message.at + message.body_bytes);
        }
        let mut body = BytesMut::with_capacity(message.body_bytes);
        let mut at = message.at;
        while body.len() < message.body_bytes {
            let piece = MEDIA_CHUNK_BYTES.min(message.body_bytes - body.len());
            body.extend_from_slice(&self.shared[at..at + piece]);
            at += piece + message.continuation_bytes;
        }
        body.freeze()
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
}

/// A batch as it lies in a feed's window: cloning it counts one reference.
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
        self.0.shared.len()
    }
}

/// One connection's side of the bargain: turns batches into the bytes that this connection must send.
#[derive(Debug)]
pub struct Outlet {
    stream_id: u32,
    /// The connection's time zero on the stream's timeline.
    zero_ms: Option<i64>,
    setup: Option<Arc<Setup>>,
    /// Of the last batch.
    number: Option<u64>,
    video_begun: bool,
    audio_begun: bool,
}

impl Outlet {
    pub fn new(stream_id: u32) -> Self {
        Self { stream_id, zero_ms: None, setup: None, number: None, video_begun: false, audio_begun: false }
    }

    /// Whether `bytes` are the shared ones of `batch`, not made for one connection. For tests and figures.
    pub fn shares(bytes: &Bytes, batch: &Batch) -> bool {
        std::ptr::eq(bytes.as_ptr(), batch.shared.as_ptr())
    }

    /// Batches were passed over: the next one gets full headers and the configurations again.
    pub fn skipped(&mut self) {
        self.setup = None;
        self.video_begun = false;
        self.audio_begun = false;
    }

    /// The bytes for this batch: the shared ones, except around this connection's start. The first batch after the
    /// beginning or a skip must be a start; the window's cursor sees to that.
    pub fn bytes(&mut self, batch: &Batch) -> Bytes {
        if self.number.replace(batch.number).is_some_and(|last| last + 1 != batch.number) {
            self.skipped();
        }
        let begun = (self.video_begun || !batch.has_video) && (self.audio_begun || !batch.has_audio);
        let same_setup = self.setup.as_ref().is_some_and(|setup| Arc::ptr_eq(setup, &batch.setup));
        if begun && self.setup.is_some() {
            // A changed setup is in the shared bytes of the batch that changed it.
            self.setup = Some(Arc::clone(&batch.setup));
            return batch.shared.clone();
        }
        self.own_bytes(batch, same_setup)
    }

    fn own_bytes(&mut self, batch: &Batch, same_setup: bool) -> Bytes {
        let zero_ms = *self.zero_ms.get_or_insert(batch.start_ms);
        let mut out = BytesMut::with_capacity(batch.shared.len() + 1_024);
        if !same_setup {
            let at_ms = wire_ms(batch.start_ms, zero_ms);
            let setup = &batch.setup;
            self.full(&mut out, MessageKind::Data, at_ms, setup.metadata.clone());
            for (kind, config) in [(MessageKind::Video, &setup.video_config), (MessageKind::Audio, &setup.audio_config)]
            {
                if let Some(config) = config {
                    self.full(&mut out, kind, at_ms, config.clone());
                }
            }
            self.setup = Some(Arc::clone(setup));
        }
        for message in &batch.messages {
            let begun = match message.kind {
                MessageKind::Video => &mut self.video_begun,
                MessageKind::Audio => &mut self.audio_begun,
                MessageKind::Data => continue,
            };
            let at_ms = wire_ms(message.timestamp_ms, zero_ms);
            if *begun {
                let previous_timestamp_ms = wire_ms(message.previous_ms, zero_ms);
                let message_out = self.message(message.kind, at_ms, batch.body(message));
                let header = Header::Delta { previous_timestamp_ms };
                write_chunks(&mut out, message.kind.csid(), header, &message_out, MEDIA_CHUNK_BYTES);
            } else if message.timestamp_ms >= zero_ms {
                *begun = true;
                self.full(&mut out, message.kind, at_ms, batch.body(message));
            }
            // Else it is audio from before the picture that this connection begins with: nobody can play it in place.
        }
        out.freeze()
    }

    fn full(&self, out: &mut BytesMut, kind: MessageKind, at_ms: u32, body: Bytes) {
        let message = self.message(kind, at_ms, body);
        write_chunks(out, kind.csid(), Header::Full, &message, MEDIA_CHUNK_BYTES);
    }

    fn message(&self, kind: MessageKind, timestamp_ms: u32, payload: Bytes) -> Message {
        Message { type_id: kind.type_id(), stream_id: self.stream_id, timestamp_ms, payload }
    }
}

/// RTMP time counts modulo 2^32 ms (49.7 days), on purpose.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "modulo 2^32 is what RTMP time is")]
fn wire_ms(timestamp_ms: i64, zero_ms: i64) -> u32 {
    (timestamp_ms - zero_ms) as u32
}

/// Appends one message with a relative header; says where its body lies.
fn place(out: &mut BytesMut, kind: MessageKind, timestamp_ms: i64, previous_ms: i64, body: &Bytes) -> Placed {
    // Chunk type 1 says at most 2^31 - 1 ms, 24 days: no connection outlives such a gap.
    let difference_ms = (timestamp_ms - previous_ms).clamp(0, i64::from(i32::MAX));
    // The stream id is not on the wire in chunk type 1; absolute times matter only by their difference.
    let message = Message {
        type_id: kind.type_id(),
        stream_id: 0,
        timestamp_ms: wire_ms(difference_ms, 0),
        payload: body.clone(),
    };
    let extended_bytes = if difference_ms >= EXTENDED_FROM_MS { 4 } else { 0 };
    let at = out.len() + BASIC_HEADER_BYTES + RELATIVE_HEADER_BYTES + extended_bytes;
    write_chunks(out, kind.csid(), Header::Delta { previous_timestamp_ms: 0 }, &message, MEDIA_CHUNK_BYTES);
    let continuation_bytes = BASIC_HEADER_BYTES + extended_bytes;
    Placed { kind, timestamp_ms, previous_ms, at, body_bytes: body.len(), continuation_bytes }
}

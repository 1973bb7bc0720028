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

/// One audio or video message on the stream's timeline.
#[derive(Clone, Debug)]
pub(crate) struct MediaOut {
    pub(crate) kind: MessageKind,
    pub(crate) timestamp_ms: i64,
    /// Time of the message before it on the same chunk stream, in the shared serialisation.
    pub(crate) previous_ms: i64,
    pub(crate) body: Bytes,
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
    pub(crate) time: MediaTime,
    pub(crate) start: bool,
    pub(crate) setup: Arc<Setup>,
    pub(crate) messages: Vec<MediaOut>,
    /// Time of the keyframe that makes this batch a start: where a connection that begins here puts its zero.
    pub(crate) start_ms: i64,
    pub(crate) shared: Bytes,
    /// `shared` has messages of this kind, be they only a configuration.
    pub(crate) has_audio: bool,
    pub(crate) has_video: bool,
    pub(crate) video_frames: u32,
}

impl Batch {
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
        // The bodies of the messages are there too, beside the serialised copy.
        self.0.shared.len() * 2
    }
}

/// One connection's side of the bargain: turns batches into the bytes that this connection must send.
#[derive(Debug)]
pub struct Outlet {
    stream_id: u32,
    /// The connection's time zero on the stream's timeline.
    zero_ms: Option<i64>,
    setup: Option<Arc<Setup>>,
    video_begun: bool,
    audio_begun: bool,
}

impl Outlet {
    pub fn new(stream_id: u32) -> Self {
        Self { stream_id, zero_ms: None, setup: None, video_begun: false, audio_begun: false }
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
                let message_out = self.message(message.kind, at_ms, message.body.clone());
                let header = Header::Delta { previous_timestamp_ms };
                write_chunks(&mut out, message.kind.csid(), header, &message_out, MEDIA_CHUNK_BYTES);
            } else if message.timestamp_ms >= zero_ms {
                *begun = true;
                self.full(&mut out, message.kind, at_ms, message.body.clone());
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

/// Serialises a batch's messages with differences, for all who have begun.
pub(crate) fn serialise_shared(messages: &[MediaOut], extra_setup: Option<&Setup>, at_ms: i64) -> Bytes {
    let total: usize = messages.iter().map(|message| message.body.len() + 32).sum();
    let mut out = BytesMut::with_capacity(total + 1_024);
    if let Some(setup) = extra_setup {
        let first_previous =
            |kind| messages.iter().find(|message| message.kind == kind).map_or(at_ms, |message| message.previous_ms);
        // Difference 0 to the message before: the chain of differences of the kind is left as it was.
        for (kind, config) in [(MessageKind::Video, &setup.video_config), (MessageKind::Audio, &setup.audio_config)] {
            if let Some(config) = config {
                delta(&mut out, kind, first_previous(kind), first_previous(kind), config.clone());
            }
        }
    }
    for message in messages {
        delta(&mut out, message.kind, message.timestamp_ms, message.previous_ms, message.body.clone());
    }
    out.freeze()
}

fn delta(out: &mut BytesMut, kind: MessageKind, timestamp_ms: i64, previous_ms: i64, body: Bytes) {
    // The stream id is not on the wire in chunk type 1; absolute times matter only by their difference.
    let message =
        Message { type_id: kind.type_id(), stream_id: 0, timestamp_ms: wire_ms(timestamp_ms, 0), payload: body };
    let header = Header::Delta { previous_timestamp_ms: wire_ms(previous_ms, 0) };
    write_chunks(out, kind.csid(), header, &message, MEDIA_CHUNK_BYTES);
}

//! Reads messages from the bytes of a worker's socket: sans-IO, bounded, and strict about what it takes.

use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use weir_media::MediaTime;
use weir_model::{Corner, LogoPlacement};

use crate::message::{
    DISCONTINUITY, FRAME_HEAD_BYTES, HEADER_BYTES, Hello, KEYFRAME, Kind, LOGO_HEAD_BYTES, MAGIC, Message,
    PROTOCOL_VERSION, TRACK_HEAD_BYTES, TrackConfig, WorkerFrame, codec_from_byte,
};
use crate::{Logo, OutputId};

/// Bytes that can't be a message of ours. The connection is over then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolFault {
    #[error("a message of unknown kind {0}")]
    Kind(u8),
    #[error("unknown flags in a message's header")]
    Flags,
    #[error("a message of {bytes} bytes, which one of its kind can't have")]
    Length { bytes: usize },
    #[error("the first message was no greeting, or a later one was")]
    Greeting,
    #[error("the other end speaks version {0} of the protocol, not {PROTOCOL_VERSION}: two releases are mixed")]
    Version(u16),
    #[error("a logo at an unknown place")]
    Placement,
    #[error("an unknown codec")]
    Codec,
    #[error("a body that can't be read: {0}")]
    Json(String),
}

/// A body of this size or more is handed out in the memory that it was read into, which is then at most twice as large (a read makes room
/// for 64 KiB). A shorter body is copied out, as it would hold on to all of that memory: the configuration of a track for as long as a
/// playlist names the track, a second of small frames five megabytes.
const HANDED_OVER_BYTES_MIN: usize = 64 << 10;

/// Takes bytes in [`Decoder::buffer`], and gives messages from [`Decoder::next_message`].
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    greeted: bool,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffer to whose end what was read is appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next message, when all of it is there. It can be kept: it holds little more memory than its own.
    pub fn next_message(&mut self) -> Result<Option<Message>, ProtocolFault> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [a, b, c, d, kind, flags, 0, 0] = *header else { return Err(ProtocolFault::Flags) };
        let bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        let kind = Kind::from_byte(kind).ok_or(ProtocolFault::Kind(kind))?;
        if !kind.bytes().contains(&bytes) {
            return Err(ProtocolFault::Length { bytes });
        }
        if flags & !(KEYFRAME | DISCONTINUITY) != 0 || (flags != 0 && kind != Kind::Frame) {
            return Err(ProtocolFault::Flags);
        }
        if (kind == Kind::Hello) == self.greeted {
            return Err(ProtocolFault::Greeting);
        }
        if self.buffer.len() < HEADER_BYTES + bytes {
            // The kind bounds the length of the body, so room for all of it can be made at once.
            self.buffer.reserve(HEADER_BYTES + bytes - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let body = if bytes < HANDED_OVER_BYTES_MIN {
            let body = self.buffer.get(..bytes).map(Bytes::copy_from_slice).unwrap_or_default();
            self.buffer.advance(bytes);
            body
        } else {
            self.buffer.split_to(bytes).freeze()
        };
        let message = read(kind, flags, body)?;
        self.greeted = true;
        Ok(Some(message))
    }
}

/// Reads a body whose length has been checked against its kind.
fn read(kind: Kind, flags: u8, mut body: Bytes) -> Result<Message, ProtocolFault> {
    let length = ProtocolFault::Length { bytes: body.len() };
    Ok(match kind {
        Kind::Hello => {
            if body.split_to(MAGIC.len()) != MAGIC[..] {
                return Err(ProtocolFault::Greeting);
            }
            let (version, after) = (body.get_u16_le(), body.get_i64_le());
            if version != PROTOCOL_VERSION {
                return Err(ProtocolFault::Version(version));
            }
            let resume_after = (after != i64::MIN).then_some(MediaTime::from_nanos(after));
            Message::Hello(Hello { version, resume_after })
        }
        Kind::Plan => Message::Plan(json(&body)?),
        Kind::Progress => Message::Progress(json(&body)?),
        Kind::Fault => Message::Fault(json(&body)?),
        Kind::End => Message::End,
        Kind::Keyframe => Message::Keyframe(OutputId(body.try_get_u32_le().map_err(|_| length)?)),
        Kind::Logo => Message::Logo(logo(body)?),
        Kind::Track => {
            let mut head = body.split_to(TRACK_HEAD_BYTES.min(body.len()));
            let (Ok(track), Ok(codec)) = (head.try_get_u32_le(), head.try_get_u8()) else { return Err(length) };
            let codec = codec_from_byte(codec).ok_or(ProtocolFault::Codec)?;
            Message::Track(TrackConfig { track, codec, config: body })
        }
        Kind::Frame => {
            let mut head = body.split_to(FRAME_HEAD_BYTES.min(body.len()));
            let (Ok(track), Ok(dts), Ok(pts)) = (head.try_get_u32_le(), head.try_get_i64_le(), head.try_get_i64_le())
            else {
                return Err(length);
            };
            Message::Frame(WorkerFrame {
                track,
                dts: MediaTime::from_nanos(dts),
                pts: MediaTime::from_nanos(pts),
                keyframe: flags & KEYFRAME != 0,
                discontinuity: flags & DISCONTINUITY != 0,
                payload: body,
            })
        }
    })
}

/// Reads a logo; an empty body means that there is none.
fn logo(mut body: Bytes) -> Result<Option<Logo>, ProtocolFault> {
    if body.is_empty() {
        return Ok(None);
    }
    let length = ProtocolFault::Length { bytes: body.len() };
    let mut head = body.split_to(LOGO_HEAD_BYTES.min(body.len()));
    let (Ok(corner), Ok(width_percent), Ok(margin_percent), Ok(opacity)) =
        (head.try_get_u8(), head.try_get_f64_le(), head.try_get_f64_le(), head.try_get_f64_le())
    else {
        return Err(length);
    };
    let position = *Corner::ALL.get(usize::from(corner)).ok_or(ProtocolFault::Placement)?;
    let placement = LogoPlacement { position, width_percent, margin_percent, opacity };
    placement.check().map_err(|_| ProtocolFault::Placement)?;
    Ok(Some(Logo { placement, png: body }))
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ProtocolFault> {
    serde_json::from_slice(body).map_err(|error| ProtocolFault::Json(error.to_string()))
}

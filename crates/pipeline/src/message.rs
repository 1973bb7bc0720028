//! The messages between the server and a worker, and how they are written.
//!
//! Each is 8 bytes of header (length of the body, kind, flags, two of zero), then the body; all numbers are little-endian. The first
//! message in each direction is [`Message::Hello`]. Rare messages are JSON; frames are not.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use weir_media::{Codec, MediaTime};
use weir_model::{Corner, LOGO_BYTES_MAX};

use crate::{Logo, OutputId, WorkerPlan};

/// Both ends are built together, so another number means that files of two releases were mixed.
pub const PROTOCOL_VERSION: u16 = 6;

/// A picture that takes a whole second of 100 Mbps is 12.5 MB.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Parameter sets are some hundred bytes.
pub const CONFIG_BYTES_MAX: usize = 64 << 10;
/// A plan of 32 outputs is 8 kB.
pub const JSON_BYTES_MAX: usize = 256 << 10;

pub(crate) const HEADER_BYTES: usize = 8;
pub(crate) const MAGIC: &[u8; 4] = b"WEIR";
/// A hello has a magic number, the version, and the time after which pictures are wanted.
pub(crate) const HELLO_BYTES: usize = 4 + 2 + 8;
/// A track begins with its number and codec.
pub(crate) const TRACK_HEAD_BYTES: usize = 4 + 1;
/// A frame begins with its track number, decode time and presentation time.
pub(crate) const FRAME_HEAD_BYTES: usize = 4 + 8 + 8;

/// A wish for a keyframe is the number of an output.
pub(crate) const OUTPUT_BYTES: usize = 4;

/// A logo begins with its corner, width, margin and opacity.
pub(crate) const LOGO_HEAD_BYTES: usize = 1 + 3 * 8;

pub(crate) const KEYFRAME: u8 = 1;
pub(crate) const DISCONTINUITY: u8 = 2;

#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Hello(Hello),
    /// From the server: run this from now on.
    Plan(WorkerPlan),
    /// From the server: this logo lies over every rendition from now on; None means no logo.
    Logo(Option<Logo>),
    /// From the server: the next picture of this output is to be a keyframe, whatever the clock of keyframes says.
    Keyframe(OutputId),
    /// From the server: what the following source frames are. From the worker: what an output's following frames are.
    Track(TrackConfig),
    Frame(WorkerFrame),
    /// From the worker: it lives, and has come so far.
    Progress(WorkerProgress),
    /// From the worker: it ends because of this fault.
    Fault(WorkerFault),
    /// From the server: the source has ended, so give what you still hold. From the worker: that was all.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    pub version: u16,
    /// An earlier worker has published pictures and sound up to here: they are to be decoded, but not given again.
    pub resume_after: Option<MediaTime>,
}

/// A track's codec and decoder configuration record; `track` is a source track or an [`OutputId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackConfig {
    pub track: u32,
    pub codec: Codec,
    pub config: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerFrame {
    pub track: u32,
    pub dts: MediaTime,
    pub pts: MediaTime,
    pub keyframe: bool,
    pub discontinuity: bool,
    pub payload: Bytes,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerProgress {
    /// Source pictures that went into the worker.
    pub pictures_in: u64,
    /// Source pictures that came out of the decoder.
    pub pictures_decoded: u64,
    pub outputs: Vec<OutputProgress>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputProgress {
    pub id: OutputId,
    pub frames: u64,
    pub bytes: u64,
    /// The mean time from a picture's way in to its way out, since the last report.
    pub latency_ms: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerFault {
    /// The output that failed, where it was one.
    pub output: Option<OutputId>,
    pub message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Hello = 1,
    Plan = 2,
    Track = 3,
    Frame = 4,
    Progress = 5,
    Fault = 6,
    End = 7,
    Logo = 8,
    Keyframe = 9,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        use Kind::{End, Fault, Frame, Hello, Keyframe, Logo, Plan, Progress, Track};
        let all = [Hello, Plan, Track, Frame, Progress, Fault, End, Logo, Keyframe];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// How long the body of this kind may be.
    pub(crate) fn bytes(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Hello => HELLO_BYTES..=HELLO_BYTES,
            Self::Track => TRACK_HEAD_BYTES..=TRACK_HEAD_BYTES + CONFIG_BYTES_MAX,
            Self::Frame => FRAME_HEAD_BYTES..=FRAME_HEAD_BYTES + FRAME_BYTES_MAX,
            Self::Plan | Self::Progress | Self::Fault => 2..=JSON_BYTES_MAX,
            Self::Logo => 0..=LOGO_HEAD_BYTES + LOGO_BYTES_MAX,
            Self::Keyframe => OUTPUT_BYTES..=OUTPUT_BYTES,
            Self::End => 0..=0,
        }
    }
}

pub(crate) fn codec_from_byte(byte: u8) -> Option<Codec> {
    Codec::ALL.get(usize::from(byte)).copied()
}

/// Appends a message, all but a frame's payload, which is returned to be written after it. None when the message is over the limits,
/// which the caller should have prevented; nothing is appended then.
#[must_use]
pub fn encode(message: &Message, out: &mut BytesMut) -> Option<Bytes> {
    let mut body = BytesMut::new();
    let (mut flags, mut payload) = (0, Bytes::new());
    let kind = match message {
        Message::Hello(hello) => {
            body.put_slice(MAGIC);
            body.put_u16_le(hello.version);
            body.put_i64_le(hello.resume_after.map_or(i64::MIN, MediaTime::as_nanos));
            Kind::Hello
        }
        Message::Plan(plan) => put_json(plan, &mut body, Kind::Plan)?,
        Message::Progress(progress) => put_json(progress, &mut body, Kind::Progress)?,
        Message::Fault(fault) => put_json(fault, &mut body, Kind::Fault)?,
        Message::End => Kind::End,
        Message::Keyframe(output) => {
            body.put_u32_le(output.0);
            Kind::Keyframe
        }
        Message::Logo(logo) => {
            if let Some(Logo { placement, png }) = logo {
                body.put_u8(Corner::ALL.iter().position(|corner| *corner == placement.position)? as u8);
                for figure in [placement.width_percent, placement.margin_percent, placement.opacity] {
                    body.put_f64_le(figure);
                }
                payload = png.clone();
            }
            Kind::Logo
        }
        Message::Track(track) => {
            body.put_u32_le(track.track);
            body.put_u8(Codec::ALL.iter().position(|codec| *codec == track.codec)? as u8);
            body.put_slice(&track.config);
            Kind::Track
        }
        Message::Frame(frame) => {
            body.put_u32_le(frame.track);
            body.put_i64_le(frame.dts.as_nanos());
            body.put_i64_le(frame.pts.as_nanos());
            flags = if frame.keyframe { KEYFRAME } else { 0 } | if frame.discontinuity { DISCONTINUITY } else { 0 };
            payload = frame.payload.clone();
            Kind::Frame
        }
    };
    let length = body.len() + payload.len();
    if !kind.bytes().contains(&length) {
        return None;
    }
    out.put_u32_le(length as u32);
    out.put_slice(&[kind as u8, flags, 0, 0]);
    out.put_slice(&body);
    Some(payload)
}

fn put_json(value: &impl Serialize, body: &mut BytesMut, kind: Kind) -> Option<Kind> {
    body.put_slice(&serde_json::to_vec(value).ok()?);
    Some(kind)
}

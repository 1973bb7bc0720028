//! The messages between the server and the process of `webrtcbin`, and how they are written.
//!
//! Each is five bytes of header (the length of the body, and its kind), then the body. All numbers are little-endian. Both ends are built
//! together; what the process says is read as if it came from outside all the same, because it holds what viewers send.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use weir_media::MediaTime;

use crate::from_frames::{RtpKind, RtpPayload};
use crate::peer::Part;
use crate::sdp::Fingerprint;

/// Another number means that files of two releases were mixed.
const VERSION: u16 = 1;

const HEADER_BYTES: usize = 5;

/// A picture of 16 MiB is a second of 134 Mbit/s.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// Whatever is no batch is a few hundred bytes.
const SMALL_BYTES_MAX: usize = 4 << 10;

/// A payload fits into one datagram.
const PAYLOAD_BYTES_MAX: usize = 65_507;

/// The payloads of one batch: 16 MiB of them.
const PAYLOADS_MAX: usize = 16_384;

/// Before each payload stand its kind, its time and its length.
const PAYLOAD_HEAD_BYTES: usize = 1 + 8 + 2;

const ADDRESSES_MAX: usize = 32;
const TEXT_BYTES_MAX: usize = 500;

/// A range of ports needs so many: each viewer takes one for each of this machine's addresses.
pub const PORTS_MIN: u16 = 10;

/// From the server.
#[derive(Clone, Debug)]
pub enum ToProcess {
    /// The first message.
    Start(ProcessStart),
    Open {
        viewer: u32,
        far: Far,
    },
    /// A picture and the sound before it, for all viewers who will be shown it.
    Batch {
        number: u64,
        payloads: Vec<RtpPayload>,
    },
    /// Show these payloads of a batch to that viewer.
    Show(Shown),
    /// The pictures of another rendition follow, beginning with that of this time.
    Splice {
        viewer: u32,
        time: MediaTime,
    },
    Close {
        viewer: u32,
    },
}

/// Where the process lets viewers come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStart {
    pub first_port: u16,
    pub last_port: u16,
    /// This machine's own addresses.
    pub addresses: Vec<IpAddr>,
}

/// The far end, as far as `webrtcbin` has to know it. It is what is left of an offer: no text of the offer goes to the process but its two
/// words of ICE, which are letters, digits, `+` and `/`.
#[derive(Clone, PartialEq, Eq)]
pub struct Far {
    pub ufrag: String,
    pub password: String,
    pub fingerprint: Fingerprint,
    /// The far end begins DTLS.
    pub begins: bool,
    pub video: Option<FarMedia>,
    pub audio: Option<FarMedia>,
}

impl std::fmt::Debug for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Far").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// The numbers of payloads that the far end takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarMedia {
    pub number: u8,
    /// For repetitions.
    pub repeats: Option<u8>,
    /// The far end can tell how much the way to it carries.
    pub estimates: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub viewer: u32,
    pub batch: u64,
    /// The payloads from `from` to before `to`.
    pub from: u16,
    pub to: u16,
    pub pictures: bool,
    pub sound: bool,
    /// The time of the newest media in the feed.
    pub newest: MediaTime,
}

impl Shown {
    pub(super) fn new(viewer: u32, batch: u64, (from, to): (u16, u16), part: Part, newest: MediaTime) -> Self {
        Self { viewer, batch, from, to, pictures: part.has(RtpKind::Video), sound: part.has(RtpKind::Audio), newest }
    }
}

/// From the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromProcess {
    /// A wrong fingerprint was kept out here, and the right one came in.
    Proved,
    /// The proof failed, and the process serves nobody.
    Refused {
        why: String,
    },
    Opened {
        viewer: u32,
        ours: Ours,
    },
    NotOpened {
        viewer: u32,
        why: String,
    },
    /// The viewer has shown the certificate that its offer names.
    Connected {
        viewer: u32,
    },
    WantsKeyframe {
        viewer: u32,
    },
    Report {
        viewer: u32,
        picture: bool,
        loss_permille: u16,
        rtt_ms: Option<u32>,
        /// What was sent so far of the picture or the sound, repetitions included.
        bytes: u64,
    },
    Estimate {
        viewer: u32,
        bits_per_second: u64,
    },
    Over {
        viewer: u32,
        why: WhyOver,
    },
}

/// What the process tells of its own end of a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Ours {
    pub ufrag: String,
    pub password: String,
    pub fingerprint: Fingerprint,
    /// The addresses at which the connection waits.
    pub addresses: Vec<SocketAddr>,
    pub video_ssrc: Option<u32>,
    pub repeats_ssrc: Option<u32>,
    pub audio_ssrc: Option<u32>,
}

impl std::fmt::Debug for Ours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ours").field("ufrag", &self.ufrag).field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyOver {
    Left,
    /// The far end showed another certificate than its offer names, or DTLS failed.
    Fault,
}

/// Bytes that can't be a message of ours. The connection is over then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end's message can't be understood: {0}")]
pub struct MessageFault(&'static str);

/// Cuts what was read into bodies. They are read by [`decode_to_process`] or [`decode_from_process`].
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// The buffer to whose end what was read is appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The kind and body of the next message, when all of it is there.
    pub fn next_body(&mut self) -> Result<Option<(u8, Bytes)>, MessageFault> {
        let Some(&[a, b, c, d, kind]) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        if bytes > if kind == BATCH { BATCH_BYTES_MAX } else { SMALL_BYTES_MAX } {
            return Err(MessageFault("too long"));
        }
        if self.buffer.len() < HEADER_BYTES + bytes {
            self.buffer.reserve(HEADER_BYTES + bytes - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        Ok(Some((kind, self.buffer.split_to(bytes).freeze())))
    }
}

const START: u8 = 1;
const OPEN: u8 = 2;
const BATCH: u8 = 3;
const SHOW: u8 = 4;
const SPLICE: u8 = 5;
const CLOSE: u8 = 6;

const PROVED: u8 = 11;
const REFUSED: u8 = 12;
const OPENED: u8 = 13;
const NOT_OPENED: u8 = 14;
const CONNECTED: u8 = 15;
const WANTS_KEYFRAME: u8 = 16;
const REPORT: u8 = 17;
const ESTIMATE: u8 = 18;
const OVER: u8 = 19;

/// Whether these payloads fit into one message.
pub(super) fn fits(payloads: &[RtpPayload]) -> bool {
    let bytes: usize = payloads.iter().map(|payload| payload.bytes.len() + PAYLOAD_HEAD_BYTES).sum();
    payloads.len() <= PAYLOADS_MAX && bytes + 8 <= BATCH_BYTES_MAX
}

/// Appends a message. A batch must fit (`fits`).
pub fn encode_to_process(message: &ToProcess, out: &mut BytesMut) {
    framed(out, |out| match message {
        ToProcess::Start(start) => {
            out.put_u16_le(VERSION);
            out.put_u16_le(start.first_port);
            out.put_u16_le(start.last_port);
            start.addresses.iter().take(ADDRESSES_MAX).for_each(|ip| put_text(out, &ip.to_string()));
            START
        }
        ToProcess::Open { viewer, far } => {
            out.put_u32_le(*viewer);
            put_text(out, &far.ufrag);
            put_text(out, &far.password);
            out.put_slice(&far.fingerprint.0);
            out.put_u8(u8::from(far.begins));
            for media in [far.video, far.audio] {
                let [number, repeats, estimates] = media.map_or([NONE; 3], |media| {
                    [media.number, media.repeats.unwrap_or(NONE), u8::from(media.estimates)]
                });
                out.put_slice(&[number, repeats, estimates]);
            }
            OPEN
        }
        ToProcess::Batch { number, payloads } => {
            out.put_u64_le(*number);
            for payload in payloads.iter().take(PAYLOADS_MAX) {
                out.put_u8(u8::from(payload.kind == RtpKind::Video) | u8::from(payload.marker) << 1);
                out.put_i64_le(payload.time.as_nanos());
                let bytes = payload.bytes.get(..PAYLOAD_BYTES_MAX).unwrap_or(&payload.bytes);
                #[expect(clippy::cast_possible_truncation, reason = "it is 65,507 bytes at most")]
                out.put_u16_le(bytes.len() as u16);
                out.put_slice(bytes);
            }
            BATCH
        }
        ToProcess::Show(shown) => {
            out.put_u32_le(shown.viewer);
            out.put_u64_le(shown.batch);
            out.put_u16_le(shown.from);
            out.put_u16_le(shown.to);
            out.put_u8(u8::from(shown.pictures) | u8::from(shown.sound) << 1);
            out.put_i64_le(shown.newest.as_nanos());
            SHOW
        }
        ToProcess::Splice { viewer, time } => {
            out.put_u32_le(*viewer);
            out.put_i64_le(time.as_nanos());
            SPLICE
        }
        ToProcess::Close { viewer } => {
            out.put_u32_le(*viewer);
            CLOSE
        }
    });
}

/// Appends a message.
pub fn encode_from_process(message: &FromProcess, out: &mut BytesMut) {
    framed(out, |out| match message {
        FromProcess::Proved => {
            out.put_u16_le(VERSION);
            PROVED
        }
        FromProcess::Refused { why } => {
            put_text(out, why);
            REFUSED
        }
        FromProcess::Opened { viewer, ours } => {
            out.put_u32_le(*viewer);
            put_text(out, &ours.ufrag);
            put_text(out, &ours.password);
            out.put_slice(&ours.fingerprint.0);
            // No source has the number 0.
            for ssrc in [ours.video_ssrc, ours.repeats_ssrc, ours.audio_ssrc] {
                out.put_u32_le(ssrc.unwrap_or(0));
            }
            ours.addresses.iter().take(ADDRESSES_MAX).for_each(|address| put_text(out, &address.to_string()));
            OPENED
        }
        FromProcess::NotOpened { viewer, why } => {
            out.put_u32_le(*viewer);
            put_text(out, why);
            NOT_OPENED
        }
        FromProcess::Connected { viewer } => {
            out.put_u32_le(*viewer);
            CONNECTED
        }
        FromProcess::WantsKeyframe { viewer } => {
            out.put_u32_le(*viewer);
            WANTS_KEYFRAME
        }
        FromProcess::Report { viewer, picture, loss_permille, rtt_ms, bytes } => {
            out.put_u32_le(*viewer);
            out.put_u8(u8::from(*picture));
            out.put_u16_le(*loss_permille);
            out.put_u32_le(rtt_ms.unwrap_or(u32::MAX));
            out.put_u64_le(*bytes);
            REPORT
        }
        FromProcess::Estimate { viewer, bits_per_second } => {
            out.put_u32_le(*viewer);
            out.put_u64_le(*bits_per_second);
            ESTIMATE
        }
        FromProcess::Over { viewer, why } => {
            out.put_u32_le(*viewer);
            out.put_u8(u8::from(*why == WhyOver::Fault));
            OVER
        }
    });
}

/// Reads what the server says.
pub fn decode_to_process(kind: u8, body: Bytes) -> Result<ToProcess, MessageFault> {
    let mut body = Body(body);
    let message = match kind {
        START => {
            if body.u16()? != VERSION {
                return Err(MessageFault("another version: files of two releases were mixed"));
            }
            let (first_port, last_port) = (body.u16()?, body.u16()?);
            let addresses = body.texts(|text| text.parse().ok())?;
            ToProcess::Start(ProcessStart { first_port, last_port, addresses })
        }
        OPEN => ToProcess::Open {
            viewer: body.u32()?,
            far: Far {
                ufrag: body.text()?,
                password: body.text()?,
                fingerprint: body.fingerprint()?,
                begins: body.u8()? == 1,
                video: body.media()?,
                audio: body.media()?,
            },
        },
        BATCH => ToProcess::Batch { number: body.u64()?, payloads: body.payloads()? },
        SHOW => {
            let (viewer, batch, from, to) = (body.u32()?, body.u64()?, body.u16()?, body.u16()?);
            let (parts, newest) = (body.u8()?, body.time()?);
            let (pictures, sound) = (parts & 1 == 1, parts & 2 == 2);
            ToProcess::Show(Shown { viewer, batch, from, to, pictures, sound, newest })
        }
        SPLICE => ToProcess::Splice { viewer: body.u32()?, time: body.time()? },
        CLOSE => ToProcess::Close { viewer: body.u32()? },
        _ => return Err(MessageFault("an unknown kind")),
    };
    body.end()?;
    Ok(message)
}

/// Reads what the process says.
pub fn decode_from_process(kind: u8, body: Bytes) -> Result<FromProcess, MessageFault> {
    let mut body = Body(body);
    let message = match kind {
        PROVED => {
            if body.u16()? != VERSION {
                return Err(MessageFault("another version: files of two releases were mixed"));
            }
            FromProcess::Proved
        }
        REFUSED => FromProcess::Refused { why: body.text()? },
        OPENED => {
            let viewer = body.u32()?;
            let (ufrag, password, fingerprint) = (body.text()?, body.text()?, body.fingerprint()?);
            let mut ssrc = || Ok(Some(body.u32()?).filter(|ssrc| *ssrc != 0));
            let (video_ssrc, repeats_ssrc, audio_ssrc) = (ssrc()?, ssrc()?, ssrc()?);
            let addresses = body.texts(|text| text.parse().ok())?;
            let ours = Ours { ufrag, password, fingerprint, addresses, video_ssrc, repeats_ssrc, audio_ssrc };
            FromProcess::Opened { viewer, ours }
        }
        NOT_OPENED => FromProcess::NotOpened { viewer: body.u32()?, why: body.text()? },
        CONNECTED => FromProcess::Connected { viewer: body.u32()? },
        WANTS_KEYFRAME => FromProcess::WantsKeyframe { viewer: body.u32()? },
        REPORT => FromProcess::Report {
            viewer: body.u32()?,
            picture: body.u8()? == 1,
            loss_permille: body.u16()?.min(1_000),
            rtt_ms: Some(body.u32()?).filter(|rtt| *rtt != u32::MAX),
            bytes: body.u64()?,
        },
        ESTIMATE => FromProcess::Estimate { viewer: body.u32()?, bits_per_second: body.u64()? },
        OVER => {
            let (viewer, fault) = (body.u32()?, body.u8()? == 1);
            FromProcess::Over { viewer, why: if fault { WhyOver::Fault } else { WhyOver::Left } }
        }
        _ => return Err(MessageFault("an unknown kind")),
    };
    body.end()?;
    Ok(message)
}

/// Stands where there is no number of a payload: those end at 127.
const NONE: u8 = 0xFF;

fn framed(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> u8) {
    let start = out.len();
    out.put_slice(&[0; HEADER_BYTES]);
    let kind = write(out);
    let bytes = out.len() - start - HEADER_BYTES;
    if bytes > BATCH_BYTES_MAX {
        out.truncate(start);
        return;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is 16 MiB at most")]
    let length = (bytes as u32).to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4] = kind;
}

/// Appends a text behind its length, cut where it is too long.
fn put_text(out: &mut BytesMut, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    #[expect(clippy::cast_possible_truncation, reason = "it is 500 bytes at most")]
    out.put_u16_le(text.len() as u16);
    out.put_slice(text.as_bytes());
}

/// What is left of a body.
struct Body(Bytes);

const SHORT: MessageFault = MessageFault("cut short");

impl Body {
    fn u8(&mut self) -> Result<u8, MessageFault> {
        self.0.try_get_u8().map_err(|_| SHORT)
    }

    fn u16(&mut self) -> Result<u16, MessageFault> {
        self.0.try_get_u16_le().map_err(|_| SHORT)
    }

    fn u32(&mut self) -> Result<u32, MessageFault> {
        self.0.try_get_u32_le().map_err(|_| SHORT)
    }

    fn u64(&mut self) -> Result<u64, MessageFault> {
        self.0.try_get_u64_le().map_err(|_| SHORT)
    }

    fn time(&mut self) -> Result<MediaTime, MessageFault> {
        self.0.try_get_i64_le().map(MediaTime::from_nanos).map_err(|_| SHORT)
    }

    fn bytes(&mut self, count: usize) -> Result<Bytes, MessageFault> {
        if count > self.0.len() { Err(SHORT) } else { Ok(self.0.split_to(count)) }
    }

    fn text(&mut self) -> Result<String, MessageFault> {
        let length = usize::from(self.u16()?);
        if length > TEXT_BYTES_MAX {
            return Err(MessageFault("a text that is too long"));
        }
        String::from_utf8(self.bytes(length)?.to_vec()).map_err(|_| MessageFault("a text that is none"))
    }

    /// The texts up to the end.
    fn texts<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, MessageFault> {
        let mut out = Vec::new();
        while self.0.has_remaining() {
            if out.len() >= ADDRESSES_MAX {
                return Err(MessageFault("too many addresses"));
            }
            out.push(read(&self.text()?).ok_or(MessageFault("an address that is none"))?);
        }
        Ok(out)
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, MessageFault> {
        let bytes = self.bytes(32)?;
        bytes.first_chunk().map(|bytes| Fingerprint(*bytes)).ok_or(SHORT)
    }

    fn media(&mut self) -> Result<Option<FarMedia>, MessageFault> {
        let [number, repeats, estimates] = [self.u8()?, self.u8()?, self.u8()?];
        let is_number = |number: u8| number <= 127;
        if number == NONE {
            return Ok(None);
        }
        if !is_number(number) || !(repeats == NONE || is_number(repeats)) {
            return Err(MessageFault("a number of no payload"));
        }
        Ok(Some(FarMedia { number, repeats: Some(repeats).filter(|it| *it != NONE), estimates: estimates == 1 }))
    }

    fn payloads(&mut self) -> Result<Vec<RtpPayload>, MessageFault> {
        let mut out = Vec::new();
        while self.0.has_remaining() {
            let (flags, time, length) = (self.u8()?, self.time()?, usize::from(self.u16()?));
            if length > PAYLOAD_BYTES_MAX || out.len() >= PAYLOADS_MAX {
                return Err(MessageFault("a batch that is too large"));
            }
            let kind = if flags & 1 == 1 { RtpKind::Video } else { RtpKind::Audio };
            let bytes: Arc<[u8]> = Arc::from(&self.bytes(length)?[..]);
            out.push(RtpPayload { kind, time, marker: flags & 2 == 2, bytes });
        }
        Ok(out)
    }

    fn end(&self) -> Result<(), MessageFault> {
        if self.0.is_empty() { Ok(()) } else { Err(MessageFault("too long for its kind")) }
    }
}

//! Video tag bodies: legacy AVC (and the HEVC extension of Chinese encoders), Enhanced RTMP v1 and v2.

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::{Codec, MediaKind, TrackInfo};

use super::enhanced::{Cursor, EnvelopeTypes, TrackPacket, skip_mod_ex, tracks};
use super::{FlvError, TagHeader, four_cc};

const WHAT: &str = "a video tag";

const FRAME_KEY: u8 = 1;
const FRAME_INTER: u8 = 2;
const FRAME_COMMAND: u8 = 5;

const CODEC_AVC: u8 = 7;
/// This number was never in the specification, but many encoders made in China send HEVC with it.
const CODEC_HEVC: u8 = 12;

const LEGACY_CONFIG: u8 = 0;
const LEGACY_FRAME: u8 = 1;
const LEGACY_END: u8 = 2;

const ENHANCED: u8 = 0x80;
const PACKET_SEQUENCE_START: u8 = 0;
const PACKET_CODED_FRAMES: u8 = 1;
const PACKET_SEQUENCE_END: u8 = 2;
const PACKET_CODED_FRAMES_X: u8 = 3;
const PACKET_METADATA: u8 = 4;
const PACKET_MPEG2TS_START: u8 = 5;
const ENVELOPE: EnvelopeTypes = EnvelopeTypes { multitrack: 6, mod_ex: 7 };

/// What a video tag carries. Payloads are slices of the body, and their NAL units have the length size that the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoTag {
    /// A decoder configuration record. Its timestamp is no time base: encoders send 0.
    Config {
        codec: Codec,
        config: Bytes,
    },
    Frame {
        codec: Codec,
        keyframe: bool,
        cts_ms: i32,
        payload: Bytes,
    },
    EndOfSequence,
    /// A signal to old players (0: seeking starts, 1: it ends).
    Command(u8),
    /// The tag is understood and carries nothing that we need. This is its name.
    Other(&'static str),
}

pub fn parse_video(body: &Bytes) -> Result<VideoTag, FlvError> {
    let Some(&first) = body.first() else { return Ok(VideoTag::Other("empty")) };
    if first & ENHANCED != 0 { parse_enhanced(body, first) } else { parse_legacy(body, first) }
}

fn parse_legacy(body: &Bytes, first: u8) -> Result<VideoTag, FlvError> {
    let (frame_type, codec_id) = (first >> 4, first & 0x0F);
    let mut cursor = Cursor::new(body, 1, WHAT);
    if frame_type == FRAME_COMMAND {
        return Ok(VideoTag::Command(cursor.byte()?));
    }
    let codec = match codec_id {
        CODEC_AVC => Codec::H264,
        CODEC_HEVC => Codec::H265,
        other => return Err(FlvError::UnsupportedCodec { name: legacy_name(other) }),
    };
    let packet_type = cursor.byte()?;
    // The end of a sequence is often sent without its composition time.
    if packet_type == LEGACY_END {
        return Ok(VideoTag::EndOfSequence);
    }
    let cts_ms = signed_24(cursor.take()?);
    match packet_type {
        LEGACY_CONFIG => Ok(VideoTag::Config { codec, config: cursor.rest() }),
        LEGACY_FRAME => frame(codec, frame_type, cts_ms, cursor.rest()),
        _ => Err(FlvError::Invalid { what: "the packet type of a video tag" }),
    }
}

fn parse_enhanced(body: &Bytes, first: u8) -> Result<VideoTag, FlvError> {
    let frame_type = first >> 4 & 7;
    let mut cursor = Cursor::new(body, 1, WHAT);
    let packet_type = skip_mod_ex(&mut cursor, first & 0x0F, ENVELOPE)?;
    if packet_type == PACKET_METADATA {
        return Ok(VideoTag::Other("metadata"));
    }
    if frame_type == FRAME_COMMAND {
        return Ok(VideoTag::Command(cursor.byte()?));
    }
    let mut found = tracks(&mut cursor, packet_type, ENVELOPE, MediaKind::Video)?.into_iter();
    let Some(TrackPacket { packet_type, codec, body: packet, .. }) = found.find(|packet| packet.track == 0) else {
        return Ok(VideoTag::Other("another track"));
    };
    let mut cursor = Cursor::new(&packet, 0, WHAT);
    match packet_type {
        PACKET_SEQUENCE_START => Ok(VideoTag::Config { codec, config: packet }),
        PACKET_CODED_FRAMES => {
            // AV1 has no composition time, because its stream shows hidden frames by itself.
            let cts_ms = if codec == Codec::Av1 { 0 } else { signed_24(cursor.take()?) };
            frame(codec, frame_type, cts_ms, cursor.rest())
        }
        PACKET_CODED_FRAMES_X => frame(codec, frame_type, 0, packet),
        PACKET_SEQUENCE_END => Ok(VideoTag::EndOfSequence),
        PACKET_METADATA => Ok(VideoTag::Other("metadata")),
        PACKET_MPEG2TS_START => Ok(VideoTag::Other("MPEG-2 TS sequence start")),
        _ => Ok(VideoTag::Other("an unknown packet type")),
    }
}

fn frame(codec: Codec, frame_type: u8, cts_ms: i32, payload: Bytes) -> Result<VideoTag, FlvError> {
    if payload.is_empty() {
        return Ok(VideoTag::Other("empty"));
    }
    Ok(VideoTag::Frame { codec, keyframe: frame_type == FRAME_KEY, cts_ms, payload })
}

fn legacy_name(codec_id: u8) -> String {
    match codec_id {
        2 => "Sorenson H.263".to_owned(),
        3 => "Screen Video".to_owned(),
        4 => "VP6".to_owned(),
        5 => "VP6 with alpha".to_owned(),
        6 => "Screen Video 2".to_owned(),
        13 => "AV1 by a private number".to_owned(),
        other => format!("with FLV video number {other}"),
    }
}

fn signed_24([a, b, c]: [u8; 3]) -> i32 {
    i32::from_be_bytes([a, b, c, 0]) >> 8
}

/// The tag body of a track's decoder configuration. H.264 is written in the legacy form, which every receiver knows. HEVC and AV1 exist
/// only as Enhanced RTMP, which `enhanced` must permit.
pub fn write_video_config(info: &TrackInfo, enhanced: bool) -> Result<Bytes, FlvError> {
    let header = match info.codec {
        Codec::H264 => TagHeader::new(&[&[FRAME_KEY << 4 | CODEC_AVC, LEGACY_CONFIG, 0, 0, 0]]),
        codec => enhanced_header(codec, enhanced, FRAME_KEY, PACKET_SEQUENCE_START, &[])?,
    };
    let mut out = BytesMut::with_capacity(header.len() + info.config.len());
    out.put_slice(&header);
    out.put_slice(&info.config);
    Ok(out.freeze())
}

/// The bytes that go before a frame's payload.
pub fn video_frame_header(codec: Codec, keyframe: bool, cts_ms: i32) -> Result<TagHeader, FlvError> {
    let frame_type = if keyframe { FRAME_KEY } else { FRAME_INTER };
    let [_, cts @ ..] = cts_ms.clamp(-(1 << 23), (1 << 23) - 1).to_be_bytes();
    match codec {
        Codec::H264 => Ok(TagHeader::new(&[&[frame_type << 4 | CODEC_AVC, LEGACY_FRAME], &cts])),
        Codec::H265 if cts_ms != 0 => enhanced_header(codec, true, frame_type, PACKET_CODED_FRAMES, &cts),
        Codec::Av1 => enhanced_header(codec, true, frame_type, PACKET_CODED_FRAMES, &[]),
        codec => enhanced_header(codec, true, frame_type, PACKET_CODED_FRAMES_X, &[]),
    }
}

/// Appends the tag body of a frame.
pub fn write_video_frame(
    codec: Codec,
    keyframe: bool,
    cts_ms: i32,
    payload: &[u8],
    out: &mut BytesMut,
) -> Result<(), FlvError> {
    let header = video_frame_header(codec, keyframe, cts_ms)?;
    out.reserve(header.len() + payload.len());
    out.put_slice(&header);
    out.put_slice(payload);
    Ok(())
}

fn enhanced_header(
    codec: Codec,
    permitted: bool,
    frame_type: u8,
    packet_type: u8,
    cts: &[u8],
) -> Result<TagHeader, FlvError> {
    let four_cc = four_cc::of(codec).filter(|_| codec.kind() == MediaKind::Video);
    let four_cc = four_cc.ok_or(FlvError::NotWritable { codec, how: "as video" })?;
    if !permitted {
        return Err(FlvError::NotWritable { codec, how: "without Enhanced RTMP" });
    }
    Ok(TagHeader::new(&[&[ENHANCED | frame_type << 4 | packet_type], &four_cc, cts]))
}

//! Audio tag bodies: legacy AAC and MP3, Enhanced RTMP v2.

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::{Codec, MediaKind, TrackInfo};

use super::enhanced::{Cursor, EnvelopeTypes, TrackPacket, skip_mod_ex, tracks};
use super::{FlvError, TagHeader, four_cc};

const WHAT: &str = "an audio tag";

const FORMAT_MP3: u8 = 2;
const FORMAT_ENHANCED: u8 = 9;
const FORMAT_AAC: u8 = 10;
const FORMAT_MP3_8K: u8 = 14;

/// AAC is always flagged as 44.1 kHz, 16 bits, stereo. Its configuration has the true values.
const FLAGS_AAC: u8 = FORMAT_AAC << 4 | 0x0F;
const FLAGS_MP3: u8 = FORMAT_MP3 << 4 | 0x0F;

const LEGACY_CONFIG: u8 = 0;
const LEGACY_FRAME: u8 = 1;

const PACKET_SEQUENCE_START: u8 = 0;
const PACKET_CODED_FRAMES: u8 = 1;
const PACKET_SEQUENCE_END: u8 = 2;
const PACKET_MULTICHANNEL_CONFIG: u8 = 4;
const ENVELOPE: EnvelopeTypes = EnvelopeTypes { multitrack: 5, mod_ex: 7 };

/// What an audio tag carries. Payloads are slices of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioTag {
    Config {
        codec: Codec,
        config: Bytes,
    },
    Frame {
        codec: Codec,
        payload: Bytes,
    },
    EndOfSequence,
    /// The tag is understood and carries nothing that we need. This is its name.
    Other(&'static str),
}

/// What the tag carries for the default track.
pub fn parse_audio(body: &Bytes) -> Result<AudioTag, FlvError> {
    let mut found = parse_audio_tracks(body)?;
    Ok(found.find(|(track, _)| *track == 0).map_or(AudioTag::Other("another track"), |(_, tag)| tag))
}

/// What the tag carries for each track, by its number. A message that is not of Enhanced RTMP belongs to track 0.
///
/// Such a message, which comes 40 times a second and stream, allocates nothing.
pub fn parse_audio_tracks(body: &Bytes) -> Result<impl Iterator<Item = (u8, AudioTag)> + use<>, FlvError> {
    let (of_track_0, of_tracks) = match body.first() {
        Some(first) if first >> 4 == FORMAT_ENHANCED => (None, parse_enhanced(body, *first)?),
        Some(first) => (Some((0, parse_legacy(body, *first)?)), Vec::new()),
        // Some encoders send empty audio messages to say "no sound now".
        None => (Some((0, AudioTag::Other("empty"))), Vec::new()),
    };
    Ok(of_track_0.into_iter().chain(of_tracks))
}

fn parse_legacy(body: &Bytes, first: u8) -> Result<AudioTag, FlvError> {
    let mut cursor = Cursor::new(body, 1, WHAT);
    match first >> 4 {
        FORMAT_AAC => match cursor.byte()? {
            LEGACY_CONFIG => Ok(AudioTag::Config { codec: Codec::Aac, config: cursor.rest() }),
            LEGACY_FRAME => Ok(frame(Codec::Aac, cursor.rest())),
            _ => Err(FlvError::Invalid { what: "the packet type of an audio tag" }),
        },
        FORMAT_MP3 | FORMAT_MP3_8K => Ok(frame(Codec::Mp3, cursor.rest())),
        format => Err(FlvError::UnsupportedCodec { name: legacy_name(format) }),
    }
}

fn parse_enhanced(body: &Bytes, first: u8) -> Result<Vec<(u8, AudioTag)>, FlvError> {
    let mut cursor = Cursor::new(body, 1, WHAT);
    let packet_type = skip_mod_ex(&mut cursor, first & 0x0F, ENVELOPE)?;
    let found = tracks(&mut cursor, packet_type, ENVELOPE, MediaKind::Audio)?;
    let tag = |TrackPacket { track, packet_type, codec, body }| {
        let tag = match packet_type {
            PACKET_SEQUENCE_START => AudioTag::Config { codec, config: body },
            PACKET_CODED_FRAMES => frame(codec, body),
            PACKET_SEQUENCE_END => AudioTag::EndOfSequence,
            PACKET_MULTICHANNEL_CONFIG => AudioTag::Other("multichannel configuration"),
            _ => AudioTag::Other("an unknown packet type"),
        };
        (track, tag)
    };
    Ok(found.into_iter().map(tag).collect())
}

fn frame(codec: Codec, payload: Bytes) -> AudioTag {
    if payload.is_empty() { AudioTag::Other("empty") } else { AudioTag::Frame { codec, payload } }
}

fn legacy_name(format: u8) -> String {
    match format {
        0 | 3 => "PCM".to_owned(),
        1 => "ADPCM".to_owned(),
        4..=6 => "Nellymoser".to_owned(),
        7 => "G.711 A-law".to_owned(),
        8 => "G.711 mu-law".to_owned(),
        11 => "Speex".to_owned(),
        other => format!("with FLV audio number {other}"),
    }
}

/// The tag body of a track's decoder configuration. MP3 has none, which gives `None`. Opus is written as Enhanced RTMP.
pub fn write_audio_config(info: &TrackInfo) -> Result<Option<Bytes>, FlvError> {
    let header = match info.codec {
        Codec::Mp3 => return Ok(None),
        Codec::Aac => TagHeader::new(&[&[FLAGS_AAC, LEGACY_CONFIG]]),
        codec => enhanced_header(codec, PACKET_SEQUENCE_START)?,
    };
    let mut out = BytesMut::with_capacity(header.len() + info.config.len());
    out.put_slice(&header);
    out.put_slice(&info.config);
    Ok(Some(out.freeze()))
}

/// The bytes that go before a frame's payload.
pub fn audio_frame_header(codec: Codec) -> Result<TagHeader, FlvError> {
    match codec {
        Codec::Aac => Ok(TagHeader::new(&[&[FLAGS_AAC, LEGACY_FRAME]])),
        Codec::Mp3 => Ok(TagHeader::new(&[&[FLAGS_MP3]])),
        codec => enhanced_header(codec, PACKET_CODED_FRAMES),
    }
}

/// Appends the tag body of a frame.
pub fn write_audio_frame(codec: Codec, payload: &[u8], out: &mut BytesMut) -> Result<(), FlvError> {
    let header = audio_frame_header(codec)?;
    out.reserve(header.len() + payload.len());
    out.put_slice(&header);
    out.put_slice(payload);
    Ok(())
}

fn enhanced_header(codec: Codec, packet_type: u8) -> Result<TagHeader, FlvError> {
    let four_cc = four_cc::of(codec).filter(|_| codec.kind() == MediaKind::Audio);
    let four_cc = four_cc.ok_or(FlvError::NotWritable { codec, how: "as audio" })?;
    Ok(TagHeader::new(&[&[FORMAT_ENHANCED << 4 | packet_type], &four_cc]))
}

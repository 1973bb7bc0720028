//! RTMP to frames: a publisher's messages become tracks and normalised frames, still on the publisher's clock.

use bytes::{Bytes, BytesMut};
use weir_media::codec::{self, CodecError, h264, h265, nal};
use weir_media::{Codec, TrackId, TrackInfo};
use weir_mux::flv::{self, AudioTag, FlvError, VideoTag};

use crate::session::{MediaKind as MessageKind, MediaMessage};

/// Where in the record the size of NAL unit lengths is stored, in the low two bits, less one.
const AVCC_LENGTH_SIZE_AT: usize = 4;
const HVCC_LENGTH_SIZE_AT: usize = 21;

/// What a message gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// A track is new, or has changed.
    Track(TrackInfo),
    Frame(WireFrame),
    /// Understood, and nothing to hand on: a repeated configuration, metadata, an end of sequence.
    Nothing,
}

/// A frame on the publisher's clock: milliseconds, modulo 2^32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFrame {
    pub track: TrackId,
    pub keyframe: bool,
    pub dts_ms: u32,
    pub cts_ms: i32,
    pub payload: Bytes,
}

/// Why a message could not be used. Broken ones are counted and passed over; an unsupported codec ends the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Tag(#[from] FlvError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("a frame came before its decoder configuration")]
    NoConfig,
}

impl Unusable {
    /// The publisher sends something that we can't carry: telling it is kinder than dropping every frame.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Tag(FlvError::UnsupportedCodec { .. }))
    }
}

/// One publisher's unpacker. Timestamps of configuration messages are ignored: encoders send 0 there while media is at 20,000,000.
#[derive(Debug, Default)]
pub struct ToFrames {
    video: Option<Known>,
    audio: Option<Known>,
}

#[derive(Debug)]
struct Known {
    codec: Codec,
    /// As it came, to recognise repetitions by: some encoders repeat it every GOP.
    config: Bytes,
    length_size: u8,
}

impl ToFrames {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn unpack(&mut self, message: &MediaMessage) -> Result<Unpacked, Unusable> {
        match message.kind {
            MessageKind::Video => self.video(message),
            MessageKind::Audio => self.audio(message),
            // Metadata repeats what the decoder configuration says better.
            MessageKind::Data => Ok(Unpacked::Nothing),
        }
    }

    fn video(&mut self, message: &MediaMessage) -> Result<Unpacked, Unusable> {
        match flv::parse_video(&message.payload)? {
            VideoTag::Config { codec, config } => {
                if self.video.as_ref().is_some_and(|known| known.codec == codec && known.config == config) {
                    return Ok(Unpacked::Nothing);
                }
                let (length_size, normalised) = normalise_config(codec, &config)?;
                let info = codec::parse(codec, TrackId::SOURCE_VIDEO, normalised)?;
                self.video = Some(Known { codec, config, length_size });
                Ok(Unpacked::Track(info))
            }
            VideoTag::Frame { codec, keyframe, cts_ms, payload } => {
                let known = self.video.as_ref().filter(|known| known.codec == codec).ok_or(Unusable::NoConfig)?;
                let payload = match codec {
                    Codec::H264 | Codec::H265 => nal::with_four_byte_lengths(payload, known.length_size)?,
                    _ => payload,
                };
                if payload.is_empty() {
                    return Ok(Unpacked::Nothing);
                }
                // The flag is the encoder's promise (open GOPs, intra refresh); an IDR is one though the flag forgot it.
                let keyframe = keyframe
                    || match codec {
                        Codec::H264 => h264::is_keyframe(&payload),
                        Codec::H265 => h265::is_keyframe(&payload),
                        _ => false,
                    };
                Ok(Unpacked::Frame(WireFrame {
                    track: TrackId::SOURCE_VIDEO,
                    keyframe,
                    dts_ms: message.timestamp_ms,
                    cts_ms,
                    payload,
                }))
            }
            VideoTag::EndOfSequence | VideoTag::Command(_) | VideoTag::Other(_) => Ok(Unpacked::Nothing),
        }
    }

    fn audio(&mut self, message: &MediaMessage) -> Result<Unpacked, Unusable> {
        match flv::parse_audio(&message.payload)? {
            AudioTag::Config { codec, config } => self.audio_config(codec, config),
            AudioTag::Frame { codec, payload } => {
                if payload.is_empty() {
                    return Ok(Unpacked::Nothing);
                }
                if self.audio.as_ref().is_none_or(|known| known.codec != codec) {
                    // MP3 has no configuration message: its first frame announces it. It is lost, 26 ms.
                    return if codec == Codec::Mp3 {
                        self.audio_config(codec, Bytes::new())
                    } else {
                        Err(Unusable::NoConfig)
                    };
                }
                Ok(Unpacked::Frame(WireFrame {
                    track: TrackId::SOURCE_AUDIO,
                    keyframe: true,
                    dts_ms: message.timestamp_ms,
                    cts_ms: 0,
                    payload,
                }))
            }
            AudioTag::EndOfSequence | AudioTag::Other(_) => Ok(Unpacked::Nothing),
        }
    }

    fn audio_config(&mut self, codec: Codec, config: Bytes) -> Result<Unpacked, Unusable> {
        if self.audio.as_ref().is_some_and(|known| known.codec == codec && known.config == config) {
            return Ok(Unpacked::Nothing);
        }
        let info = codec::parse(codec, TrackId::SOURCE_AUDIO, config.clone())?;
        self.audio = Some(Known { codec, config, length_size: 4 });
        Ok(Unpacked::Track(info))
    }
}

/// The size of NAL unit lengths that the record says, and the record saying 4, which is what payloads will have.
fn normalise_config(codec: Codec, config: &Bytes) -> Result<(u8, Bytes), CodecError> {
    let (length_size, at) = match codec {
        Codec::H264 => (h264::AvcConfig::parse(config)?.length_size, AVCC_LENGTH_SIZE_AT),
        Codec::H265 => (h265::HevcConfig::parse(config)?.length_size, HVCC_LENGTH_SIZE_AT),
        _ => return Ok((4, config.clone())),
    };
    if length_size == 4 {
        return Ok((4, config.clone()));
    }
    let mut changed = BytesMut::from(&config[..]);
    if let Some(byte) = changed.get_mut(at) {
        *byte |= 3;
    }
    Ok((length_size, changed.freeze()))
}

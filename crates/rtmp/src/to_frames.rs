//! RTMP to frames: a publisher's messages become tracks and normalised frames, still on the publisher's clock.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use weir_media::codec::{self, CodecError, h264, h265, nal};
use weir_media::{Codec, TrackId, TrackInfo};
use weir_mux::flv::{self, AudioTag, FlvError, VideoTag};

use crate::protocol::{MediaMessage, MessageKind};
use crate::sound_names::SoundNames;

/// The place in the configuration record of the size of NAL unit lengths. Its low two bits hold the size less one.
const AVCC_LENGTH_SIZE_AT: usize = 4;
const HVCC_LENGTH_SIZE_AT: usize = 21;

/// A track or a frame that a message gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpacked {
    /// A track that is new or has changed.
    Track(TrackInfo),
    Frame(PublisherFrame),
}

/// The most sounds that are taken. Encoders of many languages send some eight.
const SOUNDS_MAX: u8 = 16;

/// A frame on the publisher's clock: milliseconds, modulo 2^32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherFrame {
    pub track: TrackId,
    pub keyframe: bool,
    pub dts_ms: u32,
    pub cts_ms: i32,
    pub payload: Bytes,
}

/// Why a message could not be used. Broken messages are counted and passed over; an unsupported codec ends the session.
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
    /// Whether the publisher sends something that we can't carry. To tell it so is kinder than to drop every frame.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Tag(FlvError::UnsupportedCodec { .. }))
    }
}

/// Turns one publisher's messages into frames. Timestamps of configuration messages are ignored: encoders send 0 there while media is at
/// 20,000,000.
#[derive(Debug, Default)]
pub struct ToFrames {
    video: Option<Known>,
    /// The sounds by their number in Enhanced RTMP; the default one has 0.
    sounds: BTreeMap<u8, Known>,
    names: SoundNames,
}

#[derive(Debug)]
struct Known {
    codec: Codec,
    /// The configuration as it came. Repetitions are recognised by it, as some encoders send it with every GOP.
    config: Bytes,
    length_size: u8,
}

impl ToFrames {
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends what the message gives. A message that is understood but hands on nothing, such as a repeated configuration or an end of
    /// sequence, gives nothing; a message that several tracks share gives several frames.
    pub fn unpack(&mut self, message: &MediaMessage, out: &mut Vec<Unpacked>) -> Result<(), Unusable> {
        match message.kind {
            MessageKind::Video => out.extend(self.video(message)?),
            MessageKind::Audio => {
                for (number, tag) in flv::parse_audio_tracks(&message.payload)? {
                    out.extend(self.audio(number, tag, message.timestamp_ms)?);
                }
            }
            // Only the names of sounds are taken from metadata; decoder configurations say the rest better.
            MessageKind::Data => self.take_names(&message.payload, out),
        }
        Ok(())
    }

    fn video(&mut self, message: &MediaMessage) -> Result<Option<Unpacked>, Unusable> {
        match flv::parse_video(&message.payload)? {
            VideoTag::Config { codec, config } => {
                if self.video.as_ref().is_some_and(|known| known.codec == codec && known.config == config) {
                    return Ok(None);
                }
                let (length_size, normalised) = normalise_config(codec, &config)?;
                let info = codec::parse(codec, TrackId::SOURCE_VIDEO, normalised)?;
                self.video = Some(Known { codec, config, length_size });
                Ok(Some(Unpacked::Track(info)))
            }
            VideoTag::Frame { codec, keyframe, cts_ms, payload } => {
                let known = self.video.as_ref().filter(|known| known.codec == codec).ok_or(Unusable::NoConfig)?;
                let payload = match codec {
                    Codec::H264 | Codec::H265 => nal::with_four_byte_lengths(payload, known.length_size)?,
                    _ => payload,
                };
                if payload.is_empty() {
                    return Ok(None);
                }
                // The flag is the encoder's promise (open GOPs, intra refresh). An IDR is a keyframe even if the encoder forgot the flag.
                let keyframe = keyframe
                    || match codec {
                        Codec::H264 => h264::is_keyframe(&payload),
                        Codec::H265 => h265::is_keyframe(&payload),
                        _ => false,
                    };
                Ok(Some(Unpacked::Frame(PublisherFrame {
                    track: TrackId::SOURCE_VIDEO,
                    keyframe,
                    dts_ms: message.timestamp_ms,
                    cts_ms,
                    payload,
                })))
            }
            VideoTag::EndOfSequence | VideoTag::Command(_) | VideoTag::Other(_) => Ok(None),
        }
    }

    fn audio(&mut self, number: u8, tag: AudioTag, dts_ms: u32) -> Result<Option<Unpacked>, Unusable> {
        if number >= SOUNDS_MAX {
            return Ok(None);
        }
        match tag {
            AudioTag::Config { codec, config } => self.audio_config(number, codec, config),
            AudioTag::Frame { codec, payload } => {
                if payload.is_empty() {
                    return Ok(None);
                }
                if self.sounds.get(&number).is_none_or(|known| known.codec != codec) {
                    // MP3 has no configuration message. Its first frame (26 ms) announces the track and is lost.
                    return if codec == Codec::Mp3 {
                        self.audio_config(number, codec, Bytes::new())
                    } else {
                        Err(Unusable::NoConfig)
                    };
                }
                let track = sound_id(number);
                Ok(Some(Unpacked::Frame(PublisherFrame { track, keyframe: true, dts_ms, cts_ms: 0, payload })))
            }
            AudioTag::EndOfSequence | AudioTag::Other(_) => Ok(None),
        }
    }

    fn audio_config(&mut self, number: u8, codec: Codec, config: Bytes) -> Result<Option<Unpacked>, Unusable> {
        if self.sounds.get(&number).is_some_and(|known| known.codec == codec && known.config == config) {
            return Ok(None);
        }
        self.sounds.insert(number, Known { codec, config, length_size: 4 });
        let told = self.named(number);
        if told.is_err() {
            self.sounds.remove(&number);
        }
        Ok(Some(Unpacked::Track(told?)))
    }

    /// A track of sound, with the language and the label that the metadata gives it.
    fn named(&self, number: u8) -> Result<TrackInfo, Unusable> {
        let Known { codec, config, .. } = self.sounds.get(&number).ok_or(Unusable::NoConfig)?;
        let info = codec::parse(*codec, sound_id(number), config.clone())?;
        let (language, label) = self.names.of(number);
        Ok(TrackInfo { language, label, ..info })
    }

    /// Takes the names of sounds. Metadata may come before the tracks that it names, or again with other names.
    fn take_names(&mut self, payload: &[u8], out: &mut Vec<Unpacked>) {
        let Some(names) = SoundNames::parse(payload) else { return };
        let before = std::mem::replace(&mut self.names, names);
        let renamed = self.sounds.keys().filter(|number| before.of(**number) != self.names.of(**number));
        out.extend(renamed.filter_map(|number| self.named(*number).ok()).map(Unpacked::Track));
    }
}

fn sound_id(number: u8) -> TrackId {
    TrackId(TrackId::SOURCE_AUDIO.0 + u32::from(number))
}

/// Returns the size of NAL unit lengths that the record says, and the record changed to say 4, as payloads will have.
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

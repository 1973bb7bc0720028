//! What a connection must send before media: the metadata and the decoders' configurations.

use bytes::{Bytes, BytesMut};
use weir_media::{Codec, TrackInfo};
use weir_mux::flv;

use crate::protocol::MessageKind;
use crate::wire::{Value, encode};

/// See the module. Each is the body of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) metadata: Bytes,
    pub(crate) video_config: Option<Bytes>,
    pub(crate) audio_config: Option<Bytes>,
}

impl Setup {
    pub(crate) fn new(video: Option<&TrackInfo>, audio: Option<&TrackInfo>) -> Self {
        Self {
            metadata: metadata(video, audio),
            video_config: video.and_then(|info| flv::write_video_config(info, !is_legacy(info.codec)).ok()),
            audio_config: audio.and_then(|info| flv::write_audio_config(info).ok()).flatten(),
        }
    }

    pub(crate) fn configs(&self) -> impl Iterator<Item = (MessageKind, &Bytes)> {
        let configs = [(MessageKind::Video, &self.video_config), (MessageKind::Audio, &self.audio_config)];
        configs.into_iter().filter_map(|(kind, config)| Some((kind, config.as_ref()?)))
    }
}

/// Whether the codec goes out in the old form that every server knows. Only H.264 does; every later codec needs Enhanced RTMP.
fn is_legacy(codec: Codec) -> bool {
    codec == Codec::H264
}

/// The message `@setDataFrame onMetaData {...}`, which players and platforms read before the first frame.
fn metadata(video: Option<&TrackInfo>, audio: Option<&TrackInfo>) -> Bytes {
    let number = |name: &str, value: f64| (name.to_owned(), Value::Number(value));
    let mut fields = Vec::new();
    if let Some(info) = video {
        if let Some(video) = &info.video {
            fields.push(number("width", f64::from(video.width)));
            fields.push(number("height", f64::from(video.height)));
            if let Some((frames, seconds)) = video.fps.filter(|(_, seconds)| *seconds > 0) {
                fields.push(number("framerate", f64::from(frames) / f64::from(seconds)));
            }
        }
        fields.push(number("videocodecid", video_codec_id(info.codec)));
    }
    if let Some(info) = audio {
        fields.push(number("audiocodecid", audio_codec_id(info)));
        if let Some(audio) = &info.audio {
            fields.push(number("audiosamplerate", f64::from(audio.sample_rate_hz)));
            fields.push(number("audiosamplesize", 16.0));
            fields.push(("stereo".to_owned(), Value::Boolean(audio.channels > 1)));
        }
    }
    fields.push(("encoder".to_owned(), Value::String(concat!("Weir ", env!("CARGO_PKG_VERSION")).to_owned())));
    let mut out = BytesMut::new();
    let command = [Value::String("@setDataFrame".into()), Value::String("onMetaData".into()), Value::EcmaArray(fields)];
    encode(&mut out, &command);
    out.freeze()
}

/// FLV's number of the codec. Where Enhanced RTMP names the codec by a FourCC, this is the FourCC read as a number.
fn video_codec_id(codec: Codec) -> f64 {
    match codec {
        Codec::H265 => f64::from(u32::from_be_bytes(*b"hvc1")),
        Codec::Av1 => f64::from(u32::from_be_bytes(*b"av01")),
        _ => 7.0,
    }
}

fn audio_codec_id(info: &TrackInfo) -> f64 {
    match info.codec {
        Codec::Opus => f64::from(u32::from_be_bytes(*b"Opus")),
        Codec::Mp3 => 2.0,
        _ => 10.0,
    }
}

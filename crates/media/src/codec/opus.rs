//! Opus: the `OpusHead` identification header (RFC 7845, 5.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::{CodecError, check_config_len};
use crate::{AudioFormat, Codec, TrackId, TrackInfo};

const OPUS_HEAD: &str = "the OpusHead";
const MAGIC: &[u8] = b"OpusHead";
/// The length of the fields up to and with the mapping family.
const FIXED_BYTES: usize = 19;

/// Opus always decodes at 48 kHz.
const SAMPLE_RATE_HZ: u32 = 48_000;

/// The track that an `OpusHead` describes.
pub fn track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    check_config_len(OPUS_HEAD, &config)?;
    let head = config.get(..FIXED_BYTES).ok_or(CodecError::Truncated { what: OPUS_HEAD })?;
    if &head[..8] != MAGIC {
        return Err(CodecError::invalid(OPUS_HEAD, "no magic signature"));
    }
    // The upper half is the major version; 0 stays compatible.
    if head[8] >> 4 != 0 {
        return Err(CodecError::invalid(OPUS_HEAD, format!("version {}", head[8])));
    }
    let (channels, family) = (head[9], head[18]);
    if channels == 0 || (family == 0 && channels > 2) {
        return Err(CodecError::invalid(OPUS_HEAD, format!("{channels} channels in mapping family {family}")));
    }
    // Other families list stream counts and each channel's place.
    if family != 0 && config.len() < FIXED_BYTES + 2 + usize::from(channels) {
        return Err(CodecError::Truncated { what: OPUS_HEAD });
    }
    let audio = AudioFormat {
        sample_rate_hz: SAMPLE_RATE_HZ,
        channels,
        profile: String::new(),
        // A packet says its own length, 2.5 to 120 ms.
        frame_samples: None,
        codec_string: "opus".to_owned(),
    };
    Ok(TrackInfo::sound(id, Codec::Opus, config, audio))
}

/// An `OpusHead` for mono or stereo.
pub fn opus_head(channels: u8, pre_skip: u16) -> Result<Bytes, CodecError> {
    if !(1..=2).contains(&channels) {
        return Err(CodecError::invalid(OPUS_HEAD, format!("{channels} channels in mapping family 0")));
    }
    let mut out = BytesMut::with_capacity(FIXED_BYTES);
    out.put_slice(MAGIC);
    out.put_u8(1);
    out.put_u8(channels);
    out.put_u16_le(pre_skip);
    out.put_u32_le(SAMPLE_RATE_HZ);
    out.put_u16_le(0);
    out.put_u8(0);
    Ok(out.freeze())
}

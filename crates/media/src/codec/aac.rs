//! AAC: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) with SBR and PS, and ADTS headers.

use bytes::Bytes;

use super::bits::BitReader;
use super::{CodecError, check_config_len};
use crate::{AudioFormat, Codec, TrackId, TrackInfo};

const ASC: &str = "the AudioSpecificConfig";
const ADTS: &str = "the ADTS header";

const SAMPLE_RATES_HZ: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// The header of an ADTS frame without a checksum.
pub const ADTS_HEADER_BYTES: usize = 7;

const OBJECT_LC: u8 = 2;
const OBJECT_SBR: u8 = 5;
const OBJECT_PS: u8 = 29;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacConfig {
    /// The object type of the core coder: 2 for LC, also under SBR.
    pub object_type: u8,
    /// The sample rate of the core coder.
    pub sample_rate_hz: u32,
    pub channels: u8,
    /// The decoder's output rate, if spectral band replication is signalled.
    pub sbr_rate_hz: Option<u32>,
    /// Says that parametric stereo is signalled: one coded channel becomes two.
    pub parametric_stereo: bool,
    /// The number of samples in one frame of the core coder.
    pub frame_samples: u32,
}

impl AacConfig {
    pub fn parse(config: &[u8]) -> Result<Self, CodecError> {
        check_config_len(ASC, config)?;
        let mut bits = BitReader::new(config, ASC);
        let mut object_type = object_type_of(&mut bits)?;
        let sample_rate_hz = sample_rate(&mut bits)?;
        let channel_configuration = bits.bits(4)?;
        let mut sbr_rate_hz = None;
        let mut parametric_stereo = false;
        if matches!(object_type, OBJECT_SBR | OBJECT_PS) {
            parametric_stereo = object_type == OBJECT_PS;
            sbr_rate_hz = Some(sample_rate(&mut bits)?);
            object_type = object_type_of(&mut bits)?;
        }
        // Main, LC, SSR, LTP, scalable, and their error resilient forms share the GASpecificConfig.
        let general = matches!(object_type, 1..=4 | 6 | 7 | 17 | 19..=23);
        let mut short_frames = false;
        let mut channels = u8::try_from(channel_configuration).unwrap_or(0);
        if general {
            short_frames = bits.bit()?;
            if bits.bit()? {
                bits.skip(14)?;
            }
            let extension = bits.bit()?;
            if channel_configuration == 0 {
                channels = program_config_channels(&mut bits)?;
            } else if !extension && sbr_rate_hz.is_none() {
                // SBR may be announced behind the end, where old decoders do not look.
                (sbr_rate_hz, parametric_stereo) = sync_extension(&mut bits);
            }
        }
        let channels = match channels {
            7 => 8,
            11 => 7,
            12 | 14 => 8,
            channels => channels,
        };
        Ok(Self {
            object_type,
            sample_rate_hz,
            channels,
            sbr_rate_hz,
            parametric_stereo,
            frame_samples: if short_frames { 960 } else { 1024 },
        })
    }

    /// The two bytes that describe AAC-LC.
    pub fn build_lc(sample_rate_hz: u32, channels: u8) -> Result<Bytes, CodecError> {
        let rate = SAMPLE_RATES_HZ.iter().position(|&rate| rate == sample_rate_hz);
        let rate = rate.and_then(|rate| u8::try_from(rate).ok());
        let rate = rate.ok_or_else(|| CodecError::invalid(ASC, format!("sample rate {sample_rate_hz}")))?;
        let channels = channel_configuration(channels)?;
        Ok(Bytes::copy_from_slice(&[OBJECT_LC << 3 | rate >> 1, rate << 7 | channels << 3]))
    }

    /// The rate at which a decoder plays that knows SBR.
    pub fn output_rate_hz(&self) -> u32 {
        self.sbr_rate_hz.unwrap_or(self.sample_rate_hz)
    }
}

/// The track that an AudioSpecificConfig describes.
pub fn track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    let asc = AacConfig::parse(&config)?;
    let output_rate_hz = asc.output_rate_hz();
    // A frame lasts as long at both rates, so SBR doubles its samples.
    let samples = u64::from(asc.frame_samples) * u64::from(output_rate_hz) / u64::from(asc.sample_rate_hz.max(1));
    let (profile, object) = match (asc.object_type, asc.sbr_rate_hz, asc.parametric_stereo) {
        (OBJECT_LC, Some(_), true) => ("HE-AAC v2", OBJECT_PS),
        (OBJECT_LC, Some(_), false) => ("HE-AAC", OBJECT_SBR),
        (object, ..) => (object_name(object), object),
    };
    let audio = AudioFormat {
        sample_rate_hz: output_rate_hz,
        channels: if asc.parametric_stereo { 2 } else { asc.channels },
        profile: profile.to_owned(),
        frame_samples: u32::try_from(samples).ok(),
        codec_string: format!("mp4a.40.{object}"),
    };
    Ok(TrackInfo::sound(id, Codec::Aac, config, audio))
}

fn object_name(object_type: u8) -> &'static str {
    match object_type {
        1 => "Main",
        2 => "LC",
        3 => "SSR",
        4 => "LTP",
        23 => "LD",
        39 => "ELD",
        42 => "xHE-AAC",
        _ => "unknown",
    }
}

fn object_type_of(bits: &mut BitReader<'_>) -> Result<u8, CodecError> {
    let object_type = match bits.bits(5)? {
        31 => 32 + bits.bits(6)?,
        object_type => object_type,
    };
    if object_type == 0 {
        return Err(CodecError::invalid(ASC, "object type 0"));
    }
    Ok(u8::try_from(object_type).unwrap_or(u8::MAX))
}

fn sample_rate(bits: &mut BitReader<'_>) -> Result<u32, CodecError> {
    let index = bits.bits(4)?;
    let rate = if index == 15 { Some(bits.bits(24)?) } else { SAMPLE_RATES_HZ.get(index as usize).copied() };
    rate.filter(|&rate| rate > 0).ok_or_else(|| CodecError::invalid(ASC, format!("sample rate index {index}")))
}

/// Reads SBR and PS that are announced behind the configuration proper. If the announcement is absent or cut short, there are none.
fn sync_extension(bits: &mut BitReader<'_>) -> (Option<u32>, bool) {
    let mut read = || -> Result<(Option<u32>, bool), CodecError> {
        if bits.left() < 16 || bits.bits(11)? != 0x2B7 || bits.bits(5)? != u32::from(OBJECT_SBR) || !bits.bit()? {
            return Ok((None, false));
        }
        let rate = sample_rate(bits)?;
        let parametric_stereo = bits.left() >= 12 && bits.bits(11)? == 0x548 && bits.bit()?;
        Ok((Some(rate), parametric_stereo))
    };
    read().unwrap_or((None, false))
}

/// Counts the channels of channel configuration 0, which a program_config_element lists.
fn program_config_channels(bits: &mut BitReader<'_>) -> Result<u8, CodecError> {
    bits.skip(4 + 2 + 4)?;
    let (front, side, back) = (bits.bits(4)?, bits.bits(4)?, bits.bits(4)?);
    let lfe = bits.bits(2)?;
    bits.skip(3 + 4)?;
    for mixdown_bits in [4, 4, 3] {
        if bits.bit()? {
            bits.skip(mixdown_bits)?;
        }
    }
    let mut channels = lfe;
    for _ in 0..front + side + back {
        channels += if bits.bit()? { 2 } else { 1 };
        bits.skip(4)?;
    }
    Ok(u8::try_from(channels).unwrap_or(u8::MAX))
}

fn channel_configuration(channels: u8) -> Result<u8, CodecError> {
    match channels {
        1..=6 => Ok(channels),
        8 => Ok(7),
        _ => Err(CodecError::invalid(ASC, format!("{channels} channels"))),
    }
}

/// One ADTS header, which TS carries before each AAC frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdtsHeader {
    pub object_type: u8,
    pub sample_rate_hz: u32,
    /// The channel configuration. It is 0 when a program_config_element in the frame lists the channels.
    pub channel_configuration: u8,
    /// The length of the header: 7, or 9 with a checksum.
    pub header_bytes: usize,
    /// The length of header and payload.
    pub frame_bytes: usize,
}

impl AdtsHeader {
    pub fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let header = data.get(..ADTS_HEADER_BYTES).ok_or(CodecError::Truncated { what: ADTS })?;
        if header[0] != 0xFF || header[1] & 0xF6 != 0xF0 {
            return Err(CodecError::invalid(ADTS, "no sync word"));
        }
        let header_bytes = if header[1] & 1 == 1 { ADTS_HEADER_BYTES } else { ADTS_HEADER_BYTES + 2 };
        let rate_index = usize::from(header[2] >> 2 & 15);
        let sample_rate_hz = *SAMPLE_RATES_HZ
            .get(rate_index)
            .ok_or_else(|| CodecError::invalid(ADTS, format!("sample rate index {rate_index}")))?;
        let frame_bytes = usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5] >> 5);
        if frame_bytes < header_bytes {
            return Err(CodecError::invalid(ADTS, format!("a frame of {frame_bytes} bytes")));
        }
        if header[6] & 3 != 0 {
            return Err(CodecError::invalid(ADTS, "several raw data blocks in one frame"));
        }
        Ok(Self {
            object_type: (header[2] >> 6) + 1,
            sample_rate_hz,
            channel_configuration: (header[2] & 1) << 2 | header[3] >> 6,
            header_bytes,
            frame_bytes,
        })
    }

    /// The AudioSpecificConfig that says the same as this header.
    pub fn audio_specific_config(&self) -> Bytes {
        let rate = SAMPLE_RATES_HZ.iter().position(|&rate| rate == self.sample_rate_hz).unwrap_or(4);
        let rate = u8::try_from(rate).unwrap_or(4);
        Bytes::copy_from_slice(&[self.object_type << 3 | rate >> 1, rate << 7 | self.channel_configuration << 3])
    }
}

/// The ADTS header of a raw frame with this many bytes.
pub fn adts_header(config: &AacConfig, payload_bytes: usize) -> Result<[u8; ADTS_HEADER_BYTES], CodecError> {
    const FRAME_BYTES_MAX: usize = (1 << 13) - 1;
    let frame_bytes = payload_bytes.saturating_add(ADTS_HEADER_BYTES);
    if frame_bytes > FRAME_BYTES_MAX {
        return Err(CodecError::TooLong { what: "an ADTS frame", bytes: frame_bytes, max: FRAME_BYTES_MAX });
    }
    let rate = SAMPLE_RATES_HZ.iter().position(|&rate| rate == config.sample_rate_hz);
    let rate = rate.and_then(|rate| u8::try_from(rate).ok());
    let rate = rate.ok_or_else(|| CodecError::invalid(ADTS, format!("sample rate {}", config.sample_rate_hz)))?;
    if !(1..=4).contains(&config.object_type) {
        return Err(CodecError::invalid(ADTS, format!("object type {}", config.object_type)));
    }
    let channels = channel_configuration(config.channels)?;
    let byte = |value: usize| u8::try_from(value & 0xFF).unwrap_or(0);
    Ok([
        0xFF,
        0xF1,
        (config.object_type - 1) << 6 | rate << 2 | channels >> 2,
        (channels & 3) << 6 | byte(frame_bytes >> 11),
        byte(frame_bytes >> 3),
        byte(frame_bytes << 5) | 0x1F,
        0xFC,
    ])
}

//! AC-3 and E-AC-3 (ETSI TS 102 366): sync frames of broadcast sound, and the records that MP4 has for them.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::BitReader;
use super::{CodecError, check_config_len};
use crate::{AudioFormat, Codec, TrackId, TrackInfo};

const FRAME: &str = "the AC-3 frame";
const DAC3: &str = "the AC-3 record";
const DEC3: &str = "the E-AC-3 record";

const SYNC: [u8; 2] = [0x0B, 0x77];
/// The most bytes of a frame that are read: up to the channel map of a dependent substream.
pub const HEADER_BYTES: usize = 12;
const DAC3_BYTES: usize = 3;

/// The highest `bsid` of AC-3. 9 and 10 mean half and quarter rates, which nobody sends.
const AC3_ID_MAX: u32 = 8;
const EAC3_IDS: std::ops::RangeInclusive<u32> = 11..=16;

const AC3_SAMPLES: u32 = 1536;
const BLOCK_SAMPLES: u32 = 256;
const RATES_HZ: [u32; 3] = [48_000, 44_100, 32_000];
const REDUCED_RATES_HZ: [u32; 3] = [24_000, 22_050, 16_000];
const BITRATES_KBPS: [u32; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
/// The channels of each `acmod`, without the LFE.
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// The channels that each place of `chan_loc` adds: pairs Lc/Rc and Lrs/Rrs, then Cs, Ts, pairs Lsd/Rsd, Lw/Rw and Lvh/Rvh, Cvh, LFE2.
const PLACES: [u8; 9] = [2, 2, 1, 1, 2, 2, 2, 1, 1];

/// The header of one sync frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ac3Header {
    pub codec: Codec,
    pub frame_bytes: usize,
    pub sample_rate_hz: u32,
    pub samples: u32,
    pub channels: u8,
    /// The frame is no programme of its own, but belongs to the frame before it.
    pub dependent: bool,
    /// The number of the substream in E-AC-3. 0 is the main programme; others run beside it.
    pub substream: u8,
    rate_code: u8,
    bit_stream_id: u8,
    bit_stream_mode: u8,
    channel_mode: u8,
    lfe: bool,
    /// The code of the bit rate in AC-3.
    bitrate_code: u8,
    /// The channels that a dependent substream adds.
    places: u16,
}

impl Ac3Header {
    /// Reads the header of either codec.
    pub fn parse(data: &[u8]) -> Result<Self, CodecError> {
        let head = data.get(..7).ok_or(CodecError::Truncated { what: FRAME })?;
        if head[..2] != SYNC {
            return Err(CodecError::invalid(FRAME, "no sync word"));
        }
        match u32::from(head[5] >> 3) {
            id @ 0..=AC3_ID_MAX => Self::parse_ac3(head, id),
            id if EAC3_IDS.contains(&id) => Self::parse_eac3(data, id),
            id => Err(CodecError::invalid(FRAME, format!("bit stream identification {id}"))),
        }
    }

    fn parse_ac3(head: &[u8], id: u32) -> Result<Self, CodecError> {
        let mut bits = BitReader::new(&head[4..], FRAME);
        let rate_code = bits.bits(2)?;
        let size_code = bits.bits(6)?;
        bits.skip(5)?;
        let bit_stream_mode = bits.bits(3)?;
        let channel_mode = bits.bits(3)?;
        if channel_mode & 1 == 1 && channel_mode != 1 {
            bits.skip(2)?;
        }
        if channel_mode & 4 != 0 {
            bits.skip(2)?;
        }
        if channel_mode == 2 {
            bits.skip(2)?;
        }
        let lfe = bits.bit()?;
        let rate = RATES_HZ.get(rate_code as usize).copied();
        let sample_rate_hz = rate.ok_or_else(|| CodecError::invalid(FRAME, "a reserved sample rate"))?;
        let bitrate = BITRATES_KBPS.get((size_code >> 1) as usize).copied();
        let kbps = bitrate.ok_or_else(|| CodecError::invalid(FRAME, format!("frame size code {size_code}")))?;
        let words = kbps * 1000 / 16 * AC3_SAMPLES / sample_rate_hz;
        // Only at 44.1 kHz frames differ in length.
        let words = words + if sample_rate_hz == 44_100 { size_code & 1 } else { 0 };
        Ok(Self {
            codec: Codec::Ac3,
            frame_bytes: words as usize * 2,
            sample_rate_hz,
            samples: AC3_SAMPLES,
            channels: CHANNELS[channel_mode as usize & 7] + u8::from(lfe),
            dependent: false,
            substream: 0,
            rate_code: low(rate_code),
            bit_stream_id: low(id),
            bit_stream_mode: low(bit_stream_mode),
            channel_mode: low(channel_mode),
            lfe,
            bitrate_code: low(size_code >> 1),
            places: 0,
        })
    }

    fn parse_eac3(data: &[u8], id: u32) -> Result<Self, CodecError> {
        let mut bits = BitReader::new(&data[2..], FRAME);
        let kind = bits.bits(2)?;
        let substream = bits.bits(3)?;
        let words = bits.bits(11)? + 1;
        let rate_code = bits.bits(2)?;
        let other = bits.bits(2)?;
        let channel_mode = bits.bits(3)?;
        let lfe = bits.bit()?;
        bits.skip(5)?;
        if kind == 3 {
            return Err(CodecError::invalid(FRAME, "a reserved kind of substream"));
        }
        let rate = if rate_code == 3 { REDUCED_RATES_HZ.get(other as usize) } else { RATES_HZ.get(rate_code as usize) };
        let sample_rate_hz = *rate.ok_or_else(|| CodecError::invalid(FRAME, "a reserved sample rate"))?;
        let blocks = if rate_code == 3 { 6 } else { [1, 2, 3, 6][other as usize & 3] };
        let dependent = kind == 1;
        let places = if dependent { channel_places(&mut bits, channel_mode).unwrap_or(0) } else { 0 };
        let header = Self {
            codec: Codec::Eac3,
            frame_bytes: words as usize * 2,
            sample_rate_hz,
            samples: blocks * BLOCK_SAMPLES,
            channels: CHANNELS[channel_mode as usize & 7] + u8::from(lfe),
            dependent,
            substream: low(substream),
            rate_code: low(rate_code),
            bit_stream_id: low(id),
            bit_stream_mode: 0,
            channel_mode: low(channel_mode),
            lfe,
            bitrate_code: 0,
            places,
        };
        if header.frame_bytes < HEADER_BYTES {
            return Err(CodecError::invalid(FRAME, format!("a frame of {} bytes", header.frame_bytes)));
        }
        Ok(header)
    }

    /// Whether an access unit begins with this frame. Other frames are added to the one before them.
    pub fn begins(&self) -> bool {
        !self.dependent && self.substream == 0
    }
}

fn low(value: u32) -> u8 {
    (value & 0xFF) as u8
}

/// The `chan_loc` of a dependent substream. It stands behind the volume, if there is a custom channel map.
fn channel_places(bits: &mut BitReader<'_>, channel_mode: u32) -> Result<u16, CodecError> {
    for _ in 0..if channel_mode == 0 { 2 } else { 1 } {
        bits.skip(5)?;
        if bits.bit()? {
            bits.skip(8)?;
        }
    }
    if !bits.bit()? {
        return Ok(0);
    }
    // The bits of the map from the fifth on are the places, the first of them highest.
    let map = bits.bits(16)? as u16;
    let places = (0..PLACES.len()).filter(|place| map >> (10 - place.min(&8)) & 1 == 1 && *place < 8);
    Ok(places.map(|place| 1 << place).sum::<u16>() | (map >> 1 & 1) << 8)
}

/// The record of an access unit, as `dac3` or `dec3` holds it. The unit begins with a frame that [`Ac3Header::begins`].
pub fn record(unit: &[u8]) -> Result<Bytes, CodecError> {
    let first = Ac3Header::parse(unit)?;
    let mut out = BytesMut::with_capacity(8);
    if first.codec == Codec::Ac3 {
        let value = u32::from(first.rate_code) << 22
            | u32::from(first.bit_stream_id) << 17
            | u32::from(first.bit_stream_mode) << 14
            | u32::from(first.channel_mode) << 11
            | u32::from(first.lfe) << 10
            | u32::from(first.bitrate_code) << 5;
        out.put_slice(&value.to_be_bytes()[1..]);
        return Ok(out.freeze());
    }
    let (mut places, mut dependents) = (0_u16, 0_u32);
    let mut rest = unit.get(first.frame_bytes..).unwrap_or_default();
    while let Ok(next) = Ac3Header::parse(rest) {
        // Programmes beside the main one are not described, because a listener gets the first one.
        if next.substream > 0 {
            break;
        }
        if next.dependent {
            places |= next.places;
            dependents += 1;
        }
        rest = rest.get(next.frame_bytes..).unwrap_or_default();
    }
    let bits_per_second = unit.len() as u64 * 8 * u64::from(first.sample_rate_hz) / u64::from(first.samples.max(1));
    let kbps = u16::try_from(bits_per_second / 1000).unwrap_or(u16::MAX).min(0x1FFF);
    out.put_u16(kbps << 3);
    let programme = u32::from(first.rate_code) << 22
        | u32::from(first.bit_stream_id) << 17
        | u32::from(first.bit_stream_mode) << 12
        | u32::from(first.channel_mode) << 9
        | u32::from(first.lfe) << 8
        | dependents.min(15) << 1
        | if dependents > 0 { u32::from(places >> 8 & 1) } else { 0 };
    out.put_slice(&programme.to_be_bytes()[1..]);
    if dependents > 0 {
        out.put_u8((places & 0xFF) as u8);
    }
    Ok(out.freeze())
}

/// Whether both records describe the same sound. Its bit rate may change with every frame, so it is not compared.
pub fn same_but_for_rate(known: &[u8], new: &[u8]) -> bool {
    let rest = |record: &[u8]| if record.len() > DAC3_BYTES { record[2..].to_vec() } else { record.to_vec() };
    known.len() == new.len() && rest(known) == rest(new)
}

/// The track that the content of `dac3` describes.
pub fn ac3_track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    check_config_len(DAC3, &config)?;
    let mut bits = BitReader::new(&config, DAC3);
    let rate = RATES_HZ.get(bits.bits(2)? as usize).copied();
    bits.skip(5 + 3)?;
    let (channel_mode, lfe) = (bits.bits(3)?, bits.bit()?);
    bits.skip(5 + 5)?;
    let sample_rate_hz = rate.ok_or_else(|| CodecError::invalid(DAC3, "a reserved sample rate"))?;
    let audio = AudioFormat {
        sample_rate_hz,
        channels: CHANNELS[channel_mode as usize & 7] + u8::from(lfe),
        profile: String::new(),
        frame_samples: Some(AC3_SAMPLES),
        codec_string: "ac-3".to_owned(),
    };
    Ok(TrackInfo::sound(id, Codec::Ac3, config, audio))
}

/// The track that the content of `dec3` describes.
pub fn eac3_track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    check_config_len(DEC3, &config)?;
    let mut bits = BitReader::new(&config, DEC3);
    bits.skip(13 + 3)?;
    let rate_code = bits.bits(2)?;
    bits.skip(5 + 1 + 1 + 3)?;
    let (channel_mode, lfe) = (bits.bits(3)?, bits.bit()?);
    bits.skip(3)?;
    let dependents = bits.bits(4)?;
    let places = if dependents > 0 { bits.bits(9)? } else { 0 };
    let added: u8 = (0..PLACES.len()).filter(|place| places >> place & 1 == 1).map(|place| PLACES[place]).sum();
    // The record does not tell a reduced rate. Then the sound has half of the highest rate.
    let sample_rate_hz = RATES_HZ.get(rate_code as usize).copied().unwrap_or(REDUCED_RATES_HZ[0]);
    let audio = AudioFormat {
        sample_rate_hz,
        channels: CHANNELS[channel_mode as usize & 7] + u8::from(lfe) + added,
        profile: String::new(),
        // A frame has six blocks, as everybody sends them. With fewer, times are taken as they come.
        frame_samples: Some(AC3_SAMPLES),
        codec_string: "ec-3".to_owned(),
    };
    Ok(TrackInfo::sound(id, Codec::Eac3, config, audio))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers of ffmpeg's encoders: 48 kHz stereo at 192 kbps, and 5.1 at 448 kbps.
    const AC3_STEREO: [u8; 8] = [0x0B, 0x77, 0x9B, 0x5C, 0x14, 0x40, 0x43, 0xE1];
    const AC3_SURROUND: [u8; 8] = [0x0B, 0x77, 0x12, 0x34, 0x1E, 0x40, 0xE1, 0xDE];

    /// An E-AC-3 frame of 192 kbps at 48 kHz with those fields.
    fn eac3(kind: u32, substream: u32, channel_mode: u32, lfe: u32, behind: u32) -> Vec<u8> {
        let bits =
            kind << 30 | substream << 27 | 383 << 16 | 3 << 12 | channel_mode << 9 | lfe << 8 | 16 << 3 | behind >> 29;
        let mut frame = vec![0x0B, 0x77];
        frame.extend_from_slice(&bits.to_be_bytes());
        frame.extend_from_slice(&(behind << 3).to_be_bytes());
        frame.resize(768, 0);
        frame
    }

    #[test]
    fn headers_are_read() {
        for (data, expected) in [
            (&AC3_STEREO[..], (Codec::Ac3, 768, 48_000, 1536, 2)),
            (&AC3_SURROUND, (Codec::Ac3, 1792, 48_000, 1536, 6)),
            (&[0x0B, 0x77, 0, 0, 0x40, 0x40, 0x40], (Codec::Ac3, 138, 44_100, 1536, 2)),
            (&[0x0B, 0x77, 0, 0, 0x41, 0x40, 0x40], (Codec::Ac3, 140, 44_100, 1536, 2)),
            (&[0x0B, 0x77, 0, 0, 0x80, 0x40, 0x20], (Codec::Ac3, 192, 32_000, 1536, 1)),
            (&eac3(0, 0, 2, 0, 0), (Codec::Eac3, 768, 48_000, 1536, 2)),
            (&eac3(0, 0, 7, 1, 0), (Codec::Eac3, 768, 48_000, 1536, 6)),
        ] {
            let header = Ac3Header::parse(data).unwrap();
            let flat = (header.codec, header.frame_bytes, header.sample_rate_hz, header.samples, header.channels);
            assert_eq!((flat, header.begins()), (expected, true), "{data:02x?}");
        }
        for data in [
            &AC3_STEREO[..6],
            &[0x0B, 0x76, 0, 0, 0x14, 0x40, 0x43],
            &[0x0B, 0x77, 0, 0, 0xD4, 0x40, 0x43],
            &[0x0B, 0x77, 0, 0, 0x26, 0x40, 0x43],
            &[0x0B, 0x77, 0, 0, 0x14, 0x48, 0x43],
            &[0x0B, 0x77, 0xC0, 0xFF, 0x30, 0x80, 0, 0, 0, 0, 0, 0],
            &[0x0B, 0x77, 0, 3, 0x34, 0x80, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(Ac3Header::parse(data).is_err(), "{data:02x?}");
        }
    }

    #[test]
    fn records_are_written_and_read() {
        let stereo = record(&AC3_STEREO).unwrap();
        assert_eq!(&stereo[..], [0x10, 0x11, 0x40], "as ffmpeg writes it");
        let info = ac3_track_info(TrackId(1), stereo).unwrap().audio.unwrap();
        assert_eq!((info.sample_rate_hz, info.channels, &*info.codec_string), (48_000, 2, "ac-3"));
        let surround = ac3_track_info(TrackId(1), record(&AC3_SURROUND).unwrap()).unwrap();
        assert_eq!(surround.audio.unwrap().channels, 6);

        let main = eac3(0, 0, 7, 1, 0);
        let config = record(&main).unwrap();
        assert_eq!(&config[..], [0x06, 0x00, 0x20, 0x0F, 0x00], "as ffmpeg writes it");
        assert_eq!(eac3_track_info(TrackId(1), config.clone()).unwrap().audio.unwrap().channels, 6);
        // These bits say a dialogue level, no compression, and a map with the pair at the back.
        let more = eac3(1, 0, 2, 0, 1 << 25 | 1 << 18);
        let whole = [&main[..], &more].concat();
        let config = record(&whole).unwrap();
        assert_eq!(config.len(), 6);
        let info = eac3_track_info(TrackId(1), config.clone()).unwrap().audio.unwrap();
        assert_eq!((info.channels, &*info.codec_string), (8, "ec-3"));
        let mut busier = config.to_vec();
        busier[0] ^= 0x04;
        assert!(same_but_for_rate(&config, &busier) && !same_but_for_rate(&config, &config[..5]));
        for length in 0..3 {
            assert!(ac3_track_info(TrackId(1), Bytes::from_static(&[0x10, 0x11, 0x40]).slice(..length)).is_err());
            assert!(eac3_track_info(TrackId(1), config.slice(..length)).is_err());
        }
    }
}

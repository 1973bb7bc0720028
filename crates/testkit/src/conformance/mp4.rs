//! A small reader of fragmented MP4: it finds what an initialisation segment states, and where a segment's samples are.

use std::ops::Range;

/// What the initialisation segment of one track states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Init {
    pub timescale: u32,
    /// The codec in the form of RFC 6381, made from the configuration record.
    pub codec: String,
    pub width: u32,
    pub height: u32,
    pub channels: u32,
    /// The sample rate in a sample entry for sound; 0 where the rate does not fit.
    pub sample_rate_hz: u32,
    pub length_size: usize,
    /// The body of the configuration box (`avcC`, `hvcC`, `av1C`, `esds`, `dOps`).
    pub config: Vec<u8>,
}

/// One `moof` with its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    pub sequence: u32,
    /// The time in `tfdt`.
    pub decode_ticks: u64,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub duration_ticks: u64,
    pub composition_ticks: i64,
    pub is_sync: bool,
    /// The place of its bytes in the file.
    pub bytes: Range<usize>,
}

impl Fragment {
    pub fn duration_ticks(&self) -> u64 {
        self.samples.iter().map(|sample| sample.duration_ticks).sum()
    }

    /// When the first picture is shown.
    pub fn presentation_ticks(&self) -> i64 {
        let mut decode = self.decode_ticks.cast_signed();
        let times = self.samples.iter().map(|sample| {
            let at = decode + sample.composition_ticks;
            decode += sample.duration_ticks.cast_signed();
            at
        });
        times.min().unwrap_or_default()
    }
}

impl Init {
    pub fn is_video(&self) -> bool {
        self.width > 0
    }

    /// Parses an initialisation segment. None where it can't be read, or does not have exactly one track.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let tracks: Vec<&[u8]> = children(find(data, "moov")?)?
            .into_iter()
            .filter(|(kind, _)| kind == b"trak")
            .map(|found| found.1)
            .collect();
        let [track] = tracks[..] else { return None };
        find(data, "moov/mvex/trex")?;
        let media_header = find(track, "mdia/mdhd")?;
        let timescale = be32(media_header, if media_header.first()? == &1 { 20 } else { 12 })?;
        let entries = find(track, "mdia/minf/stbl/stsd")?;
        let (kind, entry) = children(entries.get(8..)?)?.into_iter().next()?;
        let mut init = Self { timescale, ..Self::default() };
        let boxes_at = match &kind {
            b"avc1" | b"hvc1" | b"av01" => {
                init.width = be16(entry, 24)?;
                init.height = be16(entry, 26)?;
                78
            }
            b"mp4a" | b"Opus" => {
                init.channels = be16(entry, 16)?;
                init.sample_rate_hz = be32(entry, 24)? >> 16;
                28
            }
            _ => return None,
        };
        let (config_kind, config) = children(entry.get(boxes_at..)?)?.into_iter().next()?;
        init.codec = match (&kind, &config_kind) {
            (b"avc1", b"avcC") => {
                init.length_size = usize::from(config.get(4)? & 3) + 1;
                format!("avc1.{:02x}{:02x}{:02x}", config.get(1)?, config.get(2)?, config.get(3)?)
            }
            (b"hvc1", b"hvcC") => {
                init.length_size = usize::from(config.get(21)? & 3) + 1;
                hevc_codec(config)?
            }
            (b"av01", b"av1C") => {
                let (level, bits) = (config.get(1)? & 0x1F, config.get(2)?);
                let depth = 8 + 2 * (bits >> 6 & 1) + 2 * (bits >> 5 & 1 & bits >> 6);
                let tier = if bits & 0x80 == 0 { 'M' } else { 'H' };
                format!("av01.{}.{level:02}{tier}.{depth:02}", config.get(1)? >> 5)
            }
            (b"mp4a", b"esds") => sound_codec(config.get(4..)?)?,
            (b"Opus", b"dOps") => "opus".to_owned(),
            _ => return None,
        };
        init.config = config.to_vec();
        Some(init)
    }
}

/// The codec's name by ISO/IEC 14496-15, E.3.
fn hevc_codec(config: &[u8]) -> Option<String> {
    let space = ["", "A", "B", "C"][usize::from(config.get(1)? >> 6)];
    let tier = if config[1] & 0x20 == 0 { 'L' } else { 'H' };
    let flags = be32(config, 2)?.reverse_bits();
    let mut text = format!("hvc1.{space}{}.{flags:X}.{tier}{}", config[1] & 0x1F, config.get(12)?);
    let constraints = config.get(6..12)?;
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    constraints[..used].iter().for_each(|byte| text += &format!(".{byte:X}"));
    Some(text)
}

/// The codec's name from an ES_Descriptor: the object type, and for MPEG-4 audio its audio object type.
fn sound_codec(data: &[u8]) -> Option<String> {
    let (tag, stream) = descriptor(data)?;
    let (decoder_tag, decoder) = descriptor(stream.get(3..)?)?;
    if (tag, decoder_tag) != (3, 4) {
        return None;
    }
    let object = *decoder.first()?;
    if object != 0x40 {
        return Some(format!("mp4a.{object:x}"));
    }
    let (5, config) = descriptor(decoder.get(13..)?)? else { return None };
    let object = match config.first()? >> 3 {
        31 => 32 + ((config[0] & 7) << 3 | config.get(1)? >> 5),
        object => object,
    };
    Some(format!("mp4a.40.{object}"))
}

fn descriptor(data: &[u8]) -> Option<(u8, &[u8])> {
    let mut length = 0_usize;
    for (index, byte) in data.get(1..)?.iter().take(4).enumerate() {
        length = length << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            return Some((data[0], data.get(index + 2..index + 2 + length)?));
        }
    }
    None
}

/// The fragments of a segment or part; None where boxes or samples do not add up.
pub fn fragments(data: &[u8]) -> Option<Vec<Fragment>> {
    let (mut found, mut at) = (Vec::new(), 0);
    for (kind, body) in children(data)? {
        if &kind == b"moof" {
            found.push(fragment(body, at)?);
        }
        at += body.len() + 8;
    }
    let in_file = |sample: &Sample| sample.bytes.end <= data.len();
    found.iter().flat_map(|fragment| &fragment.samples).all(in_file).then_some(found)
}

fn fragment(body: &[u8], moof_at: usize) -> Option<Fragment> {
    let (header, times) = (find(body, "traf/tfhd")?, find(body, "traf/tfdt")?);
    let flags = be32(header, 0)? & 0xFF_FFFF;
    // First come base data offset and sample description, then the defaults, each where its flag is set.
    let mut at = 8 + if flags & 1 == 0 { 0 } else { 8 } + if flags & 2 == 0 { 0 } else { 4 };
    let mut default = |flag| -> Option<u32> {
        if flags & flag == 0 {
            return Some(0);
        }
        at += 4;
        be32(header, at - 4)
    };
    let defaults = [default(8)?, default(0x10)?, default(0x20)?];
    let decode_ticks = if times.first()? == &1 {
        u64::from(be32(times, 4)?) << 32 | u64::from(be32(times, 8)?)
    } else {
        u64::from(be32(times, 4)?)
    };
    let samples = samples(find(body, "traf/trun")?, defaults, moof_at)?;
    Some(Fragment { sequence: be32(find(body, "mfhd")?, 4)?, decode_ticks, samples })
}

fn samples(run: &[u8], [duration, size, default_flags]: [u32; 3], moof_at: usize) -> Option<Vec<Sample>> {
    let flags = be32(run, 0)? & 0xFF_FFFF;
    let mut at = 8;
    let mut take = |flag: u32, default: u32| -> Option<u32> {
        if flags & flag == 0 {
            return Some(default);
        }
        at += 4;
        be32(run, at - 4)
    };
    let mut data_at = moof_at + take(1, 0)? as usize;
    let first_flags = take(4, default_flags)?;
    let mut samples = Vec::new();
    for index in 0..be32(run, 4)? {
        let duration = take(0x100, duration)?;
        let size = take(0x200, size)? as usize;
        let sample_flags = take(0x400, if index == 0 { first_flags } else { default_flags })?;
        let composition = take(0x800, 0)?;
        samples.push(Sample {
            duration_ticks: duration.into(),
            composition_ticks: composition.cast_signed().into(),
            is_sync: sample_flags & 0x1_0000 == 0,
            bytes: data_at..data_at + size,
        });
        data_at += size;
    }
    Some(samples)
}

/// The kind and body of each box; None where sizes do not add up.
fn children(mut data: &[u8]) -> Option<Vec<([u8; 4], &[u8])>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let size = be32(data, 0)? as usize;
        found.push((*data.get(4..8)?.first_chunk()?, data.get(8..size)?));
        data = &data[size..];
    }
    Some(found)
}

fn find<'a>(data: &'a [u8], path: &str) -> Option<&'a [u8]> {
    path.split('/').try_fold(data, |data, wanted| {
        children(data)?.into_iter().find(|(kind, _)| kind == wanted.as_bytes()).map(|found| found.1)
    })
}

fn be32(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

fn be16(data: &[u8], at: usize) -> Option<u32> {
    Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?).into())
}

//! Reads our own chunks back, for those who want the frames of a segment in another container.

use bytes::Bytes;

use super::Fmp4Error;
use super::chunk::Sample;

/// The flags of `trun`, as in ISO 14496-12, 8.8.8.
const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION: u32 = 0x800;
/// The flag of a sample that is no sync sample.
const NOT_SYNC: u32 = 0x1_0000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedSample {
    /// The decode time, in ticks of the track's timescale.
    pub decode_ticks: u64,
    pub sample: Sample,
}

/// The samples of the chunks that make a segment or a part, in order. Payloads are slices of it.
pub fn samples(segment: &Bytes) -> Result<Vec<TimedSample>, Fmp4Error> {
    read(segment).ok_or(Fmp4Error::NotOurs)
}

fn read(segment: &Bytes) -> Option<Vec<TimedSample>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < segment.len() {
        let (kind, body) = first_box(segment.get(at..)?)?;
        let end = at + 8 + body.len();
        match &kind {
            b"moof" => read_fragment(segment, at, body, &mut found)?,
            b"mdat" => {}
            _ => return None,
        }
        at = end;
        // A fragment without its data was cut short.
        if &kind == b"moof" && at >= segment.len() {
            return None;
        }
    }
    Some(found)
}

fn read_fragment(segment: &Bytes, moof_at: usize, moof: &[u8], found: &mut Vec<TimedSample>) -> Option<()> {
    let traf = inside(moof, b"traf")?;
    let default_flags = u32_at(inside(traf, b"tfhd")?, 8)?;
    let tfdt = inside(traf, b"tfdt")?;
    let mut decode_ticks = u64::from(u32_at(tfdt, 4)?) << 32 | u64::from(u32_at(tfdt, 8)?);
    let trun = inside(traf, b"trun")?;
    let columns = u32_at(trun, 0)? & 0xFF_FFFF;
    if columns & (DATA_OFFSET | DURATION | SIZE) != DATA_OFFSET | DURATION | SIZE || columns & FIRST_FLAGS != 0 {
        return None;
    }
    let count = u32_at(trun, 4)?;
    let mut data_at = moof_at.checked_add(u32_at(trun, 8)? as usize)?;
    let mut row_at = 12;
    let mut next = || {
        let value = u32_at(trun, row_at);
        row_at += 4;
        value
    };
    for _ in 0..count {
        let (duration_ticks, bytes) = (next()?, next()? as usize);
        let flags = if columns & FLAGS != 0 { next()? } else { default_flags };
        let composition_offset_ticks = if columns & COMPOSITION != 0 { next()?.cast_signed() } else { 0 };
        let end = data_at.checked_add(bytes).filter(|end| *end <= segment.len())?;
        let payload = segment.slice(data_at..end);
        let keyframe = flags & NOT_SYNC == 0;
        found.push(TimedSample {
            decode_ticks,
            sample: Sample { duration_ticks, composition_offset_ticks, keyframe, payload },
        });
        decode_ticks = decode_ticks.checked_add(u64::from(duration_ticks))?;
        data_at = end;
    }
    Some(())
}

/// The kind and the body of the box at the beginning.
fn first_box(data: &[u8]) -> Option<([u8; 4], &[u8])> {
    let size = u32_at(data, 0)? as usize;
    let kind = *data.get(4..)?.first_chunk::<4>()?;
    Some((kind, data.get(8..size)?))
}

fn inside<'a>(mut data: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    loop {
        let (kind, body) = first_box(data)?;
        if &kind == wanted {
            return Some(body);
        }
        data = data.get(8 + body.len()..)?;
    }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*data.get(at..)?.first_chunk::<4>()?))
}

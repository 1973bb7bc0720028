//! AV1's units (OBUs) as encoders give them: the part of a temporal unit that is stored, and the `av1C` record of its sequence header.

use bytes::{BufMut, Bytes, BytesMut};

use super::CodecError;
use super::av1::{OBU_SEQUENCE_HEADER, record_bytes, sequence_header};

const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const PADDING: u8 = 15;

const OBU: &str = "an AV1 unit";

/// A temporal unit in the form in which files and the hub hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporalUnit {
    /// The record of the sequence header, if the unit has one. It has one at keyframes.
    pub config: Option<Bytes>,
    /// The units without delimiters and padding, each with its size. The sequence header stays, because a decoder that begins there may
    /// need it.
    pub payload: Bytes,
    /// Its first frame is a keyframe, so a decoder can begin here, if the sequence header is there.
    pub is_key: bool,
}

/// Appends a single unit, which may have its size or not, with its size.
pub fn put_unit(unit: &[u8], out: &mut BytesMut) -> Result<(), CodecError> {
    let (unit, after) = Unit::split(unit)?;
    if !after.is_empty() {
        return Err(CodecError::invalid(OBU, "more lies behind it"));
    }
    unit.put(out);
    Ok(())
}

impl TemporalUnit {
    /// Reads a stream of units with sizes ("low overhead"). The last one may have none.
    pub fn read(data: &[u8]) -> Result<Self, CodecError> {
        let (mut config, mut is_key, mut payload) = (None, None, BytesMut::with_capacity(data.len()));
        let mut rest = data;
        while !rest.is_empty() {
            let (unit, after) = Unit::split(rest)?;
            rest = after;
            match unit.kind {
                TEMPORAL_DELIMITER | PADDING => continue,
                OBU_SEQUENCE_HEADER => {
                    let mut obu = BytesMut::new();
                    unit.put(&mut obu);
                    config = Some(record_bytes(&sequence_header(unit.payload)?, &obu));
                }
                // A bit says that an earlier picture is shown again, and two more what kind of frame this is: 0 is a keyframe.
                FRAME | FRAME_HEADER if is_key.is_none() => {
                    is_key = Some(unit.payload.first().is_some_and(|first| first >> 5 == 0));
                }
                _ => {}
            }
            unit.put(&mut payload);
        }
        Ok(Self { config, payload: payload.freeze(), is_key: is_key.unwrap_or(false) })
    }
}

pub(super) struct Unit<'a> {
    pub(super) kind: u8,
    /// The bytes of the header, with the extension.
    head: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl<'a> Unit<'a> {
    /// Splits off the first unit from those behind it.
    pub(super) fn split(data: &'a [u8]) -> Result<(Self, &'a [u8]), CodecError> {
        let truncated = || CodecError::Truncated { what: OBU };
        let first = *data.first().ok_or_else(truncated)?;
        let (extension, sized) = (first & 4 != 0, first & 2 != 0);
        let (head, rest) = data.split_at_checked(1 + usize::from(extension)).ok_or_else(truncated)?;
        let (length, rest) = if sized { leb128(rest)? } else { (rest.len(), rest) };
        let (payload, after) = rest.split_at_checked(length).ok_or_else(truncated)?;
        Ok((Self { kind: first >> 3 & 0x0F, head, payload }, after))
    }

    /// Appends the unit with its size.
    fn put(&self, out: &mut BytesMut) {
        out.put_u8(self.head.first().copied().unwrap_or_default() | 2);
        out.put_slice(self.head.get(1..).unwrap_or_default());
        let mut length = self.payload.len();
        while length > 0x7F {
            out.put_u8(length as u8 | 0x80);
            length >>= 7;
        }
        out.put_u8(length as u8);
        out.put_slice(self.payload);
    }
}

fn leb128(data: &[u8]) -> Result<(usize, &[u8]), CodecError> {
    let mut value = 0_u64;
    for (index, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let value = usize::try_from(value).map_err(|_| CodecError::invalid(OBU, "its size"))?;
            return Ok((value, &data[index + 1..]));
        }
    }
    Err(CodecError::invalid(OBU, "its size"))
}

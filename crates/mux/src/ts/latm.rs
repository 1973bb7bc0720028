//! LATM (ISO 14496-3, 1.7.3): AAC frames that are not aligned to bytes, with their configuration among them.

use bytes::Bytes;

use crate::bits::Bits;

/// How frames are laid out, as the stream said it last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layout {
    config: Bytes,
    frames: u32,
}

#[derive(Debug, Default)]
pub(super) struct Latm {
    layout: Option<Layout>,
}

impl Latm {
    /// Unpacks one AudioMuxElement: the AudioSpecificConfig in force, and its frames. `None` if it is broken, came before its
    /// configuration, or has a layout that nobody uses (several programmes, layers, scalable or fixed frame lengths).
    pub(super) fn unpack(&mut self, data: &[u8]) -> Option<(Bytes, Vec<Bytes>)> {
        let mut bits = Bits::new(data);
        if !bits.bit()? {
            self.layout = Some(read_layout(&mut bits, data)?);
        }
        let layout = self.layout.as_ref()?;
        let mut frames = Vec::new();
        for _ in 0..layout.frames {
            let mut bytes = 0;
            loop {
                let more = bits.bits(8)? as usize;
                bytes += more;
                if more < 255 {
                    break;
                }
            }
            frames.push(Bytes::from(bits.bytes(bytes)?));
        }
        frames.retain(|frame| !frame.is_empty());
        Some((layout.config.clone(), frames))
    }
}

/// Reads a StreamMuxConfig.
fn read_layout(bits: &mut Bits<'_>, data: &[u8]) -> Option<Layout> {
    let version = bits.bit()?;
    if version {
        // This is a version of the version, of which only 0 is defined.
        if bits.bit()? {
            return None;
        }
        value(bits)?;
    }
    let same_time_framing = bits.bit()?;
    let frames = bits.bits(6)? + 1;
    let (programs, layers) = (bits.bits(4)?, bits.bits(3)?);
    if !same_time_framing || programs != 0 || layers != 0 {
        return None;
    }
    let config = if version {
        let length = value(bits)? as usize;
        let start = bits.position();
        let config = read_config(bits, data)?;
        // The rest of its length are extensions behind the end.
        bits.skip((start + length).checked_sub(bits.position())?)?;
        config
    } else {
        read_config(bits, data)?
    };
    // Frames must have variable length. The fullness of a buffer that we don't have follows.
    if bits.bits(3)? != 0 {
        return None;
    }
    bits.skip(8)?;
    if bits.bit()? {
        if version {
            value(bits)?;
        } else {
            while bits.bit()? {
                bits.skip(8)?;
            }
            bits.skip(8)?;
        }
    }
    if bits.bit()? {
        bits.skip(8)?;
    }
    Some(Layout { config, frames })
}

/// Reads a LatmGetValue, which has one to four bytes.
fn value(bits: &mut Bits<'_>) -> Option<u32> {
    let bytes = bits.bits(2)? + 1;
    bits.bits(bytes * 8)
}

/// Reads an AudioSpecificConfig of AAC-LC and its like, perhaps with SBR and PS. It must be understood to know where it ends.
fn read_config(bits: &mut Bits<'_>, data: &[u8]) -> Option<Bytes> {
    const SBR: u32 = 5;
    const PARAMETRIC_STEREO: u32 = 29;
    let start = bits.position();
    let mut object = bits.bits(5)?;
    skip_rate(bits)?;
    let channels = bits.bits(4)?;
    if matches!(object, SBR | PARAMETRIC_STEREO) {
        skip_rate(bits)?;
        object = bits.bits(5)?;
    }
    if !(1..=4).contains(&object) || channels == 0 {
        return None;
    }
    bits.skip(1)?;
    if bits.bit()? {
        bits.skip(14)?;
    }
    if bits.bit()? {
        return None;
    }
    copy_bits(data, start, bits.position())
}

fn skip_rate(bits: &mut Bits<'_>) -> Option<()> {
    if bits.bits(4)? == 15 { bits.skip(24) } else { Some(()) }
}

/// Copies some bits into bytes, filled up with zeros.
fn copy_bits(data: &[u8], start: usize, end: usize) -> Option<Bytes> {
    let mut bits = Bits::new(data);
    bits.skip(start)?;
    let mut out = Vec::new();
    let mut left = end.checked_sub(start)?;
    while left > 0 {
        let count = left.min(8);
        out.push((bits.bits(count as u32)? << (8 - count)) as u8);
        left -= count;
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element of bits written as "0" and "1", in fields.
    fn element(fields: &[&str], tail: &[u8]) -> Vec<u8> {
        let tail: String = tail.iter().map(|byte| format!("{byte:08b}")).collect();
        let digits: Vec<u8> = fields.concat().bytes().chain(tail.bytes()).map(|digit| digit - b'0').collect();
        digits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |all, (at, bit)| all | bit << (7 - at))).collect()
    }

    /// The configuration of AAC-LC, 48 kHz, stereo.
    const CONFIG: &str = "0001000110010000";
    const LAYOUT: [&str; 8] = ["0", "0", "1", "000000", "0000", "000", CONFIG, "000111111110"];

    #[test]
    fn frames_come_with_their_configuration() {
        let mut latm = Latm::default();
        let repeated = element(&["1"], &[1, 5]);
        assert_eq!(latm.unpack(&repeated), None, "before its configuration");
        let first = element(&[&LAYOUT[..], &["0"]].concat(), &[3, 7, 8, 9]);
        let config = Bytes::from_static(&[0x11, 0x90]);
        assert_eq!(latm.unpack(&first), Some((config.clone(), vec![Bytes::from_static(&[7, 8, 9])])));
        assert_eq!(latm.unpack(&repeated), Some((config.clone(), vec![Bytes::from_static(&[5])])));
        let long = [&[255, 1][..], &[6; 256]].concat();
        assert_eq!(latm.unpack(&element(&["1"], &long)).unwrap().1[0].len(), 256);
    }

    #[test]
    fn odd_layouts() {
        let with = |at: usize, field: &'static str| {
            let mut fields = LAYOUT.to_vec();
            fields[at] = field;
            fields.push("0");
            Latm::default().unpack(&element(&fields, &[1, 5, 1, 6, 0]))
        };
        assert_eq!(with(3, "000001").unwrap().1.len(), 2, "two frames in one");
        assert_eq!(with(7, "000111111111000000101").unwrap().1.len(), 1, "other data");
        for (at, field) in [(1, "11"), (2, "0"), (4, "0001"), (5, "001"), (6, "1111111111111111"), (7, "001111111110")]
        {
            assert_eq!(with(at, field), None, "{at}: {field}");
        }
        for cut in 0..8 {
            let whole = element(&[&LAYOUT[..], &["0"]].concat(), &[3, 7, 8, 9]);
            assert_eq!(Latm::default().unpack(&whole[..cut]), None);
        }
    }
}

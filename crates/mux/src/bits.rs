//! A reader of single bits, for LATM and for the numbers of parameter sets.

#[derive(Clone, Debug)]
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        let bit = self.data.get(self.at / 8)? >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// The next `count` bits as a number, at most 32.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count.min(32)).try_fold(0, |value: u32, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|&at| at <= self.data.len() * 8)?;
        Some(())
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next `count` bytes, which may lie across the bytes of the data.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let (first, shift) = (self.at / 8, self.at % 8);
        self.skip(count.checked_mul(8)?)?;
        let data = self.data.get(first..)?;
        if shift == 0 {
            return data.get(..count).map(<[u8]>::to_vec);
        }
        Some((0..count).map(|at| data[at] << shift | data.get(at + 1).map_or(0, |next| next >> (8 - shift))).collect())
    }

    /// Reads `ue(v)` of Exp-Golomb, with at most 31 zeros.
    pub(crate) fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.bits(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_bytes_and_ends() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_1000, 0xFF]);
        assert_eq!((bits.unsigned(), bits.unsigned(), bits.unsigned()), (Some(0), Some(1), Some(2)));
        let mut bits = Bits::new(&[0x12, 0x34, 0x56]);
        assert_eq!((bits.bits(4), bits.bytes(2), bits.position()), (Some(1), Some(vec![0x23, 0x45]), 20));
        assert_eq!((bits.bytes(1), bits.bits(4), bits.bit()), (None, Some(6), None));
        assert_eq!(Bits::new(&[0; 9]).unsigned(), None);
        assert_eq!(Bits::new(&[1]).bytes(usize::MAX), None);
    }
}

//! A reader of single bits and Exp-Golomb numbers. At the end of the bytes it returns an error rather than a part of a number.

use super::CodecError;

pub(super) struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
    what: &'static str,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8], what: &'static str) -> Self {
        Self { data, position: 0, what }
    }

    pub(super) fn bit(&mut self) -> Result<bool, CodecError> {
        let byte = self.data.get(self.position / 8).ok_or(CodecError::Truncated { what: self.what })?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Ok(bit == 1)
    }

    /// The next `count` bits as a number, at most 32.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, CodecError> {
        (0..count.min(32)).try_fold(0, |value: u32, _| Ok(value << 1 | u32::from(self.bit()?)))
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), CodecError> {
        let position = self.position.saturating_add(count);
        if position > self.data.len() * 8 {
            return Err(CodecError::Truncated { what: self.what });
        }
        self.position = position;
        Ok(())
    }

    /// Reads `ue(v)`, with at most 32 leading zeros.
    pub(super) fn unsigned(&mut self) -> Result<u32, CodecError> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return Err(CodecError::invalid(self.what, "an Exp-Golomb number of more than 32 bits"));
            }
        }
        Ok((1_u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// Reads `se(v)`.
    pub(super) fn signed(&mut self) -> Result<i64, CodecError> {
        let code = i64::from(self.unsigned()?);
        Ok(if code % 2 == 0 { -(code / 2) } else { code / 2 + 1 })
    }

    pub(super) fn left(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exp_golomb() {
        // The bits are 1 | 010 | 011 | 00100 | 1...
        let mut bits = BitReader::new(&[0b1010_0110, 0b0100_1000], "test");
        let read: Vec<u32> = (0..4).map(|_| bits.unsigned().unwrap()).collect();
        assert_eq!(read, [0, 1, 2, 3]);
        let mut bits = BitReader::new(&[0b1010_0110, 0b0100_1000], "test");
        let read: Vec<i64> = (0..4).map(|_| bits.signed().unwrap()).collect();
        assert_eq!(read, [0, 1, -1, 2]);
    }

    #[test]
    fn ends_with_an_error() {
        assert!(BitReader::new(&[0; 8], "test").unsigned().is_err());
        assert_eq!(BitReader::new(&[0], "test").bits(9), Err(CodecError::Truncated { what: "test" }));
        assert!(BitReader::new(&[0], "test").skip(9).is_err());
        assert_eq!(BitReader::new(&[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF], "test").unsigned().unwrap(), u32::MAX - 1);
    }
}

//! Writes single bits and Exp-Golomb numbers.

#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// The used bits of the last byte; 0 when it is full.
    used: u32,
}

impl BitWriter {
    pub(super) fn bits(&mut self, count: u32, value: u32) {
        for shift in (0..count).rev() {
            if self.used == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> shift & 1) as u8) << (7 - self.used);
            self.used = (self.used + 1) % 8;
        }
    }

    /// Writes an unsigned Exp-Golomb number, `ue(v)`.
    pub(super) fn unsigned(&mut self, value: u32) {
        let bits = u32::BITS - (value + 1).leading_zeros();
        self.bits(bits - 1, 0);
        self.bits(bits, value + 1);
    }

    /// Fills up the last byte with zeros.
    pub(super) fn align(&mut self) {
        self.used = 0;
    }

    /// Writes whole bytes, which must be aligned.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        assert_eq!(self.used, 0, "not aligned");
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes a one and then zeros up to the next byte, as every H.264 RBSP ends.
    pub(super) fn finish_rbsp(mut self) -> Vec<u8> {
        self.bits(1, 1);
        self.bytes
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

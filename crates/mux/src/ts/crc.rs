//! The CRC of sections: CRC-32/MPEG-2, which is not reflected and not inverted at the end.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000_0000 != 0 { value << 1 ^ 0x04C1_1DB7 } else { value << 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

/// The CRC of the data. Over a section that includes its own CRC it is 0.
pub fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, &byte| crc << 8 ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_catalogued_one() {
        assert_eq!(crc32(b"123456789"), 0x0376_E6E7);
        let mut section = b"section".to_vec();
        section.extend_from_slice(&crc32(b"section").to_be_bytes());
        assert_eq!(crc32(&section), 0);
    }
}

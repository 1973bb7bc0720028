//! The PNG of a logo: a picture that is read has the pixels that its size promises.

use weir_model::LOGO_SIDE_MAX;
use weir_pipeline::LogoPixels;

use crate::random::Random;

pub fn fuzz_logo_png(data: &[u8]) {
    let Ok(LogoPixels { width, height, rgba }) = LogoPixels::decode(data) else { return };
    assert!(width <= LOGO_SIDE_MAX && height <= LOGO_SIDE_MAX, "{width}x{height}");
    assert!(rgba.len() as u64 == u64::from(width) * u64::from(height) * 4, "{} bytes of {width}x{height}", rgba.len());
}

/// Makes a file whose checksums are right and whose fields may be wrong. With wrong checksums nothing behind the first one would be
/// reached.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let (width, height) = (random.below(20) as u32, random.below(20) as u32);
    let depth = random.pick(&[1, 2, 4, 8, 8, 8, 16, 3]);
    let colour = random.pick(&[0, 2, 3, 4, 6, 6, 1]);
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([depth, colour, 0, random.pick(&[0, 0, 0, 1]), random.pick(&[0, 0, 1])]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, b"IHDR", &header);
    for _ in 0..random.below(3) {
        let kind: &[u8; 4] = random.pick(&[b"PLTE", b"tRNS", b"gAMA", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt"]);
        let length = random.length(40);
        let body = random.bytes(length);
        chunk(&mut file, kind, &body);
    }
    let length = random.length(3_000);
    let pixels = random.bytes(length);
    let cut = random.length(3_000).min(length);
    let stream = stored(&pixels);
    let (first, second) = stream.split_at(cut.min(stream.len()));
    chunk(&mut file, b"IDAT", first);
    chunk(&mut file, b"IDAT", second);
    chunk(&mut file, b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], body: &[u8]) {
    file.extend((body.len() as u32).to_be_bytes());
    let checked = file.len();
    file.extend(kind);
    file.extend(body);
    let sum = crc32(&file[checked..]);
    file.extend(sum.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32| (0..8).fold(sum, |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 });
    !bytes.iter().fold(u32::MAX, |sum, byte| step(sum ^ u32::from(*byte)))
}

/// Packs the bytes in zlib's simplest form: one block, not compressed.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(bytes);
    let sums = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    stream.extend((sums.1 << 16 | sums.0).to_be_bytes());
    stream
}

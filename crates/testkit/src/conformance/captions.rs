//! Finds CEA-608/708 captions in coded pictures, byte for byte.

use super::mp4::fragments;

/// The beginning of a caption message: ITU-T T.35's code of the USA, ATSC's provider code, "GA94", cc_data (ATSC A/53 part 4, 6.2.3).
const CAPTIONS: &[u8] = b"\xB5\x00\x31GA94\x03";

/// All SEI NAL units of a segment's samples that carry captions, one after the other.
pub fn caption_bytes(segment: &[u8]) -> Vec<u8> {
    let samples = fragments(segment).unwrap_or_default().into_iter().flat_map(|fragment| fragment.samples);
    let mut found = Vec::new();
    for sample in samples {
        let mut rest = &segment[sample.bytes];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = (u32::from_be_bytes(*length) as usize).min(after.len());
            let (unit, next) = after.split_at(length);
            if unit.windows(CAPTIONS.len()).any(|window| window == CAPTIONS) {
                found.extend_from_slice(unit);
            }
            rest = next;
        }
    }
    found
}

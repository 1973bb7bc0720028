//! The FourCCs of Enhanced RTMP.

use weir_media::{Codec, MediaKind};

use super::FlvError;

const CODECS: [(&[u8; 4], Codec); 6] = [
    (b"avc1", Codec::H264),
    (b"hvc1", Codec::H265),
    (b"av01", Codec::Av1),
    (b"mp4a", Codec::Aac),
    (b"Opus", Codec::Opus),
    (b".mp3", Codec::Mp3),
];

/// Codecs that we know but do not carry.
const REFUSED: [(&[u8; 4], &str); 6] =
    [(b"vp08", "VP8"), (b"vp09", "VP9"), (b"vvc1", "VVC"), (b"ac-3", "AC-3"), (b"ec-3", "E-AC-3"), (b"fLaC", "FLAC")];

pub(super) fn codec(four_cc: [u8; 4], kind: MediaKind) -> Result<Codec, FlvError> {
    if let Some((_, codec)) = CODECS.iter().find(|(known, codec)| **known == four_cc && codec.kind() == kind) {
        return Ok(*codec);
    }
    let known = REFUSED.iter().find(|(refused, _)| **refused == four_cc);
    let name = known.map_or_else(|| printable(four_cc), |(_, name)| (*name).to_owned());
    Err(FlvError::UnsupportedCodec { name })
}

/// The FourCC of the codec. `None` if RTMP does not carry it.
pub(super) fn of(codec: Codec) -> Option<[u8; 4]> {
    CODECS.iter().find(|(_, known)| *known == codec).map(|(four_cc, _)| **four_cc)
}

/// The FourCC as it may go into logs, with a question mark for anything that is not printable.
fn printable(four_cc: [u8; 4]) -> String {
    four_cc.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' }).collect()
}

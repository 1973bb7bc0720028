//! A publisher's RTMP messages into tracks and frames: several sounds in one message, each with its configuration and its name.

use bytes::Bytes;
use weir_media::MediaKind;
use weir_rtmp::protocol::{MediaMessage, MessageKind};
use weir_rtmp::to_frames::{ToFrames, Unpacked};

use crate::flv_tag;
use crate::random::Random;

/// One picture and 16 sounds.
const TRACKS_MAX: u32 = 17;
/// A start code of three bytes becomes a length of four, and lengths of one byte do.
const GROWTH_MAX: usize = 5;

/// Each message is a byte that says its kind, one of its time, two of its length, and its payload.
pub fn fuzz_to_frames(data: &[u8]) {
    let (mut unpacker, mut out) = (ToFrames::new(), Vec::new());
    let mut rest = data;
    while let Some((&[kind, time, high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
        let (payload, behind) = behind.split_at(length);
        rest = behind;
        let message = MediaMessage {
            kind: [MessageKind::Video, MessageKind::Audio, MessageKind::Data][usize::from(kind) % 3],
            timestamp_ms: u32::from(time),
            payload: Bytes::copy_from_slice(payload),
        };
        // The text goes into logs and events.
        let unpacked = unpacker.unpack(&message, &mut out);
        assert!(unpacked.err().is_none_or(|error| error.to_string().len() < 400), "a long error");
        check(&out, length);
        out.clear();
    }
}

fn check(out: &[Unpacked], message_bytes: usize) {
    let mut bytes = 0;
    for unpacked in out {
        match unpacked {
            Unpacked::Track(info) => {
                assert!(info.id.0 < TRACKS_MAX, "a track too many");
                assert!((info.kind() == MediaKind::Video) == (info.id.0 == 0), "a picture where sounds are");
            }
            Unpacked::Frame(frame) => {
                assert!(frame.track.0 < TRACKS_MAX && !frame.payload.is_empty(), "a frame of nothing");
                bytes += frame.payload.len();
            }
        }
    }
    assert!(bytes <= message_bytes * GROWTH_MAX, "more bytes out than in");
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..1 + random.below(8) {
        let kind = random.below(3) as u8;
        let body = match kind {
            2 => names(random),
            kind => flv_tag::body(kind == 0, random),
        };
        input.extend_from_slice(&[kind, random.below(256) as u8]);
        input.extend_from_slice(&(body.len() as u16).to_be_bytes());
        input.extend(body);
    }
    input
}

/// `onMetaData` with a list of sounds, of which each is called something.
fn names(random: &mut Random) -> Vec<u8> {
    let mut out = b"\x02\0\x0DonSomething\x03\0\x11audioTrackIdInfoMap\x03".to_vec();
    if random.one_in(2) {
        out = b"\x02\0\x0AonMetaData\x08\0\0\0\x01\0\x13audioTrackIdInfoMap\x03".to_vec();
    }
    for _ in 0..random.below(4) {
        out.extend_from_slice(&[0, 1, b'0' + random.below(12) as u8, 3]);
        for (field, value) in [("language", "deu"), ("lang", "x"), ("label", "\u{1F3A4} <b>")] {
            if random.one_in(2) {
                out.extend_from_slice(&[0, field.len() as u8]);
                out.extend_from_slice(field.as_bytes());
                out.extend_from_slice(&[2, 0, value.len() as u8]);
                out.extend_from_slice(value.as_bytes());
            }
        }
        out.extend_from_slice(&[0, 0, 9]);
    }
    out.extend_from_slice(&[0, 0, 9, 0, 0, 9]);
    out
}

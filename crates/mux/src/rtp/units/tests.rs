//! Packets as encoders send them, in every way of packing, whole and with losses.

use super::*;
use crate::rtp::RtpPayload;

/// What x264 says of 640x360 in Constrained Baseline.
const SPS: &[u8] = &[
    0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03,
    0x00, 0x32, 0x0F, 0x16, 0x2E, 0x48,
];
const PPS: &[u8] = &[0x68, 0xCB, 0x83, 0xCB, 0x20];
/// The first bit of a slice's body says that it begins a picture.
const IDR: &[u8] = &[0x65, 0x88, 1, 2, 3];
const IDR_REST: &[u8] = &[0x65, 0x08, 4, 5];
const SLICE: &[u8] = &[0x41, 0x9A, 6, 7];

fn stap(units: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0x78];
    for unit in units {
        out.extend_from_slice(&u16::try_from(unit.len()).unwrap().to_be_bytes());
        out.extend_from_slice(unit);
    }
    out
}

fn pieces(unit: &[u8], bytes: usize) -> Vec<Vec<u8>> {
    let chunks: Vec<&[u8]> = unit[1..].chunks(bytes).collect();
    let last = chunks.len() - 1;
    let head = |at| {
        let marks = if at == 0 { START } else { 0 } | if at == last { END } else { 0 };
        vec![(unit[0] & 0xE0) | FU_A, marks | (unit[0] & 0x1F)]
    };
    chunks.iter().enumerate().map(|(at, chunk)| [head(at), chunk.to_vec()].concat()).collect()
}

fn with_lengths(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&u32::try_from(unit.len()).unwrap().to_be_bytes()[..], unit].concat()).collect()
}

/// What came, in short: "track", "keyframe", "picture", "left out".
fn told(event: &PictureEvent) -> &'static str {
    match event {
        PictureEvent::Track(_) => "track",
        PictureEvent::Picture { keyframe: true, .. } => "keyframe",
        PictureEvent::Picture { .. } => "picture",
        PictureEvent::LeftOut => "left out",
    }
}

/// A packet of that time, the last of its picture or not; None is a loss.
type Sent = Option<(i64, bool, Vec<u8>)>;

fn unpacked(packets: &[Sent]) -> (Vec<PictureEvent>, UnitsUnpacker) {
    let mut unpacker = UnitsUnpacker::new(TrackId(0), Codec::H264);
    let mut events = Vec::new();
    for packet in packets {
        match packet {
            Some((ticks, marker, bytes)) => {
                let packet = RtpPayload { ticks: *ticks, marker: *marker, bytes };
                unpacker.packet(packet, |event| events.push(event));
            }
            None => unpacker.lost(|event| events.push(event)),
        }
    }
    (events, unpacker)
}

fn key(ticks: i64) -> Vec<Sent> {
    vec![Some((ticks, false, stap(&[SPS, PPS]))), Some((ticks, true, IDR.to_vec()))]
}

#[test]
fn pictures_come_out_whole_however_they_were_packed() {
    let long = [&[0x65, 0x88][..], &[7; 3_000]].concat();
    for (packets, units) in [
        (key(0), vec![IDR]),
        (vec![Some((0, true, stap(&[SPS, PPS, IDR, IDR_REST])))], vec![IDR, IDR_REST]),
        ([SPS, PPS, IDR].map(|unit| Some((0, unit == IDR, unit.to_vec()))).to_vec(), vec![IDR]),
        // Delimiters and filler are nobody's; what else stands beside slices stays.
        (vec![Some((0, true, stap(&[&[9, 0xF0], SPS, PPS, &[6, 5, 1], IDR, &[12, 0xFF]])))], vec![&[6, 5, 1], IDR]),
        (
            std::iter::once(Some((0, false, stap(&[SPS, PPS]))))
                .chain(pieces(&long, 1_000).into_iter().enumerate().map(|(at, piece)| Some((0, at == 3, piece))))
                .collect(),
            vec![&long],
        ),
        // A parameter set in pieces.
        (
            pieces(SPS, 9)
                .into_iter()
                .map(|piece| Some((0, false, piece)))
                .chain([Some((0, false, PPS.to_vec())), Some((0, true, IDR.to_vec()))])
                .collect(),
            vec![IDR],
        ),
        // No marker: the next picture ends it.
        (vec![Some((0, false, stap(&[SPS, PPS, IDR]))), Some((3_000, false, SLICE.to_vec()))], vec![IDR]),
        // An empty packet, which only fills.
        ([key(0), vec![Some((0, true, Vec::new()))]].concat(), vec![IDR]),
    ] {
        let (events, unpacker) = unpacked(&packets);
        let [PictureEvent::Track(info), PictureEvent::Picture { keyframe: true, payload, .. }] = &events[..] else {
            panic!("{packets:?}: {events:?}")
        };
        assert_eq!(info.video.as_ref().map(|video| (video.width, video.height)), Some((640, 360)));
        assert_eq!(payload[..], with_lengths(&units)[..], "{packets:?}");
        assert!(!unpacker.awaits_keyframe());
    }
}

#[test]
fn after_a_loss_nothing_comes_before_the_next_keyframe() {
    let slice = |ticks| Some((ticks, true, SLICE.to_vec()));
    let long = pieces(&[&[0x41, 0x9A][..], &[7; 3_000]].concat(), 1_000);
    let piece = |at: usize| Some((1, at == 3, long[at].clone()));
    for (packets, expected) in [
        (vec![slice(0), slice(1)], &["left out", "left out"][..]),
        (vec![None, slice(0)], &["left out"]),
        ([vec![slice(0)], key(1), vec![slice(2)]].concat(), &["left out", "track", "keyframe", "picture"]),
        ([key(0), vec![None, slice(1)], key(2)].concat(), &["track", "keyframe", "left out", "keyframe"]),
        // The last packets of a picture are lost, or some in its middle.
        ([key(0), vec![piece(0), None, slice(2)]].concat(), &["track", "keyframe", "left out", "left out"]),
        ([key(0), vec![piece(0), None, piece(2), piece(3)]].concat(), &["track", "keyframe", "left out"]),
        // Nobody noticed the loss, but a piece is missing, or the picture's beginning.
        ([key(0), vec![piece(0), slice(2)]].concat(), &["track", "keyframe", "left out", "left out"]),
        ([key(0), vec![piece(0), Some((1, true, SLICE.to_vec()))]].concat(), &["track", "keyframe", "left out"]),
        (vec![Some((0, true, stap(&[SPS, PPS, IDR_REST])))], &["left out"]),
        // A keyframe without sets in force, and sets that no decoder knows.
        (vec![Some((0, true, IDR.to_vec()))], &["left out"]),
        (vec![Some((0, true, stap(&[&[0x67, 1, 2], PPS, IDR])))], &["left out"]),
        // Modes that were not agreed on, and packets cut short.
        (
            [key(0), vec![Some((1, true, vec![25, 0, 0])), slice(2)]].concat(),
            &["track", "keyframe", "left out", "left out"],
        ),
        ([key(0), vec![Some((1, true, vec![0x78, 0, 9, 1]))]].concat(), &["track", "keyframe", "left out"]),
        ([key(0), vec![Some((1, true, vec![0x7C]))]].concat(), &["track", "keyframe", "left out"]),
    ] {
        let (events, unpacker) = unpacked(&packets);
        assert_eq!(events.iter().map(told).collect::<Vec<_>>(), expected, "{packets:?}");
        assert_eq!(unpacker.awaits_keyframe(), expected.last() == Some(&"left out"), "{packets:?}");
    }
}

#[test]
fn a_picture_has_a_largest_size() {
    let mut unpacker = UnitsUnpacker::new(TrackId(0), Codec::H264);
    let mut events = Vec::new();
    let body = [&[0x7C, 5][..], &[0; 1_400]].concat();
    let mut held = 0;
    for at in 0..2 * PICTURE_BYTES_MAX / 1_400 {
        let first = [&[0x7C, START | 5][..], &[0x88; 1_400]].concat();
        let bytes = if at == 0 { &first } else { &body };
        unpacker.packet(RtpPayload { ticks: 0, marker: false, bytes }, |event| events.push(event));
        held = unpacker.picture().map_or(0, |picture| picture.payload.len());
    }
    assert!(held <= PICTURE_BYTES_MAX && events.is_empty());
    unpacker.packet(RtpPayload { ticks: 1, marker: true, bytes: SLICE }, |event| events.push(event));
    assert_eq!(events, [PictureEvent::LeftOut, PictureEvent::LeftOut]);
}

#[test]
fn another_size_is_another_track_and_the_same_one_is_not_told_again() {
    let (events, _) = unpacked(&[key(0), key(1)].concat());
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["track", "keyframe", "keyframe"]);
}

/// What x265 says of 640x360: VPS, SPS and PPS.
const SETS_H265: [&[u8]; 3] = [
    &[
        0x40, 0x01, 0x0C, 0x01, 0xFF, 0xFF, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
        0x03, 0x00, 0x3F, 0xBA, 0x02, 0x40,
    ],
    &[
        0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3F,
        0xA0, 0x05, 0x02, 0x01, 0x71, 0xF2, 0xE5, 0xBA, 0x4A, 0x4C, 0x2F, 0x01, 0x68, 0x08, 0x00, 0x00, 0x03, 0x00,
        0x08, 0x00, 0x00, 0x03, 0x00, 0xF0, 0x40,
    ],
    &[0x44, 0x01, 0xC0, 0x73, 0xC1, 0x89],
];

#[test]
fn h265_is_gathered_like_h264() {
    let together = [&[0x60, 0x01][..], &stap(&SETS_H265)[1..]].concat();
    let idr: &[u8] = &[0x26, 0x01, 0xAF, 1, 2, 3, 4, 5];
    let slice: &[u8] = &[0x02, 0x01, 0xD0, 6, 7];
    let piece = |marks: u8, bytes: &[u8]| [&[0x62, 0x01, marks | 19][..], bytes].concat();
    let mut unpacker = UnitsUnpacker::new(TrackId(0), Codec::H265);
    let mut events = Vec::new();
    for (ticks, marker, bytes) in [
        (0, true, slice.to_vec()),
        (3_000, false, together),
        (3_000, false, piece(START, &idr[2..5])),
        (3_000, true, piece(END, &idr[5..])),
        (6_000, true, slice.to_vec()),
        // The middle of a unit whose beginning is lost.
        (9_000, true, piece(0, &idr[2..5])),
        (12_000, true, slice.to_vec()),
    ] {
        unpacker.packet(RtpPayload { ticks, marker, bytes: &bytes }, |event| events.push(event));
    }
    let expected = ["left out", "track", "keyframe", "picture", "left out", "left out"];
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), expected);
    let PictureEvent::Track(info) = &events[1] else { panic!("{events:?}") };
    assert_eq!(info.video.as_ref().map(|video| (video.width, video.height)), Some((640, 360)));
    let whole = |units| PictureEvent::Picture { ticks: 3_000, keyframe: true, payload: with_lengths(units).into() };
    assert_eq!(events[2], whole(&[idr]));
}

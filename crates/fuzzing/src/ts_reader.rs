//! MPEG-TS: a transport in pieces of any size. What was read can be written, and is read again.

use std::collections::BTreeMap;

use bytes::BytesMut;
use weir_media::{Frame, FrameFlags, MediaTime, TrackId, TrackInfo};
use weir_mux::ts::{CLOCK_HZ, PACKET_BYTES, PROGRAMS_MAX, STREAMS_MAX, TsEvent, TsReader, TsWriter, crc32};

use crate::broadcast;
use crate::random::Random;

const SYNC_BYTE: u8 = 0x47;
/// How much payload may grow: a start code of three bytes becomes a length of four, and there is at least one byte between two of them.
const GROWTH_MAX: usize = 2;

/// The first byte says how the rest is cut, and which programme is wanted.
pub fn fuzz_ts_reader(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let program = if first & 0x80 != 0 { Some(u16::from(first & 3)) } else { None };
    let whole = events(program, data, data.len().max(1));
    assert!(whole == events(program, data, 1 + usize::from(first)), "depends on how the bytes are cut");
    let mut bytes = 0;
    for event in &whole {
        match event {
            TsEvent::Frame(frame) => {
                assert!(!frame.payload.is_empty(), "a frame of nothing");
                bytes += frame.payload.len();
            }
            TsEvent::Program(program) => {
                assert!(program.streams.len() <= STREAMS_MAX && program.available.len() <= PROGRAMS_MAX, "too many");
            }
            TsEvent::Scte35 { section, .. } => assert!(crc32(section) == 0, "a section with a wrong checksum"),
            _ => {}
        }
    }
    assert!(bytes <= data.len() * GROWTH_MAX, "more bytes out than in");
    write_again(&whole);
}

fn events(program: Option<u16>, data: &[u8], step: usize) -> Vec<TsEvent> {
    let (mut reader, mut events) = (TsReader::new(program), Vec::new());
    for piece in data.chunks(step) {
        reader.feed(piece);
        events.extend(std::iter::from_fn(|| reader.next_event()));
    }
    reader.finish();
    events.extend(std::iter::from_fn(|| reader.next_event()));
    events
}

fn write_again(events: &[TsEvent]) {
    let mut tracks: BTreeMap<TrackId, TrackInfo> = BTreeMap::new();
    let (mut writer, mut out) = (None, BytesMut::new());
    for event in events {
        match event {
            TsEvent::Track(info) => {
                tracks.insert(info.id, info.clone());
                // The transports of two writers are not one, because their tables have the same version but differ.
                read_back(&out.split());
                // AAC that ADTS can't describe is refused, and nothing else.
                writer = TsWriter::new(tracks.values()).ok();
            }
            TsEvent::Frame(frame) => {
                let Some(writer) = &mut writer else { continue };
                let dts = MediaTime::from_ticks(frame.dts_ticks, CLOCK_HZ);
                let pts = dts + MediaTime::from_ticks(frame.cts_ticks, CLOCK_HZ);
                let flags = FrameFlags { keyframe: frame.keyframe, discontinuity: false };
                let again = Frame { track: frame.track, dts, pts, flags, payload: frame.payload.clone() };
                let _ = writer.write(&again, &mut out);
            }
            _ => {}
        }
    }
    read_back(&out);
}

fn read_back(out: &[u8]) {
    assert!(out.len().is_multiple_of(PACKET_BYTES), "a packet cut short");
    assert!(out.chunks(PACKET_BYTES).all(|packet| packet[0] == SYNC_BYTE), "a packet that is none");
    for event in events(None, out, out.len().max(1)) {
        assert!(!matches!(event, TsEvent::NotCarried { .. }), "what was written is not read");
    }
}

/// Makes a transport of right tables, with everything in them that is known, and packets of all sorts on their PIDs: random bytes never
/// have a right checksum.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut input = vec![random.below(256) as u8];
    let mut counters = [0_u8; 8];
    for _ in 0..1 + random.below(6) {
        let version = random.below(3) as u8;
        let programs: Vec<u8> = (0..1 + random.below(3) as u8).flat_map(|number| [0, number, 0xE0, 0x20]).collect();
        put(&mut input, 0, &mut counters[0], true, &pointed(&section(0, 1, version, &programs)));
        put(&mut input, 0x20, &mut counters[1], true, &pointed(&pmt(version, random)));
        for _ in 0..random.below(8) {
            let stream = random.below(6);
            media(&mut input, 0x30 + stream as u16, &mut counters[2 + stream], random);
        }
    }
    input
}

fn pmt(version: u8, random: &mut Random) -> Vec<u8> {
    let mut body = vec![0xE0, 0x30, 0xF0, 0];
    for stream in 0..random.below(7) as u8 {
        let (kind, descriptors): (u8, &[u8]) = random.pick(&[
            (0x1B, &[][..]),
            (0x24, &[]),
            (0x0F, &[]),
            (0x11, &[]),
            (0x03, &[]),
            (0x81, &[]),
            (0x87, &[]),
            (0x04, b"\x0A\x04fra\0"),
            (0x02, &[]),
            (0x06, b"\x6A\x01\0\x0A\x04deu\0"),
            (0x06, b"\x0A\x04eng\x03\x7A\x01\0"),
            (0x86, b"\x05\x04CUEI"),
            (0x06, b"\x05\x04Opus\x7F\x02\x80\x02"),
            (0x06, b"\x05\x04HEVC"),
        ]);
        body.extend_from_slice(&[kind, 0xE0, 0x30 + stream, 0xF0, descriptors.len() as u8]);
        body.extend_from_slice(descriptors);
    }
    section(2, random.below(3) as u16, version, &body)
}

fn section(table: u8, id: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (body.len() as u16 + 9).to_be_bytes();
    let [id_high, id_low] = id.to_be_bytes();
    let mut section = vec![table, 0xB0 | high, low, id_high, id_low, 0xC1 | version << 1, 0, 0];
    section.extend_from_slice(body);
    let crc = crc32(&section);
    section.extend_from_slice(&crc.to_be_bytes());
    section
}

fn pointed(section: &[u8]) -> Vec<u8> {
    [&[0], section].concat()
}

/// A PES packet of something that a codec might make, over as many packets as it needs.
fn media(input: &mut Vec<u8>, pid: u16, counter: &mut u8, random: &mut Random) {
    let mut data = Vec::new();
    for _ in 0..1 + random.below(4) {
        let begin = random.pick(&[
            // These are of H.264: a delimiter, sets of a real encoder, slices.
            &[0, 0, 0, 1, 9, 0xF0][..],
            &[
                0, 0, 1, 0x67, 0x42, 0xC0, 0x1E, 0xD9, 0, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0, 0, 3, 0, 1, 0, 0, 3, 0,
                0x32, 0x0F, 0x16, 0x2E, 0x48,
            ],
            &[0, 0, 1, 0x68, 0xCB, 0x83, 0xCB, 0x20],
            &[0, 0, 1, 0x65, 0x88],
            &[0, 0, 1, 0x41, 0x9A],
            // These are of HEVC: VPS, PPS, an IDR.
            &[0, 0, 1, 0x40, 1, 0x0C, 1],
            &[0, 0, 1, 0x44, 1, 0xC1],
            &[0, 0, 1, 0x26, 1, 0x80],
            // These are ADTS of 20 bytes, LOAS, MPEG audio, Opus.
            &[0xFF, 0xF1, 0x4C, 0x80, 2, 0x9F, 0xFC],
            &[0x56, 0xE0, 0x0F, 0x20, 0, 0x11, 0x90, 0x07],
            &[0xFF, 0xFB, 0x10, 0x64],
            &[0x7F, 0xE0, 9, 0xFC],
        ]);
        if random.one_in(3) {
            data.extend(broadcast::frame(random));
        } else {
            data.extend_from_slice(begin);
        }
        let length = random.length(300);
        data.extend(random.bytes(length));
    }
    let optional: &[u8] = random.pick(&[
        &[0x80, 0x80, 5, 0x21, 0, 1, 0, 1][..],
        &[0x84, 0, 0],
        &[0x80, 0xC0, 10, 0x31, 0, 1, 0, 1, 0x11, 0, 1, 0, 1],
    ]);
    let length = if random.one_in(2) { (data.len() + optional.len()) as u16 } else { 0 };
    let mut pes = vec![0, 0, 1, random.pick(&[0xE0, 0xC0, 0xBD, 0xBE])];
    pes.extend_from_slice(&length.to_be_bytes());
    pes.extend_from_slice(optional);
    pes.extend_from_slice(&data);
    for (number, piece) in pes.chunks(random.pick(&[184, 176, 20])).enumerate() {
        put(input, pid, counter, number == 0, piece);
    }
}

/// Appends one packet. Stuffing before the payload fills the rest of it.
fn put(input: &mut Vec<u8>, pid: u16, counter: &mut u8, start: bool, payload: &[u8]) {
    let payload = &payload[..payload.len().min(184)];
    let field = 184 - payload.len();
    let [high, low] = pid.to_be_bytes();
    input.extend_from_slice(&[SYNC_BYTE, high | if start { 0x40 } else { 0 }, low]);
    input.push(if field > 0 { 0x30 } else { 0x10 } | *counter);
    *counter = (*counter + 1) & 15;
    if field > 0 {
        input.push(field as u8 - 1);
    }
    if field > 1 {
        input.push(0);
        input.extend(std::iter::repeat_n(0xFF, field - 2));
    }
    input.extend_from_slice(payload);
}

//! Frames through the writer and back through the reader, and what a hostile or broken transport does to the reader.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use weir_media::codec::aac::AacConfig;
use weir_media::codec::{self, nal, opus};
use weir_media::{Codec, Frame, FrameFlags, MediaKind, MediaTime, TrackId, TrackInfo};

use super::packet::{Extras, put_packet};
use super::section::LongSection;
use super::*;

mod sounds;

/// The records of x264 High and x265 Main, as these encoders write them.
const X264: &str = "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800";
const X264_OTHER: &str = "0142c01effe100196742c01ed900a02ff97011000003000100000300320f162e4801000568cb83cb20";
const X265: &str = "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff016000000300900000030000030078959809a1000100\
    2a420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000f04a2000100074401c172b46240";

const VIDEO: TrackId = TrackId::SOURCE_VIDEO;
const AUDIO: TrackId = TrackId::SOURCE_AUDIO;

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter_map(|byte| char::from(byte).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn track(codec: Codec, config: Bytes) -> TrackInfo {
    let id = if codec.kind() == MediaKind::Video { VIDEO } else { AUDIO };
    codec::parse(codec, id, config).unwrap()
}

fn h264() -> TrackInfo {
    track(Codec::H264, hex(X264))
}

fn aac() -> TrackInfo {
    track(Codec::Aac, AacConfig::build_lc(48_000, 2).unwrap())
}

/// A picture of that codec: the slice of a keyframe or of another, with an SEI message behind it, filled up to a size.
fn picture(codec: Codec, keyframe: bool, bytes: usize) -> Bytes {
    let (sei, slice): (&[u8], u8) = match (codec, keyframe) {
        (Codec::H265, true) => (&[0x4E, 1, 4, 0x80], 0x26),
        (Codec::H265, false) => (&[0x4E, 1, 4, 0x80], 0x02),
        (_, true) => (&[0x06, 4, 0x80], 0x65),
        (_, false) => (&[0x06, 4, 0x80], 0x41),
    };
    let mut out = BytesMut::new();
    nal::put_unit(&mut out, sei);
    nal::put_unit(&mut out, &[&[slice, 0x88][..], &vec![0x55; bytes.max(1)]].concat());
    out.freeze()
}

fn frame(dts_ticks: i64, cts_ticks: i64, keyframe: bool, payload: Bytes) -> Frame {
    let time = |ticks| MediaTime::from_ticks(ticks, CLOCK_HZ);
    let flags = FrameFlags { keyframe, discontinuity: false };
    Frame { track: VIDEO, dts: time(dts_ticks), pts: time(dts_ticks + cts_ticks), flags, payload }
}

fn sound_frame(dts_ticks: i64, payload: Bytes) -> Frame {
    Frame { track: AUDIO, ..frame(dts_ticks, 0, true, payload) }
}

/// Half a second each of pictures (GOP of 5, with the offsets of B-frames) and of sound, from `start`, in the order of their times.
fn samples(video: Codec, start: i64) -> Vec<Frame> {
    let pictures = (0..15_i64).map(|number| {
        let payload = picture(video, number % 5 == 0, [3000, 100, 170, 184, 90_000][number as usize % 5]);
        frame(start + number * 3000, [6000, 0, 9000][number as usize % 3], number % 5 == 0, payload)
    });
    let sound = (0..23_i64).map(|number| {
        let payload = Bytes::from(vec![0x21; 5 + 31 * number as usize]);
        sound_frame(start + number * 1920, payload)
    });
    let mut samples: Vec<Frame> = pictures.chain(sound).collect();
    samples.sort_by_key(|sample| sample.dts);
    samples
}

fn write(video: &TrackInfo, audio: &TrackInfo, samples: &[Frame]) -> Vec<u8> {
    let mut writer = TsWriter::new([video, audio]).unwrap();
    let mut out = BytesMut::new();
    for frame in samples {
        writer.write(frame, &mut out).unwrap();
    }
    assert_eq!(out.len() % PACKET_BYTES, 0);
    out.to_vec()
}

fn read(data: &[u8], step: usize) -> (Vec<TsEvent>, TsCounts) {
    read_with(TsReader::new(None), data, step)
}

fn read_with(mut reader: TsReader, data: &[u8], step: usize) -> (Vec<TsEvent>, TsCounts) {
    let mut events = Vec::new();
    for piece in data.chunks(step) {
        reader.feed(piece);
        events.extend(std::iter::from_fn(|| reader.next_event()));
    }
    reader.finish();
    events.extend(std::iter::from_fn(|| reader.next_event()));
    (events, reader.counts())
}

fn frames(events: &[TsEvent]) -> Vec<&TsFrame> {
    events.iter().filter_map(|event| if let TsEvent::Frame(frame) = event { Some(frame) } else { None }).collect()
}

fn tracks(events: &[TsEvent]) -> Vec<&TrackInfo> {
    events.iter().filter_map(|event| if let TsEvent::Track(info) = event { Some(info) } else { None }).collect()
}

fn of_track<'a>(frames: &[&'a TsFrame], track: TrackId) -> Vec<&'a TsFrame> {
    frames.iter().copied().filter(|frame| frame.track == track).collect()
}

/// Asserts that what was written came back: payloads, flags, and times apart from where zero is.
fn assert_same(samples: &[Frame], events: &[TsEvent]) {
    let all = frames(events);
    let zero = all[0].dts_ticks - samples[0].dts.as_ticks(CLOCK_HZ);
    for track in [VIDEO, AUDIO] {
        let sent: Vec<&Frame> = samples.iter().filter(|sent| sent.track == track).collect();
        let came = of_track(&all, track);
        assert_eq!(came.len(), sent.len(), "{track:?}");
        for (sent, came) in sent.iter().zip(came) {
            assert_eq!(came.payload, sent.payload);
            assert_eq!(came.keyframe, sent.is_keyframe());
            // Sound within a PES packet is counted in samples, so its time is right to a tick.
            assert!((came.dts_ticks - zero - sent.dts.as_ticks(CLOCK_HZ)).abs() <= 1, "{came:?} {sent:?}");
            assert_eq!(came.cts_ticks, (sent.pts - sent.dts).as_ticks(CLOCK_HZ));
        }
    }
}

fn sounds() -> Vec<TrackInfo> {
    vec![
        aac(),
        track(Codec::Aac, AacConfig::build_lc(44_100, 1).unwrap()),
        track(Codec::Opus, opus::opus_head(2, 0).unwrap()),
        track(Codec::Opus, opus::opus_head(1, 0).unwrap()),
    ]
}

#[test]
fn every_codec_comes_back_as_it_was() {
    for video in [h264(), track(Codec::H265, hex(X265))] {
        for audio in sounds() {
            let mut samples = samples(video.codec, 0);
            if audio.codec == Codec::Opus {
                // The first byte of an Opus packet says that it has 20 ms.
                for sample in samples.iter_mut().filter(|sample| sample.track == AUDIO) {
                    sample.payload = [&[0xFC][..], &sample.payload].concat().into();
                }
            }
            let data = write(&video, &audio, &samples);
            let (events, counts) = read(&data, 1316);
            assert_same(&samples, &events);
            let found = tracks(&events);
            assert_eq!(found.len(), 2, "told once");
            for (info, expected) in [(found[0], &video), (found[1], &audio)] {
                assert_eq!(info.codec, expected.codec);
                assert_eq!((&info.video, &info.audio), (&expected.video, &expected.audio));
            }
            assert_eq!(found[1].config, audio.config);
            let expected = TsCounts { packets: (data.len() / PACKET_BYTES) as u64, ..TsCounts::default() };
            assert_eq!(counts, expected, "nothing to complain about");
            for step in [1, 188, 1000, data.len()] {
                assert!(read(&data, step).0 == events, "pieces of {step}");
            }
        }
    }
}

#[test]
fn mp3_is_carried() {
    // At 48 kHz and 128 kbps a frame has 384 bytes.
    let payload: Bytes = [&[0xFF, 0xFB, 0x94, 0x64][..], &[9; 380]].concat().into();
    let info = track(Codec::Mp3, Bytes::new());
    let mut writer = TsWriter::new([&info]).unwrap();
    let mut out = BytesMut::new();
    for number in 0..20 {
        writer.write(&sound_frame(number * 2160, payload.clone()), &mut out).unwrap();
    }
    let (events, counts) = read(&out, 188);
    assert_eq!(tracks(&events), [&info]);
    let frames = frames(&events);
    assert!(frames.len() == 20 && frames.iter().all(|frame| frame.payload == payload));
    assert!(frames.windows(2).all(|pair| pair[1].dts_ticks - pair[0].dts_ticks == 2160));
    assert_eq!((counts.broken_frames, counts.pcr_jumps), (0, 0));
}

#[test]
fn pictures_begin_with_a_delimiter_and_keyframes_with_their_sets() {
    let data = write(&h264(), &aac(), &samples(Codec::H264, 0));
    let units: Vec<Vec<u8>> =
        pictures(&data).iter().map(|es| nal::annex_b(es).map(|u| u[0] & 0x1F).collect()).collect();
    assert_eq!(units[0], [9, 7, 8, 6, 5]);
    assert_eq!(units[1], [9, 6, 1]);
    // Units that an encoder left in the picture are not put in twice.
    let mut payload = BytesMut::new();
    for unit in [&[9, 0xF0][..], &[0x67, 66, 0, 30], &[0x68, 0xCE], &[0x65, 0x88, 1]] {
        nal::put_unit(&mut payload, unit);
    }
    let sample = frame(0, 0, true, payload.freeze());
    let data = write(&h264(), &aac(), &[sample]);
    assert_eq!(nal::annex_b(&pictures(&data)[0]).map(|u| u[0] & 0x1F).collect::<Vec<_>>(), [9, 7, 8, 5]);
}

/// The elementary stream of each picture.
fn pictures(data: &[u8]) -> Vec<Bytes> {
    let mut assembler = pes::PesAssembler::default();
    let mut gathered = pes::Gathered::default();
    for packet in data.as_chunks::<PACKET_BYTES>().0.iter().filter_map(packet::Packet::parse) {
        if let (writer::PID_FIRST, Some(payload)) = (packet.pid, packet.payload) {
            gathered.found.extend(assembler.push(packet.start, false, payload).found);
        }
    }
    assembler.end(&mut gathered);
    gathered.found.into_iter().map(|pes| pes.data).collect()
}

#[test]
fn tables_and_clock_references_are_frequent() {
    let data = write(&h264(), &aac(), &samples(Codec::H264, 0));
    let packets: Vec<_> = data.as_chunks::<PACKET_BYTES>().0.iter().filter_map(packet::Packet::parse).collect();
    assert_eq!((packets[0].pid, packets[1].pid), (PID_PAT, writer::PID_PMT), "first of all");
    for (number, packet) in packets.iter().enumerate() {
        if packet.random_access {
            assert_eq!(packets[number - 1].pid, writer::PID_PMT, "who begins with a keyframe has the tables");
        }
    }
    let references: Vec<u64> = packets.iter().filter_map(|packet| packet.pcr).collect();
    assert!(references.windows(2).all(|pair| (0..=3600).contains(&clock::distance(pair[0], pair[1]))));
    assert!(references.len() >= 15);
    // These pictures are slow, so sound gives the beat, with references on the pictures' PID.
    let slow: Vec<Frame> = samples(Codec::H264, 0)
        .into_iter()
        .filter(|sample| sample.track == AUDIO || sample.dts == MediaTime::ZERO)
        .collect();
    let data = write(&h264(), &aac(), &slow);
    let (events, counts) = read(&data, 188);
    assert_same(&slow, &events);
    assert_eq!((counts.continuity_errors, counts.duplicates), (0, 0), "packets without payload are not counted");
    let packets = data.as_chunks::<PACKET_BYTES>().0.iter().filter_map(packet::Packet::parse);
    let references: Vec<u64> = packets.filter(|p| p.pid == writer::PID_FIRST).filter_map(|p| p.pcr).collect();
    assert!(references.windows(2).all(|pair| (0..=5520).contains(&clock::distance(pair[0], pair[1]))));
    assert!(references.len() > 8);
}

#[test]
fn the_clock_wraps() {
    let start = (1 << 33) - 90_000 - 22_500;
    let samples = samples(Codec::H264, start);
    let (events, counts) = read(&write(&h264(), &aac(), &samples), 188);
    assert_same(&samples, &events);
    let last = frames(&events).last().unwrap().dts_ticks;
    assert!(last > 1 << 33, "unrolled: {last}");
    assert_eq!(counts.pcr_jumps, 0);
}

#[test]
fn a_clock_that_jumps_is_counted_and_followed() {
    let mut samples = samples(Codec::H264, 0);
    let second = self::samples(Codec::H264, 90_000 * 3600);
    samples.extend(second);
    let data = write(&h264(), &aac(), &samples);
    let (events, counts) = read(&data, 188);
    assert_same(&samples, &events);
    assert_eq!(counts.pcr_jumps, 1);
}

#[test]
fn other_tracks_are_another_version() {
    let mut writer = TsWriter::new([&h264(), &aac()]).unwrap();
    let mut out = BytesMut::new();
    let mut write = |writer: &mut TsWriter, track, codec, at| {
        let payload = if track == VIDEO { picture(codec, true, 100) } else { Bytes::from_static(&[1; 50]) };
        writer.write(&Frame { track, ..frame(at, 0, true, payload) }, &mut out).unwrap();
    };
    write(&mut writer, VIDEO, Codec::H264, 0);
    write(&mut writer, AUDIO, Codec::Aac, 0);
    let other = track(Codec::H264, hex(X264_OTHER));
    writer.set_tracks([&other, &aac()]).unwrap();
    write(&mut writer, VIDEO, Codec::H264, 3000);
    let hevc = track(Codec::H265, hex(X265));
    writer.set_tracks([&hevc]).unwrap();
    write(&mut writer, VIDEO, Codec::H265, 6000);
    let (events, counts) = read(&out, 188);
    let codecs: Vec<_> =
        tracks(&events).iter().map(|info| (info.codec, info.video.as_ref().map(|v| v.width))).collect();
    let expected = [(Codec::H264, Some(1920)), (Codec::Aac, None), (Codec::H264, Some(640)), (Codec::H265, Some(1920))];
    assert_eq!(codecs, expected);
    assert!(events.contains(&TsEvent::TrackEnded(AUDIO)));
    assert!(!events.contains(&TsEvent::TrackEnded(VIDEO)), "another one took its place");
    assert_eq!((counts.program_changes, counts.continuity_errors), (1, 0));
    assert_eq!(frames(&events).len(), 4);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let av1 = TrackInfo { codec: Codec::Av1, ..h264() };
    assert_eq!(TsWriter::new([&av1]).unwrap_err(), TsError::NotWritable { codec: Codec::Av1 });
    let eld = track(Codec::Aac, Bytes::from_static(&[0xF8, 0xE6, 0x40]));
    assert!(matches!(TsWriter::new([&eld]), Err(TsError::Codec(_))));
    let mut writer = TsWriter::new([&h264()]).unwrap();
    let mut out = BytesMut::new();
    let sound = sound_frame(0, Bytes::from_static(&[1]));
    assert_eq!(writer.write(&sound, &mut out), Err(TsError::NoTrack { track: AUDIO }));
    let broken = frame(0, 0, true, Bytes::from_static(&[0, 0, 0, 9, 1]));
    assert!(writer.write(&broken, &mut out).is_err());
}

#[test]
fn segments_join_in_any_order() {
    let segments: Vec<(Vec<Frame>, Bytes)> = (0..3)
        .map(|number| {
            let samples = samples(Codec::H264, number * 45_000);
            let made = segment(&[&h264(), &aac()], 3, &samples).unwrap();
            assert_eq!(made, segment(&[&h264(), &aac()], 3, &samples).unwrap(), "made twice, the same");
            (samples, made)
        })
        .collect();
    for order in [[0, 1, 2], [0, 2, 2], [2, 0, 1]] {
        let data: Vec<u8> = order.iter().flat_map(|&number| segments[number].1.to_vec()).collect();
        let (events, counts) = read(&data, 188);
        let sent: Vec<Frame> = order.iter().flat_map(|&number| segments[number].0.clone()).collect();
        assert_same(&sent, &events);
        assert_eq!((counts.continuity_errors, counts.duplicates, counts.broken_frames), (0, 0, 0), "{order:?}");
    }
    let bytes = segments[0].1.len();
    let payload: usize = segments[0].0.iter().map(|sample| sample.payload.len()).sum();
    assert!(bytes < payload + payload / 8 + 64 * PACKET_BYTES, "{bytes} for {payload}");
    let empty = segment(&[&h264()], 0, &[]).unwrap();
    assert_eq!(empty.len(), 32 * PACKET_BYTES, "tables only");
}

/// Packets that carry a section, on a PID and from a counter on.
fn section_packets(pid: u16, counter: u8, section: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let payload = [&[0][..], section].concat();
    for (number, piece) in payload.chunks(184).enumerate() {
        let mut piece = piece.to_vec();
        piece.resize(184, 0xFF);
        put_packet(&mut out, pid, number == 0, counter + number as u8, Extras::default(), &piece);
    }
    out.to_vec()
}

fn pat(version: u8, programs: &[(u16, u16)]) -> Bytes {
    let body = programs.iter().flat_map(|(number, pid)| [number.to_be_bytes(), (0xE000 | pid).to_be_bytes()].concat());
    LongSection { table_id: 0, id: 1, version, current: true, number: 0, body: body.collect() }.to_bytes()
}

/// Two programmes: PMTs at 0x20 and 0x30, pictures at 0x21 and 0x31, and sound of several kinds.
fn two_programs() -> Vec<u8> {
    let none = Bytes::new;
    let first = psi::pmt(7, 0, 0x21, &[(0x1B, 0x21, none()), (0x81, 0x22, none()), (0x0F, 0x23, none())]);
    let second = psi::pmt(9, 0, 0x31, &[(0x24, 0x31, none()), (0x03, 0x32, none()), (0x11, 0x33, none())]);
    [
        section_packets(PID_PAT, 0, &pat(0, &[(0, 0x10), (7, 0x20), (9, 0x30)])),
        section_packets(0x20, 0, &first),
        section_packets(0x30, 0, &second),
    ]
    .concat()
}

#[test]
fn a_programme_is_chosen() {
    let data = two_programs();
    for (wanted, number, picture) in
        [(None, 7, TsStream::H264), (Some(7), 7, TsStream::H264), (Some(9), 9, TsStream::H265)]
    {
        let (events, _) = read_with(TsReader::new(wanted), &data, 188);
        let TsEvent::Program(program) = &events[0] else { panic!("{events:?}") };
        assert_eq!((program.number, program.streams[0].stream, &program.available), (number, picture, &vec![7, 9]));
    }
    let (events, _) = read_with(TsReader::new(Some(8)), &[data.clone(), data].concat(), 188);
    assert_eq!(events, [TsEvent::ProgramMissing { wanted: 8, available: vec![7, 9] }], "said once");
}

#[test]
fn what_is_not_carried_is_said() {
    let none = Bytes::new;
    let sounds = (0..20).map(|number| (0x0F, 0x40 + number, none()));
    let streams: Vec<_> =
        [(0x8A, 0x22, none()), (0x1B, 0x21, none()), (0x24, 0x23, none())].into_iter().chain(sounds).collect();
    let data =
        [section_packets(PID_PAT, 0, &pat(0, &[(1, 0x20)])), section_packets(0x20, 0, &psi::pmt(1, 0, 0x21, &streams))]
            .concat();
    let (events, _) = read(&data, 188);
    let not_carried = |pid, stream, why| TsEvent::NotCarried { pid, stream, why };
    let mut expected = vec![
        not_carried(0x22, TsStream::Dts, NotCarried::Unsupported),
        not_carried(0x23, TsStream::H265, NotCarried::Another),
    ];
    expected.extend((16..20).map(|number| not_carried(0x40 + number, TsStream::AacAdts, NotCarried::Another)));
    assert_eq!(events[1..], expected);
    let (events, _) = read_with(TsReader::new(Some(9)), &two_programs(), 188);
    assert_eq!(events[1..], [], "all of it is carried");
}

#[test]
fn a_programme_that_goes_makes_room_for_another() {
    let mut data = two_programs();
    data.extend(section_packets(PID_PAT, 1, &pat(1, &[(9, 0x30)])));
    let second = psi::pmt(9, 0, 0x31, &[(0x24, 0x31, Bytes::new())]);
    data.extend(section_packets(0x30, 1, &second));
    let (events, counts) = read(&data, 188);
    let numbers: Vec<u16> = events
        .iter()
        .filter_map(|event| if let TsEvent::Program(program) = event { Some(program.number) } else { None })
        .collect();
    assert_eq!(numbers, [7, 9]);
    assert!(events.contains(&TsEvent::TrackEnded(VIDEO)));
    assert!(events.contains(&TsEvent::TrackEnded(AUDIO)));
    assert_eq!(counts.broken_sections, 0);
}

#[test]
fn splices_are_handed_on() {
    let pmt = psi::pmt(1, 0, 0x21, &[(0x1B, 0x21, Bytes::new()), (0x86, 0x40, Bytes::from_static(b"\x05\x04CUEI"))]);
    let mut splice = vec![0xFC, 0x30, 27];
    splice.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0xFF, 0xF0, 5, 6, 0xFE, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0]);
    let crc = crc32(&splice).to_be_bytes();
    splice.extend_from_slice(&crc);
    let mut wrong = splice.clone();
    wrong[20] ^= 1;
    let data = [
        section_packets(PID_PAT, 0, &pat(0, &[(1, 0x20)])),
        section_packets(0x20, 0, &pmt),
        section_packets(0x40, 0, &splice),
        section_packets(0x40, 1, &wrong),
    ]
    .concat();
    let (events, counts) = read(&data, 188);
    assert_eq!(events[1..], [TsEvent::Scte35 { pid: 0x40, section: splice.into() }]);
    assert_eq!(counts.broken_sections, 1);
}

#[test]
fn losses_are_counted_and_cost_what_they_hit() {
    let samples = samples(Codec::H264, 0);
    let data = write(&h264(), &aac(), &samples);
    let packets: Vec<&[u8]> = data.chunks(PACKET_BYTES).collect();
    // This cuts the middle of the big picture; the counters of its PID go on behind it.
    let of_video = |packet: &[u8]| packet[1] & 0x1F == 1 && packet[2] == 0;
    let middle = packets.iter().enumerate().filter(|(_, packet)| of_video(packet)).nth(200).unwrap().0;
    let cut = [&packets[..middle], &packets[middle + 3..]].concat().concat();
    let (events, counts) = read(&cut, 188);
    assert_eq!((counts.continuity_errors, counts.broken_frames), (1, 1));
    assert_eq!(of_track(&frames(&events), VIDEO).len(), 14, "one picture is gone");

    let twice: Vec<u8> = packets.iter().flat_map(|packet| [*packet, *packet].concat()).collect();
    let (events, counts) = read(&twice, 188);
    assert_same(&samples, &events);
    assert_eq!((counts.continuity_errors, counts.duplicates), (0, packets.len() as u64));

    let mut filled = Vec::new();
    for packet in &packets {
        filled.extend_from_slice(packet);
        filled.extend_from_slice(&[&[0x47, 0x1F, 0xFF, 0x10][..], &[0xFF; 184]].concat());
    }
    let (events, counts) = read(&filled, 1000);
    assert_same(&samples, &events);
    assert_eq!((counts.null_packets, counts.continuity_errors), (packets.len() as u64, 0));
}

#[test]
fn damaged_and_scrambled_packets_are_left_out() {
    let data = write(&h264(), &aac(), &samples(Codec::H264, 0));
    for (at, bit) in [(1, 0x80), (3, 0x80)] {
        let mut data = data.clone();
        data.chunks_mut(PACKET_BYTES).for_each(|packet| packet[at] |= bit);
        let (events, counts) = read(&data, 188);
        assert_eq!((events.len(), counts.unusable_packets > 0), (0, true));
    }
}

#[test]
fn sound_frames_may_lie_across_packets() {
    // ADTS frames of 107 bytes lie in PES packets of 250, so that only the first frame begins where a packet does.
    let config = AacConfig::parse(&aac().config).unwrap();
    let mut stream = Vec::new();
    for number in 0..50_u8 {
        stream.extend_from_slice(&codec::aac::adts_header(&config, 100).unwrap());
        stream.extend_from_slice(&[number; 100]);
    }
    let mut data = [
        section_packets(PID_PAT, 0, &pat(0, &[(1, 0x20)])),
        section_packets(0x20, 0, &psi::pmt(1, 0, 0x21, &[(0x0F, 0x21, Bytes::new())])),
    ]
    .concat();
    let mut counter = 0;
    for (number, piece) in stream.chunks(250).enumerate() {
        let mut packet = BytesMut::new();
        // The packet's time is that of the first frame which begins in it.
        let first = (number * 250).div_ceil(107) as u64;
        pes::put_header(&mut packet, 0xC0, first * 1920, first * 1920, piece.len());
        packet.extend_from_slice(piece);
        for (at, payload) in packet.chunks(184).enumerate() {
            let mut out = BytesMut::new();
            put_packet(&mut out, 0x21, at == 0, counter, Extras::default(), payload);
            counter = (counter + 1) & 15;
            data.extend_from_slice(&out);
        }
    }
    let (events, counts) = read(&data, 188);
    let frames = frames(&events);
    assert_eq!((frames.len(), counts.broken_frames), (50, 0));
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!((frame.dts_ticks, frame.payload[0]), (number as i64 * 1920, number as u8));
    }
}

#[test]
fn garbage_between_is_passed_over() {
    let samples = samples(Codec::H264, 0);
    let data = write(&h264(), &aac(), &samples);
    let middle = data.len() / PACKET_BYTES / 2 * PACKET_BYTES;
    let noise: Vec<u8> = (0..1000_u32).map(|number| (number * 7 % 0x47) as u8).collect();
    let dirty = [&noise[..], &data[..middle], &noise, &data[middle..]].concat();
    let (events, counts) = read(&dirty, 777);
    assert_same(&samples, &events);
    assert_eq!((counts.sync_losses, counts.skipped_bytes), (2, 2000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_break_the_reader(seed in any::<u64>(), changes in 1..60_usize, step in 1..3000_usize) {
        let mut data = write(&h264(), &aac(), &samples(Codec::H264, 0));
        let mut state = seed | 1;
        let mut random = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % bound
        };
        for _ in 0..changes {
            let at = random(data.len());
            match random(4) {
                0 => data[at] = random(256) as u8,
                1 => { data.remove(at); }
                2 => { let end = (at + random(600)).min(data.len()); data.drain(at..end); }
                _ => { let piece = data[at..(at + random(400)).min(data.len())].to_vec(); data.splice(at..at, piece); }
            }
        }
        let (events, _) = read(&data, step);
        let bytes: usize = frames(&events).iter().map(|frame| frame.payload.len()).sum();
        prop_assert!(bytes <= data.len() * 2);
        prop_assert!(events == read(&data, data.len()).0, "it depends on the pieces");
    }
}

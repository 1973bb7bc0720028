//! Tag bodies as encoders write them, what we write, and broken ones.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use weir_media::{Codec, TrackId, TrackInfo};

use super::file::{FlvReader, FlvTag, FlvTagKind, FlvWriter, TAG_BYTES_MAX};
use super::*;

fn bytes(parts: &[&[u8]]) -> Bytes {
    Bytes::from(parts.concat())
}

fn video_config(codec: Codec, config: &'static [u8]) -> VideoTag {
    VideoTag::Config { codec, config: Bytes::from_static(config) }
}

fn video_frame(codec: Codec, keyframe: bool, cts_ms: i32, payload: &'static [u8]) -> VideoTag {
    VideoTag::Frame { codec, keyframe, cts_ms, payload: Bytes::from_static(payload) }
}

#[test]
fn video_bodies() {
    let cases: Vec<(&str, Bytes, VideoTag)> = vec![
        ("AVC config", bytes(&[&[0x17, 0, 0, 0, 0, 1, 2]]), video_config(Codec::H264, &[1, 2])),
        ("AVC key", bytes(&[&[0x17, 1, 0, 0, 67, 9]]), video_frame(Codec::H264, true, 67, &[9])),
        ("AVC inter", bytes(&[&[0x27, 1, 0xFF, 0xFF, 0xFF, 9]]), video_frame(Codec::H264, false, -1, &[9])),
        ("AVC end", bytes(&[&[0x17, 2, 0, 0, 0]]), VideoTag::EndOfSequence),
        ("AVC end, short", bytes(&[&[0x17, 2]]), VideoTag::EndOfSequence),
        ("AVC without payload", bytes(&[&[0x27, 1, 0, 0, 0]]), VideoTag::Other("empty")),
        ("legacy HEVC", bytes(&[&[0x1C, 1, 0, 0, 0, 9]]), video_frame(Codec::H265, true, 0, &[9])),
        ("legacy HEVC config", bytes(&[&[0x1C, 0, 0, 0, 0, 9]]), video_config(Codec::H265, &[9])),
        ("command", bytes(&[&[0x57, 1]]), VideoTag::Command(1)),
        ("nothing", Bytes::new(), VideoTag::Other("empty")),
        ("hvc1 config", bytes(&[&[0x90], b"hvc1", &[7]]), video_config(Codec::H265, &[7])),
        ("hvc1 frame", bytes(&[&[0x91], b"hvc1", &[0, 0, 40, 7]]), video_frame(Codec::H265, true, 40, &[7])),
        ("hvc1 frame X", bytes(&[&[0xA3], b"hvc1", &[7]]), video_frame(Codec::H265, false, 0, &[7])),
        ("hvc1 end", bytes(&[&[0x92], b"hvc1"]), VideoTag::EndOfSequence),
        ("avc1 frame", bytes(&[&[0x91], b"avc1", &[0, 0, 40, 7]]), video_frame(Codec::H264, true, 40, &[7])),
        ("av01 frame", bytes(&[&[0x91], b"av01", &[7, 8]]), video_frame(Codec::Av1, true, 0, &[7, 8])),
        ("av01 from TS", bytes(&[&[0x95], b"av01", &[7]]), VideoTag::Other("MPEG-2 TS sequence start")),
        ("metadata", bytes(&[&[0x94], b"hvc1", &[2, 0, 0]]), VideoTag::Other("metadata")),
        ("enhanced command", bytes(&[&[0xD1, 1]]), VideoTag::Command(1)),
        ("unknown packet", bytes(&[&[0x9F], b"av01", &[7]]), VideoTag::Other("an unknown packet type")),
        (
            "ModEx nanoseconds",
            bytes(&[&[0x97, 2, 0, 1, 0, 0x03], b"hvc1", &[7]]),
            video_frame(Codec::H265, true, 0, &[7]),
        ),
        ("two ModEx", bytes(&[&[0x97, 2, 0, 1, 0, 0x07, 0, 5, 0x00], b"hvc1", &[7]]), video_config(Codec::H265, &[7])),
        (
            "long ModEx",
            bytes(&[&[0x97, 255, 0, 255], &[0; 256], &[0x03], b"hvc1", &[7]]),
            video_frame(Codec::H265, true, 0, &[7]),
        ),
        ("one track", bytes(&[&[0x96, 0x03], b"hvc1", &[0, 7]]), video_frame(Codec::H265, true, 0, &[7])),
        ("the second track", bytes(&[&[0x96, 0x03], b"hvc1", &[1, 7]]), VideoTag::Other("another track")),
        (
            "the second track, codec unknown",
            bytes(&[&[0x96, 0x03], b"xxxx", &[1, 7]]),
            VideoTag::Other("another track"),
        ),
        (
            "many tracks",
            bytes(&[&[0x96, 0x13], b"hvc1", &[1, 0, 0, 2, 5, 5], &[0, 0, 0, 1, 7]]),
            video_frame(Codec::H265, true, 0, &[7]),
        ),
        (
            "many tracks and codecs",
            bytes(&[&[0x96, 0x21], b"av01", &[2, 0, 0, 1, 5], b"avc1", &[0, 0, 0, 4, 0, 0, 40, 7]]),
            video_frame(Codec::H264, true, 40, &[7]),
        ),
        (
            "many tracks, none ours",
            bytes(&[&[0x96, 0x13], b"hvc1", &[1, 0, 0, 1, 5]]),
            VideoTag::Other("another track"),
        ),
    ];
    for (name, body, expected) in cases {
        assert_eq!(parse_video(&body), Ok(expected), "{name}");
    }
}

#[test]
fn broken_video_bodies() {
    for (name, body) in [
        ("AVC, type only", bytes(&[&[0x17]])),
        ("AVC, no composition time", bytes(&[&[0x17, 1, 0, 0]])),
        ("AVC, packet type 3", bytes(&[&[0x17, 3, 0, 0, 0, 1]])),
        ("command without its byte", bytes(&[&[0x57]])),
        ("FourCC cut", bytes(&[&[0x90], b"hvc"])),
        ("hvc1, no composition time", bytes(&[&[0x91], b"hvc1", &[0, 0]])),
        ("ModEx cut", bytes(&[&[0x97, 200, 0, 0]])),
        ("ModEx without end", bytes(&[&[0x97], &[0, 0, 7].repeat(9)])),
        ("multitrack in multitrack", bytes(&[&[0x96, 0x06], b"hvc1", &[0]])),
        ("multitrack of kind 3", bytes(&[&[0x96, 0x33], b"hvc1", &[0]])),
        ("track longer than the body", bytes(&[&[0x96, 0x13], b"hvc1", &[0, 0, 0, 9, 7]])),
    ] {
        assert!(matches!(parse_video(&body), Err(FlvError::Truncated { .. } | FlvError::Invalid { .. })), "{name}");
    }
}

#[test]
fn unsupported_codecs_are_named() {
    let name = |error| match error {
        FlvError::UnsupportedCodec { name } => name,
        other => panic!("{other:?}"),
    };
    for (body, expected) in [
        (bytes(&[&[0x90], b"vp09", &[0]]), "VP9"),
        (bytes(&[&[0x90], b"vvc1", &[0]]), "VVC"),
        (bytes(&[&[0x90], b"a\n\x1b\xff", &[0]]), "a???"),
        (bytes(&[&[0x90], b"Opus", &[0]]), "Opus"),
        (bytes(&[&[0x12, 0]]), "Sorenson H.263"),
        (bytes(&[&[0x14, 0]]), "VP6"),
        (bytes(&[&[0x1F, 0]]), "with FLV video number 15"),
    ] {
        assert_eq!(name(parse_video(&body).unwrap_err()), expected);
    }
    for (body, expected) in [
        (bytes(&[&[0x90], b"fLaC", &[0]]), "FLAC"),
        (bytes(&[&[0xB2, 0]]), "Speex"),
        (bytes(&[&[0x72, 0]]), "G.711 A-law"),
    ] {
        assert_eq!(name(parse_audio(&body).unwrap_err()), expected);
    }
}

#[test]
fn audio_bodies() {
    let config = |codec, config: &'static [u8]| AudioTag::Config { codec, config: Bytes::from_static(config) };
    let frame = |codec, payload: &'static [u8]| AudioTag::Frame { codec, payload: Bytes::from_static(payload) };
    for (name, body, expected) in [
        ("AAC config", bytes(&[&[0xAF, 0, 0x11, 0x90]]), config(Codec::Aac, &[0x11, 0x90])),
        ("AAC frame", bytes(&[&[0xAF, 1, 9]]), frame(Codec::Aac, &[9])),
        ("AAC frame, empty", bytes(&[&[0xAF, 1]]), AudioTag::Other("empty")),
        ("MP3", bytes(&[&[0x2F, 0xFF, 0xFB]]), frame(Codec::Mp3, &[0xFF, 0xFB])),
        ("MP3 at 8 kHz", bytes(&[&[0xE2, 0xFF]]), frame(Codec::Mp3, &[0xFF])),
        ("nothing", Bytes::new(), AudioTag::Other("empty")),
        ("Opus config", bytes(&[&[0x90], b"Opus", &[7]]), config(Codec::Opus, &[7])),
        ("Opus frame", bytes(&[&[0x91], b"Opus", &[7]]), frame(Codec::Opus, &[7])),
        ("mp4a frame", bytes(&[&[0x91], b"mp4a", &[7]]), frame(Codec::Aac, &[7])),
        ("mp4a end", bytes(&[&[0x92], b"mp4a"]), AudioTag::EndOfSequence),
        (
            "multichannel",
            bytes(&[&[0x94], b"Opus", &[1, 2, 3, 0, 0, 0]]),
            AudioTag::Other("multichannel configuration"),
        ),
        ("ModEx", bytes(&[&[0x97, 2, 0, 1, 0, 0x01], b"Opus", &[7]]), frame(Codec::Opus, &[7])),
        ("one track", bytes(&[&[0x95, 0x01], b"Opus", &[0, 7]]), frame(Codec::Opus, &[7])),
        ("another language", bytes(&[&[0x95, 0x01], b"Opus", &[1, 7]]), AudioTag::Other("another track")),
    ] {
        assert_eq!(parse_audio(&body), Ok(expected), "{name}");
    }
    for body in [bytes(&[&[0xAF]]), bytes(&[&[0xAF, 2, 0]]), bytes(&[&[0x90], b"Op"])] {
        assert!(parse_audio(&body).is_err(), "{body:?}");
    }
}

#[test]
fn payloads_are_not_copied() {
    let body = bytes(&[&[0x91], b"hvc1", &[0, 0, 0], &[7; 100]]);
    let Ok(VideoTag::Frame { payload, .. }) = parse_video(&body) else { panic!() };
    assert_eq!(payload.as_ptr(), body[8..].as_ptr());
}

fn info(codec: Codec) -> TrackInfo {
    TrackInfo::new(TrackId(0), codec, Bytes::from_static(&[1, 2, 3]))
}

#[test]
fn what_is_written_is_read_back() {
    for codec in [Codec::H264, Codec::H265, Codec::Av1] {
        let config = write_video_config(&info(codec), true).unwrap();
        assert_eq!(parse_video(&config), Ok(video_config(codec, &[1, 2, 3])));
        for (keyframe, cts_ms) in [(true, 0), (false, 67), (false, -1), (true, (1 << 23) - 1), (true, -(1 << 23))] {
            let mut out = BytesMut::new();
            write_video_frame(codec, keyframe, cts_ms, &[9; 40], &mut out).unwrap();
            let cts_ms = if codec == Codec::Av1 { 0 } else { cts_ms };
            assert_eq!(parse_video(&out.freeze()), Ok(video_frame(codec, keyframe, cts_ms, &[9; 40])));
        }
    }
    for codec in [Codec::Aac, Codec::Opus, Codec::Mp3] {
        let config = write_audio_config(&info(codec)).unwrap();
        assert_eq!(config.is_none(), codec == Codec::Mp3);
        if let Some(config) = config {
            assert_eq!(parse_audio(&config), Ok(AudioTag::Config { codec, config: info(codec).config }));
        }
        let mut out = BytesMut::new();
        write_audio_frame(codec, &[9; 40], &mut out).unwrap();
        assert_eq!(parse_audio(&out.freeze()), Ok(AudioTag::Frame { codec, payload: Bytes::from_static(&[9; 40]) }));
    }
}

#[test]
fn h264_and_aac_go_the_way_everyone_knows() {
    assert_eq!(write_video_config(&info(Codec::H264), false).unwrap()[..5], [0x17, 0, 0, 0, 0]);
    assert_eq!(*video_frame_header(Codec::H264, true, 67).unwrap(), [0x17, 1, 0, 0, 67]);
    assert_eq!(*video_frame_header(Codec::H264, false, -1).unwrap(), [0x27, 1, 0xFF, 0xFF, 0xFF]);
    assert_eq!(*audio_frame_header(Codec::Aac).unwrap(), [0xAF, 1]);
    assert_eq!(video_frame_header(Codec::H264, true, i32::MAX).unwrap()[2..], [0x7F, 0xFF, 0xFF], "24 bits");
}

#[test]
fn what_cannot_be_written_is_refused() {
    for codec in [Codec::H265, Codec::Av1] {
        assert!(matches!(write_video_config(&info(codec), false), Err(FlvError::NotWritable { .. })));
    }
    assert!(write_video_config(&info(Codec::Aac), true).is_err());
    assert!(video_frame_header(Codec::Opus, true, 0).is_err());
    assert!(write_audio_config(&info(Codec::H264)).is_err());
    assert!(audio_frame_header(Codec::H264).is_err());
}

fn tags() -> Vec<FlvTag> {
    [(FlvTagKind::Script, 0, 30), (FlvTagKind::Video, 0x0123_4567, 70_000), (FlvTagKind::Audio, u32::MAX, 0)]
        .map(|(kind, timestamp_ms, size)| FlvTag { kind, timestamp_ms, body: Bytes::from(vec![7; size]) })
        .to_vec()
}

fn file(tags: &[FlvTag]) -> BytesMut {
    let (mut writer, mut out) = (FlvWriter::new(), BytesMut::new());
    tags.iter().for_each(|tag| writer.write(&mut out, tag).unwrap());
    out
}

#[test]
fn files_go_and_come_in_any_pieces() {
    for piece in [1, 7, 4_096, 1 << 20] {
        let (mut reader, mut got) = (FlvReader::new(), Vec::new());
        for piece in file(&tags()).chunks(piece) {
            reader.feed(piece);
            while let Some(tag) = reader.next_tag().unwrap() {
                got.push(tag);
            }
        }
        assert_eq!(got, tags());
    }
}

#[test]
fn files_keep_their_limits() {
    let mut reader = FlvReader::new();
    reader.feed(&[b'F', b'L', b'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]);
    let over = u32::try_from(TAG_BYTES_MAX + 1).unwrap().to_be_bytes();
    reader.feed(&[9, over[1], over[2], over[3], 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(reader.next_tag(), Err(FlvError::TooLong { bytes: TAG_BYTES_MAX + 1, max: TAG_BYTES_MAX }));
    let long = FlvTag { kind: FlvTagKind::Video, timestamp_ms: 0, body: vec![0; TAG_BYTES_MAX + 1].into() };
    assert!(FlvWriter::new().write(&mut BytesMut::new(), &long).is_err());
    for header in [&b"MP4\x01\x05\0\0\0\x09\0\0\0\0"[..], b"FLV\x01\x05\0\0\0\x08\0\0\0\0", b"FLV\x01\x05\xff\0\0\x08"]
    {
        let mut reader = FlvReader::new();
        reader.feed(header);
        assert!(reader.next_tag().is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_bytes_break_the_tag_parsers(first in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..64), known in any::<bool>()) {
        let four_cc: &[u8] = if known { b"hvc1" } else { b"" };
        let body = bytes(&[&[first], four_cc, &rest]);
        if let Ok(VideoTag::Frame { payload, .. } | VideoTag::Config { config: payload, .. }) = parse_video(&body) {
            prop_assert!(payload.len() < body.len());
        }
        if let Ok(AudioTag::Frame { payload, .. } | AudioTag::Config { config: payload, .. }) = parse_audio(&body) {
            prop_assert!(payload.len() < body.len());
        }
    }

    #[test]
    fn no_bytes_break_the_file_reader(mut data in prop::collection::vec(any::<u8>(), 0..200), valid in any::<bool>()) {
        if valid {
            data.splice(0..0, [b'F', b'L', b'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]);
        }
        let mut reader = FlvReader::new();
        for piece in data.chunks(9) {
            reader.feed(piece);
            while let Ok(Some(tag)) = reader.next_tag() {
                prop_assert!(tag.body.len() <= data.len());
            }
        }
    }
}

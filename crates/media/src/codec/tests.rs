//! Configuration records as real encoders write them, and broken ones.

use proptest::prelude::*;

use super::*;
use crate::{MediaKind, VideoFormat};

/// x264, High, 1080p (cropped from 1088) at 30000/1001 with two B-frames.
const X264_HIGH: &str = "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800";
const X264_BASELINE: &str = "0142c01effe100196742c01ed900a02ff97011000003000100000300320f162e4801000568cb83cb20";
const X264_HIGH_422_10: &str =
    "017a0020ffe1001a677a0020b6cd9405005bb011000003000100000300640f18319601000668ebe3cb22c0fefafa00";
const X265_MAIN: &str = "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003007895\
    9809a10001002a420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000f04a20001\
    00074401c172b46240";
const X265_MAIN_10: &str = "0102200000009000000000005af000fcfdfafa00000f03a00001001840010c01ffff02200000030090000003000003005a\
    959809a10001002a42010102200000030090000003000003005aa006b201e1d6d96566924caf01680800001f480002ee0040a200\
    0100074401c172b46240";
const AOM_MAIN: &str = "81010c000a0b0000000cc4ff6736be4010";

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter_map(|byte| char::from(byte).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn video(codec: Codec, config: &str) -> VideoFormat {
    parse(codec, TrackId::SOURCE_VIDEO, hex(config)).unwrap().video.unwrap()
}

fn audio(config: &str) -> AudioFormat {
    parse(Codec::Aac, TrackId::SOURCE_AUDIO, hex(config)).unwrap().audio.unwrap()
}

#[test]
fn h264_records() {
    for (config, expected) in [
        (X264_HIGH, ((1920, 1080), Some((30_000, 1_001)), "High", "4.0", 8, Some(2), "avc1.640028")),
        (X264_BASELINE, ((640, 360), Some((25, 1)), "Constrained Baseline", "3.0", 8, Some(0), "avc1.42c01e")),
        (X264_HIGH_422_10, ((1280, 720), Some((50, 1)), "High 4:2:2", "3.2", 10, Some(2), "avc1.7a0020")),
    ] {
        assert_video(Codec::H264, config, expected);
    }
}

#[test]
fn hevc_records() {
    for (config, expected) in [
        (X265_MAIN, ((1920, 1080), Some((30, 1)), "Main", "4.0", 8, Some(2), "hvc1.1.6.L120.90")),
        (X265_MAIN_10, ((854, 480), Some((24_000, 1_001)), "Main 10", "3.0", 10, Some(2), "hvc1.2.4.L90.90")),
    ] {
        assert_video(Codec::H265, config, expected);
    }
}

#[test]
fn hevc_records_are_built_as_they_are_read() {
    for config in [X265_MAIN, X265_MAIN_10] {
        let record = h265::HevcConfig::parse(&hex(config)).unwrap();
        let built = h265::HevcConfig::build(&record.vps, &record.sps, &record.pps).unwrap();
        assert_eq!(h265::HevcConfig::parse(&built).unwrap(), record);
        assert_eq!(video(Codec::H265, config), parse(Codec::H265, TrackId(0), built).unwrap().video.unwrap());
    }
    assert!(h265::HevcConfig::build(&[], &[], &[]).is_err());
}

#[test]
fn av1_records() {
    assert_video(Codec::Av1, AOM_MAIN, ((640, 360), None, "Main", "2.1", 8, Some(0), "av01.0.01M.08"));
    // The record may leave the sequence header to the stream.
    assert_video(Codec::Av1, "81010c00", ((0, 0), None, "Main", "2.1", 8, Some(0), "av01.0.01M.08"));
    assert_video(Codec::Av1, "81096c00", ((0, 0), None, "Main", "4.1", 12, Some(0), "av01.0.09M.12"));
}

#[test]
fn av1_records_are_built_of_what_encoders_give() {
    // This unit has a delimiter, the sequence header, a frame of three bytes, padding, and a last frame without a size.
    let unit =
        hex("12000a0b0000000cc4ff6736be4010").iter().chain(&hex("3203aabbcc7a0100300102")).copied().collect::<Vec<_>>();
    let read = obu::TemporalUnit::read(&unit).unwrap();
    assert_eq!(read.config, Some(hex(AOM_MAIN)));
    assert_eq!(read.payload, hex("0a0b0000000cc4ff6736be40103203aabbcc32020102"));
    assert_eq!(obu::TemporalUnit::read(&hex("12003203aabbcc")).unwrap().config, None);
    let long = [&[0x30_u8][..], &[7; 300]].concat();
    let sized = obu::TemporalUnit::read(&long).unwrap().payload;
    assert_eq!(sized[..3], [0x32, 0xAC, 0x02]);
    assert_eq!(obu::TemporalUnit::read(&sized).unwrap().payload, sized);
    for length in 1..unit.len() {
        let _ = obu::TemporalUnit::read(&unit[..length]);
    }
    assert!(obu::TemporalUnit::read(&hex("32ff")).is_err());
}

type Expected<'a> = ((u32, u32), Option<(u32, u32)>, &'a str, &'a str, u8, Option<u8>, &'a str);

fn assert_video(codec: Codec, config: &str, expected: Expected<'_>) {
    let got = video(codec, config);
    let flat = (
        (got.width, got.height),
        got.fps,
        got.profile.as_str(),
        got.level.as_str(),
        got.bit_depth,
        got.reorder_frames,
        got.codec_string.as_str(),
    );
    assert_eq!(flat, expected);
}

#[test]
fn aac_records() {
    for (config, (rate, channels, profile, samples, codec_string)) in [
        ("1190", (48_000, 2, "LC", 1024, "mp4a.40.2")),
        ("1210", (44_100, 2, "LC", 1024, "mp4a.40.2")),
        ("1208", (44_100, 1, "LC", 1024, "mp4a.40.2")),
        ("11b0", (48_000, 6, "LC", 1024, "mp4a.40.2")),
        ("1194", (48_000, 2, "LC", 960, "mp4a.40.2")),
        // ffmpeg writes this: the extension behind the end says "no SBR".
        ("119056e500", (48_000, 2, "LC", 1024, "mp4a.40.2")),
        // SBR is announced behind the end: 24 kHz becomes 48.
        ("131056e598", (48_000, 2, "HE-AAC", 2048, "mp4a.40.5")),
        // SBR over LC of 24 kHz is told openly, and so is PS over mono.
        ("2b118800", (48_000, 2, "HE-AAC", 2048, "mp4a.40.5")),
        ("eb098800", (48_000, 2, "HE-AAC v2", 2048, "mp4a.40.29")),
        // This rate is not in the table: 15, then 24 bits.
        ("17805dc010", (48_000, 2, "LC", 1024, "mp4a.40.2")),
    ] {
        let got = audio(config);
        let flat =
            (got.sample_rate_hz, got.channels, got.profile.as_str(), got.frame_samples, got.codec_string.as_str());
        assert_eq!(flat, (rate, channels, profile, Some(samples), codec_string), "{config}");
    }
}

#[test]
fn aac_lc_is_built_as_it_is_read() {
    assert_eq!(aac::AacConfig::build_lc(48_000, 2).unwrap(), hex("1190"));
    assert_eq!(aac::AacConfig::build_lc(44_100, 1).unwrap(), hex("1208"));
    assert!(aac::AacConfig::build_lc(44_000, 2).is_err());
    assert!(aac::AacConfig::build_lc(48_000, 7).is_err());
}

#[test]
fn adts_headers_go_and_come() {
    for (rate, channels, bytes) in [(48_000, 2, 0), (44_100, 1, 300), (8_000, 8, 8_184)] {
        let config = aac::AacConfig::parse(&aac::AacConfig::build_lc(rate, channels).unwrap()).unwrap();
        let header = aac::adts_header(&config, bytes).unwrap();
        let read = aac::AdtsHeader::parse(&header).unwrap();
        assert_eq!((read.sample_rate_hz, read.header_bytes, read.frame_bytes), (rate, 7, bytes + 7));
        assert_eq!(aac::AacConfig::parse(&read.audio_specific_config()).unwrap(), config);
    }
    let config = aac::AacConfig::parse(&hex("1190")).unwrap();
    assert!(aac::adts_header(&config, 8_185).is_err(), "13 bits of length");
    for broken in ["fff1", "00f15080000000", "fff1508000001c", "fff17c80021ffc", "fff15080021ffd"] {
        assert!(aac::AdtsHeader::parse(&hex(broken)).is_err(), "{broken}");
    }
}

#[test]
fn opus_heads() {
    let head = opus::opus_head(2, 312).unwrap();
    let info = parse(Codec::Opus, TrackId::SOURCE_AUDIO, head.clone()).unwrap();
    assert_eq!(info.kind(), MediaKind::Audio);
    let format = info.audio.unwrap();
    assert_eq!((format.sample_rate_hz, format.channels, format.codec_string.as_str()), (48_000, 2, "opus"));
    for (at, value) in [(0, b'o'), (8, 0x10), (9, 0), (9, 3), (18, 1)] {
        let mut broken = head.to_vec();
        broken[at] = value;
        assert!(parse(Codec::Opus, TrackId::SOURCE_AUDIO, broken.into()).is_err(), "byte {at} = {value}");
    }
}

#[test]
fn mp3_needs_no_configuration() {
    let info = parse(Codec::Mp3, TrackId::SOURCE_AUDIO, Bytes::from_static(&[1, 2])).unwrap();
    assert!(info.config.is_empty());
}

#[test]
fn avcc_is_built_as_it_is_read() {
    for config in [X264_HIGH, X264_BASELINE, X264_HIGH_422_10] {
        let config = hex(config);
        let record = h264::AvcConfig::parse(&config).unwrap();
        assert_eq!(record.length_size, 4);
        assert_eq!(h264::AvcConfig::build(&record.sps, &record.pps).unwrap(), config);
    }
    assert_eq!(h264::AvcConfig::build(&[], &[]), Err(CodecError::Missing { what: "SPS" }));
    let record = h264::AvcConfig::parse(&hex(X264_BASELINE)).unwrap();
    assert!(h264::AvcConfig::build(&vec![record.sps[0].clone(); 32], &record.pps).is_err(), "5 bits of count");
    assert!(h264::AvcConfig::build(&record.sps, &vec![record.pps[0].clone(); 256]).is_err(), "8 bits of count");
}

#[test]
fn pictures_tell_what_they_are() {
    // A slice begins with first_mb_in_slice 0 ("1") and slice_type.
    for (payload, keyframe, kind) in [
        ("00000002 0910 00000003 65b800", true, Some(h264::SliceKind::I)),
        ("00000002 0910 00000003 6588", false, None),
        ("00000002 6588", true, Some(h264::SliceKind::I)),
        ("00000002 419a", false, Some(h264::SliceKind::P)),
        ("00000002 019e", false, Some(h264::SliceKind::B)),
        ("00000002 0910", false, None),
        ("00000000 00000002 41e0", false, Some(h264::SliceKind::P)),
        ("", false, None),
    ] {
        let payload = hex(payload);
        assert_eq!((h264::is_keyframe(&payload), h264::slice_kind(&payload)), (keyframe, kind), "{payload:?}");
    }
    for (payload, keyframe) in [("00000003 260180", true), ("00000003 2a0180", true), ("00000003 020180", false)] {
        assert_eq!(h265::is_keyframe(&hex(payload)), keyframe, "{payload}");
    }
}

#[test]
fn limits_hold() {
    let long = |bytes: usize| Bytes::from(vec![1; bytes]);
    for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Aac, Codec::Opus] {
        let error = parse(codec, TrackId(0), long(CONFIG_BYTES_MAX + 1)).unwrap_err();
        assert!(matches!(error, CodecError::TooLong { .. }), "{codec}: {error}");
        let at_limit = parse(codec, TrackId(0), long(CONFIG_BYTES_MAX));
        assert!(!matches!(at_limit, Err(CodecError::TooLong { bytes, .. }) if bytes == CONFIG_BYTES_MAX), "{codec}");
    }
    let side = u64::from(PICTURE_SIDE_MAX);
    assert!(check_picture_size("a test", side, 1).is_ok());
    for (width, height) in [(side + 1, 1), (1, side + 1), (0, 1), (1, 0), (u64::MAX, 1)] {
        assert!(check_picture_size("a test", width, height).is_err(), "{width}x{height}");
    }
}

#[test]
fn every_cut_record_is_an_error_or_less() {
    for (codec, config) in
        [(Codec::H264, X264_HIGH), (Codec::H265, X265_MAIN), (Codec::Av1, AOM_MAIN), (Codec::Aac, "2b118800")]
    {
        let config = hex(config);
        for length in 0..config.len() {
            let cut = parse(codec, TrackId(0), config.slice(..length));
            if length < 2 {
                assert!(cut.is_err(), "{codec} of {length} bytes");
            }
        }
    }
}

fn exercise(codec: Codec, data: &Bytes) {
    if let Ok(info) = parse(codec, TrackId(0), data.clone())
        && let Some(video) = info.video
    {
        assert!(video.width <= PICTURE_SIDE_MAX && video.height <= PICTURE_SIDE_MAX);
    }
    let _ = (h264::is_keyframe(data), h264::slice_kind(data), h265::is_keyframe(data), aac::AdtsHeader::parse(data));
    for length_size in 1..=4 {
        if let Ok(payload) = nal::with_four_byte_lengths(data.clone(), length_size) {
            assert!(nal::length_prefixed(&payload, 4).all(|unit| unit.is_ok()));
        }
    }
    let again = nal::annex_b_to_lengths(data);
    assert_eq!(nal::length_prefixed(&again, 4).filter_map(Result::ok).count(), nal::annex_b(data).count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_break_the_parsers(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let data = Bytes::from(data);
        for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Aac, Codec::Opus, Codec::Mp3] {
            exercise(codec, &data);
        }
    }

    /// Real records with some bytes changed reach further than random ones.
    #[test]
    fn no_damage_breaks_the_parsers(
        which in 0..7_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (codec, config) = [
            (Codec::H264, X264_HIGH), (Codec::H264, X264_BASELINE), (Codec::H264, X264_HIGH_422_10),
            (Codec::H265, X265_MAIN), (Codec::H265, X265_MAIN_10), (Codec::Av1, AOM_MAIN), (Codec::Aac, "eb098800"),
        ][which];
        let mut data = hex(config).to_vec();
        for (at, value) in damage {
            let at = at.index(data.len());
            data[at] = value;
        }
        exercise(codec, &data.into());
    }
}

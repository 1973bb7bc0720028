//! The boxes are read back here by another reader; real decoders judge them in the tests of `weir-packager`.

use bytes::Bytes;
use weir_media::codec::{self, aac::AacConfig, opus};
use weir_media::{AudioFormat, Codec, MediaKind, TrackId, TrackInfo, VideoFormat};

use super::*;

/// The boxes of `data` as (kind, body). `None` if the sizes do not add up.
fn boxes(mut data: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let size = u32::from_be_bytes(data.get(..4)?.try_into().ok()?) as usize;
        let kind = String::from_utf8(data.get(4..8)?.to_vec()).ok()?;
        found.push((kind, data.get(8..size)?));
        data = &data[size..];
    }
    Some(found)
}

/// Follows a path like "moov/trak/mdia", through plain boxes only.
fn inside<'a>(data: &'a [u8], path: &str) -> &'a [u8] {
    path.split('/').fold(data, |data, kind| {
        let found = boxes(data).expect("sizes add up");
        found.iter().find(|(name, _)| name == kind).unwrap_or_else(|| panic!("no {kind} in {path}")).1
    })
}

fn be32(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap())
}

fn video(codec: Codec, config: &'static [u8]) -> TrackInfo {
    let video = VideoFormat { width: 1280, height: 720, ..VideoFormat::default() };
    TrackInfo::picture(TrackId(0), codec, Bytes::from_static(config), video)
}

fn aac(rate_hz: u32) -> TrackInfo {
    codec::parse(Codec::Aac, TrackId(1), AacConfig::build_lc(rate_hz, 2).unwrap()).unwrap()
}

#[test]
fn each_codec_has_its_sample_entry() {
    let opus = codec::parse(Codec::Opus, TrackId(1), opus::opus_head(2, 312).unwrap()).unwrap();
    let mp3_format = AudioFormat { sample_rate_hz: 44_100, channels: 2, ..AudioFormat::default() };
    let mp3 = TrackInfo::sound(TrackId(1), Codec::Mp3, Bytes::new(), mp3_format);
    for (track, entry_kind, config_kind, entry_bytes, timescale) in [
        (video(Codec::H264, b"avc config"), "avc1", "avcC", 78, 90_000),
        (video(Codec::H265, b"hevc config"), "hvc1", "hvcC", 78, 90_000),
        (video(Codec::Av1, b"av1 config"), "av01", "av1C", 78, 90_000),
        (aac(44_100), "mp4a", "esds", 28, 44_100),
        (aac(96_000), "mp4a", "esds", 28, 96_000),
        (mp3, "mp4a", "esds", 28, 44_100),
        (opus, "Opus", "dOps", 28, 48_000),
    ] {
        let init = init_segment(&track).unwrap();
        assert_eq!(super::timescale(&track), timescale, "{entry_kind}");
        assert_eq!(be32(inside(&init, "moov/trak/mdia/mdhd"), 12), timescale, "{entry_kind}");
        let entries = &inside(&init, "moov/trak/mdia/minf/stbl/stsd")[8..];
        let (kind, entry) = &boxes(entries).unwrap()[0];
        assert_eq!(kind, entry_kind);
        let (kind, config) = &boxes(&entry[entry_bytes..]).unwrap()[0];
        assert_eq!(kind, config_kind);
        match track.codec {
            Codec::Aac => {
                let tail = [&[5, 0x80, 0x80, 0x80, track.config.len() as u8], &track.config[..], &[6, 0x80]].concat();
                assert!(config.windows(tail.len()).any(|window| window == tail), "{config:02x?}");
            }
            // These are version 0, 2 channels, pre-skip 312, 48 kHz, gain 0 and family 0.
            Codec::Opus => assert_eq!(*config, &[0, 2, 1, 56, 0, 0, 0xBB, 0x80, 0, 0, 0]),
            Codec::Mp3 => assert!(!config.contains(&5), "no configuration where there is none"),
            _ => assert_eq!(*config, &track.config[..]),
        }
        assert_eq!(be32(inside(&init, "moov/mvex/trex"), 4), TRACK_ID);
    }
}

#[test]
fn what_cannot_be_decoded_is_not_written() {
    let no_config = video(Codec::H264, b"");
    let no_format = TrackInfo { video: None, ..video(Codec::H264, b"x") };
    let short_opus = TrackInfo { codec: Codec::Opus, config: Bytes::from_static(b"OpusHead"), ..aac(48_000) };
    for (track, expected) in [
        (no_config, Fmp4Error::NoConfiguration { codec: Codec::H264 }),
        (no_format, Fmp4Error::NoFormat { codec: Codec::H264 }),
        (short_opus, Fmp4Error::NoConfiguration { codec: Codec::Opus }),
        (TrackInfo { config: Bytes::new(), ..aac(48_000) }, Fmp4Error::NoConfiguration { codec: Codec::Aac }),
        (TrackInfo { audio: None, ..aac(48_000) }, Fmp4Error::NoFormat { codec: Codec::Aac }),
    ] {
        assert_eq!(init_segment(&track), Err(expected));
    }
}

#[test]
fn a_chunk_tells_times_sizes_and_where_its_data_is() {
    let samples = [
        Sample { duration_ticks: 3000, composition_offset_ticks: 6000, keyframe: true, payload: "key".into() },
        Sample { duration_ticks: 3003, composition_offset_ticks: -1, keyframe: false, payload: "other".into() },
    ];
    let decode_ticks = (1 << 33) + 7;
    let chunk_of = |kind| chunk(kind, 9, decode_ticks, &samples);

    let chunk = chunk_of(MediaKind::Video);
    assert_eq!(be32(inside(&chunk, "moof/mfhd"), 4), 9);
    assert_eq!(inside(&chunk, "moof/traf/tfdt")[4..], decode_ticks.to_be_bytes());
    let trun = inside(&chunk, "moof/traf/trun");
    let rows: Vec<u32> = (4..trun.len()).step_by(4).map(|at| be32(trun, at)).collect();
    let data_offset = rows[1] as usize;
    assert_eq!(rows, [2, data_offset as u32, 3000, 3, 0x0200_0000, 6000, 3003, 5, 0x0101_0000, u32::MAX]);
    assert_eq!(&chunk[data_offset..], b"keyother");
    assert_eq!(inside(&chunk, "mdat"), b"keyother");

    let chunk = chunk_of(MediaKind::Audio);
    let trun = inside(&chunk, "moof/traf/trun");
    let rows: Vec<u32> = (4..trun.len()).step_by(4).map(|at| be32(trun, at)).collect();
    assert_eq!(rows, [2, rows[1], 3000, 3, 3003, 5], "sound needs no flags and no composition times");
    assert_eq!(&chunk[rows[1] as usize..], b"keyother");
}

#[test]
fn an_empty_chunk_is_still_well_formed() {
    let chunk = chunk(MediaKind::Video, 0, 0, &[]);
    assert_eq!(boxes(&chunk).unwrap().len(), 2);
}

#[test]
fn what_was_written_is_read_back() {
    let samples_of = |kind, count: u8| -> Vec<Sample> {
        let sample = |number: u8| Sample {
            duration_ticks: 3000 + u32::from(number),
            composition_offset_ticks: if kind == MediaKind::Video { i32::from(number) * 1500 } else { 0 },
            keyframe: kind == MediaKind::Audio || number == 0,
            payload: Bytes::from(vec![number; usize::from(number) * 10]),
        };
        (0..count).map(sample).collect()
    };
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let parts = [samples_of(kind, 5), samples_of(kind, 3)];
        let second_ticks = (1 << 33) + 3000 * 5 + 10;
        let data = [chunk(kind, 1, 1 << 33, &parts[0]), chunk(kind, 2, second_ticks, &parts[1])].concat();
        let segment = Bytes::from(data);
        let read = samples(&segment).unwrap();
        assert_eq!((read[0].decode_ticks, read[5].decode_ticks), (1 << 33, second_ticks));
        assert_eq!(read[4].decode_ticks, (1 << 33) + 3000 * 4 + 6);
        let written: Vec<&Sample> = parts.iter().flatten().collect();
        assert_eq!(read.iter().map(|timed| &timed.sample).collect::<Vec<_>>(), written);
        for cut in 0..segment.len() {
            let whole = chunk(kind, 1, 1 << 33, &parts[0]).len();
            assert_eq!(samples(&segment.slice(..cut)).is_ok(), cut == 0 || cut == whole, "{cut}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_reader(changes in proptest::collection::vec((0..400_usize, 0..=255_u8), 1..9)) {
        let payload = Bytes::from_static(&[7; 100]);
        let sample = Sample { duration_ticks: 1, composition_offset_ticks: 0, keyframe: true, payload };
        let mut data = chunk(MediaKind::Video, 1, 0, &[sample.clone(), sample]).to_vec();
        for (at, byte) in changes {
            let at = at % data.len();
            data[at] = byte;
        }
        if let Ok(read) = samples(&data.into()) {
            proptest::prop_assert!(read.len() < 400);
        }
    }
}

//! Reads decoder configuration records and the bitstream headers beside them.

use bytes::{Bytes, BytesMut};
use weir_media::codec::{PICTURE_SIDE_MAX, aac, ac3, h264, h265, mpeg_audio, mpeg2, nal, parse, vpx};
use weir_media::{Codec, TrackId};

use crate::broadcast;
use crate::random::Random;

/// The first byte picks the codec. The rest is its record, and is tried as a payload too.
pub fn fuzz_codec_config(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let data = Bytes::copy_from_slice(data);
    let codec = Codec::ALL[usize::from(first) % Codec::ALL.len()];
    match parse(codec, TrackId(0), data.clone()) {
        Ok(info) => {
            assert!(info.config == data || codec == Codec::Mp3, "the record was changed");
            if let Some(video) = info.video {
                assert!(video.width <= PICTURE_SIDE_MAX && video.height <= PICTURE_SIDE_MAX, "a picture too large");
            }
        }
        // The text goes into logs and events, so it must be short.
        Err(error) => assert!(error.to_string().len() < 400, "a long error"),
    }
    if let Ok(record) = h264::AvcConfig::parse(&data)
        && let Ok(built) = h264::AvcConfig::build(&record.sps, &record.pps)
    {
        let again = h264::AvcConfig::parse(&built);
        assert!(again == Ok(h264::AvcConfig { length_size: 4, ..record }), "built as it was not read");
    }
    payload(&data, first);
}

fn broadcast_payload(data: &Bytes) {
    if let Ok(header) = ac3::Ac3Header::parse(data) {
        assert!((1..=8).contains(&header.channels) && header.samples > 0 && header.frame_bytes > 0, "no sound");
        let unit = data.get(..header.frame_bytes).unwrap_or(data);
        if let Ok(record) = ac3::record(unit) {
            assert!(parse(header.codec, TrackId(0), record).is_ok(), "a record that can't be read");
        }
    }
    if let Some(header) = mpeg_audio::MpegAudioHeader::parse(data) {
        let again = mpeg_audio::MpegAudioHeader::parse(&header.record());
        assert!(again.is_some_and(|again| again.record() == header.record()), "a record that is another");
    }
    assert!(mpeg2::start_codes(data).all(|(_, at)| at + 4 <= data.len()), "a start code beyond the end");
    let _ = (mpeg2::sequence_of(data), mpeg2::is_intra(data), mpeg2::is_field(data));
}

fn payload(data: &Bytes, first: u8) {
    let _ = (h264::is_keyframe(data), h264::slice_kind(data), h265::is_keyframe(data), aac::AdtsHeader::parse(data));
    broadcast_payload(data);
    for codec in [Codec::Vp8, Codec::Vp9] {
        if let Ok(Some(record)) = vpx::record(codec, data) {
            assert!(parse(codec, TrackId(0), record).is_ok(), "a record that can't be read");
        }
    }
    if let Ok(normal) = nal::with_four_byte_lengths(data.clone(), first % 6) {
        let mut annex_b = BytesMut::new();
        assert!(nal::lengths_to_annex_b(&normal, &mut annex_b).is_ok(), "normalised, and still broken");
    }
    let lengths = nal::annex_b_to_lengths(data);
    let units = nal::annex_b(data).count();
    if units <= nal::NAL_UNITS_MAX {
        assert!(nal::length_prefixed(&lengths, 4).flatten().count() == units, "a NAL unit was lost");
    }
}

/// Frames of broadcast: the seeds are records of the others.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut input = vec![random.below(256) as u8];
    input.extend(broadcast::frame(random));
    input
}

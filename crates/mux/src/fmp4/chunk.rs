//! A CMAF chunk: `moof` with the samples' times and sizes, `mdat` with their bytes.

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::MediaKind;

use super::TRACK_ID;
use super::boxes::{put_box, put_full_box};

/// One coded picture or packet of sound, with its place in time in ticks of the track's timescale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub duration_ticks: u32,
    /// Presentation time minus decode time. It is signed, because `trun` version 1 is written.
    pub composition_offset_ticks: i32,
    pub keyframe: bool,
    pub payload: Bytes,
}

/// The flag `default-base-is-moof`: CMAF demands that data offsets count from the `moof`.
const TFHD_BASE_IS_MOOF: u32 = 0x02_0000;
const TFHD_DEFAULT_FLAGS: u32 = 0x20;

const TRUN_DATA_OFFSET: u32 = 0x1;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;

/// The flags of a sample that depends on no other (`sample_depends_on` = 2).
const SYNC_SAMPLE: u32 = 0x0200_0000;
/// The flags of any other sample: `sample_depends_on` = 1, and the bit "is no sync sample".
const OTHER_SAMPLE: u32 = 0x0101_0000;

/// The bytes that do not belong to a sample: mfhd, tfhd, tfdt, trun and mdat take 100 with their headers.
const FIXED_BYTES: usize = 128;
const SAMPLE_ROW_BYTES: usize = 16;

/// One `moof` and `mdat` of a track of that kind. `sequence` rises with every chunk of the track; `decode_ticks` is the decode
/// time of the first sample.
pub fn chunk(kind: MediaKind, sequence: u32, decode_ticks: u64, samples: &[Sample]) -> Bytes {
    track_chunk(TRACK_ID, kind, sequence, decode_ticks, samples)
}

/// The same chunk without the bytes of its samples, which follow one another behind it. The caller copies them later, or never.
pub fn chunk_head(kind: MediaKind, sequence: u32, decode_ticks: u64, samples: &[Sample]) -> Bytes {
    put_head(TRACK_ID, kind, sequence, decode_ticks, samples, 0).freeze()
}

/// The same chunk for a file with several tracks.
pub fn track_chunk(track_id: u32, kind: MediaKind, sequence: u32, decode_ticks: u64, samples: &[Sample]) -> Bytes {
    let mut out = put_head(track_id, kind, sequence, decode_ticks, samples, data_bytes(samples));
    for sample in samples {
        out.put_slice(&sample.payload);
    }
    out.freeze()
}

fn data_bytes(samples: &[Sample]) -> usize {
    samples.iter().map(|sample| sample.payload.len()).sum()
}

fn put_head(
    track_id: u32,
    kind: MediaKind,
    sequence: u32,
    decode_ticks: u64,
    samples: &[Sample],
    room_bytes: usize,
) -> BytesMut {
    let mut out = BytesMut::with_capacity(FIXED_BYTES + samples.len() * SAMPLE_ROW_BYTES + room_bytes);
    let mut offset_at = 0;
    put_box(&mut out, b"moof", |out| {
        put_full_box(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        put_box(out, b"traf", |out| {
            put_full_box(out, b"tfhd", 0, TFHD_BASE_IS_MOOF | TFHD_DEFAULT_FLAGS, |out| {
                out.put_u32(track_id);
                out.put_u32(if kind == MediaKind::Audio { SYNC_SAMPLE } else { OTHER_SAMPLE });
            });
            put_full_box(out, b"tfdt", 1, 0, |out| out.put_u64(decode_ticks));
            offset_at = put_trun(out, kind, samples);
        });
    });
    // The data begins after mdat's own header.
    let data_offset = u32::try_from(out.len() + 8).unwrap_or(u32::MAX);
    out[offset_at..offset_at + 4].copy_from_slice(&data_offset.to_be_bytes());
    out.put_u32(u32::try_from(8 + data_bytes(samples)).unwrap_or(u32::MAX));
    out.put_slice(b"mdat");
    out
}

/// Writes the table of samples, and returns where the data offset has to be written. Sound needs neither flags nor composition times.
fn put_trun(out: &mut BytesMut, kind: MediaKind, samples: &[Sample]) -> usize {
    let pictures = kind == MediaKind::Video;
    let columns =
        TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE | if pictures { TRUN_FLAGS | TRUN_COMPOSITION } else { 0 };
    let mut offset_at = 0;
    put_full_box(out, b"trun", 1, columns, |out| {
        out.put_u32(u32::try_from(samples.len()).unwrap_or(u32::MAX));
        offset_at = out.len();
        out.put_u32(0);
        for sample in samples {
            out.put_u32(sample.duration_ticks);
            out.put_u32(u32::try_from(sample.payload.len()).unwrap_or(u32::MAX));
            if pictures {
                out.put_u32(if sample.keyframe { SYNC_SAMPLE } else { OTHER_SAMPLE });
                out.put_i32(sample.composition_offset_ticks);
            }
        }
    });
    offset_at
}

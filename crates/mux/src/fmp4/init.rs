//! The initialisation segment: what a decoder needs to know of one track before the first chunk.

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::{Codec, Language, TrackInfo};

use super::boxes::{put_box, put_descriptor, put_full_box};
use super::{Fmp4Error, TRACK_ID, timescale};

/// The language "und", with five bits a letter.
const LANGUAGE_UNDETERMINED: u16 = 0x55C4;
/// The number 1.0 in 16.16.
const UNITY: u32 = 0x1_0000;
/// The unity matrix of ISO 14496-12, 8.2.2.
const MATRIX: [u32; 9] = [UNITY, 0, 0, 0, UNITY, 0, 0, 0, 0x4000_0000];
/// A resolution of 72 dpi in 16.16, as everyone writes it.
const RESOLUTION_72_DPI: u32 = 0x48_0000;
/// The flags of a track that is enabled, in the movie, and in the preview.
const TRACK_FLAGS: u32 = 7;

/// The boxes `ftyp` and `moov` of one track.
pub fn init_segment(track: &TrackInfo) -> Result<Bytes, Fmp4Error> {
    movie(&[track])
}

/// The boxes `ftyp` and `moov` of a file with several tracks, whose ids are 1, 2, ... in the order of `tracks`.
pub fn movie(tracks: &[&TrackInfo]) -> Result<Bytes, Fmp4Error> {
    let numbered = || (TRACK_ID..).zip(tracks);
    let entries: Vec<BytesMut> = tracks.iter().map(|track| sample_entry(track)).collect::<Result<_, _>>()?;
    let movie_timescale = tracks.first().map_or(1, |track| timescale(track));
    let mut out = BytesMut::with_capacity(1024);
    put_box(&mut out, b"ftyp", |out| {
        out.put_slice(b"iso6");
        out.put_u32(0);
        // CMAF allows one track a file, so its brand is left out if there are several.
        out.put_slice(if tracks.len() == 1 { b"iso6cmfcmp41" } else { b"iso6iso5mp41" });
    });
    put_box(&mut out, b"moov", |out| {
        put_full_box(out, b"mvhd", 0, 0, |out| {
            put_times(out, movie_timescale);
            out.put_u32(UNITY);
            out.put_u16(0x0100);
            out.put_bytes(0, 10);
            put_matrix(out);
            out.put_bytes(0, 24);
            out.put_u32(TRACK_ID + u32::try_from(tracks.len()).unwrap_or(1));
        });
        for ((id, track), entry) in numbered().zip(&entries) {
            put_box(out, b"trak", |out| {
                put_track_header(out, id, track);
                put_box(out, b"mdia", |out| put_media(out, track, timescale(track), entry));
            });
        }
        put_box(out, b"mvex", |out| {
            for (id, _) in numbered() {
                put_full_box(out, b"trex", 0, 0, |out| {
                    out.put_u32(id);
                    // This is the first and only sample entry. There are no default duration, size or flags.
                    out.put_u32(1);
                    out.put_bytes(0, 12);
                });
            }
        });
    });
    Ok(out.freeze())
}

/// Writes the times of creation and modification (unknown), the timescale, and the duration (open).
fn put_times(out: &mut BytesMut, timescale: u32) {
    out.put_u64(0);
    out.put_u32(timescale);
    out.put_u32(0);
}

fn put_matrix(out: &mut BytesMut) {
    for value in MATRIX {
        out.put_u32(value);
    }
}

fn put_track_header(out: &mut BytesMut, id: u32, track: &TrackInfo) {
    put_full_box(out, b"tkhd", 0, TRACK_FLAGS, |out| {
        out.put_u64(0);
        out.put_u32(id);
        out.put_bytes(0, 4 + 4 + 8 + 2 + 2);
        // The volume is 1.0 for sound and 0 for pictures.
        out.put_u16(if track.audio.is_some() { 0x0100 } else { 0 });
        out.put_u16(0);
        put_matrix(out);
        let (width, height) = track.video.as_ref().map_or((0, 0), |video| (video.width, video.height));
        out.put_u32(width.min(0xFFFF) << 16);
        out.put_u32(height.min(0xFFFF) << 16);
    });
}

fn put_media(out: &mut BytesMut, track: &TrackInfo, timescale: u32, entry: &[u8]) {
    let pictures = track.video.is_some();
    put_full_box(out, b"mdhd", 0, 0, |out| {
        put_times(out, timescale);
        out.put_u16(track.language.map_or(LANGUAGE_UNDETERMINED, packed));
        out.put_u16(0);
    });
    put_full_box(out, b"hdlr", 0, 0, |out| {
        out.put_u32(0);
        out.put_slice(if pictures { b"vide" } else { b"soun" });
        out.put_bytes(0, 12);
        out.put_slice(if pictures { b"video\0" } else { b"audio\0" });
    });
    put_box(out, b"minf", |out| {
        if pictures {
            put_full_box(out, b"vmhd", 0, 1, |out| out.put_bytes(0, 8));
        } else {
            put_full_box(out, b"smhd", 0, 0, |out| out.put_bytes(0, 4));
        }
        put_box(out, b"dinf", |out| {
            put_full_box(out, b"dref", 0, 0, |out| {
                out.put_u32(1);
                // Flag 1 says that the media is in this file.
                put_full_box(out, b"url ", 0, 1, |_| {});
            });
        });
        put_box(out, b"stbl", |out| {
            put_full_box(out, b"stsd", 0, 0, |out| {
                out.put_u32(1);
                out.put_slice(entry);
            });
            // The tables are empty, because all samples are in fragments.
            put_full_box(out, b"stts", 0, 0, |out| out.put_u32(0));
            put_full_box(out, b"stsc", 0, 0, |out| out.put_u32(0));
            put_full_box(out, b"stsz", 0, 0, |out| out.put_u64(0));
            put_full_box(out, b"stco", 0, 0, |out| out.put_u32(0));
        });
    });
}

/// Packs the three letters of a language into five bits each, "a" being 1 (ISO 14496-12, 8.4.2.3).
fn packed(language: Language) -> u16 {
    language.code().bytes().fold(0, |packed, letter| packed << 5 | u16::from(letter & 0x1F))
}

fn sample_entry(track: &TrackInfo) -> Result<BytesMut, Fmp4Error> {
    let mut out = BytesMut::new();
    match track.codec {
        Codec::H264 => put_visual(&mut out, track, b"avc1", b"avcC")?,
        // It is `hvc1` and not `hev1`: parameter sets are only out of band, which Apple's players demand.
        Codec::H265 => put_visual(&mut out, track, b"hvc1", b"hvcC")?,
        Codec::Av1 => put_visual(&mut out, track, b"av01", b"av1C")?,
        Codec::Aac | Codec::Mp3 => put_sound(&mut out, track, b"mp4a", |out| {
            put_full_box(out, b"esds", 0, 0, |out| put_elementary_stream(out, track));
            Ok(())
        })?,
        Codec::Opus => put_sound(&mut out, track, b"Opus", |out| put_opus(out, &track.config))?,
        Codec::Ac3 => put_sound(&mut out, track, b"ac-3", |out| {
            put_box(out, b"dac3", |out| out.put_slice(&track.config));
            Ok(())
        })?,
        Codec::Eac3 => put_sound(&mut out, track, b"ec-3", |out| {
            put_box(out, b"dec3", |out| out.put_slice(&track.config));
            Ok(())
        })?,
        // MP4 could hold these codecs, but browsers play the first two not at all, and players of HLS none of them.
        codec @ (Codec::Mpeg2 | Codec::Mp2 | Codec::Vp8 | Codec::Vp9) => return Err(Fmp4Error::NotWritable { codec }),
    }
    Ok(out)
}

fn put_visual(out: &mut BytesMut, track: &TrackInfo, kind: &[u8; 4], config: &[u8; 4]) -> Result<(), Fmp4Error> {
    let video = track.video.as_ref().ok_or(Fmp4Error::NoFormat { codec: track.codec })?;
    if track.config.is_empty() {
        return Err(Fmp4Error::NoConfiguration { codec: track.codec });
    }
    put_box(out, kind, |out| {
        out.put_bytes(0, 6);
        out.put_u16(1);
        out.put_bytes(0, 16);
        out.put_u16(u16::try_from(video.width).unwrap_or(u16::MAX));
        out.put_u16(u16::try_from(video.height).unwrap_or(u16::MAX));
        out.put_u32(RESOLUTION_72_DPI);
        out.put_u32(RESOLUTION_72_DPI);
        out.put_u32(0);
        // These fields say one picture a sample, no compressor name, 24 bits of depth, no colour table.
        out.put_u16(1);
        out.put_bytes(0, 32);
        out.put_u16(0x18);
        out.put_i16(-1);
        put_box(out, config, |out| out.put_slice(&track.config));
    });
    Ok(())
}

fn put_sound(
    out: &mut BytesMut,
    track: &TrackInfo,
    kind: &[u8; 4],
    config: impl FnOnce(&mut BytesMut) -> Result<(), Fmp4Error>,
) -> Result<(), Fmp4Error> {
    let audio = track.audio.as_ref().ok_or(Fmp4Error::NoFormat { codec: track.codec })?;
    // MP3 needs no configuration, because every frame says what it is.
    if track.config.is_empty() && track.codec != Codec::Mp3 {
        return Err(Fmp4Error::NoConfiguration { codec: track.codec });
    }
    let mut written = Ok(());
    put_box(out, kind, |out| {
        out.put_bytes(0, 6);
        out.put_u16(1);
        out.put_bytes(0, 8);
        out.put_u16(u16::from(audio.channels));
        out.put_u16(16);
        out.put_u32(0);
        // The rate is in 16.16, where 88,200 and 96,000 do not fit. A 0 sends readers to the configuration, which they prefer anyway.
        out.put_u32(u16::try_from(audio.sample_rate_hz).map_or(0, |rate| u32::from(rate) << 16));
        written = config(out);
    });
    written
}

/// Writes an ES_Descriptor (ISO 14496-14, 3.1): tag 3 holds tag 4 (decoder configuration, which holds tag 5, the codec's own) and tag 6
/// (SL, fixed).
fn put_elementary_stream(out: &mut BytesMut, track: &TrackInfo) {
    let mut decoder = BytesMut::new();
    decoder.put_u8(if track.codec == Codec::Mp3 { 0x6B } else { 0x40 });
    // This says an audio stream, with a bit that is always set. The buffer size and the bit rates are unknown.
    decoder.put_u8(0x15);
    decoder.put_bytes(0, 3 + 4 + 4);
    if !track.config.is_empty() {
        put_descriptor(&mut decoder, 5, &track.config);
    }
    let mut stream = BytesMut::new();
    stream.put_bytes(0, 3);
    put_descriptor(&mut stream, 4, &decoder);
    put_descriptor(&mut stream, 6, &[2]);
    put_descriptor(out, 3, &stream);
}

/// Writes `dOps`, which says what OpusHead says, but big-endian and without magic (Opus in ISOBMFF, 4.3.2).
fn put_opus(out: &mut BytesMut, head: &[u8]) -> Result<(), Fmp4Error> {
    let (Some(fixed), Some(mapping)) = (head.get(8..19), head.get(19..)) else {
        return Err(Fmp4Error::NoConfiguration { codec: Codec::Opus });
    };
    put_box(out, b"dOps", |out| {
        out.put_u8(0);
        out.put_u8(fixed[1]);
        out.put_u16(u16::from_le_bytes([fixed[2], fixed[3]]));
        out.put_u32(u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]));
        out.put_i16(i16::from_le_bytes([fixed[8], fixed[9]]));
        out.put_u8(fixed[10]);
        if fixed[10] != 0 {
            out.put_slice(mapping);
        }
    });
    Ok(())
}

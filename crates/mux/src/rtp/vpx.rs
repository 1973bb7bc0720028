//! Makes pictures of RTP payloads of VP8 (RFC 7741) and VP9 (RFC 9628). A picture is cut anywhere, and each packet begins with a descriptor.

use bytes::BytesMut;
use weir_media::codec::vpx;
use weir_media::{Codec, TrackId};

use super::gate::Gate;
use super::gatherer::{Gatherer, PayloadFormat};
use super::{PICTURE_BYTES_MAX, PictureEvent};

/// What one packet brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece<'a> {
    /// A frame begins with this packet.
    begins: bool,
    /// The size of the largest layer, if the packet tells the layers.
    size: Option<(u16, u16)>,
    bytes: &'a [u8],
}

/// The picture that is being gathered. In VP9 it may have several layers, each of which is a frame; they lie one behind the other.
#[derive(Debug, Default)]
pub(super) struct Picture {
    payload: BytesMut,
    size: Option<(u16, u16)>,
}

/// The payloads of one track.
#[derive(Debug)]
pub(super) struct Vpx {
    track: TrackId,
    codec: Codec,
}

pub(super) type VpxUnpacker = Gatherer<Vpx>;

impl VpxUnpacker {
    pub(super) fn new(track: TrackId, codec: Codec) -> Self {
        Self::of(Vpx { track, codec })
    }
}

impl PayloadFormat for Vpx {
    type Picture = Picture;

    fn begin(&self) -> Picture {
        Picture::default()
    }

    fn add(&self, picture: &mut Picture, bytes: &[u8]) -> Option<()> {
        let piece = if self.codec == Codec::Vp8 { vp8(bytes) } else { vp9(bytes) }?;
        // A picture that does not begin with its first packet has lost packets where nobody could notice, at the very beginning.
        let is_whole_so_far = piece.begins || !picture.payload.is_empty();
        if !is_whole_so_far || picture.payload.len() + piece.bytes.len() > PICTURE_BYTES_MAX {
            return None;
        }
        picture.payload.extend_from_slice(piece.bytes);
        picture.size = picture.size.or(piece.size);
        Some(())
    }

    fn finish(
        &mut self,
        Picture { payload, size }: Picture,
        ticks: i64,
        gate: &mut Gate,
        tell: &mut impl FnMut(PictureEvent),
    ) -> Option<()> {
        let record = vpx::record(self.codec, &payload).ok()?;
        let keyframe = record.is_some();
        if let Some(record) = record {
            let record = size.map_or(record.clone(), |(width, height)| vpx::with_size(&record, width, height));
            gate.track(vpx::track_info(self.track, self.codec, record).ok()?, tell);
        }
        gate.picture(ticks, keyframe, payload.freeze(), tell);
        Some(())
    }
}

/// Takes the first byte off.
fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (&first, behind) = rest.split_first()?;
    *rest = behind;
    Some(first)
}

/// Skips the number of a picture, which has 7 bits, or 15 where its first bit says so.
fn skip_picture_number(rest: &mut &[u8]) -> Option<()> {
    if byte(rest)? & 0x80 != 0 {
        byte(rest)?;
    }
    Some(())
}

/// Reads a descriptor of VP8 (RFC 7741, 4.2).
fn vp8(mut rest: &[u8]) -> Option<Piece<'_>> {
    const EXTENDED: u8 = 0x80;
    const BEGINS: u8 = 0x10;
    const PARTITION: u8 = 0x07;
    const PICTURE_NUMBER: u8 = 0x80;
    const BASE_NUMBER: u8 = 0x40;
    const LAYER_OR_KEY: u8 = 0x30;
    let first = byte(&mut rest)?;
    if first & EXTENDED != 0 {
        let has = byte(&mut rest)?;
        if has & PICTURE_NUMBER != 0 {
            skip_picture_number(&mut rest)?;
        }
        for mark in [BASE_NUMBER, LAYER_OR_KEY] {
            if has & mark != 0 {
                byte(&mut rest)?;
            }
        }
    }
    let begins = first & BEGINS != 0 && first & PARTITION == 0;
    (!rest.is_empty()).then_some(Piece { begins, size: None, bytes: rest })
}

/// Reads a descriptor of VP9 (RFC 9628, 4.2).
fn vp9(mut rest: &[u8]) -> Option<Piece<'_>> {
    const PICTURE_NUMBER: u8 = 0x80;
    const REFERS: u8 = 0x40;
    const LAYER: u8 = 0x20;
    const FLEXIBLE: u8 = 0x10;
    const BEGINS: u8 = 0x08;
    const STRUCTURE: u8 = 0x02;
    const REFERENCES_MAX: usize = 3;
    let first = byte(&mut rest)?;
    if first & PICTURE_NUMBER != 0 {
        skip_picture_number(&mut rest)?;
    }
    if first & LAYER != 0 {
        byte(&mut rest)?;
        if first & FLEXIBLE == 0 {
            byte(&mut rest)?;
        }
    }
    if first & FLEXIBLE != 0 && first & REFERS != 0 {
        let mut references = 1;
        while byte(&mut rest)? & 1 != 0 {
            references += 1;
            if references > REFERENCES_MAX {
                return None;
            }
        }
    }
    let size = if first & STRUCTURE != 0 { structure(&mut rest)? } else { None };
    (!rest.is_empty()).then_some(Piece { begins: first & BEGINS != 0, size, bytes: rest })
}

/// Reads how the layers are built, and gives the size of the largest one, if sizes are told.
fn structure(rest: &mut &[u8]) -> Option<Option<(u16, u16)>> {
    const SIZES: u8 = 0x10;
    const GROUP: u8 = 0x08;
    let head = byte(rest)?;
    let mut size = None;
    if head & SIZES != 0 {
        for _ in 0..=head >> 5 {
            let ([w1, w2, h1, h2], behind) = rest.split_first_chunk()?;
            let (width, height) = (u16::from_be_bytes([*w1, *w2]), u16::from_be_bytes([*h1, *h2]));
            size = size.max(Some((width, height)));
            *rest = behind;
        }
    }
    if head & GROUP != 0 {
        for _ in 0..byte(rest)? {
            let references = byte(rest)? >> 2 & 3;
            *rest = rest.get(usize::from(references)..)?;
        }
    }
    Some(size)
}

#[cfg(test)]
mod tests {
    use weir_media::TrackInfo;

    use super::*;
    use crate::rtp::RtpPayload;

    /// The beginnings of what libvpx makes of 640x360.
    const VP8_KEY: &[u8] = &[0x10, 0xAE, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 0x00, 0x87];
    const VP8_OTHER: &[u8] = &[0x11, 0x20, 0x00, 0x0F];
    const VP9_KEY: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xF0, 0x16, 0x76, 0x04];
    const VP9_OTHER: &[u8] = &[0x86, 0x00, 0x40, 0x92];

    #[test]
    fn descriptors_are_read_in_all_their_forms() {
        let piece = |begins, size, bytes| Some(Piece { begins, size, bytes });
        for (name, read, bytes, expected) in [
            ("plain", vp8 as fn(&[u8]) -> Option<Piece<'_>>, &[0x10, 7][..], piece(true, None, &[7][..])),
            ("a later part of it", vp8, &[0x00, 7], piece(false, None, &[7])),
            ("another partition", vp8, &[0x11, 7], piece(false, None, &[7])),
            ("a number of 7 bits", vp8, &[0x90, 0x80, 0x11, 7], piece(true, None, &[7])),
            ("all there is", vp8, &[0x90, 0xF0, 0x91, 0x22, 3, 4, 7], piece(true, None, &[7])),
            ("cut", vp8, &[0x90, 0x80, 0x91], None),
            ("nothing behind it", vp8, &[0x10], None),
            ("plain", vp9, &[0x08, 7], piece(true, None, &[7])),
            ("Chromium's", vp9, &[0xA8, 0x91, 0x22, 0, 5, 7], piece(true, None, &[7])),
            ("flexible", vp9, &[0xD0, 0x11, 3, 5, 2, 7], piece(false, None, &[7])),
            ("too many references", vp9, &[0x50, 3, 3, 3, 2, 7], None),
            (
                "layers",
                vp9,
                &[0x0A, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 1, 0x04, 1, 7],
                piece(true, Some((640, 360)), &[7]),
            ),
            ("cut layers", vp9, &[0x0A, 0x38, 1, 64, 0], None),
        ] {
            assert_eq!(read(bytes), expected, "{name}");
        }
    }

    fn told(codec: Codec, packets: &[Option<(i64, bool, Vec<u8>)>]) -> Vec<String> {
        let mut unpacker = VpxUnpacker::new(TrackId(0), codec);
        let mut told = Vec::new();
        let mut tell = |event| {
            told.push(match event {
                PictureEvent::Track(TrackInfo { video: Some(video), .. }) => {
                    format!("{}x{}", video.width, video.height)
                }
                PictureEvent::Track(_) => "track".to_owned(),
                PictureEvent::Picture { keyframe, payload, .. } => {
                    format!("{} {}", if keyframe { "keyframe" } else { "picture" }, payload.len())
                }
                PictureEvent::LeftOut => "left out".to_owned(),
            });
        };
        for packet in packets {
            match packet {
                Some((ticks, marker, bytes)) => {
                    unpacker.packet(RtpPayload { ticks: *ticks, marker: *marker, bytes }, &mut tell);
                }
                None => unpacker.lost(&mut tell),
            }
        }
        told
    }

    #[test]
    fn pictures_are_gathered_and_nothing_comes_behind_a_loss() {
        let packet =
            |descriptor: &[u8], bytes: &[u8], ticks, marker| Some((ticks, marker, [descriptor, bytes].concat()));
        for (codec, begins, key, other) in
            [(Codec::Vp8, 0x10, VP8_KEY, VP8_OTHER), (Codec::Vp9, 0x08, VP9_KEY, VP9_OTHER)]
        {
            let (begins, goes_on) = (&[begins], &[0]);
            let keyframe = |ticks| [packet(begins, key, ticks, false), packet(goes_on, &[1, 2, 3], ticks, true)];
            let packets = [
                vec![packet(begins, other, 0, true)],
                keyframe(3_000).to_vec(),
                vec![packet(begins, other, 6_000, true)],
                // Without its mark, a picture is whole when the next one begins.
                vec![packet(begins, other, 9_000, false), packet(begins, other, 12_000, true)],
                vec![None, packet(begins, other, 15_000, true), packet(goes_on, other, 18_000, true)],
                keyframe(21_000).to_vec(),
            ]
            .concat();
            let (whole, picture) = (key.len() + 3, format!("picture {}", other.len()));
            let expected = [
                "left out".to_owned(),
                "640x360".to_owned(),
                format!("keyframe {whole}"),
                picture.clone(),
                picture.clone(),
                picture,
                "left out".to_owned(),
                "left out".to_owned(),
                format!("keyframe {whole}"),
            ];
            assert_eq!(told(codec, &packets), expected, "{codec}");
        }
        let layers = &[0x0A, 0x10, 5, 0, 2, 208];
        assert_eq!(told(Codec::Vp9, &[packet(layers, VP9_KEY, 0, true)]), ["1280x720", "keyframe 10"]);
    }

    #[test]
    fn a_picture_has_a_bound() {
        let mut packets = vec![Some((0, false, [&[0x10], VP8_KEY].concat()))];
        packets.extend((0..=PICTURE_BYTES_MAX / 60_000).map(|_| Some((0, false, vec![0; 60_001]))));
        packets.push(Some((0, true, vec![0, 1])));
        assert_eq!(told(Codec::Vp8, &packets), ["left out"]);
    }
}

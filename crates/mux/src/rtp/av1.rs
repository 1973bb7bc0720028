//! Makes pictures of RTP payloads of AV1 (the AOM's "RTP Payload Format For AV1"). A packet holds units (OBUs), of which the first may go on
//! from the packet before, and the last may go on in the next one.

use bytes::BytesMut;
use weir_media::TrackId;
use weir_media::codec::av1;
use weir_media::codec::obu::{TemporalUnit, put_unit};

use super::gate::Gate;
use super::gatherer::{Gatherer, PayloadFormat};
use super::{PICTURE_BYTES_MAX, PictureEvent};

/// The marks in the first byte of a packet: its first unit goes on, its last unit is to go on.
const GOES_ON: u8 = 0x80;
const IS_TO_GO_ON: u8 = 0x40;
/// The most units of one picture: it has as many tiles at the most, and some units beside.
const UNITS_MAX: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Picture {
    /// The whole units so far, each with its size.
    units: BytesMut,
    count: usize,
    /// The unit of which more is to come.
    open: Option<BytesMut>,
}

/// The payloads of one track.
#[derive(Debug)]
pub(super) struct Av1 {
    track: TrackId,
}

pub(super) type Av1Unpacker = Gatherer<Av1>;

impl Picture {
    fn packet(&mut self, bytes: &[u8]) -> Option<()> {
        let (&marks, mut rest) = bytes.split_first()?;
        // The last unit has no length, where the number of units is told. It is 0 where it is not.
        let told = usize::from(marks >> 4 & 3);
        let mut number = 0;
        let (mut goes_on, is_to_go_on) = (marks & GOES_ON != 0, marks & IS_TO_GO_ON != 0);
        while !rest.is_empty() {
            number += 1;
            let unit = if told > 0 && number == told {
                std::mem::take(&mut rest)
            } else {
                let (length, behind) = length(rest)?;
                let (unit, behind) = behind.split_at_checked(length)?;
                rest = behind;
                unit
            };
            let is_open = self.open.is_some();
            if std::mem::take(&mut goes_on) != is_open {
                return None;
            }
            let open = self.open.get_or_insert_default();
            if self.units.len() + open.len() + unit.len() > PICTURE_BYTES_MAX {
                return None;
            }
            open.extend_from_slice(unit);
            if !(is_to_go_on && rest.is_empty()) {
                self.end()?;
            }
        }
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let unit = self.open.take()?;
        self.count += 1;
        (self.count <= UNITS_MAX).then_some(())?;
        // An empty unit says nothing.
        if unit.is_empty() { Some(()) } else { put_unit(&unit, &mut self.units).ok() }
    }
}

impl Av1Unpacker {
    pub(super) fn new(track: TrackId) -> Self {
        Self::of(Av1 { track })
    }
}

impl PayloadFormat for Av1 {
    type Picture = Picture;

    fn begin(&self) -> Picture {
        Picture::default()
    }

    fn add(&self, picture: &mut Picture, bytes: &[u8]) -> Option<()> {
        picture.packet(bytes)
    }

    fn finish(
        &mut self,
        picture: Picture,
        ticks: i64,
        gate: &mut Gate,
        tell: &mut impl FnMut(PictureEvent),
    ) -> Option<()> {
        picture.open.is_none().then_some(())?;
        let unit = TemporalUnit::read(&picture.units).ok()?;
        let keyframe = unit.is_key && unit.config.is_some();
        if let Some(config) = unit.config {
            gate.track(av1::track_info(self.track, config).ok()?, tell);
        }
        // Packets that only fill the path hold nothing.
        if !unit.payload.is_empty() {
            gate.picture(ticks, keyframe, unit.payload, tell);
        }
        Some(())
    }
}

/// Reads a length, of which each byte brings seven bits.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((length, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::RtpPayload;

    /// What libaom says of 640x360, without its length.
    const SEQUENCE: &[u8] = &[0x08, 0x00, 0x00, 0x00, 0x0C, 0xC4, 0xFF, 0x67, 0x36, 0xBE, 0x40, 0x10];
    /// A frame that needs no other, and one that does.
    const KEY: &[u8] = &[0x30, 0x10, 1, 2, 3, 4];
    const OTHER: &[u8] = &[0x30, 0x30, 5, 6];

    fn with_length(unit: &[u8]) -> Vec<u8> {
        [&[u8::try_from(unit.len()).unwrap()][..], unit].concat()
    }

    fn told(packets: &[Option<(i64, bool, Vec<u8>)>]) -> Vec<String> {
        let mut unpacker = Av1Unpacker::new(TrackId(0));
        let mut told = Vec::new();
        let mut tell = |event| {
            told.push(match event {
                PictureEvent::Track(info) => info.video.map_or(String::new(), |video| video.codec_string),
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
    fn units_come_together_however_they_are_cut() {
        let whole = [&[0x28][..], &with_length(SEQUENCE), KEY].concat();
        let counted = [&[0x08][..], &with_length(SEQUENCE), &with_length(KEY)].concat();
        let first = [&[0x68][..], &with_length(SEQUENCE), &KEY[..3]].concat();
        let last = [&[0x90][..], &KEY[3..]].concat();
        let other = [&[0x10][..], OTHER].concat();
        // Each unit has a byte more, its size.
        let key = format!("keyframe {}", SEQUENCE.len() + KEY.len() + 2);
        for (name, packets) in [
            ("in one packet", vec![Some((0, true, whole.clone()))]),
            ("all with lengths", vec![Some((0, true, counted))]),
            ("in two", vec![Some((0, false, first.clone())), Some((0, true, last.clone()))]),
        ] {
            let told = told(&packets);
            assert_eq!((told.len(), told.get(1)), (2, Some(&key)), "{name}: {told:?}");
            assert!(told[0].starts_with("av01.0."), "{name}: {told:?}");
        }
        let events = told(&[
            Some((0, true, other.clone())),
            Some((1, true, whole.clone())),
            Some((2, true, other.clone())),
            Some((3, false, first)),
            None,
            Some((3, true, last)),
            Some((4, true, other.clone())),
            Some((5, true, whole)),
            Some((6, true, other)),
        ]);
        let picture = format!("picture {}", OTHER.len() + 1);
        let expected = ["left out", &events[1], &key, &picture, "left out", "left out", &key, &picture];
        assert_eq!(events, expected);
    }

    #[test]
    fn what_is_cut_makes_no_picture_and_a_picture_has_a_bound() {
        for bytes in [&[][..], &[0x10], &[0x00, 5, 1], &[0x00, 0xFF, 0xFF, 0xFF, 0xFF], &[0x90, 1], &[0x50, 0x30]] {
            let told = told(&[Some((0, true, bytes.to_vec()))]);
            assert!(told.is_empty() || told == ["left out"], "{bytes:x?}: {told:?}");
        }
        let mut packets = vec![Some((0, false, [&[0x50][..], KEY].concat()))];
        packets
            .extend((0..=PICTURE_BYTES_MAX / 60_000).map(|_| Some((0, false, [&[0xD0][..], &[0; 60_000]].concat()))));
        packets.push(Some((0, true, vec![0x90, 1])));
        assert_eq!(told(&packets), ["left out"]);
        let many = std::iter::repeat_n(&[1, 0x30][..], UNITS_MAX + 1).flatten().copied();
        assert_eq!(told(&[Some((0, true, std::iter::once(0).chain(many).collect()))]), ["left out"]);
    }
}

//! Makes pictures of RTP payloads of H.264 (RFC 6184, packetization modes 0 and 1) and H.265 (RFC 7798): of single units, of several units in
//! one packet, and of pieces of one unit.

use bytes::BytesMut;
use weir_media::codec::{self, h264, h265, nal};
use weir_media::{Codec, TrackId};

use super::gate::Gate;
use super::gatherer::{Gatherer, PayloadFormat};
use super::{PICTURE_BYTES_MAX, PictureEvent};
use crate::parameter_sets::ParameterSets;
use crate::units::{UnitKind, begins_picture, header_bytes, kind_of};

/// The types of units of H.264 that hold several small units, and a piece of one.
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// The same of H.265.
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
/// A filler of H.265.
const FILLER_H265: u8 = 38;

/// Bits in the second byte of a piece say that it is the first or the last one of its unit.
const START: u8 = 0x80;
const END: u8 = 0x40;

const LENGTH_BYTES: usize = 4;

/// The largest parameter set that is taken. A set has some ten bytes, or some hundred with scaling lists. Sets are held apart from the
/// picture, so they have a bound of their own.
const SET_BYTES_MAX: usize = 4_096;

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Single,
    Several,
    Piece,
    Unknown,
}

fn packing(codec: Codec, header: u8) -> Packing {
    // Interleaved packets belong to a mode that was not agreed on, and other numbers mean nothing.
    match (codec, header >> 1 & 0x3F, header & 0x1F) {
        (Codec::H265, ..AGGREGATION, _) | (Codec::H264, _, 1..STAP_A) => Packing::Single,
        (Codec::H265, AGGREGATION, _) | (Codec::H264, _, STAP_A) => Packing::Several,
        (Codec::H265, FRAGMENTATION, _) | (Codec::H264, _, FU_A) => Packing::Piece,
        _ => Packing::Unknown,
    }
}

/// The payloads of one track, and the parameter sets that are in force there.
#[derive(Debug)]
pub(super) struct Units {
    track: TrackId,
    codec: Codec,
    sets: ParameterSets,
}

pub(super) type UnitsUnpacker = Gatherer<Units>;

/// The picture that is being gathered.
#[derive(Debug)]
pub(super) struct Picture {
    codec: Codec,
    payload: BytesMut,
    units: usize,
    sets: ParameterSets,
    has_slice: bool,
    is_broken: bool,
    /// Where the unit begins of which more pieces are to come.
    open: Option<usize>,
}

impl Picture {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            payload: BytesMut::new(),
            units: 0,
            sets: ParameterSets::default(),
            has_slice: false,
            is_broken: false,
            open: None,
        }
    }

    fn packet(&mut self, bytes: &[u8]) {
        let Some((header, body)) = bytes.split_at_checked(header_bytes(self.codec)) else { return };
        let packing = header.first().map_or(Packing::Unknown, |first| packing(self.codec, *first));
        // Pieces of a unit were still to come, and something else came.
        if packing != Packing::Piece && self.open.is_some() {
            self.is_broken = true;
        }
        if self.is_broken {
            return;
        }
        match packing {
            Packing::Single => {
                self.begin();
                self.add(bytes);
                self.end();
            }
            Packing::Several => self.together(body),
            Packing::Piece => self.piece(header, body),
            Packing::Unknown => self.is_broken = true,
        }
    }

    fn together(&mut self, mut rest: &[u8]) {
        while let Some((length, behind)) = rest.split_first_chunk() {
            let Some((unit, behind)) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
            self.begin();
            self.add(unit);
            self.end();
            rest = behind;
        }
        self.is_broken |= !rest.is_empty();
    }

    fn piece(&mut self, header: &[u8], body: &[u8]) {
        let Some((&piece, body)) = body.split_first() else {
            self.is_broken = true;
            return;
        };
        let starts = piece & START != 0;
        if starts == self.open.is_some() {
            self.is_broken = true;
            return;
        }
        if starts {
            self.begin();
            match *header {
                // The piece's own byte has the unit's type, and the header the rest.
                [first, second] => self.add(&[(first & 0x81) | (piece & 0x3F) << 1, second]),
                [first] => self.add(&[(first & 0xE0) | (piece & 0x1F)]),
                _ => {}
            }
        }
        self.add(body);
        if piece & END != 0 {
            self.end();
        }
    }

    fn begin(&mut self) {
        self.open = Some(self.payload.len());
        self.add(&[0; LENGTH_BYTES]);
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.payload.len() + bytes.len() > PICTURE_BYTES_MAX {
            self.is_broken = true;
        } else {
            self.payload.extend_from_slice(bytes);
        }
    }

    /// Ends the open unit, which is whole now. A unit that does not belong into the picture is taken out again.
    fn end(&mut self) {
        let Some(start) = self.open.take().filter(|_| !self.is_broken) else { return };
        let Some((length, unit)) = self.payload.get_mut(start..).and_then(|all| all.split_at_mut_checked(LENGTH_BYTES))
        else {
            return;
        };
        let keeps = match kind_of(self.codec, unit) {
            UnitKind::Set(_) if unit.len() > SET_BYTES_MAX => {
                self.is_broken = true;
                false
            }
            UnitKind::Set(set) => {
                self.sets.add(set, unit, header_bytes(self.codec));
                false
            }
            UnitKind::Delimiter | UnitKind::Nothing => false,
            UnitKind::Slice => {
                // A picture that does not begin with its first slice has lost packets where nobody could notice, at the very beginning.
                self.is_broken |= !self.has_slice && !begins_picture(self.codec, unit);
                self.has_slice = true;
                true
            }
            UnitKind::Other if self.codec == Codec::H265 => {
                unit.first().is_some_and(|it| it >> 1 & 0x3F != FILLER_H265)
            }
            UnitKind::Other => unit.first().is_some_and(|header| header & 0x1F != h264::unit_type::FILLER),
        };
        if keeps {
            // A picture is below 2^32 bytes by far.
            length.copy_from_slice(&u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
            self.units += 1;
            self.is_broken |= self.units > nal::NAL_UNITS_MAX;
        } else {
            self.payload.truncate(start);
        }
    }
}

impl UnitsUnpacker {
    pub(super) fn new(track: TrackId, codec: Codec) -> Self {
        Self::of(Units { track, codec, sets: ParameterSets::default() })
    }
}

impl PayloadFormat for Units {
    type Picture = Picture;

    fn begin(&self) -> Picture {
        Picture::new(self.codec)
    }

    fn add(&self, picture: &mut Picture, bytes: &[u8]) -> Option<()> {
        picture.packet(bytes);
        (!picture.is_broken).then_some(())
    }

    fn finish(
        &mut self,
        picture: Picture,
        ticks: i64,
        gate: &mut Gate,
        tell: &mut impl FnMut(PictureEvent),
    ) -> Option<()> {
        picture.open.is_none().then_some(())?;
        if !picture.sets.is_empty() {
            self.take_sets(picture.sets, gate, tell)?;
        }
        if picture.has_slice {
            let payload = picture.payload.freeze();
            let keyframe =
                if self.codec == Codec::H265 { h265::is_keyframe(&payload) } else { h264::is_keyframe(&payload) };
            gate.picture(ticks, keyframe, payload, tell);
        }
        Some(())
    }
}

impl Units {
    /// None where no decoder knows the sets. Those in force stay then.
    fn take_sets(&mut self, seen: ParameterSets, gate: &mut Gate, tell: &mut impl FnMut(PictureEvent)) -> Option<()> {
        let before = self.sets.clone();
        self.sets.merge(seen);
        if self.sets == before {
            return Some(());
        }
        let record = if self.codec == Codec::H265 { self.sets.hevc() } else { self.sets.avc() };
        let Some(record) = record else { return Some(()) };
        let Ok(info) = record.and_then(|record| codec::parse(self.codec, self.track, record)) else {
            self.sets = before;
            return None;
        };
        gate.track(info, tell);
        Some(())
    }
}

#[cfg(test)]
mod tests;

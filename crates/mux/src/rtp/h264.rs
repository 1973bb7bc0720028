//! Makes pictures of RTP payloads of H.264 (RFC 6184, packetization modes 0 and 1): of single units, of several units in one packet, and of
//! pieces of one unit.

use bytes::{Bytes, BytesMut};
use weir_media::codec::{h264, nal};
use weir_media::{Codec, TrackId, TrackInfo};

use crate::parameter_sets::ParameterSets;
use crate::units::{UnitKind, begins_picture, header_bytes, kind_of};

/// The largest picture that is taken. A keyframe of 4K at 20 Mbit/s has some 300 kB, so a sender of more means no good.
pub const PICTURE_BYTES_MAX: usize = 4 << 20;

/// The type of a packet that holds several small units.
const STAP_A: u8 = 24;
/// The type of a packet that holds a piece of one unit.
const FU_A: u8 = 28;
/// Bits in the second byte of a piece say that it is the first or the last one of its unit.
const START: u8 = 0x80;
const END: u8 = 0x40;

const LENGTH_BYTES: usize = 4;

/// The largest parameter set that is taken. A set has some ten bytes, or some hundred with scaling lists. Sets are held apart from the
/// picture, so they have a bound of their own.
const SET_BYTES_MAX: usize = 4_096;

/// One RTP packet without its header. Packets must be given in the order of their numbers.
#[derive(Clone, Copy, Debug)]
pub struct RtpPayload<'a> {
    /// All packets of one picture have one time.
    pub ticks: i64,
    /// Says that this is the last packet of its picture.
    pub marker: bool,
    pub bytes: &'a [u8],
}

/// What comes of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum H264Event {
    /// The track as new parameter sets describe it.
    Track(TrackInfo),
    /// A whole picture, whose units have 4-byte lengths.
    Picture { ticks: i64, keyframe: bool, payload: Bytes },
    /// Says that a picture is left out, because a part of it, or of one that it builds on, is missing.
    LeftOut,
}

/// Gathers packets into pictures. After a loss it gives none before the next keyframe: what builds on a picture that is missing shows
/// as rubbish.
#[derive(Debug)]
pub struct H264Unpacker {
    track: TrackId,
    sets: ParameterSets,
    config: Option<Bytes>,
    picture: Option<Picture>,
    awaits_keyframe: bool,
    /// The time of the picture that was left out last: more of its packets may follow the lost ones.
    left_out: Option<i64>,
}

/// The picture that is being gathered.
#[derive(Debug)]
struct Picture {
    ticks: i64,
    payload: BytesMut,
    units: usize,
    sets: ParameterSets,
    has_slice: bool,
    is_broken: bool,
    /// Where the unit begins of which more pieces are to come.
    open: Option<usize>,
}

impl Picture {
    fn new(ticks: i64) -> Self {
        Self {
            ticks,
            payload: BytesMut::new(),
            units: 0,
            sets: ParameterSets::default(),
            has_slice: false,
            is_broken: false,
            open: None,
        }
    }

    fn packet(&mut self, bytes: &[u8]) {
        let Some((&header, body)) = bytes.split_first() else { return };
        let kind = header & 0x1F;
        // Pieces of a unit were still to come, and something else came.
        if kind != FU_A && self.open.is_some() {
            self.is_broken = true;
        }
        if self.is_broken {
            return;
        }
        match kind {
            1..STAP_A => {
                self.begin();
                self.add(bytes);
                self.end();
            }
            STAP_A => self.together(body),
            FU_A => self.piece(header, body),
            // Interleaved packets belong to mode 2, which was not agreed on. Other numbers mean nothing.
            _ => self.is_broken = true,
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

    fn piece(&mut self, header: u8, body: &[u8]) {
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
            self.add(&[(header & 0xE0) | (piece & 0x1F)]);
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
        let keeps = match kind_of(Codec::H264, unit) {
            UnitKind::Set(_) if unit.len() > SET_BYTES_MAX => {
                self.is_broken = true;
                false
            }
            UnitKind::Set(set) => {
                self.sets.add(set, unit, header_bytes(Codec::H264));
                false
            }
            UnitKind::Delimiter | UnitKind::Nothing => false,
            UnitKind::Slice => {
                // A picture that does not begin with its first slice has lost packets where nobody could notice, at the very beginning.
                self.is_broken |= !self.has_slice && !begins_picture(Codec::H264, unit);
                self.has_slice = true;
                true
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

impl H264Unpacker {
    pub fn new(track: TrackId) -> Self {
        Self {
            track,
            sets: ParameterSets::default(),
            config: None,
            picture: None,
            awaits_keyframe: true,
            left_out: None,
        }
    }

    /// Says whether no picture will come out before the next keyframe.
    pub fn awaits_keyframe(&self) -> bool {
        self.awaits_keyframe
    }

    /// Takes the next packet; a picture is whole with its last packet, at the latest with the first one of the next picture.
    pub fn packet(&mut self, packet: RtpPayload<'_>, mut tell: impl FnMut(H264Event)) {
        if self.picture.as_ref().is_some_and(|picture| picture.ticks != packet.ticks) {
            self.finish(&mut tell);
        }
        let picture = self.picture.get_or_insert_with(|| Picture::new(packet.ticks));
        picture.packet(packet.bytes);
        if packet.marker {
            self.finish(&mut tell);
        }
    }

    /// Notes that packets between the last one and the next one are lost.
    pub fn lost(&mut self, mut tell: impl FnMut(H264Event)) {
        if let Some(picture) = &mut self.picture {
            picture.is_broken = true;
            self.finish(&mut tell);
        }
        self.awaits_keyframe = true;
    }

    fn finish(&mut self, tell: &mut impl FnMut(H264Event)) {
        let Some(picture) = self.picture.take() else { return };
        if picture.is_broken || picture.open.is_some() {
            return self.leave_out(picture.ticks, tell);
        }
        if !picture.sets.is_empty() && !self.take_sets(picture.sets, tell) {
            return self.leave_out(picture.ticks, tell);
        }
        if !picture.has_slice {
            return;
        }
        let payload = picture.payload.freeze();
        let keyframe = h264::is_keyframe(&payload);
        if self.config.is_none() || (self.awaits_keyframe && !keyframe) {
            return self.leave_out(picture.ticks, tell);
        }
        self.awaits_keyframe = false;
        tell(H264Event::Picture { ticks: picture.ticks, keyframe, payload });
    }

    fn leave_out(&mut self, ticks: i64, tell: &mut impl FnMut(H264Event)) {
        self.awaits_keyframe = true;
        if self.left_out.replace(ticks) != Some(ticks) {
            tell(H264Event::LeftOut);
        }
    }

    /// Returns false where no decoder knows the sets. Those in force stay then.
    fn take_sets(&mut self, seen: ParameterSets, tell: &mut impl FnMut(H264Event)) -> bool {
        let before = self.sets.clone();
        self.sets.merge(seen);
        if self.sets == before {
            return true;
        }
        let Some(record) = self.sets.avc() else { return true };
        let told = record.and_then(|record| Ok((h264::track_info(self.track, record.clone())?, record)));
        let Ok((info, record)) = told else {
            self.sets = before;
            return false;
        };
        if self.config.as_ref() != Some(&record) {
            self.config = Some(record);
            tell(H264Event::Track(info));
        }
        true
    }
}

#[cfg(test)]
mod tests;

//! RTP payloads to frames: packets in their order become pictures. Who sends them, and what is lost, is their reader's to know.

mod av1;
mod gate;
mod gatherer;
pub mod sequence;
mod units;
mod vpx;

use bytes::Bytes;
use weir_media::{Codec, TrackId, TrackInfo};

use av1::Av1Unpacker;
use units::UnitsUnpacker;
use vpx::VpxUnpacker;

/// The largest picture that is taken. A keyframe of 4K at 20 Mbit/s has some 300 kB, so a sender of more means no good.
pub const PICTURE_BYTES_MAX: usize = 4 << 20;

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
pub enum PictureEvent {
    /// The track as its newest configuration describes it.
    Track(TrackInfo),
    /// A whole picture, as the hub holds pictures of its codec.
    Picture { ticks: i64, keyframe: bool, payload: Bytes },
    /// Says that a picture is left out, because a part of it, or of one that it builds on, is missing.
    LeftOut,
}

/// Gathers packets into pictures. After a loss it gives none before the next keyframe: what builds on a picture that is missing shows
/// as rubbish.
#[derive(Debug)]
pub struct PictureUnpacker(Unpacker);

#[derive(Debug)]
enum Unpacker {
    Units(UnitsUnpacker),
    Vpx(VpxUnpacker),
    Av1(Av1Unpacker),
}

impl PictureUnpacker {
    /// The codecs that are taken.
    pub const CODECS: [Codec; 5] = [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H265];

    /// An unpacker for one of [`PictureUnpacker::CODECS`]; other codecs are read as H.264.
    pub fn new(track: TrackId, codec: Codec) -> Self {
        Self(match codec {
            Codec::Vp8 | Codec::Vp9 => Unpacker::Vpx(VpxUnpacker::new(track, codec)),
            Codec::Av1 => Unpacker::Av1(Av1Unpacker::new(track)),
            Codec::H265 => Unpacker::Units(UnitsUnpacker::new(track, Codec::H265)),
            _ => Unpacker::Units(UnitsUnpacker::new(track, Codec::H264)),
        })
    }

    /// Says whether no picture will come out before the next keyframe.
    pub fn awaits_keyframe(&self) -> bool {
        match &self.0 {
            Unpacker::Units(unpacker) => unpacker.awaits_keyframe(),
            Unpacker::Vpx(unpacker) => unpacker.awaits_keyframe(),
            Unpacker::Av1(unpacker) => unpacker.awaits_keyframe(),
        }
    }

    /// Takes the next packet; a picture is whole with its last packet, at the latest with the first one of the next picture.
    pub fn packet(&mut self, packet: RtpPayload<'_>, tell: impl FnMut(PictureEvent)) {
        match &mut self.0 {
            Unpacker::Units(unpacker) => unpacker.packet(packet, tell),
            Unpacker::Vpx(unpacker) => unpacker.packet(packet, tell),
            Unpacker::Av1(unpacker) => unpacker.packet(packet, tell),
        }
    }

    /// Notes that packets between the last one and the next one are lost.
    pub fn lost(&mut self, tell: impl FnMut(PictureEvent)) {
        match &mut self.0 {
            Unpacker::Units(unpacker) => unpacker.lost(tell),
            Unpacker::Vpx(unpacker) => unpacker.lost(tell),
            Unpacker::Av1(unpacker) => unpacker.lost(tell),
        }
    }
}

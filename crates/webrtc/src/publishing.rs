//! Makes frames of what a publisher sends: `reorder` puts packets into their order, `clock` gives them a time that sound and picture share, and
//! `layers` chooses among
//! several sizes of one picture, and `to_frames` makes the frames. There are no sockets: packets and times go in, and frames come out.

mod clock;
mod layers;
mod loss;
mod reorder;
mod to_frames;

pub(crate) use clock::Report;
pub(crate) use loss::RecentLoss;
pub(crate) use to_frames::{Packet, PacketKind, ToFrames};
pub use to_frames::{RtpFrame, RtpUnpacked, TICKS_HZ};

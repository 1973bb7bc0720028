//! What a publisher sends: packets are put into their order (`reorder`), get a time that sound and picture share (`clock`), and become
//! frames (`to_frames`). No sockets: packets and times go in, frames come out.

mod clock;
mod loss;
mod reorder;
mod to_frames;

pub(crate) use clock::Report;
pub(crate) use loss::RecentLoss;
pub(crate) use to_frames::{Packet, PacketKind, ToFrames};
pub use to_frames::{RtpFrame, RtpUnpacked, TICKS_HZ};

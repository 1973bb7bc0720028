//! WebRTC, without policy: `sdp` reads a browser's offer and writes the answer, `from_frames` makes RTP of a rendition once for all viewers,
//! `publishing` makes frames of what publishers send, and `engine` runs all connections over one UDP and one TCP port. This is the only
//! crate that knows `str0m`.

mod addresses;
mod carrier;
mod channel;
pub mod connection;
mod crypto;
pub mod engine;
pub mod from_frames;
mod h264;
mod here;
mod incoming;
mod outbox;
mod pace;
mod peer;
mod pictures;
mod publishing;
mod receiver;
mod reports;
mod routes;
pub mod sdp;
mod sending;
mod stun;
mod tcp;
#[cfg(test)]
mod tests;
pub mod trial;
mod udp;
pub mod viewer;
pub mod webrtcbin;

pub use addresses::local_addresses;
pub use connection::{Connection, Ended, Figures, Heard, Steer};
pub use crypto::CertificateFault;
pub use engine::{Engine, Listen, ListenError};
pub use from_frames::{RtpBatch, RtpBatcher};
pub use incoming::{Incoming, IncomingEnd, IncomingEvent, IncomingFigures};
pub use pictures::Move;
pub use publishing::{RtpFrame, RtpUnpacked, TICKS_HZ};

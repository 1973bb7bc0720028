//! The process of `webrtcbin`: all viewers by WebRTC whom the server sends here, in a process of its own, which costs only them when it dies.
//!
//! It has the network, unlike the other jobs of this program, and so it has nothing else: no files, no programs, and of what browsers say only
//! the few values that `weir_webrtc::webrtcbin::Far` has.

mod answer;
mod fan_out;
mod gate;
mod ice;
mod outbox;
mod peer;
mod proof;
mod rebuilt_offer;
mod sender;
mod serve;
mod viewers;

pub(crate) use serve::serve;

//! The other engine: GStreamer's `webrtcbin`, in a process of its own. What server and process say to one another is here (`message`), with
//! the server's end of it (`link`, `remote`) and what the process needs that knows no GStreamer (`identity`, `rtcp`).

mod identity;
mod link;
mod message;
mod remote;
mod rtcp;
mod window;

#[cfg(test)]
mod tests;

pub use identity::{Passport, fingerprint_of_pem};
pub use link::{State, Webrtcbin};
pub use message::{
    Decoder, Far, FarMedia, FromProcess, MessageFault, Ours, PORTS_MIN, ProcessStart, Shown, ToProcess, WhyOver,
    decode_from_process, decode_to_process, encode_from_process, encode_to_process,
};
pub(crate) use remote::Remote;
pub use remote::{answer_text, far_of};
pub use rtcp::{Said, read as read_rtcp};
pub use window::Window;

//! The gate for what browsers say: their SDP is read here, within limits, into the few values that matter. The text goes no further: the
//! engine gets these values, and the answer is written from them.

mod answer;
mod attributes;
mod fragment;
mod offer;

#[cfg(test)]
mod publisher_tests;
#[cfg(test)]
mod tests;

pub(crate) use answer::{Agreed, Answer, Received, Sent};
pub use answer::{Candidate, Transport};
pub use fragment::{Fragment, FragmentFault};
pub use offer::{Extensions, Fault, Fingerprint, IceCredentials, Kind, Offer, Payload, Section, SentPicture, Setup};

/// A browser's offer has 5 to 10 kB.
pub const SDP_BYTES_MAX: usize = 64 * 1024;

/// The most lines of one SDP. A browser with every codec writes some 300.
const LINES_MAX: usize = 2_000;

/// The lines of an SDP, which end in CRLF. A bare LF is taken, too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.is_empty())
}

//! The reasons of pulls that are the same whatever the protocol.

use weir_model::{Fault, Reason, ReasonCode};
use weir_net::DialFault;
use weir_rtmp::net::{Refusal, RefusalCode};

use super::machine::source_reason;
use crate::ts::Useless;

/// How many characters of a far end's own words are shown. The words come from outside, so they are cut.
pub(crate) const PEER_TEXT_CHARS_MAX: usize = 300;

/// The reason that a fault in dialling makes.
pub(super) fn of_dial(fault: &DialFault) -> Reason {
    let code = match fault {
        DialFault::Refused => ReasonCode::Refused,
        DialFault::Resolve | DialFault::Unreachable => ReasonCode::Unreachable,
        DialFault::Tls(_) => ReasonCode::TlsFailed,
        DialFault::TlsTimeout => ReasonCode::Timeout,
        DialFault::NotPermitted => {
            return Reason::new(ReasonCode::NotPermitted, fault.to_string()).with_fault(Fault::Config);
        }
    };
    source_reason(code, fault.to_string())
}

/// The reason where messages as RTMP has them came, and can't be used.
pub(super) fn of_refusal(refusal: Refusal) -> Reason {
    let code = match refusal.code {
        RefusalCode::Unsupported => ReasonCode::UnsupportedCodec,
        _ => ReasonCode::Malformed,
    };
    source_reason(code, refusal.description)
}

/// The reason where MPEG-TS came, or should have, and nothing of it can be used.
pub(super) fn of_useless(useless: Useless) -> Reason {
    source_reason(ReasonCode::NoVideo, useless.to_string())
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(PEER_TEXT_CHARS_MAX).collect()
}

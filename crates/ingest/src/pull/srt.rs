//! A pull by SRT: we call a listener, and it sends MPEG-TS.

use std::time::Duration;

use weir_media::WireClock;
use weir_model::{Fault, Reason, ReasonCode, SrtUrl};
use weir_net::Dialer;
use weir_srt::{CallError, CallTarget, call};

use super::machine::source_reason;
use super::reasons::of_dial;
use super::seat::Seat;
use crate::srt::{SrtEnd, SrtPublisher};

/// Calls the listener and reads until that ends. Returns why it did.
pub(crate) async fn fetch(url: &SrtUrl, dialer: &Dialer, seat: &Seat) -> Reason {
    let target = CallTarget {
        host: url.host.clone(),
        port: url.port,
        stream_id: url.streamid.as_ref().map(|secret| secret.expose().to_owned()),
        passphrase: url.passphrase.as_ref().map(|secret| secret.expose().to_owned()),
        key_bytes: url.pbkeylen,
        latency: url.latency_us.map(Duration::from_micros),
        payload_bytes: None,
        send_buffer_bytes: None,
        receives: true,
    };
    let connection = match call(&target, dialer).await {
        Ok(connection) => connection,
        Err(error) => return of_error(&error),
    };
    match seat.take(WireClock::MPEG_TS) {
        Ok(seated) => {
            let (ticket, mut gone) = seated.into_parts();
            tokio::select! {
                biased;
                reason = &mut gone => reason,
                ended = SrtPublisher::new(connection, ticket, None).run() => of_end(ended),
            }
        }
        Err(reason) => reason,
    }
}

fn of_end(ended: SrtEnd) -> Reason {
    match ended {
        SrtEnd::NothingUsable => source_reason(ReasonCode::NoVideo, "no picture or sound that can be used came"),
        SrtEnd::Left => {
            source_reason(ReasonCode::Ended, "the listener closed the connection, or was not heard of any more")
        }
        SrtEnd::Silent => source_reason(ReasonCode::Stalled, "the listener sent nothing"),
    }
}

fn of_error(error: &CallError) -> Reason {
    let code = match error {
        CallError::Dial(fault) => return of_dial(fault),
        // SRT's codes from 1000 on are those of HTTP with 1000 added.
        CallError::Rejected { code: 1404 } => ReasonCode::NotFound,
        CallError::Rejected { code: 1401 | 1403 } | CallError::EncryptionMismatch { .. } => ReasonCode::AuthRejected,
        CallError::Rejected { .. } => ReasonCode::Refused,
        CallError::Setup(message) => {
            return Reason::new(ReasonCode::Internal, message.clone()).with_fault(Fault::Server);
        }
    };
    source_reason(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_net::DialFault;

    #[test]
    fn each_error_has_its_code() {
        for (error, code) in [
            (CallError::Dial(DialFault::Unreachable), ReasonCode::Unreachable),
            (CallError::Dial(DialFault::NotPermitted), ReasonCode::NotPermitted),
            (CallError::Rejected { code: 1404 }, ReasonCode::NotFound),
            (CallError::Rejected { code: 1403 }, ReasonCode::AuthRejected),
            (CallError::Rejected { code: 1409 }, ReasonCode::Refused),
            (CallError::EncryptionMismatch { code: 10 }, ReasonCode::AuthRejected),
        ] {
            assert_eq!(of_error(&error).code, code, "{error:?}");
        }
    }
}

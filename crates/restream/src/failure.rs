//! What a failed push means: its reason in the contract's words, whose fault it is, and whether trying again can help.

use weir_model::{Fault, Reason, ReasonCode};
use weir_net::EgressFault;
use weir_rtmp::net::PushError;
use weir_srt::CallError;
use weir_srt::connection::ConnectionLost;

use crate::link::LinkError;
use crate::machine::{Failure, Retry};
use crate::srt_link::SrtLost;

/// A far end's own words are shown, cut here: they come from outside.
const PEER_TEXT_CHARS_MAX: usize = 300;

pub(crate) fn of(error: &LinkError) -> Failure {
    match error {
        LinkError::Rtmp(error) => of_rtmp(error),
        LinkError::Call(error) => of_call(error),
        LinkError::SrtLost(lost) => of_srt_lost(lost),
    }
}

fn of_call(error: &CallError) -> Failure {
    let message = error.to_string();
    let (code, retry) = match error {
        // Nobody is there to be disturbed by a look.
        CallError::Unreachable => (ReasonCode::Unreachable, Retry::BackoffAndWatchDoor),
        CallError::Address(EgressFault::Resolve) => (ReasonCode::Unreachable, Retry::Backoff),
        // What a listener does not want now it may want later: a key in use, a stream that is not there yet.
        CallError::Rejected { .. } => (ReasonCode::SrtRejected, Retry::Backoff),
        // The other side may be given its passphrase, too.
        CallError::EncryptionMismatch { .. } => (ReasonCode::EncryptionMismatch, Retry::Backoff),
        CallError::Setup(_) => (ReasonCode::Internal, Retry::Backoff),
        CallError::Address(EgressFault::NotPermitted) => return not_permitted(message),
    };
    Failure { reason: Reason::new(code, message), retry }
}

fn of_srt_lost(lost: &SrtLost) -> Failure {
    let (code, message) = match &lost.why {
        ConnectionLost::Gone if lost.silent => {
            (ReasonCode::Stalled, "nothing was heard of the destination any more".to_owned())
        }
        ConnectionLost::Gone => (ReasonCode::Refused, "the destination closed the connection".to_owned()),
        ConnectionLost::Other(_) => (ReasonCode::Internal, lost.why.to_string()),
    };
    Failure { reason: Reason::new(code, message), retry: Retry::Backoff }
}

fn not_permitted(message: String) -> Failure {
    let reason = Reason::new(ReasonCode::Refused, message).with_fault(Fault::Config);
    Failure { reason, retry: Retry::Pointless }
}

pub(crate) fn of_rtmp(error: &PushError) -> Failure {
    let message: String = error.to_string().chars().take(PEER_TEXT_CHARS_MAX).collect();
    let (code, retry) = match error {
        PushError::Refused => (ReasonCode::Refused, Retry::BackoffAndWatchDoor),
        PushError::Resolve | PushError::Unreachable => (ReasonCode::Unreachable, Retry::Backoff),
        PushError::TlsFailed(_) => (ReasonCode::TlsFailed, Retry::Backoff),
        PushError::Timeout { .. } => (ReasonCode::Timeout, Retry::Backoff),
        // Rejections of a key are retried too: platforms refuse a good key while its last session or event is not over.
        PushError::Rejected { auth: true, .. } => (ReasonCode::AuthRejected, Retry::Backoff),
        PushError::Rejected { .. } | PushError::TooManyRedirects | PushError::Protocol(_) => {
            (ReasonCode::Refused, Retry::Backoff)
        }
        // The far end took the connection and went away: a balancer with nobody behind it does the same for ever. Where a server
        // restarts, the next attempt finds its port refusing, and from then on it is looked at.
        PushError::Closed | PushError::Io(_) => (ReasonCode::Refused, Retry::Backoff),
        PushError::NotPermitted => return not_permitted(message),
    };
    Failure { reason: Reason::new(code, message), retry }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_rtmp::net::PushPhase;

    #[test]
    fn each_error_has_its_code() {
        let rejected = |auth| PushError::Rejected { code: "c".into(), description: "d".into(), auth };
        for (error, code, retry) in [
            (PushError::Refused, ReasonCode::Refused, Retry::BackoffAndWatchDoor),
            (PushError::Unreachable, ReasonCode::Unreachable, Retry::Backoff),
            (PushError::Resolve, ReasonCode::Unreachable, Retry::Backoff),
            (PushError::TlsFailed("bad certificate".into()), ReasonCode::TlsFailed, Retry::Backoff),
            (PushError::Timeout { phase: PushPhase::Publish }, ReasonCode::Timeout, Retry::Backoff),
            (rejected(true), ReasonCode::AuthRejected, Retry::Backoff),
            (rejected(false), ReasonCode::Refused, Retry::Backoff),
            (PushError::Closed, ReasonCode::Refused, Retry::Backoff),
            (PushError::Io(std::io::ErrorKind::Other.into()), ReasonCode::Refused, Retry::Backoff),
            (PushError::NotPermitted, ReasonCode::Refused, Retry::Pointless),
        ] {
            let failure = of_rtmp(&error);
            assert_eq!((failure.reason.code, failure.retry), (code, retry), "{error:?}");
        }
    }

    #[test]
    fn each_srt_error_has_its_code() {
        let lost = |why, silent| LinkError::SrtLost(SrtLost { why, silent });
        for (error, code) in [
            (LinkError::Call(CallError::Unreachable), ReasonCode::Unreachable),
            (LinkError::Call(CallError::Address(EgressFault::Resolve)), ReasonCode::Unreachable),
            (LinkError::Call(CallError::Rejected { code: 1403 }), ReasonCode::SrtRejected),
            (LinkError::Call(CallError::EncryptionMismatch { code: 10 }), ReasonCode::EncryptionMismatch),
            (LinkError::Call(CallError::Address(EgressFault::NotPermitted)), ReasonCode::Refused),
            (lost(ConnectionLost::Gone, false), ReasonCode::Refused),
            (lost(ConnectionLost::Gone, true), ReasonCode::Stalled),
        ] {
            assert_eq!(of(&error).reason.code, code, "{error:?}");
        }
        assert_eq!(
            of(&LinkError::Call(CallError::Unreachable)).retry,
            Retry::BackoffAndWatchDoor,
            "nobody listens there"
        );
        assert_eq!(of(&lost(ConnectionLost::Gone, false)).retry, Retry::Backoff, "somebody did");
        let rejected = of(&LinkError::Call(CallError::Rejected { code: 1403 }));
        assert!(rejected.reason.message.contains("1403"), "the code is told");
    }

    #[test]
    fn the_far_ends_words_are_shown_but_not_without_end() {
        let failure = of_rtmp(&PushError::Rejected {
            code: "NetStream.Publish.Denied".into(),
            description: "x".repeat(100_000),
            auth: true,
        });
        assert!(failure.reason.message.contains("NetStream.Publish.Denied"));
        assert_eq!(failure.reason.message.chars().count(), PEER_TEXT_CHARS_MAX);
    }
}

//! What a failed push means: its reason in the contract's words, whose fault it is, and whether trying again can help.

use weir_model::{Fault, Reason, ReasonCode};
use weir_rtmp::net::PushError;

use crate::machine::{Failure, Retry};

/// A far end's own words are shown, cut here: they come from outside.
const PEER_TEXT_CHARS_MAX: usize = 300;

pub(crate) fn of(error: &PushError) -> Failure {
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
        // The far end went away. It may be restarting: look whether its port opens again.
        PushError::Closed | PushError::Io(_) => (ReasonCode::Refused, Retry::BackoffAndWatchDoor),
        PushError::NotPermitted => {
            let reason = Reason::new(ReasonCode::Refused, message).with_fault(Fault::Config);
            return Failure { reason, retry: Retry::Pointless };
        }
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
            (PushError::Closed, ReasonCode::Refused, Retry::BackoffAndWatchDoor),
            (PushError::NotPermitted, ReasonCode::Refused, Retry::Pointless),
        ] {
            let failure = of(&error);
            assert_eq!((failure.reason.code, failure.retry), (code, retry), "{error:?}");
        }
    }

    #[test]
    fn the_far_ends_words_are_shown_but_not_without_end() {
        let failure = of(&PushError::Rejected {
            code: "NetStream.Publish.Denied".into(),
            description: "x".repeat(100_000),
            auth: true,
        });
        assert!(failure.reason.message.contains("NetStream.Publish.Denied"));
        assert_eq!(failure.reason.message.chars().count(), PEER_TEXT_CHARS_MAX);
    }
}

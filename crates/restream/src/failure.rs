//! Says what a failed call means, whatever the protocol: its reason in the contract's words, whose fault it is, and whether trying again
//! can help.

use std::time::Duration;

use weir_model::{Fault, Reason, ReasonCode};
use weir_net::DialFault;

use crate::machine::{Failure, Retry};

/// A look at a refused port takes this long at most.
pub(crate) const DOOR_TIMEOUT: Duration = Duration::from_secs(1);

/// The failure that a fault in dialling makes. `message` is what the protocol says of the fault, or the fault's own words.
pub(crate) fn of_dial(fault: &DialFault, message: String) -> Failure {
    let (code, retry) = match fault {
        DialFault::Refused => (ReasonCode::Refused, Retry::BackoffAndWatchDoor),
        DialFault::Resolve | DialFault::Unreachable => (ReasonCode::Unreachable, Retry::Backoff),
        DialFault::Tls(_) => (ReasonCode::TlsFailed, Retry::Backoff),
        DialFault::TlsTimeout => (ReasonCode::Timeout, Retry::Backoff),
        DialFault::NotPermitted => {
            let reason = Reason::new(ReasonCode::Refused, message).with_fault(Fault::Config);
            return Failure { reason, retry: Retry::Pointless };
        }
    };
    Failure { reason: Reason::new(code, message), retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_code() {
        for (fault, code, retry) in [
            (DialFault::Refused, ReasonCode::Refused, Retry::BackoffAndWatchDoor),
            (DialFault::Unreachable, ReasonCode::Unreachable, Retry::Backoff),
            (DialFault::Resolve, ReasonCode::Unreachable, Retry::Backoff),
            (DialFault::Tls("bad certificate".into()), ReasonCode::TlsFailed, Retry::Backoff),
            (DialFault::TlsTimeout, ReasonCode::Timeout, Retry::Backoff),
            (DialFault::NotPermitted, ReasonCode::Refused, Retry::Pointless),
        ] {
            let failure = of_dial(&fault, fault.to_string());
            assert_eq!((failure.reason.code, failure.retry), (code, retry), "{fault:?}");
        }
        assert_eq!(of_dial(&DialFault::NotPermitted, String::new()).reason.fault, Fault::Config);
    }
}

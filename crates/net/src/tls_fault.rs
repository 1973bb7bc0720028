//! Why TLS failed, in words that say whose fault it is and what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};
use time::OffsetDateTime;

/// The words for a TLS handshake or connection that failed like this. They contain nothing of ours, and only the names of the peer.
pub fn tls_fault(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(error) => of_rustls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection in the midst of TLS".to_owned()
        }
        None => error.to_string(),
    }
}

fn of_rustls(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::InvalidMessage(_) => "it does not speak TLS there: is it the right port?".to_owned(),
        Error::PeerIncompatible(_) => "it offers nothing that is safe: TLS 1.2 is the least".to_owned(),
        Error::AlertReceived(AlertDescription::CertificateRequired) => "it wants a certificate of ours".to_owned(),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => "it knows no host of that name".to_owned(),
        Error::AlertReceived(alert) => format!("it broke off with the alert {alert:?}"),
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        error => error.to_string(),
    }
}

fn of_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => untrusted(),
        // A certificate that states that it is an authority, as openssl makes them: a stranger's is as good as unsigned.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => untrusted(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate expired on {}", day(not_after.as_secs()))
        }
        CertificateError::Expired => "its certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "its certificate is not valid before {}: is the clock of this machine right?",
                day(not_before.as_secs())
            )
        }
        CertificateError::NotValidYet => {
            "its certificate is not valid yet: is the clock of this machine right?".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            match presented.is_empty() {
                true => format!("its certificate names no host, so that it can't be for {expected}"),
                false => format!("its certificate is for {}, not for {expected}", names(presented)),
            }
        }
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::Revoked => "its certificate has been revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one for servers".to_owned()
        }
        CertificateError::BadEncoding => "its certificate can't be read".to_owned(),
        CertificateError::BadSignature => "its certificate is not signed by whom it names as its issuer".to_owned(),
        why => format!("its certificate is not accepted: {why:?}"),
    }
}

fn untrusted() -> String {
    "nobody that this machine trusts has signed its certificate; if it is the right one, add it to tls.ca".to_owned()
}

/// A few of the names that rustls gives as `DnsName("a.example")` and `IpAddress(192.0.2.1)`, without their wrapping.
fn names(presented: &[String]) -> String {
    const SHOWN_MAX: usize = 4;
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
        inner.trim_matches([')', '"']).to_owned()
    };
    let mut shown: Vec<String> = presented.iter().take(SHOWN_MAX).map(bare).collect();
    if presented.len() > SHOWN_MAX {
        shown.push(format!("{} more", presented.len() - SHOWN_MAX));
    }
    shown.join(", ")
}

fn day(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(|| "an impossible day".to_owned(), |time| time.date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{ServerName, UnixTime};
    use std::time::Duration;

    #[test]
    fn in_words() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let names = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("b.example").unwrap(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (error, expected) in [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "add it to tls.ca"),
            (
                Error::InvalidCertificate(CertificateError::ExpiredContext {
                    time: at(0),
                    not_after: at(1_700_000_000),
                }),
                "its certificate expired on 2023-11-14",
            ),
            (
                Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    time: at(0),
                    not_before: at(1_700_000_000),
                }),
                "not valid before 2023-11-14",
            ),
            (
                Error::InvalidCertificate(names(&["DnsName(\"a.example\")", "IpAddress(192.0.2.1)"])),
                "its certificate is for a.example, 192.0.2.1, not for b.example",
            ),
            (Error::InvalidCertificate(names(&[])), "names no host, so that it can't be for b.example"),
            (Error::InvalidCertificate(names(&["x"; 100])), "x, x, x, x, 96 more"),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "is it the right port?"),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), "HandshakeFailure"),
        ] {
            let said = tls_fault(&io::Error::new(io::ErrorKind::InvalidData, error.clone()));
            assert!(said.contains(expected), "{error:?}: {said}");
        }
        assert!(tls_fault(&io::ErrorKind::UnexpectedEof.into()).contains("closed the connection"));
    }
}

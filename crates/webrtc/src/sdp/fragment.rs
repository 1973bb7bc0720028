//! Reads what a viewer sends by trickle: candidates for a session that exists (RFC 9725, 4.3).

use super::attributes::ice;
use super::{LINES_MAX, SDP_BYTES_MAX, lines};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentFault {
    #[error("the fragment has more than {max} bytes or lines", max = SDP_BYTES_MAX)]
    TooLong,
    #[error("the fragment has no readable ice-ufrag")]
    NoUfrag,
    #[error("the fragment has no candidate, and does not say that there are no more")]
    Empty,
}

/// What is read of a fragment: which session it belongs to. Its candidates are read past, because this side is ICE-lite: the far end does
/// the looking, and its checks show the addresses that they come from. That way nobody can have the server send to an address that did not
/// ask, either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub ufrag: String,
    /// Says that the fragment brings a new password: the far end wants ICE to begin anew.
    pub restarts: bool,
}

impl Fragment {
    pub fn parse(text: &str) -> Result<Self, FragmentFault> {
        if text.len() > SDP_BYTES_MAX {
            return Err(FragmentFault::TooLong);
        }
        let (mut ufrag, mut password, mut something) = (None, None, false);
        for (number, line) in lines(text).enumerate() {
            if number >= LINES_MAX {
                return Err(FragmentFault::TooLong);
            }
            let Some(attribute) = line.strip_prefix("a=") else { continue };
            match attribute.split_once(':').unwrap_or((attribute, "")) {
                ("ice-ufrag", value) => ufrag = ufrag.or(Some(value)),
                ("ice-pwd", value) => password = password.or(Some(value)),
                ("candidate" | "end-of-candidates", _) => something = true,
                _ => {}
            }
        }
        let ufrag = ufrag.and_then(|text| ice(text, 4)).ok_or(FragmentFault::NoUfrag)?;
        match something || password.is_some() {
            true => Ok(Self { ufrag: ufrag.to_owned(), restarts: password.is_some() }),
            false => Err(FragmentFault::Empty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_say_whose_they_are() {
        let candidate = "a=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\n";
        for (text, expected) in [
            (format!("a=ice-ufrag:abcd\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n{candidate}"), Ok(false)),
            ("a=ice-ufrag:abcd\na=end-of-candidates\n".to_owned(), Ok(false)),
            (format!("a=ice-ufrag:abcd\r\na=ice-pwd:{}\r\n", "p".repeat(24)), Ok(true)),
            (candidate.to_owned(), Err(FragmentFault::NoUfrag)),
            (format!("a=ice-ufrag:a d\r\n{candidate}"), Err(FragmentFault::NoUfrag)),
            ("a=ice-ufrag:abcd\r\n".to_owned(), Err(FragmentFault::Empty)),
            ("x".repeat(SDP_BYTES_MAX + 1), Err(FragmentFault::TooLong)),
            ("a=x\n".repeat(LINES_MAX + 1), Err(FragmentFault::TooLong)),
        ] {
            let expected = expected.map(|restarts| Fragment { ufrag: "abcd".to_owned(), restarts });
            assert_eq!(Fragment::parse(&text), expected, "{text:.60}");
        }
    }
}

//! Preview passes. With one the server vouches that whoever plays a stream is logged in and looks at it in the dashboard, so that this is
//! not counted as a viewer. A pass opens nothing: a protected stream wants its token all the same.
//!
//! A pass is its end in Unix seconds, a dot, and half of an HMAC-SHA256 in URL-safe base64. The stream is signed but not written.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use weir_model::{Secret, StreamId};

/// A login that has ended hides nobody for longer than this; a page that goes on playing fetches another pass before.
const LIFE: Duration = Duration::from_secs(15 * 60);

/// Half of the hash is kept, as in play tokens.
const MAC_BYTES: usize = 24;
/// The length in base64: 24 bytes are 32 characters, without padding.
const MAC_CHARS: usize = 32;
/// Even the seconds of a far year have no more digits.
const SECONDS_DIGITS_MAX: usize = 12;

/// A pass as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewPass {
    pub pass: Secret,
    pub expires_at: OffsetDateTime,
}

pub(crate) fn issue(sign: impl Fn(&[u8]) -> [u8; 32], stream: StreamId, now: OffsetDateTime) -> PreviewPass {
    let expires_at = (now + LIFE).replace_nanosecond(0).unwrap_or(now);
    let seconds = expires_at.unix_timestamp();
    let mac = URL_SAFE_NO_PAD.encode(&sign(&signed(stream, seconds))[..MAC_BYTES]);
    PreviewPass { pass: format!("{seconds}.{mac}").as_str().into(), expires_at }
}

pub(crate) fn is_valid(sign: impl Fn(&[u8]) -> [u8; 32], stream: StreamId, pass: &str, now: OffsetDateTime) -> bool {
    let Some((seconds, mac)) = pass.split_once('.') else { return false };
    if mac.len() != MAC_CHARS || seconds.len() > SECONDS_DIGITS_MAX {
        return false;
    }
    let Ok(seconds) = seconds.parse::<i64>() else { return false };
    // The end is checked first, because that costs nothing.
    if now.unix_timestamp() >= seconds {
        return false;
    }
    let mut given = [0; MAC_BYTES];
    URL_SAFE_NO_PAD.decode_slice(mac, &mut given) == Ok(MAC_BYTES)
        && bool::from(sign(&signed(stream, seconds))[..MAC_BYTES].ct_eq(&given))
}

/// The signed text. Its beginning differs from that of a play token, whose first byte is its version.
fn signed(stream: StreamId, seconds: i64) -> Vec<u8> {
    let mut text = b"weir preview\0".to_vec();
    text.extend_from_slice(&stream.0.to_be_bytes());
    text.extend_from_slice(&seconds.to_be_bytes());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This is no real signature, but enough for these tests: it differs where the text differs.
    fn sign(text: &[u8]) -> [u8; 32] {
        let mut sum = [7u8; 32];
        for (index, byte) in text.iter().enumerate() {
            for (place, value) in sum.iter_mut().enumerate() {
                *value = value.wrapping_mul(31).wrapping_add(byte ^ (index + place) as u8);
            }
        }
        sum
    }

    #[test]
    fn holds_for_its_stream_until_it_ends() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let pass = issue(sign, StreamId(7), now);
        let whole = pass.pass.expose().to_owned();
        let after = |seconds| now + time::Duration::seconds(seconds);
        for (stream, seconds, expected) in
            [(7, 0, true), (7, 899, true), (7, 900, false), (7, 90_000, false), (8, 0, false)]
        {
            assert_eq!(
                is_valid(sign, StreamId(stream), &whole, after(seconds)),
                expected,
                "{stream} after {seconds} s"
            );
        }
        assert_eq!(pass.expires_at, after(900));
        assert!(!format!("{pass:?}").contains(&whole));
    }

    #[test]
    fn what_strangers_make_up_is_none() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let whole = issue(sign, StreamId(7), now).pass.expose().to_owned();
        let (seconds, mac) = whole.split_once('.').unwrap();
        let later = seconds.parse::<i64>().unwrap() + 3_600;
        for text in [
            String::new(),
            ".".to_owned(),
            mac.to_owned(),
            format!("{later}.{mac}"),
            format!("{seconds}.{}", "A".repeat(MAC_CHARS)),
            format!("{seconds}.{mac}A"),
            format!("-{seconds}.{mac}"),
            format!("99999999999999999999.{mac}"),
            format!("{seconds}.{}", "é".repeat(MAC_CHARS / 2)),
            "9".repeat(100_000),
        ] {
            assert!(!is_valid(sign, StreamId(7), &text, now), "{text:.60}");
        }
    }
}

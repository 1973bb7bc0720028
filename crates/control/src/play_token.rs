//! Playback tokens: a stream, an end and perhaps an address, signed by the server, for viewers of protected streams.
//!
//! A token is 40 bytes in URL-safe base64: version, flags, expiry, a number that makes it unlike others, and half of an
//! HMAC-SHA256. The stream and the address are signed and not written: a token does not tell what it opens.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use weir_model::{Secret, StreamId};

/// Who hands out tokens makes new ones; a year is for signs in shop windows.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

const VERSION: u8 = 1;
const FLAG_IP: u8 = 1;
/// Version, flags, 6 bytes of Unix seconds, 8 of chance.
const PLAIN_BYTES: usize = 16;
/// Half of the hash: 2^-192 is as good as never.
const MAC_BYTES: usize = 24;
const TOKEN_BYTES: usize = PLAIN_BYTES + MAC_BYTES;
/// As base64 without padding: 40 bytes are 54 characters.
const TOKEN_CHARS: usize = (TOKEN_BYTES * 4).div_ceil(3);

/// A token as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayToken {
    pub token: Secret,
    pub expires_at: OffsetDateTime,
}

/// Makes a token; None where the system has no random numbers.
pub(crate) fn issue(
    sign: impl Fn(&[u8]) -> [u8; 32],
    stream: StreamId,
    ip: Option<IpAddr>,
    expires_at: OffsetDateTime,
) -> Option<PlayToken> {
    let mut bytes = [0; TOKEN_BYTES];
    let seconds = u64::try_from(expires_at.unix_timestamp()).ok()?.to_be_bytes();
    bytes[0] = VERSION;
    bytes[1] = if ip.is_some() { FLAG_IP } else { 0 };
    bytes[2..8].copy_from_slice(&seconds[2..]);
    getrandom::fill(&mut bytes[8..PLAIN_BYTES]).ok()?;
    let mac = sign(&signed(&bytes[..PLAIN_BYTES], stream, ip));
    bytes[PLAIN_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
    // What the token says, without the part of a second that it can't.
    let expires_at = expires_at.replace_nanosecond(0).unwrap_or(expires_at);
    Some(PlayToken { token: URL_SAFE_NO_PAD.encode(bytes).into(), expires_at })
}

/// Whether `token` opens this stream to this address now.
pub(crate) fn opens(
    sign: impl Fn(&[u8]) -> [u8; 32],
    token: &str,
    stream: StreamId,
    ip: IpAddr,
    now: OffsetDateTime,
) -> bool {
    let mut bytes = [0; TOKEN_BYTES];
    if token.len() != TOKEN_CHARS || URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) != Ok(TOKEN_BYTES) {
        return false;
    }
    let (plain, mac) = bytes.split_at(PLAIN_BYTES);
    if plain[0] != VERSION || plain[1] & !FLAG_IP != 0 {
        return false;
    }
    let ip = (plain[1] & FLAG_IP != 0).then_some(ip);
    let is_ours: bool = sign(&signed(plain, stream, ip))[..MAC_BYTES].ct_eq(mac).into();
    let expires_at = plain[2..8].iter().fold(0, |seconds: i64, byte| seconds << 8 | i64::from(*byte));
    is_ours && now.unix_timestamp() < expires_at
}

fn signed(plain: &[u8], stream: StreamId, ip: Option<IpAddr>) -> Vec<u8> {
    let mut text = plain.to_vec();
    text.extend_from_slice(&stream.0.to_be_bytes());
    match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => text.extend_from_slice(&ip.octets()),
        Some(IpAddr::V6(ip)) => text.extend_from_slice(&ip.octets()),
        None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(text: &[u8]) -> [u8; 32] {
        // Not a signature, and enough for these tests: it differs where the text differs.
        let mut sum = [7u8; 32];
        for (index, byte) in text.iter().enumerate() {
            for (place, value) in sum.iter_mut().enumerate() {
                *value = value.wrapping_mul(31).wrapping_add(byte ^ (index + place) as u8);
            }
        }
        sum
    }

    #[test]
    fn opens_its_stream_until_it_expires() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let (second, one, here) = (time::Duration::SECOND, StreamId(1), "10.0.0.1".parse().unwrap());
        let there: IpAddr = "10.0.0.2".parse().unwrap();
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let free = issue(sign, one, None, now + second * 10).unwrap();
        let bound = issue(sign, one, Some(here), now + second * 10).unwrap();
        for (token, stream, ip, at, expected) in [
            (&free, 1, here, 0, true),
            (&free, 1, there, 9, true),
            (&free, 1, here, 10, false),
            (&free, 1, here, 100_000, false),
            (&free, 2, here, 0, false),
            (&bound, 1, here, 0, true),
            (&bound, 1, mapped, 0, true),
            (&bound, 1, there, 0, false),
            (&bound, 2, here, 0, false),
        ] {
            let opened = opens(sign, token.token.expose(), StreamId(stream), ip, now + second * at);
            assert_eq!(opened, expected, "stream {stream} to {ip} after {at} s");
        }
        assert_ne!(free.token, issue(sign, one, None, now + second * 10).unwrap().token, "each is its own");
        assert_eq!(free.token.expose().len(), TOKEN_CHARS);
        assert!(!format!("{free:?}").contains(free.token.expose()));
    }

    #[test]
    fn what_was_touched_does_not_open() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let here = "10.0.0.1".parse().unwrap();
        let token = issue(sign, StreamId(1), None, now + time::Duration::HOUR).unwrap().token;
        let bytes = URL_SAFE_NO_PAD.decode(token.expose()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut touched = bytes.clone();
            touched[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(sign, &URL_SAFE_NO_PAD.encode(touched), StreamId(1), here, now), "bit {bit}");
        }
        for text in ["", "x", "é", &token.expose()[1..], &format!("{}A", token.expose()), &"A".repeat(100_000)] {
            assert!(!opens(sign, text, StreamId(1), here, now));
        }
    }
}

//! Playback tokens for viewers of protected streams: a stream, an end and perhaps an address, signed by the server.
//!
//! A token is 44 bytes in URL-safe base64: version, flags, expiry, the stream's epoch, a number that makes it unlike others, and half of
//! an HMAC-SHA256. The stream and the address are signed but not written: a token does not tell what it opens. Raising the stream's epoch
//! revokes all of its tokens at once, without a list of them.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use weir_model::{Secret, StreamId};

/// Who needs tokens for longer can make new ones; a year is for signs in shop windows.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

const VERSION: u8 = 2;
/// Version, flags, 6 bytes of Unix seconds, 4 bytes of epoch and 8 random ones.
const PLAIN_BYTES: usize = 20;
/// The first version had no epoch; its tokens belong to epoch 0, in which every stream begins.
const FIRST_VERSION: u8 = 1;
const FIRST_PLAIN_BYTES: usize = 16;

const FLAG_IP: u8 = 1;
/// Half of the hash is kept: a chance of 2^-192 is as good as none.
const MAC_BYTES: usize = 24;
const TOKEN_BYTES: usize = PLAIN_BYTES + MAC_BYTES;
const FIRST_TOKEN_BYTES: usize = FIRST_PLAIN_BYTES + MAC_BYTES;

/// The length in base64 without padding: 44 bytes are 59 characters.
const fn chars_of(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// A token as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayToken {
    pub token: Secret,
    pub expires_at: OffsetDateTime,
}

/// What one of our tokens states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) epoch: u32,
    /// The end in Unix seconds.
    pub(crate) expires_at: i64,
}

/// Makes a token; None where the system has no random numbers.
pub(crate) fn issue(
    sign: impl Fn(&[u8]) -> [u8; 32],
    (stream, epoch): (StreamId, u32),
    ip: Option<IpAddr>,
    expires_at: OffsetDateTime,
) -> Option<PlayToken> {
    let mut bytes = [0; TOKEN_BYTES];
    let seconds = u64::try_from(expires_at.unix_timestamp()).ok()?.to_be_bytes();
    bytes[0] = VERSION;
    bytes[1] = if ip.is_some() { FLAG_IP } else { 0 };
    bytes[2..8].copy_from_slice(&seconds[2..]);
    bytes[8..12].copy_from_slice(&epoch.to_be_bytes());
    getrandom::fill(&mut bytes[12..PLAIN_BYTES]).ok()?;
    let mac = sign(&signed(&bytes[..PLAIN_BYTES], stream, ip));
    bytes[PLAIN_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
    // The expiry as the token states it, without the part of a second that it can't hold.
    let expires_at = expires_at.replace_nanosecond(0).unwrap_or(expires_at);
    Some(PlayToken { token: URL_SAFE_NO_PAD.encode(bytes).into(), expires_at })
}

/// What the token states; None unless this server made it for this stream and this address.
pub(crate) fn read(sign: impl Fn(&[u8]) -> [u8; 32], token: &str, stream: StreamId, ip: IpAddr) -> Option<Shown> {
    const CHARS: usize = chars_of(TOKEN_BYTES);
    const FIRST_CHARS: usize = chars_of(FIRST_TOKEN_BYTES);
    let (version, plain_bytes) = match token.len() {
        CHARS => (VERSION, PLAIN_BYTES),
        FIRST_CHARS => (FIRST_VERSION, FIRST_PLAIN_BYTES),
        _ => return None,
    };
    let mut bytes = [0; TOKEN_BYTES];
    let bytes = bytes.get_mut(..plain_bytes + MAC_BYTES)?;
    if URL_SAFE_NO_PAD.decode_slice(token, bytes) != Ok(plain_bytes + MAC_BYTES) {
        return None;
    }
    let (plain, mac) = bytes.split_at(plain_bytes);
    if plain[0] != version || plain[1] & !FLAG_IP != 0 {
        return None;
    }
    let ip = (plain[1] & FLAG_IP != 0).then_some(ip);
    let is_ours: bool = sign(&signed(plain, stream, ip))[..MAC_BYTES].ct_eq(mac).into();
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number: i64, byte| number << 8 | i64::from(*byte));
    let epoch = if version == FIRST_VERSION { 0 } else { number(&plain[8..12]) };
    is_ours.then_some(Shown { epoch: u32::try_from(epoch).ok()?, expires_at: number(&plain[2..8]) })
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
        // This is no real signature, but enough for these tests: it differs where the text differs.
        let mut sum = [7u8; 32];
        for (index, byte) in text.iter().enumerate() {
            for (place, value) in sum.iter_mut().enumerate() {
                *value = value.wrapping_mul(31).wrapping_add(byte ^ (index + place) as u8);
            }
        }
        sum
    }

    const EXPIRES: i64 = 1_800_000_010;

    fn expires() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(EXPIRES).unwrap()
    }

    #[test]
    fn says_its_end_and_epoch_to_its_stream_and_address_alone() {
        let (one, here): (_, IpAddr) = (StreamId(1), "10.0.0.1".parse().unwrap());
        let there: IpAddr = "10.0.0.2".parse().unwrap();
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let free = issue(sign, (one, 7), None, expires()).unwrap();
        let bound = issue(sign, (one, u32::MAX), Some(here), expires()).unwrap();
        for (token, stream, ip, epoch) in [
            (&free, 1, here, Some(7)),
            (&free, 1, there, Some(7)),
            (&free, 2, here, None),
            (&bound, 1, here, Some(u32::MAX)),
            (&bound, 1, mapped, Some(u32::MAX)),
            (&bound, 1, there, None),
            (&bound, 2, here, None),
        ] {
            let shown = read(sign, token.token.expose(), StreamId(stream), ip);
            assert_eq!(shown, epoch.map(|epoch| Shown { epoch, expires_at: EXPIRES }), "stream {stream} to {ip}");
        }
        assert_ne!(free.token, issue(sign, (one, 7), None, expires()).unwrap().token, "each is its own");
        assert_eq!(free.token.expose().len(), chars_of(TOKEN_BYTES));
        assert!(!format!("{free:?}").contains(free.token.expose()));
    }

    /// Tokens as version 1 made them. They were handed out for up to 366 days, so they must outlive an upgrade.
    #[test]
    fn tokens_of_the_first_version_belong_to_epoch_zero() {
        let mut bytes = vec![FIRST_VERSION, 0];
        bytes.extend_from_slice(&EXPIRES.to_be_bytes()[2..]);
        bytes.extend_from_slice(b"8 random");
        let mac = sign(&signed(&bytes, StreamId(1), None));
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        let token = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(token.len(), 54);
        let here = "10.0.0.1".parse().unwrap();
        assert_eq!(read(sign, &token, StreamId(1), here), Some(Shown { epoch: 0, expires_at: EXPIRES }));
        assert_eq!(read(sign, &token, StreamId(2), here), None);
    }

    #[test]
    fn what_was_touched_says_nothing() {
        let here = "10.0.0.1".parse().unwrap();
        let token = issue(sign, (StreamId(1), 1), None, expires()).unwrap().token;
        let bytes = URL_SAFE_NO_PAD.decode(token.expose()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut touched = bytes.clone();
            touched[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(sign, &URL_SAFE_NO_PAD.encode(touched), StreamId(1), here), None, "bit {bit}");
        }
        for text in ["", "x", "é", &token.expose()[1..], &format!("{}A", token.expose()), &"A".repeat(100_000)] {
            assert_eq!(read(sign, text, StreamId(1), here), None);
        }
    }
}

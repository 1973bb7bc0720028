//! The `srt://` addresses that we call. Query parameters are as FFmpeg writes them, with units that can't be mistaken.

use crate::Secret;
use crate::percent_decoded;
use crate::push_url::{UrlFault, authority, checked_text, split_query};
use std::ops::RangeInclusive;

/// SRT itself fixes this range.
pub const PASSPHRASE_BYTES: RangeInclusive<usize> = 10..=79;

/// The greatest latency is a minute. More is a unit mistake (the recovery buffer would be 15 MB at 2 Mbps and the stream a minute late).
pub const MAX_LATENCY_US: u64 = 60_000_000;

/// libsrt's own limit for SRTO_STREAMID.
const MAX_STREAMID_BYTES: usize = 512;

/// The range is from one TS packet to the largest payload of a 1500-byte MTU.
const PKT_SIZE_BYTES: RangeInclusive<u64> = 188..=1456;

/// The range is from one datagram to 64 MiB, which is a minute at 9 Mbps. It limits the memory that one URL may claim.
const SEND_BUFFER_BYTES: RangeInclusive<u64> = 1_500..=67_108_864;

/// Where and how to call an SRT listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtUrl {
    /// A host name or an address; IPv6 has no brackets.
    pub host: String,
    pub port: u16,
    /// The stream id. It often carries the stream key, so it is kept like one.
    pub streamid: Option<Secret>,
    pub passphrase: Option<Secret>,
    pub latency_us: Option<u64>,
    /// The length of the key: 16, 24 or 32 bytes. `None` leaves the choice to the library.
    pub pbkeylen: Option<u8>,
    pub pkt_size: Option<u32>,
    pub send_buffer_size: Option<u32>,
}

impl SrtUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlFault> {
        let rest = url.get("srt://".len()..).unwrap_or_default();
        let (address, query) = split_query(rest);
        let address = authority(address.trim_end_matches('/'))?;
        if address.login.is_some() {
            return Err(UrlFault::new("an SRT URL has no user name; use streamid and passphrase"));
        }
        let Some(port) = address.port else {
            return Err(UrlFault::new("an SRT URL needs a port, as in srt://host:9000"));
        };
        let mut srt = Self {
            host: address.host,
            port,
            streamid: None,
            passphrase: None,
            latency_us: None,
            pbkeylen: None,
            pkt_size: None,
            send_buffer_size: None,
        };
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(UrlFault::parameter(name, "is given twice"));
            }
            let value = percent_decoded(value);
            checked_text(&value).map_err(|_| UrlFault::parameter(name, "must not contain control characters"))?;
            srt.set(name, &value)?;
            seen.push(name);
        }
        Ok(srt)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), UrlFault> {
        let fault = |problem: &str| Err(UrlFault::parameter(name, problem));
        match name {
            "mode" => {
                if value != "caller" {
                    return fault("must be caller: a restream calls its destination");
                }
            }
            "latency" => match latency_us(value) {
                Some(us) if us <= MAX_LATENCY_US => self.latency_us = Some(us),
                _ => return fault("must be microseconds, or a number with us, ms or s, up to 60 s"),
            },
            "passphrase" => {
                checked_passphrase(value).map_err(|problem| UrlFault::parameter(name, problem))?;
                self.passphrase = Some(value.into());
            }
            "pbkeylen" => match value {
                "0" => self.pbkeylen = None,
                "16" => self.pbkeylen = Some(16),
                "24" => self.pbkeylen = Some(24),
                "32" => self.pbkeylen = Some(32),
                _ => return fault("must be 16, 24 or 32"),
            },
            "streamid" => {
                if value.len() > MAX_STREAMID_BYTES {
                    return fault("must be at most 512 bytes long");
                }
                self.streamid = (!value.is_empty()).then(|| value.into());
            }
            "pkt_size" => match within(value, &PKT_SIZE_BYTES) {
                Some(bytes) => self.pkt_size = Some(bytes),
                None => return fault("must be a number from 188 to 1456"),
            },
            "send_buffer_size" => match within(value, &SEND_BUFFER_BYTES) {
                Some(bytes) => self.send_buffer_size = Some(bytes),
                None => return fault("must be a number from 1500 to 67108864"),
            },
            _ => return fault("is not a known SRT parameter"),
        }
        Ok(())
    }

    /// The address and the parameters that are not secret, for people.
    pub(crate) fn masked(&self) -> String {
        let mut text = format!("srt://{}?mode=caller", self.address());
        let numbers = [
            ("latency", self.latency_us),
            ("pbkeylen", self.pbkeylen.map(u64::from)),
            ("pkt_size", self.pkt_size.map(u64::from)),
            ("send_buffer_size", self.send_buffer_size.map(u64::from)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                text.push_str(&format!("&{name}={number}"));
            }
        }
        text
    }

    /// The address as `host:port`, with IPv6 in brackets.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Checks SRT's own rule for passphrases.
pub fn checked_passphrase(passphrase: &str) -> Result<(), &'static str> {
    if PASSPHRASE_BYTES.contains(&passphrase.len()) { Ok(()) } else { Err("must be 10 to 79 characters long") }
}

/// Reads a latency. FFmpeg writes bare microseconds; people write milliseconds or seconds, which must have their unit.
fn latency_us(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let us_each = match unit {
        "" if !number.contains('.') => 1.0,
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let us = (number * us_each).round();
    // Far above our limits a float may no longer be exact. Such a number is refused here with one comparison.
    (us.is_finite() && us <= 1e12).then_some(us as u64)
}

fn within(text: &str, range: &RangeInclusive<u64>) -> Option<u32> {
    let number: u64 = text.parse().ok()?;
    if range.contains(&number) { u32::try_from(number).ok() } else { None }
}

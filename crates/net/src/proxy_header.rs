//! The PROXY protocol's header, versions 1 and 2, which a proxy writes before what its client says. Reading it is pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is read: one of version 2 with the certificate's
/// names and the tags of a cloud's balancer stays below a kilobyte.
pub const PROXY_HEADER_BYTES_MAX: usize = 2_048;

const V1_BEGIN: &[u8] = b"PROXY ";
/// The protocol's own limit: two IPv6 addresses and two ports.
const V1_BYTES_MAX: usize = 107;

const V2_BEGIN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, and length.
const V2_FIXED_BYTES: usize = 16;
/// The type and length of a tag of version 2.
const V2_TAG_BYTES: usize = 3;
const V2_TAG_SSL: u8 = 0x20;
const V2_SSL_CLIENT: u8 = 1;

/// What a proxy says of the connection behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address. None where the connection is the proxy's own, such as a check whether the server is there.
    pub source: Option<SocketAddr>,
    /// True where the client came to the proxy over TLS.
    pub secure: bool,
}

/// What stands at the beginning of the bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadProxyHeader {
    /// Something other than a header.
    Absent,
    /// The bytes may become a header.
    Partial,
    /// A header, and its length in bytes.
    Whole(ProxyHeader, usize),
    /// The bytes begin like a header and are none.
    Malformed,
}

pub fn read_proxy_header(bytes: &[u8]) -> ReadProxyHeader {
    if begins(bytes, V1_BEGIN) {
        return read_v1(bytes);
    }
    if begins(bytes, V2_BEGIN) { read_v2(bytes).unwrap_or(ReadProxyHeader::Malformed) } else { ReadProxyHeader::Absent }
}

/// Whether the bytes are a beginning of `expected`, or begin with it.
fn begins(bytes: &[u8], expected: &[u8]) -> bool {
    let length = bytes.len().min(expected.len());
    bytes[..length] == expected[..length]
}

/// Reads `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`.
fn read_v1(bytes: &[u8]) -> ReadProxyHeader {
    let bytes = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_BYTES_MAX { ReadProxyHeader::Partial } else { ReadProxyHeader::Malformed };
    };
    match std::str::from_utf8(&bytes[..end]).ok().and_then(v1_line) {
        Some(header) => ReadProxyHeader::Whole(header, end + 2),
        None => ReadProxyHeader::Malformed,
    }
}

fn v1_line(line: &str) -> Option<ProxyHeader> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(ProxyHeader::default());
    }
    let (source, target): (IpAddr, IpAddr) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (port, _): (u16, u16) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let is_family = match family {
        "TCP4" => source.is_ipv4() && target.is_ipv4(),
        "TCP6" => source.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    (is_family && words.next().is_none()).then(|| ProxyHeader { source: Some((source, port).into()), secure: false })
}

/// Reads a header of version 2; None where it is malformed.
fn read_v2(bytes: &[u8]) -> Option<ReadProxyHeader> {
    let Some(&[command, family, high, low]) = bytes.get(V2_BEGIN.len()..V2_FIXED_BYTES) else {
        return Some(ReadProxyHeader::Partial);
    };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > PROXY_HEADER_BYTES_MAX || command >> 4 != 2 {
        return None;
    }
    let Some(about) = bytes.get(V2_FIXED_BYTES..length) else { return Some(ReadProxyHeader::Partial) };
    let header = match command & 0x0F {
        // With LOCAL, the addresses are to be ignored.
        0 => ProxyHeader::default(),
        1 => v2_source(family, about)?,
        _ => return None,
    };
    Some(ReadProxyHeader::Whole(header, length))
}

fn v2_source(family: u8, about: &[u8]) -> Option<ProxyHeader> {
    let (source, tags) = match family {
        // TCP over IPv4 has both addresses and both ports.
        0x11 => {
            let ip = Ipv4Addr::from(*about.first_chunk::<4>()?);
            (Some((IpAddr::V4(ip), port(about, 8)?).into()), about.get(12..)?)
        }
        0x21 => {
            let ip = Ipv6Addr::from(*about.first_chunk::<16>()?);
            (Some((IpAddr::V6(ip), port(about, 32)?).into()), about.get(36..)?)
        }
        // With an unspecified family the proxy does not know the client.
        0x00 => (None, &[][..]),
        // All streams that the server accepts are TCP.
        _ => return None,
    };
    Some(ProxyHeader { source, secure: says_tls(tags) })
}

fn port(about: &[u8], at: usize) -> Option<u16> {
    about.get(at..)?.first_chunk().map(|port| u16::from_be_bytes(*port))
}

fn says_tls(mut tags: &[u8]) -> bool {
    while let Some(&[kind, high, low]) = tags.first_chunk::<V2_TAG_BYTES>() {
        let end = V2_TAG_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = tags.get(V2_TAG_BYTES..end) else { return false };
        if kind == V2_TAG_SSL {
            return value.first().is_some_and(|flags| flags & V2_SSL_CLIENT != 0);
        }
        tags = &tags[end..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, about: &[u8]) -> Vec<u8> {
        let mut bytes = V2_BEGIN.to_vec();
        bytes.extend_from_slice(&[command, family]);
        bytes.extend_from_slice(&u16::try_from(about.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(about);
        bytes
    }

    fn whole(source: Option<&str>, secure: bool, length: usize) -> ReadProxyHeader {
        ReadProxyHeader::Whole(ProxyHeader { source: source.map(|source| source.parse().unwrap()), secure }, length)
    }

    #[test]
    fn version_1() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_BYTES_MAX - 16));
        for (text, expected) in [
            ("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nGET /", whole(Some("192.0.2.1:56324"), false, 41)),
            ("PROXY TCP6 2001:db8::1 ::1 5 6\r\n", whole(Some("[2001:db8::1]:5"), false, 32)),
            ("PROXY UNKNOWN\r\n", whole(None, false, 15)),
            ("PROXY UNKNOWN anything at all\r\n", whole(None, false, 31)),
            (&longest, whole(None, false, V1_BYTES_MAX)),
            ("PROXY TCP4 192.0.2.1 ::1 5 6\r\n", ReadProxyHeader::Malformed),
            ("PROXY TCP6 192.0.2.1 10.0.0.1 5 6\r\n", ReadProxyHeader::Malformed),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 5 65536\r\n", ReadProxyHeader::Malformed),
            ("PROXY TCP4 192.0.2.1 10.0.0.1 5 6 7\r\n", ReadProxyHeader::Malformed),
            ("PROXY TCP4  192.0.2.1 10.0.0.1 5 6\r\n", ReadProxyHeader::Malformed),
            ("PROXY UDP4 192.0.2.1 10.0.0.1 5 6\r\n", ReadProxyHeader::Malformed),
            ("PROPFIND / HTTP/1.1\r\n", ReadProxyHeader::Absent),
            ("POST / HTTP/1.1\r\n", ReadProxyHeader::Absent),
            ("\u{3}", ReadProxyHeader::Absent),
            ("", ReadProxyHeader::Partial),
        ] {
            assert_eq!(read_proxy_header(text.as_bytes()), expected, "{text}");
            if let ReadProxyHeader::Whole(_, length) = expected {
                for length in 0..length {
                    assert_eq!(read_proxy_header(&text.as_bytes()[..length]), ReadProxyHeader::Partial, "{length}");
                }
            }
        }
        assert_eq!(read_proxy_header(&[b"PROXY ", [b'x'; 200].as_slice()].concat()), ReadProxyHeader::Malformed);
    }

    #[test]
    fn version_2() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 1, 0xBB];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 1, 0x0D, 0xB8]);
        v6[33] = 7;
        // There is an authority of two letters, and then TLS by the client.
        let tags = [&v4[..], &[2, 0, 2, b'a', b'b'], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        let cut_tag = [&v4[..], &[0x20, 0, 5, 1]].concat();
        for (bytes, expected) in [
            (v2(0x21, 0x11, &v4), whole(Some("192.0.2.1:4660"), false, 28)),
            (v2(0x21, 0x21, &v6), whole(Some("[2001:db8::]:7"), false, 52)),
            (v2(0x21, 0x11, &tags), whole(Some("192.0.2.1:4660"), true, 41)),
            (v2(0x21, 0x11, &cut_tag), whole(Some("192.0.2.1:4660"), false, 32)),
            (v2(0x20, 0x11, &v4), whole(None, false, 28)),
            (v2(0x20, 0, &[]), whole(None, false, 16)),
            (v2(0x21, 0, &[1, 2, 3]), whole(None, false, 19)),
            (v2(0x21, 0x11, &v4[..11]), ReadProxyHeader::Malformed),
            (v2(0x21, 0x31, &[0; 216]), ReadProxyHeader::Malformed),
            (v2(0x21, 0x12, &v4), ReadProxyHeader::Malformed),
            (v2(0x22, 0x11, &v4), ReadProxyHeader::Malformed),
            (v2(0x11, 0x11, &v4), ReadProxyHeader::Malformed),
            (v2(0x21, 0x11, &[0; PROXY_HEADER_BYTES_MAX]), ReadProxyHeader::Malformed),
        ] {
            assert_eq!(read_proxy_header(&bytes), expected, "{bytes:?}");
            if let ReadProxyHeader::Whole(_, length) = expected {
                for length in 0..length {
                    assert_eq!(read_proxy_header(&bytes[..length]), ReadProxyHeader::Partial, "{length}");
                }
                assert_eq!(read_proxy_header(&[&bytes[..], b"more"].concat()), expected);
            }
        }
    }
}

//! Reads the one thing that must be known of a STUN message before its connection is: the name of that connection.

const HEADER_BYTES: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const USERNAME: u16 = 0x0006;

/// How many attributes are looked through for the name. In practice it is the first or the second.
const ATTRIBUTES_MAX: usize = 32;

/// Whether the datagram is STUN. DTLS and RTP begin with other bytes (RFC 7983, 7).
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER_BYTES
        && datagram.first().is_some_and(|first| *first < 4)
        && datagram.get(4..8) == Some(&MAGIC_COOKIE)
}

/// Our own ufrag, with which the name in a far end's check begins ("ours:theirs"). Nothing has proven yet that the sender knows the
/// password.
pub(crate) fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    let mut rest = datagram.get(HEADER_BYTES..).filter(|_| is_stun(datagram))?;
    for _ in 0..ATTRIBUTES_MAX {
        let [kind_high, kind_low, length_high, length_low, tail @ ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        if u16::from_be_bytes([*kind_high, *kind_low]) == USERNAME {
            let name = std::str::from_utf8(tail.get(..length)?).ok()?;
            return name.split_once(':').map(|(ours, _)| ours);
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        out.extend_from_slice(&[7; 12]);
        for (kind, value) in attributes {
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            out.extend_from_slice(value);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    #[test]
    fn the_name_is_found_behind_others() {
        for (datagram, expected) in [
            (message(&[(USERNAME, b"ours:theirs")]), Some("ours")),
            (message(&[(0x8022, b"abc"), (USERNAME, b"ours:x")]), Some("ours")),
            (message(&[(USERNAME, b"ours")]), None),
            (message(&[(USERNAME, b"\xFF:x")]), None),
            (message(&[]), None),
            (vec![0x80; 40], None),
            (Vec::new(), None),
        ] {
            assert_eq!(local_ufrag(&datagram), expected);
            for length in 0..datagram.len() {
                let _ = local_ufrag(&datagram[..length]);
            }
        }
    }
}

//! What a connection to an address reaches: the address itself, and whatever IPv4 address is carried within it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses that may answer there. The address itself comes first, in its shortest form.
pub(crate) fn reached(address: IpAddr) -> Vec<IpAddr> {
    match address.to_canonical() {
        IpAddr::V4(address) => reached_by_v4(address),
        IpAddr::V6(address) => {
            let mut places = vec![IpAddr::V6(address)];
            if address.is_unspecified() || address.is_loopback() {
                // Linux connects the wildcard to loopback, where a listener on both families answers at both.
                places.extend([IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)]);
            } else {
                places.extend(carried(address).into_iter().flat_map(reached_by_v4));
            }
            places
        }
    }
}

fn reached_by_v4(address: Ipv4Addr) -> Vec<IpAddr> {
    let mut places = vec![IpAddr::V4(address)];
    if address.is_unspecified() {
        places.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    }
    places
}

/// The IPv4 addresses that translators and tunnels would take out of it. Without
/// such a tunnel they are not reached, so that too many of them harm nobody.
fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bits = address.to_bits();
    // Takes the 32 bits that begin at this one, counted from the left.
    let at = |first: u32| Ipv4Addr::from_bits((bits >> (96 - first)) as u32);
    match address.segments() {
        // IPv4-compatible (RFC 4291, 2.5.5.1) and NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![at(96)],
        // NAT64 with a prefix of one's own (RFC 8215): where the address lies depends on the length
        // of the prefix, which only the translator knows. All lengths leave out bits 64 to 71.
        // Nobody is at 0.0.0.0/8, which is what the wrong places hold where the prefix is short.
        [0x64, 0xff9b, 1, ..] => {
            let without_gap = (bits >> 64 << 64) | ((bits << 72) >> 64);
            let around_gap = |first: u32| Ipv4Addr::from_bits((without_gap >> (96 - first)) as u32);
            let places = [around_gap(48), around_gap(56), around_gap(64), at(96)];
            places.into_iter().filter(|place| place.octets()[0] != 0).collect()
        }
        // 6to4 (RFC 3056).
        [0x2002, ..] => vec![at(16)],
        // Teredo (RFC 4380): the server, and the client with all bits inverted.
        [0x2001, 0, ..] => vec![at(32), Ipv4Addr::from_bits(!at(96).to_bits())],
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => vec![at(96)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_is_found() {
        for (address, expected) in [
            ("8.8.8.8", &["8.8.8.8"][..]),
            ("0.0.0.0", &["0.0.0.0", "127.0.0.1", "::1"]),
            ("::ffff:8.8.8.8", &["8.8.8.8"]),
            ("::", &["::", "::1", "127.0.0.1"]),
            ("::8.8.8.8", &["::808:808", "8.8.8.8"]),
            ("64:ff9b::8.8.8.8", &["64:ff9b::808:808", "8.8.8.8"]),
            ("64:ff9b::", &["64:ff9b::", "0.0.0.0", "127.0.0.1", "::1"]),
            // RFC 6052, 2.4: 192.0.2.33 behind prefixes of 48, 56, 64 and 96 bits.
            ("64:ff9b:1:c000:2:2100::", &["64:ff9b:1:c000:2:2100::", "192.0.2.33", "2.33.0.0"]),
            ("64:ff9b:1:aac0:0:221::", &["64:ff9b:1:aac0:0:221::", "170.192.0.2", "192.0.2.33"]),
            ("2002:808:808::1", &["2002:808:808::1", "8.8.8.8"]),
            ("2001:0:102:304::f7f7:f7f7", &["2001:0:102:304::f7f7:f7f7", "1.2.3.4", "8.8.8.8"]),
            ("fe80::5efe:808:808", &["fe80::5efe:808:808", "8.8.8.8"]),
            ("2a00:1450::1", &["2a00:1450::1"]),
        ] {
            let found: Vec<String> = reached(address.parse().unwrap()).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{address}");
        }
        for address in ["64:ff9b:1:aabb:c0:2:2100:0", "64:ff9b:1:aabb::192.0.2.33"] {
            let found = reached(address.parse().unwrap());
            assert!(found.contains(&"192.0.2.33".parse().unwrap()), "{address} {found:?}");
        }
    }
}

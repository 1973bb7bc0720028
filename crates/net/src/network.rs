//! Which network an address stands for.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address stands for itself. An IPv6 address stands for its /64, as one customer has all of that to come from. An IPv4 address
/// that is written as IPv6 is the IPv4 address.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_a_64() {
        for (address, expected) in
            [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
        {
            let parse = |text: &str| text.parse::<IpAddr>().unwrap();
            assert_eq!(network(parse(address)), parse(expected), "{address}");
        }
    }
}

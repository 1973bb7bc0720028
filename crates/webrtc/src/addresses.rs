//! Chooses which addresses viewers are told.

use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// The most addresses that are told. A viewer tries each, so more would only make it slower, and machines with containers have dozens.
const ADDRESSES_MAX: usize = 8;

/// The configured addresses. If there are none, this is the address that is listened on, or if that is every address, those of the
/// interfaces that are up. Loopback is told only if there is nothing else to tell.
pub fn local_addresses(listen: SocketAddr, public: &[IpAddr]) -> Vec<IpAddr> {
    if !public.is_empty() {
        return chosen(public.iter().copied(), listen.is_ipv6());
    }
    let ip = listen.ip().to_canonical();
    if !ip.is_unspecified() {
        return vec![ip];
    }
    let found = chosen(of_interfaces().into_iter().filter(|ip| !ip.is_loopback()), listen.is_ipv6());
    if found.is_empty() { chosen(of_interfaces().into_iter(), listen.is_ipv6()) } else { found }
}

fn of_interfaces() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let up = interfaces.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    up.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    })
    .collect()
}

/// The addresses among these that a viewer can use: an IPv6 address only if the port hears IPv6, and none that has a meaning on one link
/// alone.
fn chosen(addresses: impl Iterator<Item = IpAddr>, hears_ipv6: bool) -> Vec<IpAddr> {
    let mut out: Vec<IpAddr> = Vec::new();
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => hears_ipv6 && !v6.is_unicast_link_local() && !v6.is_unspecified() && !v6.is_multicast(),
    };
    for ip in addresses.filter(usable) {
        if !out.contains(&ip) && out.len() < ADDRESSES_MAX {
            out.push(ip);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(listen: &str, public: &[&str]) -> Vec<String> {
        let public: Vec<IpAddr> = public.iter().map(|ip| ip.parse().unwrap()).collect();
        local_addresses(listen.parse().unwrap(), &public).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_configured_or_listened_on_is_told() {
        assert_eq!(told("0.0.0.0:1", &["203.0.113.1", "10.0.0.5", "203.0.113.1"]), ["203.0.113.1", "10.0.0.5"]);
        assert_eq!(told("0.0.0.0:1", &["203.0.113.1", "2001:db8::1", "169.254.1.1"]), ["203.0.113.1"]);
        assert_eq!(told("[::]:1", &["2001:db8::1", "fe80::1"]), ["2001:db8::1"]);
        assert_eq!(told("127.0.0.1:1", &[]), ["127.0.0.1"]);
        assert_eq!(told("[::ffff:10.0.0.1]:1", &[]), ["10.0.0.1"]);
    }

    #[test]
    fn a_machine_has_something_to_tell() {
        let told = local_addresses("0.0.0.0:1".parse().unwrap(), &[]);
        assert!(!told.is_empty() && told.len() <= ADDRESSES_MAX, "{told:?}");
        assert!(told.iter().all(|ip| ip.is_ipv4() && !ip.is_unspecified()));
    }
}

//! Where the server may connect to: the one rule that is asked about every address before it is dialled.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::reached::reached;
use crate::{DialFault, InForce};

/// At most this many of the addresses that a name resolves to are tried.
const ADDRESSES_MAX: usize = 8;

/// Denied unless they are allowed by name: addresses where only the machine's own cloud or network segment answers. Metadata services
/// give the machine's credentials to whoever asks from it.
const DENIED_BY_DEFAULT: [&str; 9] = [
    // Link-local: the metadata of AWS, Azure, Google, Oracle, DigitalOcean, Hetzner, OpenStack and others (169.254.169.254), ECS
    // (169.254.170.2), Scaleway (169.254.42.42).
    "169.254.0.0/16",
    "fe80::/10",
    // AWS: metadata, DNS, time and pod credentials over IPv6.
    "fd00:ec2::/32",
    // Google's metadata over IPv6.
    "fd20:ce::254/128",
    // Scaleway's metadata over IPv6.
    "fd00:42::42/128",
    // Alibaba Cloud.
    "100.100.100.200/32",
    // Azure's wire server, which gives out the machine's certificates.
    "168.63.129.16/32",
    // Oracle Cloud: over IPv6, and classic.
    "fd00:c1::a9fe:a9fe/128",
    "192.0.0.192/32",
];

/// The lists of denied and allowed networks. All clones share them, and they may be replaced while in use. By default only what is denied
/// without being named is denied.
#[derive(Clone, Debug)]
pub struct Egress {
    lists: InForce<Lists>,
}

#[derive(Debug)]
struct Lists {
    deny: Vec<IpNet>,
    allow: Vec<IpNet>,
}

impl Egress {
    /// `allow` names exceptions from `deny` and from what is denied by default.
    pub fn new(deny: impl IntoIterator<Item = IpNet>, allow: impl IntoIterator<Item = IpNet>) -> Self {
        let by_default = DENIED_BY_DEFAULT.iter().filter_map(|net| net.parse().ok());
        let deny = by_default.chain(deny).map(canonical).collect();
        Self { lists: InForce::new(Lists { deny, allow: allow.into_iter().map(canonical).collect() }) }
    }

    /// Follows the lists of `other` from now on, as do all clones; open connections stay.
    pub fn follow(&self, other: &Self) {
        self.lists.replace(other.lists.get());
    }

    /// Whether nothing is denied that a connection to this address would reach.
    pub fn permits(&self, address: IpAddr) -> bool {
        let within = |nets: &[IpNet], place: &IpAddr| nets.iter().any(|net| net.contains(place));
        let lists = self.lists.get();
        reached(address).iter().all(|place| !within(&lists.deny, place) || within(&lists.allow, place))
    }

    /// The addresses of a host that may be dialled, in the order in which the system wants them tried. The host may be a name or an
    /// address in any spelling that the system's resolver takes: the outcome is what is judged.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialFault> {
        let found = tokio::net::lookup_host((host, port)).await.map_err(|_| DialFault::Resolve)?;
        let found: Vec<SocketAddr> = found.collect();
        if found.is_empty() {
            return Err(DialFault::Resolve);
        }
        let permitted = found.into_iter().filter(|address| self.permits(address.ip()));
        let permitted: Vec<SocketAddr> = permitted.take(ADDRESSES_MAX).collect();
        if permitted.is_empty() { Err(DialFault::NotPermitted) } else { Ok(permitted) }
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::new([], [])
    }
}

/// Turns a network of IPv4 addresses that is written as IPv6 (`::ffff:10.0.0.0/104`) into IPv4, the form in which addresses are compared.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(address, prefix)| IpNet::new(IpAddr::V4(address), prefix).ok()).unwrap_or(net)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    fn egress(deny: &[&str], allow: &[&str]) -> Egress {
        let net = |text: &&str| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).unwrap();
        let nets = |texts: &[&str]| texts.iter().map(net).collect::<Vec<IpNet>>();
        Egress::new(nets(deny), nets(allow))
    }

    fn permits(egress: &Egress, address: &str) -> bool {
        egress.permits(address.parse().unwrap())
    }

    #[test]
    fn clones_follow_a_reload() {
        let (rules, wanted) = (egress(&[], &[]), egress(&["10.0.0.0/8"], &["169.254.169.254"]));
        let of_pushes = rules.clone();
        rules.follow(&wanted);
        for (address, permitted) in [("10.1.2.3", false), ("169.254.169.254", true), ("192.0.2.1", true)] {
            assert_eq!(permits(&of_pushes, address), permitted, "{address}");
        }
    }

    const LOOPBACK: [&str; 14] = [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::127.0.0.1",
        "64:ff9b:1:7f00:0:100::",
        "2002:7f00:1::1",
        "2001:0:808:808::80ff:fffe",
        "fd00::5efe:7f00:1",
    ];

    const METADATA: [&str; 14] = [
        "169.254.169.254",
        "169.254.170.2",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:808:808::5601:5601",
        "fe80::5efe:a9fe:a9fe",
        "fe80::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "::ffff:100.100.100.200",
        "168.63.129.16",
    ];

    #[test]
    fn every_spelling_of_loopback_is_loopback() {
        let closed = egress(&["127.0.0.0/8"], &[]);
        let open = Egress::default();
        for address in LOOPBACK {
            assert!(!permits(&closed, address), "{address}");
            assert!(permits(&open, address), "{address}: a push to this machine is nothing unusual");
        }
        // Where only its IPv6 name is denied, the wildcard is denied, too.
        assert!(!permits(&egress(&["::1"], &[]), "::"));
        assert!(!permits(&egress(&["::ffff:127.0.0.0/104"], &[]), "127.0.0.1"));
    }

    #[test]
    fn metadata_is_denied_until_it_is_allowed() {
        let by_default = Egress::default();
        for address in METADATA {
            assert!(!permits(&by_default, address), "{address}");
        }
        let opened = egress(&[], &["169.254.169.254", "fd00:ec2::254"]);
        for (address, expected) in [
            ("169.254.169.254", true),
            ("::ffff:169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("fd00:ec2::254", true),
            ("169.254.170.2", false),
            ("fd00:ec2::23", false),
        ] {
            assert_eq!(permits(&opened, address), expected, "{address}");
        }
    }

    #[test]
    fn deny_and_its_exceptions() {
        let egress = egress(&["10.0.0.0/8", "2001:db8::/32"], &["10.1.0.0/16"]);
        for (address, expected) in [
            ("10.2.3.4", false),
            ("::ffff:10.2.3.4", false),
            ("64:ff9b::10.2.3.4", false),
            ("10.1.3.4", true),
            ("2002:a01:304::1", true),
            ("2001:db8::1", false),
            ("2a00:1450::1", true),
            ("8.8.8.8", true),
            ("192.168.0.1", true),
        ] {
            assert_eq!(permits(&egress, address), expected, "{address}");
        }
    }

    /// Spellings that browsers, curl and the C library take for an address.
    #[test]
    fn spellings_are_what_they_resolve_to() {
        let egress = egress(&["127.0.0.0/8"], &[]);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let denied = [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "0",
            "0.0.0.0",
            "::",
            "::1",
            "0:0:0:0:0:0:0:1",
            "::ffff:7f00:1",
            "::ffff:127.0.0.1",
            "localhost",
            "2852039166",
            "0xa9fea9fe",
            "169.254.43518",
            "0251.0376.0251.0376",
            "::ffff:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
        ];
        for host in denied {
            assert_eq!(runtime.block_on(egress.resolve(host, 80)), Err(DialFault::NotPermitted), "{host}");
        }
        let elsewhere = runtime.block_on(egress.resolve("167772161", 80));
        assert_eq!(elsewhere, Ok(vec!["10.0.0.1:80".parse().unwrap()]));
        assert_eq!(runtime.block_on(egress.resolve("no-such-host.invalid", 80)), Err(DialFault::Resolve));
    }
}

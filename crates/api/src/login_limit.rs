//! Wrong passwords slow down whoever sends them. They are counted for one name from one address, and for all names from one address.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use weir_net::{GuessLimit, GuessRules, network};

/// The rules for one name from one address. The first five tries are free, because people mistype.
const OF_A_NAME: GuessRules = GuessRules {
    free: 5,
    // The wait doubles each time: 1 + 2 + ... + 512 s are 17 minutes for ten more guesses.
    wait_min: Duration::from_secs(1),
    wait_max: Duration::from_secs(15 * 60),
    forgotten_after: Duration::from_secs(3_600),
};

/// The rules for all names from one address. They leave room for an office behind one address, but not for a list of names.
const OF_AN_ADDRESS: GuessRules = GuessRules { free: 20, ..OF_A_NAME };

#[derive(Debug)]
pub(crate) struct LoginLimit {
    names: GuessLimit,
    addresses: GuessLimit,
}

impl Default for LoginLimit {
    fn default() -> Self {
        Self { names: GuessLimit::new(OF_A_NAME), addresses: GuessLimit::new(OF_AN_ADDRESS) }
    }
}

impl LoginLimit {
    /// How long `name` from `ip` has to wait before its next try, or none if it may try now.
    pub(crate) fn wait(&self, name: &str, ip: IpAddr, now: Instant) -> Option<Duration> {
        let network = network(ip);
        self.names.wait((name, network), (), now).max(self.addresses.wait(network, (), now))
    }

    /// Counts a wrong password. Every one counts, even a repeated one, because checking a password takes a core for tens of milliseconds.
    pub(crate) fn was_wrong(&self, name: &str, ip: IpAddr, now: Instant) {
        let network = network(ip);
        self.names.was_wrong_again((name, network), now);
        self.addresses.was_wrong_again(network, now);
    }

    /// Forgives the name, but not the address: whoever has one account must not guess others for free.
    pub(crate) fn was_right(&self, name: &str, ip: IpAddr) {
        self.names.forgive((name, network(ip)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_name_waits_longer_and_longer_and_is_forgiven() {
        let (limit, now) = (LoginLimit::default(), Instant::now());
        for _ in 0..OF_A_NAME.free - 1 {
            limit.was_wrong("admin", HOME, now);
        }
        assert_eq!(limit.wait("admin", HOME, now), None);
        for seconds in [1, 2, 4] {
            limit.was_wrong("admin", HOME, now);
            assert_eq!(limit.wait("admin", HOME, now), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(limit.wait("admin", AWAY, now), None, "nobody can lock out others from elsewhere");
        assert_eq!(limit.wait("other", HOME, now), None);
        assert_eq!(limit.wait("admin", HOME, now + Duration::from_secs(4)), None);
        for _ in 0..40 {
            limit.was_wrong("admin", HOME, now);
        }
        assert_eq!(limit.wait("admin", HOME, now), Some(OF_A_NAME.wait_max));
        limit.was_right("admin", HOME);
        assert_eq!(limit.wait("admin", HOME, now), Some(OF_A_NAME.wait_max), "the address is not forgiven");
        assert_eq!(limit.wait("admin", HOME, now + OF_A_NAME.forgotten_after), None);
    }

    #[test]
    fn an_address_can_not_go_through_names() {
        let (limit, now) = (LoginLimit::default(), Instant::now());
        for n in 0..OF_AN_ADDRESS.free {
            limit.was_wrong(&format!("user{n}"), HOME, now);
        }
        assert!(limit.wait("another", HOME, now).is_some());
        let v6 = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        for n in 0..OF_AN_ADDRESS.free as u16 {
            limit.was_wrong("x", v6(n), now);
        }
        assert!(limit.wait("y", v6(999), now).is_some(), "a /64 is one");
    }
}

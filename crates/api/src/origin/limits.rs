//! What one address may have open at once: connections, and requests on them (a blocking reload is one all the time it waits).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An office, a school or a mobile network comes from one address, and so does everybody behind a proxy: the defaults stop
/// one address from taking all there is, not from being many viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    pub connections_per_ip_max: usize,
    pub requests_per_ip_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { connections_per_ip_max: 4_096, requests_per_ip_max: 4_096 }
    }
}

/// Who is here; as large as there are connections. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Guests {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: HttpLimits,
    addresses: Mutex<HashMap<IpAddr, Arc<Address>>>,
}

#[derive(Debug, Default)]
struct Address {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// One connection's place; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Guest {
    guests: Guests,
    ip: IpAddr,
    address: Arc<Address>,
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    address: &'a Address,
}

impl Guests {
    pub(crate) fn new(limits: HttpLimits) -> Self {
        Self { shared: Arc::new(Shared { limits, addresses: Mutex::default() }) }
    }

    /// A place for a connection from `ip`, if it has not too many.
    pub(crate) fn admit(&self, ip: IpAddr) -> Option<Guest> {
        let ip = ip.to_canonical();
        let mut addresses = self.addresses();
        let address = addresses.entry(counted_as(ip)).or_default();
        if address.connections.load(Ordering::Relaxed) >= self.shared.limits.connections_per_ip_max {
            return None;
        }
        address.connections.fetch_add(1, Ordering::Relaxed);
        Some(Guest { guests: self.clone(), ip, address: Arc::clone(address) })
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, Arc<Address>>> {
        self.shared.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// None: too many from this address are under way.
    pub(crate) fn begin_request(&self) -> Option<Visit<'_>> {
        let before = self.address.requests.fetch_add(1, Ordering::Relaxed);
        let visit = Visit { address: &self.address };
        (before < self.guests.shared.limits.requests_per_ip_max).then_some(visit)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut addresses = self.guests.addresses();
        if self.address.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            addresses.remove(&counted_as(self.ip));
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.address.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whoever has an IPv6 address has a /64 of them.
fn counted_as(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places() {
        let guests = Guests::new(HttpLimits { connections_per_ip_max: 2, requests_per_ip_max: 3 });
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = guests.admit(ip("10.0.0.1")).unwrap();
        let second = guests.admit(ip("::ffff:10.0.0.1")).unwrap();
        assert!(guests.admit(ip("10.0.0.1")).is_none());
        assert!(guests.admit(ip("10.0.0.2")).is_some());
        let visits: Vec<_> = (0..3).map(|_| second.begin_request().unwrap()).collect();
        assert!(first.begin_request().is_none(), "counted over its connections");
        drop(visits);
        assert!(first.begin_request().is_some());
        drop(first);
        assert!(guests.admit(ip("10.0.0.1")).is_some());
        drop(second);
        assert!(guests.addresses().is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn ipv6_is_counted_by_network() {
        let guests = Guests::new(HttpLimits { connections_per_ip_max: 1, ..HttpLimits::default() });
        let _first = guests.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(guests.admit("2001:db8::2".parse().unwrap()).is_none());
        assert!(guests.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}

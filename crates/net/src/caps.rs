//! How many connections there may be, in total and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::network::network;

/// Counts open connections; cheap to share.
#[derive(Debug)]
pub struct Caps {
    total_max: usize,
    per_ip_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
    refused: u64,
}

/// One connection's place; given back on drop.
#[derive(Debug)]
pub struct Permit {
    caps: Arc<Caps>,
    group: IpAddr,
}

impl Caps {
    pub fn new(total_max: usize, per_ip_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, per_ip_max, open: Mutex::default() })
    }

    /// Whether there is a place now; who is let in on this may still find it taken.
    pub fn has_place(&self, ip: IpAddr) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total < self.total_max && open.per_ip.get(&network(ip)).copied().unwrap_or(0) < self.per_ip_max
    }

    /// A place, unless there are too many already; refusals are counted.
    pub fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Permit> {
        let group = network(ip);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_group = open.per_ip.get(&group).copied().unwrap_or(0);
        if open.total >= self.total_max || from_group >= self.per_ip_max {
            open.refused += 1;
            return None;
        }
        open.total += 1;
        open.per_ip.insert(group, from_group + 1);
        Some(Permit { caps: Arc::clone(self), group })
    }

    pub fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    pub fn refused(&self) -> u64 {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).refused
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.caps.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(count) = open.per_ip.get_mut(&self.group) {
            *count -= 1;
            if *count == 0 {
                open.per_ip.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_ip_and_total() {
        let caps = Caps::new(4, 2);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = caps.admit(ip("10.0.0.1")).unwrap();
        // The same address in IPv6 clothes.
        let _second = caps.admit(ip("::ffff:10.0.0.1")).unwrap();
        assert!(caps.admit(ip("10.0.0.1")).is_none());
        let _third = caps.admit(ip("2001:db8::1")).unwrap();
        let _fourth = caps.admit(ip("2001:db8::2")).unwrap();
        assert!(caps.admit(ip("10.0.0.9")).is_none(), "the total is reached");
        assert!(!caps.has_place(ip("10.0.0.9")));
        assert_eq!((caps.open(), caps.refused()), (4, 2));
        drop(first);
        assert!(caps.admit(ip("2001:db8::3")).is_none(), "one /64 counts as one");
        assert!(caps.admit(ip("10.0.0.1")).is_some());
        assert_eq!(caps.open(), 3);
    }

    #[test]
    fn nothing_stays_behind() {
        let caps = Caps::new(1000, 1000);
        let permits: Vec<_> = (0..1000_u32).map(|n| caps.admit(IpAddr::from(n.to_be_bytes())).unwrap()).collect();
        drop(permits);
        assert_eq!(caps.open(), 0);
        assert!(caps.open.lock().unwrap().per_ip.is_empty());
    }
}

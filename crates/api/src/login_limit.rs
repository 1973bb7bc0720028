//! Wrong passwords slow down whoever sends them: pure, time is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Of one name from one address, before it must wait: people mistype.
const FREE_TRIES_PER_NAME: u32 = 5;
/// Of all names from one address: an office behind one address, but no list of names.
const FREE_TRIES_PER_ADDRESS: u32 = 20;

/// The first wait; each further wrong password doubles it: 1 + 2 + ... + 512 s are 17 minutes for ten more guesses.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// Who has been quiet for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// 10,000 x 48 bytes are half a megabyte. More is an attack from everywhere, which the two password checks at once bound.
const ENTRIES_MAX: usize = 10_000;

/// Kept in memory: a restart forgives.
#[derive(Debug, Default)]
pub(crate) struct LoginLimit {
    hasher: RandomState,
    wrong: Mutex<HashMap<u64, Wrong>>,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    tries: u32,
    last: Instant,
    free_at: Instant,
}

impl LoginLimit {
    /// How long `name` from `ip` has to wait before its next try; None: it may try now.
    pub(crate) fn wait(&self, name: &str, ip: IpAddr, now: Instant) -> Option<Duration> {
        let wrong = self.lock();
        let waits = self.keys(name, ip).into_iter().filter_map(|(key, _)| wrong.get(&key));
        waits.map(|entry| entry.free_at.saturating_duration_since(now)).max().filter(|wait| !wait.is_zero())
    }

    pub(crate) fn was_wrong(&self, name: &str, ip: IpAddr, now: Instant) {
        let mut wrong = self.lock();
        for (key, free_tries) in self.keys(name, ip) {
            if wrong.len() >= ENTRIES_MAX && !wrong.contains_key(&key) {
                make_room(&mut wrong, now);
            }
            let entry = wrong.entry(key).or_insert(Wrong { tries: 0, last: now, free_at: now });
            if now.saturating_duration_since(entry.last) >= FORGOTTEN_AFTER {
                entry.tries = 0;
            }
            entry.tries = entry.tries.saturating_add(1);
            entry.last = now;
            if entry.tries >= free_tries {
                let doublings = (entry.tries - free_tries).min(16);
                entry.free_at = now + (WAIT_MIN * 2_u32.pow(doublings)).min(WAIT_MAX);
            }
        }
    }

    /// Forgives the name, not the address: who has one account must not guess others for free.
    pub(crate) fn was_right(&self, name: &str, ip: IpAddr) {
        let (key, _) = self.keys(name, ip)[0];
        self.lock().remove(&key);
    }

    /// Hashed: names in the table may be passwords typed into the wrong field.
    fn keys(&self, name: &str, ip: IpAddr) -> [(u64, u32); 2] {
        let ip = network(ip);
        [(self.hasher.hash_one((name, ip)), FREE_TRIES_PER_NAME), (self.hasher.hash_one(ip), FREE_TRIES_PER_ADDRESS)]
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Wrong>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscriber of IPv6 has a /64 of addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn make_room(wrong: &mut HashMap<u64, Wrong>, now: Instant) {
    wrong.retain(|_, entry| now.saturating_duration_since(entry.last) < FORGOTTEN_AFTER);
    if wrong.len() >= ENTRIES_MAX {
        // The quieter half goes.
        let mut times: Vec<Instant> = wrong.values().map(|entry| entry.last).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        let mut left = middle;
        wrong.retain(|_, entry| {
            let stays = entry.last >= median && left > 0;
            left -= usize::from(stays);
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn a_name_waits_longer_and_longer_and_is_forgiven() {
        let (limit, now) = (LoginLimit::default(), Instant::now());
        for _ in 0..FREE_TRIES_PER_NAME - 1 {
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
        assert_eq!(limit.wait("admin", HOME, now), Some(WAIT_MAX));
        limit.was_right("admin", HOME);
        assert_eq!(limit.wait("admin", HOME, now), Some(WAIT_MAX), "the address is not forgiven");
        assert_eq!(limit.wait("admin", HOME, now + FORGOTTEN_AFTER), None);
    }

    #[test]
    fn an_address_can_not_go_through_names() {
        let (limit, now) = (LoginLimit::default(), Instant::now());
        for n in 0..FREE_TRIES_PER_ADDRESS {
            limit.was_wrong(&format!("user{n}"), HOME, now);
        }
        assert!(limit.wait("another", HOME, now).is_some());
        let v6 = |last: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        for n in 0..FREE_TRIES_PER_ADDRESS as u16 {
            limit.was_wrong("x", v6(n), now);
        }
        assert!(limit.wait("y", v6(999), now).is_some(), "a /64 is one");
    }

    #[test]
    fn memory_is_bounded() {
        let (limit, now) = (LoginLimit::default(), Instant::now());
        for n in 0..30_000_u32 {
            limit.was_wrong("x", IpAddr::from(n.to_be_bytes()), now + Duration::from_millis(u64::from(n)));
        }
        assert!(limit.lock().len() <= ENTRIES_MAX + 1);
    }
}

//! How many connections there may be, in total and from one address. Where
//! all places are taken, a connection that waits gives its place up.
//!
//! A place that is taken by somebody who asks for nothing is worth less than one for somebody who may ask. So a newcomer for whom none is
//! left gets the place of a connection that waits: first of those that never asked for anything, then of those that have been silent for
//! longest. A connection with something under way is never ended, and neither is one whose owner named no task for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;

use crate::network::network;

/// The connection that is to give up its place is looked for among this many: 50 us at worst, so that a flood of newcomers does not take
/// the time of those who are in. The next search goes on behind the last one.
const LOOKED_AT_MAX: usize = 1_024;

/// How many connections and requests there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapLimits {
    pub connections_max: usize,
    /// The most connections from one IPv4 address, or from one IPv6 /64.
    pub connections_per_ip_max: usize,
    pub requests_per_ip_max: usize,
}

/// Counts open connections and what they ask for; cheap to share.
#[derive(Debug)]
pub struct Caps {
    limits: LimitsInForce,
    began: Instant,
    open: Mutex<Open>,
}

/// The limits are read at each request, so without a lock; the three need not change in one moment.
#[derive(Debug, Default)]
struct LimitsInForce {
    connections_max: AtomicUsize,
    connections_per_ip_max: AtomicUsize,
    requests_per_ip_max: AtomicUsize,
}

#[derive(Debug, Default)]
struct Open {
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    /// Where the next search for a connection that waits begins.
    hand: usize,
    total: usize,
    per_ip: HashMap<IpAddr, Counted>,
    refused: u64,
    ended: u64,
}

/// A connection in its place.
#[derive(Debug)]
struct Seat {
    place: Arc<PlaceUse>,
    /// The network that it comes from; None for a proxy, which comes for many.
    group: Option<IpAddr>,
}

#[derive(Debug, Default)]
struct Counted {
    connections: usize,
    address: Arc<Address>,
}

#[derive(Debug, Default)]
struct Address {
    requests: AtomicUsize,
}

/// What a connection does with its place.
#[derive(Debug)]
pub struct PlaceUse {
    /// When the caps were made, which is what `waits_since` counts from.
    began: Instant,
    under_way: AtomicU32,
    has_asked: AtomicBool,
    /// Since when it waits, in milliseconds.
    waits_since: AtomicU64,
    task: OnceLock<AbortHandle>,
    /// The address that it counts for. A proxy's connection has none, or hears of it later.
    address: OnceLock<Arc<Address>>,
}

/// One connection's place, which is given back on drop.
#[derive(Debug)]
pub struct Permit {
    caps: Arc<Caps>,
    number: usize,
    place: Arc<PlaceUse>,
    made_room: bool,
}

/// Something that a connection was let in for and that goes on. Meanwhile its place is safe, and its address counts it.
///
/// Each request makes one, so it counts one reference, and that of its own connection: what all connections of an address share would go
/// back and forth between the cores.
#[derive(Debug)]
pub struct Visit {
    place: Arc<PlaceUse>,
    proxied: Option<Proxied>,
}

/// The address that a proxy's request is for. It may have no connection, which would forget it.
#[derive(Debug)]
struct Proxied {
    address: Arc<Address>,
    caps: Arc<Caps>,
    group: IpAddr,
}

impl PlaceUse {
    /// The task that serves the connection; aborting it must close the connection.
    pub fn served_by(&self, task: AbortHandle) {
        // A connection has one task, so a second one is not taken.
        let _ = self.task.set(task);
    }

    /// How soon it has to go, smallest first; None where it does not have to.
    fn rank(&self) -> Option<(bool, u64)> {
        let waits = self.task.get().is_some() && self.under_way.load(Ordering::Acquire) == 0;
        waits.then(|| (self.has_asked.load(Ordering::Relaxed), self.waits_since.load(Ordering::Relaxed)))
    }
}

impl Caps {
    pub fn new(limits: CapLimits) -> Arc<Self> {
        let caps = Self { limits: LimitsInForce::default(), began: Instant::now(), open: Mutex::default() };
        caps.limit(limits);
        Arc::new(caps)
    }

    /// Sets the limits from now on. Nobody has to go because of it.
    pub fn limit(&self, limits: CapLimits) {
        let CapLimits { connections_max, connections_per_ip_max, requests_per_ip_max } = limits;
        self.limits.connections_max.store(connections_max, Ordering::Relaxed);
        self.limits.connections_per_ip_max.store(connections_per_ip_max, Ordering::Relaxed);
        self.limits.requests_per_ip_max.store(requests_per_ip_max, Ordering::Relaxed);
    }

    /// Whether there is a place now. A caller who is let in because of this may still find it taken.
    pub fn has_place(&self, ip: IpAddr) -> bool {
        let open = self.open();
        let connections = open.per_ip.get(&network(ip)).map_or(0, |counted| counted.connections);
        open.total < self.limits.connections_max.load(Ordering::Relaxed)
            && connections < self.limits.connections_per_ip_max.load(Ordering::Relaxed)
    }

    /// Takes a place. None where there are too many connections and not one of them only waits; refusals are counted.
    pub fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Permit> {
        self.seat(Some(network(ip)))
    }

    /// Takes a place for a proxy. It counts in total; those it comes for are counted by [`Permit::count_for`] and [`Permit::begin`].
    pub fn admit_proxy(self: &Arc<Self>) -> Option<Permit> {
        self.seat(None)
    }

    pub fn open_connections(&self) -> usize {
        self.open().total
    }

    pub fn refused(&self) -> u64 {
        self.open().refused
    }

    /// How many connections have had to give up their place.
    pub fn ended(&self) -> u64 {
        self.open().ended
    }

    fn seat(self: &Arc<Self>, group: Option<IpAddr>) -> Option<Permit> {
        let mut open = self.open();
        let ended_before = open.ended;
        let has_room = self.make_room_of(&mut open, group) && self.make_room(&mut open);
        if !has_room {
            open.refused += 1;
            return None;
        }
        let waits_since = AtomicU64::new(millis_since(self.began));
        let (under_way, has_asked) = (AtomicU32::new(0), AtomicBool::new(false));
        let address = group.map_or_else(OnceLock::new, |group| OnceLock::from(open.count(group)));
        let task = OnceLock::new();
        let place = Arc::new(PlaceUse { began: self.began, under_way, has_asked, waits_since, task, address });
        open.total += 1;
        let seat = Seat { place: Arc::clone(&place), group };
        let number = match open.free.pop() {
            Some(number) => {
                open.seats[number] = Some(seat);
                number
            }
            None => {
                open.seats.push(Some(seat));
                open.seats.len() - 1
            }
        };
        let made_room = open.ended > ended_before;
        Some(Permit { caps: Arc::clone(self), number, place, made_room })
    }

    fn make_room(&self, open: &mut Open) -> bool {
        open.total < self.limits.connections_max.load(Ordering::Relaxed) || open.end_one_that_waits(None)
    }

    fn make_room_of(&self, open: &mut Open, group: Option<IpAddr>) -> bool {
        let Some(group) = group else { return true };
        let connections = open.per_ip.get(&group).map_or(0, |counted| counted.connections);
        connections < self.limits.connections_per_ip_max.load(Ordering::Relaxed) || open.end_one_that_waits(Some(group))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn count(&mut self, group: IpAddr) -> Arc<Address> {
        let counted = self.per_ip.entry(group).or_default();
        counted.connections += 1;
        Arc::clone(&counted.address)
    }

    fn discount(&mut self, group: IpAddr) {
        if let Some(counted) = self.per_ip.get_mut(&group) {
            counted.connections = counted.connections.saturating_sub(1);
        }
        self.forget_if_gone(group);
    }

    fn forget_if_gone(&mut self, group: IpAddr) {
        let gone =
            |counted: &Counted| counted.connections == 0 && counted.address.requests.load(Ordering::Acquire) == 0;
        if self.per_ip.get(&group).is_some_and(gone) {
            self.per_ip.remove(&group);
        }
    }

    /// Ends a connection that waits; true where there was one. Its place counts
    /// as free at once, and it is closed as soon as its thread comes to it.
    fn end_one_that_waits(&mut self, group: Option<IpAddr>) -> bool {
        let count = self.seats.len();
        let looked_at = count.min(LOOKED_AT_MAX);
        let numbers = (0..looked_at).map(|offset| (self.hand + offset) % count);
        let found = numbers.filter_map(|number| {
            let seat = self.seats[number].as_ref().filter(|seat| group.is_none() || seat.group == group)?;
            Some((seat.place.rank()?, number))
        });
        let found = found.min();
        self.hand = (self.hand + looked_at).checked_rem(count).unwrap_or(0);
        let Some((_, number)) = found else { return false };
        let Some(seat) = self.take(number) else { return false };
        if let Some(task) = seat.place.task.get() {
            task.abort();
        }
        self.ended += 1;
        true
    }

    fn take(&mut self, number: usize) -> Option<Seat> {
        let seat = self.seats.get_mut(number)?.take()?;
        self.free.push(number);
        self.total -= 1;
        if let Some(group) = seat.group {
            self.discount(group);
        }
        Some(seat)
    }
}

impl Permit {
    pub fn place(&self) -> &Arc<PlaceUse> {
        &self.place
    }

    /// Whether another connection had to go for this one.
    pub fn made_room(&self) -> bool {
        self.made_room
    }

    /// Sets the address that a proxy's connection is for, once it is known;
    /// this can be done once. False where that address has too many already.
    pub fn count_for(&mut self, ip: IpAddr) -> bool {
        let group = network(ip);
        let mut open = self.caps.open();
        if !self.caps.make_room_of(&mut open, Some(group)) {
            open.refused += 1;
            return false;
        }
        let is_ours = |seat: &&mut Seat| seat.group.is_none() && Arc::ptr_eq(&seat.place, &self.place);
        let Some(seat) = open.seats.get_mut(self.number).and_then(Option::as_mut).filter(is_ours) else { return false };
        seat.group = Some(group);
        self.place.address.get_or_init(|| open.count(group));
        true
    }

    /// Begins something for `ip`, which is the connection's own address,
    /// or one that came through a proxy. None where too much is under way.
    pub fn begin(&self, ip: IpAddr) -> Option<Visit> {
        let proxied = match self.place.address.get() {
            Some(_) => None,
            None => {
                let (caps, group) = (Arc::clone(&self.caps), network(ip));
                let address = Arc::clone(&caps.open().per_ip.entry(group).or_default().address);
                Some(Proxied { address, caps, group })
            }
        };
        // The visit is made in any case, as its end undoes what is counted here.
        let visit = Visit { place: Arc::clone(&self.place), proxied };
        let before = visit.address().map_or(0, |address| address.requests.fetch_add(1, Ordering::AcqRel));
        self.place.has_asked.store(true, Ordering::Relaxed);
        self.place.under_way.fetch_add(1, Ordering::AcqRel);
        (before < self.caps.limits.requests_per_ip_max.load(Ordering::Relaxed)).then_some(visit)
    }
}

impl Visit {
    fn address(&self) -> Option<&Arc<Address>> {
        self.proxied.as_ref().map(|proxied| &proxied.address).or_else(|| self.place.address.get())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.caps.open();
        // A connection that had to go has given its place up already, and somebody else may be in it.
        let seat = open.seats.get(self.number).and_then(Option::as_ref);
        if seat.is_some_and(|seat| Arc::ptr_eq(&seat.place, &self.place)) {
            open.take(self.number);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.place.waits_since.store(millis_since(self.place.began), Ordering::Relaxed);
        self.place.under_way.fetch_sub(1, Ordering::AcqRel);
        let before = self.address().map_or(0, |address| address.requests.fetch_sub(1, Ordering::AcqRel));
        if let Some(Proxied { caps, group, .. }) = self.proxied.take().filter(|_| before == 1) {
            caps.open().forget_if_gone(group);
        }
    }
}

fn millis_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn caps(connections_max: usize, connections_per_ip_max: usize) -> Arc<Caps> {
        Caps::new(CapLimits { connections_max, connections_per_ip_max, requests_per_ip_max: 3 })
    }

    /// A task that runs as long as the test, and is there to be ended.
    fn task() -> tokio::task::JoinHandle<()> {
        tokio::spawn(std::future::pending())
    }

    #[test]
    fn per_ip_and_total() {
        let caps = caps(4, 2);
        let first = caps.admit(ip("10.0.0.1")).unwrap();
        // This is the same address, written as IPv6.
        let _second = caps.admit(ip("::ffff:10.0.0.1")).unwrap();
        assert!(caps.admit(ip("10.0.0.1")).is_none());
        let _third = caps.admit(ip("2001:db8::1")).unwrap();
        let _fourth = caps.admit(ip("2001:db8::2")).unwrap();
        assert!(caps.admit(ip("10.0.0.9")).is_none(), "the total is reached");
        assert!(!caps.has_place(ip("10.0.0.9")));
        assert_eq!((caps.open_connections(), caps.refused()), (4, 2));
        drop(first);
        assert!(caps.admit(ip("2001:db8::3")).is_none(), "one /64 counts as one");
        assert!(caps.admit(ip("10.0.0.1")).is_some());
        assert_eq!(caps.open_connections(), 3);
    }

    #[test]
    fn nothing_stays_behind() {
        let caps = caps(1000, 1000);
        for _ in 0..2 {
            let permits: Vec<_> = (0..1000_u32).map(|n| caps.admit(IpAddr::from(n.to_be_bytes())).unwrap()).collect();
            drop(permits);
        }
        let open = caps.open();
        assert_eq!((open.total, open.per_ip.len(), open.seats.len()), (0, 0, 1000));
    }

    #[test]
    fn requests_count_over_connections_and_as_long_as_they_last() {
        let caps = caps(10, 10);
        let (first, second) = (caps.admit(ip("10.0.0.1")).unwrap(), caps.admit(ip("10.0.0.1")).unwrap());
        let other = caps.admit(ip("10.0.0.2")).unwrap();
        let visits: Vec<_> = (0..3).map(|_| second.begin(ip("10.0.0.1")).unwrap()).collect();
        assert!(first.begin(ip("10.0.0.1")).is_none());
        assert!(other.begin(ip("10.0.0.2")).is_some());
        drop(visits);
        assert!(first.begin(ip("10.0.0.1")).is_some());
    }

    #[test]
    fn whoever_comes_through_a_proxy_counts_for_himself() {
        let caps = caps(10, 1);
        let proxies: Vec<_> = (0..3).map(|_| caps.admit_proxy().unwrap()).collect();
        let visits: Vec<_> = (0..3).map(|number| proxies[number].begin(ip("10.0.0.1")).unwrap()).collect();
        assert!(proxies[0].begin(ip("10.0.0.1")).is_none());
        assert!(proxies[0].begin(ip("10.0.0.2")).is_some());
        drop(visits);
        assert!(caps.open().per_ip.is_empty(), "nothing is kept of who has gone");
        let mut proxies = proxies.into_iter();
        let (mut first, mut second) = (proxies.next().unwrap(), proxies.next().unwrap());
        assert!(first.count_for(ip("10.0.0.1")));
        assert!(!second.count_for(ip("10.0.0.1")), "it has one already");
        assert!(second.count_for(ip("10.0.0.2")));
        drop((first, second, proxies));
        assert_eq!((caps.open_connections(), caps.open().per_ip.len()), (0, 0));
    }

    #[tokio::test]
    async fn who_waits_makes_room() {
        let caps = caps(4, 3);
        let permits: Vec<_> = (0..3).map(|_| caps.admit(ip("10.0.0.1")).unwrap()).collect();
        let tasks: Vec<_> = permits.iter().map(|_| task()).collect();
        assert!(caps.admit(ip("10.0.0.1")).is_none(), "nobody said how to end them");
        for (permit, task) in permits.iter().zip(&tasks) {
            permit.place().served_by(task.abort_handle());
        }
        // The first has asked for something and waits again, the second is being answered, and the third never said a word.
        drop(permits[0].begin(ip("10.0.0.1")));
        let answered = permits[1].begin(ip("10.0.0.1"));
        let fourth = caps.admit(ip("10.0.0.1")).unwrap();
        let fifth = caps.admit(ip("10.0.0.1")).unwrap();
        assert!(caps.admit(ip("10.0.0.1")).is_none(), "one is under way, and the others are new");
        let mut ended = Vec::new();
        for (number, task) in tasks.into_iter().enumerate() {
            if number != 1 {
                assert!(task.await.unwrap_err().is_cancelled());
                ended.push(number);
            }
        }
        assert_eq!((ended, caps.ended(), caps.open_connections()), (vec![0, 2], 2, 3));
        drop(permits);
        assert_eq!(caps.open_connections(), 2, "a place that was given up is not given back again");
        drop((answered, fourth, fifth));
        assert_eq!(caps.open_connections(), 0);
    }

    #[tokio::test]
    async fn strangers_make_room_for_anybody() {
        let caps = caps(4, 100);
        let strangers: Vec<_> = (0..4_u8).map(|n| caps.admit(IpAddr::from([10, 0, 0, n])).unwrap()).collect();
        let task = task();
        strangers[2].place().served_by(task.abort_handle());
        assert!(caps.admit(ip("192.0.2.1")).is_some());
        assert!(task.await.unwrap_err().is_cancelled());
    }
}

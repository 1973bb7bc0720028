//! Puts packets into their order. The network changes the order and loses some packets, of which most come when they are asked for again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The most packets that are held while one before them is missing. It is a second at 4 Mbit/s.
const PACKETS_MAX: usize = 512;

/// What comes out next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ordered<P> {
    Packet(P),
    /// So many packets in a row never came.
    Lost(u64),
}

/// How many packets there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    /// The packets that were missing when a later one came, whether or not they came in the end.
    pub(crate) missed: u64,
    /// The missing packets that were given up.
    pub(crate) lost: u64,
}

impl Counts {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            missed: self.missed + other.missed,
            lost: self.lost + other.lost,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Reorder<P> {
    /// A missing packet is waited for so long.
    wait: Duration,
    /// The number of the packet that comes out next.
    next: Option<u64>,
    newest: Option<u64>,
    /// When the packet came that came out last.
    out_came_at: Option<Instant>,
    /// The packets by their numbers, each with the time at which it came.
    held: BTreeMap<u64, (Instant, P)>,
    counts: Counts,
}

impl<P> Reorder<P> {
    pub(crate) fn new(wait: Duration) -> Self {
        Self { wait, next: None, newest: None, out_came_at: None, held: BTreeMap::new(), counts: Counts::default() }
    }

    /// Takes a packet. One that comes too late, or again, is dropped.
    pub(crate) fn push(&mut self, number: u64, packet: P, now: Instant) {
        let next = *self.next.get_or_insert(number);
        if number < next || self.held.contains_key(&number) {
            return;
        }
        self.counts.received += 1;
        if let Some(newest) = self.newest.filter(|newest| *newest < number) {
            self.counts.missed += (number - newest - 1).min(MISSED_AT_ONCE_MAX);
        }
        self.newest = self.newest.max(Some(number));
        self.held.insert(number, (now, packet));
    }

    /// Gives what comes next, if it is there, or is waited for no longer.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Ordered<P>> {
        let next = self.next?;
        let first = *self.held.first_key_value()?.0;
        if first > next {
            let is_due = self.deadline().is_some_and(|deadline| deadline <= now);
            if !is_due && self.held.len() < PACKETS_MAX {
                return None;
            }
            self.next = Some(first);
            let count = first - next;
            self.counts.lost += count.min(MISSED_AT_ONCE_MAX);
            return Some(Ordered::Lost(count));
        }
        self.next = Some(next + 1);
        let (_, (came_at, packet)) = self.held.pop_first()?;
        self.out_came_at = Some(came_at);
        Some(Ordered::Packet(packet))
    }

    /// When a packet began to be missed, which is when the first one behind it came.
    pub(crate) fn missing_since(&self) -> Option<Instant> {
        let (first, _) = self.held.first_key_value()?;
        if self.next.is_none_or(|next| *first <= next) {
            return None;
        }
        self.held.values().map(|(came_at, _)| *came_at).min()
    }

    /// When the packet in front of the missing one came. The missing one was lost after that.
    pub(crate) fn lost_after(&self) -> Option<Instant> {
        self.out_came_at
    }

    /// When [`pop`](Self::pop) may give something without another packet.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        Some(self.missing_since()? + self.wait)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Begins anew, because another source follows, whose numbers have nothing to do with those before.
    pub(crate) fn restart(&mut self) {
        (self.next, self.newest, self.out_came_at) = (None, None, None);
        self.held.clear();
    }
}

/// The most packets that one gap counts for. A sender that leaps by more has begun anew, or means no good, and the figures should not tell
/// of it for hours.
const MISSED_AT_ONCE_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(250);

    /// What comes out right after each packet: "5" for a packet, "-2" for two that are lost.
    fn out(reorder: &mut Reorder<u64>, numbers: &[u64], now: Instant) -> Vec<String> {
        let mut told = Vec::new();
        for &number in numbers {
            reorder.push(number, number, now);
            told.extend(std::iter::from_fn(|| reorder.pop(now)).map(|ordered| match ordered {
                Ordered::Packet(packet) => packet.to_string(),
                Ordered::Lost(count) => format!("-{count}"),
            }));
        }
        told
    }

    #[test]
    fn packets_come_out_in_their_order_and_once() {
        let now = Instant::now();
        for (numbers, expected, counts) in [
            (&[5, 6, 7][..], &["5", "6", "7"][..], (3, 0, 0)),
            (&[5, 7, 6, 8], &["5", "6", "7", "8"], (4, 1, 0)),
            (&[5, 8, 6, 6, 7], &["5", "6", "7", "8"], (4, 2, 0)),
            (&[5, 4, 5, 6], &["5", "6"], (2, 0, 0)),
            (&[5, 7], &["5"], (2, 1, 0)),
        ] {
            let mut reorder = Reorder::new(WAIT);
            assert_eq!(out(&mut reorder, numbers, now), expected, "{numbers:?}");
            let Counts { received, missed, lost } = reorder.counts();
            assert_eq!((received, missed, lost), counts, "{numbers:?}");
        }
    }

    #[test]
    fn a_missing_packet_is_waited_for_and_given_up() {
        let (mut reorder, now) = (Reorder::new(WAIT), Instant::now());
        assert_eq!(out(&mut reorder, &[1, 3], now), ["1"]);
        assert_eq!((reorder.missing_since(), reorder.deadline()), (Some(now), Some(now + WAIT)));
        assert_eq!(reorder.pop(now + WAIT / 2), None);
        // The wait is that of the packet that is missing, not of the newest one.
        reorder.push(4, 4, now + WAIT / 2);
        assert_eq!(reorder.pop(now + WAIT), Some(Ordered::Lost(1)));
        assert_eq!(
            [reorder.pop(now + WAIT), reorder.pop(now + WAIT)],
            [3, 4].map(|packet| Some(Ordered::Packet(packet)))
        );
        assert_eq!((reorder.missing_since(), reorder.counts().lost), (None, 1));
        reorder.restart();
        assert_eq!(out(&mut reorder, &[900], now), ["900"], "another source begins anywhere");
        assert_eq!(reorder.counts().missed, 1, "and has missed nothing yet");
    }

    #[test]
    fn neither_what_is_held_nor_what_is_counted_grows_without_bound() {
        let (mut reorder, now) = (Reorder::new(WAIT), Instant::now());
        let numbers: Vec<u64> = std::iter::once(1).chain(3..3 + PACKETS_MAX as u64).collect();
        let told = out(&mut reorder, &numbers, now);
        assert_eq!((told[1].as_str(), told.len()), ("-1", numbers.len() + 1));
        reorder.push(1 << 40, 0, now);
        assert_eq!(reorder.counts().missed, 1 + MISSED_AT_ONCE_MAX);
        assert_eq!(reorder.pop(now + WAIT), Some(Ordered::Lost((1 << 40) - 3 - PACKETS_MAX as u64)));
        assert_eq!(reorder.counts().lost, 1 + MISSED_AT_ONCE_MAX);
    }
}

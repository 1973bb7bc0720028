//! Puts the packets of an RTP stream into their order, within bounds, and counts what is missing (RFC 3550).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The most packets that wait for a missing one. At 10 Mbps of MPEG-TS a packet comes every millisecond.
const WAITING_MAX: usize = 64;
/// The longest time that packets wait for a missing one.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// A number so far from the awaited one is a new beginning of the sender, and no reordering.
const JUMP_MIN: u64 = 1_000;

/// What was counted since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCounts {
    pub packets: u64,
    /// Packets that never came, or came too late.
    pub lost: u64,
    /// Packets that came behind a later one and in time.
    pub reordered: u64,
    /// Datagrams that are no RTP.
    pub malformed: u64,
}

/// Takes packets as they come, and gives their payloads in order.
#[derive(Debug, Default)]
pub struct Sequence {
    /// The number of the next packet, counted on over 65,535.
    next: Option<u64>,
    waiting: BTreeMap<u64, (Bytes, Instant)>,
    counts: SequenceCounts,
}

impl Sequence {
    pub fn counts(&self) -> SequenceCounts {
        self.counts
    }

    /// Takes a datagram. `ready` gets the payloads that are in order now.
    pub fn push(&mut self, datagram: &Bytes, now: Instant, ready: &mut Vec<Bytes>) {
        let Some((number, payload)) = packet(datagram) else {
            self.counts.malformed += 1;
            return;
        };
        self.counts.packets += 1;
        let next = *self.next.get_or_insert(u64::from(number) + (1 << 32));
        // The nearest number to the awaited one that ends in these sixteen bits.
        let ahead = number.wrapping_sub(next as u16).cast_signed();
        let number = next.wrapping_add_signed(i64::from(ahead));
        if u64::from(ahead.unsigned_abs()) >= JUMP_MIN {
            self.flush(ready);
            self.next = Some(number);
        }
        let next = self.next.unwrap_or(number);
        if number < next {
            // It was given up, or is a repeated one.
            return;
        }
        if number > next {
            self.waiting.insert(number, (payload, now));
        } else {
            self.counts.reordered += u64::from(!self.waiting.is_empty());
            ready.push(payload);
            self.next = Some(number + 1);
        }
        self.pass_on(now, ready);
    }

    /// Gives up what was waited for long enough.
    pub fn pass_on(&mut self, now: Instant, ready: &mut Vec<Bytes>) {
        while let Some((&number, (_, came_at))) = self.waiting.first_key_value() {
            let next = self.next.unwrap_or(number);
            let gives_up = self.waiting.len() > WAITING_MAX || now.saturating_duration_since(*came_at) >= WAIT_MAX;
            if number != next && !gives_up {
                return;
            }
            self.counts.lost += number - next;
            if let Some((_, (payload, _))) = self.waiting.pop_first() {
                ready.push(payload);
            }
            self.next = Some(number + 1);
        }
    }

    /// Whether packets wait for a missing one, so that [`Self::pass_on`] must be called within 50 ms.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn flush(&mut self, ready: &mut Vec<Bytes>) {
        ready.extend(std::mem::take(&mut self.waiting).into_values().map(|(payload, _)| payload));
    }
}

/// The number and the payload of a packet.
fn packet(datagram: &Bytes) -> Option<(u16, Bytes)> {
    let [first, _, high, low, ..] = **datagram else { return None };
    if first >> 6 != 2 {
        return None;
    }
    let mut begin = 12 + usize::from(first & 0x0F) * 4;
    if first & 0x10 != 0 {
        let words = datagram.get(begin + 2..begin + 4)?;
        begin += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
    }
    let padding = if first & 0x20 != 0 { usize::from(*datagram.last()?) } else { 0 };
    let end = datagram.len().checked_sub(padding)?;
    (begin <= end).then(|| (u16::from_be_bytes([high, low]), datagram.slice(begin..end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtp(number: u16) -> Bytes {
        let mut datagram = vec![0x80, 33];
        datagram.extend(number.to_be_bytes());
        datagram.extend([0; 8]);
        datagram.extend(number.to_be_bytes());
        datagram.into()
    }

    fn run(numbers: &[u16]) -> (Vec<u16>, SequenceCounts) {
        let (mut sequence, mut ready, now) = (Sequence::default(), Vec::new(), Instant::now());
        numbers.iter().for_each(|number| sequence.push(&rtp(*number), now, &mut ready));
        sequence.pass_on(now + WAIT_MAX, &mut ready);
        assert!(!sequence.is_waiting());
        (ready.iter().map(|payload| u16::from_be_bytes([payload[0], payload[1]])).collect(), sequence.counts())
    }

    #[test]
    fn packets_come_out_in_order() {
        for (came, expected, lost, reordered) in [
            (&[1, 2, 3][..], &[1, 2, 3][..], 0, 0),
            (&[1, 3, 2, 4], &[1, 2, 3, 4], 0, 1),
            (&[1, 3, 4], &[1, 3, 4], 1, 0),
            (&[1, 2, 2, 1, 3], &[1, 2, 3], 0, 0),
            (&[65_534, 0, 65_535, 1], &[65_534, 65_535, 0, 1], 0, 1),
            // The sender began anew.
            (&[10, 11, 30_000, 30_001], &[10, 11, 30_000, 30_001], 0, 0),
            (&[30_000, 30_001, 5, 6], &[30_000, 30_001, 5, 6], 0, 0),
        ] {
            let (got, counts) = run(came);
            assert_eq!((&*got, counts.lost, counts.reordered), (expected, lost, reordered), "{came:?}");
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut sequence, mut ready, now) = (Sequence::default(), Vec::new(), Instant::now());
        sequence.push(&rtp(0), now, &mut ready);
        for number in 2..500 {
            sequence.push(&rtp(number), now, &mut ready);
            assert!(sequence.waiting.len() <= WAITING_MAX);
        }
        assert_eq!((ready.len(), sequence.counts().lost), (499, 1));
    }

    #[test]
    fn what_is_no_rtp_is_counted() {
        let extended = [&[0x90, 33, 0, 1][..], &[0; 8], &[0, 0, 0, 1, 9, 9, 9, 9], b"x"].concat();
        assert_eq!(packet(&extended.into()).unwrap().1, "x");
        let padded = [&[0xA0, 33, 0, 1][..], &[0; 8], b"x", &[0, 2]].concat();
        assert_eq!(packet(&padded.into()).unwrap().1, "x");
        for datagram in
            [&[][..], &[0x80], &[0x47; 188], &[0xA0, 33, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 99], &[0x9F, 33, 0, 1, 0]]
        {
            assert_eq!(packet(&Bytes::copy_from_slice(datagram)), None, "{datagram:?}");
        }
    }
}

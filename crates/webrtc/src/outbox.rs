//! The outbox gathers what one connection has to send into as few system calls as it can: consecutive datagrams of one length to one
//! address are sent by one call (UDP GSO).

use std::net::SocketAddr;

use crate::sdp::Transport;

/// The kernel takes no more than this in one call.
const BURST_BYTES_MAX: usize = 65_000;

/// Datagrams to one address. All have `segment_bytes`, except that the last may be shorter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Burst {
    pub(crate) transport: Transport,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) segment_bytes: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Burst {
    fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.segment_bytes.max(1))
    }

    fn takes(&self, next: &Self, segments_max: usize) -> bool {
        let same = (self.transport, self.source, self.destination) == (next.transport, next.source, next.destination);
        // A shorter datagram ends the burst, as the kernel cuts the bytes at every `segment_bytes`.
        let whole = self.bytes.len().is_multiple_of(self.segment_bytes);
        let fits = next.bytes.len() <= self.segment_bytes && self.bytes.len() + next.bytes.len() <= BURST_BYTES_MAX;
        same && whole && fits && self.count() < segments_max
    }
}

/// Gathers datagrams into bursts.
#[derive(Debug)]
pub(crate) struct Outbox {
    segments_max: usize,
    open: Option<Burst>,
}

impl Outbox {
    /// `segments_max` is how many datagrams one call may carry; it is 1 where the kernel has no GSO.
    pub(crate) fn new(segments_max: usize) -> Self {
        Self { segments_max, open: None }
    }

    /// Takes one datagram. If the burst that was gathered so far can't take it, returns that burst, to be sent.
    pub(crate) fn push(
        &mut self,
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Vec<u8>,
    ) -> Option<Burst> {
        let next = Burst { transport, source, destination, segment_bytes: bytes.len(), bytes };
        match &mut self.open {
            Some(open) if transport == Transport::Udp && open.takes(&next, self.segments_max) => {
                open.bytes.extend_from_slice(&next.bytes);
                None
            }
            open => open.replace(next),
        }
    }

    pub(crate) fn take(&mut self) -> Option<Burst> {
        self.open.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes datagrams of these lengths, and returns the length of a segment and of the whole for each burst.
    fn bursts(segments_max: usize, transport: Transport, lengths: &[usize]) -> Vec<(usize, usize)> {
        let mut outbox = Outbox::new(segments_max);
        let place = SocketAddr::from(([10, 0, 0, 1], 5));
        let mut out: Vec<Burst> =
            lengths.iter().filter_map(|&length| outbox.push(transport, place, place, vec![0; length])).collect();
        out.extend(outbox.take());
        out.iter().map(|burst| (burst.segment_bytes, burst.bytes.len())).collect()
    }

    #[test]
    fn neighbours_of_one_length_go_together() {
        let udp = Transport::Udp;
        assert_eq!(bursts(64, udp, &[100, 1_200, 1_200, 300, 1_200]), [(100, 100), (1_200, 2_700), (1_200, 1_200)]);
        assert_eq!(bursts(2, udp, &[9, 9, 9]), [(9, 18), (9, 9)]);
        assert_eq!(bursts(1, udp, &[9, 9]), [(9, 9), (9, 9)]);
        assert_eq!(bursts(64, Transport::Tcp, &[9, 9]), [(9, 9), (9, 9)]);
        assert_eq!(bursts(64, udp, &[]), []);
        let many = bursts(64, udp, &[1_200; 60]);
        assert!(many.iter().all(|(_, bytes)| *bytes <= BURST_BYTES_MAX) && many.len() == 2, "{many:?}");
    }

    #[test]
    fn places_are_not_mixed() {
        let mut outbox = Outbox::new(64);
        let place = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert_eq!(outbox.push(Transport::Udp, place(1), place(2), vec![0; 9]), None);
        assert!(outbox.push(Transport::Udp, place(1), place(3), vec![0; 9]).is_some());
        assert!(outbox.push(Transport::Udp, place(2), place(3), vec![0; 9]).is_some());
    }
}

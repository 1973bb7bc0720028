//! The outbox gathers what one connection has to send into as few system calls as it can: consecutive datagrams of one length to one
//! address are sent by one call (UDP GSO).

use std::cell::Cell;
use std::net::SocketAddr;

use crate::sdp::Transport;

/// The kernel takes no more than this in one call.
const BURST_BYTES_MAX: usize = 65_000;

/// Where a burst goes, and by which of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) transport: Transport,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// Datagrams to one address. All have `segment_bytes`, except that the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst<'a> {
    pub(crate) way: Way,
    pub(crate) segment_bytes: usize,
    pub(crate) bytes: &'a [u8],
}

thread_local! {
    /// The room in which bursts are gathered, one for each thread. If it were made anew for each picture, a tenth of what a picture costs would be
    /// its growth from packet to packet.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Gathers datagrams into bursts.
#[derive(Debug)]
pub(crate) struct Outbox {
    segments_max: usize,
    open: Option<(Way, usize)>,
    bytes: Vec<u8>,
}

impl Outbox {
    /// `segments_max` is how many datagrams one call may carry; it is 1 where the kernel has no GSO.
    pub(crate) fn new(segments_max: usize) -> Self {
        let mut bytes = ROOM.take();
        bytes.reserve(BURST_BYTES_MAX);
        Self { segments_max, open: None, bytes }
    }

    /// Takes one datagram. If the burst that was gathered so far can't take it, that burst is sent first.
    pub(crate) fn push(&mut self, way: Way, datagram: &[u8], send: impl FnOnce(Burst<'_>)) {
        self.push_made(way, datagram.len(), send, |out| out.extend_from_slice(datagram));
    }

    /// Does the same for a datagram of that length, which `make` appends, or nothing.
    pub(crate) fn push_made(
        &mut self,
        way: Way,
        length: usize,
        send: impl FnOnce(Burst<'_>),
        make: impl FnOnce(&mut Vec<u8>),
    ) {
        if !self.takes(way, length) {
            self.flush(send);
            self.open = Some((way, length));
        }
        make(&mut self.bytes);
    }

    /// Sends what is gathered.
    pub(crate) fn flush(&mut self, send: impl FnOnce(Burst<'_>)) {
        if let Some((way, segment_bytes)) = self.open.take().filter(|_| !self.bytes.is_empty()) {
            send(Burst { way, segment_bytes, bytes: &self.bytes });
        }
        self.bytes.clear();
    }

    fn takes(&self, next: Way, length: usize) -> bool {
        let Some((way, segment_bytes)) = self.open else { return false };
        let gathered = self.bytes.len();
        // A shorter datagram ends the burst, as the kernel cuts the bytes at every `segment_bytes`.
        let whole = gathered.is_multiple_of(segment_bytes);
        let fits = length <= segment_bytes && gathered + length <= BURST_BYTES_MAX;
        way == next && way.transport == Transport::Udp && whole && fits && gathered < segment_bytes * self.segments_max
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.bytes.clear();
        ROOM.set(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(port: u16) -> Way {
        let place = |port| SocketAddr::from(([10, 0, 0, 1], port));
        Way { transport: Transport::Udp, source: place(1), destination: place(port) }
    }

    /// Pushes datagrams, and returns the length of a segment and of the whole for each burst.
    fn bursts(segments_max: usize, datagrams: &[(Way, usize)]) -> Vec<(usize, usize)> {
        let (mut outbox, mut out) = (Outbox::new(segments_max), Vec::new());
        let mut send = |burst: Burst<'_>| out.push((burst.segment_bytes, burst.bytes.len()));
        for &(way, length) in datagrams {
            outbox.push(way, &vec![0; length], &mut send);
        }
        outbox.flush(&mut send);
        out
    }

    #[test]
    fn neighbours_of_one_length_go_together() {
        let udp = |lengths: &[usize]| lengths.iter().map(|&length| (way(2), length)).collect::<Vec<_>>();
        assert_eq!(bursts(64, &udp(&[100, 1_200, 1_200, 300, 1_200])), [(100, 100), (1_200, 2_700), (1_200, 1_200)]);
        assert_eq!(bursts(2, &udp(&[9, 9, 9])), [(9, 18), (9, 9)]);
        assert_eq!(bursts(1, &udp(&[9, 9])), [(9, 9), (9, 9)]);
        assert_eq!(bursts(64, &[(Way { transport: Transport::Tcp, ..way(2) }, 9); 2]), [(9, 9), (9, 9)]);
        assert_eq!(bursts(64, &[]), []);
        let many = bursts(64, &udp(&[1_200; 60]));
        assert!(many.iter().all(|(_, bytes)| *bytes <= BURST_BYTES_MAX) && many.len() == 2, "{many:?}");
    }

    #[test]
    fn places_are_not_mixed() {
        let from_elsewhere = Way { source: way(9).destination, ..way(3) };
        assert_eq!(
            bursts(64, &[(way(2), 9), (way(3), 9), (from_elsewhere, 9), (from_elsewhere, 9)]),
            [(9, 9), (9, 9), (9, 18)]
        );
    }
}

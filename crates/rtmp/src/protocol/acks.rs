//! Acknowledgements in both directions: when we owe one, and what those of the peer mean.

/// Counts the bytes that we received and says when an acknowledgement is due.
#[derive(Debug, Default)]
pub(super) struct AckDuty {
    /// The peer's window. Before the peer has told it, no acknowledgement is due.
    window_bytes: Option<u64>,
    acked_bytes: u64,
}

impl AckDuty {
    pub(super) fn set_window(&mut self, bytes: u32) {
        self.window_bytes = Some(u64::from(bytes.max(1)));
    }

    /// A quarter of the peer's window.
    pub(super) fn slack_bytes(&self) -> usize {
        self.window_bytes.map_or(usize::MAX, |bytes| usize::try_from(bytes / 4).unwrap_or(usize::MAX))
    }

    /// The sequence number to send now, if any: the total received, mod 2^32 because the field is 32 bits wide.
    ///
    /// It is due at half the window, as in librtmp, so that senders that stop at a full window never have to.
    pub(super) fn due(&mut self, received_bytes: u64) -> Option<u32> {
        let window_bytes = self.window_bytes?;
        if received_bytes.saturating_sub(self.acked_bytes) < window_bytes.div_ceil(2) {
            return None;
        }
        self.acked_bytes = received_bytes;
        Some((received_bytes & u64::from(u32::MAX)) as u32)
    }
}

/// Adds up the acknowledgements of a peer, whichever way it counts.
///
/// The specification wants the total received, in 32 bits that wrap; rml_rtmp and others send the bytes since
/// their last acknowledgement (1232, 1232, ...). A value that cannot be a larger total marks the second kind. In
/// doubt the smaller reading is taken, and never more than was written.
#[derive(Debug, Default)]
pub struct PeerAcks {
    acked_bytes: u64,
    counts_since_last: bool,
}

impl PeerAcks {
    pub fn acked_bytes(&self) -> u64 {
        self.acked_bytes
    }

    pub fn on_ack(&mut self, sequence: u32, written_bytes: u64) {
        let since_last = self.acked_bytes.saturating_add(u64::from(sequence)).min(written_bytes);
        if !self.counts_since_last {
            let total = unwrapped(sequence, self.acked_bytes);
            if total <= written_bytes && total > self.acked_bytes {
                self.acked_bytes = total;
                return;
            }
            if total == self.acked_bytes && u64::from(sequence) + self.acked_bytes > written_bytes {
                return; // The peer sent the same total once more.
            }
            self.counts_since_last = self.acked_bytes > 0 && since_last > self.acked_bytes;
            if !self.counts_since_last {
                return;
            }
        }
        self.acked_bytes = since_last;
    }
}

/// The smallest number at or above `floor` whose low 32 bits are `sequence`.
fn unwrapped(sequence: u32, floor: u64) -> u64 {
    let low_mask = u64::from(u32::MAX);
    let candidate = (floor & !low_mask) | u64::from(sequence);
    if candidate < floor { candidate + (low_mask + 1) } else { candidate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_carry_the_total_received() {
        let mut duty = AckDuty::default();
        assert_eq!(duty.due(1 << 20), None, "no window announced");
        duty.set_window(1000);
        #[rustfmt::skip]
        let table = [(499, None), (500, Some(500)), (999, None), (1000, Some(1000)), (7000, Some(7000)),
                     ((1 << 32) + 5, Some(5))];
        for (received, expected) in table {
            assert_eq!(duty.due(received), expected, "{received}");
        }
    }

    #[test]
    fn a_tiny_window_acks_once_per_feed() {
        let mut duty = AckDuty::default();
        duty.set_window(0);
        assert_eq!(duty.due(0), None);
        assert_eq!(duty.due(65536), Some(65536));
        assert_eq!(duty.due(65536), None);
    }

    fn acked(acks: &[(u32, u64)]) -> Vec<u64> {
        let mut peer = PeerAcks::default();
        acks.iter()
            .map(|&(sequence, written)| {
                peer.on_ack(sequence, written);
                peer.acked_bytes()
            })
            .collect()
    }

    #[test]
    fn totals() {
        assert_eq!(acked(&[(1000, 5000), (2000, 5000), (5000, 5000)]), [1000, 2000, 5000]);
        // The same total again is no progress, because as many bytes again were never written.
        assert_eq!(acked(&[(4000, 5000), (4000, 5000), (5000, 5000)]), [4000, 4000, 5000]);
    }

    #[test]
    fn totals_wrap_at_32_bits() {
        let near = u32::MAX - 9;
        let written = (1_u64 << 32) + 100;
        assert_eq!(acked(&[(near, written), (50, written)]), [u64::from(near), (1 << 32) + 50]);
    }

    #[test]
    fn bytes_since_the_last() {
        assert_eq!(acked(&[(1232, 10_000), (1232, 10_000), (1232, 10_000)]), [1232, 2464, 3696]);
        assert_eq!(acked(&[(2000, 10_000), (1500, 10_000), (1800, 10_000)]), [2000, 3500, 5300]);
    }

    #[test]
    fn never_more_than_was_written() {
        assert_eq!(acked(&[(u32::MAX, 100), (90, 100), (90, 100), (u32::MAX, 100)]), [0, 90, 90, 100]);
    }
}

//! Cuts packets out of bytes in any pieces. Where the sync byte is missing, it finds the next place that looks like packets.

use bytes::{Buf, BytesMut};

use super::{PACKET_BYTES, SYNC_BYTE};

/// Any byte may look like a sync byte, but three of them, a packet apart, are packets.
const SYNCS_TO_TRUST: usize = 3;

#[derive(Debug, Default)]
pub(super) struct PacketSync {
    buffer: BytesMut,
    lost: bool,
    pub(super) losses: u64,
    pub(super) skipped_bytes: u64,
}

impl PacketSync {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next packet. `None` means that more bytes are needed.
    pub(super) fn next(&mut self) -> Option<[u8; PACKET_BYTES]> {
        loop {
            if self.lost && !self.find() {
                return None;
            }
            let packet = *self.buffer.first_chunk::<PACKET_BYTES>()?;
            if packet[0] == SYNC_BYTE {
                self.buffer.advance(PACKET_BYTES);
                return Some(packet);
            }
            self.lost = true;
            self.losses += 1;
        }
    }

    /// Moves to where packets begin. Bytes that can't be judged yet are kept; they are fewer than three packets.
    fn find(&mut self) -> bool {
        const SEEN_BYTES: usize = (SYNCS_TO_TRUST - 1) * PACKET_BYTES + 1;
        let places = self.buffer.windows(SEEN_BYTES);
        let trusted = |seen: &[u8]| seen.iter().step_by(PACKET_BYTES).all(|&byte| byte == SYNC_BYTE);
        let found = places.clone().position(trusted);
        let skipped = found.unwrap_or(places.len());
        self.buffer.advance(skipped);
        self.skipped_bytes += skipped as u64;
        self.lost = found.is_none();
        !self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(numbers: std::ops::Range<u8>) -> Vec<u8> {
        numbers.flat_map(|number| [&[SYNC_BYTE][..], &[number; PACKET_BYTES - 1]].concat()).collect()
    }

    fn read(data: &[u8], step: usize) -> (Vec<u8>, PacketSync) {
        let (mut sync, mut numbers) = (PacketSync::default(), Vec::new());
        for piece in data.chunks(step) {
            sync.feed(piece);
            numbers.extend(std::iter::from_fn(|| sync.next()).map(|packet| packet[1]));
            assert!(sync.buffer.len() < SYNCS_TO_TRUST * PACKET_BYTES, "nothing is piled up");
        }
        (numbers, sync)
    }

    #[test]
    fn packets_come_in_any_pieces() {
        for step in [1, 7, 188, 1316, 10_000] {
            assert_eq!(read(&packets(0..20), step).0, (0..20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sync_is_found_again() {
        let mut noise = vec![0x11; 100];
        noise[3] = SYNC_BYTE;
        let data = [packets(0..3), noise, packets(3..9), vec![0; 5], packets(9..15), vec![1; 40]].concat();
        for step in [1, 189, 10_000] {
            let (numbers, sync) = read(&data, step);
            assert_eq!(numbers, (0..15).collect::<Vec<_>>(), "{step}");
            assert_eq!((sync.losses, sync.skipped_bytes), (2, 105));
        }
    }

    #[test]
    fn noise_alone_is_skipped() {
        let (numbers, sync) = read(&vec![9; 100_000], 1000);
        assert!(numbers.is_empty());
        assert_eq!((sync.losses, sync.skipped_bytes), (1, 100_000 - 376));
    }
}

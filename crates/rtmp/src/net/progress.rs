//! How many of the bytes that we wrote have arrived, by the acknowledgements of the kernel and of the peer.

use std::sync::atomic::{AtomicU64, Ordering};

use super::duplex::Duplex;
use crate::protocol::PeerAcks;

/// A snapshot of a push. Its bytes are RTMP bytes; the overhead of TLS records is calculated out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushProgress {
    pub written_bytes: u64,
    /// This number never falls, and is never above `written_bytes`.
    pub acked_bytes: u64,
    pub rtt_us: Option<u32>,
    /// TCP segments that were sent, and how many of them were sent again. Both are 0 if the kernel does not tell.
    pub sent_segments: u32,
    pub resent_segments: u32,
}

/// The most plaintext that rustls holds after taking it and before giving it to the socket (its default buffer limit).
const TLS_BUFFER_BYTES_MAX: u64 = 64 * 1024;

/// Measures a push's progress. It keeps the highest number of acknowledged bytes seen so far.
#[derive(Debug, Default)]
pub(super) struct PushMeter {
    pub(super) peer: PeerAcks,
    kernel_acked_bytes: AtomicU64,
}

impl PushMeter {
    pub(super) fn snapshot(&self, duplex: &Duplex) -> PushProgress {
        let (transport, written_bytes) = (duplex.transport(), duplex.written_bytes());
        let info = transport.tcp_info();
        if let Some(info) = info {
            // The bytes that are not acknowledged on the wire, TLS overhead included, are at least as many as those that are not in RTMP
            // bytes.
            let unacked = transport.wire_written_bytes().saturating_sub(info.acked_bytes);
            let inside_tls = if transport.needs_flush() { TLS_BUFFER_BYTES_MAX } else { 0 };
            let acked = written_bytes.saturating_sub(unacked + inside_tls);
            self.kernel_acked_bytes.fetch_max(acked, Ordering::Relaxed);
        }
        PushProgress {
            written_bytes,
            acked_bytes: self.kernel_acked_bytes.load(Ordering::Relaxed).max(self.peer.acked_bytes()),
            rtt_us: info.map(|info| info.rtt_us),
            sent_segments: info.map_or(0, |info| info.sent_segments),
            resent_segments: info.map_or(0, |info| info.resent_segments),
        }
    }
}

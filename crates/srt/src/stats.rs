//! What a connection knows of its path: round trip, loss, and which part of it was repaired.

use crate::ffi::RawStats;

/// libsrt counts 16 bytes of its own and 28 of UDP and IP with each packet. We count the payload.
const HEADER_BYTES: u64 = 44;

/// The figures of one connection at one moment. Counts are since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SrtStats {
    pub rtt_ms: f64,
    /// The negotiated latency, for what we send and for what we receive.
    pub send_latency_ms: u32,
    pub receive_latency_ms: u32,
    /// Data packets, without repetitions.
    pub sent_packets: u64,
    pub received_packets: u64,
    /// The packets that the far end said are missing, and those that we found missing.
    pub send_lost_packets: u64,
    pub receive_lost_packets: u64,
    /// The packets that were sent again.
    pub retransmitted_packets: u64,
    /// Packets that were given up before they were acknowledged, because their time had passed.
    pub send_dropped_packets: u64,
    pub send_dropped_bytes: u64,
    /// Packets that were still missing when their time came, and so were never repaired.
    pub receive_dropped_packets: u64,
    pub undecryptable_packets: u64,
    /// Bytes that the library holds and that are not acknowledged, sent or not.
    pub send_buffered_bytes: u64,
    pub send_buffer_ms: u32,
    pub receive_buffer_ms: u32,
    pub send_rate_bps: u64,
    pub receive_rate_bps: u64,
    /// What the path could carry, as the library estimates it.
    pub bandwidth_bps: u64,
}

impl From<RawStats> for SrtStats {
    fn from(raw: RawStats) -> Self {
        let count = |number: i32| u64::try_from(number).unwrap_or(0);
        let wide = |number: i64| u64::try_from(number).unwrap_or(0);
        let ms = |number: i32| u32::try_from(number).unwrap_or(0);
        let bps = |mbps: f64| (mbps.max(0.0) * 1e6) as u64;
        let payload = |bytes: u64, packets: i32| bytes.saturating_sub(count(packets) * HEADER_BYTES);
        Self {
            rtt_ms: raw.ms_rtt,
            send_latency_ms: ms(raw.ms_snd_tsbpd_delay),
            receive_latency_ms: ms(raw.ms_rcv_tsbpd_delay),
            sent_packets: wide(raw.pkt_sent_unique_total),
            received_packets: wide(raw.pkt_recv_unique_total),
            send_lost_packets: count(raw.pkt_snd_loss_total),
            receive_lost_packets: count(raw.pkt_rcv_loss_total),
            retransmitted_packets: count(raw.pkt_retrans_total),
            send_dropped_packets: count(raw.pkt_snd_drop_total),
            send_dropped_bytes: payload(raw.byte_snd_drop_total, raw.pkt_snd_drop_total),
            receive_dropped_packets: count(raw.pkt_rcv_drop_total),
            undecryptable_packets: count(raw.pkt_rcv_undecrypt_total),
            send_buffered_bytes: payload(wide(i64::from(raw.byte_snd_buf)), raw.pkt_snd_buf),
            send_buffer_ms: ms(raw.ms_snd_buf),
            receive_buffer_ms: ms(raw.ms_rcv_buf),
            send_rate_bps: bps(raw.mbps_send_rate),
            receive_rate_bps: bps(raw.mbps_recv_rate),
            bandwidth_bps: bps(raw.mbps_bandwidth),
        }
    }
}

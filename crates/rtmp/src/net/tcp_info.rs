//! What the kernel knows about a connection's progress (`TCP_INFO`), and what we tell it about the connection.

use tokio::net::TcpStream;

/// The figures that we want of `TCP_INFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcpInfo {
    /// Bytes that the peer's kernel has acknowledged, with the SYN counted as one.
    pub(super) acked_bytes: u64,
    pub(super) rtt_us: u32,
    /// Segments that were sent, and how many of them were sent again.
    pub(super) sent_segments: u32,
    pub(super) resent_segments: u32,
}

#[cfg(target_os = "linux")]
pub(super) fn tcp_info(tcp: &TcpStream) -> Option<TcpInfo> {
    let bytes = nix::sys::socket::getsockopt(tcp, kernel::TcpInfoStart).ok()?;
    Some(TcpInfo {
        acked_bytes: u64::from_ne_bytes(*bytes.get(kernel::ACKED_BYTES_AT..)?.first_chunk()?),
        rtt_us: u32::from_ne_bytes(*bytes.get(kernel::RTT_AT..)?.first_chunk()?),
        sent_segments: u32::from_ne_bytes(*bytes.get(kernel::SEGMENTS_OUT_AT..)?.first_chunk()?),
        resent_segments: u32::from_ne_bytes(*bytes.get(kernel::TOTAL_RETRANS_AT..)?.first_chunk()?),
    })
}

/// Sets the number of bytes that must be there before a reader is woken. The kernel keeps it below half of the receive buffer, and wakes
/// at once if as many are there already.
#[cfg(target_os = "linux")]
pub(super) fn set_low_water(tcp: &TcpStream, bytes: usize) {
    let bytes = nix::libc::c_int::try_from(bytes).unwrap_or(nix::libc::c_int::MAX);
    // This fails only on a dead socket, which the next read will show.
    let _ = nix::sys::socket::setsockopt(tcp, kernel::LowWater, &bytes);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn set_low_water(_tcp: &TcpStream, _bytes: usize) {}

#[cfg(not(target_os = "linux"))]
pub(super) fn tcp_info(_tcp: &TcpStream) -> Option<TcpInfo> {
    None
}

#[cfg(target_os = "linux")]
mod kernel {
    use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

    /// The length of `struct tcp_info` up to and with `tcpi_segs_out`, which is there since Linux 4.2; the kernel fills as much as it is
    /// asked for. We read raw bytes rather than libc's struct, whose length follows the libc and not the kernel.
    const START_BYTES: usize = 140;
    /// Before `tcpi_rtt` there are 8 bytes of flags and these u32s: rto ato snd_mss rcv_mss unacked sacked lost retrans fackets, four
    /// times "last", pmtu rcv_ssthresh. 8 + 15 x 4.
    pub(super) const RTT_AT: usize = 68;
    /// Then there are 9 u32s from `tcpi_rtt` to `tcpi_total_retrans`, and two u64 pacing rates: 68 + 9 x 4 + 2 x 8.
    pub(super) const ACKED_BYTES_AT: usize = 120;
    /// The last of those 9 u32s.
    pub(super) const TOTAL_RETRANS_AT: usize = 100;
    /// This one comes after two u64s, the bytes acked and received.
    pub(super) const SEGMENTS_OUT_AT: usize = 136;

    sockopt_impl!(TcpInfoStart, GetOnly, libc::IPPROTO_TCP, libc::TCP_INFO, [u8; START_BYTES]);
    sockopt_impl!(LowWater, SetOnly, libc::SOL_SOCKET, libc::SO_RCVLOWAT, libc::c_int);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn counts_what_the_peer_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let before = tcp_info(&client).unwrap();
        assert!(before.acked_bytes <= 1, "{before:?}");
        client.write_all(&[7; 100_000]).await.unwrap();
        server.read_exact(&mut vec![0; 100_000]).await.unwrap();
        // Loopback acknowledges within the same softirq, or with a delayed ack (40 ms).
        let after = tokio::time::timeout(std::time::Duration::from_secs(5), async {
            loop {
                let info = tcp_info(&client).unwrap();
                if info.acked_bytes >= 100_000 {
                    return info;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        let after = after.await.unwrap();
        assert!(after.acked_bytes <= 100_001, "{after:?}");
        assert!((1..1_000_000).contains(&after.rtt_us), "{after:?}");
        // 100 kB take at least two segments of 64 kB each on loopback, and nothing is lost there.
        assert!((2..1_000).contains(&after.sent_segments) && after.resent_segments == 0, "{after:?}");
    }
}

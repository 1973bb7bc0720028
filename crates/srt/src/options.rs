//! The options that are set on a socket before it listens or calls.

use std::time::Duration;

use crate::ffi::{Fault, Opt, Socket};

/// The far end counts as gone when nothing at all was heard of it for this long. It says something each second.
pub(crate) const PEER_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The buffer that the kernel is asked for the port of a listener; it gives what `net.core.rmem_max` allows. Fifty publishers of 8 Mbps
/// send 50 kB a millisecond, so a listener that does not run for 100 ms would lose packets with less.
const LISTENER_UDP_BYTES: i32 = 8 << 20;

/// A caller that sends media receives only what keeps up the connection, for which 64 packets are enough. The library sets aside 16 bytes
/// for each packet that might come, and counts a packet as its whole MTU.
const CALLER_RECEIVE_BYTES: i32 = 64 * 1_472;

/// The buffer for packets that are sent and not acknowledged: 12 MB as in the library, which is 2.4 s of 40 Mbps. It takes memory only
/// when it is used.
const SEND_BUFFER_BYTES: i32 = 8_192 * 1_472;

/// A new destination gets the whole GOP that is there, and each keyframe comes at once. At the library's default of a gigabit, the socket
/// buffers on the way would overflow. 200 Mbps is four times the fastest stream, and a GOP of 2 MB takes 80 ms.
const SEND_BYTES_PER_SECOND_MAX: i64 = 25_000_000;

pub(crate) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Sets what all sockets have in common: no call blocks, and live mode is as the library begins with it.
pub(crate) fn set_common(socket: &Socket) -> Result<(), Fault> {
    socket.set_flag(Opt::SendBlocks, false)?;
    socket.set_flag(Opt::ReceiveBlocks, false)?;
    socket.set_long(Opt::BandwidthBytesMax, SEND_BYTES_PER_SECOND_MAX)?;
    socket.set_int(Opt::PeerIdleTimeoutMs, milliseconds(PEER_IDLE_TIMEOUT))
}

pub(crate) fn set_for_listener(socket: &Socket, latency: Duration) -> Result<(), Fault> {
    set_common(socket)?;
    // UDP has no connections that linger. A port that is taken is somebody else's, and packets would go to either.
    socket.set_flag(Opt::ReuseAddress, false)?;
    socket.set_int(Opt::LatencyMs, milliseconds(latency))?;
    socket.set_int(Opt::SendBufferBytes, SEND_BUFFER_BYTES)?;
    socket.set_int(Opt::UdpReceiveBufferBytes, LISTENER_UDP_BYTES)
}

pub(crate) fn set_for_caller(socket: &Socket, send_buffer_bytes: Option<u32>, receives: bool) -> Result<(), Fault> {
    set_common(socket)?;
    let asked = send_buffer_bytes.and_then(|bytes| i32::try_from(bytes).ok());
    socket.set_int(Opt::SendBufferBytes, asked.unwrap_or(SEND_BUFFER_BYTES))?;
    // One that receives media keeps the library's buffer of 12 MB, as a listener does.
    if receives { Ok(()) } else { socket.set_int(Opt::ReceiveBufferBytes, CALLER_RECEIVE_BYTES) }
}

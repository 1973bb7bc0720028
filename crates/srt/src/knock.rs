//! Knocking: sends a bare first handshake packet to see whether anybody listens there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The packet is sent again after this time, because one may be lost.
const ASK_EVERY: Duration = Duration::from_millis(250);
const ASKED_MAX: usize = 4;

/// A handshake packet: 16 bytes of header and 48 of contents.
const PACKET_BYTES: usize = 64;
/// The listener answers to this id. It may be any number but 0.
const SOCKET_ID: u32 = 0x5765_6972;

/// Whether a listener answers there within a second. The listener keeps nothing of it: the first handshake only asks for a cookie.
pub async fn knock(address: SocketAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let Ok(socket) = UdpSocket::bind((any, 0)).await else { return false };
    if socket.connect(address).await.is_err() {
        return false;
    }
    let question = induction();
    let mut answer = [0; 1_500];
    for _ in 0..ASKED_MAX {
        if socket.send(&question).await.is_err() {
            return false;
        }
        match timeout(ASK_EVERY, socket.recv(&mut answer)).await {
            Ok(Ok(bytes)) => return answer.get(..bytes).is_some_and(is_handshake),
            // The kernel says that nobody has the port.
            Ok(Err(_)) => return false,
            Err(_) => {}
        }
    }
    false
}

/// The caller's first packet, as draft-sharabayko-srt describes it.
fn induction() -> [u8; PACKET_BYTES] {
    let words: [u32; PACKET_BYTES / 4] = [
        0x8000_0000, // control packet, type 0: handshake
        0,
        0,           // time
        0,           // to nobody in particular
        4,           // version
        2,           // no encryption; "datagram", which is what the first one says
        0x1234_5678, // first sequence number
        1_500,       // MTU
        8_192,       // packets in flight
        1,           // type: induction
        SOCKET_ID,
        0, // no cookie yet
        0, // the peer's address, which is not looked at
        0,
        0,
        0,
    ];
    let mut packet = [0; PACKET_BYTES];
    for (bytes, word) in packet.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    packet
}

fn is_handshake(packet: &[u8]) -> bool {
    packet.len() >= PACKET_BYTES && packet.starts_with(&[0x80, 0])
}

//! The one UDP port of all viewers: it gives each datagram that comes to the connection that it belongs to, and sends from any thread.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::outbox::Burst;
use crate::routes::{Datagram, Routes};
use crate::sdp::Transport;

/// The socket's buffers must hold a keyframe for each of hundreds of viewers at once. The kernel gives as much of this as its own limits
/// allow.
const BUFFER_BYTES: usize = 4 << 20;

/// How many buffers one system call fills. Each takes up to 64 kB, because the kernel joins datagrams where it can (GRO).
const RECEIVED_AT_ONCE: usize = 4;
const RECEIVED_BYTES_MAX: usize = 64 * 1024;

/// Longer datagrams belong to nobody: a viewer's checks, handshakes and reports are made for the same paths as media.
const DATAGRAM_BYTES_MAX: usize = 1_500;

#[derive(Debug)]
pub(crate) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Port {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        // The sizes are asked for and not insisted on: the port works with smaller buffers, too.
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, state, local })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How many datagrams one system call may carry.
    pub(crate) fn segments_max(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends as much as the kernel takes. A datagram that the kernel has no room for is lost, as it might be on the way, and is repeated
    /// when the viewer asks for it.
    pub(crate) fn send(&self, burst: &Burst<'_>, from: Option<IpAddr>) {
        let segments = burst.bytes.len() > burst.segment_bytes;
        let sent = self.send_once(burst, burst.bytes, from, segments);
        // A card or kernel that promised GSO turned out to have none. `quinn_udp` has noticed, so from now on a call carries one datagram.
        if segments && sent.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            for datagram in burst.bytes.chunks(burst.segment_bytes) {
                let _ = self.send_once(burst, datagram, from, false);
            }
        }
    }

    fn send_once(&self, burst: &Burst<'_>, contents: &[u8], from: Option<IpAddr>, segments: bool) -> io::Result<()> {
        let transmit = Transmit {
            destination: self.as_the_socket_has_it(burst.way.destination),
            ecn: None,
            contents,
            segment_size: segments.then_some(burst.segment_bytes),
            src_ip: from,
        };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// Writes the address as this socket needs it: an IPv6 socket wants IPv4 addresses in the form ::ffff:a.b.c.d.
    fn as_the_socket_has_it(&self, address: SocketAddr) -> SocketAddr {
        match address {
            SocketAddr::V4(v4) if self.local.is_ipv6() => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            other => other,
        }
    }

    /// Gives each datagram that comes to its connection, for as long as there is a runtime.
    pub(crate) async fn receive(&self, routes: &Routes) {
        let mut buffers: Vec<Vec<u8>> = (0..RECEIVED_AT_ONCE).map(|_| vec![0; RECEIVED_BYTES_MAX]).collect();
        loop {
            if self.socket.readable().await.is_err() {
                return;
            }
            let mut slices: Vec<IoSliceMut<'_>> = buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            let mut metas = [RecvMeta::default(); RECEIVED_AT_ONCE];
            let received = self
                .socket
                .try_io(Interest::READABLE, || self.state.recv((&self.socket).into(), &mut slices, &mut metas));
            drop(slices);
            let Ok(received) = received else { continue };
            for (buffer, meta) in buffers.iter().zip(&metas).take(received) {
                deliver(buffer, meta, routes);
            }
        }
    }
}

fn deliver(buffer: &[u8], meta: &RecvMeta, routes: &Routes) {
    let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
    let bytes = buffer.get(..meta.len).unwrap_or_default();
    for bytes in bytes.chunks(meta.stride.max(1)).filter(|bytes| bytes.len() <= DATAGRAM_BYTES_MAX) {
        let destination = meta.dst_ip.map(|ip| ip.to_canonical());
        routes.deliver(Datagram { transport: Transport::Udp, source, destination, bytes: bytes.to_vec() });
    }
}

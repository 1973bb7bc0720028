//! The ports on which datagrams come in. Streams that read programmes of one multiplex share its port: it is read once for all.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use weir_model::{Fault, Reason, ReasonCode, UdpPort};
use weir_mux::rtp::sequence::{Sequence, SequenceCounts};

use crate::intake::locked;

/// The longest datagram. IPTV sends 1,328 bytes, and jumbo frames 9,000.
const DATAGRAM_BYTES_MAX: usize = 9_216;
/// The buffer that the kernel is asked for; it gives what `net.core.rmem_max` allows. A multiplex of 50 Mbps sends 630 kB in 100 ms.
const KERNEL_BYTES: usize = 4 << 20;
/// Datagrams come one by one. They are gathered for so long before the next look, which spares most of the wakes.
const GATHER: Duration = Duration::from_millis(5);
/// So many datagrams are taken in one go before others on this lane get their turn.
const DATAGRAMS_AT_ONCE: usize = 256;
/// A reader that is so many batches behind loses the oldest: 128 are at least 640 ms.
const BATCHES_MAX: usize = 128;

/// All ports that are open. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct UdpPorts {
    open: Arc<Mutex<BTreeMap<UdpPort, Weak<OpenPort>>>>,
}

/// What was read in one go.
#[derive(Debug)]
pub(super) struct Batch {
    /// What the datagrams hold, in order.
    pub(super) datagrams: Vec<Bytes>,
    /// What RTP's numbers tell; None without RTP.
    pub(super) counts: Option<SequenceCounts>,
}

/// A port with all who read it. It is closed when the last of them has gone.
#[derive(Debug)]
struct OpenPort {
    batches: Sender<Arc<Batch>>,
    reading: AbortHandle,
}

impl Drop for OpenPort {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// One reader's side of a port.
#[derive(Debug)]
pub(super) struct PortReader {
    batches: Receiver<Arc<Batch>>,
    _port: Arc<OpenPort>,
}

impl PortReader {
    pub(super) async fn next(&mut self) -> Result<Arc<Batch>, RecvError> {
        self.batches.recv().await
    }
}

impl UdpPorts {
    /// Opens a port, or joins those who read it already.
    pub(super) fn open(&self, at: &UdpPort) -> Result<PortReader, Reason> {
        let mut open = locked(&self.open);
        open.retain(|_, port| port.strong_count() > 0);
        if let Some(port) = open.get(at).and_then(Weak::upgrade).filter(|port| !port.reading.is_finished()) {
            return Ok(PortReader { batches: port.batches.subscribe(), _port: port });
        }
        let socket = bound(at).and_then(UdpSocket::from_std).map_err(|error| not_opened(at, &error))?;
        let (batches, first) = channel(BATCHES_MAX);
        let reading = tokio::spawn(read(socket, at.rtp, batches.clone())).abort_handle();
        let port = Arc::new(OpenPort { batches, reading });
        open.insert(at.clone(), Arc::downgrade(&port));
        Ok(PortReader { batches: first, _port: port })
    }
}

async fn read(socket: UdpSocket, rtp: bool, batches: Sender<Arc<Batch>>) {
    let mut sequence = rtp.then(Sequence::default);
    let mut buffer = BytesMut::new();
    loop {
        let is_waiting = sequence.as_ref().is_some_and(Sequence::is_waiting);
        tokio::select! {
            readable = socket.readable() => if readable.is_err() { return },
            () = sleep(GATHER * 4), if is_waiting => {}
        }
        let (mut datagrams, now) = (Vec::new(), Instant::now());
        for _ in 0..DATAGRAMS_AT_ONCE {
            buffer.reserve(DATAGRAM_BYTES_MAX);
            match socket.try_recv_buf(&mut buffer) {
                Ok(_) => {
                    let datagram = buffer.split().freeze();
                    match &mut sequence {
                        Some(sequence) => sequence.push(&datagram, now, &mut datagrams),
                        None => datagrams.push(datagram),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What the network says of a datagram that we never sent is not about us.
                Err(_) => {}
            }
        }
        if let Some(sequence) = &mut sequence {
            sequence.pass_on(now, &mut datagrams);
        }
        if !datagrams.is_empty() {
            let counts = sequence.as_ref().map(Sequence::counts);
            // Without readers the port is closed soon.
            let _ = batches.send(Arc::new(Batch { datagrams, counts }));
        }
        sleep(GATHER).await;
    }
}

fn bound(at: &UdpPort) -> io::Result<std::net::UdpSocket> {
    let domain = if at.address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The kernel may give less, and says so only by what is lost.
    let _ = socket.set_recv_buffer_size(KERNEL_BYTES);
    // Others on this machine may listen to the same group. An address of ours has one listener, or datagrams would go to either.
    socket.set_reuse_address(at.address.is_multicast())?;
    // Bound to the group itself, the socket gets nothing of other groups on this port.
    socket.bind(&SocketAddr::new(at.address, at.port).into())?;
    if at.address.is_multicast() {
        join(&socket, at)?;
    }
    Ok(socket.into())
}

fn join(socket: &Socket, at: &UdpPort) -> io::Result<()> {
    let interface = at.interface.as_deref();
    match (at.address, at.source) {
        (IpAddr::V4(group), Some(IpAddr::V4(source))) => {
            let interface = interface.map_or(Ok(Ipv4Addr::UNSPECIFIED), address_of)?;
            socket.join_ssm_v4(&source, &group, &interface)
        }
        (IpAddr::V4(group), _) => {
            let interface = match interface.map(|name| (name, name.parse())) {
                None => InterfaceIndexOrAddress::Address(Ipv4Addr::UNSPECIFIED),
                Some((_, Ok(address))) => InterfaceIndexOrAddress::Address(address),
                Some((name, Err(_))) => InterfaceIndexOrAddress::Index(if_nametoindex(name)?),
            };
            socket.join_multicast_v4_n(&group, &interface)
        }
        (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, interface.map_or(Ok(0), if_nametoindex)?),
    }
}

/// The first IPv4 address of an interface.
fn address_of(interface: &str) -> io::Result<Ipv4Addr> {
    if let Ok(address) = interface.parse() {
        return Ok(address);
    }
    let of_it = getifaddrs()?.filter(|found| found.interface_name == interface);
    let mut addresses = of_it.filter_map(|found| Some(found.address?.as_sockaddr_in()?.ip()));
    addresses.next().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn not_opened(at: &UdpPort, error: &io::Error) -> Reason {
    let config = |code, message: String| Reason::new(code, message).with_fault(Fault::Config);
    match error.kind() {
        io::ErrorKind::AddrInUse => config(ReasonCode::Refused, format!("port {} is in use on this machine", at.port)),
        io::ErrorKind::PermissionDenied => {
            config(ReasonCode::Refused, format!("the system does not let the server use port {}", at.port))
        }
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::NotFound => {
            config(ReasonCode::Unreachable, "this machine has no such address or interface".to_owned())
        }
        _ if error.raw_os_error() == Some(nix::libc::ENODEV) => {
            config(ReasonCode::Unreachable, "no interface of this machine leads to the group: name one".to_owned())
        }
        _ => Reason::new(ReasonCode::Internal, format!("the port can't be opened: {error}")).with_fault(Fault::Server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str, port: u16) -> UdpPort {
        UdpPort { rtp: false, address: address.parse().unwrap(), port, interface: None, source: None }
    }

    #[tokio::test]
    async fn readers_share_a_port_and_the_last_one_closes_it() {
        let ports = UdpPorts::default();
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = at("127.0.0.1", port);
        let (mut one, mut two) = (ports.open(&at).unwrap(), ports.open(&at).unwrap());
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"x", ("127.0.0.1", port)).unwrap();
        for reader in [&mut one, &mut two] {
            assert_eq!(reader.next().await.unwrap().datagrams, ["x"]);
        }
        let other = UdpPorts::default();
        assert_eq!(other.open(&at).unwrap_err().code, ReasonCode::Refused, "the port is taken");
        drop((one, two));
        // The reading task lets go of the socket once it is aborted, which is at its next turn.
        let opened = async {
            while other.open(&at).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), opened).await.expect("the port is free again");
    }

    #[tokio::test]
    async fn what_can_not_be_opened_says_why() {
        let ports = UdpPorts::default();
        let nowhere = UdpPort { interface: Some("nosuchif0".to_owned()), ..at("239.255.1.1", 5_001) };
        for (at, code) in [(at("192.0.2.1", 5_000), ReasonCode::Unreachable), (nowhere, ReasonCode::Unreachable)] {
            let reason = ports.open(&at).unwrap_err();
            assert_eq!((reason.code, reason.fault), (code, Fault::Config), "{at:?}: {}", reason.message);
        }
    }
}

//! Local ports that callers share. libsrt runs two threads for each port, which wake a hundred times a second whatever happens.
//!
//! Calls to different listeners go out from one port. Calls to the same listener do not, because there are servers (such as srt-tokio)
//! that tell callers apart by address and port alone.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ffi::{Fault, Opt, Socket};

/// One thread sends for all calls of a port. 64 calls of 4 Mbps are 24,000 packets a second, a third of a core.
const CALLS_PER_PORT_MAX: usize = 64;

#[derive(Debug)]
struct SharedPort {
    port: u16,
    ipv6: bool,
    remotes: HashSet<SocketAddr>,
}

static PORTS: Mutex<Vec<SharedPort>> = Mutex::new(Vec::new());

/// A call's place on a shared port. It is given back on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    port: u16,
    remote: SocketAddr,
}

impl Seat {
    /// Binds the socket to a port from which nobody calls `remote` yet: a shared one, or a new one.
    pub(crate) fn take(socket: &Socket, remote: SocketAddr) -> Result<Self, Fault> {
        let ipv6 = remote.is_ipv6();
        if ipv6 {
            // libsrt has to be told this for an address that means all of them.
            socket.set_int(Opt::Ipv6Only, 1)?;
        }
        let any: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        // The lock is held while binding, so that two calls that begin together do not take the same seat.
        let mut ports = ports();
        let fits = |shared: &&mut SharedPort| {
            shared.ipv6 == ipv6 && shared.remotes.len() < CALLS_PER_PORT_MAX && !shared.remotes.contains(&remote)
        };
        if let Some(shared) = ports.iter_mut().find(fits)
            // The last call of the port may have ended a moment ago, and the port may belong to somebody else by now; then another one is
            // taken.
            && socket.bind((any, shared.port).into()).is_ok()
        {
            shared.remotes.insert(remote);
            return Ok(Self { port: shared.port, remote });
        }
        socket.bind((any, 0).into())?;
        let port = socket.local_addr()?.port();
        ports.push(SharedPort { port, ipv6, remotes: HashSet::from([remote]) });
        Ok(Self { port, remote })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut ports = ports();
        if let Some(at) = ports.iter().position(|shared| shared.port == self.port) {
            ports[at].remotes.remove(&self.remote);
            if ports[at].remotes.is_empty() {
                ports.swap_remove(at);
            }
        }
    }
}

fn ports() -> MutexGuard<'static, Vec<SharedPort>> {
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_listeners_share_a_port_and_one_listener_never_sees_it_twice() {
        let remote = |port: u16| SocketAddr::from(([127, 0, 0, 9], port));
        let socket = || Socket::create().unwrap();
        let sockets: Vec<Socket> = (0..4).map(|_| socket()).collect();
        let first = Seat::take(&sockets[0], remote(1)).unwrap();
        let second = Seat::take(&sockets[1], remote(2)).unwrap();
        let again = Seat::take(&sockets[2], remote(1)).unwrap();
        assert_eq!(first.port, second.port);
        assert_ne!(first.port, again.port);
        drop(first);
        let third = Seat::take(&sockets[3], remote(1)).unwrap();
        assert_eq!(third.port, second.port, "the seat is free again");
        let ports_of = |port: u16| ports().iter().any(|shared| shared.port == port);
        let port = second.port;
        drop((second, third, again));
        assert!(!ports_of(port), "a port without calls is forgotten");
    }
}

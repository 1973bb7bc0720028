//! Routes tell which connection a datagram belongs to, because many viewers come to one port. A check of ICE names its connection. Any
//! other datagram is known by the address that it comes from, and an address counts only once the connection itself has answered a check
//! from there, which it does only to a viewer who knows its password.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::sdp::Transport;
use crate::stun;

/// How many datagrams may wait for one viewer's connection. A viewer sends a few reports a second. What does not fit is lost, as it might be
/// on the way.
pub(crate) const OF_VIEWER: usize = 64;

/// How many datagrams may wait for one publisher's connection: a keyframe of a megabyte, which some encoders send at once.
pub(crate) const OF_PUBLISHER: usize = 1_024;

/// How many addresses one connection may have. A browser comes from two or three, and changes them when its network does.
const ADDRESSES_MAX: usize = 8;

/// One datagram, or one frame of a TCP connection.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) transport: Transport,
    pub(crate) source: SocketAddr,
    /// Our address that the datagram came to, if the socket tells it.
    pub(crate) destination: Option<IpAddr>,
    pub(crate) bytes: Vec<u8>,
}

type From = (Transport, SocketAddr);

/// A clone shares the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    by_ufrag: HashMap<String, mpsc::Sender<Datagram>>,
    by_address: HashMap<From, mpsc::Sender<Datagram>>,
    /// The queues of frames to the far ends of TCP connections.
    links: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>,
}

/// One connection's queue of datagrams, and its entries in the table, which go when this is dropped.
#[derive(Debug)]
pub(crate) struct Route {
    routes: Routes,
    ufrag: String,
    sender: mpsc::Sender<Datagram>,
    pub(crate) inbox: mpsc::Receiver<Datagram>,
    /// The addresses that the connection has answered to; the one that was used longest ago stands first.
    known: Vec<From>,
}

impl Routes {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `waiting`: how many datagrams may wait for it.
    pub(crate) fn open(&self, ufrag: &str, waiting: usize) -> Route {
        let (sender, inbox) = mpsc::channel(waiting);
        self.table().by_ufrag.insert(ufrag.to_owned(), sender.clone());
        Route { routes: self.clone(), ufrag: ufrag.to_owned(), sender, inbox, known: Vec::new() }
    }

    /// The number of connections.
    pub(crate) fn count(&self) -> usize {
        self.table().by_ufrag.len()
    }

    /// Gives a datagram to its connection. Returns false if there is none, or if its queue is full.
    pub(crate) fn deliver(&self, datagram: Datagram) -> bool {
        let table = self.table();
        let found = match stun::local_ufrag(&datagram.bytes) {
            Some(ufrag) => table.by_ufrag.get(ufrag),
            None => table.by_address.get(&(datagram.transport, datagram.source)),
        };
        found.is_some_and(|sender| sender.try_send(datagram).is_ok())
    }

    pub(crate) fn link(&self, remote: SocketAddr, frames: mpsc::Sender<Vec<u8>>) {
        self.table().links.insert(remote, frames);
    }

    pub(crate) fn unlink(&self, remote: SocketAddr) {
        self.table().links.remove(&remote);
    }

    /// Sends a frame on the TCP connection from that address, if it is still there and has room.
    pub(crate) fn send_tcp(&self, remote: SocketAddr, frame: Vec<u8>) {
        if let Some(frames) = self.table().links.get(&remote) {
            // If the queue is full, the far end reads too slowly and loses what is new, as it would by UDP.
            let _ = frames.try_send(frame);
        }
    }
}

impl Route {
    /// Notes that the connection answered to this address, so that what comes from there is its own.
    pub(crate) fn answered(&mut self, transport: Transport, address: SocketAddr) {
        let from = (transport, address);
        if self.known.last() == Some(&from) {
            return;
        }
        let mut table = self.routes.table();
        if let Some(at) = self.known.iter().position(|known| *known == from) {
            self.known.remove(at);
        } else {
            table.by_address.insert(from, self.sender.clone());
        }
        self.known.push(from);
        if self.known.len() > ADDRESSES_MAX {
            let oldest = self.known.remove(0);
            forget(&mut table, &self.sender, &oldest);
        }
    }
}

/// Removes an address from the table, unless another connection comes from there by now.
fn forget(table: &mut Table, sender: &mpsc::Sender<Datagram>, from: &From) {
    if table.by_address.get(from).is_some_and(|owner| owner.same_channel(sender)) {
        table.by_address.remove(from);
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let mut table = self.routes.table();
        table.by_ufrag.remove(&self.ufrag);
        self.known.iter().for_each(|from| forget(&mut table, &self.sender, from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(port: u16, bytes: &[u8]) -> Datagram {
        let source = SocketAddr::new([10, 0, 0, 1].into(), port);
        Datagram { transport: Transport::Udp, source, destination: None, bytes: bytes.to_vec() }
    }

    /// A check of ICE that names that ufrag.
    fn check(ufrag: &str) -> Vec<u8> {
        let name = format!("{ufrag}:x");
        let mut out =
            [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[0; 12], &[0, 6, 0, u8::try_from(name.len()).unwrap()]]
                .concat();
        out.extend_from_slice(name.as_bytes());
        out
    }

    #[test]
    fn checks_go_by_name_and_the_rest_by_where_an_answer_went() {
        let routes = Routes::default();
        let (mut one, mut two) = (routes.open("one", OF_VIEWER), routes.open("two", OF_VIEWER));
        assert!(routes.deliver(datagram(1, &check("one"))) && one.inbox.try_recv().is_ok());
        assert!(!routes.deliver(datagram(1, &check("three"))));
        assert!(!routes.deliver(datagram(1, &[0x80; 30])), "nobody has answered there");
        one.answered(Transport::Udp, datagram(1, &[]).source);
        assert!(routes.deliver(datagram(1, &[0x80; 30])) && one.inbox.try_recv().is_ok());
        assert!(two.inbox.try_recv().is_err());
        // Now the browser uses the same port for another of its connections.
        two.answered(Transport::Udp, datagram(1, &[]).source);
        drop(one);
        assert!(routes.deliver(datagram(1, &[0x80; 30])) && two.inbox.try_recv().is_ok());
        assert_eq!(routes.count(), 1);
        drop(two);
        assert!(!routes.deliver(datagram(1, &[0x80; 30])) && !routes.deliver(datagram(1, &check("two"))));
        assert!(routes.table().by_address.is_empty() && routes.count() == 0);
    }

    #[test]
    fn neither_addresses_nor_what_waits_grow_without_bound() {
        let routes = Routes::default();
        let mut route = routes.open("one", OF_VIEWER);
        for port in 1..100 {
            route.answered(Transport::Udp, datagram(port, &[]).source);
            route.answered(Transport::Udp, datagram(1, &[]).source);
        }
        assert_eq!(routes.table().by_address.len(), ADDRESSES_MAX);
        assert!(routes.deliver(datagram(1, &[0x80; 30])), "the one that is used stays");
        let taken = (0..1_000).filter(|_| routes.deliver(datagram(1, &check("one")))).count();
        assert_eq!(taken, OF_VIEWER - 1);
        assert!(route.inbox.try_recv().is_ok());
    }
}

//! Addresses of this machine at which nobody answers: one that refuses, and one that keeps silent.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// A port that refuses every connection (RST to the SYN) for as long as this lives.
#[derive(Debug)]
pub struct ClosedPort {
    /// The socket is bound but never listens, so nobody else can take the port meanwhile.
    socket: Socket,
}

/// A port that answers no connection attempt at all for as long as this lives, like a host behind a silent firewall.
#[derive(Debug)]
pub struct SilentPort {
    listener: Socket,
    /// These connections fill the queue of the listener, which never accepts. Linux then drops each further SYN.
    _queued: Vec<TcpStream>,
}

impl ClosedPort {
    #[expect(clippy::new_without_default, reason = "takes a port: no value type")]
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        Self { socket }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap().as_socket().unwrap()
    }

    /// Begins to listen there, as a destination that has come back.
    pub fn listen(self) -> TcpListener {
        self.socket.listen(128).unwrap();
        self.socket.into()
    }
}

impl SilentPort {
    #[expect(clippy::new_without_default, reason = "takes a port: no value type")]
    pub fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        // A backlog of 0 holds one or two; the first attempt that gets no answer shows that the queue is full.
        let queued =
            std::iter::from_fn(|| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()).collect();
        Self { listener, _queued: queued }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn each_is_unreachable_in_its_own_way() {
        let limit = Duration::from_millis(300);
        let closed = ClosedPort::new();
        let error = TcpStream::connect_timeout(&closed.address(), limit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let address = closed.address();
        let _listener = closed.listen();
        TcpStream::connect_timeout(&address, limit).unwrap();

        let silent = SilentPort::new();
        let error = TcpStream::connect_timeout(&silent.address(), limit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}

//! Which proxies may say whom they come for, and which client is then at the other end: the one place where an address is decided.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::InForce;
use crate::forwarded::{self, Said};
use crate::proxy_header::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ReadProxyHeader, read_proxy_header};

/// A proxy writes its header in one piece, so it is very rare that one which has come in part is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The client at the other end, and whether it came there over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pub ip: IpAddr,
    pub secure: bool,
}

/// The networks of trusted proxies; all clones share them. By default nobody is trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: InForce<Vec<IpNet>>,
}

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks: InForce::new(networks) }
    }

    /// Trusts those whom `other` trusts, from now on, as do all clones.
    pub fn follow(&self, other: &Self) {
        self.networks.replace(other.networks.get());
    }

    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.get().iter().any(|network| network.contains(&ip))
    }

    /// Takes the PROXY header off a connection that a trusted proxy has opened, if it begins with one. The caller limits the time, and
    /// calls this for trusted proxies only: from others such a header is garbage.
    pub async fn take_header(&self, socket: &mut TcpStream) -> io::Result<Option<ProxyHeader>> {
        let mut bytes = [0; PROXY_HEADER_BYTES_MAX];
        loop {
            let length = socket.peek(&mut bytes).await?;
            match read_proxy_header(&bytes[..length]) {
                ReadProxyHeader::Absent => return Ok(None),
                ReadProxyHeader::Malformed => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the PROXY header can't be read"));
                }
                ReadProxyHeader::Partial if length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                ReadProxyHeader::Partial => tokio::time::sleep(LOOK_AGAIN).await,
                ReadProxyHeader::Whole(header, length) => {
                    // What is left in the socket is what the client itself has sent.
                    socket.read_exact(&mut bytes[..length]).await?;
                    return Ok(Some(header));
                }
            }
        }
    }

    /// The address that a connection comes from, with its PROXY header taken off, for protocols that have no other way to say it.
    pub async fn source(&self, socket: &mut TcpStream, peer: SocketAddr) -> io::Result<SocketAddr> {
        let header = self.take_header(socket).await?;
        Ok(header.and_then(|header| header.source).unwrap_or(peer))
    }

    /// The client of a request that came from `proxy`, by its headers: the last hop that is no trusted proxy.
    pub fn client(&self, proxy: Client, said: &Said<'_>) -> Client {
        forwarded::client(proxy, said, |ip| self.trusts(ip))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_header_is_taken_and_nothing_behind_it() {
        let proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
        for (sent, source, rest) in [
            ("PROXY TCP4 192.0.2.1 127.0.0.1 5 6\r\nGET", Some("192.0.2.1:5"), "GET"),
            ("PROXY UNKNOWN\r\nGET", None, "GET"),
            ("POST / HTTP/1.1\r\n", None, "POST / HTTP/1.1\r\n"),
        ] {
            let (mut near, mut far) = pair().await;
            // The header comes in pieces, which no proxy does.
            for piece in [&sent.as_bytes()[..3], &sent.as_bytes()[3..]] {
                near.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let source_found = proxies.source(&mut far, "127.0.0.1:9".parse().unwrap()).await.unwrap();
            assert_eq!(source_found, source.unwrap_or("127.0.0.1:9").parse().unwrap(), "{sent}");
            near.shutdown().await.unwrap();
            let mut text = String::new();
            far.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, rest);
        }
    }

    #[tokio::test]
    async fn half_a_header_is_none() {
        let proxies = TrustedProxies::default();
        let (mut near, mut far) = pair().await;
        near.write_all(b"PROXY TCP4 nonsense\r\n").await.unwrap();
        assert_eq!(proxies.take_header(&mut far).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (near, mut far) = pair().await;
        drop(near);
        assert_eq!(proxies.take_header(&mut far).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn networks_are_trusted_in_either_spelling() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::1/128".parse().unwrap()]);
        for (ip, trusted) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("2001:db8::1", true), ("::1", false)]
        {
            assert_eq!(proxies.trusts(ip.parse().unwrap()), trusted, "{ip}");
        }
        let nobody = TrustedProxies::default();
        let of_listener = nobody.clone();
        assert!(!of_listener.trusts("10.1.2.3".parse().unwrap()));
        nobody.follow(&proxies);
        assert!(of_listener.trusts("10.1.2.3".parse().unwrap()), "after a reload");
    }
}

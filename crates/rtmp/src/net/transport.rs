//! One TCP connection, plain or inside TLS, that is polled for reading and writing at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::tcp_info::{TcpInfo, set_low_water, tcp_info};

/// See the module. `Tls` is boxed because a TLS connection is a kilobyte of state.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(CountedTcp),
    Tls(Box<TlsStream<CountedTcp>>),
}

impl Transport {
    /// Reads into `buffer`; 0 is the end. GStreamer and many others end TLS without a close_notify, and a reset says no more than an end,
    /// so these count as ends too.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let result = match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, &mut buffer),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, &mut buffer),
        };
        match ready!(result) {
            Ok(()) => Poll::Ready(Ok(buffer.filled().len())),
            Err(error) if is_end(&error) => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(cx, slices),
        }
    }

    /// Whether bytes that [`poll_write`](Self::poll_write) took still wait inside TLS for room in the socket.
    pub(super) fn needs_flush(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.wants_write(),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    /// Closes our direction: first a close_notify if there is TLS, then FIN.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| match self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        })
        .await
    }

    /// Reads and forgets until the peer closes too. To close a socket with unread bytes sends a reset, which makes the peer's kernel
    /// throw away what it has not read yet, our last words among it.
    pub(super) async fn drain(&mut self, buffer: &mut [u8]) {
        while let Ok(1..) = std::future::poll_fn(|cx| self.poll_read(cx, buffer)).await {}
    }

    /// The number of bytes given to the socket, TLS records included.
    pub(super) fn wire_written_bytes(&self) -> u64 {
        self.tcp().written_bytes
    }

    pub(super) fn tcp_info(&self) -> Option<TcpInfo> {
        tcp_info(&self.tcp().tcp)
    }

    /// Has the kernel wake us only when this many bytes are there. It does nothing inside TLS, whose records we can't count.
    pub(super) fn set_low_water(&self, bytes: usize) {
        if let Self::Plain(tcp) = self {
            set_low_water(&tcp.tcp, bytes);
        }
    }

    pub(super) fn has_low_water(&self) -> bool {
        cfg!(target_os = "linux") && matches!(self, Self::Plain(_))
    }

    fn tcp(&self) -> &CountedTcp {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

/// Whether the error means that the peer is gone, in one of the ways it can be.
pub(super) fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

/// A socket that counts the bytes it took.
#[derive(Debug)]
pub(super) struct CountedTcp {
    tcp: TcpStream,
    written_bytes: u64,
}

impl CountedTcp {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, written_bytes: 0 }
    }

    fn count(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = result {
            self.written_bytes += bytes as u64;
        }
        result
    }
}

impl AsyncRead for CountedTcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CountedTcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.count(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.count(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

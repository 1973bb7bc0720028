//! A connection whose first bytes have been read already. Whoever takes it over reads them again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Debug)]
pub(crate) struct RewindIo<S> {
    inner: S,
    /// The bytes that were read before. When they have all been read again, this is empty and holds no memory.
    read_before: Vec<u8>,
    at: usize,
}

impl<S> RewindIo<S> {
    pub(crate) fn new(inner: S, read_before: Vec<u8>) -> Self {
        Self { inner, read_before, at: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RewindIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.at == self.read_before.len() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let end = self.read_before.len().min(self.at + buf.remaining());
        buf.put_slice(&self.read_before[self.at..end]);
        self.at = end;
        if end == self.read_before.len() {
            (self.read_before, self.at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RewindIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_was_read_comes_first() {
        let (near, mut far) = tokio::io::duplex(100);
        far.write_all(b" and the rest").await.unwrap();
        drop(far);
        let mut io = RewindIo::new(near, b"the beginning".to_vec());
        let mut three = [0; 3];
        io.read_exact(&mut three).await.unwrap();
        let mut text = String::new();
        io.read_to_string(&mut text).await.unwrap();
        assert_eq!((&three[..], text.as_str()), (&b"the"[..], " beginning and the rest"));
    }
}

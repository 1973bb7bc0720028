//! A connection whose peer must go on reading: a peer that takes nothing for a while is given up.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

#[derive(Debug)]
pub(crate) struct PatientIo<S, F> {
    inner: S,
    /// The timer is made at the first write that has to wait, and is looked at only while one waits.
    timer: Option<Pin<Box<Sleep>>>,
    waits: bool,
    limit: Duration,
    on_stall: Arc<F>,
}

impl<S, F: Fn()> PatientIo<S, F> {
    /// `on_stall` is called when the peer is given up.
    pub(crate) fn new(inner: S, limit: Duration, on_stall: Arc<F>) -> Self {
        Self { inner, timer: None, waits: false, limit, on_stall }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waits = false;
            return outcome;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.waits {
            self.waits = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        ready!(timer.as_mut().poll(cx));
        (self.on_stall)();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin, F: Fn()> AsyncRead for PatientIo<S, F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, F: Fn()> AsyncWrite for PatientIo<S, F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, outcome)
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_given_up() {
        let (near, mut far) = tokio::io::duplex(1_000);
        let stalls = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&stalls);
        let mut io = PatientIo::new(near, LIMIT, Arc::new(move || _ = told.fetch_add(1, Ordering::Relaxed)));
        let start = Instant::now();
        let writing = tokio::spawn(async move { io.write_all(&[0; 10_000]).await });
        // The peer is slow, but not too slow: it reads a little every 50 s.
        for _ in 0..5 {
            sleep(Duration::from_secs(50)).await;
            far.read_exact(&mut [0; 500]).await.unwrap();
        }
        let error = writing.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 250 + LIMIT.as_secs());
        assert_eq!(stalls.load(Ordering::Relaxed), 1);
    }
}

//! Both directions of one served connection: a bounded queue out, one read at a time in.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::now;
use super::transport::Transport;
use crate::parcel::{self, Parcel};

/// One read takes at most this, so one connection holds a core for no longer than parsing it takes.
const READ_BYTES: usize = 32 * 1024;
/// No more is read from a peer that leaves this much of our answers lying: that bounds the answers.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// Slices of one vectored write.
const SLICES_MAX: usize = 16;
/// How long a peer that was turned away gets to read why and to close.
const LINGER: Duration = Duration::from_secs(1);

/// The transport with what waits to be sent.
pub(super) struct Duplex {
    transport: Transport,
    read_buffer: Box<[u8]>,
    unsent: VecDeque<Parcel>,
    unsent_bytes: usize,
    /// Since when nothing of `unsent` went.
    waiting_since: Instant,
    stall_timeout: Duration,
}

pub(super) enum Io {
    Read(usize),
    /// Everything that waited was sent.
    Sent,
    End,
}

impl Duplex {
    pub(super) fn new(transport: Transport, stall_timeout: Duration) -> Self {
        Self {
            transport,
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            waiting_since: now(),
            stall_timeout,
        }
    }

    /// Queues whole messages.
    pub(super) fn send(&mut self, messages: impl Into<Parcel>) {
        let messages = messages.into();
        if messages.is_empty() {
            return;
        }
        if self.unsent.is_empty() {
            self.waiting_since = now();
        }
        self.unsent_bytes += messages.left_bytes();
        self.unsent.push_back(messages);
    }

    /// What the last read gave.
    pub(super) fn read_bytes(&self, count: usize) -> &[u8] {
        self.read_buffer.get(..count).unwrap_or_default()
    }

    /// Whether that read emptied the socket, as far as can be told from here.
    pub(super) fn was_emptied_by(&self, count: usize) -> bool {
        count < self.read_buffer.len()
    }

    pub(super) fn set_low_water(&self, bytes: usize) {
        self.transport.set_low_water(bytes);
    }

    pub(super) fn has_low_water(&self) -> bool {
        self.transport.has_low_water()
    }

    /// When the peer, taking nothing, will have had its time; `None` when it owes us nothing.
    pub(super) fn stalled_at(&self) -> Option<Instant> {
        let waits = !self.unsent.is_empty() || self.transport.needs_flush();
        waits.then(|| self.waiting_since + self.stall_timeout)
    }

    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends what waits and reads, until one of them is worth knowing.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Io>> {
        if let Poll::Ready(result) = self.poll_send(cx) {
            return Poll::Ready(result.map(|()| Io::Sent));
        }
        if self.unsent_bytes > UNSENT_BYTES_MAX {
            return Poll::Pending;
        }
        match self.transport.poll_read(cx, &mut self.read_buffer) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Io::End)),
            Poll::Ready(Ok(count)) => Poll::Ready(Ok(Io::Read(count))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when there was something to send and all of it went.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let had = !self.unsent.is_empty();
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let used = parcel::gather(self.unsent.iter(), &mut slices);
            match self.transport.poll_write(cx, slices.get(..used).unwrap_or_default()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.waiting_since = now();
                    self.unsent_bytes = self.unsent_bytes.saturating_sub(count);
                    parcel::advance(&mut self.unsent, count, false);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.transport.needs_flush() {
            if let Poll::Ready(result) = self.transport.poll_flush(cx) {
                return Poll::Ready(result);
            }
            return Poll::Pending;
        }
        if had { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Sends the rest, closes our direction and lets the peer read it before the socket goes.
    pub(super) async fn close_politely(&mut self) {
        let goodbye = async {
            while !self.unsent.is_empty() || self.transport.needs_flush() {
                if std::future::poll_fn(|cx| self.poll_send(cx)).await.is_err() {
                    return;
                }
            }
            if self.transport.shutdown().await.is_ok() {
                self.transport.drain(&mut self.read_buffer).await;
            }
        };
        // The peer may be gone, or never stop sending: either way it had its time.
        let _ = timeout(LINGER, goodbye).await;
    }
}

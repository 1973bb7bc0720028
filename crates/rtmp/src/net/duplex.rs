//! Both directions of one served connection: a bounded queue of bytes to send, and one read at a time.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::now;
use super::transport::Transport;
use crate::parcel::{self, Parcel};

/// One read takes at most this many bytes, so that a connection holds a core no longer than it takes to parse them.
const READ_BYTES: usize = 32 * 1024;
/// Nothing more is read from a peer that leaves this many bytes of our answers unread, which bounds the answers.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// The most slices in one vectored write.
const SLICES_MAX: usize = 16;
/// A peer that was turned away gets this long to read why and to close the connection.
const LINGER: Duration = Duration::from_secs(1);

/// The transport, and the parcels that wait to be sent on it.
pub(super) struct Duplex {
    transport: Transport,
    read_buffer: Box<[u8]>,
    unsent: VecDeque<Parcel>,
    unsent_bytes: usize,
    /// The time since which no byte of `unsent` could be sent.
    waiting_since: Instant,
    stall_timeout: Duration,
}

pub(super) enum Io {
    Read(usize),
    /// All that waited has been sent.
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

    /// Queues whole messages for sending.
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

    /// The first `count` bytes of the last read.
    pub(super) fn read_bytes(&self, count: usize) -> &[u8] {
        self.read_buffer.get(..count).unwrap_or_default()
    }

    /// Whether that read emptied the socket. A read that did not fill its buffer is taken as a sign that it did.
    pub(super) fn was_emptied_by(&self, count: usize) -> bool {
        count < self.read_buffer.len()
    }

    pub(super) fn set_low_water(&self, bytes: usize) {
        self.transport.set_low_water(bytes);
    }

    pub(super) fn has_low_water(&self) -> bool {
        self.transport.has_low_water()
    }

    /// When a peer that takes nothing has had its time. `None` if nothing waits for the peer.
    pub(super) fn stalled_at(&self) -> Option<Instant> {
        let waits = !self.unsent.is_empty() || self.transport.needs_flush();
        waits.then(|| self.waiting_since + self.stall_timeout)
    }

    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends what waits and reads, until either has a result that the caller must know.
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

    /// Sends what waits. Ready once all of it has been sent, or sending failed; pending if nothing waited.
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

    /// Sends the rest, closes our direction, and lets the peer read it before the socket is closed.
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
        // The peer may be gone, or may never stop sending. In both cases it has had its time.
        let _ = timeout(LINGER, goodbye).await;
    }
}

//! Both directions of one connection: what waits to be sent, our own messages and media, and one read at a time.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::handler::Outgoing;
use super::now;
use super::transport::Transport;
use crate::parcel::{self, Parcel};

/// Nothing more is read from a peer that leaves this many bytes of our answers unread, which bounds the answers.
const UNREAD_ANSWERS_BYTES_MAX: usize = 64 * 1024;
/// How many parcels of media at most are taken in one go when the connection was behind. One vectored write takes as many.
const PARCELS_AT_ONCE_MAX: usize = 64;
/// How many bytes of media at most are taken in one go, so that a slow peer holds little beside the shared window.
const BYTES_AT_ONCE_MAX: usize = 256 * 1024;
/// The most slices in one vectored write.
const SLICES_MAX: usize = 64;
/// A peer gets this long to read our last words and to close the connection.
const LINGER: Duration = Duration::from_secs(1);

/// The transport, and the parcels that wait to be sent on it.
pub(super) struct Duplex {
    transport: Transport,
    read_buffer: Box<[u8]>,
    /// Media is taken only when nothing waits, so it is always before the answers that were queued meanwhile.
    unsent: VecDeque<Parcel>,
    unsent_bytes: usize,
    /// How many of those bytes are media.
    unsent_media_bytes: usize,
    has_taken_media: bool,
    has_media_ended: bool,
    /// The time since which no byte of `unsent` could be sent.
    waiting_since: Instant,
    written_bytes: u64,
}

pub(super) enum Io {
    Read(usize),
    /// All that waited has been sent, and none of it was media.
    Sent,
    /// All that waited has been sent, media among it.
    MediaSent,
    /// Media was taken that does not all fit into the socket: the peer has to take some of it in time.
    MediaWaits,
    /// There is no more media, and all that there was has been sent.
    MediaEnded,
    End,
}

impl Duplex {
    pub(super) fn new(transport: Transport, read_bytes: usize) -> Self {
        Self {
            transport,
            read_buffer: vec![0; read_bytes].into_boxed_slice(),
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            unsent_media_bytes: 0,
            has_taken_media: false,
            has_media_ended: false,
            waiting_since: now(),
            written_bytes: 0,
        }
    }

    /// Reads at most so many bytes in one go from now on.
    pub(super) fn read_at_once(&mut self, bytes: usize) {
        self.read_buffer = vec![0; bytes].into_boxed_slice();
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

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The number of bytes that were given to the transport.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Since when the peer has taken nothing of what waits for it. `None` if nothing waits.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let waits = !self.unsent.is_empty() || self.transport.needs_flush();
        waits.then_some(self.waiting_since)
    }

    /// Sends what waits, takes media once nothing does, and reads, until one of these has a result that the caller must know. This is
    /// cancel-safe.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        media: Option<&mut (dyn Outgoing + '_)>,
    ) -> Poll<io::Result<Io>> {
        let mut took = false;
        if let Some(media) = media.filter(|_| self.unsent.is_empty()) {
            took = self.take_media(cx, media);
            if self.has_media_ended && self.unsent.is_empty() {
                return Poll::Ready(Ok(Io::MediaEnded));
            }
        }
        let sent = self.poll_send(cx);
        if took && sent.is_pending() {
            return Poll::Ready(Ok(Io::MediaWaits));
        }
        if let Poll::Ready(Ok(())) = sent {
            // The caller has more to do than to read, and calls again; at 30 writes a second each read counts.
            let was_media = std::mem::take(&mut self.has_taken_media);
            return Poll::Ready(Ok(if was_media { Io::MediaSent } else { Io::Sent }));
        }
        if self.unsent_bytes.saturating_sub(self.unsent_media_bytes) > UNREAD_ANSWERS_BYTES_MAX {
            return sent.map_ok(|()| Io::Sent);
        }
        // It reads even when sending failed, because a peer that turns us away says why before it closes.
        match self.transport.poll_read(cx, &mut self.read_buffer) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Io::End)),
            Poll::Ready(Ok(count)) => Poll::Ready(Ok(Io::Read(count))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => sent.map_ok(|()| Io::Sent),
        }
    }

    /// Takes what media there is, so that after a stall many parcels leave in one write. Returns whether there was any.
    fn take_media(&mut self, cx: &mut Context<'_>, media: &mut dyn Outgoing) -> bool {
        while self.unsent.len() < PARCELS_AT_ONCE_MAX && self.unsent_bytes < BYTES_AT_ONCE_MAX && !self.has_media_ended
        {
            match media.poll_parcel(cx) {
                Poll::Ready(Some(parcel)) => {
                    self.has_taken_media = true;
                    self.unsent_media_bytes += parcel.left_bytes();
                    self.send(parcel);
                }
                Poll::Ready(None) => self.has_media_ended = true,
                Poll::Pending => break,
            }
        }
        !self.unsent.is_empty()
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
                    self.written_bytes += count as u64;
                    self.unsent_bytes = self.unsent_bytes.saturating_sub(count);
                    self.unsent_media_bytes = self.unsent_media_bytes.saturating_sub(count);
                    parcel::advance(&mut self.unsent, count);
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

    /// Forgets what waits, but for the rest of a parcel that is half on the wire: the peer would read anything else as part of it.
    pub(super) fn forget_unsent(&mut self) {
        self.unsent.truncate(usize::from(self.unsent.front().is_some_and(Parcel::is_begun)));
        self.unsent_bytes = self.unsent.iter().map(Parcel::left_bytes).sum();
        self.unsent_media_bytes = self.unsent_media_bytes.min(self.unsent_bytes);
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

//! A push that is being negotiated or was accepted: media goes out, the server's words come in, and our acks go between messages.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::time::{Instant, timeout, timeout_at};

use super::client_error::ClientError;
use super::progress::{PushMeter, PushProgress};
use super::transport::Transport;
use crate::parcel::{self, Parcel};
use crate::protocol::{ClientEvent, ClientProtocol, Rejection};

/// The most slices in one vectored write.
const SLICES_MAX: usize = 64;
/// The most bytes of one read. A server says little to a publisher.
const READ_BYTES: usize = 4 * 1024;
/// The most bytes of one read at a goodbye. They are thrown away, and their buffer is part of the future.
const DRAIN_BYTES: usize = 512;
/// The longest time that a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What happens while media flows and the caller must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// All of `pending` has been given to the kernel.
    Drained,
    Status {
        level: String,
        code: String,
        description: String,
    },
    /// The server wants us to connect anew, at this URL or, if it gives none, at the same place.
    ReconnectRequest {
        tc_url: Option<String>,
    },
}

/// The server's answer to one attempt.
pub(super) enum Answer {
    Accepted,
    Rejected(Rejection),
}

/// A connection whose publish the server accepted.
pub struct PublishConnection {
    transport: Transport,
    protocol: ClientProtocol,
    /// Our own messages (acks, pongs), of which these bytes are not sent yet. They are sent between whole parcels.
    control: Bytes,
    /// The front of the caller's queue is half on the wire, so nothing may be sent before the rest of it.
    inside_message: bool,
    /// The caller queued bytes and has not been told yet that all of them were written.
    owes_drained: bool,
    progress: PushMeter,
}

impl PublishConnection {
    pub(super) fn new(transport: Transport, protocol: ClientProtocol) -> Self {
        Self {
            transport,
            protocol,
            control: Bytes::new(),
            inside_message: false,
            owes_drained: false,
            progress: PushMeter::default(),
        }
    }

    /// The message stream id that media messages must carry.
    pub fn stream_id(&self) -> u32 {
        self.protocol.stream_id()
    }

    /// Writes from `pending` and reads what the server says, until something happens that the caller must know.
    ///
    /// Each parcel holds whole messages in chunks of [`super::PUSH_CHUNK_SIZE`]. The call is cancel-safe: what was written has
    /// left `pending`, and a half-written parcel stays at its front with the rest. The caller may append to `pending`
    /// between calls and remove all but the front (all, if nothing of it was written).
    pub async fn drive(&mut self, pending: &mut VecDeque<Parcel>) -> Result<PushEvent, ClientError> {
        std::future::poll_fn(|cx| self.poll_drive(cx, pending)).await
    }

    /// Whether the front of `pending` is half on the wire, so that it must not be removed.
    pub fn is_inside_message(&self) -> bool {
        self.inside_message
    }

    pub fn progress(&self) -> PushProgress {
        self.progress.snapshot(&self.transport)
    }

    /// Says goodbye to the server, for at most a second.
    pub async fn close(mut self) {
        let goodbye = async {
            // In the middle of a message the server would read a command as media.
            if !self.inside_message {
                self.protocol.unpublish();
                self.flush_control().await?;
            }
            self.transport.shutdown().await?;
            self.transport.drain(&mut [0; DRAIN_BYTES]).await;
            Ok::<(), ClientError>(())
        };
        // The destination may be gone or stuck, which may be why we leave, so the result does not matter.
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }

    /// What a play goes on with once it is accepted: it is negotiated as a publish is, and what is behind the answer waits in the protocol.
    /// The bytes are our own that are not sent yet.
    pub(super) fn into_parts(self) -> (Transport, ClientProtocol, Bytes) {
        (self.transport, self.protocol, self.control)
    }

    /// Talks with the server from the handshake to its answer to `publish` or `play`.
    pub(super) async fn negotiate(&mut self, deadline: Instant) -> Result<Answer, ClientError> {
        loop {
            while let Some(event) = self.protocol.next_event()? {
                match event {
                    ClientEvent::Published { .. } | ClientEvent::Playing => return Ok(Answer::Accepted),
                    ClientEvent::Rejected(rejection) => return Ok(Answer::Rejected(rejection)),
                    ClientEvent::ReconnectRequest { tc_url } => {
                        let redirect = Some(tc_url.unwrap_or_default());
                        let (code, description) = ("NetConnection.Connect.ReconnectRequest".to_owned(), String::new());
                        return Ok(Answer::Rejected(Rejection { code, description, redirect }));
                    }
                    ClientEvent::Acknowledged { sequence } => self.on_acknowledged(sequence),
                    ClientEvent::Status { .. } | ClientEvent::Media(_) | ClientEvent::Ended { .. } => {}
                }
            }
            let mut nothing = VecDeque::new();
            let step = std::future::poll_fn(|cx| self.poll_io(cx, &mut nothing));
            match timeout_at(deadline, step).await {
                Ok(result) => result?,
                Err(_) => return Err(ClientError::Timeout { phase: self.protocol.phase().into() }),
            }
        }
    }

    fn poll_drive(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut VecDeque<Parcel>,
    ) -> Poll<Result<PushEvent, ClientError>> {
        self.owes_drained |= !pending.is_empty();
        loop {
            while let Some(event) = self.protocol.next_event()? {
                match event {
                    ClientEvent::Status { level, code, description } => {
                        return Poll::Ready(Ok(PushEvent::Status { level, code, description }));
                    }
                    ClientEvent::ReconnectRequest { tc_url } => {
                        return Poll::Ready(Ok(PushEvent::ReconnectRequest { tc_url }));
                    }
                    ClientEvent::Acknowledged { sequence } => self.on_acknowledged(sequence),
                    ClientEvent::Published { .. }
                    | ClientEvent::Rejected(_)
                    | ClientEvent::Playing
                    | ClientEvent::Media(_)
                    | ClientEvent::Ended { .. } => {}
                }
            }
            let io = self.poll_io(cx, pending);
            if let Poll::Ready(Err(error)) = io {
                return Poll::Ready(Err(error));
            }
            if self.owes_drained && pending.is_empty() && !self.transport.needs_flush() {
                self.owes_drained = false;
                return Poll::Ready(Ok(PushEvent::Drained));
            }
            if io.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// One write and one read. Ready when either did something, so that the caller can look at the result.
    fn poll_io(&mut self, cx: &mut Context<'_>, pending: &mut VecDeque<Parcel>) -> Poll<Result<(), ClientError>> {
        let write = self.poll_write(cx, pending);
        // Everything was written. The caller has more to do than to read, and calls again; at 30 writes a second each read counts.
        if matches!(write, Poll::Ready(Ok(()))) && pending.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // Reads even when writing failed, because a server that turns us away writes why before it closes. The buffer is on the stack:
        // its bytes are consumed at once, and hundreds of destinations need no buffer each for it.
        let mut buffer = [0; READ_BYTES];
        let read = match self.transport.poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(ClientError::Closed)),
            Poll::Ready(Ok(count)) => {
                self.protocol.feed(buffer.get(..count).unwrap_or_default())?;
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        match (write, read) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
            (Poll::Ready(Ok(())), _) | (_, Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    }

    /// One vectored write of what waits. Our own messages go first, or behind the half-written parcel if there is one.
    fn poll_write(&mut self, cx: &mut Context<'_>, pending: &mut VecDeque<Parcel>) -> Poll<io::Result<()>> {
        if self.control.is_empty() && self.protocol.has_output() {
            self.control = self.protocol.take_output();
        }
        if self.control.is_empty() && pending.is_empty() {
            return if self.transport.needs_flush() { self.transport.poll_flush(cx) } else { Poll::Pending };
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut used = 0;
        let mut media = pending.iter();
        if self.inside_message {
            used = parcel::gather(media.next().into_iter(), &mut slices);
        }
        if let Some(slice) = slices.get_mut(used).filter(|_| !self.control.is_empty()) {
            *slice = IoSlice::new(&self.control);
            used += 1;
        }
        used += parcel::gather(media, slices.get_mut(used..).unwrap_or_default());
        let written = match self.transport.poll_write(cx, slices.get(..used).unwrap_or_default()) {
            Poll::Ready(Ok(0)) if used > 0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        self.on_written(written, pending);
        Poll::Ready(Ok(()))
    }

    fn on_written(&mut self, mut written: usize, pending: &mut VecDeque<Parcel>) {
        self.progress.written_bytes += written as u64;
        if let Some(front) = pending.front().filter(|_| self.inside_message) {
            let rest = written.min(front.left_bytes());
            self.inside_message = parcel::advance(pending, rest, true);
            written -= rest;
        }
        if !self.inside_message {
            let control = written.min(self.control.len());
            self.control.advance(control);
            written -= control;
            if self.control.is_empty() {
                // An empty `Bytes` would still hold on to the memory from which it was cut.
                self.control = Bytes::new();
                self.inside_message = parcel::advance(pending, written, false);
            }
        }
    }

    fn on_acknowledged(&mut self, sequence: u32) {
        self.progress.peer.on_ack(sequence, self.progress.written_bytes);
    }

    /// Sends all of our own messages.
    async fn flush_control(&mut self) -> Result<(), ClientError> {
        let mut nothing = VecDeque::new();
        while self.protocol.has_output() || !self.control.is_empty() || self.transport.needs_flush() {
            std::future::poll_fn(|cx| self.poll_io(cx, &mut nothing)).await?;
            // What the server still says no longer matters, but the protocol must hand it out to go on.
            while self.protocol.next_event().map_err(ClientError::from)?.is_some() {}
        }
        Ok(())
    }
}

impl fmt::Debug for PublishConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishConnection")
            .field("protocol", &self.protocol)
            .field("written_bytes", &self.progress.written_bytes)
            .finish_non_exhaustive()
    }
}

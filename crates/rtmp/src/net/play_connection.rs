//! A pull by RTMP: media comes in, and our acks and pongs go out between reads.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::time::timeout;

use super::client_error::ClientError;
use super::publish_connection::PublishConnection;
use super::transport::Transport;
use crate::protocol::{ClientEvent, ClientProtocol, MediaMessage};

/// The most bytes of one read. At 10 Mbps 64 KiB are 50 ms of media.
const READ_BYTES: usize = 64 * 1024;
/// The longest time that a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a server sends to a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayEvent {
    Media(MediaMessage),
    /// The stream has ended, in the server's own words.
    Ended {
        code: String,
    },
    /// The server wants us to connect anew.
    ReconnectRequest,
}

/// A connection whose play the server accepted.
pub struct PlayConnection {
    transport: Transport,
    protocol: ClientProtocol,
    /// Our own messages, of which these bytes are not sent yet.
    control: Bytes,
    buffer: Box<[u8]>,
}

impl PlayConnection {
    pub(super) fn new(accepted: PublishConnection) -> Self {
        let (transport, protocol, control) = accepted.into_parts();
        Self { transport, protocol, control, buffer: vec![0; READ_BYTES].into() }
    }

    /// Waits for what comes next. It is cancel-safe: what was read lies in the protocol until it is told.
    pub async fn next(&mut self) -> Result<PlayEvent, ClientError> {
        loop {
            while let Some(event) = self.protocol.next_event()? {
                match event {
                    ClientEvent::Media(media) => return Ok(PlayEvent::Media(media)),
                    ClientEvent::Ended { code } => return Ok(PlayEvent::Ended { code }),
                    ClientEvent::ReconnectRequest { .. } => return Ok(PlayEvent::ReconnectRequest),
                    ClientEvent::Playing
                    | ClientEvent::Published { .. }
                    | ClientEvent::Rejected(_)
                    | ClientEvent::Status { .. }
                    | ClientEvent::Acknowledged { .. } => {}
                }
            }
            poll_fn(|cx| self.poll_io(cx)).await?;
        }
    }

    /// Says goodbye to the server, for at most a second.
    pub async fn close(mut self) {
        self.protocol.stop_playing();
        let goodbye = async {
            poll_fn(|cx| self.poll_send(cx)).await?;
            self.transport.shutdown().await
        };
        // The server may be gone or stuck, which may be why we leave, so the result does not matter.
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }

    /// One read. What we have to say is sent meanwhile.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error.into()));
        }
        match self.transport.poll_read(cx, &mut self.buffer) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(ClientError::Closed)),
            Poll::Ready(Ok(count)) => {
                self.protocol.feed(self.buffer.get(..count).unwrap_or_default())?;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Sends our own messages; ready when all of them are sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.control.is_empty() {
                self.control = self.protocol.take_output();
            }
            if self.control.is_empty() {
                return if self.transport.needs_flush() { self.transport.poll_flush(cx) } else { Poll::Ready(Ok(())) };
            }
            match self.transport.poll_write(cx, &[IoSlice::new(&self.control)]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.control.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl fmt::Debug for PlayConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayConnection").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

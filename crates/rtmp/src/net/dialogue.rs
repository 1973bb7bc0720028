//! A connection that we opened to a server, for a push or a pull: what we have to say goes out, and what the server says comes in.

use std::future::poll_fn;

use tokio::time::{Instant, timeout_at};

use super::client_error::ClientError;
use super::duplex::{Duplex, Io};
use super::handler::Outgoing;
use super::transport::Transport;
use crate::protocol::{ClientEvent, ClientProtocol, Rejection};

/// The most bytes of one read until more is expected. A server says little to a publisher, and hundreds of destinations have a buffer each.
const READ_BYTES: usize = 2 * 1024;

/// See the module.
pub(super) struct Dialogue {
    pub(super) duplex: Duplex,
    pub(super) protocol: ClientProtocol,
}

/// The server's answer to one attempt.
pub(super) enum Answer {
    Accepted,
    Rejected(Rejection),
}

impl Dialogue {
    pub(super) fn new(transport: Transport, protocol: ClientProtocol) -> Self {
        Self { duplex: Duplex::new(transport, READ_BYTES), protocol }
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
                    // A later acknowledgement says what this one says.
                    ClientEvent::Acknowledged { .. }
                    | ClientEvent::Status { .. }
                    | ClientEvent::Media(_)
                    | ClientEvent::Ended { .. } => {}
                }
            }
            let Ok(step) = timeout_at(deadline, self.step(None)).await else {
                return Err(ClientError::Timeout { phase: self.protocol.phase().into() });
            };
            step?;
        }
    }

    /// Sends or reads once. What was read is with the protocol. This is cancel-safe.
    pub(super) async fn step(&mut self, mut media: Option<&mut dyn Outgoing>) -> Result<Io, ClientError> {
        if self.protocol.has_output() {
            self.duplex.send(self.protocol.take_output());
        }
        let io = poll_fn(|cx| self.duplex.poll(cx, media.as_deref_mut())).await?;
        match io {
            Io::Read(count) => self.protocol.feed(self.duplex.read_bytes(count))?,
            Io::End => return Err(ClientError::Closed),
            Io::Sent | Io::MediaSent | Io::MediaWaits | Io::MediaEnded => {}
        }
        Ok(io)
    }

    /// Says what is still to be said, and closes the connection. This takes a second at most.
    pub(super) async fn close(mut self) {
        self.duplex.send(self.protocol.take_output());
        self.duplex.close_politely().await;
    }
}

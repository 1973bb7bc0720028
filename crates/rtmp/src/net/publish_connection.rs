//! A push that was accepted: media goes out, and the server's words come in.

use std::fmt;

use super::client_error::ClientError;
use super::dialogue::Dialogue;
use super::duplex::Io;
use super::handler::Outgoing;
use super::progress::{PushMeter, PushProgress};
use crate::protocol::ClientEvent;

/// What happens while media flows and the caller must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// All media that there was has been given to the kernel.
    Drained,
    /// There is no more media.
    MediaEnded,
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

/// A connection whose publish the server accepted.
pub struct PublishConnection {
    dialogue: Dialogue,
    progress: PushMeter,
}

impl PublishConnection {
    pub(super) fn new(dialogue: Dialogue) -> Self {
        Self { dialogue, progress: PushMeter::default() }
    }

    /// The message stream id that media messages must carry.
    pub fn stream_id(&self) -> u32 {
        self.dialogue.protocol.stream_id()
    }

    /// Sends media and reads what the server says, until something happens that the caller must know. This is cancel-safe: media that was
    /// taken and is not sent yet waits in the connection.
    pub async fn drive(&mut self, media: &mut dyn Outgoing) -> Result<PushEvent, ClientError> {
        loop {
            while let Some(event) = self.dialogue.protocol.next_event()? {
                match event {
                    ClientEvent::Status { level, code, description } => {
                        return Ok(PushEvent::Status { level, code, description });
                    }
                    ClientEvent::ReconnectRequest { tc_url } => return Ok(PushEvent::ReconnectRequest { tc_url }),
                    ClientEvent::Acknowledged { sequence } => {
                        self.progress.peer.on_ack(sequence, self.dialogue.duplex.written_bytes());
                    }
                    ClientEvent::Published { .. }
                    | ClientEvent::Rejected(_)
                    | ClientEvent::Playing
                    | ClientEvent::Media(_)
                    | ClientEvent::Ended { .. } => {}
                }
            }
            match self.dialogue.step(Some(&mut *media)).await? {
                Io::MediaSent => return Ok(PushEvent::Drained),
                Io::MediaEnded => return Ok(PushEvent::MediaEnded),
                Io::Read(_) | Io::Sent | Io::MediaWaits | Io::End => {}
            }
        }
    }

    pub fn progress(&self) -> PushProgress {
        self.progress.snapshot(&self.dialogue.duplex)
    }

    /// Says goodbye to the server, for at most a second.
    pub async fn close(mut self) {
        self.dialogue.protocol.unpublish();
        self.dialogue.duplex.forget_unsent();
        self.dialogue.close().await;
    }
}

impl fmt::Debug for PublishConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishConnection")
            .field("protocol", &self.dialogue.protocol)
            .field("written_bytes", &self.dialogue.duplex.written_bytes())
            .finish_non_exhaustive()
    }
}

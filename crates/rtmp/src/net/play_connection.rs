//! A pull that was accepted: media comes in, and our acks and pongs go out between reads.

use std::fmt;

use super::client_error::ClientError;
use super::dialogue::Dialogue;
use crate::protocol::{ClientEvent, MediaMessage};

/// The most bytes of one read. At 10 Mbps 64 KiB are 50 ms of media.
const READ_BYTES: usize = 64 * 1024;

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
    dialogue: Dialogue,
}

impl PlayConnection {
    pub(super) fn new(mut dialogue: Dialogue) -> Self {
        dialogue.duplex.read_at_once(READ_BYTES);
        Self { dialogue }
    }

    /// Waits for what comes next. It is cancel-safe: what was read lies in the protocol until it is told.
    pub async fn next(&mut self) -> Result<PlayEvent, ClientError> {
        loop {
            while let Some(event) = self.dialogue.protocol.next_event()? {
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
            self.dialogue.step(None).await?;
        }
    }

    /// Says goodbye to the server, for at most a second.
    pub async fn close(mut self) {
        self.dialogue.protocol.stop_playing();
        self.dialogue.close().await;
    }
}

impl fmt::Debug for PlayConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayConnection").field("protocol", &self.dialogue.protocol).finish_non_exhaustive()
    }
}

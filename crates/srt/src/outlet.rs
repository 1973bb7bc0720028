//! One connection's side of a feed: takes batches from its cursor and gives them to libsrt, message by message.

use bytes::Bytes;
use weir_hub::{Cursor, Next};
use weir_mux::ts::PACKET_BYTES;

use crate::connection::{ConnectionLost, SrtConnection};
use crate::from_frames::TsBatch;

/// Seven packets: what everyone sends, and what fits every path.
const MESSAGE_BYTES: usize = 7 * PACKET_BYTES;

/// What sending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A whole batch is with libsrt.
    Batch,
    /// The feed ended.
    FeedEnded,
}

#[derive(Debug)]
pub struct Outlet {
    cursor: Cursor<TsBatch>,
    message_bytes: usize,
    /// Of the batch that is being sent.
    rest: Bytes,
    written_bytes: u64,
    dropped_frames: u64,
}

impl Outlet {
    /// `payload_bytes`: the most that the far end wants in one message.
    pub fn new(cursor: Cursor<TsBatch>, payload_bytes: Option<u32>) -> Self {
        let wanted = payload_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(MESSAGE_BYTES);
        let message_bytes = (wanted / PACKET_BYTES).max(1) * PACKET_BYTES;
        Self { cursor, message_bytes, rest: Bytes::new(), written_bytes: 0, dropped_frames: 0 }
    }

    /// Sends the next batch. Cancel-safe: what was taken from the cursor is kept, what was sent is gone from it.
    pub async fn send(&mut self, connection: &SrtConnection) -> Result<Sent, ConnectionLost> {
        while self.rest.is_empty() {
            let next = tokio::select! {
                biased;
                next = self.cursor.next() => next,
                lost = connection.lost() => return Err(lost),
            };
            match next {
                Next::Item(batch) => self.rest = batch.packets().clone(),
                // A batch is one picture with its sound.
                Next::Skipped { items } => self.dropped_frames += items,
                Next::Closed => return Ok(Sent::FeedEnded),
            }
        }
        while !self.rest.is_empty() {
            let length = self.rest.len().min(self.message_bytes);
            let message = self.rest.get(..length).unwrap_or_default();
            if connection.try_send(message)? {
                let _ = self.rest.split_to(length);
                self.written_bytes += length as u64;
            } else {
                connection.writable().await?;
            }
        }
        // Holds on to nothing between batches.
        self.rest = Bytes::new();
        Ok(Sent::Batch)
    }

    /// Media bytes that libsrt took.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Pictures passed over since the last call.
    pub fn take_dropped_frames(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_frames)
    }
}

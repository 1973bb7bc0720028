//! One connection's side of a feed: it takes batches from its cursor and gives them to libsrt, message by message.

use bytes::Bytes;
use weir_hub::{Cursor, Next};
use weir_mux::ts::PACKET_BYTES;

use crate::connection::{ConnectionLost, SrtConnection};
use crate::from_frames::TsBatch;

/// A message has seven packets, as everyone sends it and as fits every path.
const MESSAGE_BYTES: usize = 7 * PACKET_BYTES;

/// The result of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// libsrt has a whole batch.
    Batch,
    /// The feed ended.
    FeedEnded,
}

#[derive(Debug)]
pub struct Outlet {
    cursor: Cursor<TsBatch>,
    message_bytes: usize,
    /// The rest of the batch that is being sent.
    rest: Bytes,
    written_bytes: u64,
    dropped_frames: u64,
}

impl Outlet {
    /// Makes an outlet. `payload_bytes` is the most that the far end wants in one message.
    pub fn new(cursor: Cursor<TsBatch>, payload_bytes: Option<u32>) -> Self {
        let wanted = payload_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(MESSAGE_BYTES);
        let message_bytes = (wanted / PACKET_BYTES).max(1) * PACKET_BYTES;
        Self { cursor, message_bytes, rest: Bytes::new(), written_bytes: 0, dropped_frames: 0 }
    }

    /// Sends the next batch. Cancel-safe: what was taken from the cursor is kept, and what was sent is removed from it.
    pub async fn send(&mut self, connection: &SrtConnection) -> Result<Sent, ConnectionLost> {
        while self.rest.is_empty() {
            let next = tokio::select! {
                biased;
                next = self.cursor.next() => next,
                lost = connection.lost() => return Err(lost),
            };
            match next {
                Next::Item(batch) => self.rest = batch.packets().clone(),
                // A batch is one picture with its sound, so lost batches are lost pictures.
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
        // Nothing is held between batches.
        self.rest = Bytes::new();
        Ok(Sent::Batch)
    }

    /// The number of media bytes that libsrt took.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// The number of pictures that were passed over since the last call.
    pub fn take_dropped_frames(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_frames)
    }
}

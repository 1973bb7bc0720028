//! Chunks in, whole messages out.

use super::{Message, WireError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLimits {
    pub csids_max: usize,
    pub control_message_bytes_max: usize,
    pub media_message_bytes_max: usize,
    pub partial_bytes_max: usize,
    pub chunk_size_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            csids_max: 32,
            control_message_bytes_max: 64 << 10,
            media_message_bytes_max: 12 << 20,
            partial_bytes_max: 16 << 20,
            chunk_size_max: 16 << 20,
        }
    }
}

#[derive(Debug)]
pub struct ChunkReader {}

impl ChunkReader {
    pub fn new(_limits: ReadLimits) -> Self {
        Self {}
    }
    pub fn feed(&mut self, _bytes: &[u8]) {}
    #[expect(clippy::should_implement_trait, reason = "it fails; it is no iterator")]
    pub fn next(&mut self) -> Result<Option<Message>, WireError> {
        Ok(None)
    }
    pub fn received_bytes(&self) -> u64 {
        0
    }
}

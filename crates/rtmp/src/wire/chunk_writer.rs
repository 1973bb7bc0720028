//! Whole messages in, chunks out.

use bytes::BytesMut;

use super::Message;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    Full,
    Delta { previous_timestamp_ms: u32 },
}

pub fn write_chunks(_out: &mut BytesMut, _csid: u32, _header: Header, _message: &Message, _chunk_size: usize) {}

#[derive(Debug)]
pub struct ChunkWriter {}

impl ChunkWriter {
    pub fn new() -> Self {
        Self {}
    }
    pub fn set_chunk_size(&mut self, _out: &mut BytesMut, _bytes: u32) {}
    pub fn chunk_size(&self) -> usize {
        128
    }
    pub fn write(&mut self, _out: &mut BytesMut, _csid: u32, _message: &Message) {}
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self::new()
    }
}

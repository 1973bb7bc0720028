//! A peer for protocol tests that is driven by hand: it writes any command and reads what comes back.

use bytes::{Bytes, BytesMut};
use weir_rtmp::wire::{ChunkReader, ChunkWriter, Message, ReadLimits, Value, decode_all, encode, type_id};

pub(crate) const RANDOM: [u8; 1528] = [7; 1528];

pub(crate) struct Peer {
    writer: ChunkWriter,
    reader: ChunkReader,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self { writer: ChunkWriter::new(), reader: ChunkReader::new(ReadLimits::default()) }
    }

    pub(crate) fn message(&mut self, type_id: u8, stream_id: u32, payload: &[u8]) -> BytesMut {
        let message = Message { type_id, stream_id, timestamp_ms: 0, payload: Bytes::copy_from_slice(payload) };
        let mut out = BytesMut::new();
        self.writer.write(&mut out, 3, &message);
        out
    }

    pub(crate) fn command(&mut self, stream_id: u32, values: &[Value]) -> BytesMut {
        self.message(type_id::COMMAND_AMF0, stream_id, &encoded(values))
    }

    /// All whole messages in `bytes`.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.reader.feed(bytes);
        let mut messages = Vec::new();
        while let Some(message) = self.reader.next().unwrap() {
            messages.push(message);
        }
        messages
    }

    /// All commands in `bytes`, with their message streams.
    pub(crate) fn read_commands(&mut self, bytes: &[u8]) -> Vec<(u32, Vec<Value>)> {
        let messages = self.read(bytes);
        let commands = messages.into_iter().filter(|message| message.type_id == type_id::COMMAND_AMF0);
        commands.map(|message| (message.stream_id, decode_all(&message.payload).unwrap())).collect()
    }
}

pub(crate) fn encoded(values: &[Value]) -> BytesMut {
    let mut out = BytesMut::new();
    encode(&mut out, values);
    out
}

pub(crate) fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

pub(crate) fn number(value: u32) -> Value {
    Value::Number(f64::from(value))
}

pub(crate) fn object(fields: &[(&str, Value)]) -> Value {
    Value::Object(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// Level and code of an information object.
pub(crate) fn status(values: &[Value]) -> (String, String) {
    let info = &values[3];
    let field = |name| info.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    (field("level"), field("code"))
}

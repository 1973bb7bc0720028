//! Commands (message types 17 and 20) to and from AMF0 values.

use bytes::{Bytes, BytesMut};

use super::{CSID_COMMAND, CSID_CONTROL, ProtocolError, user_control};
use crate::wire::{ChunkWriter, Message, Value, decode_all, encode, type_id};

/// A command as it stands in a message. It has no `Debug`, because its arguments hold stream keys.
pub(super) struct Command {
    pub(super) name: String,
    pub(super) transaction_id: f64,
    /// The command object, which is `Null` if the command has none.
    pub(super) object: Value,
    pub(super) arguments: Vec<Value>,
}

impl Command {
    /// Reads the payload of a command message of either type.
    pub(super) fn decode(message: &Message) -> Result<Self, ProtocolError> {
        let mut payload: &[u8] = &message.payload;
        // A payload of type 17 begins with a format byte. Its value 0 says that AMF0 follows, and nobody sends any other.
        if message.type_id == type_id::COMMAND_AMF3 {
            payload = payload.strip_prefix(&[0]).unwrap_or(payload);
        }
        let mut values = decode_all(payload)?.into_iter();
        let Some(Value::String(name)) = values.next() else { return Err(ProtocolError::CommandWithoutName) };
        // The transaction id is missing in the `onFCPublish` of ffmpeg's server and in the `closeStream` of some clients, which want no
        // answer.
        let transaction_id = values.next().as_ref().and_then(Value::as_f64).unwrap_or(0.0);
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self { name, transaction_id, object, arguments: values.collect() })
    }

    pub(super) fn text_argument(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).and_then(Value::as_str)
    }
}

/// Builds an object from borrowed names.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub(super) fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// Writes our messages, each with a full header, on chunk streams that media does not use.
pub(super) struct Outbox {
    writer: ChunkWriter,
    out: BytesMut,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self { writer: ChunkWriter::new(), out: BytesMut::new() }
    }

    pub(super) fn raw(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    pub(super) fn take(&mut self) -> Bytes {
        // `split` would keep the allocation for more output, and after the publish there is hardly ever any.
        std::mem::take(&mut self.out).freeze()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub(super) fn set_chunk_size(&mut self, bytes: u32) {
        self.writer.set_chunk_size(&mut self.out, bytes);
    }

    pub(super) fn command(&mut self, stream_id: u32, values: &[Value]) {
        self.values(type_id::COMMAND_AMF0, stream_id, values);
    }

    pub(super) fn data(&mut self, stream_id: u32, values: &[Value]) {
        self.values(type_id::DATA_AMF0, stream_id, values);
    }

    pub(super) fn control_u32(&mut self, type_id: u8, number: u32) {
        self.control(type_id, Bytes::copy_from_slice(&number.to_be_bytes()));
    }

    pub(super) fn set_peer_bandwidth(&mut self, bytes: u32) {
        let mut payload = BytesMut::from(&bytes.to_be_bytes()[..]);
        payload.extend_from_slice(&[2]); // Limit type 2 means "dynamic".
        self.control(type_id::SET_PEER_BANDWIDTH, payload.freeze());
    }

    pub(super) fn user_control(&mut self, event: u16, number: u32) {
        let mut payload = BytesMut::from(&event.to_be_bytes()[..]);
        payload.extend_from_slice(&number.to_be_bytes());
        self.control(type_id::USER_CONTROL, payload.freeze());
    }

    /// Tells a server how much to send ahead (RTMP 1.0, section 7.1.7).
    pub(super) fn set_buffer_length(&mut self, stream_id: u32, ms: u32) {
        let mut payload = BytesMut::from(&user_control::SET_BUFFER_LENGTH.to_be_bytes()[..]);
        payload.extend_from_slice(&stream_id.to_be_bytes());
        payload.extend_from_slice(&ms.to_be_bytes());
        self.control(type_id::USER_CONTROL, payload.freeze());
    }

    fn control(&mut self, type_id: u8, payload: Bytes) {
        let message = Message { type_id, stream_id: 0, timestamp_ms: 0, payload };
        self.writer.write(&mut self.out, CSID_CONTROL, &message);
    }

    fn values(&mut self, type_id: u8, stream_id: u32, values: &[Value]) {
        let mut payload = BytesMut::new();
        encode(&mut payload, values);
        let message = Message { type_id, stream_id, timestamp_ms: 0, payload: payload.freeze() };
        self.writer.write(&mut self.out, CSID_COMMAND, &message);
    }
}

/// The big-endian u32 at `at`, if the payload is that long.
pub(super) fn u32_at(payload: &[u8], at: usize) -> Option<u32> {
    let bytes = payload.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// The big-endian u16 at the front, if there is one.
pub(super) fn u16_at_front(payload: &[u8]) -> Option<u16> {
    payload.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

//! Our chunks and handshakes against those of rml_rtmp, an independent implementation.
//!
//! rml_rtmp has faults of its own (one reassembly buffer for all chunk streams, and it loses messages of zero length), so it is
//! given no input that shows them. Our side is tested against such input beside the code.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rml_rtmp::chunk_io::{ChunkDeserializer, ChunkSerializer};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;
use weir_rtmp::wire::{
    ChunkReader, ChunkWriter, ClientHandshake, Header, Message, ReadLimits, ServerHandshake, write_chunks,
};

fn to_rml(message: &Message) -> MessagePayload {
    MessagePayload {
        timestamp: RtmpTimestamp::new(message.timestamp_ms),
        type_id: message.type_id,
        message_stream_id: message.stream_id,
        data: message.payload.clone(),
    }
}

fn from_rml(message: MessagePayload) -> Message {
    Message {
        type_id: message.type_id,
        stream_id: message.message_stream_id,
        timestamp_ms: message.timestamp.value,
        payload: message.data,
    }
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index ^ (index >> 8)) as u8).collect()
}

fn read_all(reader: &mut ChunkReader, bytes: &[u8], step: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    for piece in bytes.chunks(step) {
        reader.feed(piece);
        while let Some(message) = reader.next().unwrap() {
            messages.push(message);
        }
    }
    messages
}

/// Audio, video, data and command messages at times that go on as a stream's do.
fn streams() -> impl Strategy<Value = Vec<Message>> {
    let type_id = prop_oneof![Just(8u8), Just(9), Just(18), Just(20)];
    let length = prop_oneof![1usize..10, Just(128), 100usize..2000, Just(20_000)];
    // rml_rtmp takes any difference above 2^31 for a step back, and a difference that is extended but small makes it panic. A stream's
    // differences are neither.
    let item = (type_id, length, prop_oneof![Just(0u32), Just(20), Just(23), 0u32..5000, Just(0x0100_0000)]);
    let start_ms = prop_oneof![Just(0u32), Just(20), Just(0xFF_FFFF - 50), Just(20_000_000), Just(u32::MAX - 5000)];
    (start_ms, prop::collection::vec(item, 1..40)).prop_map(|(start_ms, items)| {
        let mut timestamp_ms = start_ms;
        let mut messages = Vec::new();
        for (type_id, length, step_ms) in items {
            messages.push(Message { type_id, stream_id: 1, timestamp_ms, payload: pattern(length) });
            timestamp_ms = timestamp_ms.wrapping_add(step_ms);
        }
        messages
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// With `droppable` set, every message is whole in itself; without it, rml_rtmp writes all four chunk types.
    #[test]
    fn what_rml_writes_we_read(
        messages in streams(),
        chunk_size in prop_oneof![Just(None), (1u32..70_000).prop_map(Some)],
        droppable in any::<bool>(),
        step in prop_oneof![1usize..50, Just(4096)],
    ) {
        let mut serializer = ChunkSerializer::new();
        let mut bytes = Vec::new();
        if let Some(chunk_size) = chunk_size {
            bytes.extend(serializer.set_max_chunk_size(chunk_size, RtmpTimestamp::new(0)).unwrap().bytes);
        }
        for message in &messages {
            bytes.extend(serializer.serialize(&to_rml(message), false, droppable).unwrap().bytes);
        }
        let read = read_all(&mut ChunkReader::new(ReadLimits::default()), &bytes, step);
        prop_assert!(read == messages, "{read:?} for {messages:?}");
    }

    #[test]
    fn what_we_write_rml_reads(
        messages in streams(),
        chunk_size in prop_oneof![Just(128u32), 1u32..70_000],
        deltas in any::<bool>(),
    ) {
        let mut out = BytesMut::new();
        let mut writer = ChunkWriter::new();
        writer.set_chunk_size(&mut out, chunk_size);
        // Each message type has one chunk stream, so that the differences are between messages of that type.
        let mut previous_ms = [None; 256];
        for message in &messages {
            let previous = previous_ms[usize::from(message.type_id)].replace(message.timestamp_ms);
            let header = match previous {
                Some(previous_timestamp_ms) if deltas => Header::Delta { previous_timestamp_ms },
                _ => Header::Full,
            };
            write_chunks(&mut out, 4 + u32::from(message.type_id), header, message, writer.chunk_size());
        }
        let mut deserializer = ChunkDeserializer::new();
        let set = deserializer.get_next_message(&out).unwrap().unwrap();
        prop_assert_eq!((set.type_id, &set.data[..]), (1, &chunk_size.to_be_bytes()[..]));
        deserializer.set_max_chunk_size(chunk_size as usize).unwrap();
        let mut read = Vec::new();
        while let Some(message) = deserializer.get_next_message(&[]).unwrap() {
            read.push(from_rml(message));
        }
        prop_assert!(read == messages, "{read:?} for {messages:?}");
    }
}

#[test]
fn a_message_that_rml_writes_uncompressed_is_read_despite_its_repeated_headers() {
    let message = Message { type_id: 18, stream_id: 1, timestamp_ms: 5, payload: pattern(500) };
    let bytes = ChunkSerializer::new().serialize(&to_rml(&message), true, false).unwrap().bytes;
    assert_eq!(read_all(&mut ChunkReader::new(ReadLimits::default()), &bytes, 100), [message]);
}

/// What rml_rtmp answers, and whether it is done. Bytes left over are appended to `rest`.
fn rml_feed(rml: &mut Handshake, bytes: &[u8], rest: &mut Vec<u8>) -> (Vec<u8>, bool) {
    match rml.process_bytes(bytes).unwrap() {
        HandshakeProcessResult::InProgress { response_bytes } => (response_bytes, false),
        HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
            rest.extend(remaining_bytes);
            (response_bytes, true)
        }
    }
}

fn random() -> [u8; 1528] {
    std::array::from_fn(|index| (index * 7 + index / 256) as u8)
}

#[test]
fn our_server_and_its_client_shake_hands() {
    let mut client = Handshake::new(PeerType::Client);
    let mut server = ServerHandshake::new(random(), 1);
    let (mut input, mut out, mut rest) = (BytesMut::new(), BytesMut::new(), Vec::new());
    input.extend_from_slice(&client.generate_outbound_p0_and_p1().unwrap());
    assert_eq!(server.feed(&mut input, &mut out), Ok(false));
    out.extend_from_slice(b"first chunk");
    let (answer, done) = rml_feed(&mut client, &out, &mut rest);
    assert!(done);
    assert_eq!(rest, b"first chunk");
    input.extend_from_slice(&answer);
    assert_eq!(server.feed(&mut input, &mut out), Ok(true));
    assert!(input.is_empty());
}

#[test]
fn our_client_and_its_server_shake_hands() {
    let mut server = Handshake::new(PeerType::Server);
    let mut client = ClientHandshake::new(random(), 1);
    let (mut input, mut out, mut rest) = (BytesMut::new(), BytesMut::new(), Vec::new());
    assert_eq!(client.feed(&mut input, &mut out), Ok(false));
    let (answer, done) = rml_feed(&mut server, &out.split(), &mut rest);
    assert!(!done);
    input.extend_from_slice(&answer);
    assert_eq!(client.feed(&mut input, &mut out), Ok(true));
    out.extend_from_slice(b"first chunk");
    let (answer, done) = rml_feed(&mut server, &out, &mut rest);
    assert!(done && answer.is_empty() && input.is_empty());
    assert_eq!(rest, b"first chunk");
}

//! The server's protocol after the handshake: its events are the same however the bytes are cut, and its answers stay in proportion to them.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use weir_rtmp::protocol::{ProtocolError, Refusal, RefusalCode, ServerEvent, ServerProtocol, ServerTimers};
use weir_rtmp::wire::{ChunkWriter, Message, Value, encode, type_id};

use crate::random::Random;

/// C0 + C1 + C2 of a client without signature.
const HANDSHAKE_BYTES: usize = 1 + 2 * 1536;
/// The bytes of the answers that any connection gets: the handshake, and connect with all of E-RTMP.
const ANSWER_BYTES: usize = HANDSHAKE_BYTES + 2000;
/// The costliest answer is the error to a call of one letter: about 120 bytes for 14.
const ANSWER_FACTOR: usize = 32;

/// The first byte says how many bytes arrive at a time, the second which requests we accept; the rest is what arrives.
pub fn fuzz_server_protocol(data: &[u8]) {
    let Some((&[step, policy], data)) = data.split_first_chunk() else { return };
    let now = Instant::now();
    let whole = serve(data, data.len().max(1), policy, now);
    let cut = serve(data, 1 + usize::from(step), policy, now);
    assert!(whole == cut, "depends on how the bytes are cut");
}

fn serve(data: &[u8], step: usize, policy: u8, now: Instant) -> (Vec<ServerEvent>, Result<(), ProtocolError>) {
    let mut protocol = ServerProtocol::new([5; 1528], ServerTimers::default(), now);
    let mut hello = vec![0; HANDSHAKE_BYTES];
    hello[0] = 3;
    let mut events = Vec::new();
    let mut answered = 0;
    let mut result = protocol.feed(&hello, now);
    for piece in data.chunks(step) {
        result = result.and_then(|()| protocol.feed(piece, now));
        result = result.and_then(|()| drain(&mut protocol, policy, &mut events, now));
        answered += protocol.take_output().len();
        // This looks at the deadline of every state on the way.
        let _ = protocol.on_timeout(now);
        if result.is_err() {
            break;
        }
    }
    assert!(answered <= ANSWER_BYTES + ANSWER_FACTOR * data.len(), "answers {answered} bytes to {}", data.len());
    let much_later = now + Duration::from_secs(3600);
    assert!(protocol.poll_timeout().is_none() || protocol.on_timeout(much_later).is_err(), "lives for ever");
    (events, result)
}

/// Takes every event, and answers requests as `policy` says.
fn drain(
    protocol: &mut ServerProtocol,
    policy: u8,
    events: &mut Vec<ServerEvent>,
    now: Instant,
) -> Result<(), ProtocolError> {
    while let Some(event) = protocol.next_event(now)? {
        match event {
            ServerEvent::Publish { stream_id, .. } | ServerEvent::Play { stream_id, .. }
                if policy >> (stream_id % 4) & 1 == 1 =>
            {
                protocol.refuse(stream_id, &Refusal::new(RefusalCode::Denied, "no"));
            }
            // These requests stay unanswered, so that they pile up to their limit.
            ServerEvent::Publish { .. } | ServerEvent::Play { .. } if policy & 0x80 != 0 => {}
            ServerEvent::Publish { stream_id, .. } => protocol.accept_publish(stream_id),
            ServerEvent::Play { stream_id, .. } => protocol.accept_play(stream_id),
            ServerEvent::Media { .. } | ServerEvent::Ended { .. } | ServerEvent::Refused { .. } => {}
        }
        events.push(event);
    }
    Ok(())
}

/// Makes messages of a client that mostly knows their order.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![random.below(256) as u8, random.below(256) as u8 & random.below(256) as u8];
    let mut writer = ChunkWriter::new();
    let mut out = BytesMut::new();
    if !random.one_in(8) {
        command(&mut writer, &mut out, 0, &[text("connect"), Value::Number(1.0), connect_object(random)]);
    }
    for _ in 0..1 + random.length(40) {
        step(random, &mut writer, &mut out);
    }
    bytes.extend_from_slice(&out);
    bytes
}

fn step(random: &mut Random, writer: &mut ChunkWriter, out: &mut BytesMut) {
    const NAMES: [&str; 20] = [
        "createStream",
        "createStream",
        "createStream",
        "publish",
        "publish",
        "play",
        "deleteStream",
        "closeStream",
        "FCPublish",
        "FCUnpublish",
        "releaseStream",
        "_checkbw",
        "getStreamLength",
        "pause",
        "connect",
        "x",
        "_result",
        "onStatus",
        "seek",
        "FCSubscribe",
    ];
    let stream_id = random.below(4) as u32;
    match random.below(8) {
        0..4 => {
            let argument = match random.below(5) {
                0 => Value::Number(random.below(4) as f64),
                1 => Value::Boolean(random.one_in(2)),
                2 => text(""),
                _ => text(random.pick(&["key", "key?a=b", "a/b", "?", "key/"])),
            };
            let transaction_id = Value::Number(random.below(3) as f64);
            let values = [text(random.pick(&NAMES)), transaction_id, Value::Null, argument];
            command(writer, out, stream_id, &values[..values.len() - usize::from(random.one_in(6)) * random.below(4)]);
        }
        4 => {
            let types = [type_id::WINDOW_ACK_SIZE, type_id::USER_CONTROL, type_id::ACK, type_id::SET_PEER_BANDWIDTH];
            let length = random.below(8);
            let payload = random.bytes(length);
            write(writer, out, random.pick(&types), 0, payload);
        }
        5 => {
            let mut payload = BytesMut::new();
            encode(&mut payload, &[text(random.pick(&["@setDataFrame", "@clearDataFrame", "onMetaData"]))]);
            encode(&mut payload, &[text("onMetaData"), connect_object(random)]);
            write(writer, out, random.pick(&[type_id::DATA_AMF0, type_id::DATA_AMF3]), stream_id, payload.to_vec());
        }
        _ => {
            let length = random.length(400);
            let payload = random.bytes(length);
            write(
                writer,
                out,
                random.pick(&[type_id::AUDIO, type_id::VIDEO, type_id::COMMAND_AMF3]),
                stream_id,
                payload,
            );
        }
    }
}

fn connect_object(random: &mut Random) -> Value {
    let names = ["app", "tcUrl", "fourCcList", "capsEx", "flashVer"];
    let mut fields: Vec<_> = (0..random.below(4))
        .map(|_| (random.pick(&names).to_owned(), text(random.pick(&["live", "", "a?b"]))))
        .collect();
    fields.push(("app".to_owned(), text("live")));
    Value::Object(fields)
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn command(writer: &mut ChunkWriter, out: &mut BytesMut, stream_id: u32, values: &[Value]) {
    let mut payload = BytesMut::new();
    encode(&mut payload, values);
    write(writer, out, type_id::COMMAND_AMF0, stream_id, payload.to_vec());
}

fn write(writer: &mut ChunkWriter, out: &mut BytesMut, type_id: u8, stream_id: u32, payload: Vec<u8>) {
    writer.write(out, 3, &Message { type_id, stream_id, timestamp_ms: 0, payload: Bytes::from(payload) });
}

//! The server protocol: every command form that real publishers and players send, and the limits.

use crate::protocol_support;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use protocol_support::{Peer, RANDOM, encoded, number, object, status, text};
use weir_rtmp::protocol::{
    CREATE_STREAM_MAX, MessageKind, NAME_BYTES_MAX, OPEN_REQUESTS_MAX, PLAY_CHUNK_SIZE, ProtocolError, Refusal,
    RefusalCode, ServerEvent, ServerProtocol, ServerTimers,
};
use weir_rtmp::wire::{AmfError, ClientHandshake, Value, type_id};

struct Bench {
    protocol: ServerProtocol,
    peer: Peer,
    now: Instant,
}

impl Bench {
    /// A connection after the handshake, before connect.
    fn new() -> Self {
        let now = Instant::now();
        let mut protocol = ServerProtocol::new(RANDOM, ServerTimers::default(), now);
        let mut client = ClientHandshake::new(RANDOM, 0);
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        while !client.feed(&mut input, &mut out).unwrap() {
            protocol.feed(&out.split(), now).unwrap();
            input.extend_from_slice(&protocol.take_output());
        }
        protocol.feed(&out, now).unwrap();
        assert!(protocol.handshake_done());
        Self { protocol, peer: Peer::new(), now }
    }

    fn connected() -> Self {
        let mut bench = Self::new();
        bench.send(0, &connect("live")).unwrap();
        bench.answers();
        bench
    }

    /// A connection that publishes on message stream 1.
    fn publishing() -> Self {
        let mut bench = Self::connected();
        bench.request(1, &publish("key"));
        bench.protocol.accept_publish(1);
        bench.answers();
        bench
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<Option<ServerEvent>, ProtocolError> {
        self.protocol.feed(bytes, self.now)?;
        self.protocol.next_event(self.now)
    }

    fn send(&mut self, stream_id: u32, values: &[Value]) -> Result<Option<ServerEvent>, ProtocolError> {
        let bytes = self.peer.command(stream_id, values);
        self.feed(&bytes)
    }

    fn request(&mut self, stream_id: u32, values: &[Value]) -> Option<ServerEvent> {
        self.send(0, &create_stream()).unwrap();
        self.send(stream_id, values).unwrap()
    }

    fn answers(&mut self) -> Vec<(u32, Vec<Value>)> {
        let output = self.protocol.take_output();
        self.peer.read_commands(&output)
    }

    fn media(&mut self, type_id: u8, payload: &[u8]) -> Option<(MessageKind, Bytes)> {
        let bytes = self.peer.message(type_id, 1, payload);
        match self.feed(&bytes).unwrap() {
            Some(ServerEvent::Media { stream_id: 1, message }) => Some((message.kind, message.payload)),
            None => None,
            other => panic!("{other:?}"),
        }
    }
}

fn connect(app: &str) -> [Value; 3] {
    [text("connect"), number(1), object(&[("app", text(app)), ("tcUrl", text("rtmp://h/x")), ("odd", Value::Null)])]
}

fn create_stream() -> [Value; 3] {
    [text("createStream"), number(2), Value::Null]
}

fn publish(key: &str) -> [Value; 5] {
    [text("publish"), number(3), Value::Null, text(key), text("live")]
}

fn play(name: &str) -> [Value; 4] {
    [text("play"), number(3), Value::Null, text(name)]
}

#[test]
fn everything_pipelined_in_one_write() {
    let mut bench = Bench::new();
    let mut bytes = bench.peer.command(0, &connect("live"));
    bytes.extend_from_slice(&bench.peer.command(0, &[text("releaseStream"), number(2), Value::Null, text("key")]));
    bytes.extend_from_slice(&bench.peer.command(0, &[text("FCPublish"), number(3), Value::Null, text("key")]));
    bytes.extend_from_slice(&bench.peer.command(0, &create_stream()));
    bytes.extend_from_slice(&bench.peer.command(1, &publish("key?a=b")));
    bytes.extend_from_slice(&bench.peer.message(type_id::VIDEO, 1, b"video"));
    let Some(ServerEvent::Publish { stream_id: 1, name }) = bench.feed(&bytes).unwrap() else { panic!() };
    assert_eq!((&*name.app, name.key.expose(), &*name.query), ("live", "key", "a=b"));
    // The media behind the request waits for the answer and is not lost.
    bench.protocol.accept_publish(1);
    let event = bench.protocol.next_event(bench.now).unwrap();
    let Some(ServerEvent::Media { message, .. }) = event else { panic!("{event:?}") };
    assert_eq!(&*message.payload, b"video");
    let answers = bench.answers();
    let names: Vec<_> = answers.iter().map(|(_, values)| values[0].as_str().unwrap()).collect();
    assert_eq!(names, ["_result", "_result", "_result", "onFCPublish", "_result", "onStatus"]);
    let (stream_id, start) = answers.last().unwrap();
    assert_eq!(*stream_id, 1);
    assert_eq!(status(start), ("status".into(), "NetStream.Publish.Start".into()));
}

#[test]
fn connect_keeps_every_field_and_answers_e_rtmp_only_to_those_who_speak_it() {
    let mut bench = Bench::new();
    bench.send(0, &connect("live")).unwrap();
    let names: Vec<_> = bench.protocol.connect_fields().iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["app", "tcUrl", "odd"]);
    let (_, result) = bench.answers().remove(0);
    assert_eq!(result[1], number(1));
    assert!(result[2].get("fourCcList").is_none());
    assert_eq!(status(&result), ("status".into(), "NetConnection.Connect.Success".into()));

    for asked in ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"] {
        let mut bench = Bench::new();
        let fields = object(&[("app", text("live")), (asked, Value::Null)]);
        bench.send(0, &[text("connect"), number(1), fields]).unwrap();
        let (_, result) = bench.answers().remove(0);
        let codecs = ["avc1", "hvc1", "av01", "mp4a", "Opus"].map(text).to_vec();
        assert_eq!(result[2].get("fourCcList"), Some(&Value::StrictArray(codecs)), "{asked}");
        assert!(result[2].get("videoFourCcInfoMap").unwrap().get("av01").is_some());
        assert!(result[2].get("audioFourCcInfoMap").unwrap().get("Opus").is_some());
        assert_eq!(result[2].get("capsEx"), Some(&number(4)));
    }
}

#[test]
fn publish_in_every_form() {
    let amf3 = |values: &[Value]| [&[0], &*encoded(values)].concat();
    let without_type = encoded(&publish("key")[..4]);
    #[rustfmt::skip]
    let table = [
        ("as usual",            type_id::COMMAND_AMF0, encoded(&publish("key")).to_vec()),
        ("without a type",      type_id::COMMAND_AMF0, without_type.to_vec()),
        ("record",              type_id::COMMAND_AMF0, encoded(&[&publish("key")[..4], &[text("record")]].concat()).to_vec()),
        ("in AMF3 clothes",     type_id::COMMAND_AMF3, amf3(&publish("key"))),
        ("type 17, bare AMF0",  type_id::COMMAND_AMF3, encoded(&publish("key")).to_vec()),
    ];
    for (form, type_id, payload) in table {
        let mut bench = Bench::connected();
        bench.send(0, &create_stream()).unwrap();
        let bytes = bench.peer.message(type_id, 1, &payload);
        let event = bench.feed(&bytes).unwrap();
        assert!(matches!(event, Some(ServerEvent::Publish { stream_id: 1, .. })), "{form}");
    }
}

#[test]
fn every_way_to_end_a_publish() {
    #[rustfmt::skip]
    let table: [(&str, u32, Vec<Value>); 6] = [
        ("FCUnpublish",             0, vec![text("FCUnpublish"), number(6), Value::Null, text("key")]),
        ("deleteStream",            0, vec![text("deleteStream"), number(7), Value::Null, number(1)]),
        ("deleteStream, bare",      1, vec![text("deleteStream"), number(7), Value::Null]),
        ("closeStream",             1, vec![text("closeStream"), number(0), Value::Null]),
        ("closeStream, bare",       1, vec![text("closeStream")]),
        ("publish(false)",          1, vec![text("publish"), number(0), Value::Null, Value::Boolean(false)]),
    ];
    for (way, stream_id, values) in table {
        let mut bench = Bench::publishing();
        assert_eq!(bench.send(stream_id, &values).unwrap(), Some(ServerEvent::Ended { stream_id: 1 }), "{way}");
        assert_eq!(bench.send(stream_id, &values).unwrap(), None, "{way} twice");
        assert_eq!(bench.media(type_id::VIDEO, b"late"), None, "{way}");
    }
    // An FCUnpublish for another key is not about this stream.
    let mut bench = Bench::publishing();
    let other = [text("FCUnpublish"), number(6), Value::Null, text("other")];
    assert_eq!(bench.send(0, &other).unwrap(), None);
}

#[test]
fn media_and_metadata() {
    let mut bench = Bench::publishing();
    let metadata = encoded(&[text("onMetaData"), object(&[("width", number(1280))])]);
    let set = [&*encoded(&[text("@setDataFrame")]), &*metadata].concat();
    let amf3 = [&[0], &*set].concat();
    type Expected<'a> = Option<(MessageKind, &'a [u8])>;
    #[rustfmt::skip]
    let table: [(&str, u8, &[u8], Expected<'_>); 10] = [
        ("audio",               type_id::AUDIO,     b"a",       Some((MessageKind::Audio, b"a"))),
        ("video",               type_id::VIDEO,     b"v",       Some((MessageKind::Video, b"v"))),
        ("empty",               type_id::VIDEO,     b"",        None),
        ("set",                 type_id::DATA_AMF0, &set,       Some((MessageKind::Data, &metadata))),
        ("bare",                type_id::DATA_AMF0, &metadata,  Some((MessageKind::Data, &metadata))),
        ("in AMF3 clothes",     type_id::DATA_AMF3, &amf3,      Some((MessageKind::Data, &metadata))),
        ("set nothing",         type_id::DATA_AMF0, &encoded(&[text("@setDataFrame")]), None),
        ("set, no object",      type_id::DATA_AMF0, &encoded(&[text("@setDataFrame"), text("onMetaData")]),
                                                                Some((MessageKind::Data, b"\x02\x00\x0aonMetaData"))),
        ("clear",               type_id::DATA_AMF0, &encoded(&[text("@clearDataFrame"), text("onMetaData")]), None),
        ("shared object",       type_id::SHARED_OBJECT_AMF0, b"x", None),
    ];
    for (what, type_id, payload, expected) in table {
        let expected = expected.map(|(kind, bytes)| (kind, Bytes::copy_from_slice(bytes)));
        assert_eq!(bench.media(type_id, payload), expected, "{what}");
    }
}

#[test]
fn media_before_the_yes_or_after_the_no_is_ignored() {
    let mut bench = Bench::connected();
    assert_eq!(bench.media(type_id::VIDEO, b"v"), None, "no stream");
    bench.request(1, &publish("key"));
    assert_eq!(bench.media(type_id::VIDEO, b"v"), None, "not answered");
    bench.protocol.refuse(1, &Refusal::new(RefusalCode::Denied, "no"));
    assert_eq!(bench.media(type_id::VIDEO, b"v"), None, "refused");
    assert_eq!(bench.send(1, &publish("key")).unwrap(), None, "refused for good");
}

#[test]
fn refusals_in_words_that_encoders_know() {
    #[rustfmt::skip]
    let table = [
        (RefusalCode::Denied,      "NetStream.Publish.Denied",   "NetStream.Play.Failed"),
        (RefusalCode::BadName,     "NetStream.Publish.BadName",  "NetStream.Play.StreamNotFound"),
        (RefusalCode::NotFound,    "NetStream.Publish.BadName",  "NetStream.Play.StreamNotFound"),
        (RefusalCode::Unsupported, "NetStream.Publish.Rejected", "NetStream.Play.Failed"),
        (RefusalCode::ServerFull,  "NetStream.Failed",           "NetStream.Play.Failed"),
        (RefusalCode::Ended,       "NetStream.Failed",           "NetStream.Play.Failed"),
    ];
    for (code, publish_code, play_code) in table {
        for (request, expected) in [(&publish("n")[..], publish_code), (&play("n")[..], play_code)] {
            let mut bench = Bench::connected();
            assert!(bench.request(1, request).is_some());
            bench.answers();
            bench.protocol.refuse(1, &Refusal::new(code, "our words"));
            let (stream_id, values) = bench.answers().remove(0);
            assert_eq!((stream_id, status(&values)), (1, ("error".to_owned(), expected.to_owned())));
            assert_eq!(values[3].get("description"), Some(&text("our words")));
        }
    }
}

#[test]
fn names_that_nobody_could_grant_are_refused_here() {
    for name in ["", &"x".repeat(NAME_BYTES_MAX)] {
        let mut bench = Bench::connected();
        let event = bench.request(1, &publish(name));
        assert!(matches!(event, Some(ServerEvent::Refused { .. })), "{event:?}");
        let answers = bench.answers();
        assert_eq!(status(&answers.last().unwrap().1).1, "NetStream.Publish.BadName");
    }
}

#[test]
fn several_streams_and_their_limit() {
    let mut bench = Bench::connected();
    for id in 1..=CREATE_STREAM_MAX as u32 {
        bench.send(0, &create_stream()).unwrap();
        assert_eq!(bench.answers()[0].1, [text("_result"), number(2), Value::Null, number(id)]);
    }
    bench.send(0, &create_stream()).unwrap();
    assert_eq!(bench.answers()[0].1[0], text("_error"));
    for id in [3, 5] {
        let key = format!("key{id}");
        bench.send(id, &publish(&key)).unwrap().unwrap();
        bench.protocol.accept_publish(id);
        let bytes = bench.peer.message(type_id::AUDIO, id, b"a");
        let event = bench.feed(&bytes).unwrap();
        assert!(matches!(event, Some(ServerEvent::Media { stream_id, .. }) if stream_id == id));
    }
    // A deleted stream makes room for another one.
    bench.send(0, &[text("deleteStream"), number(0), Value::Null, number(3)]).unwrap();
    bench.answers();
    bench.send(0, &create_stream()).unwrap();
    assert_eq!(bench.answers()[0].1[0], text("_result"));
}

#[test]
fn open_requests_are_limited() {
    let mut bench = Bench::connected();
    for id in 1..=OPEN_REQUESTS_MAX as u32 {
        assert!(bench.request(id, &publish("key")).is_some());
    }
    bench.send(0, &create_stream()).unwrap();
    let ninth = bench.send(OPEN_REQUESTS_MAX as u32 + 1, &publish("key"));
    assert_eq!(ninth, Err(ProtocolError::TooManyOpenRequests));
}

#[test]
fn courtesies_are_answered() {
    #[rustfmt::skip]
    let table = [
        ("releaseStream",   Some("_result")),
        ("FCPublish",       Some("_result")),
        ("FCUnpublish",     Some("_result")),
        ("_checkbw",        Some("_result")),
        ("getStreamLength", Some("_result")),
        ("FCSubscribe",     Some("_result")),
        ("pause",           None),
        ("seek",            None),
        ("receiveVideo",    None),
        ("_result",         None),
        ("somethingElse",   Some("_error")),
    ];
    for (name, expected) in table {
        let mut bench = Bench::connected();
        assert_eq!(bench.send(0, &[text(name), number(9), Value::Null, text("key")]).unwrap(), None);
        let answers = bench.answers();
        let answer = answers.first().map(|(_, values)| (values[0].as_str().unwrap(), &values[1]));
        assert_eq!(answer, expected.map(|answer| (answer, &Value::Number(9.0))), "{name}");
    }
}

#[test]
fn hostile_commands_end_the_session() {
    let deep = [0x0a, 0, 0, 0, 1].repeat(10_000);
    #[rustfmt::skip]
    let table = [
        ("two values",      encoded(&[text("createStream"), number(1)]).to_vec(),           ProtocolError::CommandBeforeConnect),
        ("one value",       encoded(&[text("some command of 25 b")]).to_vec(),              ProtocolError::CommandBeforeConnect),
        ("no value",        Vec::new(),                                                     ProtocolError::CommandWithoutName),
        ("a number",        encoded(&[number(1)]).to_vec(),                                 ProtocolError::CommandWithoutName),
        ("publish first",   encoded(&publish("key")).to_vec(),                              ProtocolError::CommandBeforeConnect),
        ("connect, bare",   encoded(&[text("connect"), number(1)]).to_vec(),                ProtocolError::ConnectWithoutApp),
        ("connect, no app", encoded(&[text("connect"), number(1), object(&[])]).to_vec(),   ProtocolError::ConnectWithoutApp),
    ];
    for (what, payload, error) in table {
        let mut bench = Bench::new();
        let bytes = bench.peer.message(type_id::COMMAND_AMF0, 0, &payload);
        assert_eq!(bench.feed(&bytes), Err(error), "{what}");
    }
    let mut bench = Bench::new();
    let bytes = bench.peer.message(type_id::COMMAND_AMF0, 0, &[&*encoded(&[text("connect")]), &deep].concat());
    assert!(matches!(bench.feed(&bytes), Err(ProtocolError::Amf(AmfError::TooDeep))), "50 KB of nested arrays");
    let mut bench = Bench::connected();
    assert_eq!(bench.send(0, &connect("live")), Err(ProtocolError::ConnectTwice));
    let mut bench = Bench::connected();
    assert_eq!(bench.send(9, &publish("key")), Err(ProtocolError::UnknownStream));
}

#[test]
fn acknowledgements_carry_the_total_and_pings_are_answered() {
    let mut bench = Bench::publishing();
    let window = bench.peer.message(type_id::WINDOW_ACK_SIZE, 0, &20_000_u32.to_be_bytes());
    bench.feed(&window).unwrap();
    let mut acks = Vec::new();
    for _ in 0..5 {
        bench.media(type_id::VIDEO, &[1; 10_000]);
        let output = bench.protocol.take_output();
        let messages = bench.peer.read(&output);
        let ack = messages.into_iter().filter(|message| message.type_id == type_id::ACK);
        acks.extend(ack.map(|message| u32::from_be_bytes((&*message.payload).try_into().unwrap())));
    }
    assert_eq!(acks.len(), 5);
    assert!(acks.windows(2).all(|pair| pair[1] - pair[0] > 10_000), "{acks:?}");

    let ping = bench.peer.message(type_id::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4]);
    bench.feed(&ping).unwrap();
    let output = bench.protocol.take_output();
    let pong = bench.peer.read(&output).remove(0);
    assert_eq!((pong.type_id, &*pong.payload), (type_id::USER_CONTROL, &[0, 7, 1, 2, 3, 4][..]));
}

#[test]
fn play_from_begin_to_end() {
    let mut bench = Bench::new();
    bench.send(0, &connect("play")).unwrap();
    let event = bench.request(1, &play("cam1?rendition=720p"));
    let Some(ServerEvent::Play { stream_id: 1, name }) = event else { panic!("{event:?}") };
    assert_eq!((&*name.app, name.key.expose(), &*name.query), ("play", "cam1", "rendition=720p"));
    let output = bench.protocol.take_output();
    bench.peer.read(&output);
    bench.protocol.accept_play(1);
    let output = bench.protocol.take_output();
    // SetChunkSize comes first, because media in chunks of that size may follow at once.
    assert_eq!(output[7], type_id::SET_CHUNK_SIZE);
    assert_eq!(output[12..16], PLAY_CHUNK_SIZE.to_be_bytes());
    let messages = bench.peer.read(&output);
    let kinds: Vec<_> = messages.iter().map(|message| (message.type_id, message.stream_id)).collect();
    assert_eq!(
        kinds,
        [(type_id::USER_CONTROL, 0), (type_id::COMMAND_AMF0, 1), (type_id::COMMAND_AMF0, 1), (type_id::DATA_AMF0, 1)]
    );
    let code = |index: usize| status(&weir_rtmp::wire::decode_all(&messages[index].payload).unwrap()).1;
    assert_eq!((code(1), code(2)), ("NetStream.Play.Reset".into(), "NetStream.Play.Start".into()));
    bench.protocol.end_play(1);
    let answers = bench.answers();
    assert_eq!(status(&answers[0].1).1, "NetStream.Play.UnpublishNotify");
}

/// Bytes of 20 kB of a picture on each of ten chunk streams, none of them whole.
fn unfinished() -> BytesMut {
    let mut bytes = BytesMut::new();
    for csid in 10..20_u8 {
        let length = 1_000_000_u32.to_be_bytes();
        bytes.extend_from_slice(&[csid, 0, 0, 0, length[1], length[2], length[3], type_id::VIDEO, 1, 0, 0, 0]);
        bytes.extend_from_slice(&[0x17; 20_000]);
    }
    bytes
}

#[test]
fn strangers_hold_64_kb_of_unfinished_messages_and_publishers_a_picture() {
    let small = {
        let mut bytes = BytesMut::new();
        for csid in 10..20_u8 {
            bytes.extend_from_slice(&[csid, 0, 0, 0, 0, 0xFF, 0xFF, type_id::VIDEO, 1, 0, 0, 0]);
            bytes.extend_from_slice(&[0x17; 10_000]);
        }
        bytes
    };
    let whole_chunks = |bench: &mut Bench| {
        let bytes = bench.peer.message(type_id::SET_CHUNK_SIZE, 0, &20_000_u32.to_be_bytes());
        assert_eq!(bench.feed(&bytes), Ok(None));
    };
    let mut stranger = Bench::connected();
    whole_chunks(&mut stranger);
    assert!(matches!(stranger.feed(&unfinished()), Err(ProtocolError::Wire(_))), "a message over the limit");
    let mut stranger = Bench::connected();
    whole_chunks(&mut stranger);
    let small_chunks = stranger.peer.message(type_id::SET_CHUNK_SIZE, 0, &10_000_u32.to_be_bytes());
    assert_eq!(stranger.feed(&small_chunks), Ok(None));
    assert!(matches!(stranger.feed(&small), Err(ProtocolError::Wire(_))), "ten messages that are over it together");

    let mut publisher = Bench::publishing();
    whole_chunks(&mut publisher);
    assert_eq!(publisher.feed(&unfinished()), Ok(None));
}

#[test]
fn players_send_commands_only_and_not_without_end() {
    let playing = || {
        let mut bench = Bench::new();
        bench.send(0, &connect("play")).unwrap();
        bench.request(1, &play("cam1"));
        bench.protocol.accept_play(1);
        bench
    };
    for type_id in [type_id::AUDIO, type_id::VIDEO, type_id::DATA_AMF0] {
        let mut bench = playing();
        let bytes = bench.peer.message(type_id, 1, b"\x02\x00\x01x");
        assert_eq!(bench.feed(&bytes), Err(ProtocolError::MediaFromPlayer), "type {type_id}");
    }
    let mut bench = playing();
    let ping = bench.peer.message(type_id::USER_CONTROL, 0, &[0, 6, 0, 0, 0, 1]);
    let outcome = (0..2_000).find_map(|_| bench.feed(&ping).err());
    assert_eq!(outcome, Some(ProtocolError::TooManyCommands));
    let mut publisher = Bench::publishing();
    assert!((0..2_000).all(|_| publisher.feed(&ping).is_ok()));
}

#[test]
fn timers() {
    let timers = ServerTimers::default();
    let seconds = Duration::from_secs;
    let start = Instant::now();
    let mut protocol = ServerProtocol::new(RANDOM, timers, start);
    assert_eq!(protocol.poll_timeout(), Some(start + seconds(5)));
    assert_eq!(protocol.on_timeout(start + seconds(4)), Ok(()));
    assert_eq!(protocol.on_timeout(start + seconds(5)), Err(ProtocolError::HandshakeTimeout));

    let mut bench = Bench::connected();
    let start = bench.now;
    bench.now += seconds(9);
    bench.request(1, &publish("key"));
    // Neither commands nor an unanswered request extend the time.
    assert_eq!(bench.protocol.on_timeout(start + seconds(10)), Err(ProtocolError::IntentTimeout));
    bench.protocol.accept_publish(1);
    assert_eq!(bench.protocol.poll_timeout(), Some(start + seconds(39)));
    bench.now += seconds(20);
    bench.media(type_id::AUDIO, b"a");
    assert_eq!(bench.protocol.on_timeout(bench.now + seconds(29)), Ok(()));
    assert_eq!(bench.protocol.on_timeout(bench.now + seconds(30)), Err(ProtocolError::IdleTimeout));
    // After the end the client has as long again to begin anew.
    bench.send(1, &[text("closeStream"), number(0), Value::Null]).unwrap();
    assert_eq!(bench.protocol.poll_timeout(), Some(bench.now + seconds(10)));
    bench.request(2, &play("x"));
    bench.protocol.accept_play(2);
    assert_eq!(bench.protocol.poll_timeout(), None, "a player need not send");
}

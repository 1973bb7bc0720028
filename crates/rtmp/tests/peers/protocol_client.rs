//! The client protocol: against our server protocol in memory, and against hand-made answers.

use crate::protocol_support;

use std::time::Instant;

use bytes::BytesMut;
use protocol_support::{Peer, RANDOM, number, object, text};
use weir_rtmp::protocol::{
    ClientConfig, ClientEvent, ClientIntent, ClientPhase, ClientProtocol, MessageKind, PUSH_CHUNK_SIZE, ProtocolError,
    Refusal, RefusalCode, ServerEvent, ServerProtocol, ServerTimers,
};
use weir_rtmp::wire::{ServerHandshake, Value, type_id};

fn config() -> ClientConfig {
    ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://h:1935/live".into(),
        auth_query: String::new(),
        stream_key: "secret-key?x=y".into(),
        enhanced: false,
        intent: ClientIntent::Publish,
    }
}

/// Moves bytes both ways in pieces of `step` until neither side has any left. Returns the events of both.
fn exchange(client: &mut ClientProtocol, server: &mut ServerProtocol, step: usize) -> Vec<ServerEvent> {
    let now = Instant::now();
    let mut events = Vec::new();
    loop {
        let (up, down) = (client.take_output(), server.take_output());
        if up.is_empty() && down.is_empty() {
            return events;
        }
        for piece in up.chunks(step) {
            server.feed(piece, now).unwrap();
            while let Some(event) = server.next_event(now).unwrap() {
                events.push(event);
            }
        }
        for piece in down.chunks(step) {
            client.feed(piece).unwrap();
        }
        // A decision is due, and the client's events are for the caller to look at.
        if matches!(client.phase(), ClientPhase::Publish | ClientPhase::Play) || !events.is_empty() {
            return events;
        }
        assert_eq!(client.next_event().unwrap(), None);
    }
}

#[test]
fn both_sessions_meet_however_the_bytes_are_cut() {
    for step in [1, 7, 128, usize::MAX] {
        let mut client = ClientProtocol::new(config(), RANDOM).unwrap();
        let mut server = ServerProtocol::new([9; 1528], ServerTimers::default(), Instant::now());
        let mut events = Vec::new();
        while events.is_empty() {
            events = exchange(&mut client, &mut server, step);
        }
        let [ServerEvent::Publish { stream_id: 1, name }] = &*events else { panic!("{events:?}") };
        assert_eq!((&*name.app, name.key.expose(), &*name.query), ("live", "secret-key", "x=y"));
        server.accept_publish(1);
        exchange(&mut client, &mut server, step);
        assert_eq!(client.next_event().unwrap(), Some(ClientEvent::Published { stream_id: 1 }));
        assert_eq!(client.phase(), ClientPhase::Published);

        // The publisher is sent away later, and the words arrive as a status.
        server.refuse(1, &Refusal::new(RefusalCode::Ended, "the stream was stopped"));
        client.feed(&server.take_output()).unwrap();
        let Some(ClientEvent::Status { level, code, description }) = client.next_event().unwrap() else { panic!() };
        assert_eq!((&*level, &*code, &*description), ("error", "NetStream.Failed", "the stream was stopped"));
    }
}

#[test]
fn a_player_gets_what_the_server_sends() {
    let now = Instant::now();
    let config = || ClientConfig { intent: ClientIntent::Play, enhanced: true, ..config() };
    let mut client = ClientProtocol::new(config(), RANDOM).unwrap();
    let mut server = ServerProtocol::new([9; 1528], ServerTimers::default(), now);
    let mut events = Vec::new();
    while events.is_empty() {
        events = exchange(&mut client, &mut server, 100);
    }
    let [ServerEvent::Play { stream_id: 1, name }] = &*events else { panic!("{events:?}") };
    assert_eq!((&*name.app, name.key.expose(), &*name.query), ("live", "secret-key", "x=y"));
    assert_eq!(client.phase(), ClientPhase::Play);
    server.accept_play(1);
    client.feed(&server.take_output()).unwrap();
    assert_eq!(client.next_event().unwrap(), Some(ClientEvent::Playing));
    // The access that the server grants comes as data, and is passed on as such.
    let Some(ClientEvent::Media(data)) = client.next_event().unwrap() else { panic!() };
    assert_eq!(data.kind, MessageKind::Data);
    server.end_play(1);
    client.feed(&server.take_output()).unwrap();
    let ended = client.next_event().unwrap();
    assert_eq!(ended, Some(ClientEvent::Ended { code: "NetStream.Play.UnpublishNotify".into() }));

    let mut refused = ClientProtocol::new(config(), RANDOM).unwrap();
    let mut server = ServerProtocol::new([9; 1528], ServerTimers::default(), now);
    while exchange(&mut refused, &mut server, 1_000).is_empty() {}
    server.refuse(1, &Refusal::new(RefusalCode::NotFound, "no stream secret-key"));
    refused.feed(&server.take_output()).unwrap();
    let Some(ClientEvent::Rejected(rejection)) = refused.next_event().unwrap() else { panic!() };
    assert_eq!((&*rejection.code, &*rejection.description), ("NetStream.Play.StreamNotFound", "no stream ***"));
}

/// Some servers say nothing before they send.
#[test]
fn media_is_consent() {
    let mut bench = Bench::new(ClientConfig { intent: ClientIntent::Play, ..config() });
    bench.send(&[text("_result"), number(1), Value::Null, Value::Null]);
    bench.send(&[text("_result"), number(4), Value::Null, number(5)]);
    assert_eq!(bench.client.phase(), ClientPhase::Play);
    let picture = bench.peer.message(type_id::VIDEO, 5, b"\x17\x00");
    bench.client.feed(&picture).unwrap();
    assert_eq!(bench.client.next_event().unwrap(), Some(ClientEvent::Playing));
    let Some(ClientEvent::Media(media)) = bench.client.next_event().unwrap() else { panic!() };
    assert_eq!((media.kind, &media.payload[..]), (MessageKind::Video, &b"\x17\x00"[..]));
}

/// A client that has sent `connect`, and its server driven by hand.
struct Bench {
    client: ClientProtocol,
    peer: Peer,
    connect: Vec<Value>,
}

impl Bench {
    fn new(config: ClientConfig) -> Self {
        let mut client = ClientProtocol::new(config, RANDOM).unwrap();
        let mut server = ServerHandshake::new(RANDOM, 0);
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        while client.phase() == ClientPhase::Handshake {
            input.extend_from_slice(&client.take_output());
            server.feed(&mut input, &mut out).unwrap();
            client.feed(&out.split()).unwrap();
        }
        input.extend_from_slice(&client.take_output());
        assert!(server.feed(&mut input, &mut out).unwrap());
        let mut peer = Peer::new();
        let (_, connect) = peer.read_commands(&input).remove(0);
        Self { client, peer, connect }
    }

    fn at_publish() -> Self {
        let mut bench = Self::new(config());
        bench.send(&[text("_result"), number(1), Value::Null, Value::Null]);
        bench.send(&[text("_result"), number(4), Value::Null, number(5)]);
        assert_eq!(bench.client.phase(), ClientPhase::Publish);
        bench.client.take_output();
        bench
    }

    fn published() -> Self {
        let mut bench = Self::at_publish();
        let start = on_status(&[("level", text("status")), ("code", text("NetStream.Publish.Start"))]);
        assert_eq!(bench.send(&start), Some(ClientEvent::Published { stream_id: 5 }));
        bench
    }

    fn send(&mut self, values: &[Value]) -> Option<ClientEvent> {
        let bytes = self.peer.command(0, values);
        self.client.feed(&bytes).unwrap();
        self.client.next_event().unwrap()
    }

    fn sent(&mut self) -> Vec<(u32, Vec<Value>)> {
        let output = self.client.take_output();
        self.peer.read_commands(&output)
    }
}

fn on_status(fields: &[(&str, Value)]) -> [Value; 4] {
    [text("onStatus"), number(0), Value::Null, object(fields)]
}

#[test]
fn connect_has_the_fields_of_ffmpeg() {
    let fields = |bench: &Bench| bench.connect[2].fields().to_vec();
    let usual = [
        ("app", "live"),
        ("type", "nonprivate"),
        ("flashVer", "FMLE/3.0 (compatible; Weir)"),
        ("tcUrl", "rtmp://h:1935/live"),
    ];
    let usual = usual.map(|(name, value)| (name.to_owned(), text(value))).to_vec();
    assert_eq!(fields(&Bench::new(config())), usual);

    let enhanced = Bench::new(ClientConfig { enhanced: true, ..config() });
    assert_eq!(fields(&enhanced)[..4], usual);
    let codecs = ["avc1", "hvc1", "av01", "mp4a", "Opus"].map(text).to_vec();
    assert_eq!(fields(&enhanced)[4..], [("fourCcList".to_owned(), Value::StrictArray(codecs))]);

    let answering = Bench::new(ClientConfig { auth_query: "?authmod=adobe&user=u".into(), ..config() });
    assert_eq!(answering.connect[2].get("app"), Some(&text("live?authmod=adobe&user=u")));
    assert_eq!(answering.connect[2].get("tcUrl"), Some(&text("rtmp://h:1935/live?authmod=adobe&user=u")));
    let with_query = ClientConfig { app: "live?a=b".into(), auth_query: "?authmod=adobe&user=u".into(), ..config() };
    assert_eq!(Bench::new(with_query).connect[2].get("app"), Some(&text("live?a=b&authmod=adobe&user=u")));
}

#[test]
fn the_commands_of_a_push() {
    let mut bench = Bench::new(config());
    bench.send(&[text("_result"), number(1), Value::Null, Value::Null]);
    let output = bench.client.take_output();
    assert_eq!(output[7], type_id::SET_CHUNK_SIZE, "before anything long");
    assert_eq!(output[12..16], PUSH_CHUNK_SIZE.to_be_bytes());
    let key = text("secret-key?x=y");
    let commands: Vec<_> = bench.peer.read_commands(&output);
    assert_eq!(
        commands,
        [
            (0, vec![text("releaseStream"), number(2), Value::Null, key.clone()]),
            (0, vec![text("FCPublish"), number(3), Value::Null, key.clone()]),
            (0, vec![text("createStream"), number(4), Value::Null]),
        ]
    );
    // Servers that do not know the courtesies say so, which means nothing.
    assert_eq!(bench.send(&[text("_error"), number(2), Value::Null, Value::Null]), None);
    assert_eq!(bench.send(&[text("_error"), number(3), Value::Null, Value::Null]), None);
    bench.send(&[text("_result"), number(4), Value::Null, number(5)]);
    assert_eq!(bench.sent(), [(5, vec![text("publish"), number(5), Value::Null, key.clone(), text("live")])]);

    let mut bench = Bench::published();
    bench.client.unpublish();
    assert_eq!(
        bench.sent(),
        [
            (0, vec![text("FCUnpublish"), number(6), Value::Null, key]),
            (0, vec![text("deleteStream"), number(7), Value::Null, number(5)]),
        ]
    );
}

#[test]
fn rejections_in_every_form() {
    let error = [("level", text("error")), ("code", text("Some.Code")), ("description", text("why"))];
    let without_level = [("code", text("NetStream.Publish.Denied"))];
    let info = object(&error);
    #[rustfmt::skip]
    let table: [(&str, bool, Vec<Value>, &str); 7] = [
        ("connect",             false, vec![text("_error"), number(1), Value::Null, info.clone()],  "Some.Code"),
        ("status at connect",   false, on_status(&error).to_vec(),                                  "Some.Code"),
        ("publish",             true,  on_status(&error).to_vec(),                                  "Some.Code"),
        ("publish, no level",   true,  on_status(&without_level).to_vec(),                          "NetStream.Publish.Denied"),
        ("publish, _error",     true,  vec![text("_error"), number(5), Value::Null, info.clone()],  "Some.Code"),
        ("publish, rml _error", true,  vec![text("_error"), number(0), Value::Null, info.clone()],  "Some.Code"),
        ("onFCPublish",         true,  vec![text("onFCPublish"), number(0), Value::Null, info],     "Some.Code"),
    ];
    for (form, at_publish, values, code) in table {
        let mut bench = if at_publish { Bench::at_publish() } else { Bench::new(config()) };
        let Some(ClientEvent::Rejected(rejection)) = bench.send(&values) else { panic!("{form}") };
        assert_eq!(rejection.code, code, "{form}");
    }
    // These answers are no rejections.
    let mut bench = Bench::at_publish();
    let start = object(&[("level", text("status")), ("code", text("NetStream.Publish.Start"))]);
    assert_eq!(bench.send(&[text("onFCPublish"), number(0), Value::Null, start]), None);
    assert_eq!(bench.send(&[text("onBWDone"), number(0), Value::Null]), None);
    assert_eq!(bench.send(&[text("onFCPublish")]), None, "as ffmpeg's server sends it");
    assert_eq!(bench.send(&on_status(&[("level", text("status")), ("code", text("Other"))])), None);
}

#[test]
fn redirects_and_reconnect_requests() {
    let mut bench = Bench::new(config());
    let ex = object(&[("code", number(302)), ("redirect", text("rtmp://other/live"))]);
    let info = object(&[("level", text("error")), ("code", text("NetConnection.Connect.Rejected")), ("ex", ex)]);
    let Some(ClientEvent::Rejected(rejection)) = bench.send(&[text("_error"), number(1), Value::Null, info]) else {
        panic!()
    };
    assert_eq!(rejection.redirect.as_deref(), Some("rtmp://other/live"));

    let request = text("NetConnection.Connect.ReconnectRequest");
    let mut bench = Bench::published();
    let fields = [("code", request.clone()), ("level", text("status")), ("tcUrl", text("rtmp://there/live"))];
    let event = bench.send(&on_status(&fields));
    assert_eq!(event, Some(ClientEvent::ReconnectRequest { tc_url: Some("rtmp://there/live".into()) }));
    let event = bench.send(&on_status(&[("code", request)]));
    assert_eq!(event, Some(ClientEvent::ReconnectRequest { tc_url: None }));
}

#[test]
fn a_peer_that_repeats_the_key_does_not_get_it_into_our_errors() {
    let mut bench = Bench::at_publish();
    let fields = [("level", text("error")), ("code", text("x")), ("description", text("secret-key?x=y is bad"))];
    let event = bench.send(&on_status(&fields));
    assert!(!format!("{event:?}").contains("secret-key"), "{event:?}");
    assert!(!format!("{:?} {:?}", config(), bench.client).contains("secret-key"));
}

#[test]
fn stream_ids_that_cannot_be() {
    for id in [0.0, -1.0, 0.5, f64::NAN, f64::INFINITY, 5e9] {
        let mut bench = Bench::new(config());
        bench.send(&[text("_result"), number(1), Value::Null, Value::Null]);
        let bytes = bench.peer.command(0, &[text("_result"), number(4), Value::Null, Value::Number(id)]);
        bench.client.feed(&bytes).unwrap();
        assert_eq!(bench.client.next_event(), Err(ProtocolError::BadStreamId), "{id}");
    }
}

#[test]
fn acks_are_told_and_pings_answered() {
    let mut bench = Bench::published();
    let ack = bench.peer.message(type_id::ACK, 0, &1234_u32.to_be_bytes());
    bench.client.feed(&ack).unwrap();
    assert_eq!(bench.client.next_event().unwrap(), Some(ClientEvent::Acknowledged { sequence: 1234 }));
    let ping = bench.peer.message(type_id::USER_CONTROL, 0, &[0, 6, 0, 0, 0, 9]);
    bench.client.feed(&ping).unwrap();
    assert_eq!(bench.client.next_event().unwrap(), None);
    let output = bench.client.take_output();
    assert_eq!(bench.peer.read(&output)[0].payload[..], [0, 7, 0, 0, 0, 9]);
}

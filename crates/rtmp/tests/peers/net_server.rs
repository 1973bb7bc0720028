//! The listener under real sockets: refusals, kicks, play, timers, caps and hostile peers.

use crate::protocol_support;
use crate::support;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use protocol_support::{Peer, RANDOM, number, object, status, text};
use support::{PATIENCE, Pending, Seen, Server, Tls, drive_all, media, options, push, trusting};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use weir_net::DialFault;
use weir_rtmp::net::{
    ClientError, ClientOptions, ClientStep, CloseReason, PeerTimeouts, PushEvent, Refusal, RefusalCode,
};
use weir_rtmp::protocol::ProtocolError;
use weir_rtmp::wire::{ClientHandshake, Value, type_id};

/// A client that is driven by hand, after the handshake.
struct RawClient {
    tcp: TcpStream,
    peer: Peer,
}

impl RawClient {
    async fn connect(addr: SocketAddr) -> Self {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        let mut client = ClientHandshake::new(RANDOM, 0);
        let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
        while !client.feed(&mut input, &mut out).unwrap() {
            tcp.write_all(&out.split()).await.unwrap();
            assert!(tcp.read_buf(&mut input).await.unwrap() > 0);
        }
        tcp.write_all(&out).await.unwrap();
        Self { tcp, peer: Peer::new() }
    }

    async fn send(&mut self, stream_id: u32, values: &[Value]) {
        let bytes = self.peer.command(stream_id, values);
        self.tcp.write_all(&bytes).await.unwrap();
    }

    async fn request(&mut self, name: &str, key: &str) {
        self.send(0, &[text("connect"), number(1), object(&[("app", text("live"))])]).await;
        self.send(0, &[text("createStream"), number(2), Value::Null]).await;
        self.send(1, &[text(name), number(0), Value::Null, text(key)]).await;
    }

    /// Everything that the server says until it closes: the codes of `onStatus`, and all other messages by type.
    async fn until_end(mut self) -> (Vec<String>, Vec<(u8, usize)>) {
        let mut bytes = Vec::new();
        tokio::time::timeout(PATIENCE, self.tcp.read_to_end(&mut bytes)).await.expect("never closed").unwrap();
        let messages = self.peer.read(&bytes);
        let (commands, others): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.type_id == type_id::COMMAND_AMF0);
        let commands = commands.iter().map(|message| weir_rtmp::wire::decode_all(&message.payload).unwrap());
        let codes = commands.filter(|values| values[0] == text("onStatus")).map(|values| status(&values).1).collect();
        (codes, others.iter().map(|message| (message.type_id, message.payload.len())).collect())
    }
}

fn timeouts_with(change: impl FnOnce(&mut PeerTimeouts)) -> PeerTimeouts {
    let mut timeouts = PeerTimeouts::default();
    change(&mut timeouts);
    timeouts
}

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn refusals_reach_the_publisher_and_then_the_socket_closes() {
    let mut server = Server::start().await;
    for (key, code) in [("denied", "NetStream.Publish.Denied"), ("busy", "NetStream.Publish.BadName")] {
        let mut client = RawClient::connect(server.addr).await;
        client.request("publish", key).await;
        // Media that is under way already must not turn the close into a reset that eats the answer.
        let media = client.peer.message(type_id::VIDEO, 1, &[1; 50_000]);
        client.tcp.write_all(&media).await.unwrap();
        let (codes, _) = client.until_end().await;
        assert_eq!(codes, [code]);
        assert!(matches!(server.closed().await, CloseReason::Refused(_)));
    }
}

#[tokio::test]
async fn refusals_reach_our_client_in_words_over_tcp_and_tls() {
    let tls = Tls::new();
    let plain = Server::start().await;
    let secure = Server::start_with(Some(tls.server), PeerTimeouts::default()).await;
    let options = trusting(tls.client);
    for (server, tls) in [(&plain, false), (&secure, true)] {
        for (key, expected_code, words, expected_auth) in [
            ("denied", "NetStream.Publish.Denied", "this key is not known", true),
            ("busy", "NetStream.Publish.BadName", "already publishing", false),
        ] {
            match push(&server.target(tls, key), &options).await {
                Err(ClientError::Rejected { code, description, auth }) => {
                    assert_eq!((&*code, &*description, auth), (expected_code, words, expected_auth));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn media_that_is_not_carried_ends_the_publish_with_words() {
    let mut server = Server::start().await;
    let mut connection = push(&server.target(false, "badmedia"), &options()).await.unwrap();
    let mut pending = Pending::of([media(connection.stream_id(), type_id::VIDEO, 0, b"video")]);
    drive_all(&mut connection, &mut pending).await;
    let event = connection.drive(&mut pending).await.unwrap();
    let PushEvent::Status { level, code, description } = event else { panic!("{event:?}") };
    assert_eq!((&*level, &*code), ("error", "NetStream.Publish.Rejected"));
    assert_eq!(description, "this codec is not carried");
    assert!(matches!(connection.drive(&mut pending).await, Err(ClientError::Closed)));
    assert!(matches!(server.next().await, Seen::Publish { .. }));
    assert!(matches!(server.next().await, Seen::Unpublish { .. }));
}

#[tokio::test]
async fn a_kicked_publisher_is_told_and_closed() {
    let mut server = Server::start().await;
    let mut connection = push(&server.target(false, "key"), &options()).await.unwrap();
    assert!(matches!(server.next().await, Seen::Publish { .. }));
    server.kick(Refusal::new(RefusalCode::Ended, "the stream was stopped"));
    let event = connection.drive(&mut Pending::of([])).await.unwrap();
    assert!(matches!(event, PushEvent::Status { code, .. } if code == "NetStream.Failed"));
    assert!(matches!(server.next().await, Seen::Unpublish { .. }), "before the goodbyes");
    drop(connection);
    assert!(matches!(server.closed().await, CloseReason::Refused(refusal) if refusal.code == RefusalCode::Ended));
}

#[tokio::test]
async fn a_publisher_that_vanishes_is_unpublished() {
    let tls = Tls::new();
    let mut server = Server::start_with(Some(tls.server), PeerTimeouts::default()).await;
    let options = trusting(tls.client);
    let connection = push(&server.target(true, "key"), &options).await.unwrap();
    assert!(matches!(server.next().await, Seen::Publish { .. }));
    drop(connection); // This closes without a close_notify.
    assert!(matches!(server.next().await, Seen::Unpublish { .. }));
    assert_eq!(server.closed().await, CloseReason::PeerClosed);
}

#[tokio::test]
async fn several_streams_on_one_connection() {
    let mut server = Server::start().await;
    let mut client = RawClient::connect(server.addr).await;
    client.request("publish", "one").await;
    client.send(0, &[text("createStream"), number(3), Value::Null]).await;
    client.send(2, &[text("publish"), number(0), Value::Null, text("two")]).await;
    for (stream_id, key) in [(2, "two"), (1, "one")] {
        let bytes = client.peer.message(type_id::AUDIO, stream_id, key.as_bytes());
        client.tcp.write_all(&bytes).await.unwrap();
    }
    client.send(0, &[text("deleteStream"), number(0), Value::Null, number(1)]).await;
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(match server.next().await {
            Seen::Publish { key, .. } => format!("publish {key}"),
            Seen::Media { key, message } => format!("{key} {}", String::from_utf8_lossy(&message.payload)),
            Seen::Unpublish { key } => format!("unpublish {key}"),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["publish one", "publish two", "two two", "one one", "unpublish one"]);
    drop(client);
    assert!(matches!(server.next().await, Seen::Unpublish { key } if key == "two"));
}

/// Otherwise one connection could ask without end, at the pace of its network.
#[tokio::test]
async fn the_first_refused_request_ends_the_connection_with_all_that_is_on_it() {
    let mut server = Server::start().await;
    for (request, name) in [("publish", "denied"), ("play", "unknown")] {
        let mut client = RawClient::connect(server.addr).await;
        client.request("publish", "one").await;
        client.send(0, &[text("createStream"), number(3), Value::Null]).await;
        client.send(2, &[text(request), number(0), Value::Null, text(name)]).await;
        let reason = server.closed().await;
        assert!(matches!(reason, CloseReason::Refused(_)), "{request} {name}: {reason}");
    }
}

#[tokio::test]
async fn play_gives_the_media_and_ends() {
    let mut server = Server::start().await;
    let payload = vec![9; 3_000_000];
    *server.recorder.play.lock().unwrap() =
        VecDeque::from([media(1, type_id::VIDEO, 0, &payload), media(1, type_id::AUDIO, 10, b"audio")]);
    let mut client = RawClient::connect(server.addr).await;
    client.request("play", "cam1?rendition=720p").await;
    client.send(1, &[text("pause"), number(0), Value::Null, Value::Boolean(true), number(0)]).await;
    let (codes, others) = client.until_end().await;
    assert_eq!(codes, ["NetStream.Play.Reset", "NetStream.Play.Start", "NetStream.Play.UnpublishNotify"]);
    let media: Vec<_> =
        others.into_iter().filter(|(kind, _)| matches!(*kind, type_id::VIDEO | type_id::AUDIO)).collect();
    assert_eq!(media, [(type_id::VIDEO, 3_000_000), (type_id::AUDIO, 5)]);
    let Seen::Play { app, name, query } = server.next().await else { panic!() };
    assert_eq!((&*app, &*name, &*query), ("live", "cam1", "rendition=720p"));
    assert!(matches!(server.next().await, Seen::PlayDropped));
    assert_eq!(server.closed().await, CloseReason::PlayEnded);
}

#[tokio::test]
async fn play_of_an_unknown_stream() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.addr).await;
    client.request("play", "unknown").await;
    assert_eq!(client.until_end().await.0, ["NetStream.Play.StreamNotFound"]);
}

#[tokio::test]
async fn a_player_that_reads_nothing_is_closed() {
    let timeouts = timeouts_with(|timeouts| timeouts.write_stall = SOON);
    let mut server = Server::start_with(None, timeouts).await;
    // These bytes are more than any socket buffer takes.
    *server.recorder.play.lock().unwrap() = (0..32).map(|_| media(1, type_id::VIDEO, 0, &vec![1; 1 << 20])).collect();
    let mut client = RawClient::connect(server.addr).await;
    client.request("play", "cam1").await;
    assert_eq!(server.closed().await, CloseReason::WriteStalled);
}

#[tokio::test]
async fn timers_close_with_their_reason() {
    let tls = Tls::new();
    let handshake = timeouts_with(|timeouts| timeouts.handshake = SOON);
    let mut server = Server::start_with(None, handshake).await;
    let mut half = TcpStream::connect(server.addr).await.unwrap();
    half.write_all(&[3; 1000]).await.unwrap();
    assert_eq!(server.closed().await, CloseReason::HandshakeTimeout);

    let mut server = Server::start_with(Some(tls.server), handshake).await;
    let _silent = TcpStream::connect(server.addr).await.unwrap();
    assert_eq!(server.closed().await, CloseReason::HandshakeTimeout, "inside TLS");

    let mut server = Server::start_with(None, timeouts_with(|timeouts| timeouts.intent = SOON)).await;
    let _connected = RawClient::connect(server.addr).await;
    assert_eq!(server.closed().await, CloseReason::IntentTimeout);
    let mut undecided = RawClient::connect(server.addr).await;
    undecided.request("publish", "silent").await;
    assert_eq!(server.closed().await, CloseReason::IntentTimeout, "while the application thinks");

    let mut server = Server::start_with(None, timeouts_with(|timeouts| timeouts.idle = SOON)).await;
    let mut idle = RawClient::connect(server.addr).await;
    idle.request("publish", "key").await;
    assert_eq!(server.closed().await, CloseReason::IdleTimeout);
}

#[tokio::test]
async fn caps_close_at_once_and_give_back() {
    let mut server = Server::start_within(2).await;
    let first = RawClient::connect(server.addr).await;
    let _second = RawClient::connect(server.addr).await;
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, third.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert_eq!((server.listener.caps().open_connections(), server.listener.caps().refused()), (2, 1));
    drop(first);
    server.closed().await;
    assert_eq!(server.listener.caps().open_connections(), 1);
    RawClient::connect(server.addr).await;
}

#[tokio::test]
async fn hostile_peers_are_closed_with_a_reason_and_others_go_on() {
    let mut server = Server::start().await;
    let mut good = push(&server.target(false, "good"), &options()).await.unwrap();
    assert!(matches!(server.next().await, Seen::Publish { .. }));

    let mut random = TcpStream::connect(server.addr).await.unwrap();
    random.write_all(&[0x47; 4000]).await.unwrap();
    assert!(matches!(server.closed().await, CloseReason::Protocol(ProtocolError::Wire(_))));

    let mut short = RawClient::connect(server.addr).await;
    short.send(0, &[text("createStream"), number(1)]).await;
    assert_eq!(server.closed().await, CloseReason::Protocol(ProtocolError::CommandBeforeConnect));

    let mut deep = RawClient::connect(server.addr).await;
    let nested = deep.peer.message(type_id::COMMAND_AMF0, 0, &[0x0a, 0, 0, 0, 1].repeat(10_000));
    deep.tcp.write_all(&nested).await.unwrap();
    assert!(matches!(server.closed().await, CloseReason::Protocol(ProtocolError::Amf(_))));

    let mut pending = Pending::of([media(good.stream_id(), type_id::VIDEO, 0, b"still here")]);
    drive_all(&mut good, &mut pending).await;
    assert!(matches!(server.next().await, Seen::Media { .. }));
}

#[tokio::test]
async fn answers_that_nobody_reads_do_not_pile_up() {
    let timeouts = timeouts_with(|timeouts| timeouts.write_stall = Duration::from_millis(200));
    let mut server = Server::start_with(None, timeouts).await;
    let mut client = RawClient::connect(server.addr).await;
    client.request("publish", "key").await;
    // Each command asks for an answer, and nobody reads the answers: the server stops reading, then gives up.
    let asks = client.peer.command(0, &[text("_checkbw"), number(5), Value::Null]).repeat(1000);
    while client.tcp.write_all(&asks).await.is_ok() {}
    assert_eq!(server.closed().await, CloseReason::WriteStalled);
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out_by_phase() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start().await;
    let mut target = server.target(false, "key");
    target.url.port = listener.local_addr().unwrap().port();
    let hasty = ClientOptions { accept_timeout: SOON, ..options() };
    let result = push(&target, &hasty).await;
    assert!(matches!(result, Err(ClientError::Timeout { phase: ClientStep::Handshake })), "{result:?}");
    target.url.tls = true;
    let result = push(&target, &hasty).await;
    assert!(matches!(result, Err(ClientError::Dial(DialFault::TlsTimeout))), "{result:?}");
    let result = push(&server.target(false, "silent"), &hasty).await;
    assert!(matches!(result, Err(ClientError::Timeout { phase: ClientStep::Publish })), "{result:?}");
}

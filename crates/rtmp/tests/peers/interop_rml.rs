//! Our protocol against rml_rtmp, an independent implementation, in both roles.

use crate::support;

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType, ServerSession,
    ServerSessionConfig, ServerSessionEvent, ServerSessionResult,
};
use rml_rtmp::time::RtmpTimestamp;
use support::{PATIENCE, Pending, Seen, Server, drive_all, media, options, push};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use weir_rtmp::net::{ClientError, ClientTarget, MessageKind};
use weir_rtmp::url::RtmpUrl;
use weir_rtmp::wire::type_id;

fn target(addr: SocketAddr, key: &str) -> ClientTarget {
    let url = RtmpUrl::parse(&format!("rtmp://{addr}/live")).unwrap();
    ClientTarget { url, stream_key: key.into(), enhanced: false }
}

/// Shakes hands and returns the bytes that were read past the handshake.
async fn shake_hands(tcp: &mut TcpStream, role: PeerType) -> Vec<u8> {
    let is_client = matches!(role, PeerType::Client);
    let mut handshake = Handshake::new(role);
    if is_client {
        tcp.write_all(&handshake.generate_outbound_p0_and_p1().unwrap()).await.unwrap();
    }
    let mut buffer = [0; 4096];
    loop {
        let count = tcp.read(&mut buffer).await.unwrap();
        assert!(count > 0);
        match handshake.process_bytes(&buffer[..count]).unwrap() {
            HandshakeProcessResult::InProgress { response_bytes } => tcp.write_all(&response_bytes).await.unwrap(),
            HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                tcp.write_all(&response_bytes).await.unwrap();
                return remaining_bytes;
            }
        }
    }
}

/// Serves one connection with rml_rtmp's session and returns what it saw.
async fn serve_with_rml(listener: TcpListener) -> Vec<String> {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut bytes = shake_hands(&mut tcp, PeerType::Server).await;
    let (mut session, mut results) = ServerSession::new(ServerSessionConfig::new()).unwrap();
    let mut seen = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        results.extend(session.handle_input(&bytes).unwrap());
        let mut queue = VecDeque::from(std::mem::take(&mut results));
        while let Some(result) = queue.pop_front() {
            match result {
                ServerSessionResult::OutboundResponse(packet) => tcp.write_all(&packet.bytes).await.unwrap(),
                ServerSessionResult::RaisedEvent(event) => match event {
                    ServerSessionEvent::ConnectionRequested { request_id, app_name } => {
                        seen.push(format!("connect {app_name}"));
                        queue.extend(session.accept_request(request_id).unwrap());
                    }
                    ServerSessionEvent::PublishStreamRequested { request_id, stream_key, .. } => {
                        seen.push(format!("publish {stream_key}"));
                        queue.extend(if stream_key == "denied" {
                            let code = "NetStream.Publish.Denied";
                            session.reject_request(request_id, code, "not you").unwrap()
                        } else {
                            session.accept_request(request_id).unwrap()
                        });
                    }
                    ServerSessionEvent::VideoDataReceived { data, timestamp, .. } => {
                        seen.push(format!("video {} at {}", data.len(), timestamp.value));
                    }
                    ServerSessionEvent::AudioDataReceived { data, timestamp, .. } => {
                        seen.push(format!("audio {} at {}", data.len(), timestamp.value));
                    }
                    ServerSessionEvent::PublishStreamFinished { .. } => seen.push("finished".to_owned()),
                    _ => {}
                },
                ServerSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        let count = tcp.read(&mut buffer).await.unwrap();
        if count == 0 {
            return seen;
        }
        bytes = buffer[..count].to_vec();
    }
}

#[tokio::test]
async fn its_server_accepts_our_push() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = tokio::spawn(serve_with_rml(listener));
    let target = target(addr, "key");
    let mut connection = push(&target, &options()).await.unwrap();
    let stream_id = connection.stream_id();
    let mut pending = Pending::of([
        media(stream_id, type_id::VIDEO, 16_777_200, &[1; 200_000]),
        media(stream_id, type_id::AUDIO, 16_777_230, &[2; 400]),
        media(stream_id, type_id::VIDEO, 16_777_240, &[1; 65_536]),
    ]);
    drive_all(&mut connection, &mut pending).await;
    connection.close().await;
    let seen = tokio::time::timeout(PATIENCE, peer).await.unwrap().unwrap();
    assert_eq!(
        seen,
        [
            "connect live",
            "publish key",
            "video 200000 at 16777200",
            "audio 400 at 16777230",
            "video 65536 at 16777240",
            "finished",
        ]
    );
}

#[tokio::test]
async fn its_no_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve_with_rml(listener));
    let result = push(&target(addr, "denied"), &options()).await;
    assert!(matches!(&result, Err(ClientError::Rejected { auth: true, .. })), "{result:?}");
}

/// Publishes one message of each kind with rml_rtmp's client and ends; an error is what the server told it.
async fn publish_with_rml(server: &Server, key: &str) -> Result<(), String> {
    let mut tcp = TcpStream::connect(server.addr).await.unwrap();
    let mut bytes = shake_hands(&mut tcp, PeerType::Client).await;
    let (mut session, mut results) = ClientSession::new(ClientSessionConfig::new()).unwrap();
    results.push(session.request_connection("live".to_owned()).unwrap());
    let mut buffer = vec![0; 65536];
    loop {
        results.extend(session.handle_input(&bytes).unwrap());
        for result in std::mem::take(&mut results) {
            match result {
                ClientSessionResult::OutboundResponse(packet) => tcp.write_all(&packet.bytes).await.unwrap(),
                ClientSessionResult::RaisedEvent(ClientSessionEvent::ConnectionRequestAccepted) => {
                    results.push(session.request_publishing(key.to_owned(), PublishRequestType::Live).unwrap());
                }
                ClientSessionResult::RaisedEvent(ClientSessionEvent::PublishRequestAccepted) => {
                    let time = RtmpTimestamp::new(20_000_000);
                    let video = Bytes::from(vec![3; 100_000]);
                    results.push(session.publish_video_data(video, time, false).unwrap());
                    let audio = Bytes::from(vec![4; 300]);
                    results.push(session.publish_audio_data(audio, time, false).unwrap());
                    results.extend(session.stop_publishing().unwrap());
                    for result in std::mem::take(&mut results) {
                        if let ClientSessionResult::OutboundResponse(packet) = result {
                            tcp.write_all(&packet.bytes).await.unwrap();
                        }
                    }
                    return Ok(());
                }
                ClientSessionResult::RaisedEvent(ClientSessionEvent::UnhandleableOnStatusCode { code }) => {
                    return Err(code);
                }
                _ => {}
            }
        }
        if !results.is_empty() {
            bytes = Vec::new();
            continue;
        }
        let count = tcp.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed without a word");
        bytes = buffer[..count].to_vec();
    }
}

#[tokio::test]
async fn its_client_publishes_to_us() {
    let mut server = Server::start().await;
    publish_with_rml(&server, "key").await.unwrap();
    assert!(matches!(server.next().await, Seen::Publish { app, key, .. } if app == "live" && key == "key"));
    for expected in [(MessageKind::Video, 100_000), (MessageKind::Audio, 300)] {
        let Seen::Media { message, .. } = server.next().await else { panic!() };
        assert_eq!((message.kind, message.payload.len()), expected);
        assert_eq!(message.timestamp_ms, 20_000_000);
    }
    assert!(matches!(server.next().await, Seen::Unpublish { .. }));
}

#[tokio::test]
async fn its_client_hears_our_no() {
    let server = Server::start().await;
    assert_eq!(publish_with_rml(&server, "denied").await, Err("NetStream.Publish.Denied".to_owned()));
}

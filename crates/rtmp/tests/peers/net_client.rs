//! The push client: every failure has its own error; redirects and authentication work; a queue may stall.

use crate::protocol_support;
use crate::support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use protocol_support::{Peer, RANDOM, number, object, text};
use support::{PATIENCE, Pending, Seen, Server, Tls, media, options, push, trusting, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use weir_net::{DialFault, Egress};
use weir_rtmp::net::{ClientError, ClientOptions, ClientTarget, PeerTimeouts, PushEvent};
use weir_rtmp::url::RtmpUrl;
use weir_rtmp::wire::{ServerHandshake, Value, type_id};

fn target(url: &str) -> ClientTarget {
    ClientTarget { url: RtmpUrl::parse(url).unwrap(), stream_key: "key-of-ours".into(), enhanced: false }
}

/// A server that answers the nth connection's `connect` with the nth script, and reports the apps that were asked for.
async fn scripted(scripts: Vec<Vec<Value>>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (apps, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for script in scripts {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let (mut peer, connect) = accept(&mut tcp).await;
            apps.send(connect[2].get("app").unwrap().as_str().unwrap().to_owned()).unwrap();
            if !script.is_empty() {
                let answer = peer.command(0, &script);
                tcp.write_all(&answer).await.unwrap();
            }
        }
    });
    (addr, seen)
}

/// Takes the handshake and `connect`.
async fn accept(tcp: &mut TcpStream) -> (Peer, Vec<Value>) {
    let mut handshake = ServerHandshake::new(RANDOM, 0);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    while !handshake.feed(&mut input, &mut out).unwrap() {
        tcp.write_all(&out.split()).await.unwrap();
        assert!(tcp.read_buf(&mut input).await.unwrap() > 0);
    }
    tcp.write_all(&out).await.unwrap();
    let mut peer = Peer::new();
    loop {
        if let Some((_, connect)) = peer.read_commands(&input.split()).pop() {
            return (peer, connect);
        }
        assert!(tcp.read_buf(&mut input).await.unwrap() > 0);
    }
}

fn reject(description: &str) -> Vec<Value> {
    let code = text("NetConnection.Connect.Rejected");
    let info = object(&[("level", text("error")), ("code", code), ("description", text(description))]);
    vec![text("_error"), number(1), Value::Null, info]
}

fn redirect(to: &str) -> Vec<Value> {
    let ex = object(&[("code", number(302)), ("redirect", text(to))]);
    let code = text("NetConnection.Connect.Rejected");
    let info = object(&[("level", text("error")), ("code", code), ("description", text("moved")), ("ex", ex)]);
    vec![text("_error"), number(1), Value::Null, info]
}

#[tokio::test]
async fn every_failure_has_its_own_error() {
    let closed_port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let result = push(&target(&format!("rtmp://127.0.0.1:{closed_port}/live")), &options()).await;
    assert!(matches!(result, Err(ClientError::Dial(DialFault::Refused))), "{result:?}");

    let result = push(&target("rtmp://no-such-host.invalid/live"), &options()).await;
    assert!(matches!(result, Err(ClientError::Dial(DialFault::Resolve))), "{result:?}");

    let forbid = within(Egress::new(["127.0.0.0/8".parse().unwrap()], []));
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
        let result = push(&target(&format!("rtmp://{host}/live")), &forbid).await;
        assert!(matches!(result, Err(ClientError::Dial(DialFault::NotPermitted))), "{host} {result:?}");
    }

    // A listener with a backlog of one, which is full, answers no SYN.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let addr = full.local_addr().unwrap();
    let mut fillers = Vec::new();
    while let Ok(Ok(filler)) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(addr)).await {
        fillers.push(filler);
    }
    let hasty = ClientOptions { tcp_connect_timeout: Duration::from_millis(50), ..options() };
    let result = push(&target(&format!("rtmp://{addr}/live")), &hasty).await;
    assert!(matches!(result, Err(ClientError::Dial(DialFault::Unreachable))), "{result:?}");

    let (addr, _seen) = scripted(vec![vec![]]).await;
    let result = push(&target(&format!("rtmp://{addr}/live")), &options()).await;
    assert!(matches!(result, Err(ClientError::Closed)), "{result:?}");

    let (addr, _seen) = scripted(vec![reject("Application (x) is not defined.")]).await;
    let result = push(&target(&format!("rtmp://{addr}/live")), &options()).await;
    assert!(matches!(result, Err(ClientError::Rejected { auth: false, .. })), "{result:?}");

    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = web.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = web.accept().await.unwrap();
        tcp.write_all(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"[..].to_vec(), vec![0; 4000]].concat()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let result = push(&target(&format!("rtmp://{addr}/live")), &options()).await;
    assert!(matches!(result, Err(ClientError::Protocol(_))), "{result:?}");
}

#[tokio::test]
async fn certificates_are_verified() {
    let tls = Tls::new();
    let server = Server::start_with(Some(tls.server), PeerTimeouts::default()).await;
    let result = push(&server.target(true, "key"), &options()).await;
    assert!(
        matches!(&result, Err(ClientError::Dial(DialFault::Tls(words))) if words.contains("add it to tls.ca")),
        "{result:?}"
    );

    let trusting = trusting(tls.client);
    let mut other_name = server.target(true, "key");
    other_name.url.host = "127.0.0.1".into();
    let result = push(&other_name, &trusting).await;
    assert!(
        matches!(&result, Err(ClientError::Dial(DialFault::Tls(words))) if words.contains("for localhost, not for 127.0.0.1")),
        "{result:?}"
    );

    let plain = Server::start().await;
    let result = push(&plain.target(true, "key"), &trusting).await;
    assert!(matches!(result, Err(ClientError::Dial(DialFault::Tls(_)))), "{result:?}");
}

#[tokio::test]
async fn redirects_are_followed_within_limits() {
    let mut goal = Server::start().await;
    let (addr, _seen) = scripted(vec![redirect(&format!("rtmp://{}/elsewhere", goal.addr))]).await;
    let connection = push(&target(&format!("rtmp://{addr}/live")), &options()).await.unwrap();
    let Seen::Publish { app, key, .. } = goal.next().await else { panic!() };
    assert_eq!((&*app, &*key), ("elsewhere", "key-of-ours"));
    drop(connection);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let circle = tokio::spawn(async move {
        for connections in 1.. {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let (mut peer, _) = accept(&mut tcp).await;
            let answer = peer.command(0, &redirect(&format!("rtmp://{addr}/live")));
            tcp.write_all(&answer).await.unwrap();
            if connections == 4 {
                return;
            }
        }
    });
    let result = push(&target(&format!("rtmp://{addr}/live")), &options()).await;
    assert!(matches!(result, Err(ClientError::TooManyRedirects)), "{result:?}");
    circle.await.unwrap();

    // The egress rule is asked about the redirect's address too.
    let (addr, _seen) = scripted(vec![redirect("rtmp://127.0.0.2/live")]).await;
    let only_first = within(Egress::new(["127.0.0.2/32".parse().unwrap()], []));
    let result = push(&target(&format!("rtmp://{addr}/live")), &only_first).await;
    assert!(matches!(result, Err(ClientError::Dial(DialFault::NotPermitted))), "{result:?}");
}

#[tokio::test]
async fn adobe_authentication_takes_three_connections() {
    const NEED: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    const CHALLENGE: &str = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=u&salt=s&opaque=o";
    const FAILED: &str = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=o";
    let (addr, mut seen) = scripted(vec![reject(NEED), reject(CHALLENGE), reject(FAILED)]).await;
    let result = push(&target(&format!("rtmp://u:pass-word@{addr}/live")), &options()).await;
    let Err(ClientError::Rejected { description, auth: true, .. }) = &result else { panic!("{result:?}") };
    assert_eq!(description, FAILED, "the server's words");
    let mut apps = Vec::new();
    while let Some(app) = seen.recv().await {
        apps.push(app);
    }
    assert_eq!(apps[..2], ["live", "live?authmod=adobe&user=u"]);
    assert!(apps[2].starts_with("live?authmod=adobe&user=u&challenge="), "{}", apps[2]);
    assert!(apps[2].contains("&response=") && apps[2].ends_with("&opaque=o"), "{}", apps[2]);
    assert!(!format!("{result:?}").contains("pass-word"));

    let (addr, _seen) = scripted(vec![reject(NEED)]).await;
    let result = push(&target(&format!("rtmp://{addr}/live")), &options()).await;
    assert!(matches!(result, Err(ClientError::Rejected { auth: true, .. })), "no credentials: {result:?}");
}

#[tokio::test]
async fn a_stalled_server_and_cancelled_drives_lose_nothing() {
    let mut server = Server::start().await;
    let small = ClientOptions { send_buffer_bytes: 16 * 1024, ..options() };
    let mut connection = push(&server.target(false, "key"), &small).await.unwrap();
    assert!(matches!(server.next().await, Seen::Publish { .. }));
    let count = 60;
    let stream_id = connection.stream_id();
    let parcel = |n| media(stream_id, type_id::VIDEO, n, &vec![n as u8; 70_000 + n as usize]);
    let mut pending = Pending::of((0..count).map(parcel));
    let total: u64 = pending.0.iter().map(|bytes| bytes.left_bytes() as u64).sum();
    let before = connection.progress().written_bytes;
    let mut cancelled = 0;
    loop {
        // Each round polls once and is dropped when it is not ready, as the harshest caller would do.
        let polled = {
            let drive = connection.drive(&mut pending);
            tokio::pin!(drive);
            std::future::poll_fn(|cx| std::task::Poll::Ready(drive.as_mut().poll(cx))).await
        };
        match polled {
            std::task::Poll::Ready(event) => {
                assert_eq!(event.unwrap(), PushEvent::Drained);
                if pending.0.is_empty() {
                    break;
                }
            }
            std::task::Poll::Pending => {
                cancelled += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(cancelled > 0, "the buffers took 4 MB at once");
    assert_eq!(connection.progress().written_bytes - before, total);
    for n in 0..count {
        let Seen::Media { message, .. } = server.next().await else { panic!() };
        assert_eq!((message.timestamp_ms, message.payload.len()), (n, 70_000 + n as usize));
        assert!(message.payload.iter().all(|byte| *byte == n as u8));
    }
}

async fn acked(connection: &weir_rtmp::net::PublishConnection, bytes: u64) {
    let all = async {
        while connection.progress().acked_bytes < bytes {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("not acknowledged");
}

#[tokio::test]
async fn progress_is_what_the_peer_took_not_what_we_wrote() {
    for secure in [false, true] {
        let tls = Tls::new();
        let server_tls = secure.then_some(tls.server);
        let server = Server::start_with(server_tls, PeerTimeouts::default()).await;
        let options = trusting(tls.client);
        let mut connection = push(&server.target(secure, "key"), &options).await.unwrap();
        let mut pending = Pending::of([media(connection.stream_id(), type_id::VIDEO, 0, &[0; 300_000])]);
        support::drive_all(&mut connection, &mut pending).await;
        let written = connection.progress().written_bytes;
        acked(&connection, written).await;
        let progress = connection.progress();
        assert_eq!(progress.acked_bytes, written, "never more than was written");
        assert!(progress.rtt_us.is_some());
    }
}

#[tokio::test]
async fn a_wedged_server_stops_the_progress() {
    let tls = Tls::new();
    for secure in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&tls.server));
        let wedge = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            if secure { wedged(acceptor.accept(tcp).await.unwrap()).await } else { wedged(tcp).await }
        });
        let scheme = if secure { "rtmps" } else { "rtmp" };
        let options = trusting(Arc::clone(&tls.client));
        let url = format!("{scheme}://localhost:{}/live", addr.port());
        let mut connection = push(&target(&url), &options).await.unwrap();
        let mut pending = Pending::of((0..20).map(|n| media(1, type_id::VIDEO, n, &vec![0; 1 << 20])));
        let stalled = tokio::time::timeout(Duration::from_millis(500), connection.drive(&mut pending)).await;
        assert!(stalled.is_err(), "{stalled:?}");
        let before = connection.progress();
        assert!(before.acked_bytes < before.written_bytes, "{before:?}");
        let stalled = tokio::time::timeout(Duration::from_millis(300), connection.drive(&mut pending)).await;
        assert!(stalled.is_err());
        // Late acknowledgements may come for what the receive buffer still took; after them nothing moves.
        let after = connection.progress();
        assert!(after.acked_bytes < after.written_bytes, "{after:?}");
        let started = std::time::Instant::now();
        connection.close().await;
        assert!(started.elapsed() < Duration::from_secs(3), "close is bounded");
        wedge.abort();
    }
}

/// Accepts the publish and then reads no more.
async fn wedged<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut stream: S) {
    let mut handshake = ServerHandshake::new(RANDOM, 0);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    while !handshake.feed(&mut input, &mut out).unwrap() {
        stream.write_all(&out.split()).await.unwrap();
        stream.flush().await.unwrap();
        assert!(stream.read_buf(&mut input).await.unwrap() > 0);
    }
    let mut peer = Peer::new();
    let start = object(&[("level", text("status")), ("code", text("NetStream.Publish.Start"))]);
    loop {
        for (_, values) in peer.read_commands(&input.split()) {
            let answer = match values[0].as_str().unwrap() {
                "connect" => peer.command(0, &[text("_result"), number(1), Value::Null, Value::Null]),
                "createStream" => peer.command(0, &[text("_result"), number(4), Value::Null, number(1)]),
                "publish" => {
                    let answer = peer.command(1, &[text("onStatus"), number(0), Value::Null, start]);
                    stream.write_all(&answer).await.unwrap();
                    stream.flush().await.unwrap();
                    return std::future::pending().await;
                }
                _ => continue,
            };
            stream.write_all(&answer).await.unwrap();
            stream.flush().await.unwrap();
        }
        assert!(stream.read_buf(&mut input).await.unwrap() > 0);
    }
}

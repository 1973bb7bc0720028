//! srt-tokio is the other end: an implementation that shares no line with libsrt speaks the same protocol.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: its panics are its report")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use srt_tokio::{SrtListener as TokioListener, SrtSocket};
use tokio::time::timeout;
use weir_net::Dialer;
use weir_srt::{
    Accepted, Admittance, CallTarget, Gate, ListenLimits, Received, SrtConnection, SrtListener, SrtStreamId, call,
    reject,
};

const SOON: Duration = Duration::from_secs(30);
const MESSAGES: u32 = 50;

struct Doorkeeper;

impl Gate for Doorkeeper {
    fn ask(&self, id: &SrtStreamId<'_>, _remote: SocketAddr) -> Result<Admittance, i32> {
        match id {
            SrtStreamId::Publish { stream_key, .. } if stream_key == "abc" => Ok(Admittance::default()),
            _ => Err(reject::FORBIDDEN),
        }
    }
}

fn message(number: u32) -> Bytes {
    let mut message = vec![0x47; 1316];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message.into()
}

async fn receive(connection: &mut SrtConnection) -> Option<u32> {
    let mut buffer = [0; weir_srt::connection::PAYLOAD_BYTES_MAX];
    loop {
        match connection.try_receive(&mut buffer) {
            Received::Message(1316) => return Some(u32::from_be_bytes(*buffer.first_chunk().unwrap())),
            Received::Message(other) => panic!("a message of {other} bytes"),
            Received::Nothing => connection.readable().await,
            Received::End => return None,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_publishes_to_us() {
    let listener =
        SrtListener::bind("127.0.0.1:0".parse().unwrap(), ListenLimits::default(), Arc::new(Doorkeeper)).unwrap();
    let address = listener.local_addr().to_string();
    let refused = SrtSocket::builder().call(address.as_str(), Some("publish:nobody")).await;
    assert!(refused.is_err(), "a key that nobody knows");
    let mut caller = SrtSocket::builder().call(address.as_str(), Some("publish:abc")).await.unwrap();
    let Accepted { mut connection, permit: _permit } = timeout(SOON, listener.accept()).await.unwrap();
    for number in 0..MESSAGES {
        caller.send((Instant::now(), message(number))).await.unwrap();
        // Its clock begins anew with each message that it is given late.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for number in 0..MESSAGES {
        assert_eq!(timeout(SOON, receive(&mut connection)).await.unwrap(), Some(number));
    }
    caller.close().await.unwrap();
    assert_eq!(timeout(SOON, receive(&mut connection)).await.unwrap(), None);
}

/// srt-tokio tells callers apart by address and port alone. Both calls get through because they come from two ports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_push_to_it_twice() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (_listener, mut incoming) =
        TokioListener::builder().bind(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    let accepting = tokio::spawn(async move {
        let mut sockets = Vec::new();
        while sockets.len() < 2 {
            let request = incoming.incoming().next().await.unwrap();
            assert_eq!(request.stream_id().map(|id| id.as_str()), Some("publish:abc"));
            sockets.push(request.accept(None).await.unwrap());
        }
        sockets
    });
    let target = CallTarget {
        host: "127.0.0.1".to_owned(),
        port,
        stream_id: Some("publish:abc".to_owned()),
        passphrase: None,
        key_bytes: None,
        latency: Some(Duration::from_millis(200)),
        payload_bytes: None,
        send_buffer_bytes: None,
        receives: false,
    };
    let dialer = Dialer::default();
    let callers = [call(&target, &dialer).await.unwrap(), call(&target, &dialer).await.unwrap()];
    let sockets = timeout(SOON, accepting).await.unwrap().unwrap();
    for caller in &callers {
        for number in 0..MESSAGES {
            while !caller.try_send(&message(number)).unwrap() {
                caller.writable().await.unwrap();
            }
        }
    }
    for mut socket in sockets {
        for number in 0..MESSAGES {
            let (_, bytes) = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
            assert_eq!(bytes, message(number));
        }
    }
}

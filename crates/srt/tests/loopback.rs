//! A listener and callers of this crate: who gets in, what arrives, and how each end sees the other's figures.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: its panics are its report")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use weir_net::{DialFault, Dialer, Egress};
use weir_srt::{
    Accepted, Admittance, CallError, CallTarget, ConnectionLost, Gate, ListenLimits, Received, SrtConnection,
    SrtListener, SrtStreamId, call, reject,
};

const SOON: Duration = Duration::from_secs(30);
const PASSPHRASE: &str = "correct horse battery";

/// A gate that knows `plain` and `sealed`; the latter wants a passphrase.
struct Doorkeeper;

impl Gate for Doorkeeper {
    fn ask(&self, id: &SrtStreamId<'_>, _remote: SocketAddr) -> Result<Admittance, i32> {
        let SrtStreamId::Publish { stream_key, .. } = id else { return Err(reject::BAD_MODE) };
        match &**stream_key {
            "plain" => Ok(Admittance::default()),
            "sealed" => Ok(Admittance { passphrase: Some(PASSPHRASE.to_owned()), latency: None }),
            "slow" => Ok(Admittance { latency: Some(Duration::from_millis(700)), ..Admittance::default() }),
            "bug" => panic!("a gate that panics"),
            _ => Err(reject::FORBIDDEN),
        }
    }
}

fn listener(limits: ListenLimits) -> SrtListener {
    SrtListener::bind("127.0.0.1:0".parse().unwrap(), limits, Arc::new(Doorkeeper)).unwrap()
}

fn target(listener: &SrtListener, stream_id: &str) -> CallTarget {
    CallTarget {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().port(),
        stream_id: Some(stream_id.to_owned()),
        passphrase: None,
        key_bytes: None,
        latency: None,
        payload_bytes: None,
        send_buffer_bytes: None,
        receives: false,
    }
}

fn everyone() -> Dialer {
    Dialer::default()
}

async fn accept(listener: &SrtListener) -> Accepted {
    timeout(SOON, listener.accept()).await.unwrap()
}

/// The next message. `None` at the end.
async fn receive(connection: &mut SrtConnection) -> Option<Vec<u8>> {
    let mut buffer = [0; weir_srt::connection::PAYLOAD_BYTES_MAX];
    timeout(SOON, async {
        loop {
            match connection.try_receive(&mut buffer) {
                Received::Message(bytes) => return Some(buffer[..bytes].to_vec()),
                Received::Nothing => connection.readable().await,
                Received::End => return None,
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn messages_arrive_and_the_end_is_seen_after_them() {
    let listener = listener(ListenLimits::default());
    let caller = call(&target(&listener, "publish:plain"), &everyone()).await.unwrap();
    let Accepted { mut connection, permit } = accept(&listener).await;
    assert_eq!((connection.stream_id(), listener.connections_open()), ("publish:plain", 1));
    for number in 0..200_u32 {
        while !caller.try_send(&number.to_be_bytes()).unwrap() {
            caller.writable().await.unwrap();
        }
    }
    caller.close().await;
    for number in 0..200_u32 {
        assert_eq!(receive(&mut connection).await, Some(number.to_be_bytes().to_vec()));
        assert_eq!(connection.stats().receive_dropped_packets, 0);
    }
    assert_eq!(receive(&mut connection).await, None);
    drop(permit);
    assert_eq!(listener.connections_open(), 0);
}

#[tokio::test]
async fn a_caller_sees_acknowledgements_and_the_listeners_end() {
    let listener = listener(ListenLimits::default());
    let caller = call(&target(&listener, "plain"), &everyone()).await.unwrap();
    let accepted = accept(&listener).await;
    assert!(caller.try_send(&[7; 1316]).unwrap());
    timeout(SOON, async {
        while caller.stats().send_buffered_bytes > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(caller.stats().sent_packets, 1);
    drop(accepted);
    assert_eq!(timeout(SOON, caller.lost()).await.unwrap(), ConnectionLost::Gone);
    assert_eq!(caller.try_send(&[7; 100]), Err(ConnectionLost::Gone));
}

#[tokio::test]
async fn passphrases_keys_and_latency() {
    let listener = listener(ListenLimits { latency: Duration::from_millis(300), ..ListenLimits::default() });
    let sealed = target(&listener, "sealed");
    for key_bytes in [None, Some(16), Some(24), Some(32)] {
        let wanted = CallTarget { passphrase: Some(PASSPHRASE.to_owned()), key_bytes, ..sealed.clone() };
        let caller = call(&wanted, &everyone()).await.unwrap();
        let mut accepted = accept(&listener).await;
        assert!(caller.try_send(b"hello").unwrap());
        assert_eq!(receive(&mut accepted.connection).await.as_deref(), Some(&b"hello"[..]), "{key_bytes:?}");
    }
    let with = |stream_id: &str, passphrase: Option<&str>| CallTarget {
        passphrase: passphrase.map(str::to_owned),
        ..target(&listener, stream_id)
    };
    for (target, expected) in [
        (with("sealed", Some("wrong passphrase")), CallError::EncryptionMismatch { code: 10 }),
        (with("sealed", None), CallError::EncryptionMismatch { code: 11 }),
        (with("plain", Some(PASSPHRASE)), CallError::EncryptionMismatch { code: 11 }),
        (with("nobody", None), CallError::Rejected { code: reject::FORBIDDEN }),
        (with("request:x", None), CallError::Rejected { code: reject::BAD_MODE }),
        (with("#!::m=publish", None), CallError::Rejected { code: reject::BAD_REQUEST }),
        (with("bug", None), CallError::Rejected { code: 1500 }),
    ] {
        assert_eq!(call(&target, &everyone()).await.unwrap_err(), expected, "{:?}", target.stream_id);
    }
    // The largest wish of all three counts: the caller's, the listener's and the stream's.
    for (stream_id, asked_ms, expected_ms) in [("plain", 20, 300), ("plain", 500, 500), ("slow", 20, 700)] {
        let wanted = CallTarget { latency: Some(Duration::from_millis(asked_ms)), ..target(&listener, stream_id) };
        let caller = call(&wanted, &everyone()).await.unwrap();
        let accepted = accept(&listener).await;
        let negotiated = (caller.stats().send_latency_ms, accepted.connection.stats().receive_latency_ms);
        assert_eq!(negotiated, (expected_ms, expected_ms), "{stream_id}");
    }
}

#[tokio::test]
async fn nobody_there_no_name_and_not_permitted() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = listener(ListenLimits::default());
    let absent = CallTarget { port: free.local_addr().unwrap().port(), ..target(&listener, "plain") };
    assert_eq!(call(&absent, &everyone()).await.unwrap_err(), CallError::Dial(DialFault::Unreachable));
    let nameless = CallTarget { host: "no-such-host.invalid".to_owned(), ..absent };
    assert_eq!(call(&nameless, &everyone()).await.unwrap_err(), CallError::Dial(DialFault::Resolve));
    let elsewhere = Dialer::default().within(Egress::new(["127.0.0.0/8".parse().unwrap()], []));
    let refused = call(&target(&listener, "plain"), &elsewhere).await.unwrap_err();
    assert_eq!(refused, CallError::Dial(DialFault::NotPermitted));
}

#[tokio::test]
async fn too_many_from_one_address_are_rejected() {
    let listener = listener(ListenLimits { connections_per_ip_max: 2, ..ListenLimits::default() });
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push((call(&target(&listener, "plain"), &everyone()).await.unwrap(), accept(&listener).await));
    }
    let refused = call(&target(&listener, "plain"), &everyone()).await.unwrap_err();
    assert_eq!(refused, CallError::Rejected { code: reject::OVERLOAD });
    open.pop();
    assert!(call(&target(&listener, "plain"), &everyone()).await.is_ok(), "a place is free again");
}

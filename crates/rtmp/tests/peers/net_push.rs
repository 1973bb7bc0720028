//! Our push client against our listener, over real sockets.

use crate::support;

use support::{Pending, Seen, Server, Tls, drive_all, media, options, push, trusting};
use weir_rtmp::net::{ClientOptions, CloseReason, MessageKind, PeerTimeouts};
use weir_rtmp::wire::type_id;

async fn publishes(server: &mut Server, tls: bool, options: &ClientOptions) {
    let mut connection = push(&server.target(tls, "key?token=t"), options).await.unwrap();
    let Seen::Publish { app, key, query, connect } = server.next().await else { panic!("no publish") };
    assert_eq!((&*app, &*key, &*query), ("live", "key", "token=t"));
    let names: Vec<_> = connect.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["app", "type", "flashVer", "tcUrl"], "the fields that ffmpeg sends, in its order");

    let stream_id = connection.stream_id();
    let big = vec![0x17; 700_000];
    let mut pending = Pending::of([
        media(stream_id, type_id::VIDEO, 20_000_000, &big),
        media(stream_id, type_id::AUDIO, 20_000_010, b"\xaf\x01abc"),
    ]);
    drive_all(&mut connection, &mut pending).await;
    for (kind, timestamp_ms, bytes) in [(MessageKind::Video, 20_000_000, 700_000), (MessageKind::Audio, 20_000_010, 5)]
    {
        let Seen::Media { message, .. } = server.next().await else { panic!("no media") };
        assert_eq!((message.kind, message.timestamp_ms, message.payload.len()), (kind, timestamp_ms, bytes));
    }
    let written = connection.progress().written_bytes;
    assert!(written > 700_000, "{written}");
    connection.close().await;
    assert!(matches!(server.next().await, Seen::Unpublish { .. }));
    assert_eq!(server.closed().await, CloseReason::PeerClosed);
}

#[tokio::test]
async fn publishes_over_tcp() {
    let mut server = Server::start().await;
    publishes(&mut server, false, &options()).await;
}

#[tokio::test]
async fn publishes_over_tls() {
    let tls = Tls::new();
    let mut server = Server::start_with(Some(tls.server), PeerTimeouts::default()).await;
    publishes(&mut server, true, &trusting(tls.client)).await;
}

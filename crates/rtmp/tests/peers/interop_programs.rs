//! ffmpeg, GStreamer's rtmp2sink and librtmp (rtmpsink) publish to us and hear our refusals; ffmpeg takes our push.

use crate::support;

use std::collections::VecDeque;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{PATIENCE, Pending, Seen, Server, Tls, drive_all, media, options, push};
use tokio::process::{Child, Command};
use weir_net::DialFault;
use weir_rtmp::net::{ClientError, CloseReason, MediaMessage, MessageKind, PeerTimeouts};
use weir_rtmp::parcel::Parcel;
use weir_rtmp::wire::type_id;

const VIDEO_FRAMES: usize = 60;

fn ffmpeg(arguments: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]).args(arguments.split(' '));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// An ffmpeg that publishes two seconds of test picture and tone.
fn ffmpeg_publish(url: &str) -> Child {
    let frames = VIDEO_FRAMES.to_string();
    let arguments = format!(
        "-f lavfi -i testsrc2=size=320x240:rate=30 -f lavfi -i sine -frames:v {frames} -t 2 \
         -c:v libx264 -preset ultrafast -g 30 -bf 0 -pix_fmt yuv420p -c:a aac -f flv {url}"
    );
    let arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
    ffmpeg(&arguments).spawn().expect("ffmpeg is installed")
}

fn gstreamer_publish(sink: &str, url: &str, buffers: usize) -> Child {
    let pipeline = format!(
        "videotestsrc num-buffers={buffers} ! video/x-raw,width=320,height=240,framerate=30/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! h264parse ! flvmux streamable=true ! {sink}"
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace()).arg(format!("location={url}"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("GStreamer is installed")
}

async fn ends(child: Child) -> Output {
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("the program hangs").unwrap()
}

/// All messages of one publish, up to its end.
async fn published(server: &mut Server) -> Vec<MediaMessage> {
    let mut messages = Vec::new();
    loop {
        match server.next().await {
            Seen::Media { message, .. } => messages.push(message),
            Seen::Unpublish { .. } => return messages,
            Seen::Publish { app, key, query, .. } => assert_eq!((&*app, &*key, &*query), ("live", "key", "a=b")),
            other => panic!("{other:?}"),
        }
    }
}

fn video_frames(messages: &[MediaMessage]) -> usize {
    // Packet type 1 is a frame; 0 would be the decoder configuration and 2 the end of sequence.
    messages.iter().filter(|m| m.kind == MessageKind::Video && m.payload.get(1) == Some(&1)).count()
}

#[tokio::test]
async fn ffmpeg_publishes_over_tcp_and_tls() {
    let tls = Tls::new();
    for (scheme, tls) in [("rtmp", None), ("rtmps", Some(Arc::clone(&tls.server)))] {
        let mut server = Server::start_with(tls, PeerTimeouts::default()).await;
        let child = ffmpeg_publish(&format!("{scheme}://localhost:{}/live/key?a=b", server.addr.port()));
        let messages = published(&mut server).await;
        assert_eq!(video_frames(&messages), VIDEO_FRAMES, "{scheme}");
        assert!(messages.iter().filter(|m| m.kind == MessageKind::Audio).count() > 80, "{scheme}");
        let metadata = messages.iter().find(|m| m.kind == MessageKind::Data).unwrap();
        assert!(metadata.payload.starts_with(b"\x02\x00\x0aonMetaData"), "{scheme}");
        let output = ends(child).await;
        assert!(output.status.success(), "{scheme}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(server.closed().await, CloseReason::PeerClosed);
    }
}

#[tokio::test]
async fn gstreamer_and_librtmp_publish() {
    for sink in ["rtmp2sink", "rtmpsink"] {
        let mut server = Server::start().await;
        let url = format!("rtmp://127.0.0.1:{}/live/key?a=b", server.addr.port());
        let child = gstreamer_publish(sink, &url, VIDEO_FRAMES);
        let messages = published(&mut server).await;
        assert_eq!(video_frames(&messages), VIDEO_FRAMES, "{sink}");
        let output = ends(child).await;
        assert!(output.status.success(), "{sink}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn rtmp2sink_publishes_over_tls() {
    let tls = Tls::new();
    let mut server = Server::start_with(Some(tls.server), PeerTimeouts::default()).await;
    let url = format!("rtmps://localhost:{}/live/key?a=b", server.addr.port());
    let child = gstreamer_publish("rtmp2sink tls-validation-flags=0", &url, VIDEO_FRAMES);
    assert_eq!(video_frames(&published(&mut server).await), VIDEO_FRAMES);
    ends(child).await;
    assert_eq!(server.closed().await, CloseReason::PeerClosed, "it sends no close_notify");
}

/// rtmp2sink and librtmp wait for ever on a refusal that leaves the socket open.
#[tokio::test]
async fn refusals_end_every_program_soon() {
    for key in ["denied", "busy"] {
        for program in ["ffmpeg", "rtmp2sink", "rtmpsink"] {
            let server = Server::start().await;
            let url = format!("rtmp://127.0.0.1:{}/live/{key}", server.addr.port());
            let started = Instant::now();
            let child = match program {
                "ffmpeg" => ffmpeg_publish(&url),
                sink => gstreamer_publish(sink, &url, 100_000),
            };
            let output = ends(child).await;
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{program} {key}: {words}");
            let took = started.elapsed();
            assert!(took < Duration::from_secs(10), "{program} {key} took {took:?}: {words}");
            if program == "ffmpeg" {
                assert!(words.contains(if key == "busy" { "already publishing" } else { "not known" }), "{words}");
            }
        }
    }
}

/// The md5 of one kind of packet in a file, as ffmpeg demuxes them.
async fn packets_md5(file: &std::path::Path, stream: &str) -> String {
    let output = ffmpeg(&format!("-i {} -map 0:{stream} -c copy -f md5 -", file.display())).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A file, the messages that a publisher sends of it, and where a copy may go.
struct Material {
    directory: std::path::PathBuf,
    source: std::path::PathBuf,
    copy: std::path::PathBuf,
    server: Server,
    messages: Vec<MediaMessage>,
}

impl Material {
    async fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("weir-rtmp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (source, copy) = (directory.join("source.flv"), directory.join("copy.flv"));
        let made = ffmpeg_publish(source.to_str().unwrap());
        assert!(ends(made).await.status.success());
        let mut server = Server::start().await;
        let url = format!("rtmp://127.0.0.1:{}/live/key?a=b", server.addr.port());
        let publisher = ffmpeg(&format!("-i {} -c copy -f flv {url}", source.display())).spawn().unwrap();
        let messages = published(&mut server).await;
        ends(publisher).await;
        Self { directory, source, copy, server, messages }
    }

    fn serialised(&self, stream_id: u32) -> VecDeque<Parcel> {
        let one = |message: &MediaMessage| {
            let type_id = match message.kind {
                MessageKind::Audio => type_id::AUDIO,
                MessageKind::Video => type_id::VIDEO,
                MessageKind::Data => type_id::DATA_AMF0,
            };
            media(stream_id, type_id, message.timestamp_ms, &message.payload)
        };
        self.messages.iter().map(one).collect()
    }

    async fn assert_copied(self, program: Child) {
        let output = ends(program).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for stream in ["v", "a"] {
            let (sent, received) = (packets_md5(&self.source, stream).await, packets_md5(&self.copy, stream).await);
            assert_eq!(sent, received, "{stream}");
        }
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

#[tokio::test]
async fn ffmpeg_takes_our_push_unchanged() {
    let material = Material::new("push").await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("-listen 1 -i rtmp://127.0.0.1:{port}/live/key -c copy {}", material.copy.display());
    let receiver = ffmpeg(&listen).spawn().unwrap();
    let mut target = material.server.target(false, "key");
    target.url.port = port;
    target.url.host = "127.0.0.1".into();
    let mut connection = loop {
        match push(&target, &options()).await {
            Ok(connection) => break connection,
            // It has to open its port first.
            Err(ClientError::Dial(DialFault::Refused)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    };
    let mut pending = Pending(material.serialised(connection.stream_id()));
    drive_all(&mut connection, &mut pending).await;
    connection.close().await;
    material.assert_copied(receiver).await;
}

#[tokio::test]
async fn ffmpeg_plays_from_us_unchanged() {
    let material = Material::new("play").await;
    *material.server.recorder.play.lock().unwrap() = material.serialised(1);
    let url = format!("rtmp://127.0.0.1:{}/play/cam1", material.server.addr.port());
    let player = ffmpeg(&format!("-i {url} -c copy {}", material.copy.display())).spawn().unwrap();
    material.assert_copied(player).await;
}

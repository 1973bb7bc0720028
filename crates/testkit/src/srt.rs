//! SRT peers: listeners that are not ours, and a live publisher that tells what it sent.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::runtime::Builder;
use weir_media::{Frame, MediaTime};
use weir_mux::ts::{PACKET_BYTES, TsCounts, TsReader, TsWriter};
use weir_net::Dialer;
use weir_srt::{CallError, CallTarget, SrtConnection, call};

use crate::Child;
use crate::frames::SyntheticSource;
use crate::nginx::free_port;

/// The message size that all senders use.
const MESSAGE_BYTES: usize = 7 * PACKET_BYTES;

/// How often a publisher looks for frames that are due.
const FRAMES_EVERY: Duration = Duration::from_millis(10);

/// A UDP port that was free a moment ago.
pub fn free_udp_port() -> u16 {
    std::iter::repeat_with(free_port)
        .take(1_000)
        .find(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A listener by another program, and where to call it.
#[derive(Debug)]
pub struct SrtListening {
    pub address: SocketAddr,
    pub child: Child,
}

impl SrtListening {
    /// The URL to push to, with these parameters.
    pub fn url(&self, query: &str) -> String {
        format!("srt://{}?mode=caller{}{query}", self.address, if query.is_empty() { "" } else { "&" })
    }
}

/// `srt-live-transmit` into a file. `query` is put into its own URL (`latency=500&passphrase=...`; its latency is in ms).
pub fn live_transmit(query: &str, file: &Path) -> SrtListening {
    let address = SocketAddr::from(([127, 0, 0, 1], free_udp_port()));
    live_transmit_on(address, query, file)
}

/// `srt-live-transmit` on that address.
pub fn live_transmit_on(address: SocketAddr, query: &str, file: &Path) -> SrtListening {
    let separator = if query.is_empty() { "" } else { "&" };
    let url = format!("srt://{address}?mode=listener{separator}{query}");
    // It writes to its standard output without buffering, since otherwise the last 4
    // kB would wait for more. The shell gives way to it, so that signals reach it.
    let mut command = Command::new("sh");
    command.args(["-c", "exec stdbuf -o0 srt-live-transmit -q -chunk:1456 \"$0\" file://con > \"$1\"", &url]).arg(file);
    SrtListening { address, child: Child::start(command) }
}

/// ffmpeg as a listener, which writes what it gets to a file as it is; its latency is in microseconds.
pub fn ffmpeg_listener(query: &str, file: &Path) -> SrtListening {
    let address = SocketAddr::from(([127, 0, 0, 1], free_udp_port()));
    let separator = if query.is_empty() { "" } else { "&" };
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-i"]);
    command.arg(format!("srt://{address}?mode=listener{separator}{query}"));
    command.args(["-c", "copy", "-f", "mpegts", "-y"]).arg(file);
    SrtListening { address, child: Child::start(command) }
}

/// GStreamer's `srtsrc` as a listener, into a file.
pub fn gstreamer_listener(query: &str, file: &Path) -> SrtListening {
    let address = SocketAddr::from(([127, 0, 0, 1], free_udp_port()));
    let separator = if query.is_empty() { "" } else { "&" };
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "-e", "srtsrc"]).arg(format!("uri=srt://{address}?mode=listener{separator}{query}"));
    command.args(["!", "filesink", "buffer-mode=unbuffered"]).arg(format!("location={}", file.display()));
    SrtListening { address, child: Child::start(command) }
}

/// Publishes a file as MPEG-TS in real time.
pub fn publish(file: &Path, url: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-re", "-i"]).arg(file);
    command.args(["-c", "copy", "-f", "mpegts", url]);
    Child::start(command)
}

/// Publishes a file as MPEG-TS over and over.
pub fn publish_looped(file: &Path, url: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error", "-re", "-stream_loop", "-1", "-i"]).arg(file);
    command.args(["-c", "copy", "-f", "mpegts", url]);
    Child::start(command)
}

/// What a reader finds in a file of MPEG-TS.
#[track_caller]
pub fn counts(file: &Path) -> TsCounts {
    let mut reader = TsReader::new(None);
    for piece in std::fs::read(file).expect("the file is there").chunks(64 << 10) {
        reader.feed(piece);
        while reader.next_event().is_some() {}
    }
    reader.counts()
}

/// The target of a call, made from a few words.
pub fn target(address: &str, stream_id: &str, passphrase: Option<(&str, u8)>) -> CallTarget {
    let address: SocketAddr = address.trim_start_matches("srt://").parse().expect("an address with a port");
    CallTarget {
        host: address.ip().to_string(),
        port: address.port(),
        stream_id: Some(stream_id.to_owned()),
        passphrase: passphrase.map(|(text, _)| text.to_owned()),
        key_bytes: passphrase.map(|(_, bytes)| bytes),
        latency: None,
        payload_bytes: None,
        send_buffer_bytes: None,
        receives: false,
    }
}

/// Calls once and hangs up; gives what a caller is told.
pub fn try_call(target: &CallTarget) -> Result<(), CallError> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async { call(target, &Dialer::default()).await.map(drop) })
}

/// Publishers in one thread, each of which sends a synthetic source in real time until this is dropped.
#[derive(Debug)]
pub struct SrtFeeds {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    killed: AtomicBool,
    connected: AtomicU64,
    lost: AtomicU64,
    frames: AtomicU64,
}

impl SrtFeeds {
    /// Starts the publishers; `source` makes the source of each.
    pub fn start(targets: Vec<CallTarget>, source: impl Fn() -> SyntheticSource + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            let local = tokio::task::LocalSet::new();
            for target in targets {
                local.spawn_local(publish_live(target, source(), Arc::clone(&of_thread)));
            }
            runtime.block_on(local);
        });
        Self { shared, thread: Some(thread) }
    }

    /// How many publishers were let in so far.
    pub fn connected(&self) -> u64 {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// How many publishers were cut off or not let in.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Ends all of them at once, without a goodbye: the far end only notices that the sockets are gone.
    pub fn kill(self) {
        self.shared.killed.store(true, Ordering::Relaxed);
    }

    /// How many frames all of them have sent.
    pub fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Relaxed)
    }
}

impl Drop for SrtFeeds {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread can only have ended by a panic of its own, which has been printed.
            let _ = thread.join();
        }
    }
}

async fn publish_live(target: CallTarget, mut source: SyntheticSource, shared: Arc<Shared>) {
    let Ok(connection) = call(&target, &Dialer::default()).await else {
        shared.lost.fetch_add(1, Ordering::Relaxed);
        return;
    };
    shared.connected.fetch_add(1, Ordering::Relaxed);
    let tracks = source.tracks();
    let mut writer = TsWriter::new(&tracks).expect("synthetic tracks can be carried");
    let (began, mut out) = (Instant::now(), BytesMut::new());
    while !shared.stop.load(Ordering::Relaxed) {
        let due = MediaTime::from_nanos(i64::try_from(began.elapsed().as_nanos()).expect("a short run"));
        for frame in source.frames_until(due) {
            write(&mut writer, &frame, &mut out);
            shared.frames.fetch_add(1, Ordering::Relaxed);
        }
        if !send(&connection, &out.split()).await {
            shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        tokio::time::sleep(FRAMES_EVERY).await;
    }
    if !shared.killed.load(Ordering::Relaxed) {
        connection.close().await;
    }
}

fn write(writer: &mut TsWriter, frame: &Frame, out: &mut BytesMut) {
    writer.write(frame, out).expect("synthetic frames can be carried");
}

async fn send(connection: &SrtConnection, packets: &[u8]) -> bool {
    for message in packets.chunks(MESSAGE_BYTES) {
        loop {
            match connection.try_send(message) {
                Ok(true) => break,
                Ok(false) if connection.writable().await.is_ok() => {}
                _ => return false,
            }
        }
    }
    true
}

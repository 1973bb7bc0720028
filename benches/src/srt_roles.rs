//! The roles of SRT's bench: a sink of many listeners that counts what comes, and a source that feeds relays the clip that Weir gets.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::BytesMut;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use weir_media::{Frame, FrameFlags, MediaTime, TrackId};
use weir_mux::flv::file::FlvTagKind;
use weir_mux::ts::{PACKET_BYTES, TsReader, TsWriter};
use weir_net::Dialer;
use weir_rtmp::protocol::{MediaMessage, MessageKind};
use weir_rtmp::to_frames::{ToFrames, Unpacked};
use weir_srt::connection::PAYLOAD_BYTES_MAX;
use weir_srt::{Accepted, Admittance, Gate, ListenLimits, Received, SrtConnection, SrtListener, SrtStreamId, call};
use weir_testkit::flv::read_flv;
use weir_testkit::publisher::looped;
use weir_testkit::srt::target;

const MESSAGE_BYTES: usize = 7 * PACKET_BYTES;

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    bytes: AtomicU64,
    continuity_errors: AtomicU64,
}

struct Everyone;

impl Gate for Everyone {
    fn ask(&self, _id: &SrtStreamId<'_>, _remote: SocketAddr) -> Result<Admittance, i32> {
        Ok(Admittance::default())
    }
}

/// Prints the ports of this many listeners, then, at each line of its input, what has come.
pub(crate) fn sink(listeners: usize) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let counts = Arc::new(Counts::default());
    let of_thread = Arc::clone(&counts);
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let local = LocalSet::new();
        let mut ports = Vec::new();
        for _ in 0..listeners {
            let address = SocketAddr::from(([127, 0, 0, 1], 0));
            let limits = ListenLimits { latency: Duration::from_millis(20), ..ListenLimits::default() };
            let Ok(listener) = SrtListener::bind(address, limits, Arc::new(Everyone)) else { return };
            ports.push(listener.local_addr().port());
            let counts = Arc::clone(&of_thread);
            local.spawn_local(async move {
                loop {
                    let accepted = listener.accept().await;
                    tokio::task::spawn_local(count(accepted, Arc::clone(&counts)));
                }
            });
        }
        let _ = tell.send(ports);
        runtime.block_on(local);
    });
    println!("{}", json!(told.recv().context("the listeners could not be bound")?));
    for _ in std::io::stdin().lock().lines() {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        println!(
            "{}",
            json!({
                "connections": read(&counts.connections),
                "bytes": read(&counts.bytes),
                "continuity_errors": read(&counts.continuity_errors),
            })
        );
    }
    Ok(())
}

async fn count(accepted: Accepted, counts: Arc<Counts>) {
    let Accepted { mut connection, permit: _permit } = accepted;
    counts.connections.fetch_add(1, Ordering::Relaxed);
    let (mut reader, mut errors) = (TsReader::new(None), 0);
    let mut buffer = [0; PAYLOAD_BYTES_MAX];
    loop {
        match connection.try_receive(&mut buffer) {
            Received::Message(length) => {
                counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
                reader.feed(&buffer[..length]);
                while reader.next_event().is_some() {}
                let now = reader.counts().continuity_errors;
                counts.continuity_errors.fetch_add(now - errors, Ordering::Relaxed);
                errors = now;
            }
            Received::Nothing => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                connection.readable().await;
            }
            Received::End => break,
        }
    }
    counts.connections.fetch_sub(1, Ordering::Relaxed);
}

/// Feeds relays (`srt://IP:PORT` or `udp://IP:PORT`) the clip as MPEG-TS in real time, over and over.
pub(crate) fn source(clip: &Path, relays: &[String]) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let (mut by_srt, mut by_udp): (Vec<SrtConnection>, Vec<SocketAddr>) = (Vec::new(), Vec::new());
        for relay in relays {
            match relay.strip_prefix("udp://") {
                Some(address) => by_udp.push(address.parse()?),
                None => by_srt.push(call(&target(relay, "bench", None), &Dialer::default()).await?),
            }
        }
        println!("ready");
        feed(clip, |message| {
            for relay in &by_udp {
                // A full buffer loses the message, which the sink counts.
                let _ = socket.send_to(message, relay);
            }
            for relay in &by_srt {
                let _ = relay.try_send(message);
            }
        })
        .await
    })
}

async fn feed(clip: &Path, send: impl Fn(&[u8])) -> anyhow::Result<()> {
    let clip = read_flv(clip);
    let (mut unpacker, mut unpacked, mut tracks) = (ToFrames::new(), Vec::new(), BTreeMap::new());
    let (mut writer, mut out) = (None, BytesMut::new());
    let start = Instant::now();
    for (at_ms, tag) in looped(&clip) {
        let kind = match tag.kind {
            FlvTagKind::Video => MessageKind::Video,
            FlvTagKind::Audio => MessageKind::Audio,
            FlvTagKind::Script => continue,
        };
        let message = MediaMessage { kind, timestamp_ms: at_ms as u32, payload: tag.body.clone() };
        unpacker.unpack(&message, &mut unpacked)?;
        for unpacked in unpacked.drain(..) {
            match unpacked {
                Unpacked::Track(info) => _ = tracks.insert(info.id, info),
                Unpacked::Frame(frame) => {
                    if writer.is_none() {
                        writer = Some(TsWriter::new(tracks.values())?);
                    }
                    let due = start + Duration::from_millis(at_ms);
                    tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
                    let dts = MediaTime::from_millis(i64::try_from(at_ms)?);
                    let flags = FrameFlags { keyframe: frame.keyframe, discontinuity: false };
                    let pts = dts + MediaTime::from_millis(i64::from(frame.cts_ms));
                    let whole = Frame { track: frame.track, dts, pts, flags, payload: frame.payload };
                    if let Some(writer) = &mut writer {
                        writer.write(&whole, &mut out)?;
                    }
                    // Sound goes with the next picture, as in Weir.
                    if frame.track == TrackId::SOURCE_VIDEO {
                        out.split().chunks(MESSAGE_BYTES).for_each(&send);
                    }
                }
            }
        }
    }
    Ok(())
}

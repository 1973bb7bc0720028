//! The roles of WebRTC's bench: viewers in one process, a sink of bare datagrams, and the floor that sends to it.

use std::io::{BufRead, Write as _, stdin, stdout};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use quinn_udp::{Transmit, UdpSocketState};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::LocalSet;
use tokio::time::timeout;
use weir_webrtc::viewer::{VIDEO, Viewer};

/// A whole picture, and more, must fit while another viewer's packets are read.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// A packet of a viewer's: 12 bytes of header, 1,180 of payload, 16 of SRTP's tag.
const SEGMENT_BYTES: usize = 1_208;
/// The kernel takes no more in one call.
const BURST_BYTES_MAX: usize = 65_000;
const FPS: u32 = 30;

#[derive(Debug, Default)]
struct Counts {
    watching: AtomicU64,
    /// Pictures whose last packet came.
    frames: AtomicU64,
    /// Packets of pictures that were sent, by their numbers, and that came.
    packets_sent: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    /// Answers each line of the input with the counts so far.
    fn report_when_asked(&self) -> anyhow::Result<()> {
        for line in stdin().lock().lines() {
            line?;
            let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
            println!(
                "{}",
                json!({ "watching": read(&self.watching), "frames": read(&self.frames),
                    "packets_sent": read(&self.packets_sent), "packets": read(&self.packets), "bytes": read(&self.bytes) })
            );
        }
        Ok(())
    }
}

fn socket() -> anyhow::Result<StdUdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // As much of it as the kernel allows.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    Ok(socket.into())
}

fn in_background(counts: &Arc<Counts>, work: impl AsyncFnOnce(Arc<Counts>) -> anyhow::Result<()> + Send + 'static) {
    let counts = Arc::clone(counts);
    std::thread::spawn(move || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = LocalSet::new().block_on(&runtime, work(counts));
        if let Err(error) = &done {
            eprintln!("{error:#}");
        }
        done
    });
}

/// So many viewers who post to that path, one after the other, and then watch.
pub(crate) fn view(address: SocketAddr, path: &str, viewers: usize) -> anyhow::Result<()> {
    let (counts, path) = (Arc::new(Counts::default()), path.to_owned());
    in_background(&counts, async move |counts| {
        let mut watching = Vec::new();
        for _ in 0..viewers {
            let socket = UdpSocket::from_std(socket()?)?;
            let offered = Viewer::offer(socket.local_addr()?, false, Instant::now())?;
            let answer = post(address, &path, &offered.text).await?;
            let viewer = offered.accept(&answer)?;
            watching.push(tokio::task::spawn_local(watch(viewer, socket, Arc::clone(&counts))));
        }
        for viewer in watching {
            viewer.await??;
        }
        Ok(())
    });
    counts.report_when_asked()
}

async fn post(address: SocketAddr, path: &str, offer: &str) -> anyhow::Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    let length = offer.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{offer}"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    if !head.starts_with("HTTP/1.1 201") {
        bail!("{head}\n{body}");
    }
    Ok(body.to_owned())
}

async fn watch(mut viewer: Viewer, socket: UdpSocket, counts: Arc<Counts>) -> anyhow::Result<()> {
    let mut buffer = vec![0; 2_000];
    let mut newest: Option<u64> = None;
    loop {
        let wake = viewer.poll(
            |to, bytes| {
                let _ = socket.try_send_to(bytes, to);
            },
            |packet| {
                counts.bytes.fetch_add(packet.payload.len() as u64, Ordering::Relaxed);
                if packet.payload_type != VIDEO {
                    return;
                }
                counts.packets.fetch_add(1, Ordering::Relaxed);
                counts.frames.fetch_add(u64::from(packet.marker), Ordering::Relaxed);
                // A packet that is repeated comes later than newer ones, which have counted it already.
                let sent = newest.map_or(1, |newest| packet.number.saturating_sub(newest));
                counts.packets_sent.fetch_add(sent, Ordering::Relaxed);
                counts.watching.fetch_add(u64::from(newest.is_none()), Ordering::Relaxed);
                newest = newest.max(Some(packet.number));
            },
        );
        let Some(wake) = wake else { bail!("a viewer's connection is over") };
        let received = match socket.try_recv_from(&mut buffer) {
            Ok(received) => Some(received),
            Err(_) => timeout(wake.saturating_duration_since(Instant::now()), socket.recv_from(&mut buffer))
                .await
                .ok()
                .transpose()?,
        };
        match received {
            Some((length, source)) => viewer.receive(source, buffer.get(..length).unwrap_or_default(), Instant::now()),
            None => viewer.tick(Instant::now()),
        }
    }
}

/// Prints the ports of so many sockets, and counts what comes there.
pub(crate) fn sink(viewers: usize) -> anyhow::Result<()> {
    let sockets = (0..viewers).map(|_| socket()).collect::<anyhow::Result<Vec<_>>>()?;
    let ports = sockets.iter().map(|socket| Ok(socket.local_addr()?.port())).collect::<anyhow::Result<Vec<u16>>>()?;
    println!("{}", json!(ports));
    let counts = Arc::new(Counts::default());
    in_background(&counts, async move |counts| {
        for socket in sockets {
            let (socket, counts) = (UdpSocket::from_std(socket)?, Arc::clone(&counts));
            tokio::task::spawn_local(async move {
                let mut buffer = vec![0; 2_000];
                while let Ok(length) = socket.recv(&mut buffer).await {
                    counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
                    // The floor ends each picture with a one.
                    if buffer.get(..length).and_then(<[u8]>::last) == Some(&1) {
                        counts.frames.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        std::future::pending().await
    });
    counts.report_when_asked()
}

/// Sends pictures at that rate to each of these ports until it is killed: a picture's packets to one port go by one call.
pub(crate) fn floor(bits_per_second: u64, ports: &[u16]) -> anyhow::Result<()> {
    let socket = socket()?;
    let state = UdpSocketState::new((&socket).into())?;
    let bytes = usize::try_from(bits_per_second / 8 / u64::from(FPS))?;
    // Each 1,180 bytes of the picture cost 28 more.
    let mut picture = vec![0; bytes + bytes.div_ceil(SEGMENT_BYTES - 28) * 28];
    if let Some(last) = picture.last_mut() {
        *last = 1;
    }
    println!("ready");
    stdout().flush()?;
    let (start, mut at) = (Instant::now(), 0_u32);
    let segments_max = (BURST_BYTES_MAX / SEGMENT_BYTES).min(state.max_gso_segments());
    loop {
        at += 1;
        std::thread::sleep((start + Duration::from_secs(1) * at / FPS).saturating_duration_since(Instant::now()));
        for &port in ports {
            for contents in picture.chunks(segments_max * SEGMENT_BYTES) {
                let destination = SocketAddr::from(([127, 0, 0, 1], port));
                let segment_size = (contents.len() > SEGMENT_BYTES).then_some(SEGMENT_BYTES);
                let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
                // What the sockets have no room for is lost, as it is where Weir sends.
                let _ = state.try_send((&socket).into(), &transmit);
            }
        }
    }
}

//! ICE over TCP (RFC 6544), for viewers in networks that let no UDP through. It carries the same datagrams, each behind its length (RFC
//! 4571), on connections that the viewer opens.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use weir_net::{CapLimits, Caps};

use crate::routes::{Datagram, Routes};
use crate::sdp::Transport;
use crate::stun;

/// Whoever has not sent a check that names one of our connections by then is not a viewer of ours.
const FIRST_CHECK_WITHIN: Duration = Duration::from_secs(5);

/// A connection is given up when nothing has come on it for so long. Even a browser that only watches checks every few seconds that it may
/// still be sent media.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// A write that takes longer has nobody at its far end.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// How many frames may wait to be written: 600 kB, which is half a second at 10 Mbit/s.
const FRAMES_MAX: usize = 512;

const FRAME_BYTES_MAX: usize = 1_500;

/// Accepting fails when the process has no descriptors left. A moment later it may have some again.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);

/// Accepts viewers' connections, and never returns.
pub(crate) async fn accept(listener: &TcpListener, limits: CapLimits, routes: &Routes) {
    let caps = Caps::new(limits);
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            sleep(RETRY_ACCEPT).await;
            continue;
        };
        let Some(permit) = caps.admit(remote.ip()) else { continue };
        let routes = routes.clone();
        tokio::spawn(async move {
            serve(stream, remote, &routes).await;
            drop(permit);
        });
    }
}

async fn serve(stream: TcpStream, remote: SocketAddr, routes: &Routes) {
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let destination = stream.local_addr().ok().map(|local| local.ip().to_canonical());
    // A picture must leave at once, rather than wait until a segment is full.
    let _ = stream.set_nodelay(true);
    let (reading, writing) = stream.into_split();
    let mut reading = BufReader::with_capacity(4 * 1024, reading);
    let datagram = |bytes| Datagram { transport: Transport::Tcp, source: remote, destination, bytes };
    let Ok(Some(first)) = timeout(FIRST_CHECK_WITHIN, frame(&mut reading)).await else { return };
    if stun::local_ufrag(&first).is_none() {
        return;
    }
    let (frames, waiting) = mpsc::channel(FRAMES_MAX);
    let link = Link { routes, remote };
    routes.link(remote, frames);
    if routes.deliver(datagram(first)) {
        let read = async {
            while let Ok(Some(bytes)) = timeout(SILENT_MAX, frame(&mut reading)).await {
                routes.deliver(datagram(bytes));
            }
        };
        tokio::select! {
            () = read => {}
            () = write(writing, waiting) => {}
        }
    }
    drop(link);
}

/// Says that the far end can be reached by this TCP connection. Dropped, it takes that back.
struct Link<'a> {
    routes: &'a Routes,
    remote: SocketAddr,
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.routes.unlink(self.remote);
    }
}

/// The next frame. There is none at the end of the connection, or if the frame is longer than any that a viewer sends.
async fn frame(reading: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let length = usize::from(reading.read_u16().await.ok()?);
    if length == 0 || length > FRAME_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; length];
    reading.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn write(writing: OwnedWriteHalf, mut waiting: mpsc::Receiver<Vec<u8>>) {
    let mut writing = BufWriter::with_capacity(16 * 1024, writing);
    while let Some(frame) = waiting.recv().await {
        let Ok(length) = u16::try_from(frame.len()) else { continue };
        let written = async {
            writing.write_u16(length).await?;
            writing.write_all(&frame).await?;
            // While more frames wait, they are gathered and go out together.
            if waiting.is_empty() { writing.flush().await } else { Ok(()) }
        };
        if !matches!(timeout(WRITE_WITHIN, written).await, Ok(Ok(()))) {
            return;
        }
    }
}

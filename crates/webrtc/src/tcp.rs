//! ICE over TCP (RFC 6544), for networks that let no UDP through: the same datagrams, each behind its length (RFC 4571), by connections that
//! the viewer opens.

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

/// Who has not shown by then that a connection of ours is theirs is nobody's viewer.
const FIRST_CHECK_WITHIN: Duration = Duration::from_secs(5);

/// Nothing came for so long: even a browser that only watches checks every few seconds that it may.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// A write that takes longer has nobody at its end.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// Frames that wait to be written: 600 kB, half a second at 10 Mbit/s.
const FRAMES_MAX: usize = 512;

const FRAME_BYTES_MAX: usize = 1_500;

/// Accepting fails when there are no descriptors left; a moment later there may be.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);

/// Takes connections, for ever.
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
    // Pictures leave at once.
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

/// The way to one far end, while it lives.
struct Link<'a> {
    routes: &'a Routes,
    remote: SocketAddr,
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.routes.unlink(self.remote);
    }
}

/// The next frame; none at the end, or where it is longer than anybody's.
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
            // What waits goes out with it.
            if waiting.is_empty() { writing.flush().await } else { Ok(()) }
        };
        if !matches!(timeout(WRITE_WITHIN, written).await, Ok(Ok(()))) {
            return;
        }
    }
}

//! A running worker: the process and both directions of its socket.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr};
use weir_media::MediaTime;

use crate::cage::{Cage, WorkerLimits};
use crate::job::WorkerJob;
use crate::launcher::{Launched, Launcher};
use crate::message::{Hello, Message, PROTOCOL_VERSION, encode};
use crate::{Decoder, ProtocolFault, Usage};

/// The longest line of a worker's output that is logged whole; libraries in it print what they like.
const LOG_LINE_BYTES_MAX: u64 = 500;

/// One read takes this much: some frames of all renditions.
const READ_BYTES: usize = 64 << 10;

/// Owns the process, which is killed when this is dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    pid: u32,
    /// Dropped after the process, since a group that is in use can't be removed.
    _cage: Option<Cage>,
}

/// How a worker is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    /// The worker gives no pictures and no sound up to here.
    pub resume_after: Option<MediaTime>,
    /// The UUID of the only NVIDIA device that the worker sees; None means all of them.
    pub device: Option<&'a str>,
    /// What the worker may take.
    pub limits: Option<WorkerLimits>,
}

impl Worker {
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits so long for the worker to end by itself, which it does when its socket is closed, and then kills it. Afterwards it is gone.
    pub async fn end(mut self, patience: Duration) -> Option<ExitStatus> {
        if let Ok(status) = tokio::time::timeout(patience, self.child.wait()).await {
            return status.ok();
        }
        let _ = self.child.kill().await;
        None
    }

    /// What the worker takes now; None when it has ended.
    pub fn usage(&self) -> Option<Usage> {
        Usage::of(self.pid)
    }

    /// Waits until the worker ends without having been told to. Cancel-safe.
    pub async fn exited(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }
}

/// Why a worker can't be talked to any more.
#[derive(Debug, thiserror::Error)]
pub enum SocketFault {
    #[error("the worker closed its end")]
    Closed,
    #[error("the worker's socket: {0}")]
    Io(#[from] io::Error),
    #[error("the worker sent an invalid message: {0}")]
    Protocol(#[from] ProtocolFault),
    #[error("a message over the protocol's limits")]
    TooLarge,
}

/// Starts a worker. It must be called within a runtime.
pub fn start(launcher: &Launcher, start: Start<'_>) -> io::Result<(Worker, WorkerWriter, WorkerReader)> {
    let (worker, socket) = spawn(launcher, &WorkerJob::Stream, start)?;
    let (read, write) = socket.into_split();
    let hello = Hello { version: PROTOCOL_VERSION, resume_after: start.resume_after };
    let writer = WorkerWriter { half: write, head: BytesMut::new(), hello: Some(hello) };
    Ok((worker, writer, WorkerReader { half: read, decoder: Decoder::new() }))
}

/// Starts the process of `webrtcbin`. Its socket is for whoever knows what is said there. It must be called within a runtime.
pub fn start_webrtc(launcher: &Launcher) -> io::Result<(Worker, UnixStream)> {
    spawn(launcher, &WorkerJob::Webrtc, Start::default())
}

fn spawn(launcher: &Launcher, job: &WorkerJob, start: Start<'_>) -> io::Result<(Worker, UnixStream)> {
    let Start { device, limits, .. } = start;
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = launcher.command(job, limits, device);
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::piped());
    let Launched { mut child, cage } = launcher.launch(&mut command, job, limits)?;
    let pid = child.id().unwrap_or_default();
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(log(stderr, pid));
    }
    Ok((Worker { child, pid, _cage: cage }, UnixStream::from_std(ours)?))
}

/// The direction to the worker.
#[derive(Debug)]
pub struct WorkerWriter {
    half: OwnedWriteHalf,
    head: BytesMut,
    /// The greeting, which is sent before anything else.
    hello: Option<Hello>,
}

impl WorkerWriter {
    /// Sends a message, and waits while the worker does not read. It is not cancel-safe: a message cut short ends the connection.
    pub async fn send(&mut self, message: &Message) -> Result<(), SocketFault> {
        self.head.clear();
        if let Some(hello) = self.hello.take() {
            let _ = encode(&Message::Hello(hello), &mut self.head);
        }
        let payload = encode(message, &mut self.head).ok_or(SocketFault::TooLarge)?;
        self.half.write_all(&self.head).await?;
        self.half.write_all(&payload).await?;
        Ok(())
    }
}

/// The direction from the worker.
#[derive(Debug)]
pub struct WorkerReader {
    half: OwnedReadHalf,
    decoder: Decoder,
}

impl WorkerReader {
    /// The next message. Cancel-safe: what was read stays in the decoder.
    pub async fn next(&mut self) -> Result<Message, SocketFault> {
        loop {
            if let Some(message) = self.decoder.next_message()? {
                return Ok(message);
            }
            self.decoder.buffer().reserve(READ_BYTES);
            if self.half.read_buf(self.decoder.buffer()).await? == 0 {
                return Err(SocketFault::Closed);
            }
        }
    }
}

/// Logs what the worker and the libraries in it print.
async fn log(stderr: ChildStderr, pid: u32) {
    let (mut reader, mut line) = (BufReader::new(stderr), Vec::new());
    loop {
        line.clear();
        // A line that is too long is logged in pieces.
        match (&mut reader).take(LOG_LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            _ => return,
        }
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            tracing::info!(worker = pid, "{}", text.trim_end());
        }
    }
}

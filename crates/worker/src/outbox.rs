//! The direction to the server: it takes whole messages from any thread, and counts what has been sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use weir_pipeline::{Message, OutputId, OutputProgress, WorkerProgress, encode};

/// The times of this many pictures on their way are remembered: two seconds at 60 fps.
const UNDER_WAY_MAX: usize = 120;

/// All clones send to the same socket.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    socket: Arc<Mutex<Socket>>,
    tally: Arc<Mutex<Tally>>,
}

#[derive(Debug)]
struct Socket {
    stream: UnixStream,
    head: BytesMut,
}

#[derive(Debug, Default)]
struct Tally {
    pictures_in: u64,
    pictures_decoded: u64,
    /// When each picture came in, with its time on the stream.
    under_way: VecDeque<(i64, Instant)>,
    outputs: BTreeMap<OutputId, OutputTally>,
}

#[derive(Debug, Default)]
struct OutputTally {
    frames: u64,
    bytes: u64,
    latency_ms_sum: f64,
    latencies: u32,
}

impl Outbox {
    pub(crate) fn new(stream: UnixStream) -> Self {
        let socket = Socket { stream, head: BytesMut::new() };
        Self { socket: Arc::new(Mutex::new(socket)), tally: Arc::default() }
    }

    /// Sends a message, and waits while the server does not read: the branch that is ahead stops, and nothing piles up.
    pub(crate) fn send(&self, message: &Message) -> io::Result<()> {
        let mut socket = lock(&self.socket);
        let Socket { stream, head } = &mut *socket;
        head.clear();
        let payload = encode(message, head).ok_or(io::ErrorKind::InvalidData)?;
        let mut slices = &mut [IoSlice::new(head), IoSlice::new(&payload)][..];
        while !slices.is_empty() {
            match stream.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut slices, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn count_in(&self, pts_ns: i64) {
        let mut tally = lock(&self.tally);
        tally.pictures_in += 1;
        tally.under_way.push_back((pts_ns, Instant::now()));
        if tally.under_way.len() > UNDER_WAY_MAX {
            tally.under_way.pop_front();
        }
    }

    pub(crate) fn count_decoded(&self) {
        lock(&self.tally).pictures_decoded += 1;
    }

    pub(crate) fn count_out(&self, id: OutputId, pts_ns: i64, bytes: usize) {
        let now = Instant::now();
        let mut tally = lock(&self.tally);
        let came = tally.under_way.iter().rev().find(|(pts, _)| *pts == pts_ns).map(|(_, at)| *at);
        let output = tally.outputs.entry(id).or_default();
        output.frames += 1;
        output.bytes += bytes as u64;
        if let Some(came) = came {
            output.latency_ms_sum += now.duration_since(came).as_secs_f64() * 1000.0;
            output.latencies += 1;
        }
    }

    pub(crate) fn forget(&self, id: OutputId) {
        lock(&self.tally).outputs.remove(&id);
    }

    /// The counts so far, and the latencies since this was last called.
    pub(crate) fn progress(&self) -> WorkerProgress {
        let mut tally = lock(&self.tally);
        let outputs = tally.outputs.iter_mut().map(|(id, output)| {
            let latencies = std::mem::take(&mut output.latencies);
            let sum = std::mem::take(&mut output.latency_ms_sum);
            OutputProgress {
                id: *id,
                frames: output.frames,
                bytes: output.bytes,
                latency_ms: (latencies > 0).then(|| sum / f64::from(latencies)),
            }
        });
        let outputs = outputs.collect();
        WorkerProgress { pictures_in: tally.pictures_in, pictures_decoded: tally.pictures_decoded, outputs }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

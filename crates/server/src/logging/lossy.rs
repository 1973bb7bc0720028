//! A log that never makes its writers wait: lines go into a bounded buffer, one thread writes them out, and what does not fit is counted.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;
use weir_observe::{Counter, Observe};

/// At most this many bytes of lines wait for a slow reader: 4,000 lines of 100 to 300 bytes, which are many seconds of a busy server.
/// There may be as much again in the batch that is being written.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// A parent may hand down a stderr that does not block; when it is full, it is tried again after this time.
const FULL_RETRY_AFTER: Duration = Duration::from_millis(20);

/// All clones write into the same log.
#[derive(Clone)]
pub(crate) struct LossyLog {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Woken when there is something to write.
    came: Condvar,
    /// Woken when everything is written.
    settled: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The waiting lines, all of them whole.
    bytes: Vec<u8>,
    /// True while a batch that was taken is not written yet.
    is_writing: bool,
    dropped: u64,
    /// How many of `dropped` the log itself has reported.
    told: u64,
    observe: Option<Observe>,
}

impl LossyLog {
    /// Starts the log. The thread that writes lives as long as the process.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let log = Self { shared: Arc::default() };
        let of_thread = log.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || of_thread.write_out(out))?;
        Ok(log)
    }

    /// Takes whole lines, or counts one as dropped.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes.len() + lines.len() <= WAITING_BYTES_MAX {
            waiting.bytes.extend_from_slice(lines);
            drop(waiting);
            self.shared.came.notify_one();
        } else {
            waiting.dropped += 1;
            if let Some(observe) = &waiting.observe {
                observe.counters().add(Counter::LogLinesDropped, 1);
            }
        }
    }

    pub(crate) fn count_drops(&self, observe: Observe) {
        let mut waiting = self.waiting();
        observe.counters().add(Counter::LogLinesDropped, waiting.dropped);
        waiting.observe = Some(observe);
    }

    /// Waits until everything is written, but for `limit` at most.
    pub(crate) fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut waiting = self.waiting();
        while waiting.is_writing || !waiting.bytes.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            waiting = self.shared.settled.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write_out(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let dropped = self.next_batch(&mut batch);
            write_whole(&mut out, &batch);
            batch.clear();
            // By now there is room again, so this line goes the way of all others.
            if dropped > 0 {
                tracing::warn!(lines = dropped, "lines of the log were dropped: whoever reads it was too slow");
            }
        }
    }

    /// Waits for lines and takes all there are; gives the number of dropped ones that was not reported yet.
    fn next_batch(&self, batch: &mut Vec<u8>) -> u64 {
        let mut waiting = self.waiting();
        waiting.is_writing = false;
        self.shared.settled.notify_all();
        while waiting.bytes.is_empty() {
            waiting = self.shared.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        // The two buffers change places: no line is copied again, and no memory is needed for that.
        std::mem::swap(batch, &mut waiting.bytes);
        waiting.is_writing = true;
        let untold = waiting.dropped - waiting.told;
        waiting.told = waiting.dropped;
        untold
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each event comes as one write of whole lines.
impl Write for LossyLog {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LossyLog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes everything. Where the reader is gone, nobody misses what can't be written.
fn write_whole(out: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL_RETRY_AFTER),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    const LONG: Duration = Duration::from_secs(30);

    /// A reader that takes what is written only when the test lets it.
    struct Gated(SyncSender<Vec<u8>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // At the end of a test its reader is gone before the thread that writes is.
            self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A log whose reader has not read anything yet.
    fn stalled() -> (LossyLog, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(0);
        (LossyLog::start(Gated(sender)).unwrap(), receiver)
    }

    #[test]
    fn writers_never_wait_and_what_is_lost_is_counted_and_bounded() {
        let (log, reader) = stalled();
        let line = [b'x'; 1_000];
        log.push(b"first\n");
        // The writer's thread takes this line and waits for the reader with it. Were the thread later than that, it
        // could take a full buffer in the middle of the test, and there would be room where the test expects none.
        while !log.waiting().bytes.is_empty() {
            thread::yield_now();
        }
        // 20 MB are pushed for a reader that takes nothing: this test would not end if a push waited.
        for _ in 0..20_000 {
            log.push(&line);
        }
        let observe = Observe::new();
        log.count_drops(observe.clone());
        let dropped = observe.counters().get(Counter::LogLinesDropped);
        let kept = 20_000 - dropped;
        assert!((1_000..=1_100).contains(&kept), "{kept} lines of 1,000 bytes were kept");
        log.push(&line);
        assert_eq!(observe.counters().get(Counter::LogLinesDropped), dropped + 1);
        assert_eq!(log.waiting().dropped, dropped + 1);
        let mut read = 0;
        while read < b"first\n".len() as u64 + kept * 1_000 {
            read += reader.recv_timeout(LONG).unwrap().len() as u64;
        }
        log.flush(LONG);
        assert_eq!(log.waiting().told, dropped + 1, "the log tells of them once there is room");
    }

    #[test]
    fn a_flush_waits_for_a_reader_but_not_for_ever() {
        let (log, reader) = stalled();
        log.push(b"last words\n");
        let began = Instant::now();
        log.flush(Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50), "nobody has read it yet");
        let reading = thread::spawn(move || reader.recv_timeout(LONG).unwrap());
        log.flush(LONG);
        assert_eq!(reading.join().unwrap(), b"last words\n");
    }

    #[test]
    fn a_full_pipe_that_does_not_block_is_written_to_again_and_a_closed_one_is_given_up() {
        struct Moody(Vec<io::Result<usize>>, Vec<u8>);
        impl Write for Moody {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let count = self.0.remove(0)?.min(bytes.len());
                self.1.extend_from_slice(&bytes[..count]);
                Ok(count)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let kind = |kind: io::ErrorKind| Err(io::Error::from(kind));
        let mut out =
            Moody(vec![Ok(2), kind(io::ErrorKind::WouldBlock), kind(io::ErrorKind::Interrupted), Ok(9)], Vec::new());
        write_whole(&mut out, b"a line\n");
        assert_eq!(out.1, b"a line\n");
        let mut out = Moody(vec![Ok(2), kind(io::ErrorKind::BrokenPipe)], Vec::new());
        write_whole(&mut out, b"a line\n");
        assert_eq!(out.1, b"a ");
    }
}

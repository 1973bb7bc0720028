//! Lanes: one single-threaded runtime per core for media, apart from the runtime of API and control.
//!
//! A stream's ingest, its feeds and its pushes run on lanes by hash. Measured: one multi-threaded runtime costs 25 % more
//! CPU for the same pushes, because tasks wander between cores and wake each other across them.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// More lanes than this bring nothing: network cards and memory are the limit long before.
const LANES_MAX: usize = 64;

/// A handle on all lanes, which stop when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Lanes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    handles: Vec<Handle>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Lanes {
    /// Starts one lane per core, or as many as asked for.
    pub fn start(lanes: Option<usize>) -> io::Result<Self> {
        Self::start_as("lane", lanes)
    }

    /// Starts lanes for other work, in threads of another name.
    pub fn start_as(name: &str, lanes: Option<usize>) -> io::Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = lanes.unwrap_or_else(cores).clamp(1, LANES_MAX);
        let (stop, stopped) = watch::channel(false);
        let (mut handles, mut threads) = (Vec::new(), Vec::new());
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let mut stopped = stopped.clone();
            let run = move || {
                runtime.block_on(async {
                    let _ = stopped.wait_for(|stop| *stop).await;
                });
                // Work on other threads, such as resolving a name or a disk that hangs,
                // is not waited for: whoever needs such work done has waited before.
                runtime.shutdown_background();
            };
            threads.push(std::thread::Builder::new().name(format!("{name}-{number}")).spawn(run)?);
        }
        Ok(Self { shared: Arc::new(Shared { handles, stop, threads }) })
    }

    /// The runtimes of all lanes.
    pub fn handles(&self) -> &[Handle] {
        &self.shared.handles
    }

    /// The lane of this number, which is always the same.
    pub fn pick(&self, number: i64) -> &Handle {
        self.pick_beside(number, 0)
    }

    /// The lane `step` lanes beyond that of `number`.
    pub fn pick_beside(&self, number: i64, step: usize) -> &Handle {
        // Fibonacci hashing: neighbouring ids spread evenly over any number of lanes.
        let hash = number.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let handles = &self.shared.handles;
        &handles[(hash as usize).wrapping_add(step) % handles.len()]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // A lane that panicked has reported that already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_spread_over_lanes_and_stay() {
        let lanes = Lanes::start(Some(4)).unwrap();
        let ids = |number| lanes.pick(number).id();
        let mut counts = std::collections::HashMap::new();
        for number in 1..=1_000 {
            assert_eq!(ids(number), ids(number));
            *counts.entry(ids(number).to_string()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 4);
        assert!(counts.values().all(|count| (200..=300).contains(count)), "{counts:?}");
    }
}

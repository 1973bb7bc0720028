//! What encoding costs on the CPU, from measured cost per pixel, and what other streams have taken already.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use weir_model::StreamId;
use weir_pipeline::{EncoderFile, WorkerPlan};

use crate::plan::SourceShape;

/// Where the source does not say it.
const FPS_ASSUMED: f64 = 30.0;

/// Planned cores may be so many times the machine's. The measured cost is that of a full share of motion; ingest, packaging
/// and pushes are small beside it.
const OVERCOMMIT: f64 = 1.0;

pub(crate) fn megapixels_a_second(width: u32, height: u32, fps: Option<f64>, source: SourceShape) -> f64 {
    let fps = fps.or(source.fps).unwrap_or(FPS_ASSUMED);
    f64::from(width) * f64::from(height) * fps / 1e6
}

/// Hardware takes none that counts.
pub(crate) fn cores_for(file: &EncoderFile, megapixels_a_second: f64) -> f64 {
    file.cores_per_megapixel_second.unwrap_or_default() * megapixels_a_second
}

/// GStreamer, its plugins and the frames on their way: measured 60 MB.
const WORKER_BYTES: u64 = 512 << 20;
/// Raw pictures in 4:2:0: one and a half bytes a pixel, up to two where they have ten bits.
const BYTES_PER_PIXEL: u64 = 3;
/// A branch has some pictures in its queue, and its encoder up to 60 of lookahead, reference and threads.
const PICTURES_PER_OUTPUT: u64 = 96;
/// A source of which nothing is known yet.
const SOURCE_ASSUMED: u64 = 1920 * 1080;

/// More than a sound worker can take: one that takes more leaks. Measured with four rungs: 133 MB, a fifth of this.
pub(crate) fn memory_max_bytes(plan: &WorkerPlan, source: SourceShape) -> u64 {
    let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let source = pixels(source.width, source.height).max(SOURCE_ASSUMED);
    let outputs: u64 = plan.video.iter().map(|output| pixels(output.width, output.height)).sum();
    WORKER_BYTES + (source + outputs) * BYTES_PER_PIXEL * PICTURES_PER_OUTPUT
}

/// What the streams of this server have planned.
#[derive(Debug)]
pub(crate) struct Ledger {
    cores: f64,
    taken: Mutex<BTreeMap<StreamId, f64>>,
}

impl Ledger {
    pub(crate) fn new(cores: f64) -> Self {
        Self { cores: cores * OVERCOMMIT, taken: Mutex::default() }
    }

    /// What a stream may plan with: all that others do not have.
    pub(crate) fn free_for(&self, stream: StreamId) -> f64 {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let others: f64 = taken.iter().filter(|(id, _)| **id != stream).map(|(_, cores)| cores).sum();
        (self.cores - others).max(0.0)
    }

    /// Says what a stream takes from now on; zero gives it back.
    pub(crate) fn take(&self, stream: StreamId, cores: f64) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if cores > 0.0 {
            taken.insert(stream, cores)
        } else {
            taken.remove(&stream)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_share_the_cores() {
        let ledger = Ledger::new(4.0);
        ledger.take(StreamId(1), 1.5);
        ledger.take(StreamId(2), 2.0);
        let free = |id| ledger.free_for(StreamId(id));
        assert_eq!((free(1), free(2), free(3)), (2.0, 2.5, 0.5));
        ledger.take(StreamId(2), 0.0);
        ledger.take(StreamId(1), 9.0);
        assert_eq!((free(1), free(3)), (4.0, 0.0));
    }
}

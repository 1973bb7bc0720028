//! What encoding costs on the CPU, from the measured cost per pixel, and what the streams have taken already.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use weir_model::{PictureSettings, StreamId};
use weir_pipeline::{Encoders, Memory, VideoOutput, WorkerPlan};

use crate::plan::{MAIN10, SourceShape};

/// The frame rate that is assumed where the source does not state it.
const FPS_ASSUMED: f64 = 30.0;

// The constants below are cores of the machine they were measured on, from how `benches/transcode` grows from 1 to 6 rungs of 720p30 and
// smaller ones: it took 0.61, 0.87, 1.14, 1.24 and 0.47 cores, and these constants give 0.61, 0.87, 1.10, 1.20 and 0.48.

/// The server's part of a transcode (ingest, the protocol, packaging), and the decoder of the sound.
const WORKER_CORES: f64 = 0.07;
const DECODING_PER_MEGAPIXEL_SECOND: f64 = 0.0055;
/// Tone mapping takes five milliseconds for a picture of 1080p.
const TONE_MAPPING_PER_MEGAPIXEL_SECOND: f64 = 0.0024;
/// Deinterlacing takes a millisecond for a picture of 720x576.
const DEINTERLACING_PER_MEGAPIXEL_SECOND: f64 = 0.0024;
/// Each further size reads the whole source picture once, which costs the same for every size, ...
const SCALING_CORES: f64 = 0.03;
/// ... and writes its own, which costs by its pixels.
const SCALING_PER_MEGAPIXEL_SECOND: f64 = 0.005;
/// AAC takes 0.017 to 0.022, Opus 0.017, for stereo at 48 kHz; normalising the loudness adds too little to be measured.
const SOUND_CORES: f64 = 0.02;

/// What plans for one source cost on this machine.
pub(crate) struct Costs<'a> {
    pub(crate) encoders: &'a Encoders,
    pub(crate) source: &'a SourceShape,
    /// How many times longer this machine takes than the one that the figures are from.
    pub(crate) slowdown: f64,
}

impl Costs<'_> {
    /// The cores that the plan keeps busy.
    pub(crate) fn of(&self, plan: &WorkerPlan) -> f64 {
        if plan.video.is_empty() && plan.audio.is_empty() {
            return 0.0;
        }
        let sound = plan.audio.len() as f64 * SOUND_CORES;
        (WORKER_CORES + sound) * self.slowdown + self.pictures(plan)
    }

    /// The cores that the plan's pictures alone keep busy.
    pub(crate) fn pictures(&self, plan: &WorkerPlan) -> f64 {
        if plan.video.is_empty() {
            return 0.0;
        }
        let SourceShape { width, height, fps, deep, interlaced, .. } = *self.source;
        let source = self.megapixels_a_second(width, height, fps);
        let decoding = if plan.decode_in == Memory::System { source * DECODING_PER_MEGAPIXEL_SECOND } else { 0.0 };
        let mapped = deep && plan.video.iter().any(|output| output.picture.profile.as_deref() != Some(MAIN10));
        let mapping = if mapped { source * TONE_MAPPING_PER_MEGAPIXEL_SECOND } else { 0.0 };
        let deinterlacing = if interlaced { source * DEINTERLACING_PER_MEGAPIXEL_SECOND } else { 0.0 };
        let outputs: f64 = plan.video.iter().map(|output| self.picture(output)).sum();
        (decoding + deinterlacing + mapping + outputs) * self.slowdown
    }

    fn picture(&self, output: &VideoOutput) -> f64 {
        let file = self.encoders.get(&output.encoder);
        // Where a card encodes, it scales, too.
        let Some(encoding) = file.and_then(|file| file.cores_per_megapixel_second) else { return 0.0 };
        let PictureSettings { width, height, .. } = output.picture;
        let megapixels = self.megapixels_a_second(width, height, output.picture.fps);
        let same_size = (width, height) == (self.source.width, self.source.height);
        let scaling = if same_size { 0.0 } else { SCALING_CORES + SCALING_PER_MEGAPIXEL_SECOND * megapixels };
        encoding * megapixels + scaling
    }

    fn megapixels_a_second(&self, width: u32, height: u32, fps: Option<f64>) -> f64 {
        let fps = fps.or(self.source.fps).unwrap_or(FPS_ASSUMED);
        f64::from(width) * f64::from(height) * fps / 1e6
    }
}

/// GStreamer, its plugins and the frames on their way; 60 MB were measured.
const WORKER_BYTES: u64 = 512 << 20;
/// Raw 4:2:0 pictures take one and a half bytes a pixel, and up to three where they have ten bits.
const BYTES_PER_PIXEL: u64 = 3;
/// A branch has some pictures in its queue, and its encoder up to 60 for lookahead, reference and threads.
const PICTURES_PER_OUTPUT: u64 = 96;
/// The pixels that are assumed for a source of which nothing is known yet.
const SOURCE_ASSUMED: u64 = 1920 * 1080;

/// More than a healthy worker can take: a worker that takes more leaks. With four rungs 133 MB were measured, a fifth of this.
pub(crate) fn memory_max_bytes(plan: &WorkerPlan, source: &SourceShape) -> u64 {
    let pixels = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let source = pixels(source.width, source.height).max(SOURCE_ASSUMED);
    let outputs: u64 = plan.video.iter().map(|output| pixels(output.picture.width, output.picture.height)).sum();
    WORKER_BYTES + (source + outputs) * BYTES_PER_PIXEL * PICTURES_PER_OUTPUT
}

/// A measured share counts with this weight in the mean at each look, four times a second, which makes it a mean over twelve seconds.
const MEASURED_WEIGHT: f64 = 0.02;

/// The cores that each stream of this server has planned, and those that it really takes.
#[derive(Debug)]
pub(crate) struct Ledger {
    cores: f64,
    taken: Mutex<BTreeMap<StreamId, Taken>>,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    planned: f64,
    measured: f64,
}

impl Taken {
    /// Pictures that are harder than most take more than was planned; easier ones may become harder, so the plan counts at least.
    fn cores(self) -> f64 {
        self.planned.max(self.measured)
    }
}

impl Ledger {
    pub(crate) fn new(cores: f64) -> Self {
        Self { cores, taken: Mutex::default() }
    }

    /// All cores that may be planned with.
    pub(crate) fn cores(&self) -> f64 {
        self.cores
    }

    /// The cores that no stream has.
    pub(crate) fn free(&self) -> f64 {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        (self.cores - taken.values().map(|taken| taken.cores()).sum::<f64>()).max(0.0)
    }

    /// The cores that a stream may plan with: all that others do not have, less what its own pictures take beyond their plan.
    pub(crate) fn free_for(&self, stream: StreamId) -> f64 {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let not_free = taken.iter().map(|(id, taken)| match *id == stream {
            true => taken.cores() - taken.planned,
            false => taken.cores(),
        });
        (self.cores - not_free.sum::<f64>()).max(0.0)
    }

    /// Sets the cores that a stream has planned from now on; zero gives them back.
    pub(crate) fn take(&self, stream: StreamId, cores: f64) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if cores > 0.0 {
            taken.entry(stream).or_insert(Taken { planned: cores, measured: cores }).planned = cores;
        } else {
            taken.remove(&stream);
        }
    }

    /// Notes the cores that the stream's worker takes now.
    pub(crate) fn measured(&self, stream: StreamId, cores: f64) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = taken.get_mut(&stream) {
            taken.measured += (cores - taken.measured) * MEASURED_WEIGHT;
        }
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
        assert_eq!((free(1), free(3), ledger.free()), (4.0, 0.0, 0.0));
    }

    #[test]
    fn what_is_measured_counts_where_it_is_more() {
        let ledger = Ledger::new(4.0);
        ledger.take(StreamId(1), 1.0);
        let free = |id| (ledger.free_for(StreamId(id)) * 10.0).round() / 10.0;
        ledger.measured(StreamId(1), 9.0);
        assert!(free(2) > 2.7, "a moment is no mean");
        (0..1000).for_each(|_| ledger.measured(StreamId(1), 2.0));
        assert_eq!((free(1), free(2)), (3.0, 2.0));
        (0..1000).for_each(|_| ledger.measured(StreamId(1), 0.2));
        assert_eq!((free(1), free(2)), (4.0, 3.0));
        ledger.measured(StreamId(7), 3.0);
        assert_eq!(free(2), 3.0, "who has planned nothing takes nothing");
    }
}

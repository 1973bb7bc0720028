//! Whether a worker makes progress: pure, from its reports and the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_pipeline::{OutputId, WorkerProgress};

/// A worker reports four times a second, so eight reports are missing.
const SILENT_MAX: Duration = Duration::from_secs(2);
/// How long a worker may take for its first report: GStreamer looks through
/// its plugins when they are new, which takes seconds on a slow disk.
const START_MAX: Duration = Duration::from_secs(15);
/// An output is stuck when it gives nothing for so long while pictures are decoded.
const STUCK_MAX: Duration = Duration::from_secs(2);
/// An encoder opens its device when its first picture comes, which takes longer.
const FIRST_PICTURE_MAX: Duration = Duration::from_secs(8);
/// An output counts as stuck only after this many pictures were decoded meanwhile: at one picture a second nothing is stuck after two
/// seconds. Encoders hold back 18 at most (B-frames and lookahead).
const PICTURES_MEANWHILE: u64 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// The worker has stopped, hangs, or gets no CPU.
    Silent,
    Stuck(OutputId),
}

#[derive(Debug)]
pub(crate) struct Watchdog {
    heard_at: Instant,
    heard: bool,
    outputs: BTreeMap<OutputId, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    frames: u64,
    /// When the number of frames rose last, and how many pictures had been decoded by then.
    rose_at: Instant,
    decoded: u64,
}

impl Watchdog {
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard_at: now, heard: false, outputs: BTreeMap::new() }
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.heard = true;
    }

    /// Looks at a report; `videos` are the outputs that should give pictures.
    pub(crate) fn report(&mut self, progress: &WorkerProgress, videos: &[OutputId], now: Instant) -> Option<Complaint> {
        self.heard(now);
        self.outputs.retain(|id, _| videos.contains(id));
        let decoded = progress.pictures_decoded;
        for id in videos {
            let frames = progress.outputs.iter().find(|output| output.id == *id).map_or(0, |output| output.frames);
            let seen = self.outputs.entry(*id).or_insert(Seen { frames, rose_at: now, decoded });
            if frames != seen.frames {
                *seen = Seen { frames, rose_at: now, decoded };
                continue;
            }
            let patience = if frames == 0 { FIRST_PICTURE_MAX } else { STUCK_MAX };
            let meanwhile = decoded.saturating_sub(seen.decoded);
            if now.saturating_duration_since(seen.rose_at) > patience && meanwhile >= PICTURES_MEANWHILE {
                return Some(Complaint::Stuck(*id));
            }
        }
        None
    }

    pub(crate) fn look(&self, now: Instant) -> Option<Complaint> {
        let patience = if self.heard { SILENT_MAX } else { START_MAX };
        (now.saturating_duration_since(self.heard_at) > patience).then_some(Complaint::Silent)
    }
}

#[cfg(test)]
mod tests {
    use weir_pipeline::OutputProgress;

    use super::*;

    const A: OutputId = OutputId(1);

    fn progress(decoded: u64, frames: u64) -> WorkerProgress {
        let output = OutputProgress { id: A, frames, bytes: 0, latency_ms: None };
        WorkerProgress { pictures_in: decoded, pictures_decoded: decoded, outputs: vec![output] }
    }

    #[test]
    fn silence_is_noticed() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut watchdog = Watchdog::new(start);
        assert_eq!(watchdog.look(at(14_000)), None, "it may take long to start");
        assert_eq!(watchdog.look(at(15_001)), Some(Complaint::Silent));
        watchdog.heard(at(1000));
        assert_eq!(watchdog.look(at(3000)), None);
        assert_eq!(watchdog.look(at(3001)), Some(Complaint::Silent));
    }

    #[test]
    fn an_output_that_stands_still_is_noticed() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        for (what, decoded_per_second, frames, until_ms, expected) in [
            ("stands still", 30, 10, 2_250, Some(Complaint::Stuck(A))),
            ("not long enough", 30, 10, 2_000, None),
            ("nothing to do", 0, 10, 60_000, None),
            ("slow source", 1, 10, 20_000, None),
            ("never began", 30, 0, 8_250, Some(Complaint::Stuck(A))),
            ("is beginning", 30, 0, 8_000, None),
        ] {
            let mut watchdog = Watchdog::new(start);
            let reports = (0..=until_ms / 250).map(|number| number * 250);
            let complaint = reports
                .filter_map(|ms| watchdog.report(&progress(ms * decoded_per_second / 1000, frames), &[A], at(ms)))
                .next();
            assert_eq!(complaint, expected, "{what}");
        }
        let mut watchdog = Watchdog::new(start);
        let moving = (0..40).filter_map(|n| watchdog.report(&progress(n * 8, n * 8), &[A], at(n * 250))).next();
        assert_eq!(moving, None);
        // An output that the plan no longer has may stand still.
        assert_eq!(watchdog.report(&progress(10_000, 1), &[], at(60_000)), None);
    }
}

//! Which encoders are to make a keyframe beside their clock's, because somebody who watches has lost one: pure, from who asks and the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_pipeline::OutputId;

/// A keyframe takes as many bits as ten other pictures. At one each half second the pictures get worse but still come in time, and a viewer
/// who has lost one sees nothing new for half a second at most.
const FORCED_EVERY: Duration = Duration::from_millis(500);

/// All encoders of one worker.
#[derive(Debug, Default)]
pub(crate) struct ForcedKeyframes {
    outputs: BTreeMap<OutputId, Forced>,
}

#[derive(Debug, Default)]
struct Forced {
    is_asked: bool,
    last: Option<Instant>,
}

impl Forced {
    /// None while nobody asks.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.is_asked.then(|| self.last.map_or(now, |last| now.max(last + FORCED_EVERY)))
    }
}

impl ForcedKeyframes {
    /// Somebody asks this encoder for a keyframe; those who ask before it is made share it.
    pub(crate) fn ask(&mut self, output: OutputId) {
        self.outputs.entry(output).or_default().is_asked = true;
    }

    /// When the next keyframe is to be forced; None while nobody asks.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        self.outputs.values().filter_map(|forced| forced.due(now)).min()
    }

    /// The encoders that are told now.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<OutputId> {
        // What was told long ago limits nothing any more.
        let limits =
            |forced: &Forced| forced.last.is_some_and(|last| now.saturating_duration_since(last) < FORCED_EVERY);
        self.outputs.retain(|_, forced| forced.is_asked || limits(forced));
        let due = self.outputs.iter_mut().filter(|(_, forced)| forced.due(now).is_some_and(|due| due <= now));
        due.map(|(output, forced)| {
            *forced = Forced { is_asked: false, last: Some(now) };
            *output
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_told_twice_a_second_at_most_and_no_wish_is_forgotten() {
        let (start, mut forced) = (Instant::now(), ForcedKeyframes::default());
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (one, other) = (OutputId(1), OutputId(2));
        // At each of these milliseconds somebody asks, and then those are told.
        for (ms, asked, told) in [
            (0, &[one][..], &[one][..]),
            (10, &[], &[]),
            (20, &[one, one], &[]),
            (200, &[other, one], &[other]),
            (499, &[], &[]),
            (500, &[], &[one]),
            (600, &[other], &[]),
            (700, &[], &[other]),
            (5_000, &[one, other], &[one, other]),
        ] {
            asked.iter().for_each(|output| forced.ask(*output));
            assert_eq!(forced.take_due(at(ms)), told, "at {ms} ms");
        }
        forced.ask(one);
        assert_eq!(forced.next(at(5_100)), Some(at(5_500)));
        assert_eq!(forced.next(at(9_000)), Some(at(9_000)));
        assert_eq!(forced.take_due(at(9_000)), [one]);
        assert_eq!(forced.next(at(9_000)), None);
        forced.take_due(at(20_000));
        assert!(forced.outputs.is_empty(), "encoders that are gone leave nothing behind");
    }
}

//! Notices when a source's bitrate falls: the first sign of trouble on the way from the encoder.

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use weir_model::Warning;

/// Weight of a new look in the usual bitrate: at two looks a second it follows within about 30 s.
const USUAL_WEIGHT: f64 = 1.0 / 60.0;

/// Below this share of the usual for [`FALLEN_FOR`]: fallen. Scene changes of variable-rate encoders stay above.
const FALLEN_SHARE: f64 = 0.6;
const FALLEN_FOR: Duration = Duration::from_millis(1_500);

/// The first seconds of a session say nothing of the usual.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct BitrateWatch {
    began_at: Option<Instant>,
    usual_bps: f64,
    low_since: Option<(Instant, OffsetDateTime)>,
}

impl BitrateWatch {
    pub(crate) fn look(&mut self, bitrate_bps: u64, now: Instant, wall: OffsetDateTime) -> Option<Warning> {
        let bitrate = bitrate_bps as f64;
        let began_at = *self.began_at.get_or_insert(now);
        if now.saturating_duration_since(began_at) < SETTLED_AFTER {
            self.usual_bps = self.usual_bps.max(bitrate);
            return None;
        }
        // The usual follows slowly, so that a warning ends when low is the new usual.
        let usual = self.usual_bps;
        self.usual_bps += (bitrate - self.usual_bps) * USUAL_WEIGHT;
        if bitrate >= usual * FALLEN_SHARE {
            self.low_since = None;
            return None;
        }
        let (since, since_wall) = *self.low_since.get_or_insert((now, wall));
        (now.saturating_duration_since(since) >= FALLEN_FOR).then(|| Warning {
            code: "bitrate_drop".to_owned(),
            message: format!("{:.0} kbps arrive where {:.0} kbps are usual", bitrate / 1_000.0, usual / 1_000.0),
            since: since_wall,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_to_half_is_told_within_five_seconds_and_ends() {
        let start = Instant::now();
        let mut watch = BitrateWatch::default();
        let mut looks = (0..).map(|half_seconds| start + Duration::from_millis(500 * half_seconds));
        let mut look = |bps| watch.look(bps, looks.next().unwrap(), OffsetDateTime::UNIX_EPOCH).is_some();
        assert!((0..40).all(|_| !look(2_000_000)), "steady");
        assert!((0..2).all(|_| !look(1_000_000)), "one second is a scene");
        assert!((0..8).any(|_| look(1_000_000)), "told within 5 s");
        assert!(!look(2_000_000), "over");
        assert!((0..600).all(|_| !look(1_900_000)));
    }
}

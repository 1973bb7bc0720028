//! Whether a rendition keeps up with its source: pure, from how far it is behind and the time.

use std::time::{Duration, Instant};

/// Encoders that look ahead take up to 0.6 s; a rendition that is more than a second behind is on a machine that does not keep up.
const LAG_MAX: Duration = Duration::from_secs(1);

/// A hiccup passes: a rendition must have been late, or in time again, for so long before it is said.
const SAID_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LagChange {
    Late,
    InTime,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lag {
    late: bool,
    /// Since when the opposite of `late` has been seen.
    other_since: Option<Instant>,
}

impl Lag {
    /// Takes how far the rendition is behind now, and gives the change that is due to be said.
    pub(crate) fn look(&mut self, behind: Duration, now: Instant) -> Option<LagChange> {
        if (behind > LAG_MAX) == self.late {
            self.other_since = None;
            return None;
        }
        let since = *self.other_since.get_or_insert(now);
        if now.saturating_duration_since(since) < SAID_AFTER {
            return None;
        }
        self.late = !self.late;
        self.other_since = None;
        Some(if self.late { LagChange::Late } else { LagChange::InTime })
    }

    pub(crate) fn is_late(&self) -> bool {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_not_late() {
        let (start, mut lag) = (Instant::now(), Lag::default());
        let mut look = |ms: u64, behind_ms: u64| {
            let change = lag.look(Duration::from_millis(behind_ms), start + Duration::from_millis(ms));
            (change, lag.is_late())
        };
        for (ms, behind_ms, expected) in [
            (0, 500, (None, false)),
            (250, 1_500, (None, false)),
            (1_000, 1_500, (None, false)),
            (1_100, 900, (None, false)),
            (1_250, 1_500, (None, false)),
            (2_000, 1_500, (None, false)),
            (2_250, 1_500, (Some(LagChange::Late), true)),
            (5_000, 3_000, (None, true)),
            (5_250, 100, (None, true)),
            (6_250, 100, (Some(LagChange::InTime), false)),
        ] {
            assert_eq!(look(ms, behind_ms), expected, "at {ms} ms");
        }
    }
}

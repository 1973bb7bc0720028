//! Limits the messages that are not media, because parsing one costs more than sending it.

use std::time::{Duration, Instant};

/// The most messages within the time. Encoders send a dozen and then one now and then; a player of 100 Mbps acknowledges ten times a
/// second.
const COMMANDS_MAX: u32 = 1_000;
const WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct CommandRate {
    /// When the window began in which messages are counted; `count` of them have come in it.
    since: Option<Instant>,
    count: u32,
}

impl CommandRate {
    pub(super) fn may_come(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WITHIN) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count += 1;
        self.count <= COMMANDS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_ends_and_a_steady_trickle_does_not() {
        let start = Instant::now();
        let mut flood = CommandRate::default();
        let taken = (0..5_000).filter(|_| flood.may_come(start)).count();
        assert_eq!(taken, COMMANDS_MAX as usize);
        let mut trickle = CommandRate::default();
        // These are ninety messages a second for an hour.
        assert!((0..3_600 * 90_u64).all(|n| trickle.may_come(start + Duration::from_micros(n * 1_000_000 / 90))));
    }
}

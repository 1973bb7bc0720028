//! Tells how much was lost lately.

use std::collections::VecDeque;

/// The number of looks that are kept. There is one look a second.
const LOOKS: usize = 10;

/// Tells the loss of the last ten seconds from counts that only grow.
#[derive(Debug, Default)]
pub(crate) struct RecentLoss {
    looks: VecDeque<(u64, u64)>,
}

impl RecentLoss {
    /// Takes the counts so far, and returns the share of missed packets in percent.
    pub(crate) fn look(&mut self, missed: u64, received: u64) -> f64 {
        self.looks.push_back((missed, received));
        if self.looks.len() > LOOKS + 1 {
            self.looks.pop_front();
        }
        let (missed_before, received_before) = self.looks.front().copied().unwrap_or_default();
        let missed = missed.saturating_sub(missed_before);
        let all = received.saturating_sub(received_before).max(missed);
        if all == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousand packets")]
        let percent = 100.0 * missed as f64 / all as f64;
        percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_ten_seconds_count() {
        let mut loss = RecentLoss::default();
        assert_eq!(loss.look(0, 0), 0.0);
        assert_eq!(loss.look(5, 100), 5.0);
        for second in 1..10 {
            loss.look(5, 100 * (second + 1));
        }
        assert_eq!(loss.look(5, 1_100), 0.0);
        assert_eq!(loss.look(505, 1_200), 50.0);
        assert_eq!(RecentLoss::default().look(7, 3), 0.0, "one look says nothing");
    }
}

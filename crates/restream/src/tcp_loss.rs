//! Measures how lossy a TCP path is now: the share of segments that were sent again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The share is that of the last 10 s. A share since the beginning would hide a path that went bad, and that of one second would flicker.
const OVER: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct TcpLoss {
    samples: VecDeque<(Instant, u32, u32)>,
}

impl TcpLoss {
    /// Takes the kernel's counts and returns the loss in percent, or None as long as nothing was sent. The counts wrap, so only their
    /// difference is used.
    pub(crate) fn look(&mut self, sent: u32, resent: u32, now: Instant) -> Option<f64> {
        self.samples.push_back((now, sent, resent));
        while self.samples.get(1).is_some_and(|(at, ..)| now.saturating_duration_since(*at) >= OVER) {
            self.samples.pop_front();
        }
        let (_, first_sent, first_resent) = *self.samples.front()?;
        let (sent, resent) = (sent.wrapping_sub(first_sent), resent.wrapping_sub(first_resent));
        (sent > 0).then(|| f64::from(resent.min(sent)) * 100.0 / f64::from(sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_last_ten_seconds_and_across_a_wrap() {
        let (mut loss, start) = (TcpLoss::default(), Instant::now());
        let mut look = |second: u64, sent: u32, resent| loss.look(sent, resent, start + Duration::from_secs(second));
        assert_eq!(look(0, u32::MAX - 99, 7), None);
        assert_eq!(look(1, 100, 17), Some(5.0));
        for second in 2..=11 {
            assert!(look(second, 100 + second as u32, 17).is_some());
        }
        assert_eq!(look(12, 1_000, 17), Some(0.0));
    }
}

//! How long to wait before a worker is started again.

use std::time::{Duration, Instant};

/// A worker that dies once is back at once: viewers notice two seconds.
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);
/// Whoever lived so long was well; its end is a first one.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Backoff {
    delay: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { delay: DELAY_MIN }
    }

    /// The wait after a life from `started` to `ended`.
    pub(crate) fn after(&mut self, started: Instant, ended: Instant) -> Duration {
        if ended.saturating_duration_since(started) >= HEALTHY_AFTER {
            self.delay = DELAY_MIN;
        }
        let delay = self.delay;
        self.delay = (delay * 2).min(DELAY_MAX);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_bound_and_forgets() {
        let (start, mut backoff) = (Instant::now(), Backoff::new());
        let short = start + Duration::from_secs(1);
        let waits: Vec<u128> = (0..8).map(|_| backoff.after(start, short).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.after(start, start + HEALTHY_AFTER), DELAY_MIN);
        assert_eq!(backoff.after(start, short), DELAY_MIN * 2);
    }
}

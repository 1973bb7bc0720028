//! How long to wait before a worker is started again.

use std::time::Duration;

/// A worker that dies once is back at once: viewers notice two seconds.
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Backoff {
    delay: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { delay: DELAY_MIN }
    }

    /// The wait after a life in which it gave pictures, or did not: one that worked is back at once however often it is killed, and
    /// what can't begin does not wear out the machine.
    pub(crate) fn after(&mut self, gave_pictures: bool) -> Duration {
        if gave_pictures {
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
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..8).map(|_| backoff.after(false).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(
            [backoff.after(true), backoff.after(true), backoff.after(false)],
            [DELAY_MIN, DELAY_MIN, DELAY_MIN * 2]
        );
    }
}

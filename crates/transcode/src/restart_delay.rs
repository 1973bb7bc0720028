//! How long to wait before a worker is started again.

use std::time::Duration;

/// A worker that dies once is back at once: viewers notice two seconds.
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);

/// A worker that has given pictures for so long was well: what killed it was not there at its start. One that is started every two
/// seconds takes a sixth of a core for its starts alone.
const HEALTHY_MIN: Duration = Duration::from_secs(2);

/// After a longer wait a worker has to do well for longer, for this many
/// times the wait: what comes back every few seconds is no accident any more.
const HEALTHY_PER_DELAY: u32 = 4;

#[derive(Debug)]
pub(crate) struct RestartDelay {
    delay: Duration,
}

impl RestartDelay {
    pub(crate) fn new() -> Self {
        Self { delay: DELAY_MIN }
    }

    /// The wait after a run in which the worker did well for `healthy`, which is zero where it gave no pictures. A worker that is killed
    /// now and then is back at once, and one that fails soon after each start, with pictures or without, does not wear out the machine.
    pub(crate) fn after(&mut self, healthy: Duration) -> Duration {
        if healthy >= HEALTHY_MIN.max(self.waited() * HEALTHY_PER_DELAY) {
            self.delay = DELAY_MIN;
        }
        let delay = self.delay;
        self.delay = (delay * 2).min(DELAY_MAX);
        delay
    }

    /// The wait before the run that is over now.
    fn waited(&self) -> Duration {
        self.delay / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(lives_ms: &[u64]) -> Vec<u128> {
        let mut delay = RestartDelay::new();
        lives_ms.iter().map(|ms| delay.after(Duration::from_millis(*ms)).as_millis()).collect()
    }

    #[test]
    fn doubles_up_to_a_bound_and_forgets() {
        assert_eq!(waits(&[0; 8]), [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(waits(&[0, 0, 60_000, 0]), [100, 200, 100, 200]);
    }

    #[test]
    fn one_that_fails_soon_after_its_first_pictures_waits_longer_each_time() {
        assert_eq!(waits(&[700; 8]), [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn kills_that_come_seconds_apart_cost_no_wait() {
        assert_eq!(waits(&[2_000; 20]), [100; 20]);
    }

    #[test]
    fn after_long_waits_it_has_to_do_well_for_longer() {
        let failing = [0; 7];
        let then = |ms: u64| *waits(&[&failing[..], &[ms]].concat()).last().unwrap();
        assert_eq!((then(3_000), then(9_000), then(11_000)), (5_000, 5_000, 100));
    }
}

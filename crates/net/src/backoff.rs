//! Says when a push or a pull may try again. The delay doubles with each failure and has jitter, only health resets it, and it keeps
//! within the budget of attempts of the platform, where there is one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Each delay is changed at random by up to this much, so that a hundred calls to one server do not come back at one moment.
const JITTER_PERCENT: u32 = 20;

/// A budget of attempts counts those of the last ten minutes.
const BUDGET_WINDOW: Duration = Duration::from_secs(600);

/// How eagerly a server may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eagerness {
    pub delay_min: Duration,
    pub delay_max: Duration,
    /// How many attempts are allowed in ten minutes. None means that there is no limit.
    pub attempts_per_10_minutes: Option<u32>,
}

impl Default for Eagerness {
    fn default() -> Self {
        Self { delay_min: Duration::from_secs(1), delay_max: Duration::from_secs(60), attempts_per_10_minutes: None }
    }
}

/// Counts the failures and attempts of one push or pull, and says how long to wait.
#[derive(Debug)]
pub struct Backoff {
    eagerness: Eagerness,
    failures: u32,
    attempts: VecDeque<Instant>,
    random: u64,
}

impl Backoff {
    /// `seed` makes the jitter of different pushes and pulls differ. Any number will do.
    pub fn new(eagerness: Eagerness, seed: u64) -> Self {
        Self { eagerness, failures: 0, attempts: VecDeque::new(), random: seed | 1 }
    }

    /// Notes that an attempt begins.
    pub fn attempt(&mut self, now: Instant) {
        self.forget(now);
        // Only as many attempts as the budget asks about are remembered.
        if let Some(budget) = self.eagerness.attempts_per_10_minutes {
            self.attempts.push_back(now);
            while self.attempts.len() > budget as usize {
                self.attempts.pop_front();
            }
        }
    }

    /// Notes that the attempt failed, or the connection that came of it. Returns when the next attempt may begin.
    pub fn failed(&mut self, now: Instant) -> Instant {
        self.failures = self.failures.saturating_add(1);
        // 2^16 times the shortest delay is far above any maximum, and a shift by 16 at most can't overflow.
        let doubled = self.eagerness.delay_min.saturating_mul(1 << (self.failures - 1).min(16));
        let jittered = self.jitter(doubled.min(self.eagerness.delay_max));
        self.forget(now);
        (now + jittered).max(self.allowed_at(now))
    }

    /// The time from which on the budget has an attempt left.
    pub fn allowed_at(&self, now: Instant) -> Instant {
        match self.eagerness.attempts_per_10_minutes {
            Some(budget) if self.attempts.len() >= budget as usize => {
                self.attempts.front().map_or(now, |first| now.max(*first + BUDGET_WINDOW))
            }
            _ => now,
        }
    }

    /// The number of failures since the connection was last healthy.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    pub fn healthy(&mut self) {
        self.failures = 0;
    }

    fn forget(&mut self, now: Instant) {
        while self.attempts.front().is_some_and(|at| now.saturating_duration_since(*at) >= BUDGET_WINDOW) {
            self.attempts.pop_front();
        }
    }

    /// Spreads the delay by xorshift64, which is random enough for that, and the same in every run of a test.
    fn jitter(&mut self, delay: Duration) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let spread = u32::try_from(self.random % u64::from(2 * JITTER_PERCENT + 1)).unwrap_or(JITTER_PERCENT);
        delay * (100 - JITTER_PERCENT + spread) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_maximum_with_bounded_jitter() {
        let now = Instant::now();
        for seed in [0, 1, 7, u64::MAX] {
            let mut backoff = Backoff::new(Eagerness::default(), seed);
            for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0] {
                let delay = (backoff.failed(now) - now).as_secs_f64();
                assert!((0.8..=1.2).contains(&(delay / expected)), "{delay} for {expected} with seed {seed}");
            }
            backoff.healthy();
            assert!(backoff.failed(now) - now <= Duration::from_millis(1_200));
        }
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff::new(Eagerness::default(), 1);
        backoff.failures = u32::MAX - 1;
        let now = Instant::now();
        for _ in 0..3 {
            assert!(backoff.failed(now) - now <= Duration::from_secs(72));
        }
    }

    #[test]
    fn budget_holds_over_ten_minutes() {
        let eagerness = Eagerness { attempts_per_10_minutes: Some(5), ..Eagerness::default() };
        let mut backoff = Backoff::new(eagerness, 3);
        let start = Instant::now();
        let mut now = start;
        let mut attempts = Vec::new();
        while now - start < Duration::from_secs(3_600) {
            backoff.attempt(now);
            attempts.push(now);
            now = backoff.failed(now);
        }
        for window in attempts.windows(6) {
            assert!(window[5] - window[0] >= BUDGET_WINDOW, "more than five in ten minutes");
        }
        assert!(attempts.len() >= 29, "the budget is used: {}", attempts.len());
    }
}

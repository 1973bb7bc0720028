//! Counts viewers who come and go: each counts as one for as long as it keeps coming back within a window.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// At most this many viewers of one stream and protocol are told apart: 100,000 take about 3 MB. With more the count stays at this.
pub(crate) const VIEWERS_MAX: usize = 100_000;

/// The viewers that were seen. Those who have gone are swept out when the
/// table has doubled since the last time, and whenever someone counts.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Until when each viewer is counted.
    until: HashMap<u64, Instant>,
    swept_to: usize,
    swept_at: Option<Instant>,
}

impl Audience {
    /// Sweeping is not worth it for fewer entries than this.
    const SWEEP_MIN: usize = 1_000;
    /// A full table is not swept for every newcomer, as that takes about a millisecond.
    const SWEEP_REST: Duration = Duration::from_secs(1);

    pub(crate) fn saw(&self, viewer: u64, now: Instant, window: Duration) {
        let mut seen = self.lock();
        if let Some(until) = seen.until.get_mut(&viewer) {
            *until = now + window;
            return;
        }
        let is_rested = seen.swept_at.is_none_or(|at| now.duration_since(at) >= Self::SWEEP_REST);
        if is_rested && seen.until.len() >= (seen.swept_to * 2).clamp(Self::SWEEP_MIN, VIEWERS_MAX) {
            seen.sweep(now);
        }
        if seen.until.len() < VIEWERS_MAX {
            seen.until.insert(viewer, now + window);
        }
    }

    pub(crate) fn count(&self, now: Instant) -> u64 {
        let mut seen = self.lock();
        seen.sweep(now);
        seen.until.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn sweep(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        self.swept_to = self.until.len();
        self.swept_at = Some(now);
        // A crowd that left gives its memory back.
        self.until.shrink_to(self.swept_to * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_while_they_keep_coming() {
        let (audience, start) = (Audience::default(), Instant::now());
        let (window, at) = (Duration::from_secs(6), |seconds| start + Duration::from_secs(seconds));
        audience.saw(1, at(0), window);
        audience.saw(2, at(0), window);
        audience.saw(1, at(4), window);
        for (seconds, expected) in [(4, 2), (5, 2), (6, 1), (9, 1), (10, 0)] {
            assert_eq!(audience.count(at(seconds)), expected, "after {seconds} s");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (audience, now, window) = (Audience::default(), Instant::now(), Duration::from_secs(6));
        (0..VIEWERS_MAX as u64 + 10_000).for_each(|viewer| audience.saw(viewer, now, window));
        assert_eq!(audience.lock().until.len(), VIEWERS_MAX);
        // Those who have gone make room even when nobody counts.
        audience.saw(u64::MAX, now + window, window);
        assert_eq!(audience.lock().until.len(), 1);
        assert_eq!(audience.count(now + window), 1);
        assert!(audience.lock().until.capacity() < 1_000);
    }
}

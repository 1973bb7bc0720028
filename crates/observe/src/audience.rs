//! Viewers who come and go: each is one as long as it keeps coming back within a window.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Of one stream and protocol: 100,000 are about 3 MB. More are not told apart, and the count stays at this.
pub(crate) const VIEWERS_MAX: usize = 100_000;

/// Who has gone is swept out when the table has doubled since the last time, and whenever someone counts.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Until when each is counted.
    until: HashMap<u64, Instant>,
    swept_to: usize,
    swept_at: Option<Instant>,
}

impl Audience {
    /// The least number of entries at which sweeping is worth it.
    const SWEEP_MIN: usize = 1_000;
    /// A full table must not be swept for every newcomer: that takes about a millisecond.
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
        // Those who have gone make room, without anybody counting.
        audience.saw(u64::MAX, now + window, window);
        assert_eq!(audience.lock().until.len(), 1);
        assert_eq!(audience.count(now + window), 1);
        assert!(audience.lock().until.capacity() < 1_000);
    }
}

//! A stream's one clock: what its time is now, where its zero lies on the wall clock, and which segment numbers are taken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use weir_media::{ClockMark, MediaTime};

/// Segments of pictures that are kept as they are may be shorter than slots: no more of them begin between two marks.
const BETWEEN_MARKS_MAX: u64 = 32;

/// Clones share it. Frames are put on the timeline by it where they enter, and nothing behind has an offset of its own.
///
/// Without a mark of an earlier run its zero is the moment when it is first asked for the time, which is the first frame's. From then on
/// it goes by a clock that is never set.
#[derive(Clone, Debug, Default)]
pub struct StreamClock {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: OnceLock<Running>,
    next_number: AtomicU64,
    numbers_run_ahead: AtomicBool,
}

#[derive(Debug)]
struct Running {
    zero_at: OffsetDateTime,
    first_number: u64,
    /// Of this run of the server.
    began: Instant,
    began_at: Duration,
}

impl StreamClock {
    /// One that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that goes on from a mark, with segments in slots of that length.
    pub fn resumed(mark: &ClockMark, slot: Duration) -> Self {
        let resumed = mark.resume(OffsetDateTime::now_utc(), slot);
        let began_at = resumed.at.since(MediaTime::ZERO);
        Self::running(Running {
            zero_at: mark.zero_at,
            first_number: resumed.first_number,
            began: Instant::now(),
            began_at,
        })
    }

    /// One whose zero and whose count are known, as whoever runs the stream tells them.
    pub fn begun(zero_at: OffsetDateTime, first_number: u64) -> Self {
        let began_at = Duration::try_from(OffsetDateTime::now_utc() - zero_at).unwrap_or_default();
        Self::running(Running { zero_at, first_number, began: Instant::now(), began_at })
    }

    fn running(running: Running) -> Self {
        Self { shared: Arc::new(Shared { running: OnceLock::from(running), ..Shared::default() }) }
    }

    fn get(&self, now: Instant) -> &Running {
        self.shared.running.get_or_init(|| {
            let zero_at = OffsetDateTime::now_utc();
            // The seconds since 1970: no earlier version of this server ever gave more numbers than there were seconds.
            let first_number = u64::try_from(zero_at.unix_timestamp()).unwrap_or(0);
            Running { zero_at, first_number, began: now, began_at: Duration::ZERO }
        })
    }

    /// The stream's time at `now`.
    pub fn time_at(&self, now: Instant) -> Duration {
        let running = self.get(now);
        running.began_at + now.saturating_duration_since(running.began)
    }

    /// What the wall clock said at time zero, once there is one.
    pub fn zero_at(&self) -> Option<OffsetDateTime> {
        Some(self.shared.running.get()?.zero_at)
    }

    /// The number of a segment in slot zero; 0 before the clock has begun.
    pub fn first_number(&self) -> u64 {
        self.shared.running.get().map_or(0, |running| running.first_number)
    }

    /// A segment of that number begins. `runs_ahead`: it is not numbered by its slot, and those behind it may come sooner than slots do.
    pub fn take_number(&self, number: u64, runs_ahead: bool) {
        self.shared.next_number.fetch_max(number.saturating_add(1), Ordering::Relaxed);
        if runs_ahead {
            self.shared.numbers_run_ahead.store(true, Ordering::Relaxed);
        }
    }

    /// The first number that no segment of this run has yet.
    pub fn next_number(&self) -> u64 {
        self.shared.next_number.load(Ordering::Relaxed)
    }

    /// What the next run needs to know, where the newest frame is at `reached`; None before the clock has begun.
    pub fn mark(&self, reached: MediaTime) -> Option<ClockMark> {
        let running = self.shared.running.get()?;
        let ahead = if self.shared.numbers_run_ahead.load(Ordering::Relaxed) { BETWEEN_MARKS_MAX } else { 0 };
        Some(ClockMark {
            zero_at: running.zero_at,
            first_number: running.first_number,
            reached,
            next_number: self.next_number() + ahead,
            noted_at: OffsetDateTime::now_utc(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_the_first_who_asks_and_goes_on_from_its_mark() {
        let (clock, now) = (StreamClock::new(), Instant::now());
        assert_eq!((clock.zero_at(), clock.mark(MediaTime::ZERO)), (None, None));
        assert_eq!(clock.time_at(now), Duration::ZERO);
        assert_eq!(clock.time_at(now + Duration::from_secs(3)), Duration::from_secs(3));
        assert_eq!(clock.clone().zero_at(), clock.zero_at());
        clock.take_number(clock.first_number() + 4, false);
        clock.take_number(clock.first_number() + 3, false);
        let mark = clock.mark(MediaTime::from_millis(9_000)).unwrap();
        assert_eq!(mark.next_number, clock.first_number() + 5);
        let next = StreamClock::resumed(&mark, Duration::from_secs(2));
        assert_eq!((next.zero_at(), next.next_number()), (clock.zero_at(), 0));
        assert!(next.time_at(Instant::now()) >= Duration::from_millis(9_001));
        assert_eq!(next.first_number(), clock.first_number() + 1, "the slot of the last segment may be this one");
        clock.take_number(clock.first_number(), true);
        assert_eq!(clock.mark(MediaTime::ZERO).unwrap().next_number, mark.next_number + BETWEEN_MARKS_MAX);
    }
}

//! Watches whether segments come when they should. It is pure, because the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// A segment that takes longer than so many halves of the target is late, and a source that is silent for so long is away.
const LATE_HALVES: u32 = 3;

/// What it means that a deadline was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overdue {
    /// The source has been silent for so long that open segments have to end.
    pub(crate) silent: bool,
    /// How long the segment has taken so far, if it is late. This is told once.
    pub(crate) late_for: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    target: Duration,
    last_frame: Option<Instant>,
    /// Since when the end of the open segment is waited for. None if no segment is open.
    began: Option<Instant>,
    /// How long the last segment took, but at least the target. By this measure a source with long GOPs is late once, and not every time.
    last_length: Duration,
    told: bool,
}

impl Schedule {
    pub(crate) fn new(target: Duration) -> Self {
        Self { target, last_frame: None, began: None, last_length: target, told: false }
    }

    pub(crate) fn on_frame(&mut self, now: Instant, open: bool, segment_ended: bool) {
        self.last_frame = Some(now);
        if segment_ended {
            if let Some(began) = self.began {
                self.last_length = now.saturating_duration_since(began).max(self.target);
            }
            self.told = false;
            self.began = None;
        }
        if open {
            self.began.get_or_insert(now);
        }
    }

    /// Notes that no segment is open any more, so that none is waited for until the source is back.
    pub(crate) fn on_flush(&mut self) {
        self.began = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let silent_at = self.last_frame? + patience(self.target);
        let began = self.began?;
        let late_at = began + patience(self.last_length);
        Some(if self.told { silent_at } else { silent_at.min(late_at) })
    }

    pub(crate) fn on_deadline(&mut self, now: Instant) -> Overdue {
        let Some((began, last_frame)) = self.began.zip(self.last_frame) else { return Overdue::default() };
        let silent = now >= last_frame + patience(self.target);
        let late = !self.told && (silent || now >= began + patience(self.last_length));
        self.told |= late;
        Overdue { silent, late_for: late.then(|| now.saturating_duration_since(began)) }
    }
}

fn patience(length: Duration) -> Duration {
    length * LATE_HALVES / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(2);

    fn seconds(count: f64) -> Duration {
        Duration::from_secs_f64(count)
    }

    #[test]
    fn a_source_in_time_has_nothing_to_say() {
        let (mut schedule, zero) = (Schedule::new(TARGET), Instant::now());
        assert_eq!(schedule.deadline(), None, "nothing has begun");
        for frame in 0..300_u32 {
            let now = zero + seconds(f64::from(frame) / 30.0);
            assert!(schedule.deadline().is_none_or(|deadline| deadline > now), "frame {frame}");
            schedule.on_frame(now, true, frame > 0 && frame % 60 == 0);
        }
    }

    #[test]
    fn silence_is_told_once_and_ends_what_is_open() {
        let (mut schedule, zero) = (Schedule::new(TARGET), Instant::now());
        schedule.on_frame(zero, true, false);
        let deadline = schedule.deadline().unwrap();
        assert_eq!(deadline, zero + seconds(3.0));
        let overdue = schedule.on_deadline(deadline);
        assert_eq!(overdue, Overdue { silent: true, late_for: Some(seconds(3.0)) });
        schedule.on_flush();
        assert_eq!(schedule.deadline(), None, "silence goes on, nothing is open");
    }

    #[test]
    fn a_long_gop_is_late_once() {
        let (mut schedule, zero) = (Schedule::new(TARGET), Instant::now());
        let mut told = 0;
        for tenth in 0..600_u32 {
            let now = zero + seconds(f64::from(tenth) / 10.0);
            if schedule.deadline().is_some_and(|deadline| deadline <= now) {
                let overdue = schedule.on_deadline(now);
                assert!(!overdue.silent);
                told += usize::from(overdue.late_for.is_some());
            }
            schedule.on_frame(now, true, tenth > 0 && tenth % 100 == 0);
        }
        assert_eq!(told, 1);
    }
}

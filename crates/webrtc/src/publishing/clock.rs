//! Gives sound and picture one clock. Each counts from a number of its own choosing, so at first they are laid side by side as they arrive.
//! Once the sender has reported when it captured both (RTCP sender reports), the picture moves to where the reports put it, slowly enough
//! that nobody sees it. The sound is never moved.

use std::time::{Duration, SystemTime};

/// Frames are stamped in ticks of this rate.
pub const TICKS_HZ: u32 = 90_000;

/// The first frame lies an hour behind zero, so that what comes before it is no negative time.
const FIRST_TICKS: i64 = 3_600 * 90_000;

/// The picture moves by at most a tenth of the time that passes, so 80 ms take 0.8 s.
const MOVES_BY: i64 = 10;

/// Reports that set sound and picture further apart than this are not believed: no sender holds either back for so long.
const APART_MAX_TICKS: i64 = 2 * 90_000;

/// What the sender reported of a source: its counter's number at a time of the sender's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) stamp: u32,
    pub(crate) wall: SystemTime,
}

/// Follows the counter of one source, and gives its times in ticks.
#[derive(Debug)]
pub(crate) struct TrackClock {
    rate_hz: u32,
    /// The last stamp, and how far it is from the first one, in the counter's own units.
    last: Option<(u32, i64)>,
    /// The time of the first stamp.
    first_ticks: i64,
    report: Option<Report>,
}

impl TrackClock {
    pub(crate) fn new(rate_hz: u32) -> Self {
        Self { rate_hz, last: None, first_ticks: 0, report: None }
    }

    /// The time of this stamp. That of the first one is when it came.
    pub(crate) fn ticks(&mut self, stamp: u32, since_began: Duration) -> i64 {
        let Some((last, from_first)) = self.last else {
            let began = i64::try_from(since_began.as_micros()).unwrap_or(i64::MAX / 1_000_000);
            self.first_ticks = FIRST_TICKS + began * 9 / 100;
            self.last = Some((stamp, 0));
            return self.first_ticks;
        };
        // The counter goes round, so the shorter way is taken.
        let from_first = from_first + i64::from(stamp.wrapping_sub(last).cast_signed());
        self.last = Some((stamp, from_first));
        self.first_ticks + self.in_ticks(from_first)
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.report = Some(report);
    }

    /// The time at which the sender's wall clock was zero, as the sender reported of this source. The difference of two sources is how far
    /// they are apart.
    pub(crate) fn epoch_ticks(&self) -> Option<i64> {
        let (report, (last, from_first)) = (self.report?, self.last?);
        let from_first = from_first + i64::from(report.stamp.wrapping_sub(last).cast_signed());
        let wall = report.wall.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let wall = i64::try_from(wall.as_micros()).ok()?.checked_mul(9)? / 100;
        Some(self.first_ticks + self.in_ticks(from_first) - wall)
    }

    fn in_ticks(&self, units: i64) -> i64 {
        units.saturating_mul(i64::from(TICKS_HZ)) / i64::from(self.rate_hz)
    }

    /// Begins anew, because another source follows.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.rate_hz);
    }
}

/// The clock of one source of pictures, and how far they have been moved to be with their sound.
#[derive(Debug)]
pub(crate) struct PictureClock {
    clock: TrackClock,
    moved_ticks: i64,
    /// The last time, before it was moved.
    last_ticks: Option<i64>,
}

impl PictureClock {
    pub(crate) fn new() -> Self {
        Self { clock: TrackClock::new(TICKS_HZ), moved_ticks: 0, last_ticks: None }
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.clock.report(report);
    }

    /// The time of this stamp, given the [epoch](TrackClock::epoch_ticks) of the sound.
    pub(crate) fn ticks(&mut self, stamp: u32, since_began: Duration, sound_epoch: Option<i64>) -> i64 {
        let ticks = self.clock.ticks(stamp, since_began);
        let passed = self.last_ticks.map_or(0, |last| (ticks - last).max(0));
        if passed == 0 && self.last_ticks.is_some() {
            return ticks + self.moved_ticks;
        }
        // Nobody has seen a picture before the first one, so it may move at once.
        let step = if self.last_ticks.is_none() { APART_MAX_TICKS } else { passed / MOVES_BY };
        let apart = self.apart(sound_epoch).unwrap_or(self.moved_ticks);
        self.moved_ticks += (apart - self.moved_ticks).clamp(-step, step);
        self.last_ticks = Some(ticks);
        ticks + self.moved_ticks
    }

    /// How far the picture is to be moved, if the reports say so.
    fn apart(&self, sound_epoch: Option<i64>) -> Option<i64> {
        let apart = sound_epoch?.checked_sub(self.clock.epoch_ticks()?)?;
        (apart.abs() <= APART_MAX_TICKS).then_some(apart)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const FRAME: u32 = 3_000;

    /// The clocks of a publisher who sends both.
    struct Clocks {
        began: Instant,
        video: PictureClock,
        audio: TrackClock,
    }

    impl Clocks {
        fn new(began: Instant) -> Self {
            Self { began, video: PictureClock::new(), audio: TrackClock::new(48_000) }
        }

        fn audio_ticks(&mut self, stamp: u32, came_at: Instant) -> i64 {
            self.audio.ticks(stamp, came_at.saturating_duration_since(self.began))
        }

        fn video_ticks(&mut self, stamp: u32, came_at: Instant) -> i64 {
            let sound = self.audio.epoch_ticks();
            self.video.ticks(stamp, came_at.saturating_duration_since(self.began), sound)
        }
    }

    #[test]
    fn a_counter_is_followed_around_its_end_and_back() {
        let mut clock = TrackClock::new(48_000);
        let began = clock.ticks(u32::MAX - 959, Duration::from_secs(1));
        assert_eq!(began, FIRST_TICKS + 90_000);
        assert_eq!(clock.ticks(0, Duration::ZERO), began + 1_800);
        assert_eq!(clock.ticks(960, Duration::ZERO), began + 3_600);
        assert_eq!(clock.ticks(0, Duration::ZERO), began + 1_800);
    }

    /// Where picture and sound of one moment come out apart after so many pictures, in ms, if pictures come `late_ms` after their sound and
    /// the sender reports what is true plus `wrong_ms`.
    fn apart_ms(late_ms: u64, wrong_ms: i64, reports: bool, pictures: u32) -> i64 {
        let now = Instant::now();
        let mut clocks = Clocks::new(now);
        let (video_zero, audio_zero) = (u32::MAX - 10_000, 77_777);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut apart = 0;
        for at in 0..pictures {
            let captured = now + Duration::from_micros(33_333) * at;
            let stamp = audio_zero + at * 1_600;
            let sound = clocks.audio_ticks(stamp, captured);
            let picture =
                clocks.video_ticks(video_zero_plus(video_zero, at), captured + Duration::from_millis(late_ms));
            if reports && at == 10 {
                clocks.audio.report(Report { stamp, wall });
                let wall = if wrong_ms < 0 {
                    wall - Duration::from_millis(wrong_ms.unsigned_abs())
                } else {
                    wall + Duration::from_millis(wrong_ms.unsigned_abs())
                };
                clocks.video.report(Report { stamp: video_zero_plus(video_zero, at), wall });
            }
            apart = (picture - sound) / 90;
        }
        apart
    }

    fn video_zero_plus(zero: u32, at: u32) -> u32 {
        zero.wrapping_add(at * FRAME)
    }

    #[test]
    fn sound_and_picture_go_together_once_the_sender_has_reported() {
        for (late_ms, wrong_ms, reports, pictures, expected) in [
            (0, 0, false, 100, 0),
            (60, 0, false, 100, 60),
            (60, 0, true, 5, 60),
            // Half a second after the report, by a tenth of the time that passed.
            (200, 0, true, 26, 150),
            (60, 0, true, 100, 0),
            (200, 0, true, 200, 0),
            (0, 100, true, 100, 100),
            // A clock that is hours off is not believed.
            (60, 7_200_000, true, 100, 60),
        ] {
            let apart = apart_ms(late_ms, wrong_ms, reports, pictures);
            assert!((apart - expected).abs() <= 1, "{late_ms} {wrong_ms} {reports} {pictures}: {apart}");
        }
    }

    #[test]
    fn a_picture_never_goes_back_because_it_is_moved() {
        let now = Instant::now();
        let mut clocks = Clocks::new(now);
        clocks.audio_ticks(0, now);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        clocks.audio.report(Report { stamp: 0, wall });
        let mut last = i64::MIN;
        for at in 0..200 {
            let ticks = clocks.video_ticks(at * FRAME, now + Duration::from_secs(1));
            assert!(ticks > last, "{at}");
            last = ticks;
            clocks.video.report(Report { stamp: 0, wall: wall - Duration::from_millis(500) });
        }
        assert_eq!(clocks.video_ticks(199 * FRAME, now), last, "packets of one picture have one time");
    }
}

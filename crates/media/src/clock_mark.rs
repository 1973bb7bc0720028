//! What is kept of a stream's clock, and where another run of the server, or another node, goes on by it.

use std::time::Duration;

use time::OffsetDateTime;

use crate::MediaTime;

/// A mark is written down so often while frames come. What a crash leaves untold is no longer than this.
pub const NOTED_EVERY: Duration = Duration::from_secs(10);

/// A mark that was due may be late by this much: the round of its writer, and a disk that is busy.
const NOTED_LATE_MAX: Duration = Duration::from_secs(2);

/// A stream's clock at one moment. Whoever runs the stream next continues from it: the same zero, no time and no number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMark {
    /// What the wall clock said at the stream's time zero.
    pub zero_at: OffsetDateTime,
    /// The number that a segment in slot zero has.
    pub first_number: u64,
    /// The newest time that was given to a frame.
    pub reached: MediaTime,
    /// No segment had this number yet, nor a higher one.
    pub next_number: u64,
    /// When this was written down, by the wall clock.
    pub noted_at: OffsetDateTime,
}

/// Where a clock goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The stream's time now.
    pub at: MediaTime,
    pub first_number: u64,
}

impl ClockMark {
    /// With what something else knows of the same clock: a window on disk may reach beyond what was noted.
    pub fn with(self, other: Self) -> Self {
        if self.zero_at != other.zero_at {
            return self;
        }
        let (reached, next_number) = (self.reached.max(other.reached), self.next_number.max(other.next_number));
        Self { reached, next_number, ..self }
    }

    /// Goes on at a wall-clock time, with segments in slots of that length.
    ///
    /// Time is what the wall clock says, but never what may have been given to a frame already: since the mark the stream may have gone on
    /// for as long as marks are apart, and if the wall clock was set back, nobody knows for how long. Numbers rise likewise: where the
    /// last segment may lie in the slot in which this run begins, its number is not used again.
    pub fn resume(&self, now: OffsetDateTime, slot: Duration) -> Resumed {
        let untold = NOTED_EVERY + NOTED_LATE_MAX;
        let passed = Duration::try_from(now - self.noted_at).map_or(untold, |passed| passed.min(untold));
        let by_the_clock = nanos((now - self.zero_at).whole_nanoseconds());
        let may_be_taken = self.reached + nanos(i128::try_from(passed.as_nanos()).unwrap_or(i128::MAX));
        let at = by_the_clock.max(may_be_taken + STEP).max(MediaTime::ZERO);
        let last_slot = may_be_taken.min(at).slot(slot);
        let first = i128::from(self.first_number);
        let next_number = i128::from(self.next_number).max(first + i128::from(last_slot) + 1);
        let first_number = first.max(next_number - i128::from(at.slot(slot)));
        Resumed { at, first_number: u64::try_from(first_number).unwrap_or(self.first_number) }
    }
}

/// What comes next is later, if only by this much: RTMP counts milliseconds.
const STEP: MediaTime = MediaTime::from_millis(1);

fn nanos(nanos: i128) -> MediaTime {
    MediaTime::from_nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Duration = Duration::from_secs(2);

    fn at(seconds: f64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap() + time::Duration::seconds_f64(seconds)
    }

    fn secs(seconds: f64) -> MediaTime {
        MediaTime::from_nanos((seconds * 1e9) as i64)
    }

    /// A source in real time, noted when the clock said `noted`; segments are in their slots.
    fn mark(noted: f64) -> ClockMark {
        let slot = secs(noted).slot(SLOT);
        ClockMark {
            zero_at: at(0.0),
            first_number: 100,
            reached: secs(noted),
            next_number: 101 + u64::try_from(slot).unwrap(),
            noted_at: at(noted),
        }
    }

    #[test]
    fn it_goes_on_by_the_wall_clock_and_never_back() {
        let ahead = |by: f64| ClockMark { reached: secs(1000.0 + by), ..mark(1000.0) };
        for (case, mark, now, expected) in [
            ("a minute later", mark(1000.0), 1060.0, 1060.0),
            ("a year later", mark(1000.0), 3.2e7, 3.2e7),
            ("at once", mark(1000.0), 1000.3, 1000.301),
            ("the clock was set back by an hour", mark(10_000.0), 6_400.0, 10_012.001),
            ("set back to before the stream began", mark(1000.0), -5.0, 1012.001),
            ("set forward by a day", mark(1000.0), 87_400.0, 87_400.0),
            ("the source was ahead of its time", ahead(3.0), 1001.0, 1004.001),
            ("and long ago", ahead(3.0), 1100.0, 1100.0),
            ("a source read from a file, ten times as fast", ahead(9000.0), 1002.0, 10_002.001),
        ] {
            let found = mark.resume(at(now), SLOT).at.as_secs_f64();
            assert!((found - expected).abs() < 1e-6, "{case}: {found}, not {expected}");
            assert!(found > mark.reached.as_secs_f64(), "{case}");
        }
    }

    #[test]
    fn no_number_comes_twice_and_those_of_the_clock_stay() {
        let number = |mark: &ClockMark, now: f64, slot| {
            let found = mark.resume(at(now), slot);
            found.first_number + u64::try_from(found.at.slot(slot)).unwrap()
        };
        for (case, now, slot, expected) in [
            ("long after: the slot's own number", 1060.0, SLOT, 630),
            ("in the slot of the last segment", 1000.3, SLOT, 601),
            ("seconds later: it may have been noted just before", 1005.0, SLOT, 603),
            ("the clock was set back", 500.0, SLOT, 607),
            ("slots are longer now", 1060.0, SLOT * 2, 601),
            ("slots are shorter now", 1060.0, SLOT / 2, 1160),
        ] {
            assert_eq!(number(&mark(1000.0), now, slot), expected, "{case}");
        }
        // Pictures that are kept may have shorter segments than slots are.
        let ahead = ClockMark { next_number: 900, ..mark(1000.0) };
        assert_eq!(number(&ahead, 1060.0, SLOT), 900);
    }

    #[test]
    fn what_a_window_knows_is_taken_over_if_it_is_of_the_same_clock() {
        let noted = mark(1000.0);
        let window = ClockMark { reached: secs(1009.0), next_number: 7, first_number: 0, noted_at: at(0.0), ..noted };
        assert_eq!(noted.with(window), ClockMark { reached: secs(1009.0), ..noted });
        assert_eq!(noted.with(ClockMark { next_number: 9999, ..window }).next_number, 9999);
        assert_eq!(noted.with(ClockMark { zero_at: at(1.0), ..window }), noted);
    }

    #[test]
    fn any_chain_of_runs_rises() {
        // Wall-clock seconds that each run begins at, and how long it lasts: some within moments, some after the clock was set.
        let runs = [
            (0.0, 100.0),
            (100.3, 0.7),
            (101.2, 5.0),
            (20.0, 30.0),
            (1e6, 3.0),
            (50.0, 1.0),
            (51.2, 1.0),
            (1e6 + 5.0, 2.0),
        ];
        let (mut mark, mut newest, mut number) = (mark(0.0), secs(0.0), 100);
        for (begins, lasts) in runs {
            let resumed = mark.resume(at(begins), SLOT);
            let first = resumed.first_number + u64::try_from(resumed.at.slot(SLOT)).unwrap();
            assert!(resumed.at > newest && first > number, "{begins}: {resumed:?} after {newest:?} and {number}");
            // Noted when it began; then killed.
            let noted = first + 1;
            (newest, number) = (
                resumed.at + secs(lasts),
                resumed.first_number + u64::try_from((resumed.at + secs(lasts)).slot(SLOT)).unwrap(),
            );
            let is_noted = lasts > NOTED_EVERY.as_secs_f64();
            mark = ClockMark {
                first_number: resumed.first_number,
                reached: if is_noted { newest } else { resumed.at },
                next_number: if is_noted { number + 1 } else { noted },
                noted_at: at(begins + if is_noted { lasts } else { 0.0 }),
                ..mark
            };
        }
    }
}

//! The slots of the stream's clock. A rendition that we encode has one segment in each slot, and this says what number it has.

use std::collections::VecDeque;
use std::time::Duration;

use weir_media::MediaTime;

/// A rendition that we encode is so many slots behind its source at most.
const LAG_SLOTS_MAX: u64 = 4;

/// So many pauses are remembered, for renditions that lag.
const RUNS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) length: Duration,
    /// When the newest segment of pictures that we encode began.
    pub(crate) newest_picture: Option<MediaTime>,
    /// The number of slot zero.
    first_number: u64,
    /// The numbers below this are taken by what there was before in this run of the server.
    floor: u64,
    /// The number that follows the last one of an earlier run of the server.
    resumed: Option<u64>,
    /// Slots, each with a number. From each of these slots on, numbers are counted on from the number beside it, so that a pause of the
    /// source is left out.
    runs: VecDeque<(i64, u64)>,
    newest: Option<i64>,
}

impl Slots {
    /// Slots of that length. The numbers below `floor` are taken.
    pub(crate) fn new(length: Duration, floor: u64) -> Self {
        Self {
            length,
            newest_picture: None,
            first_number: 0,
            floor,
            resumed: None,
            runs: VecDeque::new(),
            newest: None,
        }
    }

    /// Sets the number of slot zero when the first frame comes, whose time this is. Numbers that are taken are not given again, not even to
    /// a rendition that lags.
    pub(crate) fn count_from(&mut self, first_number: u64, time: MediaTime) {
        self.first_number = match std::mem::take(&mut self.floor) {
            0 => self.first_number.max(first_number),
            floor => first_number.max((floor + LAG_SLOTS_MAX).saturating_add_signed(-time.slot(self.length))),
        };
    }

    pub(crate) fn resume(&mut self, next_number: u64) {
        self.resumed = Some(next_number);
    }

    /// When the slot that this time is in began.
    pub(crate) fn start(&self, time: MediaTime) -> MediaTime {
        let length = i64::try_from(self.length.as_nanos()).unwrap_or(i64::MAX);
        MediaTime::from_nanos(time.slot(self.length).saturating_mul(length)).max(MediaTime::ZERO)
    }

    /// Whether a segment that began at `open_start` ends with the keyframe at `time`.
    pub(crate) fn cut_at(&self, time: MediaTime, open_start: MediaTime) -> bool {
        time.slot(self.length) > open_start.slot(self.length)
    }

    /// The number of a segment that begins at that time, if it is a track's first.
    pub(crate) fn number(&self, time: MediaTime) -> u64 {
        let slot = time.slot(self.length);
        // A rendition that lags may begin before all slots that are remembered.
        match self.runs.iter().rfind(|(from, _)| *from <= slot).or(self.runs.front()) {
            Some((from, number)) => number.saturating_add_signed(slot - from),
            None => self.resumed.unwrap_or(self.first_number.saturating_add_signed(slot)),
        }
    }

    /// Begins a segment at that time, and returns its number. `next_number` is the track's next number, if the track had a segment before.
    pub(crate) fn begin(&mut self, time: MediaTime, next_number: Option<u64>) -> u64 {
        let (slot, expected) = (time.slot(self.length), self.number(time));
        let number = next_number.unwrap_or(expected);
        let is_first = self.newest.is_none_or(|newest| slot > newest);
        // It was a pause only if nobody had a segment. If a single rendition missed one, it goes on without it, and the others do not care.
        let was_pause = is_first && self.newest.is_some_and(|newest| slot > newest + 1);
        if self.runs.is_empty() || was_pause && number != expected {
            self.runs.push_back((slot, number));
            if self.runs.len() > RUNS_MAX {
                self.runs.pop_front();
            }
        }
        if is_first {
            self.newest = Some(slot);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: i64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    fn slots(first_number: u64) -> Slots {
        let mut slots = Slots::new(Duration::from_secs(2), 0);
        slots.count_from(first_number, MediaTime::ZERO);
        slots
    }

    #[test]
    fn segments_end_where_slots_do_whenever_they_began() {
        let slots = slots(0);
        for (open_start, time, ends) in [
            (0, 1999, false),
            (0, 2000, true),
            (3300, 3999, false),
            (3300, 4000, true),
            (4000, 5000, false),
            (2000, 9000, true),
            (1999, 2000, true),
        ] {
            assert_eq!(slots.cut_at(ms(time), ms(open_start)), ends, "{open_start} {time}");
        }
        assert_eq!([0, 1999, 2000, 5400].map(|at| slots.start(ms(at)).as_millis()), [0, 0, 2000, 4000]);
    }

    #[test]
    fn two_who_begin_at_other_times_number_alike() {
        let (mut early, mut late) = (slots(1000), slots(1000));
        let mut next = None;
        for slot in 0..20 {
            let number = early.begin(ms(slot * 2000 + 300), next);
            next = Some(number + 1);
            if slot == 12 {
                assert_eq!(late.begin(ms(slot * 2000 + 300), None), number);
            }
        }
        assert_eq!((next, late.number(ms(38_000))), (Some(1020), 1019));
    }

    #[test]
    fn a_pause_is_left_out_for_all() {
        let mut slots = slots(0);
        assert_eq!(slots.begin(ms(0), None), 0);
        assert_eq!(slots.begin(ms(2000), Some(1)), 1);
        // There is no source for a minute. Then one rendition after the other goes on, and one is new.
        for next in [Some(2), Some(2), None] {
            assert_eq!(slots.begin(ms(62_500), next), 2, "{next:?}");
        }
        assert_eq!((slots.number(ms(64_000)), slots.number(ms(2000))), (3, 1), "who lags counts as it was");
        // A rendition that missed a slot goes on without it, and nobody else follows it.
        assert_eq!(slots.begin(ms(64_000), Some(3)), 3);
        assert_eq!(slots.begin(ms(66_000), Some(3)), 3);
        assert_eq!(slots.number(ms(66_000)), 4);
    }

    #[test]
    fn an_earlier_run_is_gone_on_from() {
        let mut slots = slots(0);
        slots.resume(77);
        assert_eq!(slots.begin(ms(500_000), Some(77)), 77);
        assert_eq!(slots.number(ms(502_000)), 78);
        // A packager is made anew in the same run. The numbers that the one before it had are taken.
        let mut anew = Slots::new(Duration::from_secs(4), 600);
        for time in [1_000_000, 996_000] {
            anew.count_from(100, ms(time));
            assert_eq!(anew.number(ms(1_000_000)), 600 + LAG_SLOTS_MAX, "whoever comes first says it");
        }
    }
}

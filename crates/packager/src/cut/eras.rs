//! Eras are stretches of unbroken time of a stream, and are the same in all its renditions. HLS counts the breaks between them, and DASH
//! makes each a Period.

use std::collections::VecDeque;

use weir_media::MediaTime;

/// So many eras are kept for renditions that lag. No segment is asked about twice, so older eras are only counted.
const KEPT_MAX: usize = 64;

/// Renditions that break together do so at their own keyframes, which need not be at quite the same time.
const SAME_BREAK: MediaTime = MediaTime::from_millis(500);

/// Keyframes that are meant to be at the same time differ by this at most, because times are rounded.
const SAME_TIME: MediaTime = MediaTime::from_millis(20);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Era {
    /// How many breaks of the stream lie before this era.
    pub(crate) breaks: u64,
    pub(crate) start: MediaTime,
}

#[derive(Debug, Default)]
pub(crate) struct Eras {
    starts: VecDeque<MediaTime>,
    /// The number of breaks that are not kept any more.
    dropped: u64,
}

impl Eras {
    /// Eras that are counted on from where an earlier run of the server ended.
    pub(crate) fn after(breaks: u64) -> Self {
        Self { starts: VecDeque::new(), dropped: breaks }
    }

    /// Begins an era, because time breaks here for one rendition at least. Whoever comes first sets the time, and the others join in.
    pub(crate) fn begin(&mut self, time: MediaTime) -> Era {
        let is_near = |start: &MediaTime| (*start).max(time) - (*start).min(time) <= SAME_BREAK;
        if let Some(near) = self.starts.iter().rposition(is_near) {
            return self.era(near + 1);
        }
        if self.starts.back().is_none_or(|newest| time > *newest) {
            self.starts.push_back(time);
            if self.starts.len() > KEPT_MAX {
                self.starts.pop_front();
                self.dropped += 1;
            }
        }
        // A rendition that lags may break where the others did not. It goes on counting with them.
        self.at(time)
    }

    /// The era of a segment that begins at `time`.
    pub(crate) fn at(&self, time: MediaTime) -> Era {
        self.era(self.starts.partition_point(|start| *start <= time + SAME_TIME))
    }

    fn era(&self, count: usize) -> Era {
        let start = count.checked_sub(1).and_then(|last| self.starts.get(last)).copied();
        Era { breaks: self.dropped + count as u64, start: start.unwrap_or(MediaTime::ZERO) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: i64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    #[test]
    fn renditions_count_alike() {
        let mut eras = Eras::default();
        assert_eq!(eras.at(ms(5000)), Era::default());
        assert_eq!(eras.begin(ms(10_000)), Era { breaks: 1, start: ms(10_000) });
        for (at, breaks) in [(0, 0), (9_979, 0), (9_985, 1), (10_000, 1), (99_000, 1)] {
            assert_eq!(eras.at(ms(at)).breaks, breaks, "{at}");
        }
        // The others break a little earlier or later, and count the same.
        for at in [9_600, 10_020, 10_400] {
            assert_eq!(eras.begin(ms(at)), Era { breaks: 1, start: ms(10_000) }, "{at}");
        }
        assert_eq!(eras.begin(ms(20_000)).breaks, 2);
        assert_eq!(eras.begin(ms(15_000)).breaks, 1, "a break of one that lags is nobody else's");
        assert_eq!(eras.at(ms(15_000)), Era { breaks: 1, start: ms(10_000) });
    }

    #[test]
    fn an_earlier_run_is_counted_on_from() {
        let mut eras = Eras::after(3);
        assert_eq!(eras.begin(ms(7000)), Era { breaks: 4, start: ms(7000) });
        assert_eq!(eras.at(ms(9000)).breaks, 4);
    }

    #[test]
    fn old_ones_are_only_counted() {
        let mut eras = Eras::default();
        for second in 1..=1000 {
            assert_eq!(eras.begin(ms(second * 1000)).breaks, second as u64);
        }
        assert_eq!(eras.starts.len(), KEPT_MAX);
        assert_eq!(eras.at(ms(2_000_000)).breaks, 1000);
    }
}

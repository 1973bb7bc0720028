//! Where segments begin, on which all renditions of a stream agree, and what their numbers are.
//!
//! What we encode has keyframes at the multiples of a slot on the stream's clock. It begins a segment with each slot, so that a rendition
//! needs nothing but its frames' times to agree with all others. Pictures that are kept as they are have keyframes where their encoder
//! likes. They agree among themselves: whoever comes first to a time sets it.
//!
//! A segment's number is that of its slot, counted from the clock's zero. A playlist has no holes, so after a pause numbers go on as if
//! there had been none. Pictures that are kept begin with the number of the slot that they begin in, and count their own segments. As long
//! as these are as long as slots, they have the same numbers as what is encoded beside them.

use std::collections::VecDeque;
use std::time::Duration;

use weir_media::MediaTime;

use crate::config::EARLY_SHARE;
use crate::config::PackagerConfig;
use crate::cut::eras::Eras;
use crate::cut::slots::Slots;
use crate::store::target::{self, SOUND_OVER};

/// So many boundaries are kept for renditions that lag. A transcoder is some seconds behind, so that two minutes of boundaries are plenty.
const KEPT_MAX: usize = 64;

/// Keyframes that are meant to be at the same time differ by this at most: they are rounded to milliseconds, and may be one frame apart at
/// 60 fps.
pub(crate) const SAME_TIME: MediaTime = MediaTime::from_millis(20);

/// Sound follows pictures if their last segment began so many targets ago at most. The number is large, because GOPs may be long.
const FOLLOWED_TARGETS: u32 = 8;

/// A picture within a GOP, at which a segment may have to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within {
    /// When the next segment would begin.
    pub(crate) time: MediaTime,
    pub(crate) open_start: MediaTime,
    /// How long the segment is without this picture.
    pub(crate) length: Duration,
    /// How long the picture most likely lasts.
    pub(crate) frame: Duration,
    /// In how long the next keyframe comes. None if it is overdue.
    pub(crate) keyframe_in: Option<Duration>,
    /// Whether what comes from this picture on is shown after what came before it.
    pub(crate) is_tidy: bool,
}

fn is_same(one: MediaTime, other: MediaTime) -> bool {
    one.max(other) - one.min(other) <= SAME_TIME
}

#[derive(Debug)]
pub(crate) struct Boundaries {
    pub(crate) eras: Eras,
    pub(crate) slots: Slots,
    target: Duration,
    /// The target duration in seconds. None until it is announced.
    announced: Option<u64>,
    /// When the newest segment of pictures that are kept as they are began, in any rendition.
    newest_picture: Option<MediaTime>,
    kept: VecDeque<MediaTime>,
    /// When the segment of the newest kept boundary began. A first segment may have begun within its slot, and so later than its boundary.
    newest_began: MediaTime,
    /// The number that follows that of the newest kept boundary. None before there is any.
    next_number: Option<u64>,
}

impl Boundaries {
    /// Boundaries for a new packager. The numbers below `floor` are taken.
    pub(crate) fn new(config: &PackagerConfig, floor: u64) -> Self {
        Self {
            eras: Eras::default(),
            slots: Slots::new(config.slot(), floor),
            target: config.segment_target,
            announced: None,
            newest_picture: None,
            kept: VecDeque::new(),
            newest_began: MediaTime::ZERO,
            next_number: None,
        }
    }

    /// Goes on where an earlier run of the server ended, which had segments below this number, and so many breaks.
    pub(crate) fn resume(&mut self, next_number: u64, breaks: u64) {
        self.next_number = Some(next_number);
        self.slots.resume(next_number);
        self.eras = Eras::after(breaks);
    }

    /// Takes the target duration that was announced. From now on no segment may be longer.
    pub(crate) fn announced(&mut self, target_seconds: Option<u64>) {
        self.announced = target_seconds;
    }

    /// The longest that a segment of pictures may be.
    pub(crate) fn longest(&self) -> Duration {
        target::longest(self.announced)
    }

    /// Whether a segment that began at `open_start` ends with the keyframe at `time`, if the next keyframe comes `next_in` later. Whoever
    /// comes first to a time sets the boundary, and the other renditions keep to it. A rendition whose keyframes never meet those of the
    /// others cuts on its own, but only when its segment is half a target too long, or would exceed the longest with the next keyframe.
    pub(crate) fn cut_at(&mut self, time: MediaTime, open_start: MediaTime, next_in: Duration) -> bool {
        let early = self.target / EARLY_SHARE;
        let open_for = time.since(open_start);
        if self.kept.iter().any(|kept| is_same(*kept, time)) {
            return open_for > early;
        }
        if self.kept.back().is_none_or(|newest| time.since(*newest) >= self.target - early) {
            self.set(time, time);
            return true;
        }
        let is_last = open_for + next_in > self.longest();
        if is_last {
            self.follow_on(time, open_start);
        }
        is_last || open_for >= self.target + self.target / 2
    }

    /// Whether a segment ends before a picture that is no keyframe, because the next keyframe comes too late.
    pub(crate) fn cut_within(&mut self, within: &Within) -> bool {
        let is_last = within.length + within.frame > self.longest();
        // Before the target is announced, keyframes decide what it will be, so they are waited for.
        let in_vain = self.announced.is_some()
            && within.keyframe_in.is_none_or(|keyframe_in| within.length + keyframe_in > self.longest());
        let cuts = is_last || within.is_tidy && in_vain && within.length >= self.target;
        if cuts {
            self.follow_on(within.time, within.open_start);
        }
        cuts
    }

    /// Sets a boundary earlier than the target has it. Only whoever cut at the newest boundary may do so. If others could, there would be
    /// two for one segment.
    fn follow_on(&mut self, time: MediaTime, open_start: MediaTime) {
        if !self.kept.is_empty() && is_same(self.newest_began, open_start) {
            self.set(time, time);
        }
    }

    /// Notes that a segment of a rendition with pictures begins here.
    pub(crate) fn picture_at(&mut self, time: MediaTime) {
        self.newest_picture = Some(self.newest_picture.map_or(time, |newest| newest.max(time)));
    }

    /// Begins a segment of pictures that we encode, and returns its number. `next_number` is the track's next number, if the track had a
    /// segment before.
    pub(crate) fn slot_begins(&mut self, time: MediaTime, next_number: Option<u64>) -> u64 {
        self.slots.newest_picture = Some(self.slots.newest_picture.map_or(time, |newest| newest.max(time)));
        self.slots.begin(time, next_number)
    }

    /// The same as [`Boundaries::cut_at`], for sound whose rendition has no picture. A segment of sound could end anywhere, so as long as
    /// other renditions have pictures, the sound sets no boundary: it would set it a little before the keyframe that they all wait for.
    /// `frame` is how long a frame of the sound lasts.
    pub(crate) fn cut_sound_at(&mut self, time: MediaTime, open_start: MediaTime, frame: Duration) -> bool {
        let is_recent = |picture: MediaTime| time.since(picture) < self.target * FOLLOWED_TARGETS;
        if self.slots.newest_picture.is_some_and(is_recent) {
            return self.slots.cut_at(time, open_start);
        }
        if !self.newest_picture.is_some_and(is_recent) {
            return self.cut_at(time, open_start, frame);
        }
        let early = self.target / EARLY_SHARE;
        let met = |kept: &MediaTime| kept.since(open_start) > early && *kept <= time + SAME_TIME;
        self.kept.iter().any(met) || time.since(open_start) + frame > self.longest() + SOUND_OVER
    }

    /// Has a segment begin here because it must. Returns the number that a track's first segment gets here. It is that of the segment which
    /// the other renditions have at that time, so that the same number means the same time.
    ///
    /// The length of a first segment is counted from where its slot begins. So, with keyframes each second, the next ones begin where slots
    /// do.
    pub(crate) fn start_at(&mut self, time: MediaTime) -> u64 {
        let early = self.target / EARLY_SHARE;
        let newest = self.kept.back().copied();
        if newest.is_none_or(|newest| time.since(newest) >= self.target - early) {
            let slot = self.slots.start(time + SAME_TIME);
            let is_alone = newest.is_none_or(|newest| slot.since(newest) >= self.slots.length);
            self.set(if is_alone { slot } else { time }, time);
        }
        let until = self.kept.partition_point(|kept| *kept <= time + SAME_TIME) as u64;
        let next_number = self.next_number.unwrap_or(0);
        (next_number - self.kept.len() as u64 + until).saturating_sub(1)
    }

    fn set(&mut self, time: MediaTime, began: MediaTime) {
        let number = self.next_number.unwrap_or_else(|| self.slots.number(began + SAME_TIME));
        self.next_number = Some(number + 1);
        self.newest_began = began;
        self.kept.push_back(time);
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::keyframes::Keyframes;

    fn ms(millis: i64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    /// The cuts of a rendition with keyframes at those times.
    fn cuts(boundaries: &mut Boundaries, keyframes: &[i64]) -> Vec<i64> {
        let mut start = ms(keyframes[0]);
        boundaries.start_at(start);
        let mut cuts = Vec::new();
        for &at in &keyframes[1..] {
            if boundaries.cut_at(ms(at), start, Duration::ZERO) {
                start = ms(at);
                cuts.push(at);
            }
        }
        cuts
    }

    #[test]
    fn segments_end_at_the_first_keyframe_at_target() {
        for (keyframes, expected) in [
            (vec![0, 2000, 4000, 6000], vec![2000, 4000, 6000]),
            (vec![0, 500, 1000, 1500, 2000, 2500, 4001], vec![2000, 4001]),
            (vec![0, 999, 1999, 3001, 4000], vec![1999, 4000]),
            (vec![0, 1500, 3000, 4500, 6000], vec![3000, 6000]),
            (vec![0, 10_000, 20_000], vec![10_000, 20_000]),
        ] {
            let mut boundaries = Boundaries::new(&PackagerConfig::default(), 0);
            assert_eq!(cuts(&mut boundaries, &keyframes), expected, "{keyframes:?}");
        }
    }

    #[test]
    fn renditions_cut_at_the_same_times() {
        let mut boundaries = Boundaries::new(&PackagerConfig::default(), 0);
        let every_second: Vec<i64> = (0..20).map(|second| second * 1000).collect();
        let source = cuts(&mut boundaries, &every_second);
        // This rendition comes late and out of phase, and falls in with the others at once.
        let late: Vec<i64> = (3..20).map(|second| second * 1000 + 16).collect();
        let follower = cuts(&mut boundaries, &late);
        assert_eq!(follower, source[1..].iter().map(|at| at + 16).collect::<Vec<_>>());
        // This rendition never meets the others, and cuts all the same.
        let alone: Vec<i64> = (3..9).map(|second| second * 1000 + 400).collect();
        assert_eq!(cuts(&mut boundaries, &alone), [6400]);
    }

    #[test]
    fn sound_alone_cuts_where_pictures_do() {
        let cut_sound = |boundaries: &mut Boundaries, from: i64, to: i64| -> Vec<i64> {
            let mut start = from;
            let mut cuts = Vec::new();
            for at in (from..to).step_by(21) {
                if boundaries.cut_sound_at(ms(at), ms(start), Duration::from_millis(21)) {
                    start = at;
                    cuts.push(at);
                }
            }
            cuts
        };
        let mut boundaries = Boundaries::new(&PackagerConfig::default(), 0);
        boundaries.start_at(ms(0));
        assert_eq!(cut_sound(&mut boundaries, 0, 6_300), [1911, 3822, 5733], "no pictures: as it likes");
        let mut boundaries = Boundaries::new(&PackagerConfig::default(), 0);
        let mut cuts = Vec::new();
        boundaries.start_at(ms(0));
        boundaries.picture_at(ms(0));
        for gop in 1..4 {
            assert!(boundaries.cut_at(ms(gop * 2500), ms(gop * 2500 - 2500), Duration::ZERO));
            boundaries.picture_at(ms(gop * 2500));
            cuts.extend(cut_sound(&mut boundaries, gop * 2500 - 2500, gop * 2500 + 40));
        }
        assert!(cuts.iter().all(|cut| cut % 2500 < 25 || cut % 2500 > 2475), "{cuts:?}");
        assert_eq!(boundaries.kept.len(), 4, "it sets none");
        // The pictures have ended, so the sound cuts by itself.
        assert!(cut_sound(&mut boundaries, 30_000, 36_300).len() >= 3);
    }

    /// The times at which segments begin, for a source with a picture each 20 ms and keyframes at those times.
    fn segments(announced: Option<u64>, keyframes: &[i64], until: i64) -> Vec<i64> {
        let (mut boundaries, mut seen) = (Boundaries::new(&PackagerConfig::default(), 0), Keyframes::default());
        boundaries.announced(announced);
        boundaries.start_at(ms(0));
        let mut begun = vec![0];
        for at in (0..until).step_by(20) {
            let (time, open_start) = (ms(at), ms(begun[begun.len() - 1]));
            let ends = if keyframes.contains(&at) {
                seen.saw(time);
                at > 0 && boundaries.cut_at(time, open_start, seen.apart())
            } else {
                let (length, frame) = (time.since(open_start), Duration::from_millis(20));
                let keyframe_in = seen.due_in(time);
                boundaries.cut_within(&Within { time, open_start, length, frame, keyframe_in, is_tidy: true })
            };
            if ends {
                begun.push(at);
            }
        }
        begun
    }

    #[test]
    fn what_is_announced_holds_whatever_keyframes_come() {
        for (announced, keyframes, until, expected) in [
            (Some(2), vec![0, 2000, 4000], 5000, vec![0, 2000, 4000]),
            // The publisher came back. The keyframe behind its first one would be too late, or is in time.
            (Some(2), vec![0, 2000, 3800, 5800], 7000, vec![0, 2000, 3800, 5800]),
            (Some(2), vec![0, 2000, 2300, 4300], 5000, vec![0, 2000, 4300]),
            // The GOP becomes longer, and is waited for once.
            (Some(2), vec![0, 2000, 7000, 12_000], 13_000, vec![0, 2000, 4120, 6120, 7000, 9000, 11_000, 12_000]),
            (Some(5), vec![0, 5000, 10_000], 11_000, vec![0, 5000, 10_000]),
            // Nothing is announced yet.
            (None, vec![0, 5000, 10_000], 11_000, vec![0, 5000, 10_000]),
            (None, vec![0], 25_000, vec![0, 10_340, 20_680]),
        ] {
            assert_eq!(segments(announced, &keyframes, until), expected, "{announced:?} {keyframes:?}");
        }
    }

    #[test]
    fn what_begins_within_a_slot_falls_in_with_the_slots() {
        for (keyframes, first_number, expected) in [
            // With a keyframe each second, the first segment is cut short, and the others begin with their slots.
            (vec![3000, 4000, 5000, 6000, 7000, 8000], 1, vec![4000, 6000, 8000]),
            (vec![3500, 5500, 7500], 1, vec![5500, 7500]),
            (vec![1990, 3990, 5990], 1, vec![3990, 5990]),
            (vec![11_000, 21_000], 5, vec![21_000]),
        ] {
            let mut boundaries = Boundaries::new(&PackagerConfig::default(), 0);
            assert_eq!(cuts(&mut boundaries, &keyframes), expected, "{keyframes:?}");
            assert_eq!(boundaries.start_at(ms(keyframes[0])), first_number, "{keyframes:?}");
        }
    }

    #[test]
    fn numbers_are_those_of_the_boundaries() {
        let mut boundaries = Boundaries::new(&PackagerConfig::default(), 0);
        assert_eq!(boundaries.start_at(ms(0)), 0);
        assert!(boundaries.cut_at(ms(2000), ms(0), Duration::ZERO));
        assert!(boundaries.cut_at(ms(4000), ms(2000), Duration::ZERO));
        for (at, number) in [(0, 0), (1000, 0), (1985, 1), (3000, 1), (4000, 2), (4500, 2)] {
            assert_eq!(boundaries.start_at(ms(at)), number, "{at}");
        }
        for at in 3..1000 {
            boundaries.cut_at(ms(at * 2000), ms(at * 2000 - 2000), Duration::ZERO);
        }
        assert_eq!(boundaries.kept.len(), KEPT_MAX);
    }
}

//! The one clock of keyframes: slots of equal length on the stream's timeline. The first picture of a slot is a keyframe.
//!
//! It looks at nothing but the picture's time, so that all renditions, and a worker that is started later, agree without talking.
//! Whoever cuts segments counts the same slots (`MediaTime::slot`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_media::MediaTime;

/// Somebody's wish for a keyframe of one encoder. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyframeWish(Arc<AtomicBool>);

impl KeyframeWish {
    pub(crate) fn wish(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Decides the keyframes of one encoder's pictures.
#[derive(Clone, Debug)]
pub(crate) struct KeyframeClock {
    length: Duration,
    /// The slot of the newest picture; None before the first picture, which is a keyframe anyway.
    slot: Option<i64>,
    /// A keyframe that is wished for comes beside those of the slots, which stay where they are.
    wish: KeyframeWish,
}

impl KeyframeClock {
    pub(crate) fn new(gop_ms: u32, wish: KeyframeWish) -> Self {
        Self { length: Duration::from_millis(gop_ms.max(1).into()), slot: None, wish }
    }

    /// Whether this picture must be made a keyframe.
    pub(crate) fn opens(&mut self, pts_ns: u64) -> bool {
        let slot = MediaTime::from_nanos(i64::try_from(pts_ns).unwrap_or(i64::MAX)).slot(self.length);
        let before = self.slot.replace(slot);
        // A keyframe that is due anyway fulfils the wish, too.
        let is_wished = self.wish.take();
        before.is_some_and(|before| before != slot || is_wished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pictures at these milliseconds that are forced to be keyframes.
    fn forced(gop_ms: u32, pictures: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut clock = KeyframeClock::new(gop_ms, KeyframeWish::default());
        pictures.into_iter().filter(|ms| clock.opens(ms * 1_000_000)).collect()
    }

    #[test]
    fn a_slot_opens_with_a_keyframe() {
        let at_30_fps = |frames: std::ops::Range<u64>| frames.map(|frame| (frame * 100 + 1) / 3);
        assert_eq!(forced(2000, at_30_fps(0..181)), [2000, 4000, 6000]);
        // A rendition that begins in the middle has its next keyframe where the others have theirs.
        assert_eq!(forced(2000, at_30_fps(37..150)), [2000, 4000]);
        assert_eq!(forced(1000, [0, 990, 3300, 3400, 4000]), [3300, 4000], "a gap over several slots is one keyframe");
        assert_eq!(forced(2000, [0, 1990, 2023, 4076]), [2023, 4076], "at no fixed rate");
        assert_eq!(forced(2000, [0, 10_000, 1000, 1500]), [10_000, 1000], "time that jumps");
    }

    #[test]
    fn rounding_does_not_shift_a_slot() {
        let mut clock = KeyframeClock::new(2000, KeyframeWish::default());
        assert!(!clock.opens(1_966_666_667));
        assert!(clock.opens(1_999_999_999));
        assert!(!clock.opens(2_033_333_333));
    }

    #[test]
    fn a_wish_is_one_keyframe_and_moves_no_slot() {
        let wish = KeyframeWish::default();
        let mut clock = KeyframeClock::new(2000, wish.clone());
        wish.wish();
        let mut forced = Vec::new();
        for ms in (0..4_100).step_by(100) {
            if matches!(ms, 500 | 1_950 | 2_000) {
                wish.wish();
            }
            if clock.opens(ms * 1_000_000) {
                forced.push(ms);
            }
        }
        // The first picture and that of a slot are keyframes anyway.
        assert_eq!(forced, [500, 2_000, 4_000]);
    }
}

//! The target duration. It is announced once, when it is known how far apart keyframes are, and it is kept whatever comes after.
//!
//! Players keep their distance to the live edge by it, and poll by it, so that it must not change as long as the playlist lives. If the
//! target that is asked for were announced at once, every stream with keyframes further apart would be cut between them. If the longest
//! that is ever allowed were announced, all classic players would stay half a minute behind. So the first segment decides it: HLS begins
//! when that is whole, as DASH does anyway. A later source with keyframes further apart is cut between them. Its segments are then no
//! longer all independent, which players are told, but nobody's target changes.

use std::time::Duration;

/// How much longer than the target a segment of pictures may be. Together with `SOUND_OVER` this is 480 ms: less than half a second, so
/// that the length is the target when it is rounded.
const OVER_MAX: Duration = Duration::from_millis(350);

/// How much longer a segment of sound may be than one of pictures. It ends with the first frame behind the end of the pictures, and a
/// frame of sound at 8 kHz lasts 128 ms.
pub(crate) const SOUND_OVER: Duration = Duration::from_millis(130);

/// If keyframes are further apart than this, a segment does not wait for the next one.
const TARGET_MAX_SECONDS: u64 = 10;

/// The target duration in seconds that is announced when the first segment has that length.
pub(crate) fn for_length(length: Duration) -> u64 {
    let seconds = length.saturating_sub(OVER_MAX).as_millis().div_ceil(1000);
    u64::try_from(seconds).unwrap_or(u64::MAX).clamp(1, TARGET_MAX_SECONDS)
}

/// The longest that a segment of pictures may be when that target is announced, or when none is yet.
pub(crate) fn longest(target_seconds: Option<u64>) -> Duration {
    Duration::from_secs(target_seconds.unwrap_or(TARGET_MAX_SECONDS)) + OVER_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_a_target_that_it_never_exceeds() {
        for (millis, expected) in [
            (0, 1),
            (1_000, 1),
            (1_350, 1),
            (1_351, 2),
            (1_999, 2),
            (2_002, 2),
            (2_400, 3),
            (4_000, 4),
            (9_990, 10),
            (10_020, 10),
            (60_000, 10),
        ] {
            let length = Duration::from_millis(millis);
            assert_eq!(for_length(length), expected, "{millis}");
            assert!(length <= longest(Some(expected)) || expected == 10);
        }
        let with_sound = longest(Some(2)) + SOUND_OVER;
        assert_eq!(with_sound.as_secs_f64().round() as u64, 2);
    }
}

//! What a stream's packager is asked to do, and the bounds within which it does it.

use std::time::Duration;

/// A keyframe that comes a twentieth of the target too early is in time. An encoder that counts milliseconds and makes GOPs of a second
/// may end the second one at 1.999 s.
pub(crate) const EARLY_SHARE: u32 = 20;

/// Where a rendition's segments end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// Segments end with each slot of the stream's clock. Keyframes stand where slots begin, because an encoder of ours puts them there.
    /// Whoever cuts the same frames, here or elsewhere, cuts and numbers them alike.
    ByClock,
    /// Segments end with the source's own keyframes, wherever they are.
    AtKeyframes,
}

/// How one stream is packaged. Values that are out of bounds are brought within them (`bounded`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackagerConfig {
    /// A segment ends at the first keyframe at or after this length, which is 1 to 6 s.
    pub segment_target: Duration,
    /// A part holds as many frames as fit into this length. It is 200 to 500 ms, as players at low latency expect.
    pub part_target: Duration,
    /// How far apart the keyframes of what is packaged are, if that is known before it comes, and zero otherwise.
    pub keyframes_apart: Duration,
    /// How far back playlists reach, which is at least 12 s.
    pub window: Duration,
    /// The memory that all segments of the stream may take together.
    pub window_bytes_max: usize,
    pub hls: bool,
    pub dash: bool,
}

impl PackagerConfig {
    pub const SEGMENT_TARGET_MIN: Duration = Duration::from_secs(1);
    pub const SEGMENT_TARGET_MAX: Duration = Duration::from_secs(6);
    pub const PART_TARGET_MIN: Duration = Duration::from_millis(200);
    pub const PART_TARGET_MAX: Duration = Duration::from_millis(500);
    /// This holds six segments of 2 s: classic players start three segments behind the live edge, and want as much again in hand.
    pub const WINDOW_MIN: Duration = Duration::from_secs(12);
    /// This holds one segment: 6 s at 20 Mbps are 15 MB.
    pub const WINDOW_BYTES_MIN: usize = 16 << 20;

    /// How long a slot of the stream's clock is. Encoded renditions have one segment in each slot. A slot is as many of their GOPs as make
    /// up the target, or a twentieth less. If the length of their GOPs is not known, it is the target.
    pub fn slot(&self) -> Duration {
        let (target, gop) = (self.bounded().segment_target, self.keyframes_apart);
        if gop.is_zero() {
            return target;
        }
        let least = target - target / EARLY_SHARE;
        let gops = least.as_nanos().div_ceil(gop.as_nanos()).max(1);
        gop * u32::try_from(gops).unwrap_or(u32::MAX)
    }

    pub(crate) fn bounded(self) -> Self {
        Self {
            segment_target: self.segment_target.clamp(Self::SEGMENT_TARGET_MIN, Self::SEGMENT_TARGET_MAX),
            part_target: self.part_target.clamp(Self::PART_TARGET_MIN, Self::PART_TARGET_MAX),
            window: self.window.max(Self::WINDOW_MIN),
            window_bytes_max: self.window_bytes_max.max(Self::WINDOW_BYTES_MIN),
            ..self
        }
    }
}

impl Default for PackagerConfig {
    fn default() -> Self {
        Self {
            segment_target: Duration::from_secs(2),
            // What is announced holds as long as the playlist lives, whatever comes, and every part except a segment's last has to last
            // 85 % of it, which is 357 ms. From 16 pictures a second on, some number of whole frames always does. Of the slower rates, most
            // fit into 420 ms: 3 pictures at 8 a second (375 ms), 4 at 10, 5 at 12, 6 at 15 (400 ms). So do 10 at 24 and 25, 12 at 30, 19
            // AAC frames at 48 kHz, 18 at 44.1 kHz (418 ms), and 6 at 16 kHz. Rates that fit badly (6, 7 or 9 pictures a second) are served
            // in whole segments. And the last part of a segment of 2 s is not just a few frames long: hls.js, which looks for what comes
            // next within 250 ms, now and then passed over a part of 85 ms and stalled.
            part_target: Duration::from_millis(420),
            keyframes_apart: Duration::ZERO,
            window: Self::WINDOW_MIN,
            window_bytes_max: 256 << 20,
            hls: true,
            dash: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_whole_gops() {
        for (target, gop, slot) in [
            (2000, 0, 2000),
            (2000, 2000, 2000),
            (2000, 1000, 2000),
            (2000, 500, 2000),
            (2000, 4000, 4000),
            (2000, 1500, 3000),
            (2000, 960, 1920),
            (6000, 4000, 8000),
        ] {
            let [segment_target, keyframes_apart] = [target, gop].map(Duration::from_millis);
            let config = PackagerConfig { segment_target, keyframes_apart, ..PackagerConfig::default() };
            assert_eq!(config.slot(), Duration::from_millis(slot), "{target} {gop}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_brought_within() {
        let none = PackagerConfig {
            segment_target: Duration::ZERO,
            part_target: Duration::ZERO,
            window: Duration::ZERO,
            window_bytes_max: 0,
            ..PackagerConfig::default()
        };
        let bounded = none.bounded();
        assert_eq!(bounded.segment_target, Duration::from_secs(1));
        assert_eq!(bounded.part_target, Duration::from_millis(200));
        assert_eq!((bounded.window, bounded.window_bytes_max), (Duration::from_secs(12), 16 << 20));
        let hour = Duration::from_secs(3600);
        let all = PackagerConfig { segment_target: hour, part_target: hour, window: hour, ..none }.bounded();
        assert_eq!((all.segment_target, all.window), (Duration::from_secs(6), hour));
        assert_eq!(all.part_target, Duration::from_millis(500));
    }
}

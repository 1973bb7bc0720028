//! What a stream's packager is asked for, and the bounds within which it is done.

use std::time::Duration;

/// A GOP of a second from an encoder that counts milliseconds may end at 1.999 s: a twentieth of the target too early is in time.
pub(crate) const EARLY_SHARE: u32 = 20;

/// Where a rendition's segments end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// With each slot of the stream's clock: keyframes stand at its multiples, because an encoder of ours puts them there. Whoever cuts
    /// the same frames, here or elsewhere, cuts and numbers them alike.
    ByClock,
    /// With the source's own keyframes, wherever they are.
    AtKeyframes,
}

/// How one stream is packaged. Values out of bounds are brought within them (`bounded`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackagerConfig {
    /// A segment ends at the first keyframe at or after this: 1 to 6 s.
    pub segment_target: Duration,
    /// A part holds as many frames as fit: 200 to 500 ms, as players of low latency expect.
    pub part_target: Duration,
    /// How far apart keyframes are known to be in what is packaged, where that is known before it comes.
    pub keyframes_apart: Duration,
    /// How far back playlists reach: at least 12 s.
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
    /// Six segments of 2 s: classic players start three segments behind the edge and want as much again in hand.
    pub const WINDOW_MIN: Duration = Duration::from_secs(12);
    /// One segment of 6 s at 20 Mbps is 15 MB.
    pub const WINDOW_BYTES_MIN: usize = 16 << 20;

    /// How long slots on the stream's clock are, in which encoded renditions have a segment each: as many of their GOPs as make up the
    /// target, or a twentieth less. Without any it is the target.
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
            // What is announced holds for as long as the playlist does, whatever comes, and every part but a segment's last has
            // to last 85 % of it, 357 ms. From 16 pictures a second on some number of whole frames always does; of slower ones
            // 420 ms is what most fit: 3 of 8 (375 ms), 4 of 10, 5 of 12, 6 of 15 (400 ms), as well as 10 of 24 and 25, 12 of 30,
            // 19 AAC frames of 48 kHz, 18 of 44.1 kHz (418 ms), 6 of 16 kHz. What fits badly (6, 7 or 9 pictures a second) is
            // served in whole segments. And a segment of 2 s leaves no rest of a few frames: hls.js, which looks for what comes
            // next within 250 ms, now and then passed over one of 85 ms and stalled.
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

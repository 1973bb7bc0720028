//! How much a window may hold; whatever bound is met first evicts.

use std::time::Duration;

/// Bounds of one window: time, items and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// A subscriber may lag this far before it is made to skip. The newest GOP is kept even when it is longer.
    pub duration: Duration,
    /// Hard: a source that sends a million tiny frames is cut here, inside a GOP if need be.
    pub items_max: usize,
    /// Hard: likewise for huge frames.
    pub bytes_max: usize,
}

impl WindowLimits {
    /// 1 s, or the newest GOP where that is longer: what subscribes to frames is within this server and keeps up; what faces a
    /// network (feeds) has windows of its own.
    /// 8,192 items: 4 s of 120 fps video and 47 packets/s of audio is 668; twelve times that for long GOPs.
    /// 64 MiB: a GOP of 10 s at 50 Mbps is 62.5 MB.
    pub const FRAMES: Self = Self { duration: Duration::from_secs(1), items_max: 8_192, bytes_max: 64 << 20 };
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self::FRAMES
    }
}

//! How much a window may hold. The bound that is met first evicts.

use std::time::Duration;

/// Bounds of one window: time, items and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// A subscriber may lag this far before it is made to skip. The newest GOP is kept even if it is longer.
    pub duration: Duration,
    /// A hard bound: a source that sends a million tiny frames is cut here, inside a GOP if need be.
    pub items_max: usize,
    /// A hard bound against huge frames in the same way.
    pub bytes_max: usize,
}

impl WindowLimits {
    /// The duration is 1 s, or the newest GOP if that is longer: subscribers to frames are within this server and keep up, and those that
    /// face a network (feeds) have windows of their own.
    /// 8,192 items: 4 s of 120 fps video and 47 packets/s of audio are 668, and this is twelve times that, for long GOPs.
    /// 64 MiB: a GOP of 10 s at 50 Mbps is 62.5 MB.
    pub const FRAMES: Self = Self { duration: Duration::from_secs(1), items_max: 8_192, bytes_max: 64 << 20 };
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self::FRAMES
    }
}

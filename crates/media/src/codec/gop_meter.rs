//! Measures what a video or audio track really carries as it flows: bit rate, frame rate, GOP length, B-frames.

use std::time::Duration;

use crate::MediaTime;

/// The bit rate is taken over this much of arrival time.
const WINDOW_BUCKETS: u64 = 20;
const BUCKET: Duration = Duration::from_millis(100);

/// Less than this tells no rate: a keyframe that comes first has the bits of ten other pictures.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// The frame rate is taken over this many frames: 2 s at 60 fps.
const FPS_FRAMES: usize = 120;

/// A decode time that is further away than this starts the measuring again, because the timeline was cut.
const GAP_MAX: MediaTime = MediaTime::from_millis(5_000);

/// A track without a reordered picture for this many frames has no B-frames (any more).
const REORDER_MEMORY_FRAMES: u32 = 250;

/// Measures one track. Its memory is fixed.
#[derive(Clone, Debug)]
pub struct GopMeter {
    buckets: [Bucket; WINDOW_BUCKETS as usize],
    /// The number of the bucket that is being filled, and of the first one ever. Both are counted from time zero.
    newest: u64,
    oldest: Option<u64>,
    /// The last decode times. The vector is a ring.
    dts: Vec<MediaTime>,
    next: usize,
    last_dts: Option<MediaTime>,
    last_pts: Option<MediaTime>,
    last_keyframe: Option<MediaTime>,
    gop: Option<MediaTime>,
    since_reordered: u32,
}

/// What came in one bucket of arrival time.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    bytes: u64,
    /// The decode time of the first frame that came in it. None where nothing came, or the timeline was cut since.
    from: Option<MediaTime>,
}

impl Default for GopMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl GopMeter {
    pub fn new() -> Self {
        Self {
            buckets: [Bucket::default(); WINDOW_BUCKETS as usize],
            newest: 0,
            oldest: None,
            dts: Vec::with_capacity(FPS_FRAMES),
            next: 0,
            last_dts: None,
            last_pts: None,
            last_keyframe: None,
            gop: None,
            since_reordered: REORDER_MEMORY_FRAMES,
        }
    }

    /// Counts one frame. `now` is wall time on a monotonic clock of any origin.
    pub fn record(&mut self, dts: MediaTime, pts: MediaTime, keyframe: bool, size_bytes: usize, now: Duration) {
        if self.last_dts.is_some_and(|last| dts < last || dts - last > GAP_MAX) {
            self.dts.clear();
            self.next = 0;
            self.last_keyframe = None;
            self.last_pts = None;
            self.buckets.iter_mut().for_each(|bucket| bucket.from = None);
        }
        self.add(dts, size_bytes, now);
        if self.last_pts.is_some_and(|last| pts < last) {
            self.since_reordered = 0;
        } else {
            self.since_reordered = self.since_reordered.saturating_add(1);
        }
        if keyframe {
            if let Some(last) = self.last_keyframe {
                self.gop = Some(pts - last);
            }
            self.last_keyframe = Some(pts);
        }
        if self.dts.len() < FPS_FRAMES {
            self.dts.push(dts);
        } else {
            self.dts[self.next] = dts;
            self.next = (self.next + 1) % FPS_FRAMES;
        }
        self.last_dts = Some(dts);
        self.last_pts = Some(pts);
    }

    /// Frames a second over the last frames. `None` before the second frame.
    pub fn fps(&self) -> Option<f64> {
        let oldest = if self.dts.len() < FPS_FRAMES { self.dts.first() } else { self.dts.get(self.next) };
        let span = (self.last_dts? - *oldest?).as_secs_f64();
        (span > 0.0).then(|| (self.dts.len() - 1) as f64 / span)
    }

    /// The length of the last whole GOP.
    pub fn gop_seconds(&self) -> Option<f64> {
        self.gop.map(MediaTime::as_secs_f64)
    }

    /// The bits of a second, over what arrived in the last 2 s. It falls to zero when nothing comes. What arrives in one go, as a cached GOP
    /// does, has the rate at which it will be shown, not that at which it came.
    pub fn bitrate_bps(&self, now: Duration) -> u64 {
        let Some(oldest) = self.oldest else { return 0 };
        let newest = bucket(now).max(self.newest);
        let first = newest.saturating_sub(WINDOW_BUCKETS - 1).max(oldest);
        let buckets = || (first..=self.newest).map(|number| self.buckets[slot(number)]);
        let bytes: u64 = buckets().map(|bucket| bucket.bytes).sum();
        // The last bucket is not over. Only the part of it that has passed is counted, so that the rate does not sag.
        let until = now.max(BUCKET * u32::try_from(self.newest).unwrap_or(u32::MAX));
        let from = BUCKET * u32::try_from(first).unwrap_or(u32::MAX);
        let shown = buckets().find_map(|bucket| bucket.from).zip(self.last_dts).map(|(first, last)| last.since(first));
        let millis = until.saturating_sub(from).max(shown.unwrap_or_default()).max(SPAN_MIN).as_millis();
        u64::try_from(u128::from(bytes) * 8_000 / millis).unwrap_or(u64::MAX)
    }

    /// Whether pictures are shown in another order than they are decoded.
    pub fn has_b_frames(&self) -> bool {
        self.since_reordered < REORDER_MEMORY_FRAMES
    }

    fn add(&mut self, dts: MediaTime, size_bytes: usize, now: Duration) {
        let number = bucket(now).max(self.newest);
        if self.oldest.is_none() {
            self.oldest = Some(number);
        } else {
            let passed = (number - self.newest).min(WINDOW_BUCKETS);
            for skipped in 0..passed {
                self.buckets[slot(number - skipped)] = Bucket::default();
            }
        }
        self.newest = number;
        let bucket = &mut self.buckets[slot(number)];
        bucket.bytes = bucket.bytes.saturating_add(size_bytes as u64);
        bucket.from.get_or_insert(dts);
    }
}

fn bucket(now: Duration) -> u64 {
    u64::try_from(now.as_nanos() / BUCKET.as_nanos()).unwrap_or(u64::MAX / 2)
}

fn slot(bucket: u64) -> usize {
    (bucket % WINDOW_BUCKETS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(meter: &mut GopMeter, frames: u32, fps: u32, gop: u32, bytes: usize) -> Duration {
        let mut now = Duration::ZERO;
        for frame in 0..frames {
            let millis = u64::from(frame) * 1_000 / u64::from(fps);
            now = Duration::from_millis(millis);
            let time = MediaTime::from_millis(i64::try_from(millis).unwrap());
            meter.record(time, time, frame % gop == 0, bytes, now);
        }
        now
    }

    #[test]
    fn measures_rate_and_gop() {
        let mut meter = GopMeter::new();
        let now = feed(&mut meter, 300, 30, 60, 1_000);
        assert!((meter.fps().unwrap() - 30.0).abs() < 0.3, "{:?}", meter.fps());
        assert_eq!(meter.gop_seconds(), Some(2.0));
        assert!(!meter.has_b_frames());
        // The rate is 30 * 1,000 * 8.
        let rate = meter.bitrate_bps(now);
        assert!((225_000..=255_000).contains(&rate), "{rate}");
        assert_eq!(meter.bitrate_bps(now + Duration::from_secs(10)), 0, "silence is a rate of 0");
        let falling = meter.bitrate_bps(now + Duration::from_secs(1));
        assert!((90_000..=150_000).contains(&falling), "{falling}");
    }

    #[test]
    fn is_right_from_the_first_second() {
        let mut meter = GopMeter::new();
        let now = feed(&mut meter, 31, 30, 60, 1_000);
        let rate = meter.bitrate_bps(now);
        assert!((225_000..=265_000).contains(&rate), "{rate}");
        assert_eq!(GopMeter::new().bitrate_bps(now), 0);
        assert_eq!(GopMeter::new().fps(), None);
    }

    /// A GOP that was cached comes in one go, and then one picture after the other. The keyframe is as large as ten others.
    #[test]
    fn a_cached_gop_makes_no_spike() {
        let mut meter = GopMeter::new();
        for frame in 0..150_u32 {
            let time = MediaTime::from_millis(i64::from(frame) * 1_000 / 30);
            let now = Duration::from_millis(u64::from(frame.saturating_sub(59)) * 1_000 / 30);
            let bytes = if frame % 60 == 0 { 10_000 } else { 1_000 };
            meter.record(time, time, frame % 60 == 0, bytes, now);
            // 69,000 bytes in 2 s are 276 kbps.
            let rate = meter.bitrate_bps(now);
            assert!(rate < 380_000 && (frame < 60 || rate > 200_000), "{rate} at frame {frame}");
        }
    }

    #[test]
    fn sees_b_frames_come_and_go() {
        let mut meter = GopMeter::new();
        for (frame, pts) in [(0, 66), (33, 166), (66, 100), (100, 133)] {
            meter.record(MediaTime::from_millis(frame), MediaTime::from_millis(pts), frame == 0, 1, Duration::ZERO);
        }
        assert!(meter.has_b_frames());
        for frame in 0..i64::from(REORDER_MEMORY_FRAMES) + 2 {
            let time = MediaTime::from_millis(1_000 + frame * 33);
            meter.record(time, time, false, 1, Duration::ZERO);
        }
        assert!(!meter.has_b_frames());
    }

    #[test]
    fn a_gap_is_no_gop() {
        let mut meter = GopMeter::new();
        feed(&mut meter, 10, 30, 60, 1);
        let later = MediaTime::from_millis(3_600_000);
        meter.record(later, later, true, 1, Duration::from_secs(3_600));
        assert_eq!(meter.gop_seconds(), None);
        assert_eq!(meter.fps(), None);
    }

    #[test]
    fn survives_any_time() {
        let mut meter = GopMeter::new();
        for nanos in [i64::MAX, i64::MIN, 0, 5] {
            let time = MediaTime::from_nanos(nanos);
            meter.record(time, time, true, usize::MAX, Duration::MAX);
            meter.record(time, time, true, usize::MAX, Duration::ZERO);
            let _ =
                (meter.fps(), meter.gop_seconds(), meter.bitrate_bps(Duration::MAX), meter.bitrate_bps(Duration::ZERO));
        }
    }
}

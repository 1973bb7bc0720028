//! How many bytes have to lie in a publisher's socket before it is worth waking for them.
//!
//! A wake costs far more than the bytes that it brings (measured: 50 us on a machine of two cores), and an encoder writes 75 messages a
//! second, which networks cut into segments. Three kinds of wake bring nothing that anybody waits for: those for a part of a message;
//! those for sound alone, which goes out with the next picture anyway (see `from_frames`); and, where no subscriber is in a hurry, those for a
//! single picture. The kernel's low-water mark spares all of them. This file is pure: messages and the time go in, marks come out.

use std::time::{Duration, Instant};

/// No bytes wait longer than this below the mark. Only a publisher that pauses, or whose pictures become much smaller, ever waits so
/// long. So the time may be long, and a timer that is never moved costs a few wakes a second instead of thirty.
const WAIT_MAX: Duration = Duration::from_millis(300);
/// A higher mark gains nothing: the kernel keeps twice this for a socket without being asked to.
const MARK_BYTES_MAX: usize = 64 * 1024;
/// The rest of a message that fits into one Ethernet segment comes with one wake anyway.
const SEGMENT_BYTES: usize = 1448;
/// This many pictures (2 s at 30 fps) tell what the next ones will be like.
const PERIOD_PICTURES: u32 = 60;
/// The smallest picture of a period must have the size of this many marks. A picture below the mark would wait for its successor.
const MARGIN: usize = 2;
/// If more messages than this lie between two pictures, pictures come too slowly to wait for. At 48 kHz this many are 85 ms.
const BETWEEN_MAX: u32 = 4;
/// Pictures that come within this time may come together. It is less than a third of the shortest part of low-latency HLS.
const GATHER_MS: u32 = 100;

/// The low-water marks of one connection that publishes.
#[derive(Debug, Default)]
pub(super) struct LowWater {
    /// The mark that the socket has been told; 0 and 1 mean the same.
    set_bytes: usize,
    /// When the bytes below the mark have waited long enough.
    rings_at: Option<Instant>,
    /// The mark between two messages: more than the sound that comes between pictures. It is 0 while that amount is unknown, or if the
    /// mark would delay pictures.
    sound_mark_bytes: usize,
    /// The mark between two messages if nobody is in a hurry: the bytes of several pictures.
    gather_mark_bytes: usize,
    /// The smallest of the pictures from which these marks were made.
    smallest_picture_bytes: usize,
    period: Period,
}

#[derive(Debug, Default)]
struct Period {
    pictures: u32,
    picture_bytes: usize,
    smallest_picture_bytes: usize,
    began_at_ms: u32,
    /// The bytes that have come since the last picture. None of them are of a picture; `between_bytes_max` is the most that came between
    /// two.
    between_bytes: usize,
    between_bytes_max: usize,
    between: u32,
    between_max: u32,
}

impl LowWater {
    pub(super) fn on_message(&mut self, is_picture: bool, payload_bytes: usize, timestamp_ms: u32) {
        let period = &mut self.period;
        if !is_picture {
            // The headers of its chunks count too; the smallest chunks are 128 bytes long.
            period.between_bytes += payload_bytes + payload_bytes / 128 + 16;
            period.between += 1;
            return;
        }
        period.between_bytes_max = period.between_bytes_max.max(std::mem::take(&mut period.between_bytes));
        period.between_max = period.between_max.max(std::mem::take(&mut period.between));
        if period.pictures == 0 {
            (period.smallest_picture_bytes, period.began_at_ms) = (payload_bytes, timestamp_ms);
        }
        period.smallest_picture_bytes = period.smallest_picture_bytes.min(payload_bytes);
        period.picture_bytes += payload_bytes;
        period.pictures += 1;
        if payload_bytes < self.sound_mark_bytes {
            self.sound_mark_bytes = 0;
        }
        if payload_bytes < self.smallest_picture_bytes / 2 {
            self.gather_mark_bytes = 0;
        }
        if period.pictures > PERIOD_PICTURES {
            self.end_period(timestamp_ms);
        }
    }

    fn end_period(&mut self, timestamp_ms: u32) {
        let period = std::mem::take(&mut self.period);
        self.smallest_picture_bytes = period.smallest_picture_bytes;
        // The mark is a quarter more than there was, rounded up in steps, so that the socket is not told a new one in every period.
        let mark = (period.between_bytes_max * 5 / 4).next_multiple_of(256);
        let fits = period.smallest_picture_bytes >= mark * MARGIN;
        self.sound_mark_bytes = if fits && (1..=BETWEEN_MAX).contains(&period.between_max) { mark } else { 0 };
        // A clock that was set back looks like one very long period.
        let period_ms = timestamp_ms.wrapping_sub(period.began_at_ms).max(1);
        let gathered = (PERIOD_PICTURES * GATHER_MS / period_ms) as usize;
        let mean = period.picture_bytes / (PERIOD_PICTURES as usize + 1);
        // The mark is half a picture less than these pictures have together. It is never so high that the smallest pictures would take
        // much longer to reach it.
        let some = (mean * gathered).saturating_sub(mean / 2).min(period.smallest_picture_bytes * (gathered + 1));
        self.gather_mark_bytes = if gathered >= 2 { some } else { 0 };
    }

    /// The mark that the socket is to be told now that it was read empty, if that mark is new. `missing_bytes` are the bytes still to
    /// come of a message that has begun; `limit_bytes` is how much the peer may send before it has to hear from us.
    pub(super) fn mark(
        &mut self,
        missing_bytes: usize,
        limit_bytes: usize,
        hurried: bool,
        now: Instant,
    ) -> Option<usize> {
        let between = if hurried { self.sound_mark_bytes } else { self.gather_mark_bytes.max(self.sound_mark_bytes) };
        let wanted = match missing_bytes {
            0 => between,
            rest if rest > SEGMENT_BYTES => rest,
            _ => 1,
        };
        let mark = wanted.min(MARK_BYTES_MAX).min(limit_bytes).max(1);
        self.rings_at = (mark > 1).then(|| now + WAIT_MAX);
        self.set(mark)
    }

    /// When [`on_ring`](Self::on_ring) has to be called.
    pub(super) fn rings_at(&self) -> Option<Instant> {
        self.rings_at
    }

    /// The mark has stood long enough: bytes that are there now are read, whatever their number. Returns the mark that the socket is to
    /// be told.
    pub(super) fn on_ring(&mut self, now: Instant) -> Option<usize> {
        self.rings_at.take_if(|at| now >= *at)?;
        // Pictures are no longer what they were when the marks were made, so they are measured anew.
        self.gather_mark_bytes = 0;
        self.set(1)
    }

    fn set(&mut self, mark_bytes: usize) -> Option<usize> {
        let changed = mark_bytes != self.set_bytes.max(1);
        self.set_bytes = mark_bytes;
        changed.then_some(mark_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: usize = usize::MAX;

    /// The state after a period of pictures of this size and distance, with these sounds between them.
    fn after_a_period(picture_bytes: usize, sounds: &[usize], every_ms: u32) -> LowWater {
        let mut low_water = LowWater::default();
        for number in 0..=PERIOD_PICTURES {
            sounds.iter().for_each(|bytes| low_water.on_message(false, *bytes, 0));
            low_water.on_message(true, picture_bytes, u32::MAX.wrapping_add(number * every_ms));
        }
        low_water
    }

    fn hurried(low_water: &mut LowWater) -> Option<usize> {
        low_water.mark(0, NO_LIMIT, true, Instant::now())
    }

    #[test]
    fn sound_alone_wakes_nobody_where_pictures_are_much_larger() {
        // Two sounds of 353 bytes have 742 with their headers; a quarter more, in steps of 256, is 1,024.
        for (picture, sounds, expected) in [
            (16_000, &[353; 2][..], Some(1_024)),
            (2_048, &[353; 2], Some(1_024)),
            (2_047, &[353; 2], None),
            (200, &[353; 2], None),
            (16_000, &[], None),
            (60_000, &[353; 4], Some(2_048)),
            // Pictures come slowly here, so sound is not kept waiting for them.
            (60_000, &[353; 5], None),
            (60_000, &[353; 50], None),
        ] {
            let mut low_water = after_a_period(picture, sounds, 33);
            assert_eq!(hurried(&mut low_water), expected, "{picture} {sounds:?}");
            assert_eq!(hurried(&mut low_water), None, "it is told once");
        }
        assert_eq!(hurried(&mut LowWater::default()), None, "nothing is known yet");
    }

    #[test]
    fn pictures_are_gathered_where_nobody_is_in_a_hurry() {
        for (every_ms, expected) in [
            // Three pictures come together at 30 fps, so the mark is two and a half times 16,000.
            (33, Some(40_000)),
            // Six pictures at 60 fps would be more than a socket keeps.
            (16, Some(MARK_BYTES_MAX)),
            (50, Some(24_000)),
            (51, None),
            (1_000, None),
        ] {
            let mut low_water = after_a_period(16_000, &[], every_ms);
            assert_eq!(low_water.mark(0, NO_LIMIT, false, Instant::now()), expected, "{every_ms}");
        }
        let mut low_water = after_a_period(16_000, &[353; 2], 33);
        assert_eq!(low_water.mark(0, NO_LIMIT, false, Instant::now()), Some(40_000));
        assert_eq!(hurried(&mut low_water), Some(1_024), "somebody came");
        low_water.on_message(true, 7_999, 0);
        assert_eq!(low_water.mark(0, NO_LIMIT, false, Instant::now()), None, "pictures became smaller");
    }

    #[test]
    fn a_stream_without_pictures_is_never_held() {
        let mut low_water = LowWater::default();
        (0..1_000).for_each(|_| low_water.on_message(false, 400, 0));
        assert_eq!(low_water.mark(0, NO_LIMIT, false, Instant::now()), None);
        assert_eq!(low_water.rings_at(), None);
    }

    #[test]
    fn a_small_picture_ends_the_waiting_at_once() {
        let mut low_water = after_a_period(16_000, &[353; 2], 33);
        assert_eq!(hurried(&mut low_water), Some(1_024));
        low_water.on_message(true, 1_000, 0);
        assert_eq!(hurried(&mut low_water), Some(1));
    }

    #[test]
    fn the_rest_of_a_message_is_waited_for() {
        let now = Instant::now();
        for (missing, limit, expected) in [
            (1, NO_LIMIT, None),
            (SEGMENT_BYTES, NO_LIMIT, None),
            (SEGMENT_BYTES + 1, NO_LIMIT, Some(SEGMENT_BYTES + 1)),
            (16_000, NO_LIMIT, Some(16_000)),
            (1_000_000, NO_LIMIT, Some(MARK_BYTES_MAX)),
            (16_000, 600, Some(600)),
            (16_000, 0, None),
        ] {
            assert_eq!(LowWater::default().mark(missing, limit, true, now), expected, "{missing} {limit}");
        }
        let mut low_water = after_a_period(16_000, &[353; 2], 33);
        assert_eq!(low_water.mark(500, NO_LIMIT, true, now), None, "what ends a picture is never held for the next");
    }

    #[test]
    fn nothing_waits_for_ever() {
        let zero = Instant::now();
        let mut low_water = after_a_period(16_000, &[353; 2], 33);
        assert_eq!(low_water.mark(0, NO_LIMIT, false, zero), Some(40_000));
        assert_eq!(low_water.rings_at(), Some(zero + WAIT_MAX));
        assert_eq!(low_water.on_ring(zero), None, "another timer rang");
        assert_eq!(low_water.on_ring(zero + WAIT_MAX), Some(1));
        assert_eq!(low_water.rings_at(), None);
        assert_eq!(low_water.mark(0, NO_LIMIT, false, zero), Some(1_024), "and nothing is gathered for now");
    }
}

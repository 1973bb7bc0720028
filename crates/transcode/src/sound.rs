//! The sound of a rendition: what the worker gives, and coded silence where the source has none. Destinations refuse streams
//! without sound, and players wait for it.

use bytes::Bytes;
use weir_media::{Frame, FrameFlags, MediaTime, TrackId};
use weir_pipeline::AudioOutput;

/// AAC-LC's raw_data_block (ISO/IEC 14496-3, 4.4.2.1) of a pair of channels without any scale factor band.
const SILENCE: &[u8] = &[0x21, 0x00, 0x03, 0x20, 0x64, 0x1C];
const FRAME_SAMPLES: i64 = 1024;

/// The source's sound may be so far behind its picture; what comes later has been filled with silence.
const LATE_MAX: MediaTime = MediaTime::from_millis(1000);

/// Filled at once at most: a picture may come 5 s after the one before it; 47 frames are a second.
const FILL_FRAMES_MAX: i64 = 256;

/// Where one rendition's sound stands.
#[derive(Debug, Default)]
pub(crate) struct Sound {
    /// Where the next frame belongs; None before the first picture.
    next: Option<MediaTime>,
    /// Where silence began, and how many frames of it there were: times are counted from there, so that they do not drift.
    silence: Option<(MediaTime, i64)>,
}

fn length() -> MediaTime {
    samples(FRAME_SAMPLES)
}

fn samples(count: i64) -> MediaTime {
    MediaTime::from_ticks(count, AudioOutput::SAMPLE_RATE_HZ)
}

impl Sound {
    /// Whether a frame of the worker's may follow; sound before the first picture, or where silence has been put, may not.
    pub(crate) fn take(&mut self, dts: MediaTime) -> bool {
        let Some(next) = self.next else { return false };
        // Encoders' times jitter by a sample or two; half a frame is a frame that is there already.
        if dts + samples(FRAME_SAMPLES / 2) < next {
            return false;
        }
        self.next = Some(dts + length());
        self.silence = None;
        true
    }

    /// A picture was published: the silence that is due now.
    pub(crate) fn picture(&mut self, dts: MediaTime, source_has_sound: bool) -> Vec<Frame> {
        let mut next = *self.next.get_or_insert(dts);
        let until = if source_has_sound { dts - LATE_MAX } else { dts };
        if next > until {
            return Vec::new();
        }
        // A hole that is longer than what is filled at once is no longer a hole in the sound alone.
        let oldest = until - samples(FRAME_SAMPLES * FILL_FRAMES_MAX);
        if next < oldest {
            next = oldest;
            self.silence = None;
        }
        let (start, mut count) = self.silence.unwrap_or((next, 0));
        let mut frames = Vec::new();
        while next <= until {
            frames.push(Frame {
                track: TrackId::SOURCE_AUDIO,
                dts: next,
                pts: next,
                flags: FrameFlags { keyframe: true, discontinuity: false },
                payload: Bytes::from_static(SILENCE),
            });
            count += 1;
            next = start + samples(FRAME_SAMPLES * count);
        }
        self.next = Some(next);
        self.silence = Some((start, count));
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: i64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    /// Pictures at 30 fps over these milliseconds; the times of the silence that comes of them.
    fn pictures(sound: &mut Sound, range: std::ops::Range<i64>, has_sound: bool) -> Vec<i64> {
        let pictures = (range.start * 30 / 1000)..(range.end * 30 / 1000);
        let frames = pictures.flat_map(|number| sound.picture(ms(number * 1000 / 30), has_sound));
        frames.map(|frame| frame.dts.as_nanos()).collect()
    }

    #[test]
    fn a_source_without_sound_gets_silence_without_drift() {
        let mut sound = Sound::default();
        let times = pictures(&mut sound, 0..600_000, false);
        // 48000 / 1024 a second.
        assert!((28_124..=28_126).contains(&times.len()), "{}", times.len());
        assert!(times.iter().enumerate().all(|(number, at)| *at == number as i64 * 1024 * 1_000_000_000 / 48_000));
    }

    #[test]
    fn sound_that_is_only_late_is_waited_for() {
        let mut sound = Sound::default();
        assert!(!sound.take(ms(0)), "before the first picture");
        assert!(pictures(&mut sound, 0..900, true).is_empty());
        for number in 0..40 {
            assert!(sound.take(samples(1024 * number)), "{number}");
        }
    }

    #[test]
    fn sound_that_goes_and_returns() {
        let mut sound = Sound::default();
        pictures(&mut sound, 0..100, true);
        assert!(sound.take(ms(80)));
        let filled = pictures(&mut sound, 100..3_100, true);
        // From the end of the last frame to a second behind the picture.
        assert_eq!(filled.first(), Some(&(ms(80) + length()).as_nanos()));
        assert!((2_040_000_000..=2_067_000_000).contains(filled.last().unwrap()), "{filled:?}");
        assert!(filled.windows(2).all(|pair| (21_333_333..=21_333_334).contains(&(pair[1] - pair[0]))));
        assert!(!sound.take(ms(1_500)), "there is silence already");
        assert!(sound.take(ms(2_100)));
        assert!(pictures(&mut sound, 3_100..3_110, true).is_empty());
    }

    #[test]
    fn a_jump_is_not_filled_whole() {
        let mut sound = Sound::default();
        sound.picture(ms(0), false);
        let filled = sound.picture(ms(3_600_000), false);
        assert!(filled.len() as i64 <= FILL_FRAMES_MAX + 1);
        assert!(filled.last().unwrap().dts > ms(3_599_900));
    }
}

//! The sound of a rendition: the frames of the worker, and coded silence where the source has none. Destinations refuse streams without
//! sound, and players wait for it.

use bytes::Bytes;
use weir_media::codec::{self, aac::AacConfig, opus};
use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId, TrackInfo};
use weir_model::AudioCodec;
use weir_pipeline::AudioOutput;

/// The silent frame of AAC-LC: a raw_data_block (ISO/IEC 14496-3, 4.4.2.1) of a pair of channels without any scale factor band.
const AAC_SILENCE: &[u8] = &[0x21, 0x00, 0x03, 0x20, 0x64, 0x1C];
const AAC_FRAME_SAMPLES: i64 = 1024;

/// The silent frame of Opus: a CELT frame of 20 ms (RFC 6716, 3.1: configuration 31, mono, which stereo decoders take).
const OPUS_SILENCE: &[u8] = &[0xF8, 0xFF, 0xFE];
const OPUS_FRAME_SAMPLES: i64 = 960;
/// What libopus looks ahead at 48 kHz: decoders throw away so many samples at the start.
const OPUS_PRE_SKIP: u16 = 312;

/// The source's sound may be so far behind its picture; where it comes later, silence has taken its place.
const LATE_MAX: MediaTime = MediaTime::from_millis(1000);

/// Sound without a picture can only be compared with the source, and comes through a worker that may itself be late.
const LATE_ALONE_MAX: MediaTime = MediaTime::from_millis(5000);

/// At most this many frames of silence are made at once. A picture may come 5 s after the one before it, and there are 47 frames a second.
const FILL_FRAMES_MAX: i64 = 256;

/// The track of the sound that the worker gives.
pub(crate) fn track(codec: AudioCodec) -> Option<TrackInfo> {
    let (codec, config) = match codec {
        AudioCodec::Aac => (Codec::Aac, AacConfig::build_lc(AudioOutput::SAMPLE_RATE_HZ, AudioOutput::CHANNELS)),
        AudioCodec::Opus => (Codec::Opus, opus::opus_head(AudioOutput::CHANNELS, OPUS_PRE_SKIP)),
    };
    codec::parse(codec, TrackId::SOURCE_AUDIO, config.ok()?).ok()
}

/// How far one rendition's sound has come.
#[derive(Debug)]
pub(crate) struct Sound {
    codec: AudioCodec,
    /// The time of the next frame; None before the first picture.
    next: Option<MediaTime>,
    /// Where the silence began, and how many frames of it there have been: times are counted from there, so that they do not drift.
    silence: Option<(MediaTime, i64)>,
}

fn samples(count: i64) -> MediaTime {
    MediaTime::from_ticks(count, AudioOutput::SAMPLE_RATE_HZ)
}

impl Sound {
    pub(crate) fn new(codec: AudioCodec) -> Self {
        Self { codec, next: None, silence: None }
    }

    /// Goes on at the same time with another codec.
    pub(crate) fn go_on_as(&mut self, codec: AudioCodec) {
        self.codec = codec;
        self.silence = None;
    }

    fn frame_samples(&self) -> i64 {
        match self.codec {
            AudioCodec::Aac => AAC_FRAME_SAMPLES,
            AudioCodec::Opus => OPUS_FRAME_SAMPLES,
        }
    }

    /// Sound that has no picture to wait for begins with its first frame.
    pub(crate) fn begin(&mut self, dts: MediaTime) {
        self.next.get_or_insert(dts);
    }

    /// Whether a frame of the worker may follow. Sound from before the first picture, or where silence was put already, may not.
    pub(crate) fn take(&mut self, dts: MediaTime) -> bool {
        let Some(next) = self.next else { return false };
        // Encoders' times jitter by a sample or two. A frame that begins more
        // than half a frame too early is of a time that is filled already.
        if dts + samples(self.frame_samples() / 2) < next {
            return false;
        }
        self.next = Some(dts + samples(self.frame_samples()));
        self.silence = None;
        true
    }

    /// The silence that is due when a picture of this time is published.
    pub(crate) fn picture(&mut self, dts: MediaTime, source_has_sound: bool) -> Vec<Frame> {
        self.begin(dts);
        self.fill(if source_has_sound { dts - LATE_MAX } else { dts })
    }

    /// The silence that is due where there are no pictures, when the source has come to `source`.
    pub(crate) fn alone(&mut self, source: MediaTime, source_has_sound: bool) -> Vec<Frame> {
        let until = source - if source_has_sound { LATE_ALONE_MAX } else { LATE_MAX };
        if until < MediaTime::ZERO {
            return Vec::new();
        }
        if !source_has_sound {
            self.begin(until);
        }
        self.fill(until)
    }

    fn fill(&mut self, until: MediaTime) -> Vec<Frame> {
        let Some(mut next) = self.next.filter(|next| *next <= until) else { return Vec::new() };
        let (length, payload) = match self.codec {
            AudioCodec::Aac => (AAC_FRAME_SAMPLES, AAC_SILENCE),
            AudioCodec::Opus => (OPUS_FRAME_SAMPLES, OPUS_SILENCE),
        };
        // A gap longer than what is filled at once is no gap in the sound alone, and its beginning is left empty.
        let oldest = until - samples(length * FILL_FRAMES_MAX);
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
                payload: Bytes::from_static(payload),
            });
            count += 1;
            next = start + samples(length * count);
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

    /// Publishes pictures at 30 fps over these milliseconds, and gives the times of the silence beside them.
    fn pictures(sound: &mut Sound, range: std::ops::Range<i64>, has_sound: bool) -> Vec<i64> {
        let pictures = (range.start * 30 / 1000)..(range.end * 30 / 1000);
        let frames = pictures.flat_map(|number| sound.picture(ms(number * 1000 / 30), has_sound));
        frames.map(|frame| frame.dts.as_nanos()).collect()
    }

    #[test]
    fn a_source_without_sound_gets_silence_without_drift() {
        let mut sound = Sound::new(AudioCodec::Aac);
        let times = pictures(&mut sound, 0..600_000, false);
        // There are 48000 / 1024 frames a second, over ten minutes.
        assert!((28_124..=28_126).contains(&times.len()), "{}", times.len());
        assert!(times.iter().enumerate().all(|(number, at)| *at == number as i64 * 1024 * 1_000_000_000 / 48_000));
    }

    #[test]
    fn sound_that_is_only_late_is_waited_for() {
        let mut sound = Sound::new(AudioCodec::Aac);
        assert!(!sound.take(ms(0)), "before the first picture");
        assert!(pictures(&mut sound, 0..900, true).is_empty());
        for number in 0..40 {
            assert!(sound.take(samples(1024 * number)), "{number}");
        }
    }

    #[test]
    fn sound_that_goes_and_returns() {
        let mut sound = Sound::new(AudioCodec::Aac);
        pictures(&mut sound, 0..100, true);
        assert!(sound.take(ms(80)));
        let filled = pictures(&mut sound, 100..3_100, true);
        // Silence goes from the end of the last frame to a second behind the picture.
        assert_eq!(filled.first(), Some(&(ms(80) + samples(1024)).as_nanos()));
        assert!((2_040_000_000..=2_067_000_000).contains(filled.last().unwrap()), "{filled:?}");
        assert!(filled.windows(2).all(|pair| (21_333_333..=21_333_334).contains(&(pair[1] - pair[0]))));
        assert!(!sound.take(ms(1_500)), "there is silence already");
        assert!(sound.take(ms(2_100)));
        assert!(pictures(&mut sound, 3_100..3_110, true).is_empty());
    }

    #[test]
    fn codecs_have_their_silence_and_their_track() {
        for (codec, media, samples, payload) in
            [(AudioCodec::Aac, Codec::Aac, 1024, AAC_SILENCE), (AudioCodec::Opus, Codec::Opus, 960, OPUS_SILENCE)]
        {
            assert_eq!(track(codec).unwrap().codec, media);
            let frames = Sound::new(codec).alone(ms(2_000), false);
            let mut sound = Sound::new(codec);
            sound.picture(ms(0), false);
            let more = sound.picture(ms(500), false);
            assert_eq!((frames.len(), &more[0].payload[..]), (1, payload), "{codec:?}");
            assert_eq!((more[1].dts - more[0].dts).as_nanos() / 1000, samples * 1_000_000 / 48_000, "{codec:?}");
        }
    }

    #[test]
    fn sound_alone_is_filled_by_the_sources_time() {
        let mut silent = Sound::new(AudioCodec::Aac);
        assert!(silent.alone(ms(900), false).is_empty(), "it may still come");
        assert_eq!(silent.alone(ms(1_000), false).len(), 1);
        assert_eq!(silent.alone(ms(2_000), false).len(), 46);
        let mut late = Sound::new(AudioCodec::Aac);
        assert!(late.alone(ms(60_000), true).is_empty(), "before its first frame");
        late.begin(ms(60_000));
        assert!(late.take(ms(60_000)));
        assert!(late.alone(ms(64_000), true).is_empty());
        assert!(!late.alone(ms(66_000), true).is_empty());
    }

    #[test]
    fn a_jump_is_not_filled_whole() {
        let mut sound = Sound::new(AudioCodec::Aac);
        sound.picture(ms(0), false);
        let filled = sound.picture(ms(3_600_000), false);
        assert!(filled.len() as i64 <= FILL_FRAMES_MAX + 1);
        assert!(filled.last().unwrap().dts > ms(3_599_900));
    }
}

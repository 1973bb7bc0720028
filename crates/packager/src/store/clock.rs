//! A track's clock turns stream time into the ticks of the track's files. The ticks rise with every frame, and those of sound are even.

use weir_media::{MediaTime, TrackInfo};
use weir_mux::fmp4;

#[derive(Debug)]
pub(crate) struct TrackClock {
    timescale: u32,
    /// How many ticks a frame of sound lasts, if the codec fixes that.
    frame_ticks: Option<u64>,
    last: Option<u64>,
}

impl TrackClock {
    pub(crate) fn new(track: &TrackInfo) -> Self {
        let frame_ticks = track.audio.as_ref().and_then(|audio| audio.frame_samples).filter(|samples| *samples > 0);
        Self { timescale: fmp4::timescale(track), frame_ticks: frame_ticks.map(u64::from), last: None }
    }

    pub(crate) fn timescale(&self) -> u32 {
        self.timescale
    }

    /// How many ticks a frame lasts when nothing better is known: sound as its codec says, and pictures as at 30 fps.
    pub(crate) fn nominal_ticks(&self) -> u64 {
        self.frame_ticks.unwrap_or(u64::from(self.timescale) / 30).max(1)
    }

    /// When a frame begins. RTMP's milliseconds would make every frame of sound 0.7 ms too long or too short, so samples are counted,
    /// which keeps the sound seamless. When the count is half a frame off (sound was lost or late, or a clock drifts), it follows the
    /// stamps. Half a frame is 11 ms at 48 kHz, which nobody notices against the picture.
    pub(crate) fn stamp(&mut self, dts: MediaTime) -> u64 {
        let said = u64::try_from(dts.as_ticks(self.timescale)).unwrap_or(0);
        let ticks = match (self.last, self.frame_ticks) {
            (Some(last), Some(frame)) if (last + frame).abs_diff(said) <= frame / 2 => last + frame,
            // A frame lasts a tick at least, because players take a frame without duration for an error.
            (Some(last), _) => said.max(last + 1),
            (None, _) => said,
        };
        self.last = Some(ticks);
        ticks
    }

    /// How many ticks a length of stream time is.
    pub(crate) fn ticks_of(&self, length: std::time::Duration) -> u64 {
        u64::try_from(length.as_nanos() * u128::from(self.timescale) / 1_000_000_000).unwrap_or(u64::MAX)
    }
}

pub(crate) fn seconds(ticks: u64, timescale: u32) -> f64 {
    ticks as f64 / f64::from(timescale.max(1))
}

pub(crate) fn media_time(ticks: u64, timescale: u32) -> MediaTime {
    MediaTime::from_ticks(i64::try_from(ticks).unwrap_or(i64::MAX), timescale)
}

#[cfg(test)]
mod tests {
    use weir_media::codec::{self, aac::AacConfig};
    use weir_media::{Codec, TrackId, VideoFormat};

    use super::*;

    fn sound(rate_hz: u32) -> TrackClock {
        let record = AacConfig::build_lc(rate_hz, 2).unwrap();
        TrackClock::new(&codec::parse(Codec::Aac, TrackId(1), record).unwrap())
    }

    fn pictures() -> TrackClock {
        let video = Some(VideoFormat::default());
        let config = bytes::Bytes::new();
        TrackClock::new(&TrackInfo { video, ..TrackInfo::new(TrackId(0), Codec::H264, config) })
    }

    #[test]
    fn sound_from_milliseconds_is_seamless() {
        for rate_hz in [22_050, 44_100, 48_000] {
            let mut clock = sound(rate_hz);
            for frame in 0..10_000_u64 {
                let millis = (frame * 1024 * 1000).div_ceil(u64::from(rate_hz)) as i64;
                assert_eq!(clock.stamp(MediaTime::from_millis(millis)) / 1024, frame, "{rate_hz}");
            }
        }
    }

    #[test]
    fn sound_that_drifts_or_jumps_is_followed() {
        let mut clock = sound(48_000);
        // The sound's clock is 200 ppm fast, which is 12 ms a minute.
        for frame in 0..20_000_i64 {
            let nanos = frame * 1024 * 1_000_000_000 / 48_000;
            let said = MediaTime::from_nanos(nanos - nanos / 5000);
            let stamped = clock.stamp(said);
            let off = stamped.abs_diff(said.as_ticks(48_000) as u64);
            assert!(off <= 1024, "frame {frame}: {off} samples off");
        }
        let after = clock.stamp(MediaTime::from_millis(3_600_000));
        assert_eq!(after, 3600 * 48_000);
    }

    #[test]
    fn ticks_rise_whatever_comes() {
        for mut clock in [sound(48_000), pictures()] {
            let mut last = None;
            for nanos in [-5, 0, 0, 1, 1, 33_000_000, 33_000_000, 20_000_000, i64::MAX, i64::MAX] {
                let ticks = clock.stamp(MediaTime::from_nanos(nanos));
                assert!(last.is_none_or(|last| ticks > last), "{last:?} then {ticks}");
                last = Some(ticks);
            }
        }
    }

    #[test]
    fn pictures_keep_their_own_times() {
        let mut clock = pictures();
        let stamped: Vec<u64> = [0, 33, 67, 100].map(|millis| clock.stamp(MediaTime::from_millis(millis))).to_vec();
        assert_eq!(stamped, [0, 2970, 6030, 9000]);
    }
}

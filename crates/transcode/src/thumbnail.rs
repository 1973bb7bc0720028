//! The newest keyframe of a stream as a small picture.

use std::io;
use std::time::{Duration, Instant};

use weir_hub::{Next, SourcePulse, StreamHub};
use weir_media::MediaTime;
use weir_pipeline::{TrackConfig, WorkerFrame};

use crate::EncodingResources;

/// A picture that a stream showed, and when.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    pub jpeg: Vec<u8>,
    /// When the picture came in, which may be long before somebody asked for it.
    pub shown_at: Instant,
}

impl EncodingResources {
    /// The picture that a new subscriber of the source would begin with; None where no picture is cached.
    pub async fn thumbnail(&self, hub: &StreamHub) -> io::Result<Option<Thumbnail>> {
        let Some(Next::Item(entry)) = hub.source().subscribe_unhurried().try_next() else { return Ok(None) };
        if !entry.is_video() {
            return Ok(None);
        }
        let track = entry.track();
        let shown_at = came_at(entry.frame.dts, &hub.pulse(), Instant::now());
        let launcher = self.launcher().map_err(|missing| io::Error::other(missing.to_string()))?;
        let config = TrackConfig { track: 0, codec: track.codec, config: track.config.clone() };
        let frame = &entry.frame;
        let (dts, pts, payload) = (frame.dts, frame.pts, frame.payload.clone());
        let keyframe = WorkerFrame { track: 0, dts, pts, keyframe: true, discontinuity: false, payload };
        let jpeg = weir_pipeline::thumbnail(launcher, config, keyframe).await?;
        Ok(Some(Thumbnail { jpeg, shown_at }))
    }
}

/// When a frame with the stream's time `dts` came: as long before the newest frame as its time is before that frame's time.
fn came_at(dts: MediaTime, pulse: &SourcePulse, now: Instant) -> Instant {
    let Some(newest_at) = pulse.last_frame_at else { return now };
    let before = (pulse.last_frame_time - dts).as_secs_f64().max(0.0);
    let before = Duration::try_from_secs_f64(before).unwrap_or_default();
    newest_at.checked_sub(before).unwrap_or(newest_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_as_old_as_its_time_says() {
        let now = Instant::now() + Duration::from_secs(1_000);
        let ago = |seconds: u64| now - Duration::from_secs(seconds);
        let time = |seconds: i64| MediaTime::from_millis(seconds * 1_000);
        for (newest_at, newest, keyframe, expected) in [
            // The source goes on.
            (Some(ago(0)), 100, 98, ago(2)),
            // The source stalled 40 s ago.
            (Some(ago(40)), 100, 98, ago(42)),
            // Pictures that are sent ahead of their time are not of the future.
            (Some(ago(1)), 100, 101, ago(1)),
            (None, 0, 0, now),
        ] {
            let pulse =
                SourcePulse { last_frame_at: newest_at, last_frame_time: time(newest), ..SourcePulse::default() };
            assert_eq!(came_at(time(keyframe), &pulse, now), expected, "{pulse:?}");
        }
    }
}

//! The newest keyframe of a stream as a small picture.

use std::io;

use weir_hub::{Next, Rendition};
use weir_media::MediaKind;
use weir_pipeline::{TrackConfig, WireFrame};

use crate::Workshop;

impl Workshop {
    /// A JPEG of the picture that a new subscriber would begin with; None where nothing is cached.
    pub async fn thumbnail(&self, rendition: &Rendition) -> io::Result<Option<Vec<u8>>> {
        let Some(Next::Item(entry)) = rendition.subscribe_unhurried().try_next() else { return Ok(None) };
        let Some(track) = entry.tracks.of_kind(MediaKind::Video).filter(|_| entry.kind == MediaKind::Video) else {
            return Ok(None);
        };
        let binary = self.binary().map_err(|missing| io::Error::other(missing.to_string()))?;
        let config = TrackConfig { track: 0, codec: track.codec, config: track.config.clone() };
        let frame = entry.frame;
        let (dts, pts, payload) = (frame.dts, frame.pts, frame.payload);
        let keyframe = WireFrame { track: 0, dts, pts, keyframe: true, discontinuity: false, payload };
        weir_pipeline::thumbnail(binary, config, keyframe).await.map(Some)
    }
}

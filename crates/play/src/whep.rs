//! WebRTC play: it chooses which of a stream's renditions a browser can be shown, and serves one viewer of it.

use weir_hub::{Cold, Cursor, FeedHandle, StreamHub};
use weir_media::Codec;
use weir_observe::Viewer;
use weir_webrtc::from_frames::{Carried, Unsupported, carried, reorders};
use weir_webrtc::{Connection, Figures, RtpBatch, RtpBatcher};

use crate::source_gone::source_gone_too_long;

/// A rendition that browsers can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The hub's name of the rendition.
    pub rendition: String,
    pub carried: Carried,
}

/// Why no rendition can be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoneFits {
    /// The reason why the first rendition can't be shown: the others are made of it.
    #[error("{0}")]
    Unsupported(Unsupported),
    #[error("nothing has come of this rendition yet")]
    NothingYet,
}

/// Chooses the first of these renditions, which stand in order with the best first, that browsers can show with its sound. If there is
/// none, this is the first that they can show at all.
pub fn choose<'a>(hub: &StreamHub, renditions: impl IntoIterator<Item = &'a str>) -> Result<Chosen, NoneFits> {
    let (mut silent, mut reason) = (None, NoneFits::NothingYet);
    for name in renditions {
        let rendition = hub.rendition(name);
        let tracks = rendition.tracks();
        if tracks.is_empty() {
            continue;
        }
        let fits = carried(&tracks).and_then(|carried| match reorders(&rendition) {
            true => Err(Unsupported::Reordered),
            false => Ok(carried),
        });
        match fits {
            Ok(carried) if carried.left_out.is_none() => return Ok(Chosen { rendition: name.to_owned(), carried }),
            Ok(carried) => {
                silent.get_or_insert(Chosen { rendition: name.to_owned(), carried });
            }
            Err(unsupported) if reason == NoneFits::NothingYet => reason = NoneFits::Unsupported(unsupported),
            Err(_) => {}
        }
    }
    silent.ok_or(reason)
}

impl Chosen {
    /// The codec of the sound that the viewer won't hear.
    pub fn left_out(&self) -> Option<Codec> {
        self.carried.left_out
    }
}

/// One viewer by WebRTC.
#[derive(Debug)]
pub struct WhepPlay {
    hub: StreamHub,
    connection: Connection,
    batches: Cursor<RtpBatch>,
    _feed: FeedHandle<RtpBatcher>,
    /// The viewer is counted while this lives.
    _viewer: Option<Viewer>,
}

impl WhepPlay {
    pub fn new(hub: StreamHub, connection: Connection, feed: FeedHandle<RtpBatcher>, viewer: Option<Viewer>) -> Self {
        Self { hub, connection, batches: feed.subscribe(), _feed: feed, _viewer: viewer }
    }

    /// Plays until either side ends it, or until `leave` says why it is over. Returns the reason, for the log.
    pub async fn run(mut self, leave: impl Future<Output = String>) -> (String, Figures) {
        let mut pulse = self.hub.watch_pulse();
        let gone = Cold::new(source_gone_too_long(&mut pulse));
        let ended = tokio::select! {
            biased;
            ended = self.connection.serve(&mut self.batches) => ended.words().to_owned(),
            () = gone => "the source is gone".to_owned(),
            why = Cold::new(leave) => why,
        };
        self.connection.close();
        (ended, self.connection.figures())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use weir_hub::WindowLimits;
    use weir_media::codec::opus::{opus_head, track_info};
    use weir_media::{MediaTime, TrackId, TrackInfo};
    use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

    use super::*;

    /// Publishes a rendition with testkit's picture and these sounds, and with B-frames if asked.
    fn publish(hub: &StreamHub, name: &str, sounds: &[Codec], b_frames: bool) {
        let mut source = SyntheticSource::new(SyntheticConfig { audio: None, ..SyntheticConfig::default() });
        let mut publisher = hub.publish_rendition(name);
        let sound = |(at, codec): (u32, &Codec)| match codec {
            Codec::Opus => track_info(TrackId(at), opus_head(2, 312).unwrap()).unwrap(),
            codec => TrackInfo::new(TrackId(at), *codec, bytes::Bytes::new()),
        };
        let sounds = (1..).zip(sounds).map(sound);
        publisher.set_tracks(source.tracks().into_iter().chain(sounds).map(Arc::new).collect());
        for mut frame in source.by_ref().take(3) {
            if b_frames {
                frame.pts = frame.pts + MediaTime::from_millis(33);
            }
            publisher.write(frame, Instant::now());
        }
        // The rendition's tracks stay when the publisher is gone.
    }

    #[test]
    fn the_best_rendition_with_a_sound_that_browsers_hear_is_taken() {
        let hub = StreamHub::new(WindowLimits::FRAMES);
        let chosen = |names: &[&str]| {
            let chosen = choose(&hub, names.iter().copied());
            chosen.map(|chosen| (chosen.rendition.clone(), chosen.left_out()))
        };
        assert_eq!(chosen(&["source"]), Err(NoneFits::NothingYet));
        publish(&hub, "reordered", &[Codec::Aac], true);
        publish(&hub, "source", &[Codec::Aac], false);
        publish(&hub, "opus", &[Codec::Aac, Codec::Opus], false);
        publish(&hub, "mute", &[], false);
        for (names, expected) in [
            (&["reordered", "source", "opus"][..], Ok(("opus".to_owned(), None))),
            (&["source", "mute"], Ok(("mute".to_owned(), None))),
            (&["reordered", "source"], Ok(("source".to_owned(), Some(Codec::Aac)))),
            (&["not-there", "source"], Ok(("source".to_owned(), Some(Codec::Aac)))),
            (&["reordered"], Err(NoneFits::Unsupported(Unsupported::Reordered))),
        ] {
            assert_eq!(chosen(names), expected, "{names:?}");
        }
    }
}

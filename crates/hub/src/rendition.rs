//! A rendition's frames: its tracks are interleaved in the order of arrival, and each entry has the decoder configurations in force.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use weir_media::{Frame, MediaKind, MediaTime, TrackInfo};

use crate::hurry::Hurries;
use crate::keyframe_asks::{KeyframeAsks, KeyframeBell};
use crate::{Cursor, Item, SourcePulse, Tracks, Window, WindowLimits};

/// A frame with the tracks that it belongs to.
#[derive(Clone, Debug)]
pub struct Entry {
    pub frame: Frame,
    pub tracks: Arc<Tracks>,
    /// The position of the frame's own track in `tracks`. A reference to the track would have to be counted for each subscriber, which
    /// costs more.
    position: usize,
    start: bool,
}

impl Entry {
    /// The track that the frame belongs to.
    pub fn track(&self) -> &Arc<TrackInfo> {
        self.tracks.at(self.position)
    }

    pub fn is_video(&self) -> bool {
        self.track().kind() == MediaKind::Video
    }

    /// Whether a subscriber may begin here.
    pub fn is_start(&self) -> bool {
        self.start
    }
}

impl Item for Entry {
    fn time(&self) -> MediaTime {
        self.frame.dts
    }

    fn is_start(&self) -> bool {
        self.start
    }

    fn size_bytes(&self) -> usize {
        self.frame.payload.len()
    }
}

pub type Subscriber = Cursor<Entry>;

/// The meeting place of one rendition's publisher and subscribers. It exists whether or not it has a publisher now. Clones share it.
#[derive(Clone, Debug)]
pub struct RenditionHub {
    window: Window<Entry>,
    tracks: watch::Sender<Arc<Tracks>>,
    hurries: Hurries,
    keyframe_asks: KeyframeAsks,
}

impl RenditionHub {
    pub fn new(limits: WindowLimits) -> Self {
        Self::ringing(limits, &KeyframeBell::default())
    }

    /// One of a stream's renditions: who asks for a keyframe rings the stream's bell.
    pub(crate) fn ringing(limits: WindowLimits, bell: &KeyframeBell) -> Self {
        Self {
            window: Window::new(limits),
            tracks: watch::Sender::new(Arc::default()),
            hurries: Hurries::default(),
            keyframe_asks: KeyframeAsks::ringing(bell),
        }
    }

    /// A subscriber that starts on the cached GOP, or waits for the first one.
    pub fn subscribe(&self) -> Subscriber {
        self.window.cursor().in_a_hurry(self.hurries.add())
    }

    /// A subscriber that takes a tenth of a second of frames at once as gladly as single ones, because it makes files or parts of a third
    /// of a second.
    pub fn subscribe_unhurried(&self) -> Subscriber {
        self.window.cursor()
    }

    pub fn tracks(&self) -> Arc<Tracks> {
        Arc::clone(&self.tracks.borrow())
    }

    /// A receiver that follows the tracks as they change.
    pub fn watch_tracks(&self) -> watch::Receiver<Arc<Tracks>> {
        self.tracks.subscribe()
    }

    /// Asks for a keyframe as soon as one can be made. A source that does not come by WebRTC can't be told, so nobody hears it there.
    pub fn ask_keyframe(&self) {
        self.keyframe_asks.ask();
    }

    /// Ends every subscriber.
    pub fn close(&self) {
        self.window.close();
    }

    /// Drops the cached media, so that a subscriber that joins next waits for fresh media.
    pub fn clear(&self) {
        self.window.clear();
        self.tracks.send_replace(Arc::default());
    }

    /// Makes the publisher of a rendition that stands alone, of which no pulse is told.
    pub fn publish(&self) -> Publisher {
        self.publisher(None)
    }

    /// How often subscribers have asked for a keyframe so far.
    pub fn keyframes_asked(&self) -> u64 {
        self.keyframe_asks.count()
    }

    /// Whether any subscriber wants frames one by one, as they come.
    pub fn is_hurried(&self) -> bool {
        self.hurries.any()
    }

    pub(crate) fn publisher(&self, pulse: Option<(watch::Sender<SourcePulse>, u64)>) -> Publisher {
        let tracks = self.tracks();
        Publisher { rendition: self.clone(), tracks, pulse, last_audio_start: None }
    }
}

/// The writing half of a rendition. Whoever holds it is the rendition's source; dropping it ends the session.
#[derive(Debug)]
pub struct Publisher {
    rendition: RenditionHub,
    tracks: Arc<Tracks>,
    /// The source's pulse with the number of this session: a publisher that was replaced must not speak for its successor.
    pulse: Option<(watch::Sender<SourcePulse>, u64)>,
    last_audio_start: Option<MediaTime>,
}

impl Publisher {
    /// How often a rendition without pictures offers a start: its "GOP" is a second of audio.
    const AUDIO_START_EVERY: MediaTime = MediaTime::from_millis(1_000);

    /// Says to which tracks the following frames belong. It takes effect with the next frame, so a change falls on a GOP if the source
    /// does it right.
    pub fn set_tracks(&mut self, tracks: Tracks) {
        if *self.tracks != tracks {
            self.tracks = Arc::new(tracks);
            self.rendition.tracks.send_replace(Arc::clone(&self.tracks));
        }
    }

    pub fn tracks(&self) -> &Arc<Tracks> {
        &self.tracks
    }

    /// How often subscribers have asked for a keyframe so far.
    pub fn keyframes_asked(&self) -> u64 {
        self.rendition.keyframes_asked()
    }

    /// Whether any subscriber wants frames one by one, as they come.
    pub fn is_hurried(&self) -> bool {
        self.rendition.is_hurried()
    }

    /// Writes a frame, and never waits. `now` feeds the liveness that stages watch. A frame of a track that was not announced is dropped.
    /// Returns whether a subscriber may begin with the frame.
    pub fn write(&mut self, frame: Frame, now: Instant) -> bool {
        let Some(position) = self.tracks.position(frame.track) else { return false };
        let start = match self.tracks.at(position).kind() {
            MediaKind::Video => frame.is_keyframe(),
            // Beside video, audio is no start. Alone, every frame of the first sound could be one; one a second keeps GOPs countable.
            // There is none in the first second: many encoders send sound first, and subscribers must not take the stream for audio
            // alone.
            MediaKind::Audio if position > 0 || self.tracks.video().is_some() => false,
            MediaKind::Audio => {
                let last = *self.last_audio_start.get_or_insert(frame.dts);
                let due = frame.dts - last >= Self::AUDIO_START_EVERY;
                if due {
                    self.last_audio_start = Some(frame.dts);
                }
                due
            }
        };
        let time = frame.dts;
        self.rendition.window.push(Entry { frame, tracks: Arc::clone(&self.tracks), position, start });
        if let Some((pulse, session)) = &self.pulse {
            pulse.send_if_modified(|pulse| pulse.sessions == *session && pulse.beat(now, time, start));
        }
        start
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Some((pulse, session)) = &self.pulse {
            pulse.send_if_modified(|pulse| pulse.sessions == *session && pulse.detach());
        }
    }
}

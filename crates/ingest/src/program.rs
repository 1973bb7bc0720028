//! Writes what is on air: the frames of one slot after those of another, so that all that follows the stream sees one source.

use std::time::Instant;

use weir_hub::{Publisher, StreamHub, Tracks};
use weir_media::{Frame, MediaTime, TrackId};

/// The first picture of another slot lies at least so far behind the last one, as RTMP counts in milliseconds.
const STEP: MediaTime = MediaTime::from_millis(1);

/// Frames that are further apart have a pause between them, which says nothing of how long they are.
const FRAME_MAX: MediaTime = MediaTime::from_millis(200);

/// The writer of one stream's program. It has a publisher in the hub while any slot has one.
#[derive(Debug)]
pub(crate) struct ProgramWriter {
    hub: StreamHub,
    publisher: Option<Publisher>,
    /// What is added to the times of the slot on air. Every slot goes by the stream's clock, so this is nearly always zero. It is more where
    /// the slot before was ahead of the clock, and is found anew with every switch, so that no error adds up.
    offset: MediaTime,
    /// The next frame is the first one of another slot.
    is_joining: bool,
    tracks: Vec<WrittenTrack>,
}

/// How far a track has come.
#[derive(Debug)]
struct WrittenTrack {
    id: TrackId,
    last_dts: MediaTime,
    /// How far its last frames were apart, which is how long they are.
    frame: MediaTime,
    /// Nothing of the slot on air was written yet.
    is_cut: bool,
}

impl ProgramWriter {
    pub(crate) fn new(hub: StreamHub) -> Self {
        Self { hub, publisher: None, offset: MediaTime::ZERO, is_joining: false, tracks: Vec::new() }
    }

    #[cfg(test)]
    pub(crate) fn hub(&self) -> &StreamHub {
        &self.hub
    }

    /// The source comes, after nobody was there, or after the publisher on air was replaced. `by_the_same` says that it comes by the slot
    /// that was on air before, whose own timeline goes on where it was.
    pub(crate) fn begin(&mut self, by_the_same: bool, now: Instant) {
        self.publisher = Some(self.hub.publish_source(now));
        if !by_the_same || self.offset > MediaTime::ZERO {
            self.join();
        }
    }

    /// The source is gone.
    pub(crate) fn end(&mut self) {
        self.publisher = None;
    }

    /// The next frame is of another slot.
    pub(crate) fn join(&mut self) {
        self.is_joining = true;
        self.tracks.iter_mut().for_each(|track| track.is_cut = true);
    }

    pub(crate) fn set_tracks(&mut self, tracks: &Tracks) {
        if let Some(publisher) = &mut self.publisher {
            publisher.set_tracks(tracks.clone());
        }
    }

    /// Whether pictures that begin at this time can follow what was written without being moved.
    pub(crate) fn is_before(&self, video: TrackId, time: MediaTime) -> bool {
        self.last_dts(video).is_none_or(|last| last < time)
    }

    /// Writes a frame of the slot on air, and says whether a subscriber can start there.
    pub(crate) fn write(&mut self, mut frame: Frame, is_video: bool, now: Instant) -> bool {
        if std::mem::take(&mut self.is_joining) {
            // Sound that lies in front of what was written is left out, so a picture need only lie behind the last picture.
            let last = if is_video { self.last_dts(frame.track) } else { None };
            let last = last.or_else(|| self.tracks.iter().map(|track| track.last_dts).max());
            self.offset = last.map_or(MediaTime::ZERO, |last| (last + STEP - frame.dts).max(MediaTime::ZERO));
        }
        frame.dts = frame.dts + self.offset;
        frame.pts = frame.pts + self.offset;
        match self.tracks.iter_mut().find(|track| track.id == frame.track) {
            Some(track) => {
                if track.is_cut {
                    // Sound goes on where the sound before has ended, give or take half a frame.
                    let earliest = if is_video { track.last_dts } else { track.last_dts + half(track.frame) };
                    if frame.dts < earliest + STEP {
                        return false;
                    }
                    track.is_cut = false;
                    frame.flags.discontinuity = true;
                } else if frame.dts - track.last_dts <= FRAME_MAX {
                    track.frame = frame.dts - track.last_dts;
                }
                track.last_dts = frame.dts;
            }
            None => {
                let (id, last_dts) = (frame.track, frame.dts);
                self.tracks.push(WrittenTrack { id, last_dts, frame: MediaTime::ZERO, is_cut: false });
            }
        }
        self.publisher.as_mut().is_some_and(|publisher| publisher.write(frame, now))
    }

    fn last_dts(&self, track: TrackId) -> Option<MediaTime> {
        self.tracks.iter().find(|written| written.id == track).map(|written| written.last_dts)
    }
}

fn half(time: MediaTime) -> MediaTime {
    MediaTime::from_nanos(time.as_nanos() / 2)
}

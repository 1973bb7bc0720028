//! A splice lays the frames of one timeline behind those of another on the same clock, so that whoever follows sees one source.

use crate::{Frame, MediaTime, TrackId};

/// The first picture behind a cut lies at least so far behind the last one before it, as RTMP counts in milliseconds.
const STEP: MediaTime = MediaTime::from_millis(1);

/// Frames that are further apart have a pause between them, which says nothing of how long they are.
const FRAME_MAX: MediaTime = MediaTime::from_millis(200);

/// Keeps time rising over every cut.
#[derive(Debug, Default)]
pub struct Splice {
    /// What is added to the times of what comes now. All sources go by one clock, so this is nearly always zero. It is more where the
    /// source before was ahead of the clock, and is found anew at every cut, so that no error adds up.
    offset: MediaTime,
    /// The next frame is the first one behind a cut.
    is_cutting: bool,
    tracks: Vec<SplicedTrack>,
}

/// How far a track has come.
#[derive(Debug)]
struct SplicedTrack {
    id: TrackId,
    last_dts: MediaTime,
    /// How far its last frames were apart, which is how long they are.
    frame: MediaTime,
    /// Nothing of it came since the cut.
    is_cut: bool,
}

impl Splice {
    /// The next frame is of another source.
    pub fn cut(&mut self) {
        self.is_cutting = true;
        self.tracks.iter_mut().for_each(|track| track.is_cut = true);
    }

    /// Whether what comes now is moved, because what came before was ahead of the clock.
    pub fn is_moved(&self) -> bool {
        self.offset > MediaTime::ZERO
    }

    /// Whether pictures that begin at this time can follow what came before without being moved.
    pub fn is_before(&self, video: TrackId, time: MediaTime) -> bool {
        self.last_dts(video).is_none_or(|last| last < time)
    }

    /// Moves a frame to where it belongs behind what came before. False where it has no place there: sound of a source that begins in front of
    /// where the sound before has ended.
    pub fn place(&mut self, frame: &mut Frame, is_video: bool) -> bool {
        if std::mem::take(&mut self.is_cutting) {
            // Sound that lies in front of what came before is left out, so a picture need only lie behind the last picture.
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
                self.tracks.push(SplicedTrack { id, last_dts, frame: MediaTime::ZERO, is_cut: false });
            }
        }
        true
    }

    fn last_dts(&self, track: TrackId) -> Option<MediaTime> {
        self.tracks.iter().find(|spliced| spliced.id == track).map(|spliced| spliced.last_dts)
    }
}

fn half(time: MediaTime) -> MediaTime {
    MediaTime::from_nanos(time.as_nanos() / 2)
}

//! Holds pictures of the source that a rendition keeps as they are until the sound of their time has come through the worker.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use weir_hub::Entry;
use weir_media::MediaTime;

/// Decoding and encoding take about 60 ms, and MPEG-TS brings sound up to 300 ms behind its picture. A picture that has waited longer
/// goes without its sound; sound that comes after it is still published.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// A worker that has just been started gives nothing at first; on a busy machine that takes seconds.
const FIRST_WAIT_MAX: Duration = Duration::from_secs(4);
/// Four seconds at 60 fps.
const PICTURES_MAX: usize = 240;

#[derive(Debug, Default)]
pub(crate) struct Held {
    pictures: VecDeque<(Entry, Instant)>,
    sound_came: bool,
}

impl Held {
    pub(crate) fn push(&mut self, picture: Entry, now: Instant) {
        self.pictures.push_back((picture, now));
    }

    /// The next picture that may go: its sound has come, it has none, or it has waited long enough.
    pub(crate) fn pop(&mut self, sound_until: Option<MediaTime>, now: Instant) -> Option<Entry> {
        self.sound_came |= sound_until.is_some();
        let patience = if self.sound_came { WAIT_MAX } else { FIRST_WAIT_MAX };
        let too_many = self.pictures.len() > PICTURES_MAX;
        let may_go = |(picture, since): &mut (Entry, Instant)| {
            let in_time = sound_until.is_some_and(|until| until >= picture.frame.dts);
            let is_silent = picture.tracks.audio().is_none();
            in_time || is_silent || too_many || now.saturating_duration_since(*since) >= patience
        };
        self.pictures.pop_front_if(may_go).map(|(picture, _)| picture)
    }

    /// The next picture, whatever sound has come.
    pub(crate) fn take(&mut self) -> Option<Entry> {
        self.pictures.pop_front().map(|(picture, _)| picture)
    }

    pub(crate) fn clear(&mut self) {
        self.pictures.clear();
    }
}

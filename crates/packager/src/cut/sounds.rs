//! The sounds of a stream. Each is packaged once, however many renditions have it, and lies with the first of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use weir_media::{Frame, MediaTime, TrackId, TrackInfo};

use crate::config::{Cuts, PackagerConfig};
use crate::cut::boundaries::Boundaries;
use crate::cut::sound_writer::{Lead, SoundProgress, SoundWriter};
use crate::cut::track_writer::Cut;
use crate::store::resume::TrackResume;
use crate::store::track_name::TrackName;
use crate::store::{Changes, Sound};

/// Where segments begin, and the sounds of all renditions, which are cut there.
#[derive(Debug)]
pub(crate) struct Cutting {
    pub(crate) boundaries: Boundaries,
    pub(crate) sounds: Sounds,
}

/// The sounds by their track numbers. A number means the same frames in every rendition of the stream, so that whoever brings a frame first
/// brings it for all.
#[derive(Debug, Default)]
pub(crate) struct Sounds {
    /// A handful, and every frame of a sound looks here: a list is quicker than a tree.
    known: Vec<Shared>,
    /// Where the sounds of an earlier run of the server ended, by the rendition that they lie with and their name.
    resumes: BTreeMap<(String, TrackName), TrackResume>,
}

#[derive(Debug)]
struct Shared {
    id: TrackId,
    home: Arc<str>,
    writer: SoundWriter,
    /// How many segments have ended because the next one began.
    ended: u64,
    brought_by: Vec<Bringer>,
    /// How the pictures are cut that the sound follows. Pictures that are kept as they are and pictures that we encode need not be cut at
    /// the same times.
    follows: Option<Cuts>,
}

/// A rendition that brings a sound now.
#[derive(Debug)]
struct Bringer {
    rendition: Arc<str>,
    has_picture: bool,
    cuts: Cuts,
    /// How many of the segments that ended the rendition knows of.
    ended: u64,
}

impl Sounds {
    /// Takes a sound that an earlier run of the server had.
    pub(crate) fn resume(&mut self, rendition: &str, track: TrackName, resume: TrackResume) {
        self.resumes.insert((rendition.to_owned(), track), resume);
    }

    /// Takes what a sound of the rendition is. Returns the rendition that it lies with. None means that it can't be packaged, which is
    /// logged.
    pub(crate) fn take(
        &mut self,
        rendition: &Arc<str>,
        info: &Arc<TrackInfo>,
        config: &PackagerConfig,
        longest: Duration,
        changes: &mut Changes,
    ) -> Option<Arc<str>> {
        let mut own = Vec::new();
        let taken = match self.known.iter_mut().find(|shared| shared.id == info.id) {
            Some(shared) => shared.writer.take(info, config, longest, &mut own).map(|()| Arc::clone(&shared.home)),
            None => {
                let (home, resume) = self.home_of(rendition, TrackName::of(info));
                SoundWriter::new(info, config, resume, &mut own).map(|writer| {
                    let shared = Shared {
                        id: info.id,
                        home: Arc::clone(&home),
                        writer,
                        ended: 0,
                        brought_by: Vec::new(),
                        follows: None,
                    };
                    self.known.push(shared);
                    home
                })
            }
        };
        match taken {
            Ok(home) => {
                changes.add(&home, own);
                Some(home)
            }
            Err(error) => {
                tracing::warn!(track = info.id.0, codec = %info.codec, %error, "a sound is not packaged");
                None
            }
        }
    }

    /// The rendition that a sound which is new in this run lies with: the one where an earlier run had it, if one did.
    fn home_of(&mut self, rendition: &Arc<str>, track: TrackName) -> (Arc<str>, Option<TrackResume>) {
        let own = (rendition.to_string(), track);
        let elsewhere = || self.resumes.keys().find(|(_, known)| *known == track).cloned();
        let key = if self.resumes.contains_key(&own) { Some(own) } else { elsewhere() };
        match key {
            Some(key) => {
                let resume = self.resumes.remove(&key);
                (key.0.into(), resume)
            }
            None => (Arc::clone(rendition), None),
        }
    }

    /// Takes a frame of a sound. A rendition without a picture brings nothing if others with pictures do, because they know where to cut.
    pub(crate) fn push(
        &mut self,
        rendition: &Arc<str>,
        frame: &Frame,
        (lead, cuts): (Lead, Cuts),
        boundaries: &mut Boundaries,
        changes: &mut Changes,
    ) -> SoundProgress {
        let Some(shared) = self.known.iter_mut().find(|shared| shared.id == frame.track) else {
            return SoundProgress::default();
        };
        let has_picture = matches!(lead, Lead::Pictures | Lead::Itself);
        let at = shared.brought_by.iter().position(|bringer| bringer.rendition == *rendition).unwrap_or_else(|| {
            let rendition = Arc::clone(rendition);
            shared.brought_by.push(Bringer { rendition, has_picture, cuts, ended: shared.ended });
            shared.brought_by.len() - 1
        });
        shared.brought_by[at].has_picture = has_picture;
        let mut cut = false;
        if has_picture || !shared.brought_by.iter().any(|bringer| bringer.has_picture) {
            let mut own = Vec::new();
            let progress = shared.writer.push(frame, lead, boundaries, &mut own);
            changes.add(&shared.home, own);
            shared.ended += u64::from(progress.segment_ended);
            cut = progress.cut;
        }
        let known_ended = std::mem::replace(&mut shared.brought_by[at].ended, shared.ended);
        SoundProgress { cut, segment_ended: shared.ended != known_ended }
    }

    /// Tells the sounds that a rendition's pictures begin a segment.
    pub(crate) fn cut(&mut self, cuts: Cuts, sounds: &[Sound], time: MediaTime, cut: Cut) {
        for sound in sounds {
            let Some(shared) = self.known.iter_mut().find(|shared| shared.id == sound.track.id) else { continue };
            if *shared.follows.get_or_insert(cuts) == cuts {
                shared.writer.cut(time, cut);
            }
        }
    }

    /// Puts silence into the sounds of a rendition whose pictures have come so far that sound up to `until` is missing.
    pub(crate) fn fill(
        &mut self,
        sounds: &[Sound],
        until: MediaTime,
        boundaries: &mut Boundaries,
        changes: &mut Changes,
    ) {
        for sound in sounds {
            let Some(shared) = self.known.iter_mut().find(|shared| shared.id == sound.track.id) else { continue };
            let mut own = Vec::new();
            let progress = shared.writer.fill(until, Lead::Pictures, boundaries, &mut own);
            shared.ended += u64::from(progress.segment_ended);
            changes.add(&shared.home, own);
        }
    }

    /// Notes that the rendition brings nothing for now, and ends the sounds that nobody else brings. `breaks` says that another era begins
    /// with what comes next. Sound that has begun again at `since` or later, before the picture did, goes on.
    pub(crate) fn flush(
        &mut self,
        rendition: &str,
        (breaks, since): (bool, Option<MediaTime>),
        longest: Duration,
        changes: &mut Changes,
    ) {
        for shared in &mut self.known {
            if since.zip(shared.writer.open_start()).is_some_and(|(since, open)| open >= since) {
                continue;
            }
            let brought_by = &mut shared.brought_by;
            let is_gone = brought_by.extract_if(.., |bringer| *bringer.rendition == *rendition).next().is_some();
            shared.follows.take_if(|followed| brought_by.iter().all(|bringer| bringer.cuts != *followed));
            if !is_gone || !shared.brought_by.is_empty() {
                continue;
            }
            let mut own = Vec::new();
            shared.writer.flush(longest, &mut own);
            if breaks {
                shared.writer.break_here();
            }
            changes.add(&shared.home, own);
        }
    }

    /// Whether the decoders of a sound that is packaged must be set up anew for `info`.
    pub(crate) fn differs(&self, info: &TrackInfo) -> bool {
        self.known.iter().any(|shared| shared.id == info.id && shared.writer.differs(info))
    }

    /// Whether a sound that the rendition brings has an open segment.
    pub(crate) fn any_open(&self, rendition: &str) -> bool {
        self.known.iter().any(|shared| {
            shared.writer.is_open() && shared.brought_by.iter().any(|bringer| *bringer.rendition == *rendition)
        })
    }
}

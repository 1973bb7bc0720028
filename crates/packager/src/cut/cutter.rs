//! Cuts a stream's frames into segments: it holds what the stream's renditions agree on, and their writers while nobody follows them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use weir_hub::StreamClock;
use weir_media::MediaKind;

use super::boundaries::Boundaries;
use super::rendition_writer::RenditionWriter;
use super::sounds::{Cutting, Sounds};
use crate::config::PackagerConfig;
use crate::store::Store;
use crate::store::live::{Live, lock};
use crate::store::resume::{Ended, Resume};

#[derive(Debug)]
pub(crate) struct Cutter {
    pub(crate) config: PackagerConfig,
    pub(crate) clock: StreamClock,
    pub(crate) live: Arc<Live>,
    /// If both this and the store are locked, this is locked first.
    pub(crate) cutting: Mutex<Cutting>,
    /// The writers of renditions that are not followed now. A rendition that comes back goes on where it stopped.
    pub(crate) parked: Mutex<BTreeMap<String, RenditionWriter>>,
    pub(crate) followed: Mutex<BTreeSet<String>>,
    /// Where the renditions of an earlier run of the server go on.
    pub(crate) resumes: Mutex<BTreeMap<String, Resume>>,
}

impl Cutter {
    pub(crate) fn new(config: PackagerConfig, clock: StreamClock, live: Arc<Live>) -> Self {
        let boundaries = Boundaries::new(&config, clock.next_number());
        Self {
            config,
            clock,
            live,
            cutting: Mutex::new(Cutting { boundaries, sounds: Sounds::default() }),
            parked: Mutex::default(),
            followed: Mutex::default(),
            resumes: Mutex::default(),
        }
    }

    /// Goes on where an earlier run of the server ended. `put` puts what that run left into the store. Returns the version that the store
    /// then has.
    pub(crate) fn resume(&self, put: impl FnOnce(&mut Store) -> Ended) -> u64 {
        let mut cutting = lock(&self.cutting);
        let mut store = self.live.store();
        let ended = put(&mut store);
        if !ended.resumes.is_empty() {
            cutting.boundaries = Boundaries::new(&self.config, 0);
            cutting.boundaries.resume(ended.next_number, ended.breaks);
            cutting.boundaries.announced(store.target);
            self.clock.take_number(ended.next_number.saturating_sub(1), false);
        }
        for (rendition, tracks) in &ended.resumes {
            for (track, resume) in tracks.iter().filter(|(track, _)| track.kind == MediaKind::Audio) {
                cutting.sounds.resume(rendition, *track, *resume);
            }
        }
        *lock(&self.resumes) = ended.resumes;
        store.version
    }
}

//! Who may publish into which stream and what may be played, in memory.

use std::collections::HashMap;

use weir_model::{Secret, Slot, SourceKind, Stream, StreamId, StreamName};

use crate::admission::AdmissionRefusal;

/// Permission to publish into a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishGrant {
    pub stream_id: StreamId,
    pub name: StreamName,
    pub slot: Slot,
    /// The passphrase that an SRT publisher must encrypt with, if any.
    pub srt_passphrase: Option<Secret>,
}

/// A stream that exists under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayGrant {
    pub stream_id: StreamId,
    pub active: bool,
    pub protected: bool,
    /// The epoch that the stream's tokens must state.
    pub play_epoch: u32,
}

/// Keys are held as their keyed hashes: comparing those tells nothing about a key by its timing.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    publish: HashMap<[u8; 32], (PublishGrant, bool)>,
    play: HashMap<String, PlayGrant>,
    play_by_id: HashMap<StreamId, PlayGrant>,
}

impl Directory {
    /// Enters a stream; `lookup` makes the keyed hash of a stream key.
    pub(super) fn enter(&mut self, stream: &Stream, lookup: impl Fn(&str) -> [u8; 32]) {
        for source in &stream.sources {
            if let SourceKind::Push { stream_key } = &source.kind {
                let grant = PublishGrant {
                    stream_id: stream.id,
                    name: stream.name.clone(),
                    slot: source.slot.clone(),
                    srt_passphrase: stream.srt_passphrase.clone(),
                };
                self.publish.insert(lookup(stream_key.expose()), (grant, stream.active));
            }
        }
        let Stream { id, active, protected, play_epoch, .. } = *stream;
        let grant = PlayGrant { stream_id: id, active, protected, play_epoch };
        self.play_by_id.insert(id, grant);
        self.play.insert(stream.name.as_str().to_owned(), grant);
    }

    /// Strikes out a stream, given as it was entered.
    pub(super) fn strike(&mut self, stream: &Stream) {
        self.publish.retain(|_, (grant, _)| grant.stream_id != stream.id);
        self.play_by_id.remove(&stream.id);
        // Another stream may have taken the name in the same step.
        if self.play.get(stream.name.as_str()).is_some_and(|grant| grant.stream_id == stream.id) {
            self.play.remove(stream.name.as_str());
        }
    }

    pub(super) fn publish(&self, lookup: &[u8; 32]) -> Result<PublishGrant, AdmissionRefusal> {
        match self.publish.get(lookup) {
            Some((grant, true)) => Ok(grant.clone()),
            Some((_, false)) => Err(AdmissionRefusal::Stopped),
            None => Err(AdmissionRefusal::UnknownKey),
        }
    }

    pub(super) fn play(&self, name: &str) -> Option<PlayGrant> {
        self.play.get(name).copied()
    }

    pub(super) fn play_by_id(&self, id: StreamId) -> Option<PlayGrant> {
        self.play_by_id.get(&id).copied()
    }
}

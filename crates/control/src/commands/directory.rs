//! Who may publish into what and what may be played, in memory.

use std::collections::HashMap;

use weir_model::{Secret, Slot, SourceKind, Stream, StreamId, StreamName};
use weir_store::{Store, StoreError, StreamsStamp};

use crate::admission::AdmissionRefusal;

/// Leave to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishGrant {
    pub stream_id: StreamId,
    pub name: StreamName,
    pub slot: Slot,
    /// What an SRT publisher must encrypt with, if anything.
    pub srt_passphrase: Option<Secret>,
}

/// A stream that exists under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayGrant {
    pub stream_id: StreamId,
    pub active: bool,
    pub protected: bool,
    /// What its tokens must say.
    pub play_epoch: u32,
}

/// Keys are held as their keyed hashes: comparing those tells nothing about a key by its timing.
#[derive(Debug, Default)]
pub(super) struct Directory {
    publish: HashMap<[u8; 32], (PublishGrant, bool)>,
    play: HashMap<String, PlayGrant>,
    play_by_id: HashMap<StreamId, PlayGrant>,
    /// Of the streams that all this was read of.
    stamp: StreamsStamp,
}

impl Directory {
    pub(super) async fn read(store: &Store) -> Result<Self, StoreError> {
        // Before the streams: what is changed meanwhile is read again.
        let mut directory = Self { stamp: store.streams_stamp().await?, ..Self::default() };
        for stream in store.all_streams().await? {
            for source in &stream.sources {
                if let SourceKind::Push { stream_key } = &source.kind {
                    let grant = PublishGrant {
                        stream_id: stream.id,
                        name: stream.name.clone(),
                        slot: source.slot,
                        srt_passphrase: stream.srt_passphrase.clone(),
                    };
                    directory.publish.insert(store.stream_key_lookup(stream_key.expose()), (grant, stream.active));
                }
            }
            let Stream { id, active, protected, play_epoch, .. } = stream;
            let grant = PlayGrant { stream_id: id, active, protected, play_epoch };
            directory.play_by_id.insert(id, grant);
            directory.play.insert(stream.name.as_str().to_owned(), grant);
        }
        Ok(directory)
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

    pub(super) fn is_of(&self, stamp: StreamsStamp) -> bool {
        self.stamp == stamp
    }
}

//! Who may publish into what and what may be played, in memory.

use std::collections::HashMap;
use weir_model::{Secret, Slot, SourceKind, StreamId, StreamName};
use weir_store::{Store, StoreError};

/// Leave to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishGrant {
    pub stream_id: StreamId,
    pub name: StreamName,
    pub slot: Slot,
    /// What an SRT publisher must encrypt with, if anything.
    pub srt_passphrase: Option<Secret>,
}

/// Why a key may not publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    #[error("unknown stream key")]
    Unknown,
    #[error("the stream is not active")]
    Disabled,
    #[error("too many unknown stream keys came from this address; it has to wait")]
    Guessing,
}

/// A stream that exists under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayGrant {
    pub stream_id: StreamId,
    pub active: bool,
    pub protected: bool,
}

/// Keys are held as their keyed hashes: comparing those tells nothing about a key by its timing.
#[derive(Debug, Default)]
pub(super) struct Directory {
    publish: HashMap<[u8; 32], (PublishGrant, bool)>,
    play: HashMap<String, PlayGrant>,
}

impl Directory {
    pub(super) async fn read(store: &Store) -> Result<Self, StoreError> {
        let mut directory = Self::default();
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
            let grant = PlayGrant { stream_id: stream.id, active: stream.active, protected: stream.protected };
            directory.play.insert(stream.name.as_str().to_owned(), grant);
        }
        Ok(directory)
    }

    pub(super) fn publish(&self, lookup: &[u8; 32]) -> Result<PublishGrant, PublishRefusal> {
        match self.publish.get(lookup) {
            Some((grant, true)) => Ok(grant.clone()),
            Some((_, false)) => Err(PublishRefusal::Disabled),
            None => Err(PublishRefusal::Unknown),
        }
    }

    pub(super) fn play(&self, name: &str) -> Option<PlayGrant> {
        self.play.get(name).cloned()
    }
}

//! Every change to what is asked for. It is checked, written to the store, and then made known to whatever runs it.

mod callers;
mod change;
mod check;
mod clocks;
mod destinations;
mod error;
mod ladders;
mod logos;
mod restreams;
mod streams;
mod telling;
mod webhooks;

pub use callers::{Credential, Who};
pub use check::{check_available, check_destination, check_restream, check_stream, checked_language};
pub use error::CommandError;
pub use logos::read_logo;
pub use streams::new_stream_key;

use crate::admission::AdmissionRefusal;
use crate::catalogue::{Catalogue, PlayGrant, PublishGrant};
use crate::runtime::Runtime;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, watch};
use weir_ingest::MediaDirs;
use weir_model::{Platforms, StreamId};
use weir_observe::Observe;
use weir_store::{Store, StoreError};

type Result<T> = std::result::Result<T, CommandError>;

/// The actor of changes that nobody asked for just now.
const SERVER: &str = "server";

/// Commands in somebody's name. They are cheap to clone; clones share everything but the name.
#[derive(Debug, Clone)]
pub struct Commands {
    shared: Arc<Shared>,
    /// The actor as events name it: `user:name`, `apikey:name`, `schedule` or `server`.
    by: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    platforms: Platforms,
    runtime: Runtime,
    observe: Observe,
    /// Held for each change, so that the catalogue never falls behind the store.
    changing: Mutex<()>,
    catalogue: watch::Sender<Arc<Catalogue>>,
    /// Rises when streams were changed: those who publish or play then check whether they still may.
    admissions: watch::Sender<u64>,
    /// Rises with every change of keys, people and logins: those who call the API then check whether they still may.
    callers: watch::Sender<u64>,
    /// Where the files lie that sources may name. Before it is told there are none.
    media_dirs: OnceLock<MediaDirs>,
}

impl Commands {
    /// Reads the stored streams, so that publishing is answered from memory.
    pub async fn new(
        store: Store,
        platforms: Platforms,
        runtime: Runtime,
        observe: Observe,
    ) -> std::result::Result<Self, StoreError> {
        streams::make_true(&store).await?;
        let catalogue = Arc::new(Catalogue::read(&store).await?);
        observe.board().wish(catalogue.wishes_since(&Catalogue::default(), &platforms));
        let shared = Shared {
            store,
            platforms,
            runtime,
            observe,
            changing: Mutex::new(()),
            catalogue: watch::Sender::new(catalogue),
            admissions: watch::Sender::new(0),
            callers: watch::Sender::new(0),
            media_dirs: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared), by: SERVER.into() })
    }

    /// Lets sources name the files in these folders, from now on and once for all.
    pub fn allow_media(&self, dirs: MediaDirs) {
        let _ = self.shared.media_dirs.set(dirs);
    }

    /// The same commands in somebody else's name.
    pub fn by(&self, actor: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), by: actor.into() }
    }

    /// What is stored, as it is in memory now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.shared.catalogue.borrow())
    }

    /// The stream that a key, given as its hash, may publish into, from memory. Callers from outside go through `Admission` instead.
    pub(crate) fn publish_grant(&self, lookup: &[u8; 32]) -> std::result::Result<PublishGrant, AdmissionRefusal> {
        self.shared.catalogue.borrow().publish_grant(lookup)
    }

    pub(crate) fn key_lookup(&self, stream_key: &str) -> [u8; 32] {
        self.store().stream_key_lookup(stream_key)
    }

    /// The stream of that name, for whoever wants to play it; from memory.
    pub fn find_stream(&self, name: &str) -> Option<PlayGrant> {
        self.shared.catalogue.borrow().play_grant_by_name(name)
    }

    /// The stream with this id, which a new name does not change.
    pub(crate) fn play_grant(&self, id: StreamId) -> Option<PlayGrant> {
        self.shared.catalogue.borrow().play_grant(id)
    }

    /// Wakes when those who publish or play may no longer be allowed to.
    pub(crate) fn stream_changes(&self) -> watch::Receiver<u64> {
        self.shared.admissions.subscribe()
    }

    pub(crate) fn sign_play_token(&self, token: &[u8]) -> [u8; 32] {
        self.store().sign_play_token(token)
    }

    pub fn platforms(&self) -> &Platforms {
        &self.shared.platforms
    }

    fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Called after a change that is on disk, with the lock of changes held:
    /// the catalogue takes the change over, and what runs is made to match.
    async fn follow(&self) -> Result<()> {
        let before = self.catalogue();
        let Some(next) = before.renewed(self.store()).await? else { return Ok(()) };
        let admits_as_before = next.admits_as(&before);
        self.shared.observe.board().wish(next.wishes_since(&before, self.platforms()));
        self.shared.catalogue.send_replace(Arc::new(next));
        if !admits_as_before {
            self.shared.admissions.send_modify(|version| *version += 1);
        }
        self.shared.runtime.kick();
        Ok(())
    }

    /// Takes over what other processes have changed, since they can't tell this one.
    pub async fn look_for_foreign_changes(&self) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        self.follow().await
    }
}

#[cfg(test)]
mod tests;

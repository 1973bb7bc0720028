//! Every change to what is asked for: checked, written to the store, then made known to whatever runs it.

mod callers;
mod check;
mod destinations;
mod directory;
mod error;
mod ladders;
mod logos;
mod restreams;
mod streams;
mod telling;
mod webhooks;

pub use callers::{Credential, Who};
pub use check::{check_available, check_destination, check_ladder, check_restream, check_stream};
pub use directory::{PlayGrant, PublishGrant};
pub use error::CommandError;
pub use logos::read_logo;
pub use streams::new_stream_key;

use crate::admission::AdmissionRefusal;
use crate::runtime::Runtime;
use directory::Directory;
use logos::Logos;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::{Mutex, watch};
use weir_model::{
    ConfigFault, Destination, DestinationId, Platforms, RestreamId, RestreamSpec, Stream, StreamId, Target, resolve,
};
use weir_observe::Observe;
use weir_store::{Store, StoreError};

type Result<T> = std::result::Result<T, CommandError>;

/// A change made by another process between our read and our write is read again this often before giving up.
const STALE_RETRIES: u32 = 5;

/// Who changes what nobody asked to be changed just now.
const SERVER: &str = "server";

/// In somebody's name. Cheap to clone; clones share everything else.
#[derive(Debug, Clone)]
pub struct Commands {
    shared: Arc<Shared>,
    /// `user:name`, `apikey:name`, `schedule` or `server`: what events say.
    by: Arc<str>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    platforms: Platforms,
    runtime: Runtime,
    observe: Observe,
    /// One change at a time, so that the directory never falls behind the store.
    changing: Mutex<()>,
    directory: RwLock<Directory>,
    /// Rises with every other directory: whoever publishes or plays looks again whether they may.
    directories: watch::Sender<u64>,
    /// Rises with every change of keys, people and logins: so does whoever calls.
    callers: watch::Sender<u64>,
    /// Those of the streams that have one, as they were last read: they are large, and every change asks for all streams.
    logos: Mutex<Logos>,
    /// Rises with every change.
    version: AtomicU64,
}

/// A stream as it should be, with the restreams that should run for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    pub stream: Stream,
    /// Started ones only; a stream that is not active still has them, waiting.
    pub restreams: Vec<std::result::Result<RestreamSpec, Misconfigured>>,
}

/// A restream that can't be tried as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Misconfigured {
    pub id: RestreamId,
    pub name: String,
    pub fault: ConfigFault,
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
        let directory = RwLock::new(Directory::read(&store).await?);
        let shared = Shared {
            store,
            platforms,
            runtime,
            observe,
            changing: Mutex::new(()),
            directory,
            directories: watch::Sender::new(0),
            callers: watch::Sender::new(0),
            logos: Mutex::default(),
            version: AtomicU64::new(1),
        };
        Ok(Self { shared: Arc::new(shared), by: SERVER.into() })
    }

    /// The same in somebody's name.
    pub fn by(&self, actor: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), by: actor.into() }
    }

    /// What should run now: the one input of reconcile.
    pub async fn desired(&self) -> Result<Vec<Desired>> {
        let destinations = self.store().all_destinations().await?;
        let destinations: BTreeMap<DestinationId, Destination> =
            destinations.into_iter().map(|destination| (destination.id, destination)).collect();
        let ladders = self.store().all_ladders().await?;
        let mut streams = self.store().all_streams().await?;
        streams.iter_mut().for_each(|stream| ladders::put_in(stream, &ladders));
        self.carry_logos(&mut streams).await?;
        let mut desired: BTreeMap<_, Desired> =
            streams.into_iter().map(|stream| (stream.id, Desired { stream, restreams: Vec::new() })).collect();
        for restream in self.store().all_restreams().await?.iter().filter(|restream| restream.active) {
            // Deleted between the two reads: gone with its stream, as it will be on the next kick.
            let Some(wanted) = desired.get_mut(&restream.stream_id) else { continue };
            let destination = match &restream.target {
                Target::Uri(_) => None,
                Target::Destination { destination_id, .. } => destinations.get(destination_id),
            };
            let spec = resolve(restream, destination, &self.shared.platforms);
            wanted.restreams.push(spec.map_err(|fault| Misconfigured {
                id: restream.id,
                name: restream.name.clone(),
                fault,
            }));
        }
        Ok(desired.into_values().collect())
    }

    /// What a key, given as its hash, may publish into. From memory; whoever comes from outside is asked by `Admission`.
    pub(crate) fn publish_grant(&self, lookup: &[u8; 32]) -> std::result::Result<PublishGrant, AdmissionRefusal> {
        self.directory().publish(lookup)
    }

    pub(crate) fn key_lookup(&self, stream_key: &str) -> [u8; 32] {
        self.store().stream_key_lookup(stream_key)
    }

    /// The stream of that name, for whoever wants to play it. From memory.
    pub fn find_stream(&self, name: &str) -> Option<PlayGrant> {
        self.directory().play(name)
    }

    /// The same by its id, which a new name does not change.
    pub(crate) fn play_grant(&self, id: StreamId) -> Option<PlayGrant> {
        self.directory().play_by_id(id)
    }

    /// Wakes when whoever publishes or plays may no longer do so.
    pub(crate) fn stream_changes(&self) -> watch::Receiver<u64> {
        self.shared.directories.subscribe()
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.shared.directory.read().unwrap_or_else(PoisonError::into_inner)
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

    /// After a change that is on disk: answer publishers by it, and have it run.
    async fn streams_changed(&self) -> Result<()> {
        let directory = Directory::read(self.store()).await?;
        *self.shared.directory.write().unwrap_or_else(PoisonError::into_inner) = directory;
        self.shared.directories.send_modify(|version| *version += 1);
        self.kick();
        Ok(())
    }

    /// Takes over what another process changed about streams: it has no way to tell us.
    pub async fn look_for_foreign_changes(&self) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        let stamp = self.store().streams_stamp().await?;
        if self.directory().is_of(stamp) {
            return Ok(());
        }
        self.streams_changed().await
    }

    /// Rises with every change that this process made: what was read of the store at one version is as it is in the store
    /// for as long as the version stays.
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Acquire)
    }

    /// After a change that nothing which runs depends on.
    fn note_change(&self) {
        self.shared.version.fetch_add(1, Ordering::Release);
    }

    fn kick(&self) {
        self.note_change();
        self.shared.runtime.kick();
    }
}

#[cfg(test)]
mod tests;

//! What is stored, in memory: an immutable snapshot that doors, supervisor and API read. It is renewed from the log of changes.

mod directory;
mod judging;
mod wishes;

pub use directory::{PlayGrant, PublishGrant};
pub use judging::Judgement;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_model::{
    ConfigFault, Destination, DestinationId, Ladder, LadderId, Platforms, Rendition, Restream, RestreamId,
    RestreamSpec, RestreamTarget, SavedLadder, Stream, StreamId, resolve,
};
use weir_store::{Change, Kept as _, Store, StoreError};

use crate::admission::AdmissionRefusal;
use directory::Directory;

type Result<T> = std::result::Result<T, StoreError>;

/// All clones share what is in it: another snapshot costs a pointer for each row, and reads only those that were changed.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// The number of the newest change that is in it.
    seq: i64,
    streams: BTreeMap<StreamId, Arc<Stream>>,
    restreams: BTreeMap<RestreamId, Arc<Restream>>,
    destinations: BTreeMap<DestinationId, Arc<Destination>>,
    ladders: BTreeMap<LadderId, Arc<SavedLadder>>,
    directory: Directory,
}

/// A stream as it should be, with the restreams that should run for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Desired {
    pub(crate) stream: Stream,
    /// Only the started ones. A stream that is not active has them, too; they wait.
    pub(crate) restreams: Vec<std::result::Result<RestreamSpec, Misconfigured>>,
}

/// A restream that can't be tried as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Misconfigured {
    pub(crate) id: RestreamId,
    pub(crate) fault: ConfigFault,
}

impl Catalogue {
    /// Reads everything that is stored.
    pub(crate) async fn read(store: &Store) -> Result<Self> {
        // The number is read before the rest, so that what changes meanwhile is read again.
        let mut read = Self { seq: store.last_change().await?, ..Self::default() };
        for stream in store.all_streams().await? {
            read.put_stream(store, stream).await?;
        }
        read.restreams = keyed(store.all::<Restream>().await?, |restream| restream.id);
        read.destinations = keyed(store.all::<Destination>().await?, |destination| destination.id);
        read.ladders = keyed(store.all::<SavedLadder>().await?, |ladder| ladder.id);
        Ok(read)
    }

    /// The next snapshot, whichever process made the changes; None where nothing has changed.
    pub(crate) async fn renewed(&self, store: &Store) -> Result<Option<Self>> {
        let Some(changes) = store.changes_since(self.seq).await? else { return Self::read(store).await.map(Some) };
        let Some(last) = changes.last().map(|change| change.seq) else { return Ok(None) };
        let mut next = Self { seq: last, ..self.clone() };
        // Each row is read once, however often it was changed: what is read is its newest state.
        let rows: BTreeSet<_> = changes.iter().map(|Change { table, row_id, .. }| (table.as_str(), *row_id)).collect();
        for (table, id) in rows {
            next.renew(store, table, id).await?;
        }
        Ok(Some(next))
    }

    async fn renew(&mut self, store: &Store, table: &str, id: i64) -> Result<()> {
        match table {
            Stream::TABLE => match found(store.stream(StreamId(id)).await)? {
                Some(stream) => self.put_stream(store, stream).await?,
                None => {
                    if let Some(gone) = self.streams.remove(&StreamId(id)) {
                        self.directory.strike(&gone);
                    }
                }
            },
            Restream::TABLE => put(&mut self.restreams, RestreamId(id), found(store.get(RestreamId(id)).await)?),
            Destination::TABLE => {
                put(&mut self.destinations, DestinationId(id), found(store.get(DestinationId(id)).await)?);
            }
            SavedLadder::TABLE => put(&mut self.ladders, LadderId(id), found(store.get(LadderId(id)).await)?),
            // Things of other tables are not held here, because nobody looks them up all the time.
            _ => {}
        }
        Ok(())
    }

    async fn put_stream(&mut self, store: &Store, mut stream: Stream) -> Result<()> {
        let before = self.streams.get(&stream.id).cloned();
        if let Some(image) = &mut stream.logo_image {
            // Pictures are large, so each is read only once.
            match before.as_ref().and_then(|before| before.logo_image.as_ref()).filter(|known| *known == image) {
                Some(known) => image.png = Arc::clone(&known.png),
                // The stream is gone since it was read; its deletion is the next change.
                None => image.png = store.logo(stream.id).await?.map(Arc::from).unwrap_or_default(),
            }
        }
        if let Some(before) = before {
            self.directory.strike(&before);
        }
        self.directory.enter(&stream, |key| store.stream_key_lookup(key));
        self.streams.insert(stream.id, Arc::new(stream));
        Ok(())
    }

    /// A number that rises with every change of what is stored: what was made from one snapshot holds for as long as this stays the same.
    pub fn version(&self) -> u64 {
        u64::try_from(self.seq).unwrap_or(0)
    }

    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.values()
    }

    pub fn stream(&self, id: StreamId) -> Option<&Arc<Stream>> {
        self.streams.get(&id)
    }

    pub fn restreams(&self) -> impl Iterator<Item = &Arc<Restream>> {
        self.restreams.values()
    }

    pub fn restreams_of(&self, stream: StreamId) -> impl Iterator<Item = &Arc<Restream>> {
        self.restreams.values().filter(move |restream| restream.stream_id == stream)
    }

    pub fn destination(&self, id: DestinationId) -> Option<&Arc<Destination>> {
        self.destinations.get(&id)
    }

    fn destination_of(&self, restream: &Restream) -> Option<&Arc<Destination>> {
        match &restream.target {
            RestreamTarget::Uri(_) => None,
            RestreamTarget::Destination { destination_id, .. } => self.destinations.get(destination_id),
        }
    }

    /// The renditions of a stream's ladder, wherever the ladder is stored.
    pub fn ladder_of(&self, stream: &Stream) -> Vec<Rendition> {
        match &stream.ladder {
            None => Vec::new(),
            Some(ladder) => self.saved(ladder).map_or_else(|| ladder.renditions(), |saved| saved.renditions.clone()),
        }
    }

    /// The stored ladder that this one names, if it names one.
    fn saved(&self, ladder: &Ladder) -> Option<&Arc<SavedLadder>> {
        let Ladder::Named(name) = ladder else { return None };
        self.ladders.values().find(|ladder| ladder.name == *name)
    }

    /// A stream as it is run. What runs knows only the ladders that come with the server by name; a stored ladder is put in where it is
    /// named, so that its change is a change of the streams that use it.
    pub fn as_run(&self, stream: &Stream) -> Stream {
        let saved = stream.ladder.as_ref().and_then(|ladder| self.saved(ladder));
        let ladder = saved.map(|saved| Ladder::Inline(saved.renditions.clone()));
        let stream = stream.clone();
        Stream { ladder: ladder.or(stream.ladder), ..stream }
    }

    /// What should run.
    pub(crate) fn desired(&self, platforms: &Platforms) -> Vec<Desired> {
        let mut desired: BTreeMap<StreamId, Desired> = BTreeMap::new();
        for stream in self.streams.values() {
            desired.insert(stream.id, Desired { stream: self.as_run(stream), restreams: Vec::new() });
        }
        for restream in self.restreams.values().filter(|restream| restream.active) {
            let Some(wanted) = desired.get_mut(&restream.stream_id) else { continue };
            let spec = resolve(restream, self.destination_of(restream).map(Arc::as_ref), platforms);
            wanted.restreams.push(spec.map_err(|fault| Misconfigured { id: restream.id, fault }));
        }
        desired.into_values().collect()
    }

    /// The stream that a key, given as its hash, may publish into.
    pub(crate) fn publish_grant(&self, lookup: &[u8; 32]) -> std::result::Result<PublishGrant, AdmissionRefusal> {
        self.directory.publish(lookup)
    }

    /// The stream of that name, for whoever wants to play it.
    pub(crate) fn play_grant_by_name(&self, name: &str) -> Option<PlayGrant> {
        self.directory.play(name)
    }

    /// The stream with this id, which a new name does not change.
    pub(crate) fn play_grant(&self, id: StreamId) -> Option<PlayGrant> {
        self.directory.play_by_id(id)
    }

    /// Whether publishers and players are let in by the same settings as in `before`.
    pub(crate) fn admits_as(&self, before: &Self) -> bool {
        wishes::same(self.streams.values(), before.streams.values())
    }
}

fn keyed<K: Ord, T>(things: Vec<T>, id: impl Fn(&T) -> K) -> BTreeMap<K, Arc<T>> {
    things.into_iter().map(|thing| (id(&thing), Arc::new(thing))).collect()
}

fn put<K: Ord, T>(things: &mut BTreeMap<K, Arc<T>>, id: K, thing: Option<T>) {
    match thing {
        Some(thing) => things.insert(id, Arc::new(thing)),
        None => things.remove(&id),
    };
}

/// Turns "no such row" into None: the row is gone.
fn found<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(thing) => Ok(Some(thing)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;

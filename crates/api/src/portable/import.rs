//! Makes everything in a document again, in a store that is empty.

use super::PortableError;
use super::document::{
    ApiKeyEntry, Document, Draft, Entry, RestreamEntry, StreamEntry, UserEntry, WebhookEntry, times,
};
use crate::dto::Timestamp;
use crate::dto::destination::DestinationInput;
use crate::dto::saved_ladder::LadderInput;
use crate::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};
use weir_control::commands::{
    CommandError, check_available, check_destination, check_restream, check_stream, new_stream_key, read_logo,
};
use weir_model::{
    ApiKeyId, Destination, Ladder, LadderFault, Platforms, ReasonCode, RestreamTarget, Role, SourceKind, Stream,
    UserId, Webhook, checked_label, is_builtin_ladder,
};
use weir_store::{Account, ApiKey, Kind, SelfJudged, Store, StoreError, Times, checked_password_hash};

type Result<T> = std::result::Result<T, PortableError>;

/// The largest id. Ids are JSON numbers, which JavaScript takes for whole up to here.
const ID_MAX: i64 = 1 << 53;

/// The length of a stream key. Ours have 28 letters; a shorter one than 16 could be guessed.
const STREAM_KEY_CHARS: std::ops::RangeInclusive<usize> = 16..=128;

const KEY_HASH_BYTES: usize = 32;

/// How much was made of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    pub users: usize,
    pub api_keys: usize,
    pub ladders: usize,
    pub destinations: usize,
    pub streams: usize,
    pub restreams: usize,
    pub webhooks: usize,
}

/// Makes everything in the document. It fails at the first thing that the API would have refused, and then the store is of no use.
pub async fn import(draft: Draft, store: &Store, platforms: &Platforms) -> Result<Imported> {
    let document = draft.read(&|place, sealed| store.open_from_export(place, sealed))?;
    let last_ids = checked_last_ids(&document)?;
    let mut import = Import { store, platforms, times: Vec::new(), last_id: 0 };
    let imported = Imported {
        users: document.users.len(),
        api_keys: document.api_keys.len(),
        ladders: document.ladders.len(),
        destinations: document.destinations.len(),
        streams: document.streams.len(),
        restreams: document.restreams.len(),
        webhooks: document.webhooks.len(),
    };
    import.users(document.users).await?;
    import.api_keys(document.api_keys).await?;
    import.ladders(document.ladders).await?;
    let destinations = import.destinations(document.destinations).await?;
    import.streams(document.streams).await?;
    import.restreams(document.restreams, &destinations).await?;
    import.webhooks(document.webhooks).await?;
    store.restore_times(&import.times).await?;
    for (kind, last) in last_ids {
        store.restore_last_id(kind, last).await?;
    }
    Ok(imported)
}

/// Checks that the document has the last id of every kind, and that each is at least as high as the ids in its list.
fn checked_last_ids(document: &Document) -> Result<Vec<(Kind, i64)>> {
    let ids = |kind: Kind| -> Option<i64> {
        match kind {
            Kind::Account => document.users.last().map(|entry| entry.id),
            Kind::ApiKey => document.api_keys.last().map(|entry| entry.id),
            Kind::Ladder => document.ladders.last().map(|entry| entry.id),
            Kind::Destination => document.destinations.last().map(|entry| entry.id),
            Kind::Stream => document.streams.last().map(|entry| entry.id),
            Kind::Restream => document.restreams.last().map(|entry| entry.id),
            Kind::Webhook => document.webhooks.last().map(|entry| entry.id),
        }
    };
    let known: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::as_str).collect();
    if let Some(unknown) = document.last_ids.keys().find(|name| !known.contains(name.as_str())) {
        return Err(PortableError::at(format!("last_ids.{unknown}"), "is not a known field"));
    }
    let checked = |kind: Kind| {
        let path = || format!("last_ids.{}", kind.as_str());
        let last = document.last_ids.get(kind.as_str()).copied();
        let last = last.ok_or_else(|| PortableError::at(path(), "is required"))?;
        if !(ids(kind).unwrap_or(0)..=ID_MAX).contains(&last) {
            return Err(PortableError::at(path(), "must be at least the last id in its list, and at most 2^53"));
        }
        Ok((kind, last))
    };
    Kind::ALL.into_iter().map(checked).collect()
}

struct Import<'a> {
    store: &'a Store,
    platforms: &'a Platforms,
    /// The times are written at the end, because setting a logo changes those of its stream.
    times: Vec<(Kind, i64, Times)>,
    last_id: i64,
}

impl Import<'_> {
    /// Has the next thing of this kind get this id. Lists must rise, so that no id comes twice.
    async fn expect_id(&mut self, kind: Kind, path: &str, number: usize, id: i64) -> Result<()> {
        if number == 0 {
            self.last_id = 0;
        }
        // Ids up to here belong to the ladders that come with the server.
        let least = if kind == Kind::Ladder { 1_000 } else { 0 };
        if id <= self.last_id.max(least) || id > ID_MAX {
            return Err(PortableError::at(
                format!("{path}.id"),
                format!("must be above {} and at most 2^53: lists rise by id", self.last_id.max(least)),
            ));
        }
        self.last_id = id;
        Ok(self.store.restore_last_id(kind, id - 1).await?)
    }

    fn keep_times(&mut self, kind: Kind, id: i64, created_at: Timestamp, updated_at: Timestamp) {
        self.times.push((kind, id, times(created_at, updated_at)));
    }

    async fn users(&mut self, entries: Vec<UserEntry>) -> Result<()> {
        let some = !entries.is_empty();
        let mut admin = false;
        for (number, entry) in entries.into_iter().enumerate() {
            let path = format!("users[{number}]");
            self.expect_id(Kind::Account, &path, number, entry.id).await?;
            if !checked_password_hash(&entry.password_hash) {
                return Err(PortableError::at(
                    format!("{path}.password_hash"),
                    "must be an argon2id hash as weir makes them",
                ));
            }
            let account = Account {
                id: UserId(entry.id),
                version: 1,
                name: label(&path, &entry.name)?,
                role: entry.role.into(),
                restream_quota: entry.restream_quota,
                created_at: entry.created_at.0,
                updated_at: entry.updated_at.0,
            };
            admin |= account.role == Role::Admin;
            self.store.restore_account(&account, &entry.password_hash).await.map_err(|error| store_at(&path, error))?;
        }
        if some && !admin {
            return Err(PortableError::at("users", "one of them must be an admin, or nobody could change anything"));
        }
        Ok(())
    }

    async fn api_keys(&mut self, entries: Vec<ApiKeyEntry>) -> Result<()> {
        for (number, entry) in entries.into_iter().enumerate() {
            let path = format!("api_keys[{number}]");
            self.expect_id(Kind::ApiKey, &path, number, entry.id).await?;
            let hash = STANDARD.decode(&entry.key_hash).ok().filter(|hash| hash.len() == KEY_HASH_BYTES);
            let hash =
                hash.ok_or_else(|| PortableError::at(format!("{path}.key_hash"), "must be 32 bytes in Base64"))?;
            let key = ApiKey {
                id: ApiKeyId(entry.id),
                name: label(&path, &entry.name)?,
                role: entry.role.into(),
                created_at: entry.created_at.0,
            };
            self.store.restore_api_key(&key, &hash).await.map_err(|error| store_at(&path, error))?;
        }
        Ok(())
    }

    async fn ladders(&mut self, entries: Vec<Entry<LadderInput>>) -> Result<()> {
        for (number, entry) in entries.into_iter().enumerate() {
            let path = format!("ladders[{number}].body");
            self.expect_id(Kind::Ladder, &format!("ladders[{number}]"), number, entry.id).await?;
            let mut ladder = entry.body.into_model().map_err(|problem| PortableError::refused(&path, problem))?;
            SelfJudged::check(&mut ladder).map_err(|refused| command_at(&path, refused.into()))?;
            self.store.create(ladder).await.map_err(|error| store_at(&path, error))?;
            self.keep_times(Kind::Ladder, entry.id, entry.created_at, entry.updated_at);
        }
        Ok(())
    }

    async fn destinations(&mut self, entries: Vec<Entry<DestinationInput>>) -> Result<BTreeMap<i64, Destination>> {
        let mut made = BTreeMap::new();
        for (number, entry) in entries.into_iter().enumerate() {
            let path = format!("destinations[{number}].body");
            self.expect_id(Kind::Destination, &format!("destinations[{number}]"), number, entry.id).await?;
            let mut destination = entry.body.into_model(self.platforms);
            check_destination(&mut destination, self.platforms).map_err(|error| command_at(&path, error))?;
            let destination = self.store.create(destination).await.map_err(|error| store_at(&path, error))?;
            made.insert(entry.id, destination);
            self.keep_times(Kind::Destination, entry.id, entry.created_at, entry.updated_at);
        }
        Ok(made)
    }

    async fn streams(&mut self, entries: Vec<StreamEntry>) -> Result<()> {
        for (number, entry) in entries.into_iter().enumerate() {
            let outer = format!("streams[{number}]");
            let path = format!("{outer}.body");
            self.expect_id(Kind::Stream, &outer, number, entry.id).await?;
            let mut stream = entry.body.into_model().map_err(|problem| PortableError::refused(&path, problem))?;
            check_stream(&stream).map_err(|error| command_at(&path, error))?;
            // This is checked as for a change: what an earlier version stored may stay.
            check_available(&stream, Some(&stream)).map_err(|error| command_at(&path, error))?;
            self.check_named_ladder(&stream, &path).await?;
            put_keys(&mut stream, entry.stream_keys, &outer)?;
            stream.play_epoch = entry.play_epoch;
            let stream = self.store.create_stream(stream).await.map_err(|error| store_at(&path, error))?;
            if let Some(png) = entry.logo_png {
                let path = format!("{outer}.logo_png");
                let png = STANDARD.decode(png).map_err(|_| PortableError::at(&path, "must be Base64"))?;
                let image = read_logo(png).await.map_err(|error| match error {
                    CommandError::Invalid { message, .. } => PortableError::at(&path, message),
                    other => command_at(&path, other),
                })?;
                self.store.set_logo(stream.id, Some(&image)).await?;
            }
            self.keep_times(Kind::Stream, entry.id, entry.created_at, entry.updated_at);
        }
        Ok(())
    }

    async fn check_named_ladder(&self, stream: &Stream, path: &str) -> Result<()> {
        let Some(Ladder::Named(name)) = &stream.ladder else { return Ok(()) };
        if is_builtin_ladder(name) || self.store.ladder_named(name).await?.is_some() {
            return Ok(());
        }
        Err(PortableError::at(format!("{path}.ladder"), LadderFault::Unknown(name.clone()).to_string()))
    }

    async fn restreams(
        &mut self,
        entries: Vec<RestreamEntry>,
        destinations: &BTreeMap<i64, Destination>,
    ) -> Result<()> {
        for (number, entry) in entries.into_iter().enumerate() {
            let outer = format!("restreams[{number}]");
            let path = format!("{outer}.body");
            self.expect_id(Kind::Restream, &outer, number, entry.id).await?;
            let mut restream = entry.body.into_model().map_err(|problem| PortableError::refused(&path, problem))?;
            let destination = match &restream.target {
                RestreamTarget::Uri(_) => None,
                RestreamTarget::Destination { destination_id, .. } => destinations.get(&destination_id.0),
            };
            check_restream(&mut restream, destination).map_err(|error| command_at(&path, error))?;
            if let Some(reason) = entry.stop_reason {
                let known = ReasonCode::from_name(&reason);
                let unknown = || PortableError::at(format!("{outer}.stop_reason"), "is not a reason that weir knows");
                restream.stop_reason = Some(known.ok_or_else(unknown)?);
            }
            let owner = entry.owner_id.map(UserId);
            if let Some(owner) = owner {
                self.store
                    .account(owner)
                    .await
                    .map_err(|_| PortableError::at(format!("{outer}.owner_id"), "names no user in this document"))?;
            }
            self.store.restore_restream(restream, owner).await.map_err(|error| store_at(&path, error))?;
            self.keep_times(Kind::Restream, entry.id, entry.created_at, entry.updated_at);
        }
        Ok(())
    }

    async fn webhooks(&mut self, entries: Vec<WebhookEntry>) -> Result<()> {
        for (number, entry) in entries.into_iter().enumerate() {
            let path = format!("webhooks[{number}].body");
            self.expect_id(Kind::Webhook, &format!("webhooks[{number}]"), number, entry.id).await?;
            let webhook = Webhook::from(entry.body);
            webhook.check().map_err(|fault| PortableError::at(format!("{path}.{}", fault.field), fault.problem))?;
            self.store.create_webhook(webhook).await.map_err(|error| store_at(&path, error))?;
            self.keep_times(Kind::Webhook, entry.id, entry.created_at, entry.created_at);
        }
        Ok(())
    }
}

/// Gives each push source its key from the document, or a new one if the document has none.
fn put_keys(stream: &mut Stream, mut keys: BTreeMap<String, String>, path: &str) -> Result<()> {
    for source in &mut stream.sources {
        let SourceKind::Push { stream_key } = &mut source.kind else { continue };
        let slot = source.slot.as_str();
        *stream_key = match keys.remove(slot) {
            None => new_stream_key()?,
            Some(key) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                if !STREAM_KEY_CHARS.contains(&key.len()) || !key.chars().all(plain) {
                    return Err(PortableError::at(
                        format!("{path}.stream_keys.{slot}"),
                        "must be 16 to 128 letters, digits, '-' or '_'",
                    ));
                }
                key.into()
            }
        };
    }
    match keys.into_keys().next() {
        Some(slot) => {
            Err(PortableError::at(format!("{path}.stream_keys.{slot}"), "names no push source of this stream"))
        }
        None => Ok(()),
    }
}

fn label(path: &str, name: &str) -> Result<String> {
    checked_label(name).map_err(|fault| PortableError::at(format!("{path}.name"), fault.to_string()))
}

fn command_at(path: &str, error: CommandError) -> PortableError {
    match error {
        CommandError::Store(error) => store_at(path, error),
        refused => PortableError::refused(path, refused.into()),
    }
}

/// Tells errors that the document is to blame for from those of the machine.
fn store_at(path: &str, error: StoreError) -> PortableError {
    match error {
        StoreError::Duplicate { .. } | StoreError::Dangling { .. } | StoreError::Limit { .. } => {
            PortableError::refused(path, Problem::from(error))
        }
        other => other.into(),
    }
}

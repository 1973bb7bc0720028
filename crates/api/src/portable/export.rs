//! Writes the document.

use super::document::{ApiKeyEntry, Document, Entry, FORMAT, RestreamEntry, StreamEntry, UserEntry, WebhookEntry};
use super::{PortableError, secrets};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use weir_model::{Destination, Restream, SavedLadder, SourceKind, Stream};
use weir_store::{Store, StoreError};

/// How often the reading is tried. A server beside us writes every few seconds, and reading takes milliseconds.
const TRIES: u32 = 10;

/// The document as text that ends with a line feed. Without `with_secrets` the secrets in it are sealed. In either case equal
/// configurations give equal documents.
pub async fn export(store: &Store, with_secrets: bool) -> Result<String, PortableError> {
    for _ in 0..TRIES {
        let reads = store.read_steadily().await?;
        let document = read(store).await?;
        if !reads.unchanged().await? {
            continue;
        }
        let unwritable = |_| StoreError::Corrupt("a value that is no JSON");
        let mut value = serde_json::to_value(document).map_err(unwritable)?;
        if !with_secrets {
            secrets::seal(&mut value, store)?;
        }
        return Ok(serde_json::to_string_pretty(&value).map_err(unwritable)? + "\n");
    }
    Err(PortableError::Restless)
}

async fn read(store: &Store) -> Result<Document, StoreError> {
    let mut owners = store.restream_owners().await?;
    let mut streams = Vec::new();
    for stream in store.all_streams().await? {
        streams.push(stream_entry(store, &stream).await?);
    }
    let users = store.all_accounts_with_hashes().await?.into_iter().map(|(account, password_hash)| UserEntry {
        id: account.id.0,
        created_at: account.created_at.into(),
        updated_at: account.updated_at.into(),
        name: account.name,
        role: account.role.into(),
        restream_quota: account.restream_quota,
        password_hash,
    });
    let api_keys = store.all_api_keys_with_hashes().await?.into_iter().map(|(key, hash)| ApiKeyEntry {
        id: key.id.0,
        created_at: key.created_at.into(),
        name: key.name,
        role: key.role.into(),
        key_hash: STANDARD.encode(hash),
    });
    let restreams = store.all::<Restream>().await?.into_iter().map(|restream| RestreamEntry {
        id: restream.id.0,
        created_at: restream.created_at.into(),
        updated_at: restream.updated_at.into(),
        body: (&restream).into(),
        owner_id: owners.remove(&restream.id).map(|owner| owner.0),
        stop_reason: restream.stop_reason.map(|reason| reason.as_str().to_owned()),
    });
    Ok(Document {
        weir_export: FORMAT,
        last_ids: store.last_ids().await?.into_iter().map(|(kind, last)| (kind.to_owned(), last)).collect(),
        users: users.collect(),
        api_keys: api_keys.collect(),
        ladders: store
            .all::<SavedLadder>()
            .await?
            .iter()
            .map(|ladder| entry(ladder.id.0, ladder.created_at, ladder.updated_at, ladder.into()))
            .collect(),
        destinations: store
            .all::<Destination>()
            .await?
            .iter()
            .map(|destination| {
                entry(destination.id.0, destination.created_at, destination.updated_at, destination.into())
            })
            .collect(),
        streams,
        restreams: restreams.collect(),
        webhooks: store
            .all_webhooks()
            .await?
            .iter()
            .map(|webhook| WebhookEntry {
                id: webhook.id.0,
                created_at: webhook.created_at.into(),
                body: webhook.into(),
            })
            .collect(),
    })
}

fn entry<B>(id: i64, created_at: time::OffsetDateTime, updated_at: time::OffsetDateTime, body: B) -> Entry<B> {
    Entry { id, created_at: created_at.into(), updated_at: updated_at.into(), body }
}

async fn stream_entry(store: &Store, stream: &Stream) -> Result<StreamEntry, StoreError> {
    let logo = match stream.logo_image {
        Some(_) => store.logo(stream.id).await?,
        None => None,
    };
    let stream_keys: BTreeMap<String, String> = stream
        .sources
        .iter()
        .filter_map(|source| match &source.kind {
            SourceKind::Push { stream_key } => Some((source.slot.as_str().to_owned(), stream_key.expose().to_owned())),
            SourceKind::Pull { .. } | SourceKind::Playlist { .. } => None,
        })
        .collect();
    Ok(StreamEntry {
        id: stream.id.0,
        created_at: stream.created_at.into(),
        updated_at: stream.updated_at.into(),
        body: stream.into(),
        stream_keys,
        play_epoch: stream.play_epoch,
        logo_png: logo.map(|png| STANDARD.encode(png)),
    })
}

//! The shape of an exported document.

use super::PortableError;
use super::secrets;
use crate::dto::Timestamp;
use crate::dto::api_key::RoleDto;
use crate::dto::destination::DestinationInput;
use crate::dto::restream_input::RestreamInput;
use crate::dto::saved_ladder::LadderInput;
use crate::dto::stream::StreamInput;
use crate::dto::webhook::WebhookInput;
use crate::input::json_problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use weir_model::Secret;
use weir_store::Times;

/// The most bytes of a document. 10,000 streams with three restreams each are 20 MB; logos of the largest kind are 1.4 MB each.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 20;

/// The format's number rises when a document can no longer be read by a server that reads the format before it.
pub(super) const FORMAT: u64 = 1;

/// The name of the format's field, by which a document is told from other JSON.
pub(super) const FORMAT_FIELD: &str = "weir_export";

/// The whole document. It has no `Debug`, because everything in it may be a secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) weir_export: u64,
    /// The last id of each kind that was given out: the id of something that was deleted must not come back as something else.
    pub(super) last_ids: BTreeMap<String, i64>,
    pub(super) users: Vec<UserEntry>,
    pub(super) api_keys: Vec<ApiKeyEntry>,
    pub(super) ladders: Vec<Entry<LadderInput>>,
    pub(super) destinations: Vec<Entry<DestinationInput>>,
    pub(super) streams: Vec<StreamEntry>,
    pub(super) restreams: Vec<RestreamEntry>,
    pub(super) webhooks: Vec<WebhookEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry<B> {
    pub(super) id: i64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) body: B,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserEntry {
    pub(super) id: i64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) name: String,
    pub(super) role: RoleDto,
    pub(super) restream_quota: Option<u32>,
    /// The hash by argon2id, as a PHC string.
    pub(super) password_hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyEntry {
    pub(super) id: i64,
    pub(super) created_at: Timestamp,
    pub(super) name: String,
    pub(super) role: RoleDto,
    /// The SHA-256 of the key, in Base64.
    pub(super) key_hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamEntry {
    pub(super) id: i64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) body: StreamInput,
    /// The keys of its push sources, by slot.
    pub(super) stream_keys: BTreeMap<String, String>,
    /// The epoch of its playback tokens, by which those that were revoked stay so.
    pub(super) play_epoch: u32,
    /// The logo's picture, in Base64.
    pub(super) logo_png: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestreamEntry {
    pub(super) id: i64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) body: RestreamInput,
    /// The user who made the restream, in whose quota it counts.
    pub(super) owner_id: Option<i64>,
    /// Why the server itself stopped the restream.
    pub(super) stop_reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookEntry {
    pub(super) id: i64,
    pub(super) created_at: Timestamp,
    pub(super) body: WebhookInput,
}

pub(super) fn times(created_at: Timestamp, updated_at: Timestamp) -> Times {
    Times { created_at: created_at.0, updated_at: updated_at.0 }
}

/// A document that is JSON and says that it is one of ours. Its secrets may still be sealed.
pub struct Draft(Value);

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Draft(***)")
    }
}

impl Draft {
    pub fn parse(text: &[u8]) -> Result<Self, PortableError> {
        let whole = |words: String| PortableError::at("the document", words);
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(whole(format!("is larger than {} MB", DOCUMENT_BYTES_MAX >> 20)));
        }
        let value: Value = serde_json::from_slice(text)
            .map_err(|fault| whole(format!("is not JSON: line {}, column {}", fault.line(), fault.column())))?;
        match value.get(FORMAT_FIELD).map(Value::as_u64) {
            Some(Some(FORMAT)) => Ok(Self(value)),
            Some(Some(newer)) if newer > FORMAT => Err(PortableError::at(
                FORMAT_FIELD,
                format!(
                    "it was written by a newer weir (format {newer}, this one reads {FORMAT}): import it with that one"
                ),
            )),
            _ => Err(PortableError::at(FORMAT_FIELD, format!("must be {FORMAT}: this is no export of weir"))),
        }
    }

    /// Whether the document needs the `secret.key` that it was written with.
    pub fn is_sealed(&mut self) -> bool {
        let mut sealed = false;
        // The closure never fails, so neither does this.
        let _ = secrets::each(&mut self.0, &mut |_, value| {
            sealed |= secrets::sealed_text(value).is_some();
            Ok(())
        });
        sealed
    }

    /// Opens the secrets and reads the document. `open` takes a place and a sealed text.
    pub(super) fn read(mut self, open: &dyn Fn(&str, &str) -> Option<Secret>) -> Result<Document, PortableError> {
        secrets::open(&mut self.0, open)?;
        serde_path_to_error::deserialize(self.0).map_err(|fault| {
            let path = fault.path().to_string();
            PortableError::refused("", json_problem(&path, fault.inner()))
        })
    }

    /// Checks everything that can be checked without a store. Fuzzing tries documents with this.
    pub fn check(self) -> Result<(), PortableError> {
        self.read(&|_, _| None).map(drop)
    }
}

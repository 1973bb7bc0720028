//! A destination: a server URL without a key, reusable for any number of restreams.

use crate::{DestinationId, Secret};
use time::OffsetDateTime;

#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    pub id: DestinationId,
    /// The version rises by one with every change. `If-Match` is compared with it.
    pub version: i64,
    pub name: String,
    /// The name of a platform file, such as `youtube` or `generic-rtmp`.
    pub platform: String,
    /// `rtmp://host/app`, or an SRT URL. That may carry a passphrase, so the whole URL is a secret.
    pub url: Secret,
    pub backup_url: Option<Secret>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Destination {
    /// The changed fields, by the names that the API has for them.
    pub fn changed_fields(&self, before: &Self) -> Vec<&'static str> {
        changed!(Destination, before, self; name, platform, url, backup_url | id, version, created_at, updated_at)
    }
}

impl Destination {
    pub fn draft(name: impl Into<String>, platform: impl Into<String>, url: impl Into<Secret>) -> Self {
        Self {
            id: DestinationId::UNSAVED,
            version: 0,
            name: name.into(),
            platform: platform.into(),
            url: url.into(),
            backup_url: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

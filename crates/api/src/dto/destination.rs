//! The shapes of destinations, which are server URLs without a key.

use crate::dto::{Timestamp, set};
use crate::input::present;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{Destination, Platforms, PushUrl, Secret, masked_uri};

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DestinationInput {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The id of one of `GET /platforms`; when absent, the URL decides.
    #[serde(default)]
    platform: Option<String>,
    /// The server's URL without a key, in one of the protocols of `GET /platforms`.
    #[schema(max_length = 2048)]
    url: String,
    #[serde(default)]
    #[schema(max_length = 2048)]
    backup_url: Option<String>,
}

impl DestinationInput {
    pub(crate) fn into_model(self, platforms: &Platforms) -> Destination {
        let platform = self.platform.unwrap_or_else(|| {
            // A server that is no URL is refused later, with a message of its own.
            let url = PushUrl::from_server_and_key(&self.url, "key").ok();
            let platform = url.and_then(|url| platforms.of(&url));
            platform.map_or(Platforms::GENERIC_RTMP, |platform| platform.id.as_str()).to_owned()
        });
        let mut destination = Destination::draft(self.name, platform, self.url.trim());
        destination.backup_url = self.backup_url.map(|url| url.trim().into());
        destination
    }
}

/// The input that would make the destination again.
impl From<&Destination> for DestinationInput {
    fn from(destination: &Destination) -> Self {
        let Destination { id: _, version: _, name, platform, url, backup_url, created_at: _, updated_at: _ } =
            destination;
        Self {
            name: name.clone(),
            platform: Some(platform.clone()),
            url: url.expose().to_owned(),
            backup_url: backup_url.as_ref().map(|url| url.expose().to_owned()),
        }
    }
}

/// A field that is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DestinationPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    platform: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(max_length = 2048)]
    url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 2048)]
    backup_url: Option<Option<String>>,
}

impl DestinationPatch {
    pub(crate) fn apply(&self, destination: &mut Destination) {
        let secret = |url: &String| Secret::new(url.trim());
        set(&mut destination.name, self.name.as_ref());
        set(&mut destination.platform, self.platform.as_ref());
        set(&mut destination.url, self.url.as_ref().map(secret).as_ref());
        set(&mut destination.backup_url, self.backup_url.as_ref().map(|url| url.as_ref().map(secret)).as_ref());
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DestinationDto {
    id: i64,
    name: String,
    platform: String,
    url: String,
    backup_url: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl DestinationDto {
    pub(crate) fn new(destination: &Destination, reveal: bool) -> Self {
        let url = |url: &Secret| if reveal { url.expose().to_owned() } else { masked_server(url.expose()) };
        Self {
            id: destination.id.0,
            name: destination.name.clone(),
            platform: destination.platform.clone(),
            url: url(&destination.url),
            backup_url: destination.backup_url.as_ref().map(url),
            created_at: destination.created_at.into(),
            updated_at: destination.updated_at.into(),
        }
    }
}

/// The URL as it was written, unless it carries something secret.
fn masked_server(url: &str) -> String {
    match PushUrl::from_server_and_key(url, "") {
        Ok(srt) => srt.masked(),
        Err(_) => masked_uri(url),
    }
}

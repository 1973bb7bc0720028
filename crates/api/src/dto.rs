//! The JSON shapes of the contract, and how they become the model's nouns and back. They live here alone.

pub(crate) mod api_key;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod destination;
pub(crate) mod event;
pub(crate) mod failover;
pub(crate) mod ladder;
pub(crate) mod live;
pub(crate) mod logo;
pub(crate) mod names;
pub(crate) mod past;
pub(crate) mod platform;
pub(crate) mod play_token;
pub(crate) mod push_status;
pub(crate) mod recording;
pub(crate) mod restream;
pub(crate) mod restream_input;
pub(crate) mod saved_ladder;
pub(crate) mod source;
pub(crate) mod stream;
pub(crate) mod stream_status;
pub(crate) mod stream_urls;
pub(crate) mod user;
pub(crate) mod viewers;
pub(crate) mod webhook;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::UtcOffset;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

/// A time in RFC 3339. It is written in UTC, and read with any offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(crate) struct Timestamp(pub(crate) OffsetDateTime);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.to_offset(UtcOffset::UTC).format(&Rfc3339).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at = OffsetDateTime::parse(&text, &Rfc3339)
            .map_err(|_| serde::de::Error::custom("invalid time, expected a time as in 2026-01-31T20:00:00Z"))?;
        Ok(Self(at.to_offset(UtcOffset::UTC)))
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        Self(at)
    }
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    items: Vec<T>,
    /// The `cursor` for the next part of the list; null at its end.
    next_cursor: Option<String>,
}

impl<T> List<T> {
    pub(crate) fn new<M>(page: weir_store::Page<M>, dto: impl FnMut(M) -> T) -> Self {
        let next_cursor = page.next_after.map(|after| after.to_string());
        Self { items: page.items.into_iter().map(dto).collect(), next_cursor }
    }

    /// The list with everything that there is.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    pub(crate) fn with_cursor(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self { items, next_cursor }
    }
}

/// The secret as answers show it: whole if it is revealed, and masked otherwise.
pub(crate) fn shown(secret: &weir_model::Secret, reveal: bool) -> String {
    if reveal { secret.expose().to_owned() } else { secret.masked() }
}

pub(crate) fn yes() -> bool {
    true
}

/// Sets a field that a patch names. A field that it does not name stays.
pub(crate) fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

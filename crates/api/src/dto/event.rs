//! Events: `{id, type, at, ...}`.

use crate::dto::Timestamp;
use crate::dto::names::EventType;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use weir_observe::Event;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventDto {
    id: u64,
    #[serde(rename = "type")]
    #[schema(value_type = EventType)]
    kind: String,
    at: Timestamp,
    /// What more there is to say about this type of event.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

impl From<Event> for EventDto {
    fn from(event: Event) -> Self {
        Self { id: event.id, kind: event.kind, at: event.at.into(), fields: event.fields }
    }
}

//! The shape of events: `{id, type, at, ...}`.

use crate::dto::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use weir_model::EventKind;
use weir_observe::Event;
use weir_store::{event_kind, event_kinds};

/// The type of an event, by the name that the outside knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventTypeDto(pub(crate) EventKind);

impl Serialize for EventTypeDto {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for EventTypeDto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom("unknown type, expected a type of events");
        event_kind(&name).map(Self).ok_or_else(unknown)
    }
}

impl utoipa::PartialSchema for EventTypeDto {
    fn schema() -> RefOr<Schema> {
        let names = event_kinds().map(EventKind::as_str);
        let builder = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
        Schema::Object(builder.description(Some("What happened, in one word.")).build()).into()
    }
}

impl ToSchema for EventTypeDto {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("EventType")
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventDto {
    id: u64,
    #[serde(rename = "type")]
    kind: EventTypeDto,
    at: Timestamp,
    /// The other fields of an event of this type.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

impl From<Event> for EventDto {
    fn from(event: Event) -> Self {
        Self { id: event.id, kind: EventTypeDto(event.kind), at: event.at.into(), fields: event.fields }
    }
}

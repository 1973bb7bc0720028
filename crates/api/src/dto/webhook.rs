//! The shapes of webhooks, which are told of events.

use crate::dto::event::EventTypeDto;
use crate::dto::{Timestamp, shown};
use crate::webhooks::Delivery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::Webhook;

/// A new webhook.
// This type has no `Debug`, because it holds secrets.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookInput {
    /// An address with `http://` or `https://`. Each event is sent to it as a POST of its JSON.
    #[schema(max_length = 2048)]
    url: String,
    /// The key of the signature, `Weir-Signature: v1=hex(HMAC-SHA256(secret, timestamp + "." + body))`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    secret: Option<String>,
    /// The types of events that are told; null means all.
    #[serde(default)]
    types: Option<Vec<EventTypeDto>>,
}

/// The input that would make the webhook again.
impl From<&Webhook> for WebhookInput {
    fn from(webhook: &Webhook) -> Self {
        let Webhook { id: _, url, secret, types, created_at: _ } = webhook;
        Self {
            url: url.expose().to_owned(),
            secret: secret.as_ref().map(|secret| secret.expose().to_owned()),
            types: types.as_ref().map(|types| types.iter().copied().map(EventTypeDto).collect()),
        }
    }
}

impl From<WebhookInput> for Webhook {
    fn from(input: WebhookInput) -> Self {
        let types = input.types.map(|types| types.into_iter().map(|kind| kind.0).collect());
        Self::draft(input.url.trim(), input.secret.map(Into::into), types)
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookDto {
    id: i64,
    /// The address without what may be secret in it.
    url: String,
    secret: Option<String>,
    types: Option<Vec<EventTypeDto>>,
    created_at: Timestamp,
    status: WebhookStatusDto,
}

#[derive(Debug, Serialize, ToSchema)]
struct WebhookStatusDto {
    /// The last event that the webhook took.
    last_event_id: Option<u64>,
    last_told_at: Option<Timestamp>,
    /// How often telling the event under way has failed; 0 means that all is well.
    failed_attempts: u32,
    failure: Option<String>,
    next_try_at: Option<Timestamp>,
}

impl WebhookDto {
    pub(crate) fn new(webhook: &Webhook, delivery: &Delivery) -> Self {
        Self {
            id: webhook.id.0,
            url: webhook.masked_url(),
            secret: webhook.secret.as_ref().map(|secret| shown(secret, false)),
            types: webhook.types.as_ref().map(|types| types.iter().copied().map(EventTypeDto).collect()),
            created_at: webhook.created_at.into(),
            status: WebhookStatusDto {
                last_event_id: delivery.told.map(|(id, _)| id),
                last_told_at: delivery.told.map(|(_, at)| at.into()),
                failed_attempts: delivery.attempts,
                failure: delivery.failure.clone(),
                next_try_at: delivery.next_try_at.map(Into::into),
            },
        }
    }
}

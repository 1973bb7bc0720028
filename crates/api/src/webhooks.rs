//! Tells events to webhooks: each webhook gets them in order, one request per event, and a request is repeated until the event is taken.

use crate::context::ApiContext;
use crate::dto::event::EventDto;
use crate::webhook_call::{CallFault, WebhookCaller};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_model::{Webhook, WebhookId};
use weir_observe::{Heartbeat, Observe};

/// The wait between tries, as the contract has it: a second, doubling up to a minute.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Webhooks that another process made or deleted are noticed this late.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How one webhook's events are being taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    /// The last event that was taken, and when.
    pub(crate) told: Option<(u64, OffsetDateTime)>,
    /// Why the event under way was not taken at its last try.
    pub(crate) failure: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) next_try_at: Option<OffsetDateTime>,
}

/// A clone shares the deliveries.
#[derive(Clone, Debug, Default)]
pub struct Webhooks {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    changed: Notify,
    fares: Mutex<BTreeMap<WebhookId, Delivery>>,
}

impl Webhooks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a webhook was made or deleted.
    pub(crate) fn note_change(&self) {
        self.shared.changed.notify_one();
    }

    pub(crate) fn delivery(&self, id: WebhookId) -> Delivery {
        self.fares(|fares| fares.get(&id).cloned().unwrap_or_default())
    }

    /// Tells events to the webhooks until `stop`. Then every webhook that takes events is told once what has happened until now, and this
    /// returns.
    pub async fn run(self, api: ApiContext, caller: WebhookCaller, stop: CancellationToken, heartbeat: Heartbeat) {
        let mut tasks: BTreeMap<WebhookId, Task> = BTreeMap::new();
        // Webhooks that exist when the server starts are told everything that happens from its start on.
        let mut since = Some(0);
        while !stop.is_cancelled() {
            match api.store.webhooks(0, weir_store::MAX_PAGE_ROWS).await {
                Ok(page) => {
                    tasks.retain(|id, _| page.items.iter().any(|webhook| webhook.id == *id));
                    self.fares(|fares| fares.retain(|id, _| page.items.iter().any(|webhook| webhook.id == *id)));
                    for webhook in page.items {
                        tasks.entry(webhook.id).or_insert_with(|| {
                            let (told, observe, caller) = (self.clone(), api.observe.clone(), caller.clone());
                            Task(tokio::spawn(told.tell(webhook, observe, caller, since, stop.clone())))
                        });
                    }
                    since = None;
                }
                Err(error) => tracing::error!(%error, "the webhooks could not be read"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = heartbeat.idle(tokio::time::timeout(LOOK_EVERY, self.shared.changed.notified())) => {}
            }
        }
        for task in tasks.values_mut() {
            let _ = (&mut task.0).await;
        }
    }

    async fn tell(
        self,
        webhook: Webhook,
        observe: Observe,
        caller: WebhookCaller,
        since: Option<u64>,
        stop: CancellationToken,
    ) {
        // Refusals are told only to webhooks that name that type, because anybody outside can cause them.
        let mut events = match &webhook.types {
            Some(_) => observe.events().subscribe_to_all(since),
            None => observe.events().subscribe(since),
        };
        loop {
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                () = stop.cancelled() => return,
            };
            if !webhook.wants(event.kind) {
                continue;
            }
            let id = event.id;
            let body = serde_json::to_string(&EventDto::from(event)).unwrap_or_default();
            let mut wait = RETRY_MIN;
            while let Err(fault) = caller.call(&webhook, &body).await {
                self.failed(webhook.id, &fault, wait);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                wait = (wait * 2).min(RETRY_MAX);
            }
            let delivery = Delivery { told: Some((id, OffsetDateTime::now_utc())), ..Delivery::default() };
            self.fares(|fares| fares.insert(webhook.id, delivery));
        }
    }

    fn failed(&self, id: WebhookId, fault: &CallFault, wait: Duration) {
        tracing::warn!(webhook_id = %id, %fault, "a webhook did not take an event");
        self.fares(|fares| {
            let delivery = fares.entry(id).or_default();
            delivery.failure = Some(fault.to_string());
            delivery.attempts += 1;
            delivery.next_try_at = Some(OffsetDateTime::now_utc() + wait);
        });
    }

    fn fares<T>(&self, look: impl FnOnce(&mut BTreeMap<WebhookId, Delivery>) -> T) -> T {
        look(&mut self.shared.fares.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The task that tells events to one webhook. It ends when this is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

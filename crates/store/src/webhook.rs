//! The rows of webhooks.

use crate::columns::Columns;
use crate::dialect::Row;
use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now, time_of};
use crate::stream::{from_json, json};
use crate::told::{Deeds, Told, about, deeds, event_kind};
use crate::{Result, Store, StoreError};
use serde_json::{Map, Value};
use sqlx::Row as _;
use weir_model::{EventKind, MAX_WEBHOOKS, Webhook, WebhookId};

fn place(column: &str, id: WebhookId) -> String {
    format!("webhook/{column}/{id}")
}

impl Told for Webhook {
    const DEEDS: Deeds = deeds!("webhook", never changed);

    /// It has no name but its address, of which the end is a secret as often as not.
    fn about(&self) -> Map<String, Value> {
        about("webhook_id", self.id, &self.masked_url())
    }

    fn changed_since(&self, _before: &Self) -> Vec<&'static str> {
        Vec::new()
    }
}

impl Store {
    /// Gives the webhook its id and time.
    pub async fn create_webhook(&self, mut webhook: Webhook) -> Result<Webhook> {
        let mut tx = self.begin().await?;
        let count: i64 = sqlx::query_scalar("select count(*) from webhook").fetch_one(&mut *tx).await?;
        if usize::try_from(count).is_ok_and(|count| count >= MAX_WEBHOOKS) {
            return Err(StoreError::Limit { field: "url", problem: "is one too many: there may be 100 webhooks" });
        }
        webhook.id = WebhookId(next_id(&mut tx, "webhook").await?);
        webhook.created_at = now();
        Columns::new()
            .put("id", webhook.id.0)
            .put("url", self.seal(&place("url", webhook.id), &webhook.url)?)
            .put("secret", self.seal_opt(&place("secret", webhook.id), webhook.secret.as_ref())?)
            .put("types", json(webhook.types.as_deref().map(names_of).as_ref())?)
            .put("created_at", webhook.created_at)
            .insert(&mut tx, "webhook", &[])
            .await?;
        tx.commit().await?;
        Ok(webhook)
    }

    pub async fn webhooks(&self, after: i64, limit: u32) -> Result<Page<Webhook>> {
        let (limit, rows) = rows_wanted(limit);
        let rows = sqlx::query("select * from webhook where id > $1 order by id limit $2")
            .bind(after)
            .bind(rows)
            .fetch_all(&self.readers)
            .await?;
        let items = rows.iter().map(|row| self.webhook_of(row)).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |webhook| webhook.id.0))
    }

    /// Deletes a webhook, and returns it as it was.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<Webhook> {
        let mut tx = self.begin().await?;
        let query = sqlx::query("delete from webhook where id = $1 returning *").bind(id.0);
        let deleted = query.fetch_optional(&mut *tx).await?.ok_or(StoreError::NotFound)?;
        let deleted = self.webhook_of(&deleted)?;
        tx.commit().await?;
        Ok(deleted)
    }

    fn webhook_of(&self, row: &Row) -> Result<Webhook> {
        let id = WebhookId(row.try_get("id")?);
        Ok(Webhook {
            id,
            url: self.open_secret(&place("url", id), row.try_get("url")?)?,
            secret: self.open_secret_opt(&place("secret", id), row.try_get("secret")?)?,
            types: from_json::<Vec<String>>(row.try_get("types")?, "a webhook's types")?.as_deref().map(kinds_of),
            created_at: time_of(row, "created_at")?,
        })
    }
}

fn names_of(kinds: &[EventKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.as_str()).collect()
}

/// The types of events by their names. Earlier versions stored any word; a word that no event has is left out.
fn kinds_of(names: &[String]) -> Vec<EventKind> {
    names.iter().filter_map(|name| event_kind(name)).collect()
}

//! Webhook rows.

use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now, time_of, to_ms};
use crate::stream::{from_json, json};
use crate::{Result, Store, StoreError};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use weir_model::{MAX_WEBHOOKS, Webhook, WebhookId};

fn place(column: &str, id: WebhookId) -> String {
    format!("webhook/{column}/{id}")
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
        sqlx::query("insert into webhook (id, url, secret, types, created_at) values (?,?,?,?,?)")
            .bind(webhook.id.0)
            .bind(self.seal(&place("url", webhook.id), &webhook.url)?)
            .bind(self.seal_opt(&place("secret", webhook.id), webhook.secret.as_ref())?)
            .bind(json(webhook.types.as_ref())?)
            .bind(to_ms(webhook.created_at))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(webhook)
    }

    pub async fn webhooks(&self, after: i64, limit: u32) -> Result<Page<Webhook>> {
        let (limit, rows) = rows_wanted(limit);
        let rows = sqlx::query("select * from webhook where id > ? order by id limit ?")
            .bind(after)
            .bind(rows)
            .fetch_all(&self.readers)
            .await?;
        let items = rows.iter().map(|row| self.webhook_of(row)).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |webhook| webhook.id.0))
    }

    pub async fn delete_webhook(&self, id: WebhookId) -> Result<()> {
        let mut tx = self.begin().await?;
        let deleted = sqlx::query("delete from webhook where id = ?").bind(id.0).execute(&mut *tx).await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        Ok(tx.commit().await?)
    }

    fn webhook_of(&self, row: &SqliteRow) -> Result<Webhook> {
        let id = WebhookId(row.try_get("id")?);
        Ok(Webhook {
            id,
            url: self.open_secret(&place("url", id), row.try_get("url")?)?,
            secret: self.open_secret_opt(&place("secret", id), row.try_get("secret")?)?,
            types: from_json(row.try_get("types")?, "a webhook's types")?,
            created_at: time_of(row, "created_at")?,
        })
    }
}

//! Changes to webhooks.

use super::{CommandError, Commands, Result};
use weir_model::{Webhook, WebhookId};

impl Commands {
    pub async fn create_webhook(&self, webhook: Webhook) -> Result<Webhook> {
        webhook.check().map_err(|fault| CommandError::invalid(fault.field, fault.problem))?;
        let webhook = self.store().create_webhook(webhook).await?;
        self.tell_created(&webhook);
        Ok(webhook)
    }

    pub async fn delete_webhook(&self, id: WebhookId) -> Result<()> {
        let gone = self.store().delete_webhook(id).await?;
        self.tell_deleted(&gone);
        Ok(())
    }
}

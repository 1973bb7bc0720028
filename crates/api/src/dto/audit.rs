//! Who changed or revealed what.

use crate::dto::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use weir_store::AuditEntry;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditDto {
    id: i64,
    at: Timestamp,
    /// `user:<name>` or `apikey:<name>`
    actor: String,
    /// post, patch, delete, reveal or log_in
    action: String,
    /// The address under /api/v1 that it was done to, as `streams/7`.
    subject: String,
}

impl From<AuditEntry> for AuditDto {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, subject } = entry;
        Self { id, at: at.into(), actor, action, subject }
    }
}

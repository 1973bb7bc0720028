//! The shapes of the audit: who changed, revealed or tried what.

use crate::dto::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_store::{AuditDraft, AuditEntry, Outcome};

/// Whether it was done (ok), was not for the caller to do (denied), or was not possible (failed).
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutcomeDto {
    Ok,
    Denied,
    Failed,
}

impl From<OutcomeDto> for Outcome {
    fn from(outcome: OutcomeDto) -> Self {
        match outcome {
            OutcomeDto::Ok => Self::Ok,
            OutcomeDto::Denied => Self::Denied,
            OutcomeDto::Failed => Self::Failed,
        }
    }
}

impl From<Outcome> for OutcomeDto {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Denied => Self::Denied,
            Outcome::Failed => Self::Failed,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditDto {
    id: i64,
    at: Timestamp,
    /// Who did it: `user:<name>`, `apikey:<name>`, `cli:<uid>` for commands at the terminal, or `unknown`.
    actor: String,
    /// One of post, put, patch, delete, get (refused), reveal, log_in, create, export, import, and more (of too many kinds to tell).
    action: String,
    /// The address under /api/v1 that it was done to, such as `streams/7`. For something that was made, it is the new thing's own.
    subject: String,
    outcome: OutcomeDto,
    /// The status of the HTTP answer; null for commands.
    status: Option<u16>,
    /// The address that it came from; null for commands.
    address: Option<String>,
    /// How often it happened within that minute: what is refused again and again is written down once.
    count: i64,
}

impl From<AuditEntry> for AuditDto {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, what, count } = entry;
        let AuditDraft { actor, action, subject, outcome, status, address } = what;
        Self { id, at: at.into(), actor, action, subject, outcome: outcome.into(), status, address, count }
    }
}

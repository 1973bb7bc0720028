//! A webhook: an address that is told of events.

use crate::{Secret, WebhookId};
use time::OffsetDateTime;

/// Each has a task and, while it is told, a connection.
pub const MAX_WEBHOOKS: usize = 100;

pub const MAX_WEBHOOK_TYPES: usize = 32;
const URL_BYTES_MAX: usize = 2_048;
const SECRET_BYTES_MAX: usize = 256;
const TYPE_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: Secret,
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// None: all types of events.
    pub types: Option<Vec<String>>,
    pub created_at: OffsetDateTime,
}

/// What is wrong, and in which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct WebhookFault {
    pub field: &'static str,
    pub problem: &'static str,
}

impl Webhook {
    pub fn draft(url: impl Into<Secret>, secret: Option<Secret>, types: Option<Vec<String>>) -> Self {
        let created_at = OffsetDateTime::UNIX_EPOCH;
        Self { id: WebhookId::UNSAVED, url: url.into(), secret, types, created_at }
    }

    pub fn check(&self) -> Result<(), WebhookFault> {
        let fault = |field, problem| Err(WebhookFault { field, problem });
        let url = self.url.expose();
        if url.len() > URL_BYTES_MAX || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return fault("url", "must be at most 2048 bytes long, without blanks or control characters");
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return fault("url", "must begin with http:// or https://");
        }
        if self.secret.as_ref().is_some_and(|secret| !(1..=SECRET_BYTES_MAX).contains(&secret.expose().len())) {
            return fault("secret", "must be 1 to 256 bytes long");
        }
        let is_type = |name: &String| {
            (1..=TYPE_BYTES_MAX).contains(&name.len()) && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        };
        match &self.types {
            Some(types) if types.is_empty() || types.len() > MAX_WEBHOOK_TYPES || !types.iter().all(is_type) => {
                fault("types", "must be 1 to 32 types of events, or null for all")
            }
            _ => Ok(()),
        }
    }

    pub fn wants(&self, kind: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|wanted| wanted == kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_and_wants() {
        let hook = |url: &str, secret: Option<&str>, types: Option<&[&str]>| {
            let types = types.map(|types| types.iter().map(|name| (*name).to_owned()).collect());
            Webhook::draft(url, secret.map(Into::into), types)
        };
        for (hook, field) in [
            (hook("http://h/x", None, None), None),
            (hook("https://h", Some("s"), Some(&["stream_state"])), None),
            (hook("ftp://h", None, None), Some("url")),
            (hook("http://h/a b", None, None), Some("url")),
            (hook("http://h", Some(""), None), Some("secret")),
            (hook("http://h", None, Some(&[])), Some("types")),
            (hook("http://h", None, Some(&["No!"])), Some("types")),
        ] {
            assert_eq!(hook.check().err().map(|fault| fault.field), field, "{hook:?}");
        }
        assert!(hook("http://h", None, None).wants("anything"));
        let one = hook("http://h", None, Some(&["stream_state"]));
        assert!(one.wants("stream_state") && !one.wants("restream_state"));
    }
}

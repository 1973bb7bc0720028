//! A webhook: an address that is told of events.

use crate::{EventKind, Secret, WebhookId};
use time::OffsetDateTime;

/// The most webhooks. Each has a task and, while it is told, a connection.
pub const MAX_WEBHOOKS: usize = 100;

const URL_BYTES_MAX: usize = 2_048;
const SECRET_BYTES_MAX: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: Secret,
    /// The secret with which requests are signed.
    pub secret: Option<Secret>,
    /// The types of events that are told. `None` means all of them.
    pub types: Option<Vec<EventKind>>,
    pub created_at: OffsetDateTime,
}

/// What is wrong with a webhook, and in which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct WebhookFault {
    pub field: &'static str,
    pub problem: &'static str,
}

impl Webhook {
    pub fn draft(url: impl Into<Secret>, secret: Option<Secret>, types: Option<Vec<EventKind>>) -> Self {
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
        match &self.types {
            Some(types) if types.is_empty() => {
                fault("types", "must name at least one type of events, or be null for all")
            }
            _ => Ok(()),
        }
    }

    /// The scheme and the host of the URL. The rest is a secret as often as not.
    pub fn masked_url(&self) -> String {
        let (scheme, rest) = self.url.expose().split_once("://").unwrap_or(("http", ""));
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        let more = if path.len() > 1 { "/…" } else { "" };
        format!("{scheme}://{host}{more}")
    }

    pub fn wants(&self, kind: EventKind) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_may_be_secret() {
        for (url, shown) in [
            ("https://h/token", "https://h/…"),
            ("http://user:word@h:81/?token=x", "http://h:81/…"),
            ("http://h?token=x", "http://h/…"),
            ("http://h/", "http://h"),
            ("http://h", "http://h"),
        ] {
            assert_eq!(Webhook::draft(url, None, None).masked_url(), shown);
        }
    }

    #[test]
    fn checks_and_wants() {
        let hook = |url: &str, secret: Option<&str>, types: Option<&[EventKind]>| {
            Webhook::draft(url, secret.map(Into::into), types.map(<[_]>::to_vec))
        };
        let states = EventKind::StreamState;
        for (hook, field) in [
            (hook("http://h/x", None, None), None),
            (hook("https://h", Some("s"), Some(&[states])), None),
            (hook("ftp://h", None, None), Some("url")),
            (hook("http://h/a b", None, None), Some("url")),
            (hook("http://h", Some(""), None), Some("secret")),
            (hook("http://h", None, Some(&[])), Some("types")),
        ] {
            assert_eq!(hook.check().err().map(|fault| fault.field), field, "{hook:?}");
        }
        assert!(hook("http://h", None, None).wants(EventKind::Scte35));
        let one = hook("http://h", None, Some(&[states]));
        assert!(one.wants(states) && !one.wants(EventKind::RestreamState));
    }
}

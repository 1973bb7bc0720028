//! A restream: one stream sent to one destination, with its key, its wishes and whether it should run.

use crate::{DestinationId, PushUrl, ReasonCode, Rendition, RenditionDraft, RestreamId, Secret, StreamId};
use std::time::Duration;
use time::OffsetDateTime;

#[derive(Debug, Clone, PartialEq)]
pub struct Restream {
    pub id: RestreamId,
    /// The version rises by one with every change. `If-Match` is compared with it.
    pub version: i64,
    pub stream_id: StreamId,
    /// The name, which is unique within the stream.
    pub name: String,
    pub active: bool,
    /// The caller's own number for its customer. It is stored and returned, never interpreted.
    pub client_user_id: Option<i64>,
    pub target: RestreamTarget,
    pub backup_uri: Option<Secret>,
    pub rendition: RestreamRendition,
    /// Of the sound that is sent where only one can be, in ISO 639-2; None: the source's default.
    pub audio_language: Option<String>,
    pub schedule: Schedule,
    pub retry: RetryRules,
    /// Why the server itself stopped the restream. A start clears it.
    pub stop_reason: Option<ReasonCode>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Restream {
    /// The changed fields, by the names that the API has for them.
    pub fn changed_fields(&self, before: &Self) -> Vec<&'static str> {
        let mut names = changed!(Restream, before, self;
            stream_id, name, active, client_user_id, backup_uri, rendition, audio_language, schedule, retry
            | id, version, target, stop_reason, created_at, updated_at);
        match (&before.target, &self.target) {
            (before, now) if before == now => {}
            (RestreamTarget::Uri(_), RestreamTarget::Uri(_)) => names.push("uri"),
            (
                RestreamTarget::Destination { destination_id: before, stream_key: old_key },
                RestreamTarget::Destination { destination_id: now, stream_key: new_key },
            ) => {
                names.extend((before != now).then_some("destination_id"));
                names.extend((old_key != new_key).then_some("stream_key"));
            }
            _ => names.extend(["uri", "destination_id", "stream_key"]),
        }
        names
    }
}

impl Restream {
    /// A new restream with only the necessary settings: it sends the stream as it is, and is not started.
    pub fn draft(stream_id: StreamId, name: impl Into<String>, target: RestreamTarget) -> Self {
        Self {
            id: RestreamId::UNSAVED,
            version: 0,
            stream_id,
            name: name.into(),
            active: false,
            client_user_id: None,
            target,
            backup_uri: None,
            rendition: RestreamRendition::AsIs,
            audio_language: None,
            schedule: Schedule::default(),
            retry: RetryRules::default(),
            stop_reason: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    /// The addresses that the restream names itself, instead of taking them from a destination, with the fields that hold them. A key
    /// that is a whole `srt://` URL leads away from its destination.
    pub fn raw_uris(&self) -> impl Iterator<Item = (&'static str, &Secret)> {
        let named = match &self.target {
            RestreamTarget::Uri(uri) => Some(("uri", uri)),
            RestreamTarget::Destination { stream_key, .. } => {
                Some(("stream_key", stream_key)).filter(|(_, key)| PushUrl::is_whole_url(key.expose()))
            }
        };
        named.into_iter().chain(self.backup_uri.as_ref().map(|uri| ("backup_uri", uri)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestreamTarget {
    /// Everything is on one line, the key included.
    Uri(Secret),
    /// A saved server, and this restream's own key.
    Destination { destination_id: DestinationId, stream_key: Secret },
}

/// The quality in which a restream is to be sent, as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RestreamRendition {
    #[default]
    AsIs,
    /// A rendition of the stream's ladder.
    Named(String),
    Inline(RenditionDraft),
}

/// The quality in which a restream is sent, with every setting.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum RenditionWish {
    #[default]
    AsIs,
    /// A rendition of the stream's ladder.
    Named(String),
    Inline(Rendition),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Schedule {
    pub start_at: Option<OffsetDateTime>,
    pub stop_at: Option<OffsetDateTime>,
}

/// What a restream does when its source is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRules {
    /// How long the push connection is held open without a source.
    pub source_lost: Duration,
    /// After this long without a source the restream stops for good.
    pub give_up: Duration,
}

impl Default for RetryRules {
    fn default() -> Self {
        Self { source_lost: Duration::from_secs(3), give_up: Duration::from_secs(60 * 60) }
    }
}

/// Which retry value is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be a number from {min} to {max}")]
pub struct RetryRulesFault {
    pub field: &'static str,
    pub min: u32,
    pub max: u32,
}

impl RetryRules {
    const MAX_SOURCE_LOST_SECONDS: u32 = 3_600;
    /// The limit is a week.
    const MAX_GIVE_UP_MINUTES: u32 = 7 * 24 * 60;

    /// Makes rules of the numbers that users write. Fractions are allowed; `None` means the default.
    pub fn new(source_lost_seconds: Option<f64>, give_up_minutes: Option<f64>) -> Result<Self, RetryRulesFault> {
        let default = Self::default();
        let source_lost = match source_lost_seconds {
            None => default.source_lost,
            Some(seconds) => within(seconds, Self::MAX_SOURCE_LOST_SECONDS, 1.0).ok_or(RetryRulesFault {
                field: "source_lost_seconds",
                min: 0,
                max: Self::MAX_SOURCE_LOST_SECONDS,
            })?,
        };
        let give_up = match give_up_minutes {
            None => default.give_up,
            Some(minutes) => within(minutes, Self::MAX_GIVE_UP_MINUTES, 60.0).ok_or(RetryRulesFault {
                field: "give_up_minutes",
                min: 0,
                max: Self::MAX_GIVE_UP_MINUTES,
            })?,
        };
        Ok(Self { source_lost, give_up })
    }
}

/// A duration, rounded to whole milliseconds, so that the stored value is the one that was written.
fn within(number: f64, max: u32, seconds_each: f64) -> Option<Duration> {
    (0.0..=f64::from(max))
        .contains(&number)
        .then(|| Duration::from_millis((number * seconds_each * 1000.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_its_own_are_found_wherever_they_stand() {
        let restream = |target, backup: Option<&str>| Restream {
            backup_uri: backup.map(Into::into),
            ..Restream::draft(StreamId(1), "r", target)
        };
        let destination =
            |key: &str| RestreamTarget::Destination { destination_id: DestinationId(1), stream_key: key.into() };
        for (restream, expected) in [
            (restream(RestreamTarget::Uri("rtmp://h/app/key".into()), None), &["uri"][..]),
            (restream(destination("key"), None), &[]),
            (restream(destination("key-srt://h"), None), &[]),
            (restream(destination(" SRT://h:1?mode=caller"), None), &["stream_key"]),
            (restream(destination("key"), Some("rtmp://h/app/key")), &["backup_uri"]),
        ] {
            let found: Vec<&str> = restream.raw_uris().map(|(field, _)| field).collect();
            assert_eq!(found, expected, "{:?}", restream.target);
        }
    }

    #[test]
    fn retry_rules() {
        assert_eq!(RetryRules::new(None, None).unwrap(), RetryRules::default());
        let rules = RetryRules::new(Some(0.5), Some(0.05)).unwrap();
        assert_eq!((rules.source_lost, rules.give_up), (Duration::from_millis(500), Duration::from_secs(3)));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(RetryRules::new(Some(bad), None).unwrap_err().field, "source_lost_seconds");
            assert_eq!(RetryRules::new(None, Some(bad)).unwrap_err().field, "give_up_minutes");
        }
    }
}

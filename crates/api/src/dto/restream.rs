//! The shapes of restreams as they are read, with what they are doing.

use crate::dto::ladder::{RenditionWishDto, wish_dto};
use crate::dto::push_status::{PushStatusDto, WarningDto};
use crate::dto::{Timestamp, shown};
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_hub::SOURCE_RENDITION;
use weir_model::{PushUrl, Restream, RestreamId, RestreamStatus, RestreamTarget, RetryRules, Schedule, Secret};
use weir_observe::{Observe, RestreamView};

/// Times that are still to come. A time that has come has done its work and is null again.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleDto {
    #[serde(default)]
    start_at: Option<Timestamp>,
    #[serde(default)]
    stop_at: Option<Timestamp>,
}

impl From<ScheduleDto> for Schedule {
    fn from(dto: ScheduleDto) -> Self {
        Self { start_at: dto.start_at.map(|at| at.0), stop_at: dto.stop_at.map(|at| at.0) }
    }
}

impl From<Schedule> for ScheduleDto {
    fn from(schedule: Schedule) -> Self {
        Self { start_at: schedule.start_at.map(Into::into), stop_at: schedule.stop_at.map(Into::into) }
    }
}

/// What happens when the source is lost.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryDto {
    /// How long the connection is held open then; 3 when absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3600)]
    source_lost_seconds: Option<f64>,
    /// How long it takes until the restream stops for good; 60 when absent.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10080)]
    give_up_minutes: Option<f64>,
}

impl RetryDto {
    pub(crate) fn into_model(self) -> Result<RetryRules, Problem> {
        RetryRules::new(self.source_lost_seconds, self.give_up_minutes).map_err(|fault| {
            let message = format!("must be a number from {} to {}", fault.min, fault.max);
            Problem::invalid(format!("retry.{}", fault.field), message)
        })
    }
}

impl From<RetryRules> for RetryDto {
    fn from(rules: RetryRules) -> Self {
        Self {
            source_lost_seconds: Some(rules.source_lost.as_secs_f64()),
            give_up_minutes: Some(rules.give_up.as_secs_f64() / 60.0),
        }
    }
}

/// What a restream is doing. The figures of its primary stand for the whole restream.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RestreamStatusDto {
    #[serde(flatten)]
    push: PushStatusDto,
    backup: Option<PushStatusDto>,
    /// The name of the one of the stream's `status.renditions` that is sent, whatever the restream's own wish is called.
    rendition: String,
    /// The newest probe of the far end.
    probe: Option<()>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestreamDto {
    id: i64,
    name: String,
    active: bool,
    /// The URL without key and passphrase.
    uri: Option<String>,
    stream_id: i64,
    client_user_id: Option<i64>,
    destination_id: Option<i64>,
    stream_key: Option<String>,
    backup_uri: Option<String>,
    rendition: Option<RenditionWishDto>,
    /// The language of the sound that is sent where only one can be, in ISO 639-2; null is the source's default.
    audio_language: Option<String>,
    schedule: ScheduleDto,
    retry: RetryDto,
    created_at: Timestamp,
    updated_at: Timestamp,
    status: RestreamStatusDto,
}

impl RestreamStatusDto {
    /// The status as `observe` merges it. A restream that was deleted while it was read counts as stopped.
    pub(crate) fn of(observe: &Observe, id: RestreamId) -> Self {
        let gone = || RestreamView {
            status: RestreamStatus::stopped(observe.started_at()),
            sends: SOURCE_RENDITION.to_owned(),
            platform_warnings: Vec::new(),
        };
        let RestreamView { status, sends, platform_warnings } = observe.restream(id).unwrap_or_else(gone);
        let mut push = PushStatusDto::from(&status.push);
        push.warnings.extend(platform_warnings.iter().map(WarningDto::from));
        Self { push, backup: status.backup.as_ref().map(Into::into), rendition: sends, probe: None }
    }
}

impl RestreamDto {
    pub(crate) fn new(restream: &Restream, status: RestreamStatusDto, reveal: bool) -> Self {
        let whole = |uri: &Secret| {
            if reveal {
                return uri.expose().to_owned();
            }
            // A URL that does not parse was stored by an older version, and nothing of it is shown.
            PushUrl::parse(uri.expose()).map_or_else(|_| "…".to_owned(), |url| url.masked())
        };
        let (uri, destination_id, stream_key) = match &restream.target {
            RestreamTarget::Uri(uri) => {
                let key = PushUrl::parse(uri.expose()).ok().and_then(|url| url.stream_key().cloned());
                (Some(whole(uri)), None, key.map(|key| shown(&key, reveal)))
            }
            RestreamTarget::Destination { destination_id, stream_key } => {
                let key = if reveal || !stream_key.expose().contains("://") {
                    shown(stream_key, reveal)
                } else {
                    whole(stream_key)
                };
                (None, Some(destination_id.0), Some(key))
            }
        };
        Self {
            id: restream.id.0,
            name: restream.name.clone(),
            active: restream.active,
            uri,
            stream_id: restream.stream_id.0,
            client_user_id: restream.client_user_id,
            destination_id,
            stream_key,
            backup_uri: restream.backup_uri.as_ref().map(whole),
            rendition: wish_dto(&restream.rendition),
            audio_language: restream.audio_language.clone(),
            schedule: restream.schedule.into(),
            retry: restream.retry.into(),
            created_at: restream.created_at.into(),
            updated_at: restream.updated_at.into(),
            status,
        }
    }
}

/// What the retry did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryAnswer {
    pub(crate) retrying: bool,
}

//! Restreams: what is asked for, and what they are doing.

use crate::dto::ladder::{RenditionWishDto, wish_dto, wish_of};
use crate::dto::push_status::PushStatusDto;
use crate::dto::stream::set;
use crate::dto::{Timestamp, shown};
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{
    DestinationId, PushStatus, PushUrl, Reason, ReasonCode, RenditionWish, Restream, RestreamState, RestreamStatus,
    RetryRules, Schedule, Secret, StreamId, Target, Warning,
};

/// Times that are still to come; one that came has done its work and is null again.
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

/// What happens when the source goes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryDto {
    /// How long the connection is held open; 3 when absent.
    #[serde(default)]
    source_lost_seconds: Option<f64>,
    /// After this long it stops for good; 60 when absent.
    #[serde(default)]
    give_up_minutes: Option<f64>,
}

impl RetryDto {
    fn into_model(self) -> Result<RetryRules, Problem> {
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

/// Complete with `name`, `stream_id` and `uri`; or with `destination_id` and `stream_key` instead of `uri`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestreamInput {
    name: String,
    stream_id: i64,
    #[serde(default)]
    active: bool,
    /// `rtmp://host/app/key`, `rtmps://...` or `srt://host:port?mode=caller&...`
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    destination_id: Option<i64>,
    /// May be a whole `srt://` URL, then also without a destination.
    #[serde(default)]
    stream_key: Option<String>,
    /// Fed all the time beside the primary.
    #[serde(default)]
    backup_uri: Option<String>,
    #[serde(default)]
    rendition: Option<RenditionWishDto>,
    #[serde(default)]
    schedule: Option<ScheduleDto>,
    #[serde(default)]
    retry: Option<RetryDto>,
    #[serde(default)]
    client_user_id: Option<i64>,
}

impl RestreamInput {
    pub(crate) fn into_model(self) -> Result<Restream, Problem> {
        let target = target_of(self.uri, self.destination_id, self.stream_key)?;
        let mut restream = Restream::draft(StreamId(self.stream_id), self.name, target);
        restream.active = self.active;
        restream.client_user_id = self.client_user_id;
        restream.backup_uri = self.backup_uri.map(|uri| uri.trim().into());
        restream.rendition = wish_of(self.rendition)?;
        restream.schedule = self.schedule.unwrap_or_default().into();
        restream.retry = self.retry.unwrap_or_default().into_model()?;
        Ok(restream)
    }
}

/// A `uri`, or a destination with a key, or a key that is a whole SRT URL.
fn target_of(uri: Option<String>, destination: Option<i64>, key: Option<String>) -> Result<Target, Problem> {
    match (uri, destination, key) {
        (Some(uri), None, None) => Ok(Target::Uri(uri.trim().into())),
        (Some(_), Some(_), _) => Err(Problem::invalid("destination_id", "does not go with uri")),
        (Some(_), None, Some(_)) => Err(Problem::invalid("stream_key", "does not go with uri, which holds the key")),
        (None, Some(id), key) => Ok(Target::Destination {
            destination_id: DestinationId(id),
            stream_key: key.unwrap_or_default().trim().into(),
        }),
        (None, None, Some(key)) => {
            let key = key.trim();
            if key.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("srt://")) {
                Ok(Target::Uri(key.into()))
            } else {
                Err(Problem::invalid("destination_id", "is required with a stream_key that is not an srt:// URL"))
            }
        }
        (None, None, None) => Err(Problem::invalid("uri", "is required, or destination_id and stream_key")),
    }
}

/// What is absent stays; `schedule` and `retry` are replaced as a whole.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestreamPatch {
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    stream_id: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    active: Option<bool>,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    destination_id: Option<i64>,
    #[serde(default)]
    stream_key: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    backup_uri: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<RenditionWishDto>)]
    rendition: Option<Option<RenditionWishDto>>,
    #[serde(default)]
    schedule: Option<ScheduleDto>,
    #[serde(default)]
    retry: Option<RetryDto>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    client_user_id: Option<Option<i64>>,
}

/// A patch whose every value is one that the model has.
#[derive(Debug)]
pub(crate) struct RestreamChange {
    name: Option<String>,
    stream_id: Option<StreamId>,
    active: Option<bool>,
    target: Option<TargetChange>,
    backup_uri: Option<Option<Secret>>,
    rendition: Option<RenditionWish>,
    schedule: Option<Schedule>,
    retry: Option<RetryRules>,
    client_user_id: Option<Option<i64>>,
}

#[derive(Debug)]
enum TargetChange {
    Whole(Target),
    /// Another key at the same destination.
    Key(Secret),
    /// Another destination with the same key.
    Destination(DestinationId),
}

impl RestreamPatch {
    pub(crate) fn into_change(self) -> Result<RestreamChange, Problem> {
        let target = match (&self.uri, self.destination_id, &self.stream_key) {
            (None, None, None) => None,
            (None, None, Some(key)) => Some(TargetChange::Key(key.trim().into())),
            (None, Some(id), None) => Some(TargetChange::Destination(DestinationId(id))),
            _ => Some(TargetChange::Whole(target_of(self.uri, self.destination_id, self.stream_key)?)),
        };
        Ok(RestreamChange {
            name: self.name,
            stream_id: self.stream_id.map(StreamId),
            active: self.active,
            target,
            backup_uri: self.backup_uri.map(|uri| uri.map(|uri| uri.trim().into())),
            rendition: self.rendition.map(wish_of).transpose()?,
            schedule: self.schedule.map(Into::into),
            retry: self.retry.map(RetryDto::into_model).transpose()?,
            client_user_id: self.client_user_id,
        })
    }
}

impl RestreamChange {
    pub(crate) fn apply(&self, restream: &mut Restream) -> Result<(), weir_control::CommandError> {
        set(&mut restream.name, self.name.as_ref());
        set(&mut restream.stream_id, self.stream_id.as_ref());
        set(&mut restream.active, self.active.as_ref());
        set(&mut restream.backup_uri, self.backup_uri.as_ref());
        set(&mut restream.rendition, self.rendition.as_ref());
        set(&mut restream.schedule, self.schedule.as_ref());
        set(&mut restream.retry, self.retry.as_ref());
        set(&mut restream.client_user_id, self.client_user_id.as_ref());
        match &self.target {
            None => {}
            Some(TargetChange::Whole(target)) => restream.target = target.clone(),
            Some(TargetChange::Key(key)) => match &mut restream.target {
                Target::Destination { stream_key, .. } => *stream_key = key.clone(),
                Target::Uri(uri) if key.expose().contains("://") => *uri = key.clone(),
                Target::Uri(_) => {
                    let message = "is part of this restream's uri: change the uri";
                    return Err(weir_control::CommandError::invalid("stream_key", message));
                }
            },
            Some(TargetChange::Destination(id)) => match &mut restream.target {
                Target::Destination { destination_id, .. } => *destination_id = *id,
                Target::Uri(_) => {
                    return Err(weir_control::CommandError::invalid("stream_key", "is required with a destination_id"));
                }
            },
        }
        Ok(())
    }
}

/// The primary's figures stand for the restream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestreamStatusDto {
    #[serde(flatten)]
    push: PushStatusDto,
    backup: Option<PushStatusDto>,
    /// The newest probe of the far end.
    probe: Option<()>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestreamDto {
    id: i64,
    name: String,
    active: bool,
    /// Without key and passphrase.
    uri: Option<String>,
    stream_id: i64,
    client_user_id: Option<i64>,
    destination_id: Option<i64>,
    stream_key: Option<String>,
    backup_uri: Option<String>,
    rendition: Option<RenditionWishDto>,
    schedule: ScheduleDto,
    retry: RetryDto,
    created_at: Timestamp,
    updated_at: Timestamp,
    status: RestreamStatusDto,
}

impl RestreamDto {
    pub(crate) fn new(restream: &Restream, status: RestreamStatus, reveal: bool) -> Self {
        let whole = |uri: &Secret| {
            if reveal {
                return uri.expose().to_owned();
            }
            // What does not parse was stored by an older version: say nothing of it.
            PushUrl::parse(uri.expose()).map_or_else(|_| "…".to_owned(), |url| url.masked())
        };
        let (uri, destination_id, stream_key) = match &restream.target {
            Target::Uri(uri) => {
                let key = PushUrl::parse(uri.expose()).ok().and_then(|url| url.stream_key().cloned());
                (Some(whole(uri)), None, key.map(|key| shown(&key, reveal)))
            }
            Target::Destination { destination_id, stream_key } => {
                let key = if reveal || !stream_key.expose().contains("://") {
                    shown(stream_key, reveal)
                } else {
                    whole(stream_key)
                };
                (None, Some(destination_id.0), Some(key))
            }
        };
        let status = observed(restream, status);
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
            schedule: restream.schedule.into(),
            retry: restream.retry.into(),
            created_at: restream.created_at.into(),
            updated_at: restream.updated_at.into(),
            status: RestreamStatusDto {
                push: (&status.push).into(),
                backup: status.backup.as_ref().map(Into::into),
                probe: None,
            },
        }
    }
}

/// What runs says, and what is stored where nothing runs (yet, or any more).
fn observed(restream: &Restream, mut status: RestreamStatus) -> RestreamStatus {
    if status.push.state == RestreamState::Stopped {
        status.push = PushStatus::stopped(restream.updated_at);
        if restream.active {
            // Started, and the reconciler has not come round yet.
            status.push.state = RestreamState::AwaitingStream;
        } else if let Some(code) = restream.stop_reason {
            let message = match code {
                ReasonCode::SourceTimeout => "the source did not come back in time; start it again by hand".to_owned(),
                other => format!("stopped by the server: {other}"),
            };
            status.push.reason = Some(Reason::new(code, message));
        }
    }
    let advise = |push: &mut PushStatus, url: Option<PushUrl>| {
        for advice in url.iter().flat_map(PushUrl::advice) {
            push.warnings.push(Warning {
                code: advice.code.to_owned(),
                message: advice.message.to_owned(),
                since: restream.updated_at,
            });
        }
    };
    let primary = match &restream.target {
        Target::Uri(uri) => Some(uri),
        Target::Destination { stream_key, .. } => Some(stream_key).filter(|key| key.expose().contains("://")),
    };
    advise(&mut status.push, primary.and_then(|uri| PushUrl::parse(uri.expose()).ok()));
    if let Some(backup) = &mut status.backup {
        advise(backup, restream.backup_uri.as_ref().and_then(|uri| PushUrl::parse(uri.expose()).ok()));
    }
    status
}

/// What a retry did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryAnswer {
    pub(crate) retrying: bool,
}

//! The shapes of restreams as they are asked for: whole, or as a patch.

use crate::dto::ladder::{RenditionWishDto, wish_dto, wish_of};
use crate::dto::restream::{RetryDto, ScheduleDto};
use crate::dto::set;
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_control::CommandError;
use weir_model::{
    DestinationId, PushUrl, Restream, RestreamRendition, RestreamTarget, RetryRules, Schedule, Secret, StreamId,
};

/// A new restream, which needs `name`, `stream_id` and `uri`, or `destination_id` and `stream_key` instead of `uri`.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestreamInput {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    stream_id: i64,
    #[serde(default)]
    active: bool,
    /// The URL to push to, with the key in it, in one of the protocols of `GET /platforms`.
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    destination_id: Option<i64>,
    /// The key at the destination. Where a protocol has its key in a URL of its own, this may be that whole URL, and then it needs no
    /// destination.
    #[serde(default)]
    stream_key: Option<String>,
    /// The URL of a backup, which is fed all the time beside the primary.
    #[serde(default)]
    backup_uri: Option<String>,
    #[serde(default)]
    rendition: Option<RenditionWishDto>,
    /// The language of the sound, where the protocol carries only one, as RTMP does. `deu`, `ger` and `de` mean the same; null is the
    /// default.
    #[serde(default)]
    audio_language: Option<String>,
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
        restream.rendition = wish_of(self.rendition);
        restream.audio_language = self.audio_language;
        restream.schedule = self.schedule.unwrap_or_default().into();
        restream.retry = self.retry.unwrap_or_default().into_model()?;
        Ok(restream)
    }
}

/// The input that would make the restream again.
impl From<&Restream> for RestreamInput {
    fn from(restream: &Restream) -> Self {
        let Restream {
            id: _,
            version: _,
            stream_id,
            name,
            active,
            client_user_id,
            target,
            backup_uri,
            rendition,
            audio_language,
            schedule,
            retry,
            stop_reason: _,
            created_at: _,
            updated_at: _,
        } = restream;
        let text = |secret: &Secret| secret.expose().to_owned();
        let (uri, destination_id, stream_key) = match target {
            RestreamTarget::Uri(uri) => (Some(text(uri)), None, None),
            RestreamTarget::Destination { destination_id, stream_key } => {
                (None, Some(destination_id.0), Some(text(stream_key)))
            }
        };
        Self {
            name: name.clone(),
            stream_id: stream_id.0,
            active: *active,
            uri,
            destination_id,
            stream_key,
            backup_uri: backup_uri.as_ref().map(text),
            rendition: wish_dto(rendition),
            audio_language: audio_language.clone(),
            schedule: Some((*schedule).into()),
            retry: Some((*retry).into()),
            client_user_id: *client_user_id,
        }
    }
}

/// The target: a `uri`, or a destination with a key, or a key that is a whole URL.
fn target_of(uri: Option<String>, destination: Option<i64>, key: Option<String>) -> Result<RestreamTarget, Problem> {
    match (uri, destination, key) {
        (Some(uri), None, None) => Ok(RestreamTarget::Uri(uri.trim().into())),
        (Some(_), Some(_), _) => Err(Problem::invalid("destination_id", "does not go with uri")),
        (Some(_), None, Some(_)) => Err(Problem::invalid("stream_key", "does not go with uri, which holds the key")),
        (None, Some(id), key) => Ok(RestreamTarget::Destination {
            destination_id: DestinationId(id),
            stream_key: key.unwrap_or_default().trim().into(),
        }),
        (None, None, Some(key)) => {
            let key = key.trim();
            if PushUrl::is_whole_url(key) {
                Ok(RestreamTarget::Uri(key.into()))
            } else {
                Err(Problem::invalid("destination_id", "is required with a stream_key that is not a whole URL"))
            }
        }
        (None, None, None) => Err(Problem::invalid("uri", "is required, or destination_id and stream_key")),
    }
}

/// A field that is absent stays as it is. `schedule` and `retry` are replaced as a whole.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestreamPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 1, max_length = 200)]
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
    /// The language of the sound, where only one is carried; null is the default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    audio_language: Option<Option<String>>,
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
    rendition: Option<RestreamRendition>,
    audio_language: Option<Option<String>>,
    schedule: Option<Schedule>,
    retry: Option<RetryRules>,
    client_user_id: Option<Option<i64>>,
}

#[derive(Debug)]
enum TargetChange {
    Whole(RestreamTarget),
    /// Another key goes to the same destination.
    Key(Secret),
    /// The same key goes to another destination.
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
            rendition: self.rendition.map(wish_of),
            audio_language: self.audio_language,
            schedule: self.schedule.map(Into::into),
            retry: self.retry.map(RetryDto::into_model).transpose()?,
            client_user_id: self.client_user_id,
        })
    }
}

impl RestreamChange {
    pub(crate) fn apply(&self, restream: &mut Restream) -> Result<(), CommandError> {
        set(&mut restream.name, self.name.as_ref());
        set(&mut restream.stream_id, self.stream_id.as_ref());
        set(&mut restream.active, self.active.as_ref());
        set(&mut restream.backup_uri, self.backup_uri.as_ref());
        set(&mut restream.rendition, self.rendition.as_ref());
        set(&mut restream.audio_language, self.audio_language.as_ref());
        set(&mut restream.schedule, self.schedule.as_ref());
        set(&mut restream.retry, self.retry.as_ref());
        set(&mut restream.client_user_id, self.client_user_id.as_ref());
        match &self.target {
            None => {}
            Some(TargetChange::Whole(target)) => restream.target = target.clone(),
            Some(TargetChange::Key(key)) => match &mut restream.target {
                RestreamTarget::Destination { stream_key, .. } => *stream_key = key.clone(),
                RestreamTarget::Uri(uri) if key.expose().contains("://") => *uri = key.clone(),
                RestreamTarget::Uri(_) => {
                    let message = "is part of this restream's uri: change the uri";
                    return Err(CommandError::invalid("stream_key", message));
                }
            },
            Some(TargetChange::Destination(id)) => match &mut restream.target {
                RestreamTarget::Destination { destination_id, .. } => *destination_id = *id,
                RestreamTarget::Uri(_) => {
                    return Err(CommandError::invalid("stream_key", "is required with a destination_id"));
                }
            },
        }
        Ok(())
    }
}

//! The shapes of a check: what would become of a restream, asked before it is made and while it is changed.

use crate::dto::ladder::{RenditionWishDto, wish_of};
use crate::dto::names::WarningCode;
use crate::dto::restream::{RetryDto, ScheduleDto};
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_control::{Judgement, checked_language};
use weir_model::{Platform, Platforms, PushUrl, RenditionDraft, RestreamRendition, StreamId};
use weir_transcode::Estimate;

/// The body of a restream that is only asked about. The answer depends on neither its name nor its key, so both may be left out, and an
/// address may be that of a server alone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a restream's body is taken as a whole: fields that change no answer are read and left")]
pub(crate) struct CheckInput {
    stream_id: i64,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    destination_id: Option<i64>,
    #[serde(default)]
    stream_key: Option<String>,
    #[serde(default)]
    rendition: Option<RenditionWishDto>,
    /// The language of the sound that would be sent where only one can be.
    #[serde(default)]
    audio_language: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    backup_uri: Option<String>,
    #[serde(default)]
    schedule: Option<ScheduleDto>,
    #[serde(default)]
    retry: Option<RetryDto>,
    #[serde(default)]
    client_user_id: Option<i64>,
}

/// Where the restream would go.
pub(crate) enum AskedTarget {
    Url(PushUrl),
    Destination(i64),
}

impl CheckInput {
    pub(crate) fn stream(&self) -> StreamId {
        StreamId(self.stream_id)
    }

    pub(crate) fn into_parts(self) -> Result<(AskedTarget, RestreamRendition, Option<String>), Problem> {
        let whole_key = self.stream_key.filter(|key| PushUrl::is_whole_url(key));
        let target = match (whole_key.or(self.uri), self.destination_id) {
            (Some(uri), _) => {
                let uri = uri.trim();
                // The key stands at the end of the path, so a server's address with one more piece is a whole one.
                let url = PushUrl::parse(uri).or_else(|_| PushUrl::from_server_and_key(uri, "key"));
                AskedTarget::Url(url.map_err(|fault| Problem::invalid("uri", fault))?)
            }
            (None, Some(id)) => AskedTarget::Destination(id),
            (None, None) => return Err(Problem::invalid("uri", "is required, or destination_id")),
        };
        let language = self.audio_language.as_deref().map(checked_language).transpose()?;
        Ok((target, wish_of(self.rendition), language))
    }
}

impl AskedTarget {
    /// The platform that the restream would go to. `of` finds a stored destination's platform by its id.
    pub(crate) fn platform<'a>(
        &self,
        platforms: &'a Platforms,
        of: impl FnOnce(i64) -> Option<String>,
    ) -> Result<&'a Platform, Problem> {
        match self {
            Self::Url(url) => platforms.of(url).ok_or_else(|| Problem::invalid("uri", "is of no known platform")),
            Self::Destination(id) => {
                let found = of(*id).and_then(|platform| platforms.get(&platform));
                found.ok_or_else(|| Problem::invalid("destination_id", "names nothing that exists"))
            }
        }
    }
}

/// A rule of the platform that the restream would break.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckWarningDto {
    #[schema(value_type = WarningCode)]
    code: &'static str,
    message: String,
    /// A rendition that breaks no rule, ready to be the restream's `rendition`.
    suggestion: Option<RenditionDraft>,
}

/// How many of this machine's cores it would take, as measured here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostDto {
    /// The cores that it takes on top of what the stream's other renditions take.
    cores: f64,
    /// Whether so many cores are free now.
    fits: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckDto {
    /// The platform whose rules these are.
    platform: String,
    /// Whether it is known what would be sent. The source as it is can only be known while it comes in.
    known: bool,
    warnings: Vec<CheckWarningDto>,
    /// If there are warnings, the name of a rendition of the stream's ladder that breaks no rule. It costs nothing more.
    of_ladder: Option<String>,
    /// The rendition that would be encoded, with everything filled in; null for the source as it is.
    rendition: Option<RenditionDraft>,
    /// What the encoding would cost; null if nothing would be encoded, and until the encoders here were tried. A source that does not come
    /// in yet counts as one of 1080p with 30 pictures a second.
    cost: Option<CostDto>,
}

impl CheckDto {
    pub(crate) fn new(platform: &Platform, judgement: Judgement, cost: Option<Estimate>) -> Self {
        let suggestion = judgement.suggestion.map(RenditionDraft::from);
        let warning = |violation: weir_model::Violation| CheckWarningDto {
            code: violation.code,
            message: violation.message,
            suggestion: suggestion.clone(),
        };
        Self {
            platform: platform.id.clone(),
            known: judgement.is_known,
            warnings: judgement.violations.into_iter().map(warning).collect(),
            of_ladder: judgement.of_ladder,
            rendition: judgement.rendition.map(RenditionDraft::from),
            cost: cost.map(|Estimate { cores, fits }| CostDto { cores: (cores * 100.0).round() / 100.0, fits }),
        }
    }
}

//! The shapes of a stream's sources, as they are asked for and as they are read.

use crate::dto::shown;
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{Slot, Source, SourceKind, masked_uri};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SourceKindDto {
    Push,
    Pull,
    Playlist,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceDto {
    slot: String,
    kind: SourceKindDto,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "loop")]
    looped: Option<bool>,
}

pub(crate) fn source_dto(source: &Source, reveal: bool) -> SourceDto {
    let mut dto = SourceDto {
        slot: source.slot.to_string(),
        kind: SourceKindDto::Push,
        stream_key: None,
        uri: None,
        items: None,
        looped: None,
    };
    match &source.kind {
        SourceKind::Push { stream_key } => dto.stream_key = Some(shown(stream_key, reveal)),
        SourceKind::Pull { uri } => {
            dto.kind = SourceKindDto::Pull;
            dto.uri = Some(if reveal { uri.expose().to_owned() } else { masked_uri(uri.expose()) });
        }
        SourceKind::Playlist { items, looped } => {
            dto.kind = SourceKindDto::Playlist;
            dto.items = Some(items.clone());
            dto.looped = Some(*looped);
        }
    }
    dto
}

/// In this version sources are of the kind `push` or `pull`; others are refused with the code `not_available`. `push` needs nothing more,
/// `pull` a `uri`, `playlist` its `items`. A `uri` that is sent back as it was read, without its secrets, keeps them.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceInput {
    /// The name of the slot, another one for each source. When absent it is `primary` for the first source, `backup` for the second, then
    /// `source-3` and so on.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9-]{1,32}$")]
    slot: Option<String>,
    kind: SourceKindDto,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    items: Option<Vec<String>>,
    #[serde(default, rename = "loop")]
    looped: Option<bool>,
}

/// The input that would make the source again, except for a stream key: those are never given, only made.
impl From<&Source> for SourceInput {
    fn from(source: &Source) -> Self {
        let Source { slot, kind } = source;
        let input = |kind| Self { slot: Some(slot.to_string()), kind, uri: None, items: None, looped: None };
        match kind {
            SourceKind::Push { stream_key: _ } => input(SourceKindDto::Push),
            SourceKind::Pull { uri } => Self { uri: Some(uri.expose().to_owned()), ..input(SourceKindDto::Pull) },
            SourceKind::Playlist { items, looped } => {
                Self { items: Some(items.clone()), looped: Some(*looped), ..input(SourceKindDto::Playlist) }
            }
        }
    }
}

pub(crate) fn sources_of(inputs: Vec<SourceInput>) -> Result<Vec<Source>, Problem> {
    inputs.into_iter().enumerate().map(|(i, input)| input.into_model(i)).collect()
}

impl SourceInput {
    fn into_model(self, number: usize) -> Result<Source, Problem> {
        let field = format!("sources[{number}]");
        let only = |wrong: bool, name: &str, kind: &str| {
            if wrong {
                Err(Problem::invalid(format!("{field}.{name}"), format!("goes with kind {kind} only")))
            } else {
                Ok(())
            }
        };
        let required = |name: &str| Problem::invalid(format!("{field}.{name}"), "is required");
        only(self.uri.is_some() && !matches!(self.kind, SourceKindDto::Pull), "uri", "pull")?;
        only(self.items.is_some() && !matches!(self.kind, SourceKindDto::Playlist), "items", "playlist")?;
        only(self.looped.is_some() && !matches!(self.kind, SourceKindDto::Playlist), "loop", "playlist")?;
        let slot = match (self.slot, number) {
            (Some(name), _) => slot_of(&name, &format!("{field}.slot"))?,
            (None, 0) => Slot::primary(),
            (None, 1) => Slot::backup(),
            (None, _) => slot_of(&format!("source-{}", number + 1), &format!("{field}.slot"))?,
        };
        let kind = match self.kind {
            SourceKindDto::Push => return Ok(Source::push(slot)),
            SourceKindDto::Pull => SourceKind::Pull { uri: self.uri.ok_or_else(|| required("uri"))?.into() },
            SourceKindDto::Playlist => SourceKind::Playlist {
                items: self.items.ok_or_else(|| required("items"))?,
                looped: self.looped.unwrap_or(false),
            },
        };
        Ok(Source { slot, kind })
    }
}

fn slot_of(name: &str, field: &str) -> Result<Slot, Problem> {
    Slot::new(name).map_err(|fault| Problem::invalid(field, fault))
}

/// Which push source gets a new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateInput {
    /// The slot of that source; when absent, all of them get one.
    #[serde(default)]
    slot: Option<String>,
}

impl RotateInput {
    pub(crate) fn slot(&self) -> Result<Option<Slot>, Problem> {
        self.slot.as_deref().map(|name| slot_of(name, "slot")).transpose()
    }
}

/// Which source is put on air by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchInput {
    /// The slot of that source, which is preferred to all others from then on; null goes back to the stream's order.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    slot: Option<Option<String>>,
}

impl SwitchInput {
    pub(crate) fn slot(&self) -> Result<Option<Slot>, Problem> {
        match self.slot.as_ref().and_then(Option::as_deref) {
            Some("slate") => Err(Problem::not_available("slot")),
            name => name.map(|name| slot_of(name, "slot")).transpose(),
        }
    }
}

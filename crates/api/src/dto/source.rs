//! The shapes of a stream's sources, as they are asked for and as they are read.

use crate::dto::shown;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{Slot, Source, SourceKind, masked_uri};

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SlotDto {
    Primary,
    Backup,
}

impl From<SlotDto> for Slot {
    fn from(slot: SlotDto) -> Self {
        match slot {
            SlotDto::Primary => Self::Primary,
            SlotDto::Backup => Self::Backup,
        }
    }
}

impl From<Slot> for SlotDto {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::Primary => Self::Primary,
            Slot::Backup => Self::Backup,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SourceKindDto {
    Push,
    Pull,
    Playlist,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceDto {
    slot: SlotDto,
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
        slot: source.slot.into(),
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

/// In this version a stream has one source, of the kind `push` or `pull` and in the slot `primary`; everything else is refused with the code
/// `not_available`. `push` needs nothing more, `pull` a `uri`, `playlist` its `items`. A `uri` that is sent back as it was read, without its
/// secrets, keeps them.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceInput {
    #[serde(default)]
    slot: Option<SlotDto>,
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
        let input = |kind| Self { slot: Some((*slot).into()), kind, uri: None, items: None, looped: None };
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
    inputs.into_iter().enumerate().map(|(i, input)| input.into_model(&format!("sources[{i}]"))).collect()
}

impl SourceInput {
    fn into_model(self, field: &str) -> Result<Source, Problem> {
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
        let slot = self.slot.map_or(Slot::Primary, Into::into);
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

/// Which push source gets a new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateInput {
    /// The slot of that source; when absent, all of them get one.
    #[serde(default)]
    pub(crate) slot: Option<SlotDto>,
}

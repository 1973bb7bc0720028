//! The shapes of renditions and ladders.

use crate::problem::Problem;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use utoipa::ToSchema;
use weir_model::{Ladder, Rendition, RenditionDraft, RenditionFault, RestreamRendition};

/// The renditions of a ladder, each with nothing left out. `field` is where they stand in the request.
pub(crate) fn whole_renditions(drafts: Vec<RenditionDraft>, field: &str) -> Result<Vec<Rendition>, Problem> {
    let whole = |(at, draft)| {
        let fault = |fault: RenditionFault| Problem::invalid(format!("{field}[{at}].{}", fault.field), fault.problem);
        Rendition::try_from(draft).map_err(fault)
    };
    drafts.into_iter().enumerate().map(whole).collect()
}

pub(crate) fn drafts_of(renditions: &[Rendition]) -> Vec<RenditionDraft> {
    renditions.iter().cloned().map(RenditionDraft::from).collect()
}

/// The name of a ladder, or a list of renditions.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LadderDto {
    Named(String),
    Inline(Vec<RenditionDraft>),
}

/// This is written by hand, because serde's untagged enums can't say which field is wrong.
impl<'de> Deserialize<'de> for LadderDto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = LadderDto;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a ladder's name or a list of renditions")
            }

            fn visit_str<E>(self, name: &str) -> Result<LadderDto, E> {
                Ok(LadderDto::Named(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<LadderDto, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(LadderDto::Inline)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

impl LadderDto {
    pub(crate) fn into_model(self) -> Result<Ladder, Problem> {
        Ok(match self {
            Self::Named(name) => Ladder::Named(name),
            Self::Inline(drafts) => Ladder::Inline(whole_renditions(drafts, "ladder")?),
        })
    }
}

impl From<&Ladder> for LadderDto {
    fn from(ladder: &Ladder) -> Self {
        match ladder {
            Ladder::Named(name) => Self::Named(name.clone()),
            Ladder::Inline(renditions) => Self::Inline(drafts_of(renditions)),
        }
    }
}

/// The name of a rendition of the stream's ladder, or a rendition of the restream's own, as it was given; null is the source as it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum RenditionWishDto {
    Named(String),
    Inline(RenditionDraft),
}

impl<'de> Deserialize<'de> for RenditionWishDto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = RenditionWishDto;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rendition's name, a rendition or null")
            }

            fn visit_str<E>(self, name: &str) -> Result<RenditionWishDto, E> {
                Ok(RenditionWishDto::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RenditionWishDto, A::Error> {
                RenditionDraft::deserialize(MapAccessDeserializer::new(map)).map(RenditionWishDto::Inline)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

pub(crate) fn wish_of(dto: Option<RenditionWishDto>) -> RestreamRendition {
    match dto {
        None => RestreamRendition::AsIs,
        Some(RenditionWishDto::Named(name)) => RestreamRendition::Named(name),
        Some(RenditionWishDto::Inline(draft)) => RestreamRendition::Inline(draft),
    }
}

pub(crate) fn wish_dto(asked: &RestreamRendition) -> Option<RenditionWishDto> {
    match asked {
        RestreamRendition::AsIs => None,
        RestreamRendition::Named(name) => Some(RenditionWishDto::Named(name.clone())),
        RestreamRendition::Inline(draft) => Some(RenditionWishDto::Inline(draft.clone())),
    }
}

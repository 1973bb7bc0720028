//! Renditions and ladders.

use crate::problem::Problem;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use utoipa::ToSchema;
use weir_model::{Encoding, EncodingSettings, Fit, Ladder, RateControl, Rendition, RenditionWish, VideoCodec};

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CodecDto {
    H264,
    H265,
    Av1,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RateControlDto {
    Cbr,
    Vbr,
}

/// What happens to a source of another shape than the rendition: bars around it, its middle only, or out of shape.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FitDto {
    Pad,
    Crop,
    Stretch,
}

/// Either `passthrough`, or a size and a bitrate.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenditionDto {
    name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    passthrough: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fps: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    video_bitrate_kbps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio_bitrate_kbps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    codec: Option<CodecDto>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gop_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_control: Option<RateControlDto>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fit: Option<FitDto>,
}

impl RenditionDto {
    /// `field` is where it stands in the request.
    pub(crate) fn into_model(self, field: &str) -> Result<Rendition, Problem> {
        let encodes = [
            self.width.is_some(),
            self.height.is_some(),
            self.fps.is_some(),
            self.video_bitrate_kbps.is_some(),
            self.audio_bitrate_kbps.is_some(),
            self.codec.is_some(),
            self.gop_seconds.is_some(),
            self.rate_control.is_some(),
            self.profile.is_some(),
            self.fit.is_some(),
        ];
        if self.passthrough {
            if encodes.contains(&true) {
                return Err(Problem::invalid(format!("{field}.passthrough"), "goes with a name and nothing else"));
            }
            return Ok(Rendition { name: self.name, encoding: Encoding::Passthrough });
        }
        let required = |value: Option<u32>, name: &str| {
            value.ok_or_else(|| Problem::invalid(format!("{field}.{name}"), "is required unless it is passthrough"))
        };
        let settings = EncodingSettings {
            width: required(self.width, "width")?,
            height: required(self.height, "height")?,
            fps: self.fps,
            video_bitrate_kbps: required(self.video_bitrate_kbps, "video_bitrate_kbps")?,
            audio_bitrate_kbps: self.audio_bitrate_kbps.unwrap_or(128),
            codec: match self.codec {
                None | Some(CodecDto::H264) => VideoCodec::H264,
                Some(CodecDto::H265) => VideoCodec::H265,
                Some(CodecDto::Av1) => VideoCodec::Av1,
            },
            gop_seconds: self.gop_seconds.unwrap_or(2.0),
            rate_control: match self.rate_control {
                None | Some(RateControlDto::Cbr) => RateControl::Cbr,
                Some(RateControlDto::Vbr) => RateControl::Vbr,
            },
            profile: self.profile,
            fit: match self.fit {
                None | Some(FitDto::Pad) => Fit::Pad,
                Some(FitDto::Crop) => Fit::Crop,
                Some(FitDto::Stretch) => Fit::Stretch,
            },
        };
        Ok(Rendition { name: self.name, encoding: Encoding::Encode(settings) })
    }
}

impl From<&Rendition> for RenditionDto {
    fn from(rendition: &Rendition) -> Self {
        let encode = match &rendition.encoding {
            Encoding::Passthrough => None,
            Encoding::Encode(settings) => Some(settings),
        };
        Self {
            name: rendition.name.clone(),
            passthrough: encode.is_none(),
            width: encode.map(|e| e.width),
            height: encode.map(|e| e.height),
            fps: encode.and_then(|e| e.fps),
            video_bitrate_kbps: encode.map(|e| e.video_bitrate_kbps),
            audio_bitrate_kbps: encode.map(|e| e.audio_bitrate_kbps),
            codec: encode.map(|e| match e.codec {
                VideoCodec::H264 => CodecDto::H264,
                VideoCodec::H265 => CodecDto::H265,
                VideoCodec::Av1 => CodecDto::Av1,
            }),
            gop_seconds: encode.map(|e| e.gop_seconds),
            rate_control: encode.map(|e| match e.rate_control {
                RateControl::Cbr => RateControlDto::Cbr,
                RateControl::Vbr => RateControlDto::Vbr,
            }),
            profile: encode.and_then(|e| e.profile.clone()),
            fit: encode.map(|e| match e.fit {
                Fit::Pad => FitDto::Pad,
                Fit::Crop => FitDto::Crop,
                Fit::Stretch => FitDto::Stretch,
            }),
        }
    }
}

/// A ladder's name, or renditions.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LadderDto {
    Named(String),
    Inline(Vec<RenditionDto>),
}

/// By hand, because serde's untagged enums can't say which field is wrong.
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
            Self::Inline(renditions) => Ladder::Inline(
                renditions
                    .into_iter()
                    .enumerate()
                    .map(|(i, rendition)| rendition.into_model(&format!("ladder[{i}]")))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

impl From<&Ladder> for LadderDto {
    fn from(ladder: &Ladder) -> Self {
        match ladder {
            Ladder::Named(name) => Self::Named(name.clone()),
            Ladder::Inline(renditions) => Self::Inline(renditions.iter().map(Into::into).collect()),
        }
    }
}

/// A rendition of the stream's ladder by name, or one of its own; null is the source as it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum RenditionWishDto {
    Named(String),
    Inline(RenditionDto),
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
                RenditionDto::deserialize(MapAccessDeserializer::new(map)).map(RenditionWishDto::Inline)
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

pub(crate) fn wish_of(dto: Option<RenditionWishDto>) -> Result<RenditionWish, Problem> {
    Ok(match dto {
        None => RenditionWish::AsIs,
        Some(RenditionWishDto::Named(name)) => RenditionWish::Named(name),
        Some(RenditionWishDto::Inline(rendition)) => RenditionWish::Inline(rendition.into_model("rendition")?),
    })
}

pub(crate) fn wish_dto(wish: &RenditionWish) -> Option<RenditionWishDto> {
    match wish {
        RenditionWish::AsIs => None,
        RenditionWish::Named(name) => Some(RenditionWishDto::Named(name.clone())),
        RenditionWish::Inline(rendition) => Some(RenditionWishDto::Inline(rendition.into())),
    }
}

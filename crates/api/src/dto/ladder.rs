//! Renditions and ladders.

use crate::problem::Problem;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use utoipa::ToSchema;
use weir_model::{
    AudioCodec, EncodingDraft, Fit, Ladder, PictureDraft, RateControl, Rendition, RenditionDraft, RestreamRendition,
    SoundDraft, VideoCodec,
};

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CodecDto {
    H264,
    H265,
    Av1,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AudioCodecDto {
    Aac,
    Opus,
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

/// Either `passthrough`, or a size and a bitrate, or `audio_bitrate_kbps` alone, which is sound without a picture. A restream's own
/// may leave out everything but its size: what is left out follows the platform's rules.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenditionDto {
    #[schema(pattern = "^[A-Za-z0-9_-]{1,32}$")]
    name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    passthrough: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192, multiple_of = 2)]
    width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 16, maximum = 8192, multiple_of = 2)]
    height: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 240)]
    fps: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 50, maximum = 200000)]
    video_bitrate_kbps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio_bitrate_kbps: Option<u32>,
    /// `aac` unless said otherwise; `opus` goes where it is taken (CMAF, Enhanced RTMP, SRT).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio_codec: Option<AudioCodecDto>,
    /// Brings the sound to this integrated loudness (EBU R128), -30 to -10; left out, it stays as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -30, maximum = -10)]
    loudness_lufs: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    codec: Option<CodecDto>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.5, maximum = 20)]
    gop_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_control: Option<RateControlDto>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(baseline|main|high|main10)$")]
    profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fit: Option<FitDto>,
}

impl RenditionDto {
    /// As it was said. `field` is where it stands in the request.
    pub(crate) fn into_draft(self, field: &str) -> Result<RenditionDraft, Problem> {
        let sound_said =
            self.audio_bitrate_kbps.is_some() || self.audio_codec.is_some() || self.loudness_lufs.is_some();
        let picture_said = [
            self.width.is_some(),
            self.height.is_some(),
            self.fps.is_some(),
            self.video_bitrate_kbps.is_some(),
            self.codec.is_some(),
            self.gop_seconds.is_some(),
            self.rate_control.is_some(),
            self.profile.is_some(),
            self.fit.is_some(),
        ]
        .contains(&true);
        let sound = SoundDraft {
            audio_bitrate_kbps: self.audio_bitrate_kbps,
            audio_codec: self.audio_codec.map(|codec| match codec {
                AudioCodecDto::Aac => AudioCodec::Aac,
                AudioCodecDto::Opus => AudioCodec::Opus,
            }),
            loudness_lufs: self.loudness_lufs,
        };
        if self.passthrough {
            if picture_said || sound_said {
                return Err(Problem::invalid(format!("{field}.passthrough"), "goes with a name and nothing else"));
            }
            return Ok(RenditionDraft { name: self.name, encoding: EncodingDraft::Passthrough });
        }
        if sound.audio_bitrate_kbps.is_some() && !picture_said {
            return Ok(RenditionDraft { name: self.name, encoding: EncodingDraft::Sound(sound) });
        }
        let required = |value: Option<u32>, name: &str| {
            let problem = "is required unless it is passthrough, or sound alone with nothing but audio_bitrate_kbps";
            value.ok_or_else(|| Problem::invalid(format!("{field}.{name}"), problem))
        };
        let picture = PictureDraft {
            width: required(self.width, "width")?,
            height: required(self.height, "height")?,
            fps: self.fps,
            video_bitrate_kbps: self.video_bitrate_kbps,
            codec: self.codec.map(|codec| match codec {
                CodecDto::H264 => VideoCodec::H264,
                CodecDto::H265 => VideoCodec::H265,
                CodecDto::Av1 => VideoCodec::Av1,
            }),
            gop_seconds: self.gop_seconds,
            rate_control: self.rate_control.map(|rate_control| match rate_control {
                RateControlDto::Cbr => RateControl::Cbr,
                RateControlDto::Vbr => RateControl::Vbr,
            }),
            profile: self.profile,
            fit: self.fit.map(|fit| match fit {
                FitDto::Pad => Fit::Pad,
                FitDto::Crop => Fit::Crop,
                FitDto::Stretch => Fit::Stretch,
            }),
            sound,
        };
        Ok(RenditionDraft { name: self.name, encoding: EncodingDraft::Encode(picture) })
    }

    /// The whole of it: a ladder is for nobody in particular, so its bitrate must be said.
    pub(crate) fn into_model(self, field: &str) -> Result<Rendition, Problem> {
        let draft = self.into_draft(field)?;
        if let EncodingDraft::Encode(PictureDraft { video_bitrate_kbps: None, .. }) = &draft.encoding {
            return Err(Problem::invalid(
                format!("{field}.video_bitrate_kbps"),
                "is required unless it is passthrough",
            ));
        }
        Ok(draft.fill(None))
    }
}

impl From<&Rendition> for RenditionDto {
    fn from(rendition: &Rendition) -> Self {
        (&RenditionDraft::from(rendition)).into()
    }
}

impl From<&RenditionDraft> for RenditionDto {
    fn from(draft: &RenditionDraft) -> Self {
        let (picture, sound) = match &draft.encoding {
            EncodingDraft::Passthrough => (None, None),
            EncodingDraft::Sound(sound) => (None, Some(sound)),
            EncodingDraft::Encode(picture) => (Some(picture), Some(&picture.sound)),
        };
        Self {
            name: draft.name.clone(),
            passthrough: matches!(draft.encoding, EncodingDraft::Passthrough),
            width: picture.map(|picture| picture.width),
            height: picture.map(|picture| picture.height),
            fps: picture.and_then(|picture| picture.fps),
            video_bitrate_kbps: picture.and_then(|picture| picture.video_bitrate_kbps),
            audio_bitrate_kbps: sound.and_then(|sound| sound.audio_bitrate_kbps),
            audio_codec: sound.and_then(|sound| sound.audio_codec).map(|codec| match codec {
                AudioCodec::Aac => AudioCodecDto::Aac,
                AudioCodec::Opus => AudioCodecDto::Opus,
            }),
            loudness_lufs: sound.and_then(|sound| sound.loudness_lufs),
            codec: picture.and_then(|picture| picture.codec).map(|codec| match codec {
                VideoCodec::H264 => CodecDto::H264,
                VideoCodec::H265 => CodecDto::H265,
                VideoCodec::Av1 => CodecDto::Av1,
            }),
            gop_seconds: picture.and_then(|picture| picture.gop_seconds),
            rate_control: picture.and_then(|picture| picture.rate_control).map(|rate_control| match rate_control {
                RateControl::Cbr => RateControlDto::Cbr,
                RateControl::Vbr => RateControlDto::Vbr,
            }),
            profile: picture.and_then(|picture| picture.profile.clone()),
            fit: picture.and_then(|picture| picture.fit).map(|fit| match fit {
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

/// A rendition of the stream's ladder by name, or one of its own, as it was said; null is the source as it is.
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

pub(crate) fn wish_of(dto: Option<RenditionWishDto>) -> Result<RestreamRendition, Problem> {
    Ok(match dto {
        None => RestreamRendition::AsIs,
        Some(RenditionWishDto::Named(name)) => RestreamRendition::Named(name),
        Some(RenditionWishDto::Inline(rendition)) => RestreamRendition::Inline(rendition.into_draft("rendition")?),
    })
}

pub(crate) fn wish_dto(asked: &RestreamRendition) -> Option<RenditionWishDto> {
    match asked {
        RestreamRendition::AsIs => None,
        RestreamRendition::Named(name) => Some(RenditionWishDto::Named(name.clone())),
        RestreamRendition::Inline(draft) => Some(RenditionWishDto::Inline(draft.into())),
    }
}

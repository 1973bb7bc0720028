//! The shapes of a stream's logo.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{Corner, LogoPlacement, Stream};

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CornerDto {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl From<CornerDto> for Corner {
    fn from(corner: CornerDto) -> Self {
        match corner {
            CornerDto::TopLeft => Self::TopLeft,
            CornerDto::TopRight => Self::TopRight,
            CornerDto::BottomLeft => Self::BottomLeft,
            CornerDto::BottomRight => Self::BottomRight,
        }
    }
}

impl From<Corner> for CornerDto {
    fn from(corner: Corner) -> Self {
        match corner {
            Corner::TopLeft => Self::TopLeft,
            Corner::TopRight => Self::TopRight,
            Corner::BottomLeft => Self::BottomLeft,
            Corner::BottomRight => Self::BottomRight,
        }
    }
}

/// Where the logo lies on every encoded rendition. The picture itself is put at `/streams/{id}/logo`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogoDto {
    position: CornerDto,
    /// The logo's width, in percent of the picture's width.
    width_percent: f64,
    /// The distance from both edges, in percent of the picture's width.
    margin_percent: f64,
    /// The opacity, from 0 to 1.
    opacity: f64,
    /// The picture; null if there is no logo.
    image: Option<LogoImageDto>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogoImageDto {
    width: u32,
    height: u32,
    /// The digest of the picture. Another picture has another digest.
    digest: String,
}

impl From<&Stream> for LogoDto {
    fn from(stream: &Stream) -> Self {
        let image = stream.logo_image.as_ref();
        Self {
            position: stream.logo.position.into(),
            width_percent: stream.logo.width_percent,
            margin_percent: stream.logo.margin_percent,
            opacity: stream.logo.opacity,
            image: image.map(|image| LogoImageDto {
                width: image.width,
                height: image.height,
                digest: image.digest.clone(),
            }),
        }
    }
}

/// A field that is absent stays as it is. On a new stream it is top_right, 12, 3 and 1.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogoInput {
    #[serde(default)]
    position: Option<CornerDto>,
    /// The logo's width, from 1 to 100 percent of the picture's.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    width_percent: Option<f64>,
    /// The distance from both edges, from 0 to 50 percent of the picture's width.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 50)]
    margin_percent: Option<f64>,
    /// The opacity, from 0 to 1.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    opacity: Option<f64>,
}

impl From<&LogoPlacement> for LogoInput {
    fn from(placement: &LogoPlacement) -> Self {
        let LogoPlacement { position, width_percent, margin_percent, opacity } = *placement;
        Self {
            position: Some(position.into()),
            width_percent: Some(width_percent),
            margin_percent: Some(margin_percent),
            opacity: Some(opacity),
        }
    }
}

impl LogoInput {
    pub(crate) fn apply(&self, placement: &mut LogoPlacement) {
        placement.position = self.position.map_or(placement.position, Into::into);
        placement.width_percent = self.width_percent.unwrap_or(placement.width_percent);
        placement.margin_percent = self.margin_percent.unwrap_or(placement.margin_percent);
        placement.opacity = self.opacity.unwrap_or(placement.opacity);
    }
}

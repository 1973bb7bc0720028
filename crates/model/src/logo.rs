//! The picture that is laid over every encoded rendition of a stream, and where it lies.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The most bytes of a logo. An overlay is small; a larger file was not made for it.
pub const LOGO_BYTES_MAX: usize = 1 << 20;
/// The most pixels on either side. The largest logo takes 16 MB when decoded.
pub const LOGO_SIDE_MAX: u32 = 2000;

/// Where a logo lies. Sizes are parts of the canvas, so that it is at the same place in every rendition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogoPlacement {
    pub position: Corner,
    /// The width of the logo in per cent of the canvas's width. The height follows from its shape.
    pub width_percent: f64,
    /// The distance from both edges in per cent of the canvas's width.
    pub margin_percent: f64,
    /// The opacity: 0 is invisible, 1 is as the logo was made.
    pub opacity: f64,
}

impl Default for LogoPlacement {
    fn default() -> Self {
        Self { position: Corner::TopRight, width_percent: 12.0, margin_percent: 3.0, opacity: 1.0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corner {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl Corner {
    pub const ALL: [Self; 4] = [Self::TopLeft, Self::TopRight, Self::BottomLeft, Self::BottomRight];
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct LogoPlacementFault {
    pub field: &'static str,
    pub problem: &'static str,
}

impl LogoPlacement {
    pub fn check(&self) -> Result<(), LogoPlacementFault> {
        let fault = |field, problem| Err(LogoPlacementFault { field, problem });
        if !(1.0..=100.0).contains(&self.width_percent) {
            return fault("width_percent", "must be from 1 to 100");
        }
        if !(0.0..=50.0).contains(&self.margin_percent) {
            return fault("margin_percent", "must be from 0 to 50");
        }
        if !(0.0..=1.0).contains(&self.opacity) {
            return fault("opacity", "must be from 0 to 1");
        }
        Ok(())
    }
}

/// A stream's logo as it was uploaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogoImage {
    /// The start of the PNG's SHA-256, in hexadecimal digits. Another picture has another one.
    pub digest: String,
    pub width: u32,
    pub height: u32,
    /// The PNG. It is empty in lists of streams, which do not carry pictures.
    #[serde(skip)]
    pub png: Arc<[u8]>,
}

/// Two images are equal if they are the same picture, whether its bytes are carried along or not.
impl PartialEq for LogoImage {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_their_field() {
        let usual = LogoPlacement::default();
        assert_eq!(usual.check(), Ok(()));
        for (placement, field) in [
            (LogoPlacement { width_percent: 0.5, ..usual }, "width_percent"),
            (LogoPlacement { width_percent: 100.1, ..usual }, "width_percent"),
            (LogoPlacement { margin_percent: -1.0, ..usual }, "margin_percent"),
            (LogoPlacement { margin_percent: f64::NAN, ..usual }, "margin_percent"),
            (LogoPlacement { opacity: 1.5, ..usual }, "opacity"),
        ] {
            assert_eq!(placement.check().unwrap_err().field, field);
        }
    }
}

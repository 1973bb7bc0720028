//! Changes to the logos of streams.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use weir_model::{LogoImage, Stream, StreamId};
use weir_pipeline::LogoPixels;
use weir_store::StoreError;

use super::{CommandError, Commands, Result};

/// The part of the picture's SHA-256 that is kept: enough to tell two pictures apart.
const DIGEST_BYTES: usize = 8;

/// Reads a PNG, and describes it.
pub async fn read_logo(png: Vec<u8>) -> Result<LogoImage> {
    // Reading it takes milliseconds, and some tens of them for the largest.
    let read = tokio::task::spawn_blocking(move || LogoPixels::decode(&png).map(|pixels| (pixels, png))).await;
    let read = read.map_err(|_| CommandError::invalid("logo", "can't be read"))?;
    let (pixels, png) = read.map_err(|fault| CommandError::invalid("logo", fault))?;
    let mut digest = String::new();
    for byte in Sha256::digest(&png).iter().take(DIGEST_BYTES) {
        let _ = write!(digest, "{byte:02x}");
    }
    Ok(LogoImage { digest, width: pixels.width, height: pixels.height, png: png.into() })
}

impl Commands {
    /// Checks a PNG, and lays it over the stream's renditions from now on.
    pub async fn set_logo(&self, id: StreamId, version: Option<i64>, png: Vec<u8>) -> Result<Stream> {
        let image = read_logo(png).await?;
        self.change_logo(id, version, Some(image)).await
    }

    /// Removes the logo; the error is NotFound where there is none.
    pub async fn remove_logo(&self, id: StreamId, version: Option<i64>) -> Result<Stream> {
        self.change_logo(id, version, None).await
    }

    async fn change_logo(&self, id: StreamId, version: Option<i64>, image: Option<LogoImage>) -> Result<Stream> {
        let _changing = self.shared.changing.lock().await;
        let old = self.store().stream(id).await?;
        if version.is_some_and(|version| version != old.version) {
            return Err(StoreError::Stale.into());
        }
        match (&old.logo_image, &image) {
            (None, None) => return Err(StoreError::NotFound.into()),
            (before, now) if before == now => return Ok(old),
            _ => {}
        }
        let stream = self.store().set_logo(id, image.as_ref()).await?;
        self.follow().await?;
        self.tell_changed(&old, &stream, &[]);
        Ok(stream)
    }
}

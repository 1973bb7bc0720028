//! Tells once in the log what processes that read media from outside are kept from here, and hides the server's own memory from them.

use weir_transcode::EncodingResources;

/// A worker runs as the server's user. Without this it could read the
/// server's memory, where the secrets are, on kernels without Landlock.
pub(crate) fn hide_memory() {
    if let Err(error) = weir_confine::hide_memory() {
        tracing::warn!(error, "the server's memory can't be hidden from other processes of its user");
    }
}

pub(crate) async fn tell(encoding: EncodingResources) {
    match encoding.confinement().await {
        Ok(report) if report.missing.is_empty() => tracing::info!("{report}"),
        Ok(report) => tracing::warn!("{report}"),
        Err(error) => tracing::warn!(error, "it is not known how workers are shut in"),
    }
}

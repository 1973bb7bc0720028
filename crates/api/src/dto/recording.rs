//! The shape of recordings as they are listed.

use crate::dto::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use weir_packager::Recording;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingDto {
    id: i64,
    stream_id: i64,
    file_name: String,
    /// Whether the recording still grows. It can be downloaded as it is all the same.
    recording: bool,
    started_at: Timestamp,
    /// The duration; null while the recording goes on.
    duration_seconds: Option<f64>,
    bytes: u64,
    /// The address of the file, for GET with or without ranges.
    file: String,
}

impl From<Recording> for RecordingDto {
    fn from(recording: Recording) -> Self {
        let millis = |duration: std::time::Duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0;
        Self {
            id: recording.id,
            stream_id: recording.stream_id.0,
            recording: recording.duration.is_none(),
            started_at: recording.started_at.into(),
            duration_seconds: recording.duration.map(millis),
            bytes: recording.bytes,
            file: format!("/api/v1/recordings/{}/file", recording.id),
            file_name: recording.file_name,
        }
    }
}

//! The shapes of figures over time.

use crate::dto::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use weir_observe::Past;

/// The points of all series have the same times: the first one's is `from`, each is `step_seconds` after the one before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsDto {
    from: Timestamp,
    /// The time between two points: 1 within the last 15 minutes, otherwise 10.
    step_seconds: u64,
    /// How many points each series has.
    points: usize,
    series: Vec<SeriesDto>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SeriesDto {
    /// The metric. A stream has ingest_bitrate_bps, ingest_fps, ingest_gop_seconds, segment_late_seconds, viewers_hls, viewers_dash,
    /// viewers_webrtc, viewers_rtmp, viewers_srt, rendition_bitrate_bps and rendition_fps; a restream has sent_bitrate_bps,
    /// acked_bitrate_bps and rtt_ms. A metric that never was above zero is left out.
    metric: &'static str,
    /// The rendition's name, if the metric belongs to a rendition.
    rendition: Option<String>,
    /// The points of the metric, null where nothing was measured.
    values: Vec<Option<f64>>,
}

impl From<Past> for StatsDto {
    fn from(past: Past) -> Self {
        let series = past.figures.into_iter().map(|(metric, values)| SeriesDto {
            values: values.into_iter().map(|value| value.map(|value| readable(metric.name, value))).collect(),
            metric: metric.name,
            rendition: metric.of,
        });
        Self { from: past.from.into(), step_seconds: past.step_seconds, points: past.points, series: series.collect() }
    }
}

/// Rounds a figure. Values are kept to 0.05 %, which makes half viewers and thousandths of a bit.
fn readable(name: &str, value: f64) -> f64 {
    if name.starts_with("viewers_") || name.ends_with("_bps") {
        value.round()
    } else {
        (value * 1_000.0).round() / 1_000.0
    }
}

//! Figures over time.

use crate::dto::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use weir_observe::Past;

/// The points of all series have the same times: the first one's is `from`, each is `step_seconds` after the one before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsDto {
    from: Timestamp,
    /// 1 within the last 15 minutes, else 10.
    step_seconds: u64,
    /// How many points each series has.
    points: usize,
    series: Vec<SeriesDto>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SeriesDto {
    /// Of a stream: ingest_bitrate_bps, ingest_fps, ingest_gop_seconds, segment_late_seconds, viewers_hls, viewers_dash,
    /// viewers_webrtc, viewers_rtmp, viewers_srt, rendition_bitrate_bps, rendition_fps. Of a restream: sent_bitrate_bps,
    /// acked_bitrate_bps, rtt_ms. What never was above zero is not there.
    metric: &'static str,
    /// The rendition's name, where the metric is a rendition's.
    rendition: Option<String>,
    /// Null where nothing was measured.
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

/// Half a viewer is the rounding of what was kept, and so is a thousandth of a bit.
fn readable(name: &str, value: f64) -> f64 {
    if name.starts_with("viewers_") || name.ends_with("_bps") {
        value.round()
    } else {
        (value * 1_000.0).round() / 1_000.0
    }
}

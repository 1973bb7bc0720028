//! The shapes of platforms and their rules.

use serde::Serialize;
use utoipa::ToSchema;
use weir_model::Platform;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlatformDto {
    id: String,
    title: String,
    /// The scheme of its URLs.
    protocol: String,
    /// The server that everyone uses there, if there is one.
    url: Option<String>,
    backup_url: Option<String>,
    /// A server's address as an example, where it is not `protocol://host/app`, and in words what it has to say.
    server_example: Option<String>,
    server_help: Option<String>,
    key_help: String,
    enhanced_rtmp: bool,
    rules: RulesDto,
    retry: RetryBudgetDto,
}

/// The platform's rules. Null and empty mean that there is no rule.
#[derive(Debug, Serialize, ToSchema)]
struct RulesDto {
    gop_recommended_seconds: f64,
    gop_max_seconds: Option<f64>,
    video_recommended_kbps: Option<u32>,
    video_max_kbps: Option<u32>,
    cbr: bool,
    max_width: Option<u32>,
    max_height: Option<u32>,
    max_fps: Option<u32>,
    video_codecs: Vec<String>,
    video_profiles: Vec<String>,
    audio_codecs: Vec<String>,
    video_required: bool,
    audio_required: bool,
    audio_max_kbps: Option<u32>,
    b_frames: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct RetryBudgetDto {
    min_backoff_seconds: f64,
    max_backoff_seconds: f64,
    attempts_per_10_minutes: u32,
}

impl From<&Platform> for PlatformDto {
    fn from(platform: &Platform) -> Self {
        let rules = &platform.rules;
        Self {
            id: platform.id.clone(),
            title: platform.title.clone(),
            protocol: platform.protocol.clone(),
            url: platform.url.clone(),
            backup_url: platform.backup_url.clone(),
            server_example: platform.server_example.clone(),
            server_help: platform.server_help.clone(),
            key_help: platform.key_help.clone(),
            enhanced_rtmp: platform.enhanced_rtmp,
            rules: RulesDto {
                gop_recommended_seconds: rules.gop_recommended_seconds,
                gop_max_seconds: rules.gop_max_seconds,
                video_recommended_kbps: rules.video_recommended_kbps,
                video_max_kbps: rules.video_max_kbps,
                cbr: rules.cbr,
                max_width: rules.max_width,
                max_height: rules.max_height,
                max_fps: rules.max_fps,
                video_codecs: rules.video_codecs.clone(),
                video_profiles: rules.video_profiles.clone(),
                audio_codecs: rules.audio_codecs.clone(),
                video_required: rules.video_required,
                audio_required: rules.audio_required,
                audio_max_kbps: rules.audio_max_kbps,
                b_frames: rules.b_frames,
            },
            retry: RetryBudgetDto {
                min_backoff_seconds: platform.retry.min_backoff.as_secs_f64(),
                max_backoff_seconds: platform.retry.max_backoff.as_secs_f64(),
                attempts_per_10_minutes: platform.retry.attempts_per_10_minutes,
            },
        }
    }
}

//! Every code that a warning can have, for programs that show warnings.

/// The codes in the order of the alphabet. A new one goes here with the code that warns.
pub const WARNING_CODES: &[&str] = &[
    "audio_bitrate_too_high",
    "audio_language_missing",
    "b_frames",
    "bitrate_drop",
    "bitrate_too_high",
    "codec_not_carried",
    "codec_not_playable",
    "codec_unsupported_by_destination",
    "fps_drop",
    "fps_too_high",
    "gop_too_long",
    "missing_audio",
    "missing_video",
    "not_cbr",
    "picture_too_large",
    "profile_unsupported_by_destination",
    "rtmp_on_lossy_path",
    "srt_latency_below_rtt",
    "srt_latency_low",
    "srt_latency_missing",
    "srt_loss_not_repaired",
];

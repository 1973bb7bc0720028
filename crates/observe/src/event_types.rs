//! Every type that an event can have: programs that follow events know by it what may come.

/// In the order of the alphabet. `crates/server/tests/layers.rs` holds that what is emitted is here.
pub const EVENT_TYPES: &[&str] = &[
    "api_key_refused",
    "configuration_reloaded",
    "dvr_disk_full",
    "dvr_disk_recovered",
    "ingest_refused",
    "play_refused",
    "recording_disk_full",
    "recording_ended",
    "recording_recovered",
    "recording_started",
    "rendition_degraded",
    "rendition_planned",
    "rendition_recovered",
    "rendition_refused",
    "restream_state",
    "scte35",
    "segment_late",
    "stream_state",
    "stream_warning",
    "worker_failed",
];

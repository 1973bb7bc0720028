//! The types of events: the one list for the log of events, for webhooks and for the API's description.

use crate::named::named;

named!(
    /// What happened, in one word. The API calls it the event's `type`.
    EventKind {
    StreamState = "stream_state",
    StreamWarning = "stream_warning",
    RestreamState = "restream_state",
    /// Something about the restream is not right, such as a broken rule of its platform.
    RestreamWarning = "restream_warning",
    /// A publisher was sent away.
    IngestRefused = "ingest_refused",
    /// A player was sent away.
    PlayRefused = "play_refused",
    /// Somebody called the API with a key that does not exist.
    ApiKeyRefused = "api_key_refused",
    /// The source carries a mark for an advertisement.
    Scte35 = "scte35",
    RenditionPlanned = "rendition_planned",
    RenditionRefused = "rendition_refused",
    RenditionDegraded = "rendition_degraded",
    RenditionRecovered = "rendition_recovered",
    WorkerFailed = "worker_failed",
    SegmentLate = "segment_late",
    DvrDiskFull = "dvr_disk_full",
    DvrDiskRecovered = "dvr_disk_recovered",
    RecordingStarted = "recording_started",
    RecordingEnded = "recording_ended",
    RecordingDiskFull = "recording_disk_full",
    RecordingRecovered = "recording_recovered",
    /// The configuration was read again after a SIGHUP.
    ConfigurationReloaded = "configuration_reloaded",
    // The events below tell what is asked for, and who may ask. Each has `by`, and `changed` if fields were changed.
    StreamCreated = "stream_created",
    StreamChanged = "stream_changed",
    StreamDeleted = "stream_deleted",
    StreamKeyRotated = "stream_key_rotated",
    PlayTokenIssued = "play_token_issued",
    PlayTokensRevoked = "play_tokens_revoked",
    DestinationCreated = "destination_created",
    DestinationChanged = "destination_changed",
    DestinationDeleted = "destination_deleted",
    RestreamCreated = "restream_created",
    RestreamChanged = "restream_changed",
    RestreamDeleted = "restream_deleted",
    LadderCreated = "ladder_created",
    LadderChanged = "ladder_changed",
    LadderDeleted = "ladder_deleted",
    UserCreated = "user_created",
    UserChanged = "user_changed",
    UserDeleted = "user_deleted",
    ApikeyCreated = "apikey_created",
    ApikeyChanged = "apikey_changed",
    ApikeyDeleted = "apikey_deleted",
    WebhookCreated = "webhook_created",
    WebhookDeleted = "webhook_deleted",
});

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_one_of_its_own_and_found_again() {
        let names: BTreeSet<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), EventKind::ALL.len());
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.as_str()), Some(*kind));
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(kind.as_str().chars().all(plain), "{kind}");
        }
    }
}

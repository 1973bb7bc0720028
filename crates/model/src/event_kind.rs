//! The types of events: the one list for the log of events, for webhooks and for the API's description.

use std::fmt;

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// What happened, in one word. The API calls it the event's `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[$doc])* $variant,)+
            /// Something that is stored was created, changed or deleted. The store says by which word each noun is told.
            Stored(&'static str),
        }

        impl EventKind {
            /// All types but `Stored`, which the store lists.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in the API, SQL and logs.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Stored(name) => name,
                }
            }
        }
    };
}

event_kinds! {
    StreamState = "stream_state",
    StreamWarning = "stream_warning",
    /// Another source has come on air.
    SourceSwitched = "source_switched",
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
    // The events below tell what is asked for. Each has `by`.
    /// Somebody chose by hand which source is on air.
    SourceChosen = "source_chosen",
    StreamKeyRotated = "stream_key_rotated",
    PlayTokenIssued = "play_token_issued",
    PlayTokensRevoked = "play_tokens_revoked",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_one_of_its_own() {
        let names: BTreeSet<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), EventKind::ALL.len());
        for kind in EventKind::ALL {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(kind.as_str().chars().all(plain), "{kind}");
        }
    }
}

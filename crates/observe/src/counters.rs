//! Counts of the whole process that belong to no stream.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $help:literal;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $variant),+ }

        impl Counter {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),+ }
            }
        }

        const COUNT: usize = Counter::ALL.len();
    };
}

counters! {
    RtmpConnections = "weir_rtmp_connections_total", "RTMP and RTMPS connections accepted.";
    RtmpConnectionsFailed = "weir_rtmp_connections_failed_total", "RTMP connections closed for a fault of the peer.";
    SrtConnections = "weir_srt_connections_total", "SRT connections let in.";
    WhipConnections = "weir_whip_connections_total", "Publishers by WebRTC that were answered.";
    IngestRefused = "weir_ingest_refused_total", "Publishers refused: unknown key, disabled, or already publishing.";
    PlayRefused = "weir_play_refused_total", "Players refused.";
    ApiKeysRefused = "weir_api_keys_refused_total", "Calls of the API with a key that does not exist, or from an address that guesses.";
    HttpLimited = "weir_http_limited_total", "HTTP connections and requests refused by a limit.";
    HttpSlowReaders = "weir_http_slow_readers_total", "HTTP connections closed because the client did not read.";
    PlayTextsWritten = "weir_play_texts_written_total", "Playlists and manifests written: each version once, for all viewers.";
    PlacesGivenUp = "weir_places_given_up_total", "Connections that only waited and were closed for newcomers, all places being taken.";
    TimelineRepairs = "weir_timeline_repairs_total", "Jumps, resets, wraps and backward steps of source clocks that were repaired.";
    SourceSwitches = "weir_source_switches_total", "How often another source of a stream came on air.";
    LogLinesDropped = "weir_log_lines_dropped_total", "Lines of the log that were dropped because whoever reads it was too slow.";
    HubSkippedFrames = "weir_hub_skipped_frames_total", "Frames that slow subscribers skipped.";
}

/// One atomic for each count. They are relaxed, because each is only added to and read alone.
#[derive(Debug, Default)]
pub struct Counters {
    values: [AtomicU64; COUNT],
}

impl Counters {
    pub fn add(&self, counter: Counter, count: u64) {
        if let Some(value) = self.values.get(counter as usize) {
            value.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub fn get(&self, counter: Counter) -> u64 {
        self.values.get(counter as usize).map_or(0, |value| value.load(Ordering::Relaxed))
    }
}

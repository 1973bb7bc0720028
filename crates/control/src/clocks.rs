//! The streams' clocks: gone on with from where they were noted, and noted while frames come.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use weir_hub::{StreamClock, StreamHub};
use weir_media::{ClockMark, MediaTime, NOTED_EVERY};
use weir_model::{Stream, StreamId};

use crate::commands::Commands;
use crate::parts;
use crate::shelves::Shelves;

/// Media of a source in real time is no longer than this between two notes.
const LEAP_MAX: Duration = NOTED_EVERY.saturating_mul(2);
/// A database that takes longer is tried again, so that what runs is not held up.
const WRITE_MAX: Duration = Duration::from_secs(1);
/// After one that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What was noted of the streams that run, and when.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    noted: BTreeMap<StreamId, MediaTime>,
    noted_at: Option<Instant>,
    not_before: Option<Instant>,
}

impl Clocks {
    /// The clock of a stream that is to run. None: it can't be known now whether it has one, and nobody may guess.
    ///
    /// The stream's window on disk knows, too: what was packaged after the last note, and all there is to know if the stream was last run by
    /// a version that noted nothing.
    pub(crate) async fn of(stream: &Stream, commands: &Commands, shelves: &Shelves) -> Option<StreamClock> {
        let (id, slot) = (stream.id, parts::slot(stream));
        let noted = match commands.stream_clock(id).await {
            Ok(noted) => noted,
            Err(error) => {
                tracing::error!(stream_id = %id, %error, "a stream's clock could not be read: the stream waits for it");
                return None;
            }
        };
        let of_window = match shelves.dvr.clone() {
            Some(dvr) => tokio::task::spawn_blocking(move || dvr.clock_mark(id)).await.ok()?,
            None => Ok(None),
        };
        let of_window = of_window.unwrap_or_else(|error| {
            tracing::error!(stream_id = %id, %error, "a stream's window can't be read: its clock goes on without it");
            None
        });
        let mark = match (noted, of_window) {
            (Some(noted), Some(of_window)) => Some(noted.with(of_window)),
            (noted, of_window) => noted.or(of_window),
        };
        Some(mark.map_or_else(StreamClock::new, |mark| StreamClock::resumed(&mark, slot)))
    }

    /// Notes those that are due.
    pub(crate) async fn note(&mut self, runs: impl Iterator<Item = (StreamId, &StreamHub)>, commands: &Commands) {
        let now = Instant::now();
        let due = self.due(runs, now);
        if due.is_empty() {
            return;
        }
        match timeout(WRITE_MAX, commands.note_stream_clocks(&due)).await {
            Ok(Ok(())) => {
                // Those that came in between do not put the others off.
                if self.is_time(now) {
                    self.noted_at = Some(now);
                }
                self.noted.extend(due.iter().map(|(id, mark)| (*id, mark.reached)));
                return;
            }
            Ok(Err(error)) => tracing::error!(%error, "the streams' clocks could not be noted; it is tried again"),
            Err(_) => tracing::error!("the database takes too long to note the streams' clocks; it is tried again"),
        }
        self.not_before = Some(now + AGAIN_AFTER);
    }

    pub(crate) fn forget(&mut self, id: StreamId) {
        self.noted.remove(&id);
    }

    fn is_time(&self, now: Instant) -> bool {
        self.noted_at.is_none_or(|at| now >= at + NOTED_EVERY)
    }

    /// All that have come further, now and then; one of which nothing was noted in this run, or that is faster than real time, at once.
    fn due<'a>(
        &self,
        runs: impl Iterator<Item = (StreamId, &'a StreamHub)>,
        now: Instant,
    ) -> Vec<(StreamId, ClockMark)> {
        if self.not_before.is_some_and(|at| now < at) {
            return Vec::new();
        }
        let all = self.is_time(now);
        let marks = runs.filter_map(|(id, hub)| {
            let pulse = hub.pulse();
            pulse.last_frame_at?;
            let known = self.noted.get(&id);
            let reached = pulse.last_frame_time;
            let is_due = known.is_none_or(|known| reached.since(*known) > LEAP_MAX || all && *known != reached);
            Some((id, hub.clock().mark(pulse.last_frame_time)?)).filter(|_| is_due)
        });
        marks.collect()
    }

    /// Where all of them are, for the last time.
    pub(crate) async fn note_all(runs: &[(StreamId, StreamHub)], commands: &Commands) {
        Self::default().note(runs.iter().map(|(id, hub)| (*id, hub)), commands).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::sync::Arc;
    use weir_hub::WindowLimits;
    use weir_media::{Codec, Frame, FrameFlags, TrackId, TrackInfo};

    fn frame(hub: &StreamHub, millis: i64) {
        let mut publisher = hub.publish_source(std::time::Instant::now());
        let track = TrackId::SOURCE_VIDEO;
        publisher.set_tracks(std::iter::once(Arc::new(TrackInfo::new(track, Codec::H264, Bytes::new()))).collect());
        let time = MediaTime::from_millis(millis);
        let flags = FrameFlags { keyframe: true, discontinuity: false };
        publisher.write(Frame { track, dts: time, pts: time, flags, payload: Bytes::new() }, std::time::Instant::now());
    }

    #[test]
    fn the_first_frame_is_noted_at_once_and_others_now_and_then() {
        let (hub, mut clocks, start) = (
            StreamHub::on(StreamClock::begun(time::OffsetDateTime::now_utc(), 7), WindowLimits::FRAMES),
            Clocks::default(),
            Instant::now(),
        );
        let id = StreamId(3);
        let due = |clocks: &Clocks, at: Duration| -> Vec<i64> {
            clocks.due([(id, &hub)].into_iter(), start + at).iter().map(|(_, mark)| mark.reached.as_millis()).collect()
        };
        assert!(due(&clocks, Duration::ZERO).is_empty(), "never published");
        frame(&hub, 40);
        clocks.noted_at = Some(start);
        assert_eq!(due(&clocks, Duration::from_millis(500)), [40]);
        clocks.noted.insert(id, MediaTime::from_millis(40));
        frame(&hub, 80);
        for (seconds, expected) in [(1, vec![]), (9, vec![]), (10, vec![80])] {
            assert_eq!(due(&clocks, Duration::from_secs(seconds)), expected, "{seconds}");
        }
        clocks.not_before = Some(start + Duration::from_secs(12));
        assert!(due(&clocks, Duration::from_secs(11)).is_empty());
        clocks.noted.insert(id, MediaTime::from_millis(80));
        assert!(due(&clocks, Duration::from_secs(60)).is_empty(), "it stands still");
        frame(&hub, 90_000);
        clocks.noted_at = Some(start + Duration::from_secs(60));
        assert_eq!(due(&clocks, Duration::from_secs(60)), [90_000], "a source that is faster than real time");
        clocks.noted.insert(id, MediaTime::from_millis(90_000));
        assert!(due(&clocks, Duration::from_secs(60)).is_empty());
        clocks.forget(id);
        assert_eq!(due(&clocks, Duration::from_secs(60)), [90_000]);
    }
}

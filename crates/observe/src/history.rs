//! What the live board has shown over time: a series for each figure of each stream and restream that is or was live.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use time::OffsetDateTime;
use weir_model::{RestreamId, RestreamStatus, StreamId, StreamStatus};

use crate::board::{Board, StreamLine};
use crate::series::{COARSE_SECONDS, COARSE_STEP_SECONDS, FINE_SECONDS, Series};

/// A series that is a day long takes 19 kB, so 4,096 of them take 78 MB: 250 streams with four renditions each. Figures beyond that are
/// live on the board and have no past.
pub const SERIES_MAX: usize = 4_096;

/// The stream or restream whose past it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Stream(StreamId),
    Restream(RestreamId),
}

/// One figure of a subject; `of` names the rendition where there are several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    pub name: &'static str,
    pub of: Option<String>,
}

/// All figures of one subject, over the same times.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// The time of the first point.
    pub from: OffsetDateTime,
    pub step_seconds: u64,
    pub points: usize,
    pub figures: Vec<(Metric, Vec<Option<f64>>)>,
}

#[derive(Debug)]
pub struct History {
    /// When second zero was, by a clock that is never set.
    began: Instant,
    began_unix_seconds: u64,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    of: BTreeMap<Subject, Record>,
    series: usize,
}

#[derive(Debug, Default)]
struct Record {
    figures: BTreeMap<Metric, Series>,
    /// The bytes sent and acknowledged when they were last looked at, and the second of that.
    bytes: Option<(u64, u64, u64)>,
}

impl History {
    pub(crate) fn new(started_at: OffsetDateTime) -> Self {
        let began_unix_seconds = u64::try_from(started_at.unix_timestamp()).unwrap_or(0);
        Self { began: Instant::now(), began_unix_seconds, records: Mutex::default() }
    }

    /// Records what the board shows; called once a second.
    pub(crate) fn look(&self, board: &Board, now: Instant) {
        let second = self.second(now);
        let mut records = self.records();
        board.each_stream(|id, line| records.stream(second, id, line));
        board.each_restream(|id, status| records.restream(second, id, status));
        if second.is_multiple_of(60) {
            records.forget(second);
        }
    }

    /// The past from `since` on, or the last quarter of an hour: in seconds where those are kept, and otherwise in steps of ten seconds.
    pub fn past(&self, subject: Subject, since: Option<OffsetDateTime>, now: Instant) -> Past {
        let end = self.second(now);
        let since = since.map_or(0, |since| u64::try_from(since.unix_timestamp()).unwrap_or(0)).min(end);
        let (is_fine, step) = match since > 0 && since < end.saturating_sub(FINE_SECONDS) {
            false => (true, 1),
            true => (false, COARSE_STEP_SECONDS),
        };
        let reach = if is_fine { FINE_SECONDS } else { COARSE_SECONDS };
        let (from, to) = (since.max(end.saturating_sub(reach)) / step, end / step);
        let records = self.records();
        let figures = records.of.get(&subject).into_iter().flat_map(|record| &record.figures);
        let read = |series: &Series| if is_fine { series.fine(from, to) } else { series.coarse(from, to) };
        Past {
            from: i64::try_from(from * step)
                .ok()
                .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            step_seconds: step,
            points: usize::try_from(to.saturating_sub(from)).unwrap_or(0),
            figures: figures
                .map(|(metric, series)| (metric.clone(), read(series)))
                .filter(|(_, points)| points.iter().any(Option::is_some))
                .collect(),
        }
    }

    fn second(&self, now: Instant) -> u64 {
        self.began_unix_seconds + now.saturating_duration_since(self.began).as_secs()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn stream(&mut self, second: u64, id: StreamId, line: &StreamLine) {
        let status: StreamStatus = line.status_with_viewers();
        // A stream without any ingest has no figures to record.
        let Some(ingest) = &status.ingest else { return };
        let subject = Subject::Stream(id);
        let figures = [
            ("ingest_bitrate_bps", Some(ingest.bitrate_bps as f64)),
            ("ingest_fps", ingest.fps),
            ("ingest_gop_seconds", ingest.gop_seconds),
            ("segment_late_seconds", Some(line.take_segment_late().as_secs_f64())),
        ];
        let viewers = status.viewers.each().map(|(kind, count)| (kind.figure(), Some(count as f64)));
        for (name, value) in figures.into_iter().chain(viewers) {
            self.put(second, subject, Metric { name, of: None }, value);
        }
        for rendition in &status.renditions {
            let metric = |name| Metric { name, of: Some(rendition.name.clone()) };
            self.put(second, subject, metric("rendition_bitrate_bps"), Some(rendition.bitrate_bps as f64));
            self.put(second, subject, metric("rendition_fps"), rendition.fps);
        }
    }

    fn restream(&mut self, second: u64, id: RestreamId, status: &RestreamStatus) {
        let (subject, push) = (Subject::Restream(id), &status.push);
        if push.connected_since.is_none() {
            if let Some(record) = self.of.get_mut(&subject) {
                record.bytes = None;
            }
            return;
        }
        let now = (second, push.sent_bytes, push.acked_bytes);
        let record = self.of.entry(subject).or_default();
        let before = record.bytes.replace(now);
        let rate = |bytes: u64, before: u64, seconds: u64| {
            // The bytes of a new connection count from zero.
            Some(bytes.checked_sub(before)? as f64 * 8.0 / seconds as f64)
        };
        if let Some((then, sent, acked)) = before.filter(|(then, ..)| *then < second) {
            let seconds = second - then;
            let metric = |name| Metric { name, of: None };
            self.put(second, subject, metric("sent_bitrate_bps"), rate(now.1, sent, seconds));
            self.put(second, subject, metric("acked_bitrate_bps"), rate(now.2, acked, seconds));
            self.put(second, subject, metric("rtt_ms"), push.rtt_ms);
        }
    }

    fn put(&mut self, second: u64, subject: Subject, metric: Metric, value: Option<f64>) {
        let Some(value) = value else { return };
        let record = self.of.entry(subject).or_default();
        match record.figures.get_mut(&metric) {
            Some(series) => series.push(second, value),
            // A figure that was never above zero needs no series: most streams never have a viewer by most protocols.
            None if value == 0.0 || self.series >= SERIES_MAX => {}
            None => {
                self.series += 1;
                record.figures.entry(metric).or_default().push(second, value);
            }
        }
    }

    /// Forgets what has been quiet for a day, and so has no point left.
    fn forget(&mut self, second: u64) {
        self.of.retain(|_, record| {
            record.figures.retain(|_, series| series.end() + COARSE_SECONDS > second);
            !record.figures.is_empty() || record.bytes.is_some()
        });
        self.series = self.of.values().map(|record| record.figures.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::RestreamLine;
    use std::time::Duration;
    use weir_model::{IngestStatus, PushStatus, Slot, StreamState};

    fn live(bitrate_bps: u64) -> StreamStatus {
        let ingest = IngestStatus {
            protocol: "rtmp",
            slot: Slot::primary(),
            remote: None,
            video_codec: None,
            audio_codec: None,
            width: None,
            height: None,
            fps: Some(29.97),
            bitrate_bps,
            gop_seconds: None,
            dropped_frames: 0,
            latency_ms: None,
            webrtc: None,
            rtt_ms: None,
            loss_percent: None,
            continuity_errors: None,
            srt: None,
        };
        let state = StreamState::Live;
        StreamStatus { state, ingest: Some(ingest), ..StreamStatus::offline(OffsetDateTime::UNIX_EPOCH) }
    }

    fn history() -> (History, Board, Instant) {
        let history = History::new(OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1_000_000));
        let began = history.began;
        (history, Board::default(), began)
    }

    fn figure<'a>(past: &'a Past, name: &str) -> &'a [Option<f64>] {
        let found = past.figures.iter().find(|(metric, _)| metric.name == name);
        found.map(|(_, points)| points.as_slice()).unwrap_or_default()
    }

    #[test]
    fn seconds_of_a_stream() {
        let (history, board, began) = history();
        let subject = Subject::Stream(StreamId(1));
        for second in 0..20_u64 {
            board.set_stream(StreamId(1), "cam1", live(1_000_000 + second * 100_000));
            if second == 5 {
                board.note_late_segment(StreamId(1), Duration::from_millis(1_500));
            }
            history.look(&board, began + Duration::from_secs(second));
        }
        let now = began + Duration::from_secs(20);
        let since = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1_000_015);
        let past = history.past(subject, Some(since), now);
        assert_eq!((past.from, past.step_seconds, past.points), (since, 1, 5));
        let bitrate = figure(&past, "ingest_bitrate_bps");
        assert!((bitrate[0].unwrap() - 2_500_000.0).abs() < 2_500.0, "{bitrate:?}");
        assert!(figure(&past, "viewers_srt").is_empty(), "what never was has no series");
        let all = history.past(subject, None, now);
        assert_eq!((all.step_seconds, all.points), (1, 900));
        assert_eq!(figure(&all, "segment_late_seconds").iter().flatten().fold(0.0, |a: f64, b| a.max(*b)), 1.5);
        let long_ago = history.past(subject, Some(since - Duration::from_secs(3_600)), now);
        assert_eq!((long_ago.step_seconds, figure(&long_ago, "ingest_fps").iter().flatten().count()), (10, 2));
        assert!(history.past(Subject::Stream(StreamId(2)), None, now).figures.is_empty());
    }

    #[test]
    fn rates_of_a_restream_over_a_reconnect() {
        let (history, board, began) = history();
        let id = RestreamId(7);
        let push = |sent_bytes| PushStatus {
            connected_since: Some(OffsetDateTime::UNIX_EPOCH),
            sent_bytes,
            acked_bytes: sent_bytes / 2,
            ..PushStatus::stopped(OffsetDateTime::UNIX_EPOCH)
        };
        for (second, sent) in [100_000, 225_000, 350_000, 10_000, 135_000].into_iter().enumerate() {
            let status = RestreamStatus { push: push(sent), backup: None };
            let line = RestreamLine { status, connects: 1 };
            board.set_restream(id, line);
            history.look(&board, began + Duration::from_secs(second as u64));
        }
        let past = history.past(Subject::Restream(id), None, began + Duration::from_secs(5));
        let sent: Vec<_> = figure(&past, "sent_bitrate_bps")[895..].to_vec();
        let near = |point: Option<f64>, bps: f64| (point.unwrap() - bps).abs() < bps * 0.001;
        assert!(near(sent[1], 1e6) && near(sent[2], 1e6) && sent[3].is_none() && near(sent[4], 1e6), "{sent:?}");
        assert!(near(figure(&past, "acked_bitrate_bps")[896], 5e5));
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let (history, board, began) = history();
        for id in 0..5_000 {
            board.set_stream(StreamId(id), "x", live(1_000_000));
        }
        history.look(&board, began);
        assert_eq!(history.records().series, SERIES_MAX);
        let board = Board::default();
        let a_day_later = began + Duration::from_secs((COARSE_SECONDS / 60 + 2) * 60);
        let full_minute = a_day_later + Duration::from_secs(60 - (1_000_000 % 60));
        history.look(&board, full_minute);
        assert_eq!(history.records().series, 0);
    }
}

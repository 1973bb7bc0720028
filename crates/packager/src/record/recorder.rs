//! The subscriber that records. It may fall behind as far as the hub's window reaches, which is the only queue that it has.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout};
use weir_hub::{Entry, Next, RenditionHub, Subscriber};
use weir_media::MediaTime;
use weir_model::{EventKind, StreamId};
use weir_observe::{Observe, fields};

use super::file::FileWriter;
use super::library::{Recording, Recordings};
use crate::shelf::disk::NoSpace;

/// A source that is silent for so long has ended its session. What comes later goes into another file.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// If so much time is missing between two frames, a new file is clearer than a hole in this one.
const HOLE_MAX: Duration = Duration::from_secs(10);
/// The time between two tries on a disk that is full.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Records a rendition, in one file for each session of its publisher, until it is closed or `stop` is ready.
pub async fn record(
    rendition: RenditionHub,
    stream_id: StreamId,
    stream_name: String,
    recordings: Recordings,
    observe: Observe,
    stop: impl Future,
) {
    let mut recorder =
        Recorder { stream_id, stream_name, recordings, observe, open: None, ill: false, retry_at: None, last: None };
    let mut subscriber = rendition.subscribe_unhurried();
    let mut stop = std::pin::pin!(stop);
    // The recorder hears of `stop` only between frames, so that what is being written is written to its end.
    while recorder.step(&mut subscriber, &mut stop).await {}
    recorder.end().await;
}

/// A file that is being written.
struct Open {
    /// The recording's id. None until its first fragment is there, because an empty file is no recording.
    id: Option<i64>,
    head: Bytes,
    writer: FileWriter,
}

struct Recorder {
    stream_id: StreamId,
    stream_name: String,
    recordings: Recordings,
    observe: Observe,
    open: Option<Open>,
    ill: bool,
    retry_at: Option<Instant>,
    last: Option<MediaTime>,
}

impl Recorder {
    /// Takes what comes next. Returns whether there is more to come.
    async fn step(&mut self, subscriber: &mut Subscriber, stop: &mut Pin<&mut impl Future>) -> bool {
        let is_open = self.open.is_some();
        let next = async {
            match is_open {
                true => timeout(SILENCE_MAX, subscriber.next()).await,
                false => Ok(subscriber.next().await),
            }
        };
        let next = tokio::select! {
            _ = stop => return false,
            next = next => next,
        };
        match next {
            Ok(Next::Item(entry)) => self.take(&entry).await,
            Ok(Next::Skipped { items }) => {
                tracing::warn!(stream_id = %self.stream_id, items, "the disk is too slow for the recording");
                self.failed("too_slow");
                self.end().await;
            }
            Ok(Next::Closed) => return false,
            Err(_) => self.end().await,
        }
        true
    }

    async fn take(&mut self, entry: &Entry) {
        let frame = &entry.frame;
        let hole = self.last.is_some_and(|last| frame.dts.since(last) > HOLE_MAX);
        self.last = Some(frame.dts);
        let is_start = entry.is_video() && frame.is_keyframe() || entry.tracks.video().is_none();
        let over = self.open.as_ref().is_some_and(|open| {
            let is_long = is_start && open.writer.duration() >= self.recordings.limits.file_duration;
            hole || is_long || !open.writer.takes(&entry.tracks)
        });
        if over {
            self.end().await;
        }
        if self.open.is_none() {
            if !is_start || self.retry_at.is_some_and(|at| Instant::now() < at) {
                return;
            }
            match FileWriter::begin(&entry.tracks, frame.dts) {
                Ok((writer, head)) => self.open = Some(Open { id: None, head, writer }),
                Err(error) => {
                    tracing::warn!(stream_id = %self.stream_id, %error, "the stream can't be recorded");
                    self.retry_at = Some(Instant::now() + RETRY_AFTER);
                    return;
                }
            }
        }
        let fragment = self.open.as_mut().and_then(|open| open.writer.push(entry));
        if let Some(fragment) = fragment {
            self.write(fragment).await;
        }
    }

    async fn write(&mut self, fragment: Bytes) {
        let Some(open) = &self.open else { return };
        let (recordings, stream_id, name) = (self.recordings.clone(), self.stream_id, self.stream_name.clone());
        let (id, head) = (open.id, open.head.clone());
        let written = tokio::task::spawn_blocking(move || match id {
            Some(id) => recordings.append(id, &fragment).map(|()| id),
            None => {
                let mut first = BytesMut::from(&head[..]);
                first.extend_from_slice(&fragment);
                recordings.begin(stream_id, &name, &first)
            }
        });
        match written.await {
            Ok(Ok(now)) => {
                if id.is_none() {
                    self.tell(EventKind::RecordingStarted, Some(now), &[]);
                }
                if let Some(open) = &mut self.open {
                    open.id = Some(now);
                }
                if self.ill {
                    self.ill = false;
                    self.tell(EventKind::RecordingRecovered, Some(now), &[]);
                }
            }
            Ok(Err(error)) => {
                self.fault(&error);
                self.close().await;
            }
            // The server is stopping.
            Err(_) => self.open = None,
        }
    }

    /// Writes all that came, and ends the file, if there is one.
    async fn end(&mut self) {
        let last = self.open.as_mut().and_then(|open| open.writer.finish());
        if let Some(last) = last {
            self.write(last).await;
        }
        self.close().await;
    }

    async fn close(&mut self) {
        let Some(Open { id: Some(id), writer, .. }) = self.open.take() else { return };
        let (recordings, duration) = (self.recordings.clone(), writer.duration());
        let ended = tokio::task::spawn_blocking(move || recordings.end(id, duration)).await;
        if let Ok(Some(Recording { bytes, .. })) = ended {
            let seconds = (duration.as_secs_f64() * 1000.0).round() / 1000.0;
            self.tell(
                EventKind::RecordingEnded,
                Some(id),
                &[("bytes", bytes.into()), ("duration_seconds", seconds.into())],
            );
        }
    }

    fn fault(&mut self, error: &NoSpace) {
        if !self.ill {
            tracing::warn!(stream_id = %self.stream_id, %error, "the recording can't be written to disk");
        }
        self.failed(error.code());
    }

    fn failed(&mut self, code: &str) {
        self.retry_at = Some(Instant::now() + RETRY_AFTER);
        if !std::mem::replace(&mut self.ill, true) {
            self.tell(EventKind::RecordingDiskFull, None, &[("reason", code.into())]);
        }
    }

    fn tell(&self, event: EventKind, id: Option<i64>, more: &[(&str, serde_json::Value)]) {
        let mut about = fields([("stream_id", self.stream_id.0.into())]);
        if let Some(id) = id {
            about.insert("recording_id".to_owned(), id.into());
        }
        about.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        self.observe.events().emit(event, about);
    }
}

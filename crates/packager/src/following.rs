//! One rendition on its way into the store: frames from the hub, on the packager's own timeline.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};
use weir_hub::{Entry, Next, Rendition, StreamHub};
use weir_media::MediaTime;
use weir_model::EventKind;
use weir_observe::fields;

use crate::packager::{Shared, lock};
use crate::rendition_writer::RenditionWriter;
use crate::request::is_rendition_name;
use crate::schedule::Schedule;
use crate::sounds::Cutting;
use crate::store::Changes;

/// A run of the server begins at least so long after what the one before it wrote: the guess at a last frame's length.
const RESUME_AFTER: MediaTime = MediaTime::from_millis(100);
/// And on a whole frame of the one before, at 25, 30, 50 and 60 fps: who counts frames by their times must not find two in one
/// place because milliseconds are rounded.
const RESUME_GRID: MediaTime = MediaTime::from_millis(200);

/// One rendition being followed. Dropped in any way (the task may be aborted), the writer goes back to be taken up again.
pub(crate) struct Following {
    shared: Arc<Shared>,
    name: String,
    writer: RenditionWriter,
    schedule: Schedule,
    /// None until the first frame.
    shift: Option<MediaTime>,
}

impl Following {
    pub(crate) fn begin(shared: &Arc<Shared>, name: String) -> Option<Self> {
        if !is_rendition_name(&name) {
            tracing::warn!(stream_id = %shared.stream_id, rendition = ?name, "a rendition of that name can't be packaged");
            return None;
        }
        if !lock(&shared.followed).insert(name.clone()) {
            tracing::warn!(stream_id = %shared.stream_id, rendition = %name, "the rendition is packaged already");
            return None;
        }
        let writer = lock(&shared.parked).remove(&name).unwrap_or_else(|| match lock(&shared.resumes).remove(&name) {
            Some(resume) => RenditionWriter::resumed(&name, shared.config, resume),
            None => RenditionWriter::new(&name, shared.config),
        });
        let schedule = Schedule::new(shared.config.segment_target);
        Some(Self { shared: Arc::clone(shared), name, writer, schedule, shift: None })
    }

    pub(crate) async fn follow(mut self, hub: &StreamHub, rendition: &Rendition) {
        let mut subscriber = rendition.subscribe_unhurried();
        loop {
            let next = match self.schedule.deadline() {
                Some(deadline) => timeout_at(deadline, subscriber.next()).await,
                None => Ok(subscriber.next().await),
            };
            match next {
                Ok(Next::Item(entry)) => {
                    let shift = match self.shift {
                        Some(shift) => shift,
                        None => self.anchor(&entry, stream_time(hub, &entry, subscriber.lag())),
                    };
                    self.push(&shifted(entry, shift));
                }
                Ok(Next::Skipped { items }) => {
                    tracing::warn!(stream_id = %self.shared.stream_id, rendition = %self.name, items, "frames were lost");
                    self.writer.want_keyframe();
                    self.flush();
                }
                Ok(Next::Closed) => break,
                Err(_) => self.on_deadline(),
            }
        }
    }

    /// Ties the stream's time zero to the wall clock, once: playlists and manifests must agree for ever, over restarts of the
    /// server too. `stream_time` is what the hub's time is now. Returns what the hub's times need to stand on this timeline.
    fn anchor(&mut self, entry: &Entry, stream_time: MediaTime) -> MediaTime {
        let mut shift = lock(&self.shared.shift);
        let shift = *shift.get_or_insert_with(|| {
            let mut store = self.shared.store();
            let now = OffsetDateTime::now_utc();
            let ago = time::Duration::nanoseconds(stream_time.as_nanos());
            let hub_zero_at = now.checked_sub(ago).unwrap_or(now);
            let Some((zero_at, end)) = store.zero_at.zip(store.resumed_end) else {
                store.zero_at = Some(hub_zero_at);
                return MediaTime::ZERO;
            };
            let by_the_clock = i64::try_from((hub_zero_at - zero_at).whole_nanoseconds()).unwrap_or(0);
            // A clock that was set back must not take the timeline with it.
            on_grid(MediaTime::from_nanos(by_the_clock).max(end + RESUME_AFTER - entry.frame.dts))
        });
        self.shift = Some(shift);
        shift
    }

    fn push(&mut self, entry: &Entry) {
        // Held until the changes are in the store: renditions that share a sound change it in turn.
        let shared = Arc::clone(&self.shared);
        let mut cutting = lock(&shared.cutting);
        let mut changes = Changes::default();
        let progress = self.writer.push(entry, &mut cutting, &mut changes);
        self.schedule.on_frame(Instant::now(), self.writer.is_open(&cutting), progress.segment_ended);
        self.apply(changes, &mut cutting);
    }

    fn flush(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut cutting = lock(&shared.cutting);
        let mut changes = Changes::default();
        self.writer.flush(&mut cutting, &mut changes);
        self.schedule.on_flush();
        self.apply(changes, &mut cutting);
    }

    fn on_deadline(&mut self) {
        let overdue = self.schedule.on_deadline(Instant::now());
        if let Some(waited) = overdue.late_for {
            self.shared.observe.board().note_late_segment(self.shared.stream_id, waited);
            let event = fields([
                ("stream_id", self.shared.stream_id.0.into()),
                ("rendition", self.name.as_str().into()),
                ("target_seconds", self.shared.config.segment_target.as_secs_f64().into()),
                ("waited_seconds", ((waited.as_secs_f64() * 1000.0).round() / 1000.0).into()),
            ]);
            self.shared.observe.events().emit(EventKind::SegmentLate, event);
        }
        if overdue.silent {
            self.flush();
        }
    }

    fn apply(&self, changes: Changes, cutting: &mut Cutting) {
        if changes.is_empty() {
            return;
        }
        let (version, target, is_news) = {
            let mut store = self.shared.store();
            let was_announced = store.is_announced();
            store.apply(changes);
            (store.version, store.target, store.is_announced() != was_announced)
        };
        if is_news {
            cutting.boundaries.announced(target);
        }
        self.shared.version.send_replace(version);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.writer.want_keyframe();
        self.flush();
        // What is left can be played; the multivariant playlist offers it no more.
        let mut changes = Changes::default();
        self.writer.leave(&mut changes);
        self.apply(changes, &mut lock(&self.shared.cutting));
        let writer = std::mem::replace(&mut self.writer, RenditionWriter::new(&self.name, self.shared.config));
        lock(&self.shared.parked).insert(self.name.clone(), writer);
        lock(&self.shared.followed).remove(&self.name);
    }
}

/// What the stream's time is now. The source says it: a rendition made from it comes later, and the more so the busier the
/// machine was when it started. Without a source the newest frame that is cached does, `lag` beyond this one.
fn stream_time(hub: &StreamHub, entry: &Entry, lag: Duration) -> MediaTime {
    let lag = MediaTime::from_nanos(i64::try_from(lag.as_nanos()).unwrap_or(0));
    hub.pulse().time_at(std::time::Instant::now()).unwrap_or(entry.frame.dts + lag)
}

/// The next step of the grid.
fn on_grid(shift: MediaTime) -> MediaTime {
    let step = RESUME_GRID.as_nanos();
    MediaTime::from_nanos(shift.as_nanos().saturating_add(step - 1).div_euclid(step) * step)
}

fn shifted(mut entry: Entry, shift: MediaTime) -> Entry {
    entry.frame.dts = entry.frame.dts + shift;
    entry.frame.pts = entry.frame.pts + shift;
    entry
}

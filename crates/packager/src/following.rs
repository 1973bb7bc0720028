//! One rendition on its way into the store: frames from the hub, and what their absence means.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use weir_hub::{Entry, Next, RenditionHub};
use weir_media::MediaTime;
use weir_model::EventKind;
use weir_observe::fields;

use crate::Cuts;
use crate::packager::{Shared, lock};
use crate::rendition_writer::RenditionWriter;
use crate::request::is_rendition_name;
use crate::schedule::Schedule;
use crate::sounds::Cutting;
use crate::store::Changes;

/// One rendition being followed. Dropped in any way (the task may be aborted), the writer goes back to be taken up again.
pub(crate) struct Following {
    shared: Arc<Shared>,
    name: String,
    cuts: Cuts,
    writer: RenditionWriter,
    schedule: Schedule,
    has_clock: bool,
}

impl Following {
    pub(crate) fn begin(shared: &Arc<Shared>, name: String, cuts: Cuts) -> Option<Self> {
        if !is_rendition_name(&name) {
            tracing::warn!(stream_id = %shared.stream_id, rendition = ?name, "a rendition of that name can't be packaged");
            return None;
        }
        if !lock(&shared.followed).insert(name.clone()) {
            tracing::warn!(stream_id = %shared.stream_id, rendition = %name, "the rendition is packaged already");
            return None;
        }
        shared.store().followed.insert(name.clone());
        let parked = lock(&shared.parked).remove(&name).map(|writer| writer.cutting(cuts));
        let writer = parked.unwrap_or_else(|| match lock(&shared.resumes).remove(&name) {
            Some(resume) => RenditionWriter::resumed(&name, cuts, shared.config, resume),
            None => RenditionWriter::new(&name, cuts, shared.config),
        });
        let schedule = Schedule::new(shared.config.segment_target);
        Some(Self { shared: Arc::clone(shared), name, cuts, writer, schedule, has_clock: false })
    }

    pub(crate) async fn follow(mut self, rendition: &RenditionHub) {
        let mut subscriber = rendition.subscribe_unhurried();
        loop {
            let next = match self.schedule.deadline() {
                Some(deadline) => timeout_at(deadline, subscriber.next()).await,
                None => Ok(subscriber.next().await),
            };
            match next {
                Ok(Next::Item(entry)) => {
                    if !self.has_clock {
                        self.take_clock(entry.frame.dts);
                    }
                    self.push(&entry);
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

    /// Takes over where the stream's clock has its zero, and its count. It has begun: there are frames.
    fn take_clock(&mut self, time: MediaTime) {
        let clock = &self.shared.clock;
        let mut cutting = lock(&self.shared.cutting);
        cutting.boundaries.slots.count_from(clock.first_number(), time);
        self.shared.store().zero_at = clock.zero_at();
        self.has_clock = true;
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
        if let Some(number) = changes.newest_number() {
            self.shared.clock.take_number(number, self.cuts == Cuts::AtKeyframes);
        }
        let (version, target, is_news, whole) = {
            let mut store = self.shared.store();
            let was_announced = store.is_announced();
            let whole = store.apply(changes);
            (store.version, store.target, store.is_announced() != was_announced, whole)
        };
        for (rendition, track) in whole {
            self.shared.observe.board().count_segment(self.shared.stream_id, &rendition, &track.to_string());
        }
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
        let writer =
            std::mem::replace(&mut self.writer, RenditionWriter::new(&self.name, self.cuts, self.shared.config));
        lock(&self.shared.parked).insert(self.name.clone(), writer);
        self.shared.store().followed.remove(&self.name);
        lock(&self.shared.followed).remove(&self.name);
    }
}

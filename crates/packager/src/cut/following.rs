//! Brings one rendition into the store: it takes frames from the hub, and knows what it means when none come.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use weir_hub::{Entry, Next, RenditionHub};
use weir_media::MediaTime;
use weir_model::EventKind;
use weir_observe::fields;

use super::cutter::Cutter;
use crate::config::Cuts;
use crate::cut::rendition_writer::RenditionWriter;
use crate::cut::schedule::Schedule;
use crate::cut::sounds::Cutting;
use crate::store::Changes;
use crate::store::live::lock;
use crate::store::track_name::is_rendition_name;

/// One rendition that is being followed. In whatever way this is dropped (the task may be aborted), its writer is parked, and can be taken
/// up again.
pub(crate) struct Following {
    cutter: Arc<Cutter>,
    name: String,
    cuts: Cuts,
    writer: RenditionWriter,
    schedule: Schedule,
    has_clock: bool,
}

impl Following {
    pub(crate) fn begin(cutter: &Arc<Cutter>, name: String, cuts: Cuts) -> Option<Self> {
        if !is_rendition_name(&name) {
            tracing::warn!(stream_id = %cutter.live.stream_id, rendition = ?name, "a rendition of that name can't be packaged");
            return None;
        }
        if !lock(&cutter.followed).insert(name.clone()) {
            tracing::warn!(stream_id = %cutter.live.stream_id, rendition = %name, "the rendition is packaged already");
            return None;
        }
        cutter.live.store().followed.insert(name.clone());
        let parked = lock(&cutter.parked).remove(&name).map(|writer| writer.cutting(cuts));
        let writer = parked.unwrap_or_else(|| match lock(&cutter.resumes).remove(&name) {
            Some(resume) => RenditionWriter::resumed(&name, cuts, cutter.config, resume),
            None => RenditionWriter::new(&name, cuts, cutter.config),
        });
        let schedule = Schedule::new(cutter.config.segment_target);
        Some(Self { cutter: Arc::clone(cutter), name, cuts, writer, schedule, has_clock: false })
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
                    tracing::warn!(stream_id = %self.cutter.live.stream_id, rendition = %self.name, items, "the packager lost frames");
                    self.writer.want_keyframe();
                    self.flush();
                }
                Ok(Next::Closed) => break,
                Err(_) => self.on_deadline(),
            }
        }
    }

    /// Takes over the zero and the first number of the stream's clock. The clock has begun by now, because there are frames.
    fn take_clock(&mut self, time: MediaTime) {
        let clock = &self.cutter.clock;
        let mut cutting = lock(&self.cutter.cutting);
        cutting.boundaries.slots.count_from(clock.first_number(), time);
        self.cutter.live.store().zero_at = clock.zero_at();
        self.has_clock = true;
    }

    fn push(&mut self, entry: &Entry) {
        // This lock is held until the changes are in the store, because renditions that share a sound change it in turn.
        let cutter = Arc::clone(&self.cutter);
        let mut cutting = lock(&cutter.cutting);
        let mut changes = Changes::default();
        let progress = self.writer.push(entry, &mut cutting, &mut changes);
        self.schedule.on_frame(Instant::now(), self.writer.is_open(&cutting), progress.segment_ended);
        self.apply(changes, &mut cutting);
    }

    fn flush(&mut self) {
        let cutter = Arc::clone(&self.cutter);
        let mut cutting = lock(&cutter.cutting);
        let mut changes = Changes::default();
        self.writer.flush(&mut cutting, &mut changes);
        self.schedule.on_flush();
        self.apply(changes, &mut cutting);
    }

    fn on_deadline(&mut self) {
        let overdue = self.schedule.on_deadline(Instant::now());
        if let Some(waited) = overdue.late_for {
            self.cutter.live.observe.board().note_late_segment(self.cutter.live.stream_id, waited);
            let event = fields([
                ("stream_id", self.cutter.live.stream_id.0.into()),
                ("rendition", self.name.as_str().into()),
                ("target_seconds", self.cutter.config.segment_target.as_secs_f64().into()),
                ("waited_seconds", ((waited.as_secs_f64() * 1000.0).round() / 1000.0).into()),
            ]);
            self.cutter.live.observe.events().emit(EventKind::SegmentLate, event);
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
            self.cutter.clock.take_number(number, self.cuts == Cuts::AtKeyframes);
        }
        let (version, target, is_news, whole) = {
            let mut store = self.cutter.live.store();
            let was_announced = store.is_announced();
            let whole = store.apply(changes);
            (store.version, store.target, store.is_announced() != was_announced, whole)
        };
        for (rendition, track) in whole {
            self.cutter.live.observe.board().count_segment(self.cutter.live.stream_id, &rendition, &track.to_string());
        }
        if is_news {
            cutting.boundaries.announced(target);
        }
        self.cutter.live.version.send_replace(version);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.writer.want_keyframe();
        self.flush();
        // What is left can still be played, but the multivariant playlist does not offer it any more.
        let mut changes = Changes::default();
        self.writer.leave(&mut changes);
        self.apply(changes, &mut lock(&self.cutter.cutting));
        let writer =
            std::mem::replace(&mut self.writer, RenditionWriter::new(&self.name, self.cuts, self.cutter.config));
        lock(&self.cutter.parked).insert(self.name.clone(), writer);
        self.cutter.live.store().followed.remove(&self.name);
        lock(&self.cutter.followed).remove(&self.name);
    }
}

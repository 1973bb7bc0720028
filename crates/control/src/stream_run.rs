//! One stream running: its hub, its door, its feeds, its restreams and the task that states how it does.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use weir_hub::{StreamHub, WindowLimits};
use weir_ingest::SourceDoor;
use weir_model::{PushStatus, Reason, RestreamId, RestreamSpec, RestreamState, RestreamStatus, Stream, StreamId};
use weir_observe::{Observe, RestreamLine};
use weir_packager::{DvrShelf, Packager, PackagerConfig, record};
use weir_restream::{Feeds, PushContext, RestreamHandle};
use weir_rtmp::net::PushOptions;
use weir_transcode::{TranscodeHandle, Workshop};

use crate::reconcile::ActualStream;
use crate::renditions;
use crate::shelves::Shelves;
use crate::stream_status;

/// The stream's task tree: dropping it ends everything in it.
#[derive(Debug)]
pub(crate) struct StreamRun {
    pub(crate) stream: Stream,
    pub(crate) hub: StreamHub,
    pub(crate) door: SourceDoor,
    pub(crate) feeds: Feeds,
    pub(crate) packager: Packager,
    /// What follows each rendition that viewers are offered, by its name and the hub's; empty when neither HLS nor DASH is wanted.
    packaging: BTreeMap<(String, String), AbortHandle>,
    saving: AbortHandle,
    transcoder: TranscodeHandle,
    /// Dropped, the recording is ended properly.
    recording: Option<oneshot::Sender<()>>,
    shelves: Shelves,
    /// Where its ingest and its feeds run.
    pub(crate) lane: Handle,
    /// Boxed, as on the live board: a tree's nodes are half empty.
    restreams: BTreeMap<RestreamId, Box<RestreamRun>>,
    status: AbortHandle,
}

/// A restream that runs, or the fault that keeps it from running.
#[derive(Debug)]
struct RestreamRun {
    spec: Result<RestreamSpec, Reason>,
    handle: Option<RestreamHandle>,
}

impl StreamRun {
    pub(crate) fn start(
        stream: Stream,
        observe: &Observe,
        shelves: &Shelves,
        workshop: &Workshop,
        lane: &Handle,
    ) -> Self {
        let hub = StreamHub::new(WindowLimits::FRAMES);
        let door = SourceDoor::new(stream.id, hub.clone(), observe.clone());
        let transcoder = weir_transcode::start(stream.id, hub.clone(), workshop.clone(), observe.clone(), lane);
        let sources = (hub.clone(), door.clone(), transcoder.statuses());
        let status = lane.spawn(stream_status::tell(stream.name.to_string(), sources, observe.clone()));
        let packager = open_packager(&stream, observe, shelves.dvr.as_ref(), lane);
        let mut run = Self {
            recording: start_recording(&stream, &hub, shelves, observe, lane),
            shelves: shelves.clone(),
            packaging: BTreeMap::new(),
            saving: lane.spawn(packager.clone().save()).abort_handle(),
            transcoder,
            packager,
            feeds: Feeds::new(hub.clone(), lane.clone()),
            status: status.abort_handle(),
            lane: lane.clone(),
            restreams: BTreeMap::new(),
            stream,
            hub,
            door,
        };
        run.package();
        run.want();
        run
    }

    /// Takes new settings. Whom they shut out is sent away by their own pass.
    pub(crate) fn update(&mut self, stream: Stream, observe: &Observe) {
        if stream.name != self.stream.name {
            self.status.abort();
            let sources = (self.hub.clone(), self.door.clone(), self.transcoder.statuses());
            let tell = stream_status::tell(stream.name.to_string(), sources, observe.clone());
            self.status = self.lane.spawn(tell).abort_handle();
        }
        // What was announced of keyframes holds for as long as the playlist does, other encodes or not.
        let (before, config) = (packager_config(&self.stream), packager_config(&stream));
        if (PackagerConfig { keyframes_apart: before.keyframes_apart, ..config }) != before {
            // Another window or other outputs: players reload.
            self.stop_packaging();
            if self.shelves.dvr.as_ref().is_some_and(|dvr| !dvr.is_for(config.window)) {
                delete_window(&self.packager, &self.stream, &self.lane);
            }
            self.packager = open_packager(&stream, observe, self.shelves.dvr.as_ref(), &self.lane);
            self.saving = self.lane.spawn(self.packager.clone().save()).abort_handle();
        }
        // Under another name it is another file.
        if stream.record != self.stream.record || stream.name != self.stream.name {
            self.recording = start_recording(&stream, &self.hub, &self.shelves, observe, &self.lane);
        }
        self.stream = stream;
        self.package();
        self.want();
    }

    /// Has each rendition that is offered packaged, and no other; what goes on is not touched.
    fn package(&mut self) {
        let offered = if self.stream.hls || self.stream.dash { renditions::offered(&self.stream) } else { Vec::new() };
        for (_, task) in self.packaging.extract_if(.., |rendition, _| !offered.contains(rendition)) {
            task.abort();
        }
        for (name, in_hub) in offered {
            let entry = self.packaging.entry((name.clone(), in_hub.clone()));
            entry.or_insert_with(|| {
                let packaging = self.packager.clone().run(self.hub.clone(), in_hub, name);
                self.lane.spawn(packaging).abort_handle()
            });
        }
    }

    /// Tells the transcoder what is to be encoded.
    fn want(&self) {
        let specs = self.restreams.values().filter(|run| run.handle.is_some());
        let specs = specs.filter_map(|run| run.spec.as_ref().ok());
        self.transcoder.want(renditions::wants(&self.stream, specs));
    }

    pub(crate) fn start_restream(
        &mut self,
        spec: RestreamSpec,
        observe: &Observe,
        options: &PushOptions,
        lane: &Handle,
    ) {
        let context = PushContext {
            hub: self.hub.clone(),
            feeds: self.feeds.clone(),
            observe: observe.clone(),
            options: options.clone(),
        };
        // The supervisor has seen to it that there is one.
        let Ok(rendition) = renditions::of_wish(&self.stream, &spec.rendition) else { return };
        let handle = weir_restream::start(&spec, &rendition, &context, lane);
        self.restreams.insert(spec.id, Box::new(RestreamRun { spec: Ok(spec), handle: Some(handle) }));
        self.want();
    }

    /// Shows why a restream is not even tried.
    pub(crate) fn show_fault(&mut self, id: RestreamId, name: String, reason: Reason, observe: &Observe) {
        let now = OffsetDateTime::now_utc();
        let push = PushStatus {
            state: RestreamState::Error,
            failing_since: Some(now),
            reason: Some(reason.clone()),
            ..PushStatus::stopped(now)
        };
        let status = RestreamStatus { push, backup: None };
        observe.board().set_restream(id, RestreamLine { stream_id: self.stream.id, name, status, connects: 0 });
        self.restreams.insert(id, Box::new(RestreamRun { spec: Err(reason), handle: None }));
    }

    pub(crate) fn rename_restream(&mut self, spec: RestreamSpec, observe: &Observe) {
        if let Some(run) = self.restreams.get_mut(&spec.id) {
            observe.board().rename_restream(spec.id, &spec.name);
            run.spec = Ok(spec);
        }
    }

    /// Takes a restream out; the caller stops what it gets.
    pub(crate) fn take_restream(&mut self, id: RestreamId) -> Option<RestreamHandle> {
        let run = self.restreams.remove(&id)?;
        self.want();
        run.handle
    }

    pub(crate) fn take_restreams(&mut self) -> Vec<RestreamHandle> {
        std::mem::take(&mut self.restreams).into_values().filter_map(|run| run.handle).collect()
    }

    /// Takes out those whose task has ended by itself.
    pub(crate) fn take_finished(&mut self) -> Vec<(RestreamId, RestreamHandle)> {
        let finished = |run: &mut RestreamRun| run.handle.as_ref().is_some_and(RestreamHandle::is_finished);
        let taken = self.restreams.extract_if(.., |_, run| finished(run));
        let taken: Vec<_> = taken.filter_map(|(id, run)| run.handle.map(|handle| (id, handle))).collect();
        if !taken.is_empty() {
            self.want();
        }
        taken
    }

    pub(crate) fn retry(&self, id: RestreamId) -> bool {
        let handle = self.restreams.get(&id).and_then(|run| run.handle.as_ref());
        handle.inspect(|handle| handle.retry()).is_some()
    }

    fn stop_packaging(&mut self) {
        std::mem::take(&mut self.packaging).into_values().for_each(|task| task.abort());
        self.saving.abort();
    }

    pub(crate) fn restreams_count(&self) -> usize {
        self.restreams.len()
    }

    /// The stream is deleted, and what it has on disk with it.
    pub(crate) fn delete(mut self) {
        self.stop_packaging();
        delete_window(&self.packager, &self.stream, &self.lane);
    }

    pub(crate) fn actual(&self) -> ActualStream {
        ActualStream {
            stream: self.stream.clone(),
            restreams: self.restreams.iter().map(|(id, run)| (*id, run.spec.clone())).collect(),
        }
    }
}

impl Drop for StreamRun {
    fn drop(&mut self) {
        self.door.evict("the stream was deleted or the server is stopping");
        self.hub.close();
        self.status.abort();
        self.stop_packaging();
    }
}

fn open_packager(stream: &Stream, observe: &Observe, dvr: Option<&DvrShelf>, lane: &Handle) -> Packager {
    let config = packager_config(stream);
    if let Some(dvr) = dvr.filter(|dvr| !dvr.is_for(config.window)).cloned() {
        // What a longer window left when the server was last up.
        let id = stream.id;
        lane.spawn_blocking(move || tell_window_fault(id, dvr.remove(id)));
    }
    Packager::open(config, stream.id, observe.clone(), dvr)
}

/// None when nothing is to be recorded.
fn start_recording(
    stream: &Stream,
    hub: &StreamHub,
    shelves: &Shelves,
    observe: &Observe,
    lane: &Handle,
) -> Option<oneshot::Sender<()>> {
    let recordings = shelves.recordings.clone().filter(|_| stream.record)?;
    let (stop, stopped) = oneshot::channel();
    let name = stream.name.to_string();
    let recording = record(hub.source(), stream.id, name, recordings, observe.clone(), stopped);
    let held = shelves.begin_recording();
    lane.spawn(async move {
        recording.await;
        drop(held);
    });
    Some(stop)
}

fn delete_window(packager: &Packager, stream: &Stream, lane: &Handle) {
    let (packager, id) = (packager.clone(), stream.id);
    lane.spawn_blocking(move || tell_window_fault(id, packager.delete_window()));
}

fn tell_window_fault(id: StreamId, deleted: std::io::Result<()>) {
    if let Err(error) = deleted {
        tracing::warn!(stream_id = %id, %error, "a stream's window could not be deleted from disk");
    }
}

fn packager_config(stream: &Stream) -> PackagerConfig {
    PackagerConfig {
        window: Duration::from_secs(u64::from(stream.dvr_seconds)),
        keyframes_apart: renditions::keyframes_apart(stream),
        hls: stream.hls,
        dash: stream.dash,
        ..PackagerConfig::default()
    }
}

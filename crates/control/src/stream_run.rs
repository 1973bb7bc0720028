//! One stream running: its hub, its door, its feeds, its restreams and the task that states how it does.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use weir_hub::{SOURCE_RENDITION, StreamHub, WindowLimits};
use weir_ingest::SourceDoor;
use weir_model::{PushStatus, Reason, RestreamId, RestreamSpec, RestreamState, RestreamStatus, Stream, StreamId};
use weir_observe::{Observe, RestreamLine};
use weir_packager::{DvrShelf, Packager, PackagerConfig, record};
use weir_restream::{Feeds, PushContext, RestreamHandle};
use weir_rtmp::net::PushOptions;

use crate::reconcile::ActualStream;
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
    /// Empty when neither HLS nor DASH is wanted.
    packaging: Vec<AbortHandle>,
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
    pub(crate) fn start(stream: Stream, observe: &Observe, shelves: &Shelves, lane: &Handle) -> Self {
        let hub = StreamHub::new(WindowLimits::FRAMES);
        let door = SourceDoor::new(stream.id, hub.clone(), observe.clone());
        let status =
            lane.spawn(stream_status::tell(stream.name.to_string(), hub.clone(), door.clone(), observe.clone()));
        let packager = open_packager(&stream, observe, shelves.dvr.as_ref(), lane);
        Self {
            recording: start_recording(&stream, &hub, shelves, observe, lane),
            shelves: shelves.clone(),
            packaging: start_packaging(&packager, &stream, &hub, lane),
            packager,
            feeds: Feeds::new(hub.clone(), lane.clone()),
            status: status.abort_handle(),
            lane: lane.clone(),
            restreams: BTreeMap::new(),
            stream,
            hub,
            door,
        }
    }

    /// Takes new settings; sends the publisher away where they say so.
    pub(crate) fn update(&mut self, stream: Stream, observe: &Observe) {
        if !stream.active {
            self.door.evict("the stream was stopped");
        } else if stream.sources != self.stream.sources {
            self.door.evict("the stream's sources or keys were changed");
        }
        if stream.name != self.stream.name {
            self.status.abort();
            let tell =
                stream_status::tell(stream.name.to_string(), self.hub.clone(), self.door.clone(), observe.clone());
            self.status = self.lane.spawn(tell).abort_handle();
        }
        if packager_config(&stream) != packager_config(&self.stream) {
            // Another window or other outputs: players reload.
            self.stop_packaging();
            let config = packager_config(&stream);
            if self.shelves.dvr.as_ref().is_some_and(|dvr| !dvr.is_for(config.window)) {
                delete_window(&self.packager, &self.stream, &self.lane);
            }
            self.packager = open_packager(&stream, observe, self.shelves.dvr.as_ref(), &self.lane);
            self.packaging = start_packaging(&self.packager, &stream, &self.hub, &self.lane);
        }
        // Under another name it is another file.
        if stream.record != self.stream.record || stream.name != self.stream.name {
            self.recording = start_recording(&stream, &self.hub, &self.shelves, observe, &self.lane);
        }
        self.stream = stream;
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
        let handle = weir_restream::start(&spec, &context, lane);
        self.restreams.insert(spec.id, Box::new(RestreamRun { spec: Ok(spec), handle: Some(handle) }));
    }

    /// Shows why a restream is not even tried.
    pub(crate) fn show_fault(&mut self, id: RestreamId, name: String, reason: Reason, observe: &Observe) {
        let push = PushStatus {
            state: RestreamState::Error,
            reason: Some(reason.clone()),
            ..PushStatus::stopped(OffsetDateTime::now_utc())
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
        self.restreams.remove(&id)?.handle
    }

    pub(crate) fn take_restreams(&mut self) -> Vec<RestreamHandle> {
        std::mem::take(&mut self.restreams).into_values().filter_map(|run| run.handle).collect()
    }

    /// Takes out those whose task has ended by itself.
    pub(crate) fn take_finished(&mut self) -> Vec<(RestreamId, RestreamHandle)> {
        let finished = |run: &mut RestreamRun| run.handle.as_ref().is_some_and(RestreamHandle::is_finished);
        let taken = self.restreams.extract_if(.., |_, run| finished(run));
        taken.filter_map(|(id, run)| run.handle.map(|handle| (id, handle))).collect()
    }

    pub(crate) fn retry(&self, id: RestreamId) -> bool {
        let handle = self.restreams.get(&id).and_then(|run| run.handle.as_ref());
        handle.inspect(|handle| handle.retry()).is_some()
    }

    fn stop_packaging(&mut self) {
        self.packaging.drain(..).for_each(|task| task.abort());
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
    lane.spawn(record(hub.source(), stream.id, name, recordings, observe.clone(), stopped));
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

fn start_packaging(packager: &Packager, stream: &Stream, hub: &StreamHub, lane: &Handle) -> Vec<AbortHandle> {
    if !(stream.hls || stream.dash) {
        return Vec::new();
    }
    let run = lane.spawn(packager.clone().run(hub.source(), SOURCE_RENDITION.to_owned()));
    let save = lane.spawn(packager.clone().save());
    vec![run.abort_handle(), save.abort_handle()]
}

fn packager_config(stream: &Stream) -> PackagerConfig {
    PackagerConfig {
        window: Duration::from_secs(u64::from(stream.dvr_seconds)),
        hls: stream.hls,
        dash: stream.dash,
        ..PackagerConfig::default()
    }
}

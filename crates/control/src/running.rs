//! A part that runs: there is one kind of handle for all parts, and this says how each kind is started.

use std::fmt::Debug;

use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use weir_hub::StreamClock;
use weir_ingest::MediaDirs;
use weir_ingest::pull::UdpPorts;
use weir_model::{PushStatus, Reason, RestreamId, RestreamState, RestreamStatus, StreamId};
use weir_net::Dialer;
use weir_observe::{Observe, RestreamLine};
use weir_packager::{Packager, PackagerConfig, record};
use weir_restream::{PushContext, RestreamHandle, RestreamOutcome, RetryHandle};
use weir_transcode::{EncodingResources, TranscodeHandle};

use crate::lanes::Lanes;
use crate::parts::PartSpec;
use crate::shelves::Shelves;

/// A running part. When it is dropped, the part ends at once.
pub(crate) trait Running: Debug + Send + Sync {
    /// Goes on with this spec, which differs in nothing that needs a new start.
    fn retune(&self, _spec: &PartSpec) {}

    /// Whether the part has ended by itself.
    fn is_finished(&self) -> bool {
        false
    }

    /// The handle for those who want it to try at once; None where nothing is ever tried again.
    fn retry(&self) -> Option<RetryHandle> {
        None
    }

    /// Ends the part, as politely as it can. The future that comes back ends when the part has gone.
    fn stop(self: Box<Self>) -> BoxFuture<'static, RestreamOutcome> {
        Box::pin(async { RestreamOutcome::Stopped })
    }

    /// The packager, where this is one: what viewers need, and what it keeps on disk.
    fn packager(&self) -> Option<&Packager> {
        None
    }
}

/// A part of a stream that runs by itself.
pub(crate) type Part = Box<dyn Running>;

/// A task that ends when this is dropped.
#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Running for Task {}

pub(crate) fn task(lane: &Handle, running: impl Future<Output = ()> + Send + 'static) -> Part {
    Box::new(Task(lane.spawn(running).abort_handle()))
}

impl Running for weir_ingest::pull::PullHandle {}

impl Running for TranscodeHandle {
    fn retune(&self, spec: &PartSpec) {
        if let PartSpec::Transcoder(wants) = spec {
            self.want(wants.clone());
        }
    }
}

/// A packager, and the task that writes its window to disk.
#[derive(Debug)]
struct Packaged {
    packager: Packager,
    _saving: Task,
}

impl Running for Packaged {
    fn packager(&self) -> Option<&Packager> {
        Some(&self.packager)
    }
}

pub(crate) fn packager(
    (id, clock): (StreamId, &StreamClock),
    config: PackagerConfig,
    (observe, shelves, lane): (&Observe, &Shelves, &Handle),
) -> Part {
    let dvr = shelves.dvr.as_ref();
    if let Some(dvr) = dvr.filter(|dvr| !dvr.is_for(config.window)).cloned() {
        // A longer window, or one from before the server was started, may have left files.
        lane.spawn_blocking(move || tell_window_fault(id, dvr.remove(id)));
    }
    let packager = Packager::open(config, id, (observe.clone(), clock.clone()), dvr);
    let saving = Task(lane.spawn(packager.clone().save()).abort_handle());
    Box::new(Packaged { packager, _saving: saving })
}

/// Deletes what the packager has on disk.
pub(crate) fn delete_window(id: StreamId, packager: &Packager, lane: &Handle) {
    let packager = packager.clone();
    lane.spawn_blocking(move || tell_window_fault(id, packager.delete_window()));
}

fn tell_window_fault(id: StreamId, deleted: std::io::Result<()>) {
    if let Err(error) = deleted {
        tracing::warn!(stream_id = %id, %error, "a stream's window could not be deleted from disk");
    }
}

/// A running recording. When this is dropped, the recording is ended properly.
#[derive(Debug)]
struct Recording {
    _stop: oneshot::Sender<()>,
}

impl Running for Recording {}

/// Starts a recording; None where the server records nothing.
pub(crate) fn recording(
    (id, name): (StreamId, String),
    source: weir_hub::RenditionHub,
    (observe, shelves, lane): (&Observe, &Shelves, &Handle),
) -> Option<Part> {
    let recordings = shelves.recordings.clone()?;
    let (stop, stopped) = oneshot::channel();
    let recording = record(source, id, name, recordings, observe.clone(), stopped);
    let held = shelves.begin_recording();
    lane.spawn(async move {
        recording.await;
        drop(held);
    });
    Some(Box::new(Recording { _stop: stop }))
}

/// A restream that pushes.
#[derive(Debug)]
struct Restreaming {
    id: RestreamId,
    handle: RestreamHandle,
    observe: Observe,
}

impl Running for Restreaming {
    fn retune(&self, spec: &PartSpec) {
        if let PartSpec::Restream(spec, _) = spec {
            self.handle.speak(spec);
        }
    }

    fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    fn retry(&self) -> Option<RetryHandle> {
        Some(self.handle.retry_handle())
    }

    fn stop(self: Box<Self>) -> BoxFuture<'static, RestreamOutcome> {
        self.observe.board().forget_restream(self.id);
        Box::pin(self.handle.stop())
    }
}

pub(crate) fn restream(
    (spec, rendition): (&weir_model::RestreamSpec, &str),
    context: &PushContext,
    lane: &Handle,
) -> Part {
    let (id, observe) = (spec.id, context.observe.clone());
    Box::new(Restreaming { id, handle: weir_restream::start(spec, rendition, context, lane), observe })
}

/// Shows why a restream is not even tried.
#[derive(Debug)]
struct Faulty {
    id: RestreamId,
    observe: Observe,
}

impl Running for Faulty {
    fn stop(self: Box<Self>) -> BoxFuture<'static, RestreamOutcome> {
        self.observe.board().forget_restream(self.id);
        Box::pin(async { RestreamOutcome::Stopped })
    }
}

pub(crate) fn fault(id: RestreamId, reason: Reason, observe: &Observe) -> Part {
    let now = OffsetDateTime::now_utc();
    let push = PushStatus {
        state: RestreamState::Error,
        failing_since: Some(now),
        reason: Some(reason),
        ..PushStatus::stopped(now)
    };
    let status = RestreamStatus { push, backup: None };
    observe.board().set_restream(id, RestreamLine { status, connects: 0 });
    Box::new(Faulty { id, observe: observe.clone() })
}

/// What all parts are started with.
#[derive(Clone, Debug)]
pub struct Kit {
    pub observe: Observe,
    pub shelves: Shelves,
    pub encoding: EncodingResources,
    pub lanes: Lanes,
    pub dialer: Dialer,
    /// The ports on which sources by UDP come in.
    pub udp_ports: UdpPorts,
    /// Where the files lie that sources may name.
    pub media_dirs: MediaDirs,
    /// What the kernel keeps of each push by TCP: a big buffer would hide seconds of a stall.
    pub send_buffer_bytes: u32,
}

//! One running stream: its hub, its intake and its feeds, which are there for as long as it is, and the parts that come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_hub::{Feeds, StreamClock, StreamHub, WindowLimits};
use weir_ingest::pull::{PullKit, PullStatuses};
use weir_ingest::{Intake, SelectorRules};
use weir_model::{Failover, RenditionStatus, RestreamId, Stream, StreamId};
use weir_packager::Packager;
use weir_restream::{PushContext, RestreamOutcome, RetryHandle};

use crate::catalogue::Desired;
use crate::demand::Demands;
use crate::parts::{Facts, PartKey, PartSpec, Step, diff, parts};
use crate::running::{self, Kit, Part};
use crate::runtime::Shown;
use crate::stream_status;

/// A stream's restreams share its lane up to this number, then the next lane, and so on: what wakes together runs together,
/// in one cache and without a system call to wake another thread. One core carries about 500 pushes of 4 Mbps.
const RESTREAMS_PER_LANE: usize = 250;

/// The stream's task tree: dropping it ends everything in it.
#[derive(Debug)]
pub(crate) struct StreamRun {
    id: StreamId,
    /// The stream as it is run, for whoever asks for one of its renditions.
    stream: Arc<Stream>,
    hub: StreamHub,
    intake: Intake,
    feeds: Feeds,
    /// The lane of its ingest and its feeds.
    lane: Handle,
    /// The state of its renditions, as its transcoder reports it.
    renditions: watch::Receiver<Vec<RenditionStatus>>,
    demands: Demands,
    /// How the sources go that we fetch.
    pulled: PullStatuses,
    /// The parts are boxed: most streams have hundreds of restreams or none.
    parts: BTreeMap<PartKey, Box<RunningPart>>,
}

#[derive(Debug)]
struct RunningPart {
    spec: PartSpec,
    part: Part,
}

/// The steps that start or retune parts once everything that has to leave has left.
pub(crate) struct Pending {
    stream: Stream,
    steps: Vec<Step>,
}

/// The parts that are leaving.
pub(crate) type Leaving = JoinSet<RestreamOutcome>;

impl StreamRun {
    /// A stream without any parts yet.
    pub(crate) fn new(stream: Stream, clock: StreamClock, demands: Demands, kit: &Kit) -> Self {
        let id = stream.id;
        let lane = kit.lanes.pick(id.0).clone();
        let hub = StreamHub::on(clock, WindowLimits::FRAMES);
        let intake = Intake::new(id, hub.clone(), kit.observe.clone());
        arrange(&intake, &stream);
        Self {
            id,
            intake,
            feeds: Feeds::new(hub.clone(), lane.clone()),
            renditions: watch::channel(Vec::new()).1,
            demands,
            pulled: PullStatuses::default(),
            parts: BTreeMap::new(),
            stream: Arc::new(stream),
            hub,
            lane,
        }
    }

    /// Compares what runs with what is wanted, stops what is too much, and gives the steps that remain.
    pub(crate) fn stop_surplus(&mut self, wanted: Desired, kit: &Kit, leaving: &mut Leaving) -> Pending {
        let Desired { stream, restreams } = wanted;
        let wanted = parts(&stream, restreams, self.facts());
        let mut steps = diff(&wanted, self.parts.iter().map(|(key, running)| (key, &running.spec)));
        steps.retain(|step| {
            let Step::Stop(key) = step else { return true };
            if let Some(running) = self.parts.remove(key) {
                self.leave(*running, wanted.get(key), kit, leaving);
            }
            false
        });
        Pending { stream, steps }
    }

    /// Lets a part leave; `next` is what comes in its place.
    fn leave(&self, running: RunningPart, next: Option<&PartSpec>, kit: &Kit, leaving: &mut Leaving) {
        if let (Some(packager), Some(PartSpec::Packager(config))) = (running.part.packager(), next)
            && kit.shelves.dvr.as_ref().is_some_and(|dvr| !dvr.is_for(config.window))
        {
            running::delete_window(self.id, packager, &self.lane);
        }
        leaving.spawn(running.part.stop());
    }

    pub(crate) fn start_pending(&mut self, Pending { stream, steps }: Pending, kit: &Kit) {
        arrange(&self.intake, &stream);
        self.stream = Arc::new(stream);
        for step in steps {
            match step {
                Step::Start(key, spec) => self.start(key, spec, kit),
                Step::Retune(key, spec) => {
                    if let Some(running) = self.parts.get_mut(&key) {
                        running.part.retune(&spec);
                        running.spec = spec;
                    }
                }
                // These steps were taken before.
                Step::Stop(_) => {}
            }
        }
    }

    fn start(&mut self, key: PartKey, spec: PartSpec, kit: &Kit) {
        let (observe, with) = (&kit.observe, (&kit.observe, &kit.shelves, &self.lane));
        let part = match (&key, &spec) {
            (_, PartSpec::Transcoder(wants)) => {
                let (hub, encoding) = (self.hub.clone(), kit.encoding.clone());
                let handle = weir_transcode::start(self.id, hub, encoding, observe.clone(), &self.lane);
                handle.want(wants.clone());
                self.renditions = handle.statuses();
                Some(Box::new(handle) as Part)
            }
            (PartKey::Pull(slot), PartSpec::Pull(url)) => {
                let place = (self.intake.clone(), slot.clone());
                let shared = PullKit {
                    dialer: kit.dialer.clone(),
                    udp_ports: kit.udp_ports.clone(),
                    media_dirs: kit.media_dirs.clone(),
                };
                let pull = weir_ingest::pull::start(url.clone(), place, shared, self.pulled.clone(), &self.lane);
                Some(Box::new(pull) as Part)
            }
            (_, PartSpec::Status { name, sources }) => {
                let from = stream_status::From {
                    hub: self.hub.clone(),
                    intake: self.intake.clone(),
                    renditions: self.renditions.clone(),
                    demands: self.demands.clone(),
                    pulled: self.pulled.subscribe(),
                };
                let about = (name.clone(), sources.clone());
                Some(running::task(&self.lane, stream_status::tell(about, from, observe.clone())))
            }
            (_, PartSpec::Packager(config)) => Some(running::packager((self.id, self.hub.clock()), *config, with)),
            (PartKey::Packaging { name, in_hub }, PartSpec::Packaging(_, cuts)) => self.packager().map(|packager| {
                let following = packager.clone().run(self.hub.rendition(in_hub), name.clone(), *cuts);
                running::task(&self.lane, following)
            }),
            (_, PartSpec::Recording { name }) => running::recording((self.id, name.clone()), self.hub.source(), with),
            (_, PartSpec::Restream(restream, rendition)) => {
                let count = self.parts.keys().filter(|key| matches!(key, PartKey::Restream(_))).count();
                let lane = kit.lanes.pick_beside(self.id.0, count / RESTREAMS_PER_LANE);
                Some(running::restream((restream, rendition), &self.push_context(kit), lane))
            }
            (PartKey::Restream(id), PartSpec::Fault(reason)) => Some(running::fault(*id, reason.clone(), observe)),
            // Keys and specs of other pairs are never made.
            (_, PartSpec::Packaging(..) | PartSpec::Fault(_) | PartSpec::Pull(_)) => None,
        };
        if let Some(part) = part {
            self.parts.insert(key, Box::new(RunningPart { spec, part }));
        }
    }

    pub(crate) fn hub(&self) -> &StreamHub {
        &self.hub
    }

    fn push_context(&self, kit: &Kit) -> PushContext {
        PushContext {
            hub: self.hub.clone(),
            feeds: self.feeds.clone(),
            observe: kit.observe.clone(),
            dialer: kit.dialer.clone(),
            send_buffer_bytes: kit.send_buffer_bytes,
        }
    }

    fn facts(&self) -> Facts {
        let packager = self.parts.get(&PartKey::Packager).map(|running| &running.spec);
        Facts {
            packager: packager
                .and_then(|spec| if let PartSpec::Packager(config) = spec { Some(*config) } else { None }),
            demanded: self.demands.of(self.id),
        }
    }

    fn packager(&self) -> Option<&Packager> {
        self.parts.get(&PartKey::Packager)?.part.packager()
    }

    /// The stream as doors, viewers and the API see it; None before it has a packager.
    pub(crate) fn shown(&self) -> Option<Shown> {
        Some(Shown {
            stream: Arc::clone(&self.stream),
            hub: self.hub.clone(),
            intake: self.intake.clone(),
            feeds: self.feeds.clone(),
            packager: self.packager()?.clone(),
            renditions: self.renditions.clone(),
            retries: self.retries(),
        })
    }

    fn retries(&self) -> BTreeMap<RestreamId, RetryHandle> {
        let retries = self.parts.iter().filter_map(|(key, running)| match key {
            PartKey::Restream(id) => running.part.retry().map(|retry| (*id, retry)),
            _ => None,
        });
        retries.collect()
    }

    /// Takes out the restreams whose task has ended by itself.
    pub(crate) fn take_finished(&mut self) -> Vec<(RestreamId, BoxFuture<'static, RestreamOutcome>)> {
        let taken = self.parts.extract_if(.., |_, running| running.part.is_finished());
        let taken = taken.filter_map(|(key, running)| match key {
            PartKey::Restream(id) => Some((id, running.part.stop())),
            _ => None,
        });
        taken.collect()
    }

    /// Ends a deleted stream, and deletes what it has on disk.
    pub(crate) fn delete(mut self, leaving: &mut Leaving) {
        let packager = self.packager().cloned();
        self.stop_all(leaving);
        if let Some(packager) = packager {
            running::delete_window(self.id, &packager, &self.lane);
        }
    }

    /// Ends the stream because the server stops: its publisher is sent away, and its destinations are told goodbye.
    pub(crate) fn drain(mut self, leaving: &mut Leaving) {
        self.intake.evict("the server is stopping");
        self.stop_all(leaving);
    }

    fn stop_all(&mut self, leaving: &mut Leaving) {
        // A part that needs another one ends before it.
        for running in std::mem::take(&mut self.parts).into_values().rev() {
            leaving.spawn(running.part.stop());
        }
    }
}

/// Has the intake know the stream's sources as they are now.
fn arrange(intake: &Intake, stream: &Stream) {
    let slots: Vec<_> = stream.sources.iter().map(|source| source.slot.clone()).collect();
    let Failover { loss_ms, return_ms, returns } = stream.failover;
    let milliseconds = |ms: u32| Duration::from_millis(ms.into());
    let return_after = returns.then(|| milliseconds(return_ms));
    intake.arrange(&slots, SelectorRules { loss: milliseconds(loss_ms), return_after });
}

impl Drop for StreamRun {
    fn drop(&mut self) {
        self.intake.evict("the stream was deleted or the server is stopping");
        self.hub.close();
    }
}

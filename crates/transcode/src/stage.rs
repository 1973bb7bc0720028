//! The transcoder of one stream: it starts a worker when renditions are wanted and
//! the source lives, has it follow the plan, and starts another when it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use weir_gpu::Device;
use weir_hub::{StreamHub, Subscriber};
use weir_media::{MediaTime, VideoFormat, codec};
use weir_model::{RenditionStatus, StreamId, Video};
use weir_observe::{Observe, WorkerLine};
use weir_pipeline::{Abilities, CpuShare, DECODE_CUDA, EncoderFile, OutputId, Start, Usage, WorkerFault, WorkerPlan};

use crate::admission::memory_max_bytes;
use crate::encoding_resources::{EncodingResources, LedgerEntry};
use crate::families::Families;
use crate::linger::Linger;
use crate::plan::{MachineView, Refused, RenditionPlan, SourceShape, SourceSound, TranscodePlan, decoding, plan};
use crate::rendition_publisher::RenditionPublisher;
use crate::restart_delay::RestartDelay;
use crate::telling::{Teller, statuses};
use crate::wants::{LogoWish, Wants};
use crate::worker_run::{End, RenditionPublishers, WorkerInput, WorkerRun, keep, next_kept};

/// When the source has been gone for longer, cached renditions are dropped: a new viewer must not begin with pictures that are so old.
const SOURCE_GONE_MAX: Duration = Duration::from_secs(10);

/// A source that sends sound is expected to show within this time whether it has pictures, too.
const PICTURE_AWAITED_MAX: Duration = Duration::from_secs(3);

/// The encoder family whose device the stage chooses.
pub(crate) const NVENC: &str = "nvenc";

/// How often the stage looks whether there is room for renditions that were refused for lack of it.
const ROOM_LOOKED_FOR_EVERY: Duration = Duration::from_secs(2);

/// How often the stage looks whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A stream's transcoder. When it is dropped, the transcoder and its worker end.
#[derive(Debug)]
pub struct TranscodeHandle {
    wants: watch::Sender<Wants>,
    statuses: watch::Receiver<Vec<RenditionStatus>>,
    task: AbortHandle,
}

impl TranscodeHandle {
    /// Sets the renditions that are wanted from now on. One that is no longer wanted runs on for ten seconds.
    pub fn want(&self, wants: Wants) {
        self.wants.send_if_modified(|now| {
            let changed = *now != wants;
            *now = wants;
            changed
        });
    }

    /// The status of each rendition, as last measured.
    pub fn statuses(&self) -> watch::Receiver<Vec<RenditionStatus>> {
        self.statuses.clone()
    }
}

impl Drop for TranscodeHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a stream's transcoder on `lane`; it has a worker only while there is something to do.
pub fn start(
    id: StreamId,
    hub: StreamHub,
    encoding: EncodingResources,
    observe: Observe,
    lane: &Handle,
) -> TranscodeHandle {
    let (wants, wanted) = watch::channel(Wants::default());
    let (tell, statuses) = watch::channel(Vec::new());
    let stage = Stage {
        id,
        hub,
        teller: Teller::new(id, observe.clone()),
        observe,
        wanted,
        tell,
        linger: Linger::default(),
        families: Families::default(),
        publishers: RenditionPublishers::new(),
        kept: None,
        stale: false,
        worker_starts: 0,
        cpu: CpuShare::default(),
        sound_since: None,
        sounds: Vec::new(),
        looked_for_room: Instant::now(),
        plan: TranscodePlan::default(),
        ledger: encoding.ledger_entry(id),
        encoding,
    };
    TranscodeHandle { wants, statuses, task: lane.spawn(stage.run()).abort_handle() }
}

struct Stage {
    id: StreamId,
    hub: StreamHub,
    encoding: EncodingResources,
    observe: Observe,
    teller: Teller,
    wanted: watch::Receiver<Wants>,
    tell: watch::Sender<Vec<RenditionStatus>>,
    linger: Linger,
    families: Families,
    publishers: RenditionPublishers,
    /// The source for renditions that keep some of it as it is: they go on whatever becomes of the worker.
    kept: Option<Subscriber>,
    /// True when the cached renditions of a source that is gone have been dropped already.
    stale: bool,
    worker_starts: u64,
    cpu: CpuShare,
    /// When the source became live with sound alone; None once it has shown a picture.
    sound_since: Option<Instant>,
    /// The sounds that the source has now.
    sounds: Vec<SourceSound>,
    looked_for_room: Instant,
    plan: TranscodePlan,
    ledger: LedgerEntry,
}

/// What a plan is made from, apart from the wishes; it stays the same while a worker runs.
struct Planner {
    abilities: Arc<Abilities>,
    shape: SourceShape,
    /// The device of the worker. There is one at most, so that pictures stay in its memory from the decoder to the encoders.
    device: Option<Device>,
}

impl Planner {
    /// `running` are the renditions that go on whether there is room or not.
    fn plan(&self, stage: &Stage, running: &[RenditionPlan]) -> TranscodePlan {
        let machine = MachineView {
            abilities: &self.abilities,
            encoders: stage.encoding.encoders(),
            avoided: stage.families.avoided(),
            cores_free: stage.encoding.cores_free_for(stage.id),
            devices: self.device.iter().map(|device| (NVENC.to_owned(), device.index)).collect(),
            running,
        };
        let source = SourceShape { sounds: stage.sounds.clone(), ..self.shape.clone() };
        plan(&source, &stage.linger.wants(), stage.wanted.borrow().terms(), &machine)
    }
}

impl Stage {
    async fn run(mut self) {
        let (encoding, mut delay) = (self.encoding.clone(), RestartDelay::new());
        // Proving the encoders takes seconds the first time. It is done when
        // renditions are wanted, so that it is over when the source comes.
        while self.wanted.borrow_and_update().renditions.is_empty() {
            if self.wanted.changed().await.is_err() {
                return;
            }
        }
        encoding.abilities().await;
        // Renditions of a failed worker go on without being asked for room again; after the source has ended they must find room anew.
        let mut running = Vec::new();
        loop {
            let Some((source, shape)) = self.work().await else { return };
            let abilities = encoding.abilities().await;
            self.families.recover(Instant::now(), || encoding.has_room());
            let device = self.device(&abilities).await;
            let planner = Planner { abilities, shape, device };
            let plan = planner.plan(&self, &running);
            self.adopt(plan, Instant::now());
            if self.plan.renditions.is_empty() {
                // All renditions were refused. That changes only when the wishes change, a family has recovered, or there is room.
                self.pause(LOOK_EVERY).await;
                continue;
            }
            let (published, started_at) = (self.newest(), Instant::now());
            let end = self.run_worker(source, &planner).await;
            running.clone_from(&self.plan.renditions);
            match end {
                End::Closed => return,
                End::OtherCodec | End::Left => {}
                End::Drained => {
                    running.clear();
                    self.ledger.take(0.0);
                }
                End::Failed(fault) => {
                    let gave_pictures = self.newest() > published;
                    self.failed(&fault, gave_pictures);
                    let healthy = if gave_pictures { started_at.elapsed() } else { Duration::ZERO };
                    self.pause(delay.after(healthy)).await;
                }
            }
        }
    }

    /// The time of the newest encoded picture that was published; where no pictures are encoded, of the newest sound.
    fn newest(&self) -> Option<MediaTime> {
        let made = self.publishers.values().filter(|publisher| publisher.makes_picture());
        let pictures = made.filter_map(RenditionPublisher::last_picture).max();
        pictures.or_else(|| self.publishers.values().filter_map(RenditionPublisher::last_sound).max())
    }

    /// The device for the next worker; None where no device works, or none has room.
    async fn device(&mut self, abilities: &Abilities) -> Option<Device> {
        let family =
            |file: &&EncoderFile| file.family == NVENC && abilities.encoders.get(&file.id).is_some_and(|it| it.ok);
        let encodes = self.encoding.encoders().all().iter().any(|file| family(&file));
        if !encodes && !abilities.cuda_decoding.ok {
            return None;
        }
        let seen = self.encoding.devices().await;
        let device = weir_gpu::least_loaded(&seen.devices).cloned();
        // A device that the driver gives no figures of may have room; only devices that were seen can be full.
        if device.is_none() && !seen.devices.is_empty() {
            for family in [NVENC, DECODE_CUDA] {
                self.families.full(family);
            }
        }
        device
    }

    /// Waits until renditions are wanted and there is a source to make them from. None means that the stream is over.
    async fn work(&mut self) -> Option<(Subscriber, SourceShape)> {
        loop {
            self.linger.update(&self.wanted.borrow_and_update().renditions, Instant::now());
            let (wants, tracks) = (self.linger.wants(), self.hub.source().tracks());
            if wants.is_empty() && !self.publishers.is_empty() {
                self.adopt(TranscodePlan::default(), Instant::now());
            }
            let source = self.hub.pulse();
            let live = source.started;
            let gone = |at: Instant| at.elapsed() > SOURCE_GONE_MAX;
            if !source.attached && !self.stale && source.last_frame_at.is_some_and(gone) {
                self.forget_media();
            }
            let sound_alone = live && tracks.video().is_none() && tracks.audio().is_some();
            let sound_since = sound_alone.then(|| self.sound_since.unwrap_or_else(Instant::now));
            self.sound_since = sound_since;
            // Where pictures are wanted the stage waits for them, but not for
            // ever: a source without any still gets its renditions of sound alone.
            let wants_pictures = wants.iter().any(|want| want.video != Video::None);
            let patience = if wants_pictures { PICTURE_AWAITED_MAX } else { Duration::ZERO };
            let enough = tracks.video().is_some() || sound_since.is_some_and(|since| since.elapsed() >= patience);
            if enough && live && !wants.is_empty() {
                let format = tracks.video().and_then(|video| video.video.clone()).unwrap_or_default();
                let fps =
                    format.fps.map(|(numerator, denominator)| f64::from(numerator) / f64::from(denominator.max(1)));
                let deep = format.bit_depth > 8;
                self.sounds = tracks.audios().map(|sound| SourceSound::from(&**sound)).collect();
                let VideoFormat { width, height, .. } = format;
                let interlaced = tracks.video().is_some_and(|video| codec::may_be_interlaced(video));
                let shape = SourceShape { width, height, fps, deep, interlaced, sound_alone, sounds: Vec::new() };
                return Some((self.hub.source().subscribe(), shape));
            }
            if !live {
                self.ledger.take(0.0);
            }
            let mut pulse = self.hub.watch_pulse();
            pulse.mark_unchanged();
            let idle = wants.is_empty() && self.publishers.is_empty();
            tokio::select! {
                changed = self.wanted.changed() => changed.ok()?,
                _ = pulse.changed() => {}
                // A transcoder without anything to do sleeps until a wish or the source's pulse changes.
                () = tokio::time::sleep(LOOK_EVERY), if !idle => self.tell_statuses(),
            }
        }
    }

    async fn run_worker(&mut self, source: Subscriber, planner: &Planner) -> End {
        let unable = |message: String| End::Failed(WorkerFault { output: None, message });
        let launcher = match self.encoding.launcher() {
            Ok(launcher) => launcher.clone(),
            Err(missing) => return unable(missing.to_string()),
        };
        // All renditions go on after the same picture, so that their keyframes stay aligned.
        let resume_after = self.newest();
        // A device that is split into MIG slices is not named by its own UUID; CUDA finds its slice by itself.
        let uuid = planner.device.as_ref().filter(|device| !device.mig).and_then(|device| device.uuid.as_deref());
        let limits = self.encoding.limits(memory_max_bytes(&self.plan.worker, &planner.shape));
        let start = Start { resume_after, device: uuid, limits: Some(limits) };
        let (worker, writer, reader) = match weir_pipeline::start(&launcher, start) {
            Ok(started) => started,
            Err(error) => return unable(format!("the worker can't be started: {error}")),
        };
        tracing::info!(stream_id = %self.id, worker = worker.pid(), outputs = self.plan.renditions.len(), "transcoding");
        self.stale = false;
        self.worker_starts += 1;
        let (plans, plan) = watch::channel(self.plan.worker.clone());
        let (logos, logo) = watch::channel(self.wanted.borrow().logo.clone());
        let (pulse, mut keyframe_asks) = (self.hub.watch_pulse(), self.hub.watch_keyframe_asks());
        // Whoever asked while no worker ran is heard by this one.
        keyframe_asks.mark_changed();
        let input = WorkerInput { source, plan, logo, pulse, keyframe_asks };
        let worker_run = WorkerRun { worker, writer, reader, memory_max_bytes: limits.memory_bytes };
        let end = worker_run.run(input, &mut RunningStage { stage: self, plans, logos, planner }).await;
        self.observe.board().set_worker(self.id, None);
        end
    }

    /// Applies what has changed with time and with the wishes; true means that the worker is to end.
    fn look(&mut self, plans: &watch::Sender<WorkerPlan>, planner: &Planner) -> bool {
        let now = Instant::now();
        let mut changed = self.linger.expire(now);
        let Self { families, encoding, .. } = &mut *self;
        for family in families.recover(now, || encoding.has_room()) {
            tracing::info!(stream_id = %self.id, family, "an encoder family is tried again");
            // The device is chosen before a worker starts, so this one can't move to it.
            if family == NVENC && planner.device.is_none() {
                return true;
            }
            changed = true;
        }
        if self.wanted.has_changed().unwrap_or(false) {
            let wants = self.wanted.borrow_and_update().clone();
            self.linger.update(&wants.renditions, now);
            changed = true;
        }
        let known = self.encoding.known_abilities();
        if known.is_some_and(|known| !Arc::ptr_eq(&known, &planner.abilities) && !known.are_those(&planner.abilities)) {
            return true;
        }
        // The source had no picture when the worker was started, and has one now.
        if planner.shape.sound_alone && self.hub.source().tracks().video().is_some() {
            return true;
        }
        changed |= self.sounds_changed();
        let room_is_due = now.duration_since(self.looked_for_room) >= ROOM_LOOKED_FOR_EVERY
            && self.plan.refused.iter().any(|refused| refused.for_room);
        let plan = (changed || room_is_due).then(|| planner.plan(self, &self.plan.renditions));
        if room_is_due {
            self.looked_for_room = now;
        }
        let more = |plan: &TranscodePlan| plan.renditions.len() > self.plan.renditions.len();
        if let Some(plan) = plan.filter(|plan| changed || more(plan)) {
            if plan.renditions.is_empty() || plan.worker.decode_in != self.plan.worker.decode_in {
                return true;
            }
            self.adopt(plan, now);
            plans.send_replace(self.plan.worker.clone());
        }
        self.look_at_lag(now);
        self.tell_statuses();
        false
    }

    /// Notes the source's sounds; true when they have changed. A source without
    /// any sound here has ended, or is about to announce them: that is no change.
    fn sounds_changed(&mut self) -> bool {
        let tracks = self.hub.source().tracks();
        let sounds: Vec<SourceSound> = tracks.audios().map(|sound| SourceSound::from(&**sound)).collect();
        let changed = !sounds.is_empty() && sounds != self.sounds;
        if changed {
            self.sounds = sounds;
        }
        changed
    }

    /// Reports the renditions that fall behind, and those that are in time again.
    fn look_at_lag(&mut self, now: Instant) {
        let pulse = self.hub.pulse();
        let source = pulse.last_frame_at.map(|_| pulse.last_frame_time);
        for (name, publisher) in &mut self.publishers {
            if let Some(change) = publisher.look(source, now) {
                self.teller.delay(name, &publisher.plan.element, change);
            }
        }
    }

    /// Puts a plan in force: what it does not contain is no longer published.
    fn adopt(&mut self, plan: TranscodePlan, now: Instant) {
        let hub = &self.hub;
        self.publishers.retain(|name, _| {
            let stays = plan.renditions.iter().any(|rendition| rendition.name() == name);
            if !stays {
                // Who asks for it again later must not begin with what is cached of it now.
                hub.rendition(name).clear();
            }
            stays
        });
        for rendition in &plan.renditions {
            match self.publishers.get_mut(rendition.name()) {
                Some(publisher) if publisher.has_picture_of(rendition) => publisher.resume_same(rendition.clone()),
                Some(publisher) => publisher.resume(rendition.clone()),
                None => {
                    let publisher = self.hub.publish_rendition(rendition.name());
                    let mut new = RenditionPublisher::new(rendition.clone(), publisher, now);
                    // An encoder that runs says only once what its pictures are, and its next keyframe may be a while off.
                    if let Some(other) = self.publishers.values().find(|other| other.shares_picture_with(rendition)) {
                        new.begin_beside(other);
                        self.hub.rendition(rendition.name()).ask_keyframe();
                    }
                    self.publishers.insert(rendition.name().to_owned(), new);
                }
            }
        }
        if !self.publishers.values().any(RenditionPublisher::keeps_any) {
            self.kept = None;
        } else if self.kept.is_none() {
            self.kept = Some(self.hub.source().subscribe());
        }
        // A refusal for lack of room is told once: the figure in its text changes all the time.
        let told = |refused: &Refused| {
            let before = self.plan.refused.iter().find(|before| before.name == refused.name);
            before.is_some_and(|before| before.for_room && refused.for_room || before == refused)
        };
        for refused in plan.refused.iter().filter(|refused| !told(refused)) {
            self.teller.refused(refused);
        }
        for rendition in &plan.renditions {
            let before = self.plan.renditions.iter().find(|before| before.name() == rendition.name());
            if before.is_none_or(|before| before.element != rendition.element || before.reason != rendition.reason) {
                self.teller.planned(rendition, now);
            }
        }
        self.ledger.take(plan.cores);
        self.plan = plan;
        self.tell_statuses();
    }

    /// Drops the cached renditions, so that nobody who joins later begins with them.
    fn forget_media(&mut self) {
        for (name, publisher) in &mut self.publishers {
            self.hub.rendition(name).clear();
            publisher.publish_anew(self.hub.publish_rendition(name));
        }
        self.stale = true;
    }

    fn failed(&mut self, fault: &WorkerFault, gave_pictures: bool) {
        self.teller.worker_failed(fault);
        let family = |id: OutputId| {
            let rendition = self.plan.renditions.iter().find(|rendition| rendition.video == Some(id))?;
            let file = self.encoding.encoders().all().iter().find(|file| file.element == rendition.element)?;
            rendition.family.clone().filter(|_| file.is_hardware())
        };
        // Where a worker gave no pictures and blamed no output, the decoder is blamed first, and where it is software, the encoder.
        let decoder = || decoding(self.plan.worker.decode_in).map(str::to_owned);
        let encoder = || self.plan.renditions.iter().find_map(|rendition| family(rendition.video?));
        let blamed = match fault.output {
            Some(output) => family(output),
            None if gave_pictures => None,
            None => decoder().or_else(encoder),
        };
        if let Some(family) = blamed
            && self.families.failed(&family, &fault.message, Instant::now())
        {
            tracing::warn!(stream_id = %self.id, family, "an encoder family keeps failing and is avoided for a while");
        }
        // Subscribers can't decode what follows the gap, so each rendition waits for a keyframe.
        for publisher in self.publishers.values_mut() {
            publisher.resume(publisher.plan.clone());
        }
    }

    /// Waits for `length`, or until the wishes change. Meanwhile what is kept of the source goes on.
    async fn pause(&mut self, length: Duration) {
        self.tell_statuses();
        let mut over = std::pin::pin!(tokio::time::sleep(length));
        loop {
            tokio::select! {
                () = &mut over => break,
                _ = self.wanted.changed() => break,
                next = next_kept(&mut self.kept) => if !keep(next, &mut self.publishers) {
                    break;
                },
            }
        }
        self.wanted.mark_changed();
    }

    fn tell_statuses(&self) {
        let source_lives = self.hub.pulse().attached;
        self.tell.send_replace(statuses(&self.publishers, &self.plan.refused, source_lives, Instant::now()));
    }
}

/// The stage while a worker runs for it: what the run needs of the stage.
pub(crate) struct RunningStage<'a> {
    stage: &'a mut Stage,
    plans: watch::Sender<WorkerPlan>,
    logos: watch::Sender<Option<LogoWish>>,
    planner: &'a Planner,
}

impl RunningStage<'_> {
    pub(crate) fn publishers(&mut self) -> &mut RenditionPublishers {
        &mut self.stage.publishers
    }

    /// The source for renditions that keep some of it as it is; None while there are none.
    pub(crate) fn kept(&mut self) -> &mut Option<Subscriber> {
        &mut self.stage.kept
    }

    /// An encoder was told to make a keyframe for somebody who watches.
    pub(crate) fn forced_keyframe(&self) {
        self.stage.observe.board().count_forced_keyframe(self.stage.id);
    }

    /// Does what time and new wishes ask for, four times a second; true means that the worker is to end.
    pub(crate) fn look(&mut self, usage: Option<Usage>) -> bool {
        if let Some(usage) = usage {
            let cpu_percent = self.stage.cpu.look(usage, Instant::now());
            self.stage.encoding.ledger().measured(self.stage.id, cpu_percent / 100.0);
            let line = WorkerLine {
                pid: usage.pid,
                rss_bytes: usage.rss_bytes,
                cpu_seconds: usage.cpu.as_secs_f64(),
                cpu_percent,
                starts: self.stage.worker_starts,
            };
            self.stage.observe.board().set_worker(self.stage.id, Some(line));
        }
        let logo = self.stage.wanted.borrow().logo.clone();
        self.logos.send_if_modified(|now| {
            let changed = *now != logo;
            *now = logo;
            changed
        });
        self.stage.look(&self.plans, self.planner)
    }
}

//! The supervisor: the one task that starts and stops what runs, by comparing it with what is stored.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use time::OffsetDateTime;
use tokio::join;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_model::{ReasonCode, RestreamId, StreamId};
use weir_observe::{Heartbeat, Observe};
use weir_restream::{RestreamHandle, RestreamOutcome};
use weir_rtmp::net::PushOptions;
use weir_transcode::Workshop;

use crate::commands::{Commands, Desired};
use crate::lanes::Lanes;
use crate::reconcile::{ActualStream, DesiredStream, Step, reconcile};
use crate::renditions;
use crate::runtime::Runtime;
use crate::shelves::Shelves;
use crate::stream_run::StreamRun;

/// Looked at this often for what ends by itself, and for schedules that fall due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Of these looks, how many to one at what other processes changed: every two seconds.
const FOREIGN_CHANGES_EVERY: u32 = 4;

/// A stream's restreams share its lane up to this number, then the next lane, and so on: what wakes together runs together,
/// in one cache and without a system call to wake another thread. One core carries about 500 pushes of 4 Mbps.
const RESTREAMS_PER_LANE: usize = 250;

/// All goodbyes together when the server stops; each takes a second at most.
const GOODBYES_MAX: Duration = Duration::from_secs(3);

/// All recordings together: what is in memory is written, and each file gets its name. A disk that hangs does not get longer.
const RECORDINGS_MAX: Duration = Duration::from_secs(5);

/// A drain takes no longer: its parts run side by side.
pub const DRAIN_MAX: Duration = RECORDINGS_MAX;

/// What pushes need that the server knows.
#[derive(Debug)]
pub struct Supervisor {
    commands: Commands,
    runtime: Runtime,
    observe: Observe,
    lanes: Lanes,
    push_options: PushOptions,
    shelves: Shelves,
    workshop: Workshop,
    /// Restreams that are saying goodbye.
    leaving: JoinSet<()>,
    /// Names of restreams whose settings are at fault, for the board.
    faulty_names: BTreeMap<RestreamId, String>,
    next_schedule_at: Option<OffsetDateTime>,
    looks: u32,
}

impl Supervisor {
    pub fn new(
        commands: Commands,
        runtime: Runtime,
        observe: Observe,
        lanes: Lanes,
        push_options: PushOptions,
        shelves: Shelves,
        workshop: Workshop,
    ) -> Self {
        Self {
            commands,
            runtime,
            observe,
            lanes,
            push_options,
            shelves,
            workshop,
            leaving: JoinSet::new(),
            faulty_names: BTreeMap::new(),
            next_schedule_at: None,
            looks: 0,
        }
    }

    /// Runs until told to stop, then drains: publishers are sent away, destinations are told goodbye, recordings are ended.
    pub async fn run(mut self, stop: CancellationToken, heartbeat: Heartbeat) {
        // Neither what a round waits for, a database that hangs included, nor a fault of ours in it must keep anyone from being told
        // goodbye. Drained even after a panic, which its owner hears of afterwards.
        let supervising = AssertUnwindSafe(stop.run_until_cancelled(self.supervise(&heartbeat)));
        let outcome = supervising.catch_unwind().await;
        self.drain().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    async fn supervise(&mut self, heartbeat: &Heartbeat) {
        let mut due = true;
        loop {
            heartbeat.beat();
            if due {
                self.round().await;
                self.apply_schedules().await;
            }
            self.stop_what_gave_up().await;
            due = tokio::select! {
                () = self.runtime.kicked() => true,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if self.next_schedule_at.is_some_and(|at| at <= OffsetDateTime::now_utc()) {
                        self.apply_schedules().await;
                    }
                    self.look_for_foreign_changes().await;
                    false
                }
            };
        }
    }

    async fn round(&mut self) {
        let desired = match self.commands.desired().await {
            Ok(desired) => self.keyed(desired),
            Err(error) => {
                // What runs goes on as it is; the next change or look tries again.
                tracing::error!(%error, "what should run could not be read");
                self.runtime.kick();
                tokio::time::sleep(LOOK_EVERY).await;
                return;
            }
        };
        let actual: BTreeMap<StreamId, ActualStream> =
            self.runtime.streams().iter().map(|(id, run)| (*id, run.actual())).collect();
        let mut starts = Vec::new();
        for step in reconcile(&desired, &actual) {
            match step {
                Step::StopRestream(id) => {
                    if let Some(handle) = self.take_restream(id) {
                        self.leaving.spawn(handle.stop());
                    }
                }
                Step::StopStream(id) => self.stop_stream(id),
                start => starts.push(start),
            }
        }
        // Old connections leave, at most a second together, before new ones claim the same keys.
        while self.leaving.join_next().await.is_some() {}
        starts.into_iter().for_each(|step| self.start(step));
        self.runtime.round_ended();
    }

    fn keyed(&mut self, desired: Vec<Desired>) -> BTreeMap<StreamId, DesiredStream> {
        self.faulty_names.clear();
        let mut keyed = BTreeMap::new();
        for wanted in desired {
            let mut restreams = BTreeMap::new();
            for restream in wanted.restreams {
                match restream {
                    Ok(mut spec) => {
                        let found = renditions::settle(&wanted.stream, &mut spec);
                        if found.is_err() {
                            self.faulty_names.insert(spec.id, spec.name.clone());
                        }
                        restreams.insert(spec.id, found.map(|()| spec))
                    }
                    Err(fault) => {
                        self.faulty_names.insert(fault.id, fault.name);
                        restreams.insert(fault.id, Err(fault.fault.reason()))
                    }
                };
            }
            keyed.insert(wanted.stream.id, DesiredStream { stream: wanted.stream, restreams });
        }
        keyed
    }

    fn start(&self, step: Step) {
        let mut streams = self.runtime.streams();
        match step {
            Step::StartStream(stream) => {
                let lane = self.lanes.pick(stream.id.0);
                let run = StreamRun::start(*stream, &self.observe, &self.shelves, &self.workshop, lane);
                self.runtime.show(&run);
                streams.insert(run.stream.id, run);
            }
            Step::UpdateStream(stream) => {
                if let Some(run) = streams.get_mut(&stream.id) {
                    run.update(*stream, &self.observe);
                    self.runtime.show(run);
                }
            }
            Step::StartRestream(spec) => {
                if let Some(run) = streams.get_mut(&spec.stream_id) {
                    let step = run.restreams_count() / RESTREAMS_PER_LANE;
                    let lane = self.lanes.pick_beside(spec.stream_id.0, step);
                    run.start_restream(*spec, &self.observe, &self.push_options, lane);
                }
            }
            Step::RenameRestream(spec) => {
                if let Some(run) = streams.get_mut(&spec.stream_id) {
                    run.rename_restream(*spec, &self.observe);
                }
            }
            Step::ShowFault { stream_id, restream_id, reason } => {
                if let Some(run) = streams.get_mut(&stream_id) {
                    let name = self.faulty_names.get(&restream_id).cloned().unwrap_or_default();
                    run.show_fault(restream_id, name, reason, &self.observe);
                }
            }
            // Taken before.
            Step::StopRestream(_) | Step::StopStream(_) => {}
        }
    }

    fn take_restream(&self, id: RestreamId) -> Option<RestreamHandle> {
        self.observe.board().forget_restream(id);
        self.runtime.streams().values_mut().find_map(|run| run.take_restream(id))
    }

    fn stop_stream(&self, id: StreamId) {
        self.runtime.hide(id);
        // Dropped outside the lock: its door and its hub wake others.
        let run = self.runtime.streams().remove(&id);
        if let Some(run) = run {
            run.delete();
        }
        self.observe.board().forget_stream(id);
    }

    /// A restream ends by itself when it gave up; then it is stopped in the store too, so that it stays so after a restart.
    async fn stop_what_gave_up(&self) {
        let finished: Vec<(RestreamId, RestreamHandle)> =
            self.runtime.streams().values_mut().flat_map(StreamRun::take_finished).collect();
        for (id, mut handle) in finished {
            if handle.outcome().await == RestreamOutcome::GaveUp {
                if let Err(error) = self.commands.stop_restream_for(id, ReasonCode::SourceTimeout).await {
                    tracing::error!(restream_id = %id, %error, "a restream that gave up could not be stored as stopped");
                }
            } else {
                // A bug of ours ended it: it is wanted, so the next round starts it again.
                tracing::error!(restream_id = %id, "a restream's task died and is started again");
                self.runtime.kick();
            }
            self.observe.board().forget_restream(id);
        }
    }

    /// What falls due kicks. Reads every restream, so it is done after changes and when something is due, not at each look.
    async fn apply_schedules(&mut self) {
        match self.commands.by("schedule").apply_schedules(OffsetDateTime::now_utc()).await {
            Ok(next) => self.next_schedule_at = next,
            Err(error) => {
                tracing::error!(%error, "schedules could not be applied; they are tried again");
                self.next_schedule_at = Some(OffsetDateTime::now_utc() + LOOK_EVERY);
            }
        }
    }

    /// What another process changed is taken over within two seconds.
    async fn look_for_foreign_changes(&mut self) {
        self.looks = (self.looks + 1) % FOREIGN_CHANGES_EVERY;
        if self.looks == 0
            && let Err(error) = self.commands.look_for_foreign_changes().await
        {
            tracing::error!(%error, "what other processes changed could not be read; it is tried again");
        }
    }

    async fn drain(mut self) {
        let streams = std::mem::take(&mut *self.runtime.streams());
        for (_, mut run) in streams {
            run.door.evict("the server is stopping");
            for handle in run.take_restreams() {
                self.leaving.spawn(handle.stop());
            }
            // Dropped, its recorder is told to end, and its players are.
        }
        let goodbyes = timeout(GOODBYES_MAX, async { while self.leaving.join_next().await.is_some() {} });
        let recordings = timeout(RECORDINGS_MAX, self.shelves.recorders_ended());
        let (goodbyes, recordings) = join!(goodbyes, recordings);
        if goodbyes.is_err() {
            tracing::warn!("not every destination was told goodbye in time");
        }
        if recordings.is_err() {
            tracing::warn!("not every recording was ended in time: the next start mends what the disk did not take");
        }
    }
}

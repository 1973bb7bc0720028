//! The supervisor: the one task that owns what runs, and makes it match what is stored.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use time::OffsetDateTime;
use tokio::join;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_model::{ReasonCode, StreamId};
use weir_observe::Heartbeat;
use weir_restream::RestreamOutcome;

use crate::clocks::Clocks;
use crate::commands::Commands;
use crate::running::Kit;
use crate::runtime::Runtime;
use crate::stream_run::{Leaving, StreamRun};

/// How often the supervisor looks for parts that have ended by themselves, and for schedules that fall due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// It looks for changes by other processes at every fourth of these looks, which is every two seconds.
const FOREIGN_CHANGES_EVERY: u32 = 4;

/// How long all goodbyes together may take when the server stops; each takes a second at most.
const GOODBYES_MAX: Duration = Duration::from_secs(3);

/// How long all recordings together may take: what is in memory is written,
/// and each file gets its name. A disk that hangs gets no more time.
const RECORDINGS_MAX: Duration = Duration::from_secs(5);

/// A drain takes no longer than this, as its parts run side by side.
pub const DRAIN_MAX: Duration = RECORDINGS_MAX;

#[derive(Debug)]
pub struct Supervisor {
    commands: Commands,
    runtime: Runtime,
    kit: Kit,
    runs: BTreeMap<StreamId, StreamRun>,
    clocks: Clocks,
    /// A stream does not run yet because its clock could not be read.
    misses_clock: bool,
    /// Restreams that are saying goodbye.
    leaving: Leaving,
    next_schedule_at: Option<OffsetDateTime>,
    looks: u32,
}

impl Supervisor {
    pub fn new(commands: Commands, runtime: Runtime, kit: Kit) -> Self {
        Self {
            commands,
            runtime,
            kit,
            runs: BTreeMap::new(),
            clocks: Clocks::default(),
            misses_clock: false,
            leaving: JoinSet::new(),
            next_schedule_at: None,
            looks: 0,
        }
    }

    /// Runs until told to stop, then drains: publishers are sent away, destinations are told goodbye, recordings are ended.
    pub async fn run(mut self, stop: CancellationToken, heartbeat: Heartbeat) {
        // No fault of ours in a round, and nothing that it waits for, a database that hangs included, may keep anyone from being told
        // goodbye. It drains even after a panic, which its owner hears of afterwards.
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
            self.note_clocks().await;
            due = tokio::select! {
                () = self.runtime.kicked() => true,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if self.next_schedule_at.is_some_and(|at| at <= OffsetDateTime::now_utc()) {
                        self.apply_schedules().await;
                    }
                    self.look_for_foreign_changes().await;
                    self.runtime.demands().prune() || self.misses_clock
                }
            };
        }
    }

    /// The one way in which anything is started or stopped: what is stored is made into parts, which are compared with those that run.
    async fn round(&mut self) {
        // Where there is a round anyway, it need not be looked for another time.
        self.runtime.demands().prune();
        let desired = self.commands.catalogue().desired(self.commands.platforms());
        let mut pending = Vec::new();
        self.misses_clock = false;
        let wanted: BTreeMap<StreamId, _> = desired.into_iter().map(|desired| (desired.stream.id, desired)).collect();
        for (id, run) in self.runs.extract_if(.., |id, _| !wanted.contains_key(id)) {
            run.delete(&mut self.leaving);
            self.kit.observe.board().forget_stream(id);
            self.clocks.forget(id);
        }
        for (id, desired) in wanted {
            let run = match self.runs.entry(id) {
                Entry::Occupied(run) => run.into_mut(),
                Entry::Vacant(place) => match Clocks::of(&desired.stream, &self.commands, &self.kit.shelves).await {
                    Some(clock) => {
                        let demands = self.runtime.demands().clone();
                        place.insert(StreamRun::new(desired.stream.clone(), clock, demands, &self.kit))
                    }
                    None => {
                        self.misses_clock = true;
                        continue;
                    }
                },
            };
            pending.push((id, run.stop_surplus(desired, &self.kit, &mut self.leaving)));
        }
        // Old connections leave, within a second together, before new ones claim the same keys.
        while self.leaving.join_next().await.is_some() {}
        for (id, pending) in pending {
            if let Some(run) = self.runs.get_mut(&id) {
                run.start_pending(pending, &self.kit);
            }
        }
        self.show();
    }

    fn show(&self) {
        let shown = self.runs.iter().filter_map(|(id, run)| Some((*id, run.shown()?.into())));
        self.runtime.show(shown.collect());
    }

    /// A restream that gave up has ended by itself. It is then stopped in the store, too, so that it stays stopped after a restart.
    async fn stop_what_gave_up(&mut self) {
        let finished: Vec<_> = self.runs.values_mut().flat_map(StreamRun::take_finished).collect();
        for (id, outcome) in finished {
            if outcome.await == RestreamOutcome::GaveUp {
                if let Err(error) = self.commands.stop_restream_for(id, ReasonCode::SourceTimeout).await {
                    tracing::error!(restream_id = %id, %error, "a restream that gave up could not be stored as stopped");
                }
            } else {
                // A bug of ours ended it. It is still wanted, so the next round starts it again.
                tracing::error!(restream_id = %id, "a restream's task died and is started again");
                self.runtime.kick();
            }
        }
    }

    /// Applies what falls due. It looks at every restream, so it is done after changes and when something is due, and not at each look.
    async fn apply_schedules(&mut self) {
        match self.commands.by("schedule").apply_schedules(OffsetDateTime::now_utc()).await {
            Ok(next) => self.next_schedule_at = next,
            Err(error) => {
                tracing::error!(%error, "schedules could not be applied; they are tried again");
                self.next_schedule_at = Some(OffsetDateTime::now_utc() + LOOK_EVERY);
            }
        }
    }

    /// Takes over what other processes changed, within two seconds.
    async fn look_for_foreign_changes(&mut self) {
        self.looks = (self.looks + 1) % FOREIGN_CHANGES_EVERY;
        if self.looks == 0
            && let Err(error) = self.commands.look_for_foreign_changes().await
        {
            tracing::error!(%error, "what other processes changed could not be read; it is tried again");
        }
    }

    async fn note_clocks(&mut self) {
        let runs = self.runs.iter().map(|(id, run)| (*id, run.hub()));
        self.clocks.note(runs, &self.commands).await;
    }

    async fn drain(mut self) {
        let hubs: Vec<_> = self.runs.iter().map(|(id, run)| (*id, run.hub().clone())).collect();
        for (_, run) in std::mem::take(&mut self.runs) {
            // When the run is dropped, its recorder is told to end, and so are its players.
            run.drain(&mut self.leaving);
        }
        // Nothing may be held up by those who look at what runs.
        self.show();
        let goodbyes = timeout(GOODBYES_MAX, async { while self.leaving.join_next().await.is_some() {} });
        let recordings = timeout(RECORDINGS_MAX, self.kit.shelves.recorders_ended());
        let clocks = Clocks::note_all(&hubs, &self.commands);
        let (goodbyes, recordings, ()) = join!(goodbyes, recordings, clocks);
        if goodbyes.is_err() {
            tracing::warn!("not every destination was told goodbye in time");
        }
        if recordings.is_err() {
            tracing::warn!("not every recording was ended in time: the next start mends what the disk did not take");
        }
    }
}

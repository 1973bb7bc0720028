//! The owners: the server's own long-lived tasks. Each has a name, a heartbeat, and a time in which it must end; none may end unasked.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_observe::{Heartbeat, Heartbeats};

/// An owner that is cut off is gone at its next step, unless it blocks its thread.
const CUT_OFF_MAX: Duration = Duration::from_millis(100);

/// The turn in which an owner is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Turn {
    /// First, all side by side: those that serve strangers, and those that run streams. None can use up another's time.
    Serving,
    /// Then: those that report what the first ones did last, and the threads that these ran on.
    Telling,
}

/// An owner at its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    /// Its name in the log and in `/readyz`, such as "the supervisor".
    pub(crate) name: &'static str,
    pub(crate) turn: Turn,
    /// The time from being told to stop; an owner that has not ended then is dropped.
    pub(crate) grace: Duration,
}

/// Every task whose end would be the end of a part of the service.
#[derive(Debug)]
pub(crate) struct Owners {
    heartbeats: Heartbeats,
    serving: CancellationToken,
    telling: CancellationToken,
    tasks: JoinSet<()>,
    running: HashMap<Id, Owner>,
}

/// An owner that ended without having been told to: the server can't go on as if nothing had happened.
#[derive(Debug)]
pub(crate) struct Fallen {
    owner: &'static str,
    how: String,
}

impl fmt::Display for Fallen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; this is a fault of Weir's own", self.owner, self.how)
    }
}

impl std::error::Error for Fallen {}

impl Owners {
    pub(crate) fn new(heartbeats: Heartbeats) -> Self {
        let (serving, telling) = (CancellationToken::new(), CancellationToken::new());
        Self { heartbeats, serving, telling, tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// Starts an owner. `run` is given the token that tells it to stop, and its heartbeat.
    pub(crate) fn start<F>(&mut self, owner: Owner, run: impl FnOnce(CancellationToken, Heartbeat) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start_on(&Handle::current(), owner, run);
    }

    /// Starts an owner in another runtime.
    pub(crate) fn start_on<F>(
        &mut self,
        runtime: &Handle,
        owner: Owner,
        run: impl FnOnce(CancellationToken, Heartbeat) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.token(owner.turn).clone();
        let running = Box::pin(run(stop.clone(), self.heartbeats.join(owner.name)));
        let task = self.tasks.spawn_on(within_grace(owner, stop, running), runtime);
        self.running.insert(task.id(), owner);
    }

    /// Waits until an owner has ended that was not told to. It is cancel-safe.
    pub(crate) async fn fallen(&mut self) -> Fallen {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => Fallen { owner: self.forget(id), how: "ended unasked".to_owned() },
            Some(Err(error)) => Fallen { owner: self.forget(error.id()), how: how(error) },
            // There always are some tasks.
            None => std::future::pending().await,
        }
    }

    /// Stops all owners, turn by turn, each within its grace.
    pub(crate) async fn stop(mut self) {
        for turn in [Turn::Serving, Turn::Telling] {
            self.token(turn).cancel();
            let graces = self.running.values().filter(|owner| owner.turn == turn).map(|owner| owner.grace);
            let longest = graces.max().unwrap_or_default() + CUT_OFF_MAX;
            if timeout(longest, self.ended(turn)).await.is_err() {
                let hanging = self.running.values().filter(|owner| owner.turn == turn);
                let names: Vec<_> = hanging.map(|owner| owner.name).collect();
                tracing::error!("these block a thread and could not even be cut off: {}", names.join(", "));
            }
        }
    }

    /// Waits until no owner of this turn runs. It is cancel-safe.
    async fn ended(&mut self, turn: Turn) {
        while self.running.values().any(|owner| owner.turn == turn) {
            match self.tasks.join_next_with_id().await {
                Some(Ok((id, ()))) => {
                    self.forget(id);
                }
                Some(Err(error)) => {
                    let owner = self.forget(error.id());
                    tracing::error!(owner, "{owner} {}", how(error));
                }
                None => return,
            }
        }
    }

    fn token(&self, turn: Turn) -> &CancellationToken {
        match turn {
            Turn::Serving => &self.serving,
            Turn::Telling => &self.telling,
        }
    }

    /// Takes out an owner that has ended, and gives its name.
    fn forget(&mut self, id: Id) -> &'static str {
        self.running.remove(&id).map_or("a task", |owner| owner.name)
    }
}

async fn within_grace(owner: Owner, stop: CancellationToken, mut running: impl Future<Output = ()> + Unpin) {
    tokio::select! {
        () = &mut running => return,
        () = stop.cancelled() => {}
    }
    if timeout(owner.grace, running).await.is_err() {
        tracing::warn!(owner = owner.name, "{} did not end within {:?} and was cut off", owner.name, owner.grace);
    }
}

fn how(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("panicked: {}", words(&*panic)),
        Err(_) => "was lost with the thread that it ran on".to_owned(),
    }
}

/// The message of a panic.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::time::{Instant, sleep};

    const SERVER: Owner = Owner { name: "a listener", turn: Turn::Serving, grace: Duration::from_secs(2) };
    const TELLER: Owner = Owner { name: "history", turn: Turn::Telling, grace: Duration::from_secs(1) };

    fn owners() -> Owners {
        Owners::new(Heartbeats::default())
    }

    #[tokio::test]
    async fn whoever_ends_unasked_is_told_with_the_reason() {
        let lost = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let handle = runtime.handle().clone();
            runtime.shutdown_background();
            handle
        };
        let mut cases: Vec<(Owners, &str)> = Vec::new();
        let mut panicking = owners();
        panicking.start(TELLER, |stop, _| async move { stop.cancelled().await });
        panicking.start(SERVER, |_, _| async { panic!("index {} out of range", 7) });
        cases.push((panicking, "a listener panicked: index 7 out of range; this is a fault of Weir's own"));
        let mut ending = owners();
        ending.start(TELLER, |_, _| async {});
        cases.push((ending, "history ended unasked; this is a fault of Weir's own"));
        let mut orphaned = owners();
        orphaned.start_on(&lost(), SERVER, |stop, _| async move { stop.cancelled().await });
        let expected = "a listener was lost with the thread that it ran on; this is a fault of Weir's own";
        cases.push((orphaned, expected));
        for (mut owners, expected) in cases {
            assert_eq!(owners.fallen().await.to_string(), expected);
            // The other owners can still be drained.
            owners.stop().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn turns_follow_one_another_and_nobody_uses_up_anothers_time() {
        let mut owners = owners();
        let ended: Arc<Mutex<Vec<(&str, u64)>>> = Arc::default();
        let began = Instant::now();
        let end_after = |name: &'static str, seconds: u64| {
            let ended = Arc::clone(&ended);
            move |stop: CancellationToken, _: Heartbeat| async move {
                stop.cancelled().await;
                sleep(Duration::from_secs(seconds)).await;
                ended.lock().unwrap().push((name, began.elapsed().as_secs()));
            }
        };
        owners.start(TELLER, end_after("teller", 0));
        owners.start(SERVER, end_after("hangs", 1_000));
        owners.start(Owner { grace: Duration::from_secs(5), ..SERVER }, end_after("slow", 4));
        owners.start(SERVER, end_after("quick", 1));
        owners.stop().await;
        assert_eq!(*ended.lock().unwrap(), [("quick", 1), ("slow", 4), ("teller", 4)]);
    }

    #[tokio::test]
    async fn who_blocks_a_thread_holds_up_nobody() {
        let lane = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let grace = Duration::from_millis(50);
        let mut owners = owners();
        owners.start_on(lane.handle(), Owner { grace, ..SERVER }, |_, _| async move {
            let _ = released.recv();
        });
        let ended = Arc::new(Mutex::new(false));
        let telling = Arc::clone(&ended);
        owners.start(Owner { grace, ..TELLER }, |stop, _| async move {
            stop.cancelled().await;
            *telling.lock().unwrap() = true;
        });
        owners.stop().await;
        assert!(*ended.lock().unwrap());
        drop(release);
        lane.shutdown_background();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_owner_is_heard_of() {
        let heartbeats = Heartbeats::default();
        let mut owners = Owners::new(heartbeats.clone());
        owners.start(SERVER, |stop, heartbeat| async move { heartbeat.idle(stop.cancelled()).await });
        owners.start(TELLER, |stop, _heartbeat| async move { stop.cancelled().await });
        sleep(weir_observe::SILENCE_MAX * 2).await;
        let stuck: Vec<_> = heartbeats.silent().into_iter().map(|silence| silence.owner).collect();
        assert!(stuck.is_empty(), "its heartbeat was dropped: {stuck:?}");
        owners.start(TELLER, |stop, heartbeat| async move {
            stop.cancelled().await;
            drop(heartbeat);
        });
        sleep(weir_observe::SILENCE_MAX * 2).await;
        let stuck: Vec<_> = heartbeats.silent().into_iter().map(|silence| silence.owner).collect();
        assert_eq!(stuck, ["history"]);
    }
}

//! The owners: the server's own long-lived tasks by name, started one by one and stopped in stages.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// When an owner is stopped, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Ended at once: nothing is lost with it.
    Telling,
    /// Lets strangers in.
    Serving,
    /// After those: a publisher that is sent away must not come back through an open door.
    Supervising,
}

/// Every task whose end would be the end of the server's service.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    stages: BTreeMap<Stage, Running>,
}

#[derive(Debug, Default)]
struct Running {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Owners {
    /// `run` is given the token that tells it to stop.
    pub(crate) fn start<F>(&mut self, stage: Stage, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let running = self.stages.entry(stage).or_default();
        running.tasks.spawn(run(running.stop.clone()));
    }

    /// Stops all, stage by stage; bounded by whoever awaits this.
    pub(crate) async fn stop(self) {
        for (stage, mut running) in self.stages {
            running.stop.cancel();
            if stage == Stage::Telling {
                running.tasks.abort_all();
            }
            while running.tasks.join_next().await.is_some() {}
        }
    }
}

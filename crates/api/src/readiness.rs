//! Says whether the server wants traffic, and if not, why. All reasons meet in this one place.

use std::sync::Arc;

use tokio::sync::watch;
use weir_observe::Heartbeats;
use weir_store::WriteHealth;

/// What `/readyz` answers, and what ends event streams when the server drains. A clone shares it.
#[derive(Debug, Clone)]
pub struct Readiness {
    phase: Arc<watch::Sender<Phase>>,
    heartbeats: Heartbeats,
    database: WriteHealth,
}

/// The phases of the server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Draining,
}

impl Readiness {
    /// Makes a readiness that says no. `heartbeats` are those of the server's owners, `database` is the health of its store.
    pub fn new(heartbeats: Heartbeats, database: WriteHealth) -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Starting)), heartbeats, database }
    }

    pub fn set_ready(&self) {
        self.phase.send_replace(Phase::Serving);
    }

    /// Has `/readyz` say no from now on, and ends event streams.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Why no traffic is wanted, in words for the operator. There is no reason if the server is ready.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let phase = match *self.phase.borrow() {
            Phase::Starting => Some("the server is starting".to_owned()),
            Phase::Serving => None,
            Phase::Draining => Some("the server is stopping".to_owned()),
        };
        let stuck = self.heartbeats.silent().into_iter().map(|silence| {
            let seconds = silence.lasted.as_secs();
            format!("{} has been stuck for {seconds} s: a restart of the server may be needed", silence.owner)
        });
        phase.into_iter().chain(self.database.problem()).chain(stuck).collect()
    }

    /// Returns when draining begins, which may be long after this call, or never.
    pub(crate) async fn draining(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Draining).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use weir_observe::SILENCE_MAX;

    #[tokio::test(start_paused = true)]
    async fn every_reason_is_told() {
        let heartbeats = Heartbeats::default();
        let readiness = Readiness::new(heartbeats.clone(), WriteHealth::default());
        assert_eq!(readiness.reasons(), ["the server is starting"]);
        readiness.set_ready();
        assert!(readiness.reasons().is_empty());
        let heartbeat = heartbeats.join("the supervisor");
        tokio::time::sleep(SILENCE_MAX + Duration::from_secs(1)).await;
        let stuck = "the supervisor has been stuck for 16 s: a restart of the server may be needed";
        assert_eq!(readiness.reasons(), [stuck]);
        readiness.drain();
        assert_eq!(readiness.reasons(), ["the server is stopping", stuck]);
        heartbeat.beat();
        assert_eq!(readiness.reasons(), ["the server is stopping"]);
    }

    #[tokio::test]
    async fn draining_is_waited_for_from_any_phase() {
        let readiness = Readiness::new(Heartbeats::default(), WriteHealth::default());
        let early = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.draining().await }
        });
        readiness.set_ready();
        tokio::task::yield_now().await;
        assert!(!early.is_finished());
        readiness.drain();
        early.await.unwrap();
        readiness.draining().await;
    }
}

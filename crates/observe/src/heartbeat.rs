//! Heartbeats: each of the server's own tasks shows that it makes progress, and whoever asks learns which one does not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// A task that has not beaten for so long is stuck. The slowest thing that a task does in a round is to wait for the database twice,
/// which gives up after 5 s each time.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A task that waits for something to do beats this often, which is three times in the longest silence that is allowed. Each beat wakes a
/// thread. A server has a dozen such tasks: when each beat once a second, they cost 0.2 ms of CPU a second.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// The tasks that beat, and when each did last; all clones share them.
#[derive(Clone, Debug, Default)]
pub struct Heartbeats {
    beating: Arc<Mutex<Beating>>,
}

#[derive(Debug, Default)]
struct Beating {
    /// The owners under a number of their own, as two listeners may have the same name.
    owners: BTreeMap<u64, (String, Instant)>,
    next_number: u64,
}

/// A task that has not beaten for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub owner: String,
    pub lasted: Duration,
}

/// One task's heartbeat. When it is dropped, no more beats are expected.
#[derive(Debug)]
pub struct Heartbeat {
    all: Heartbeats,
    number: u64,
}

impl Heartbeats {
    /// Takes in a task; its first beat is now.
    pub fn join(&self, owner: &str) -> Heartbeat {
        let mut beating = self.beating();
        let number = beating.next_number;
        beating.next_number += 1;
        beating.owners.insert(number, (owner.to_owned(), Instant::now()));
        Heartbeat { all: self.clone(), number }
    }

    /// The tasks that are stuck.
    pub fn silent(&self) -> Vec<Silence> {
        let now = Instant::now();
        let silence = |(owner, at): &(String, Instant)| {
            let lasted = now.saturating_duration_since(*at);
            (lasted > SILENCE_MAX).then(|| Silence { owner: owner.clone(), lasted })
        };
        self.beating().owners.values().filter_map(silence).collect()
    }

    fn beating(&self) -> MutexGuard<'_, Beating> {
        self.beating.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// Beats. A loop whose rounds are short calls this in each of them.
    pub fn beat(&self) {
        if let Some((_, at)) = self.all.beating().owners.get_mut(&self.number) {
            *at = Instant::now();
        }
    }

    /// Awaits something that may come late or never, such as the next caller, and beats meanwhile: waiting for work is not being stuck.
    /// It is as cancel-safe as what it awaits.
    pub async fn idle<F: Future>(&self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        loop {
            self.beat();
            if let Ok(work) = timeout(BEAT_EVERY, &mut work).await {
                self.beat();
                return work;
            }
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.all.beating().owners.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    fn silent(heartbeats: &Heartbeats) -> Vec<String> {
        heartbeats.silent().into_iter().map(|silence| silence.owner).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_works_for_too_long_is_named_until_the_next_beat() {
        let heartbeats = Heartbeats::default();
        let (stuck, other) = (heartbeats.join("the supervisor"), heartbeats.join("a listener"));
        sleep(SILENCE_MAX).await;
        assert!(heartbeats.silent().is_empty());
        other.beat();
        sleep(Duration::from_secs(1)).await;
        let lasted = SILENCE_MAX + Duration::from_secs(1);
        assert_eq!(heartbeats.silent(), [Silence { owner: "the supervisor".to_owned(), lasted }]);
        stuck.beat();
        assert!(heartbeats.silent().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_work_is_not_stuck() {
        let heartbeats = Heartbeats::default();
        let heartbeat = heartbeats.join("a listener");
        heartbeat.idle(sleep(SILENCE_MAX * 3)).await;
        assert!(heartbeats.silent().is_empty());
        let waiting = tokio::spawn(async move { heartbeat.idle(std::future::pending::<()>()).await });
        sleep(SILENCE_MAX * 3).await;
        assert!(heartbeats.silent().is_empty());
        // A task that has ended is no longer waited for.
        waiting.abort();
        sleep(SILENCE_MAX * 3).await;
        assert!(heartbeats.silent().is_empty());
    }

    #[test]
    fn owners_of_one_name_are_told_apart() {
        let heartbeats = Heartbeats::default();
        let (first, _second) = (heartbeats.join("HTTP"), heartbeats.join("HTTP"));
        drop(first);
        assert_eq!(silent(&heartbeats), [""; 0]);
        assert_eq!(heartbeats.beating().owners.len(), 1);
    }
}

//! Event ids that rise over restarts, even where a clock was set back: they are reserved in the store before they are used.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use weir_observe::{Heartbeat, Observe};
use weir_store::Store;

/// An event is identified by its node and its number. Without a cluster there is one node, number 0.
const NODE: u32 = 0;

/// This many ids are reserved at once. At three events a second such a block
/// lasts for four days; a restart leaves the rest of a block unused.
const BLOCK: u32 = 1_000_000;

/// With so many left the next block is reserved, which is minutes ahead even for a server busier than any has been.
const LOW: u64 = BLOCK as u64 / 2;

/// When the database does not take a reservation, it is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A clock that shows the year 2112 is not believed. Ids start from the microseconds since 1970, and JavaScript counts exactly up to
/// 2^53: half of that is left for ids that are only counted.
const CLOCK_MAX: u64 = 1 << 52;

/// The reserved ids. They begin at the clock's microseconds (1.8e15 today), so that they rise even over a database that was restored from
/// a copy, and behind every id that was reserved before, so that they rise over a clock that was set back.
#[derive(Clone, Debug)]
pub(crate) struct EventIds {
    store: Store,
    /// The first id that is not reserved.
    end: u64,
}

impl EventIds {
    /// Reserves ids for a run that starts now, and gives the first of them.
    pub(crate) async fn reserve(store: &Store, now: OffsetDateTime) -> (Self, u64) {
        let wished = clock_id(now);
        let (first, end) = match store.reserve_event_ids(NODE, wished, BLOCK).await {
            Ok(first) => (first, first + u64::from(BLOCK)),
            Err(error) => {
                tracing::error!(%error, "event ids could not be reserved: until they can be, they go by the clock alone");
                (wished, wished)
            }
        };
        (Self { store: store.clone(), end }, first)
    }

    /// Reserves more whenever they run low, until told to stop.
    pub(crate) async fn keep(mut self, observe: Observe, stop: CancellationToken, heartbeat: Heartbeat) {
        let keeping = async {
            loop {
                heartbeat.idle(observe.events().reached(self.end.saturating_sub(LOW))).await;
                match self.store.reserve_event_ids(NODE, self.end, BLOCK).await {
                    Ok(first) => self.end = first + u64::from(BLOCK),
                    Err(error) => {
                        tracing::warn!(%error, "event ids could not be reserved, and are tried again");
                        heartbeat.idle(tokio::time::sleep(RETRY_AFTER)).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(keeping).await;
    }
}

fn clock_id(now: OffsetDateTime) -> u64 {
    let micros = u64::try_from(now.unix_timestamp_nanos() / 1_000).unwrap_or(1);
    if micros <= CLOCK_MAX { micros.max(1) } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_store::SealingKey;

    async fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(folder.path()).unwrap();
        (Store::open(&folder.path().join("weir.db"), &key).await.unwrap(), folder)
    }

    #[tokio::test]
    async fn ids_rise_whatever_the_clock_says() {
        let (store, _folder) = store().await;
        let start = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let hours = time::Duration::hours;
        let mut before = 0;
        // The starts are, in order: the first one, one a moment later, one an hour later, one with the clock set back by a day, one with
        // no clock at all (a board without a battery), one in an impossible year, and one with the right time again.
        for now in [
            start,
            start + time::Duration::milliseconds(10),
            start + hours(1),
            start - hours(24),
            OffsetDateTime::UNIX_EPOCH,
            start + hours(24 * 365 * 200),
            start + hours(2),
        ] {
            let (ids, first) = EventIds::reserve(&store, now).await;
            assert!(first > before, "{first} at {now} comes after {before}");
            assert!(first < 1 << 53, "JavaScript counts {first} exactly");
            // The run uses up its whole block.
            before = ids.end - 1;
        }
        assert!(before >= clock_id(start + hours(2)), "a clock that goes forward is followed");
    }

    #[tokio::test]
    async fn more_are_reserved_before_they_run_out() {
        let (store, _folder) = store().await;
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let (ids, first) = EventIds::reserve(&store, now).await;
        let end = ids.end;
        // It is as if half a million events had come.
        let observe = Observe::with_events_from(first + LOW + 1);
        let stop = CancellationToken::new();
        let heartbeat = observe.heartbeats().join("event ids");
        let keeping = tokio::spawn(ids.keep(observe.clone(), stop.clone(), heartbeat));
        // The next run begins behind this block, or behind the next one once that is reserved; each look reserves a number itself.
        let (mut next, mut looks) = (end, 0);
        while next < end + u64::from(BLOCK) {
            next = store.reserve_event_ids(NODE, 0, 1).await.unwrap();
            looks += 1;
            assert!(looks < 10_000, "no block was reserved");
            tokio::task::yield_now().await;
        }
        stop.cancel();
        keeping.await.unwrap();
    }
}

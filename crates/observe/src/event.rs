//! Events: what happened, numbered for ever upwards, kept for a while and followed by whoever wants.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::sync::watch;

/// Kept in memory: an hour of a busy server (three events a second), about 4 MB.
const KEPT_MAX: usize = 10_000;

/// Something that happened. Fields never hold a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: u64,
    /// `stream_state`, `restream_state`, `ingest_refused`, ...
    pub kind: String,
    pub at: OffsetDateTime,
    pub fields: Map<String, Value>,
}

/// Builds an event's fields.
pub fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[derive(Debug)]
pub struct EventLog {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<KeptEvent>,
    next_id: u64,
}

/// An event as it is kept: its fields as text, a quarter of the size of a map.
#[derive(Debug)]
struct KeptEvent {
    id: u64,
    kind: Box<str>,
    at: OffsetDateTime,
    fields_json: Box<str>,
}

impl From<&KeptEvent> for Event {
    fn from(kept: &KeptEvent) -> Self {
        // It was written from a map.
        let fields = serde_json::from_str(&kept.fields_json).unwrap_or_default();
        Self { id: kept.id, kind: kept.kind.to_string(), at: kept.at, fields }
    }
}

impl EventLog {
    pub(crate) fn new(next_id: u64) -> Self {
        Self {
            kept: Mutex::new(Kept { events: VecDeque::new(), next_id }),
            newest: watch::Sender::new(next_id.saturating_sub(1)),
        }
    }

    /// Records an event, in the log too.
    pub fn emit(&self, kind: &str, fields: Map<String, Value>) -> u64 {
        let mut kept = self.kept();
        let id = kept.next_id;
        kept.next_id += 1;
        let fields_json = Value::Object(fields).to_string().into_boxed_str();
        tracing::info!(event = kind, id, fields = %fields_json, "event");
        kept.events.push_back(KeptEvent { id, kind: kind.into(), at: OffsetDateTime::now_utc(), fields_json });
        if kept.events.len() > KEPT_MAX {
            kept.events.pop_front();
        }
        // Told while locked, so that the newest id never seems to fall.
        self.newest.send_replace(id);
        id
    }

    /// The events after `since`, oldest first; all that are kept when None.
    pub fn since(&self, since: Option<u64>, limit: usize) -> Vec<Event> {
        let kept = self.kept();
        let first = kept.events.partition_point(|event| Some(event.id) <= since);
        kept.events.iter().skip(first).take(limit).map(Event::from).collect()
    }

    /// Returns when an event has this id or a later one.
    pub async fn reached(&self, id: u64) {
        // The sender lives in this log.
        let _ = self.newest.subscribe().wait_for(|newest| *newest >= id).await;
    }

    /// The events before `before`, newest first; the newest of all when None.
    pub fn newest(&self, before: Option<u64>, limit: usize) -> Vec<Event> {
        let kept = self.kept();
        let end = before.map_or(kept.events.len(), |before| kept.events.partition_point(|event| event.id < before));
        kept.events.iter().take(end).rev().take(limit).map(Event::from).collect()
    }

    /// Follows from `since` on; from now on when None.
    pub fn subscribe(&self, since: Option<u64>) -> EventCursor<'_> {
        let newest = self.newest.subscribe();
        let last_id = since.unwrap_or_else(|| *newest.borrow());
        EventCursor { log: self, newest, last_id }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One follower's position. A follower slower than [`KEPT_MAX`] events misses the oldest: ids show the gap.
#[derive(Debug)]
pub struct EventCursor<'a> {
    log: &'a EventLog,
    newest: watch::Receiver<u64>,
    last_id: u64,
}

impl EventCursor<'_> {
    /// Cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            self.newest.mark_unchanged();
            if let Some(event) = self.log.since(Some(self.last_id), 1).pop() {
                self.last_id = event.id;
                return event;
            }
            // The sender lives in the log that we borrow.
            let _ = self.newest.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> EventLog {
        EventLog::new(1_000_000)
    }

    #[test]
    fn ids_rise_and_since_is_exclusive() {
        let log = log();
        let ids: Vec<u64> = (0..3).map(|n| log.emit("x", fields([("n", n.into())]))).collect();
        assert_eq!(ids, [1_000_000, 1_000_001, 1_000_002]);
        let after = |since, limit| log.since(since, limit).into_iter().map(|event| event.id).collect::<Vec<_>>();
        assert_eq!(after(None, 10), ids);
        assert_eq!(after(Some(ids[0]), 10), ids[1..]);
        assert_eq!(after(Some(ids[0]), 1), ids[1..2]);
        assert!(after(Some(ids[2]), 10).is_empty());
        let newest = |before, limit| log.newest(before, limit).into_iter().map(|event| event.id).collect::<Vec<_>>();
        assert_eq!(newest(None, 2), [ids[2], ids[1]]);
        assert_eq!(newest(Some(ids[1]), 2), [ids[0]]);
    }

    #[test]
    fn forgets_the_oldest() {
        let log = log();
        for _ in 0..KEPT_MAX + 5 {
            log.emit("x", Map::new());
        }
        let kept = log.since(None, usize::MAX);
        assert_eq!((kept.len(), kept[0].id), (KEPT_MAX, 1_000_005));
    }

    #[tokio::test]
    async fn cursor_resumes_and_follows() {
        let log = log();
        let first = log.emit("a", Map::new());
        log.emit("b", Map::new());
        let mut resumed = log.subscribe(Some(first));
        let mut fresh = log.subscribe(None);
        assert_eq!(resumed.next().await.kind, "b");
        log.emit("c", Map::new());
        assert_eq!(resumed.next().await.kind, "c");
        assert_eq!(fresh.next().await.kind, "c");
    }
}

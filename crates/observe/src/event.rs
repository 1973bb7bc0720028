//! Events: what has happened. They have ids that only rise, are kept for a while, and can be followed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::sync::watch;
use weir_model::EventKind;

/// At most this many events stay in memory: an hour of a busy server (three events a second), about 4 MB.
const KEPT_MAX: usize = 10_000;

/// Refusals are kept apart from the others: anybody outside can cause them, and they must never push out what matters.
const REFUSALS_KEPT_MAX: usize = 1_000;

/// Something that happened. Its fields never hold a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: u64,
    pub kind: EventKind,
    pub at: OffsetDateTime,
    /// True where somebody from outside was refused.
    pub refusal: bool,
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
    refusals: VecDeque<KeptEvent>,
    next_id: u64,
}

/// The events that a follower is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All events but refusals.
    Usual,
    All,
}

/// An event as it is kept: its fields as text, a quarter of the size of a map.
#[derive(Debug)]
struct KeptEvent {
    id: u64,
    kind: EventKind,
    at: OffsetDateTime,
    refusal: bool,
    fields_json: Box<str>,
}

impl From<&KeptEvent> for Event {
    fn from(kept: &KeptEvent) -> Self {
        // The text was written from a map, so it can be read.
        let fields = serde_json::from_str(&kept.fields_json).unwrap_or_default();
        Self { id: kept.id, kind: kept.kind, at: kept.at, refusal: kept.refusal, fields }
    }
}

impl EventLog {
    pub(crate) fn new(next_id: u64) -> Self {
        Self {
            kept: Mutex::new(Kept { events: VecDeque::new(), refusals: VecDeque::new(), next_id }),
            newest: watch::Sender::new(next_id.saturating_sub(1)),
        }
    }

    /// Records an event, and logs it.
    pub fn emit(&self, kind: EventKind, fields: Map<String, Value>) -> u64 {
        self.record(kind, false, fields)
    }

    /// Records that somebody was refused; only those who ask for refusals read it.
    pub(crate) fn emit_refusal(&self, kind: EventKind, fields: Map<String, Value>) -> u64 {
        self.record(kind, true, fields)
    }

    fn record(&self, kind: EventKind, refusal: bool, fields: Map<String, Value>) -> u64 {
        let fields_json = Value::Object(fields).to_string().into_boxed_str();
        let text = fields_json.clone();
        let id = {
            let mut kept = self.kept();
            let id = kept.next_id;
            kept.next_id += 1;
            let event = KeptEvent { id, kind, at: OffsetDateTime::now_utc(), refusal, fields_json };
            let (ring, max) = match refusal {
                false => (&mut kept.events, KEPT_MAX),
                true => (&mut kept.refusals, REFUSALS_KEPT_MAX),
            };
            ring.push_back(event);
            if ring.len() > max {
                ring.pop_front();
            }
            // The id is announced under the lock, so that the newest id never seems to fall.
            self.newest.send_replace(id);
            id
        };
        // The line is logged outside the lock: however slow the log's reader is, no stage waits for another's line.
        tracing::info!(event = kind.as_str(), id, fields = %text, "event");
        id
    }

    /// The events after `since`, oldest first, refusals among them; all that are kept where it is None.
    pub fn since(&self, since: Option<u64>, limit: usize) -> Vec<Event> {
        let kept = self.kept();
        let after = |ring: &VecDeque<KeptEvent>| ring.partition_point(|event| Some(event.id) <= since);
        let usual = kept.events.iter().skip(after(&kept.events));
        let refusals = kept.refusals.iter().skip(after(&kept.refusals));
        merged(usual, refusals, |one, other| one.id < other.id).take(limit).map(Event::from).collect()
    }

    /// Waits until an event has this id or a later one.
    pub async fn reached(&self, id: u64) {
        // The sender lives in this log, so it can't be gone.
        let _ = self.newest.subscribe().wait_for(|newest| *newest >= id).await;
    }

    /// The events before `before`, newest first, refusals among them; the newest of all where it is None.
    pub fn newest(&self, before: Option<u64>, limit: usize) -> Vec<Event> {
        let kept = self.kept();
        let until = |ring: &VecDeque<KeptEvent>| {
            before.map_or(ring.len(), |before| ring.partition_point(|event| event.id < before))
        };
        let usual = kept.events.iter().take(until(&kept.events)).rev();
        let refusals = kept.refusals.iter().take(until(&kept.refusals)).rev();
        merged(usual, refusals, |one, other| one.id > other.id).take(limit).map(Event::from).collect()
    }

    /// Follows the events after `since`, or from now on where it is None, but for refusals.
    pub fn subscribe(&self, since: Option<u64>) -> EventCursor<'_> {
        self.cursor(since, Wanted::Usual)
    }

    /// Follows all events, refusals included.
    pub fn subscribe_to_all(&self, since: Option<u64>) -> EventCursor<'_> {
        self.cursor(since, Wanted::All)
    }

    fn cursor(&self, since: Option<u64>, wanted: Wanted) -> EventCursor<'_> {
        let newest = self.newest.subscribe();
        let last_id = since.unwrap_or_else(|| *newest.borrow());
        EventCursor { log: self, newest, last_id, wanted }
    }

    /// The first event after that id.
    fn next_after(&self, id: u64, wanted: Wanted) -> Option<Event> {
        let kept = self.kept();
        let next = |ring: &VecDeque<KeptEvent>| ring.partition_point(|event| event.id <= id);
        let usual = kept.events.get(next(&kept.events));
        let refusal = kept.refusals.get(next(&kept.refusals)).filter(|_| wanted == Wanted::All);
        usual.into_iter().chain(refusal).min_by_key(|event| event.id).map(Event::from)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Merges two sequences; `first` says whether the next event of the one comes before that of the other.
fn merged<'a>(
    one: impl Iterator<Item = &'a KeptEvent>,
    other: impl Iterator<Item = &'a KeptEvent>,
    first: impl Fn(&KeptEvent, &KeptEvent) -> bool,
) -> impl Iterator<Item = &'a KeptEvent> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if first(a, b) => one.next(),
        (_, Some(_)) => other.next(),
        (_, None) => one.next(),
    })
}

/// The position of one follower. A follower that falls more than [`KEPT_MAX`] events behind misses the oldest; the ids show the gap.
#[derive(Debug)]
pub struct EventCursor<'a> {
    log: &'a EventLog,
    newest: watch::Receiver<u64>,
    last_id: u64,
    wanted: Wanted,
}

impl EventCursor<'_> {
    /// Waits for the next event. It is cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            self.newest.mark_unchanged();
            if let Some(event) = self.log.next_after(self.last_id, self.wanted) {
                self.last_id = event.id;
                return event;
            }
            // The sender lives in the log that this cursor borrows.
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
        let ids: Vec<u64> = (0..3).map(|n| log.emit(EventKind::StreamState, fields([("n", n.into())]))).collect();
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
            log.emit(EventKind::StreamState, Map::new());
        }
        let kept = log.since(None, usize::MAX);
        assert_eq!((kept.len(), kept[0].id), (KEPT_MAX, 1_000_005));
    }

    #[tokio::test]
    async fn refusals_push_out_nothing_and_come_only_to_those_who_ask() {
        let log = log();
        let first = log.emit(EventKind::StreamState, Map::new());
        for _ in 0..KEPT_MAX * 2 {
            log.emit_refusal(EventKind::IngestRefused, Map::new());
        }
        let last = log.emit(EventKind::StreamState, Map::new());
        let ids = |events: Vec<Event>| events.into_iter().map(|event| event.id).collect::<Vec<_>>();
        let all = ids(log.since(None, usize::MAX));
        assert_eq!((all.len(), all[0]), (REFUSALS_KEPT_MAX + 2, first));
        assert!(all.is_sorted(), "both kinds come in the order in which they happened");
        assert_eq!(ids(log.newest(None, 2)), [last, last - 1]);
        assert_eq!(ids(log.newest(Some(last), 1)), [last - 1]);
        assert_eq!(log.subscribe(Some(first)).next().await.id, last);
        assert_eq!(log.subscribe_to_all(Some(first)).next().await.id, all[1]);
    }

    #[tokio::test]
    async fn cursor_resumes_and_follows() {
        let log = log();
        let first = log.emit(EventKind::StreamState, Map::new());
        log.emit(EventKind::StreamWarning, Map::new());
        let mut resumed = log.subscribe(Some(first));
        let mut fresh = log.subscribe(None);
        assert_eq!(resumed.next().await.kind, EventKind::StreamWarning);
        log.emit(EventKind::RestreamState, Map::new());
        assert_eq!(resumed.next().await.kind, EventKind::RestreamState);
        assert_eq!(fresh.next().await.kind, EventKind::RestreamState);
    }
}

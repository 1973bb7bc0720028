//! Tells the live board to whoever watches it: once a second, written once for all of them, and only what has changed.

use crate::context::ApiContext;
use crate::dto::live::{LiveDeltaDto, LiveRestreamDto, LiveSnapshotDto, LiveStreamDto, LoadDto};
use crate::dto::restream::RestreamStatusDto;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};
use weir_model::EventKind;

/// The time between two looks at the figures. 50 live streams are about 60 kB of text a second, which is made once.
const TICK: Duration = Duration::from_secs(1);

/// A change of state is told at once, but not more often than this.
const TICK_MIN: Duration = Duration::from_millis(250);

/// A follower that is this many ticks behind gets everything anew.
const WAITING_TICKS: usize = 8;

/// What a follower gets.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// Everything. This comes first, and after a gap.
    Snapshot(String),
    /// What has changed since the last tick.
    Delta(Arc<str>),
}

#[derive(Debug)]
pub(crate) struct LiveBoard {
    ticks: broadcast::Sender<Arc<str>>,
    shown: Mutex<Shown>,
}

/// The board as it was told last.
#[derive(Debug, Default)]
struct Shown {
    is_running: bool,
    board: Board,
}

/// Everything at one moment, or nothing before the first look.
type Board = Option<Moment>;

#[derive(Debug)]
struct Moment {
    at: OffsetDateTime,
    config_version: u64,
    system: LoadDto,
    streams: BTreeMap<i64, LiveStreamDto>,
    restreams: BTreeMap<i64, LiveRestreamDto>,
}

impl LiveBoard {
    pub(crate) fn new() -> Self {
        let (ticks, _) = broadcast::channel(WAITING_TICKS);
        Self { ticks, shown: Mutex::default() }
    }

    /// Begins to follow. The board is looked at only while somebody follows, and by one task for all.
    pub(crate) fn follow(self: &Arc<Self>, api: &ApiContext) -> Follower {
        let is_first = !std::mem::replace(&mut self.shown().is_running, true);
        if is_first {
            // The board is looked at now, so that the first snapshot is full.
            self.look(api);
            tokio::spawn(Arc::clone(self).run(api.clone()));
        }
        let shown = self.shown();
        // The ticks are subscribed to while the lock is held, so the next one is a difference to this snapshot.
        let ticks = self.ticks.subscribe();
        let first = Some(shown.snapshot());
        drop(shown);
        Follower { board: Arc::clone(self), ticks, first }
    }

    async fn run(self: Arc<Self>, api: ApiContext) {
        let mut events = api.observe.events().subscribe(None);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(last + TICK) => {}
                () = async {
                    while !is_state(events.next().await.kind) {}
                } => sleep_until(last + TICK_MIN).await,
            }
            last = Instant::now();
            {
                let mut shown = self.shown();
                if self.ticks.receiver_count() == 0 {
                    *shown = Shown::default();
                    return;
                }
            }
            self.look(&api);
        }
    }

    /// Reads the board and tells the difference to the last look.
    fn look(&self, api: &ApiContext) {
        let catalogue = api.commands.catalogue();
        let streams = catalogue.streams().map(|stream| {
            let status = api.observe.stream_status(stream.id);
            (stream.id.0, LiveStreamDto::new(stream.id, stream.name.as_str(), stream.active, &status))
        });
        let restreams = catalogue.restreams().map(|restream| {
            (restream.id.0, LiveRestreamDto::new(restream, RestreamStatusDto::of(&api.observe, restream.id)))
        });
        let now = Moment {
            at: OffsetDateTime::now_utc(),
            config_version: catalogue.version(),
            system: api.observe.load().into(),
            streams: streams.collect(),
            restreams: restreams.collect(),
        };
        let mut shown = self.shown();
        let delta = now.since(shown.board.as_ref());
        shown.board = Some(now);
        // Sending fails if nobody listens, and then there is nobody to tell.
        let _ = self.ticks.send(delta.into());
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_state(kind: EventKind) -> bool {
    matches!(kind, EventKind::StreamState | EventKind::RestreamState | EventKind::StreamWarning)
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Shown {
    fn snapshot(&self) -> String {
        self.board.as_ref().map(Moment::snapshot).unwrap_or_default()
    }
}

impl Moment {
    fn snapshot(&self) -> String {
        text(&LiveSnapshotDto {
            at: self.at.into(),
            config_version: self.config_version,
            system: &self.system,
            streams: self.streams.values().collect(),
            restreams: self.restreams.values().collect(),
        })
    }

    /// The text of what is different from `before`.
    fn since(&self, before: Option<&Self>) -> String {
        let (streams, streams_gone) = changes(before.map(|before| &before.streams), &self.streams);
        let (restreams, restreams_gone) = changes(before.map(|before| &before.restreams), &self.restreams);
        text(&LiveDeltaDto {
            at: self.at.into(),
            config_version: self.config_version,
            system: &self.system,
            streams,
            streams_gone,
            restreams,
            restreams_gone,
        })
    }
}

/// What is new or has changed, and the ids of what is gone.
fn changes<'a, T: PartialEq>(before: Option<&BTreeMap<i64, T>>, now: &'a BTreeMap<i64, T>) -> (Vec<&'a T>, Vec<i64>) {
    let known = |id: &i64| before.and_then(|before| before.get(id));
    let changed = now.iter().filter(|(id, thing)| known(id) != Some(thing)).map(|(_, thing)| thing).collect();
    let gone = before.into_iter().flat_map(BTreeMap::keys).filter(|id| !now.contains_key(id)).copied().collect();
    (changed, gone)
}

/// One caller who watches the board.
pub(crate) struct Follower {
    board: Arc<LiveBoard>,
    ticks: broadcast::Receiver<Arc<str>>,
    first: Option<String>,
}

impl Follower {
    /// The next text for this follower. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Told {
        if let Some(first) = self.first.take() {
            return Told::Snapshot(first);
        }
        match self.ticks.recv().await {
            Ok(delta) => Told::Delta(delta),
            // The follower was too slow. The other error can't come: the sender lives in the board that this follower holds, so it is never
            // closed.
            Err(_) => {
                let shown = self.board.shown();
                self.ticks = self.ticks.resubscribe();
                Told::Snapshot(shown.snapshot())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use weir_model::{StreamId, StreamStatus};

    fn moment(streams: &[(i64, &str)]) -> Moment {
        let status = StreamStatus::offline(OffsetDateTime::UNIX_EPOCH);
        let stream = |(id, name): &(i64, &str)| (*id, LiveStreamDto::new(StreamId(*id), name, true, &status));
        Moment {
            at: OffsetDateTime::UNIX_EPOCH,
            config_version: 7,
            system: weir_observe::Load::default().into(),
            streams: streams.iter().map(stream).collect(),
            restreams: BTreeMap::new(),
        }
    }

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_delta_says_what_changed_and_what_went() {
        let names = |told: &Value| -> Vec<String> {
            let streams = told["streams"].as_array().unwrap();
            streams.iter().map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
        };
        let first = moment(&[(1, "a"), (2, "b")]);
        assert_eq!(names(&read(&first.since(None))), ["a", "b"]);
        let next = moment(&[(1, "c"), (3, "d")]);
        let delta = read(&next.since(Some(&first)));
        assert_eq!(names(&delta), ["c", "d"]);
        assert_eq!((&delta["streams_gone"], &delta["restreams_gone"]), (&json!([2]), &json!([])));
        assert_eq!(delta["config_version"], 7);
        let same = read(&moment(&[(1, "c"), (3, "d")]).since(Some(&next)));
        assert_eq!((&same["streams"], &same["streams_gone"]), (&json!([]), &json!([])));
        let snapshot = read(&next.snapshot());
        assert_eq!(names(&snapshot), ["c", "d"]);
        let keys: Vec<_> = snapshot.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            keys,
            ["at", "config_version", "system", "streams", "restreams"],
            "a snapshot has nothing that is gone"
        );
    }
}

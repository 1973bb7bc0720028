//! The live board for whoever watches it: once a second, written once for all of them, and only what has changed.

use crate::catalogue::Catalogues;
use crate::context::ApiContext;
use crate::dto::Timestamp;
use crate::dto::live::{LiveRestreamDto, LiveStreamDto, LoadDto};
use crate::dto::restream::RestreamStatusDto;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};
use weir_model::EventKind;

/// Figures are renewed this often. 50 live streams are about 60 kB of text a second, made once.
const TICK: Duration = Duration::from_secs(1);

/// A change of state is told at once, but not more often than this.
const TICK_MIN: Duration = Duration::from_millis(250);

/// A follower that is so many ticks behind gets everything anew.
const WAITING_TICKS: usize = 8;

/// What the followers get.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// Everything: the first thing, and after a gap.
    Snapshot(String),
    /// What has changed since.
    Delta(Arc<str>),
}

#[derive(Debug)]
pub(crate) struct LiveBoard {
    ticks: broadcast::Sender<Arc<str>>,
    shown: Mutex<Shown>,
    catalogues: Arc<Catalogues>,
}

/// As last told; texts are JSON objects.
#[derive(Debug, Default)]
struct Shown {
    is_running: bool,
    head: String,
    streams: BTreeMap<i64, String>,
    restreams: BTreeMap<i64, String>,
}

impl LiveBoard {
    pub(crate) fn new(catalogues: Arc<Catalogues>) -> Self {
        let (ticks, _) = broadcast::channel(WAITING_TICKS);
        Self { ticks, shown: Mutex::default(), catalogues }
    }

    /// The work is done while somebody follows, and by one task for all.
    pub(crate) async fn follow(self: &Arc<Self>, api: &ApiContext) -> Follower {
        let is_first = !std::mem::replace(&mut self.shown().is_running, true);
        if is_first {
            // So that the first snapshot is full.
            self.look(api).await;
            tokio::spawn(Arc::clone(self).run(api.clone()));
        }
        let shown = self.shown();
        // Subscribed while locked: what is told next is a difference to this snapshot.
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
            self.look(&api).await;
        }
    }

    /// Reads the board and tells the difference.
    async fn look(&self, api: &ApiContext) {
        let catalogue = match self.catalogues.read(api).await {
            Ok(catalogue) => catalogue,
            Err(error) => {
                tracing::error!(%error, "what is stored could not be read for the live board");
                return;
            }
        };
        let (mut streams, mut restreams) = (BTreeMap::new(), BTreeMap::new());
        let mut statuses = BTreeMap::new();
        for (id, stream) in &catalogue.streams {
            let status = api.observe.stream_status(*id);
            streams.insert(id.0, text(&LiveStreamDto::new(*id, &stream.name, stream.active, &status)));
            statuses.insert(*id, status);
        }
        for (id, restream) in &catalogue.restreams {
            let platforms = api.commands.platforms();
            let source = statuses.get(&restream.stream_id);
            let warnings = source.map(|source| catalogue.warnings(restream, source, platforms)).unwrap_or_default();
            let sends = catalogue.sends(restream, platforms);
            let status = RestreamStatusDto::new(restream, api.observe.restream_status(*id), sends, warnings);
            restreams.insert(id.0, text(&LiveRestreamDto::new(restream, status)));
        }
        let load: LoadDto = api.observe.load().into();
        let at = Timestamp(OffsetDateTime::now_utc());
        let head = format!("\"at\":{},\"config_version\":{},\"system\":{}", text(&at), catalogue.version, text(&load));
        let mut shown = self.shown();
        let delta = shown.renew(head, streams, restreams);
        // Nobody listening is nobody to tell.
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
        let (streams, restreams) = (joined(self.streams.values()), joined(self.restreams.values()));
        format!("{{{},\"streams\":[{streams}],\"restreams\":[{restreams}]}}", self.head)
    }

    /// Takes what is now and returns the difference to what was.
    fn renew(&mut self, head: String, streams: BTreeMap<i64, String>, restreams: BTreeMap<i64, String>) -> String {
        let mut delta = format!("{{{head},");
        put_changes(&mut delta, "streams", &self.streams, &streams);
        delta.push(',');
        put_changes(&mut delta, "restreams", &self.restreams, &restreams);
        delta.push('}');
        self.head = head;
        self.streams = streams;
        self.restreams = restreams;
        delta
    }
}

fn put_changes(out: &mut String, name: &str, before: &BTreeMap<i64, String>, now: &BTreeMap<i64, String>) {
    let changed = joined(now.iter().filter(|(id, text)| before.get(id) != Some(text)).map(|(_, text)| text));
    let gone: Vec<String> = before.keys().filter(|id| !now.contains_key(id)).map(ToString::to_string).collect();
    let gone = joined(gone.iter());
    let _ = write!(out, "\"{name}\":[{changed}],\"{name}_gone\":[{gone}]");
}

fn joined<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    let mut out = String::new();
    for text in texts {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(text);
    }
    out
}

/// One who watches.
pub(crate) struct Follower {
    board: Arc<LiveBoard>,
    ticks: broadcast::Receiver<Arc<str>>,
    first: Option<String>,
}

impl Follower {
    /// Cancel-safe.
    pub(crate) async fn next(&mut self) -> Told {
        if let Some(first) = self.first.take() {
            return Told::Snapshot(first);
        }
        match self.ticks.recv().await {
            Ok(delta) => Told::Delta(delta),
            // Too slow. The sender lives in the board that we hold, so it is never closed.
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

    fn texts(items: &[(i64, &str)]) -> BTreeMap<i64, String> {
        items.iter().map(|(id, text)| (*id, (*text).to_owned())).collect()
    }

    #[test]
    fn a_delta_says_what_changed_and_what_went() {
        let mut shown = Shown::default();
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let first = read(shown.renew("\"at\":1".into(), texts(&[(1, "{\"a\":1}"), (2, "{}")]), texts(&[])));
        assert_eq!(first["streams"], json!([{"a": 1}, {}]));
        let next = read(shown.renew("\"at\":2".into(), texts(&[(1, "{\"a\":2}")]), texts(&[(7, "{}")])));
        let expected =
            json!({"at": 2, "streams": [{"a": 2}], "streams_gone": [2], "restreams": [{}], "restreams_gone": []});
        assert_eq!(next, expected);
        assert_eq!(read(shown.snapshot()), json!({"at": 2, "streams": [{"a": 2}], "restreams": [{}]}));
        let same = read(shown.renew("\"at\":3".into(), texts(&[(1, "{\"a\":2}")]), texts(&[(7, "{}")])));
        assert_eq!((&same["streams"], &same["restreams"]), (&json!([]), &json!([])));
    }
}

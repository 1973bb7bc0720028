//! The server's event stream (server-sent events). A thread reads it into a list that tests wait on.

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::wait_until_some;

/// The events that have come so far. The thread ends with the server or the test.
#[derive(Clone, Debug)]
pub struct EventStream {
    events: Arc<Mutex<Vec<Event>>>,
    ended: Arc<AtomicBool>,
}

/// One event, with its name in the stream and its JSON.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: i64,
    pub kind: String,
    pub data: Value,
}

impl EventStream {
    pub(crate) fn open(url: &str, (header, credential): (&str, &str), since: Option<i64>) -> Self {
        let mut request = Agent::new_with_defaults().get(url).header(header, credential);
        if let Some(since) = since {
            request = request.header("last-event-id", since.to_string());
        }
        // The answer's head comes before the first event, so everything that happens after this call is in the stream.
        let body = request.call().unwrap_or_else(|error| panic!("{url}: {error}")).into_body();
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&events);
        let ended = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&ended);
        thread::spawn(move || {
            let (mut id, mut kind, mut data) = (0, String::new(), String::new());
            for line in BufReader::new(body.into_reader()).lines().map_while(Result::ok) {
                if let Some(text) = line.strip_prefix("id:") {
                    id = text.trim().parse().unwrap_or(0);
                } else if let Some(text) = line.strip_prefix("event:") {
                    text.trim().clone_into(&mut kind);
                } else if let Some(text) = line.strip_prefix("data:") {
                    data.push_str(text.trim());
                } else if line.is_empty() && !data.is_empty() {
                    let value = serde_json::from_str(&data).unwrap_or(Value::Null);
                    kept.lock().unwrap().push(Event { id, kind: kind.clone(), data: value });
                    data.clear();
                }
            }
            has_ended.store(true, Ordering::Relaxed);
        });
        Self { events, ended }
    }

    /// Whether the server has ended it.
    pub fn was_cut(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub fn all(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Waits for the first event that fits, among those that came and those to come.
    #[track_caller]
    pub fn wait_for(&self, what: &str, limit: Duration, fits: impl Fn(&Event) -> bool) -> Event {
        wait_until_some(&format!("there was the event: {what}"), limit, || {
            self.events.lock().unwrap().iter().find(|event| fits(event)).cloned()
        })
    }
}

//! Reports refusals sparingly: anybody outside can be refused, as often and as fast as they like. It is pure; the time is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use weir_model::EventKind;

use crate::Counter;
use crate::event::fields;

/// The same refusal of the same address is reported again after this time, with the number of those in between.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// At most this many refusals of all addresses together are reported: an attack from everywhere gives ten lines a second, not a full log.
const TOLD_PER_SECOND: u32 = 10;

/// At most this many refusals are remembered, at about 300 bytes each. Others are reported as a number.
const REMEMBERED_MAX: usize = 1_000;

/// What somebody asked for and did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    Publish,
    Play,
    /// A call of the API with a key that does not exist.
    Call,
}

impl RefusalKind {
    pub const ALL: [Self; 3] = [Self::Publish, Self::Play, Self::Call];

    /// The kind of its events.
    pub const fn event(self) -> EventKind {
        match self {
            Self::Publish => EventKind::IngestRefused,
            Self::Play => EventKind::PlayRefused,
            Self::Call => EventKind::ApiKeyRefused,
        }
    }

    pub(crate) const fn counter(self) -> Counter {
        match self {
            Self::Publish => Counter::IngestRefused,
            Self::Play => Counter::PlayRefused,
            Self::Call => Counter::ApiKeysRefused,
        }
    }
}

/// One refusal. Its texts never hold a secret.
#[derive(Clone, Copy, Debug)]
pub struct RefusalReport<'a> {
    pub kind: RefusalKind,
    pub protocol: &'a str,
    pub remote: SocketAddr,
    /// The network that stands for the address (`weir_net::network`): refusals of one network are reported together.
    pub network: IpAddr,
    /// The protocol's own word for the reason.
    pub code: &'a str,
    pub message: &'a str,
}

/// An event that is due.
#[derive(Debug, PartialEq)]
pub(crate) struct Due {
    pub(crate) kind: RefusalKind,
    pub(crate) fields: Map<String, Value>,
}

#[derive(Debug, Default)]
pub(crate) struct Refusals {
    hasher: RandomState,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<u64, Entry>,
    /// The refusals that there was no room to remember.
    elsewhere: HashMap<RefusalKind, u64>,
    pace: Pace,
}

/// Counts what is reported within a second.
#[derive(Debug, Default)]
struct Pace {
    second: Option<Instant>,
    told: u32,
}

/// The refusals of one address for one reason.
#[derive(Debug)]
struct Entry {
    kind: RefusalKind,
    fields: Map<String, Value>,
    held_back: u64,
    due_at: Instant,
}

impl Refusals {
    /// Notes a refusal, and gives what is to be reported at once, if anything.
    pub(crate) fn note(&self, refusal: &RefusalReport<'_>, now: Instant) -> Option<Due> {
        let key =
            self.hasher.hash_one((refusal.kind, refusal.protocol, refusal.network, refusal.code, refusal.message));
        let mut book = self.book();
        if let Some(entry) = book.entries.get_mut(&key) {
            entry.held_back += 1;
            return None;
        }
        if book.entries.len() >= REMEMBERED_MAX {
            *book.elsewhere.entry(refusal.kind).or_default() += 1;
            return None;
        }
        let book = &mut *book;
        let at_once = book.pace.may_tell(now);
        let entry = Entry {
            kind: refusal.kind,
            fields: refusal.fields(),
            held_back: u64::from(!at_once),
            due_at: now + TOLD_AGAIN_AFTER,
        };
        let due = at_once.then(|| Due { kind: entry.kind, fields: counted(&entry.fields, 1) });
        book.entries.insert(key, entry);
        due
    }

    /// What was held back and is due by now; called once a second.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        let mut guard = self.book();
        let book = &mut *guard;
        book.entries.retain(|_, entry| entry.due_at > now || entry.held_back > 0);
        for entry in book.entries.values_mut().filter(|entry| entry.due_at <= now) {
            if !book.pace.may_tell(now) {
                break;
            }
            due.push(Due { kind: entry.kind, fields: counted(&entry.fields, std::mem::take(&mut entry.held_back)) });
            entry.due_at = now + TOLD_AGAIN_AFTER;
        }
        for (kind, count) in book.elsewhere.drain() {
            let said = fields([("message", "refused, from more addresses than can be listed".into())]);
            due.push(Due { kind, fields: counted(&said, count) });
        }
        due
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    fn may_tell(&mut self, now: Instant) -> bool {
        if self.second.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            *self = Self { second: Some(now), told: 0 };
        }
        self.told += 1;
        self.told <= TOLD_PER_SECOND
    }
}

impl RefusalReport<'_> {
    fn fields(&self) -> Map<String, Value> {
        fields([
            ("protocol", self.protocol.into()),
            ("remote", self.remote.to_string().into()),
            ("code", self.code.into()),
            ("message", self.message.into()),
        ])
    }
}

fn counted(said: &Map<String, Value>, count: u64) -> Map<String, Value> {
    let mut said = said.clone();
    said.insert("count".to_owned(), count.into());
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(remote: SocketAddr, message: &str) -> RefusalReport<'_> {
        let (kind, code) = (RefusalKind::Publish, "NetStream.Publish.Denied");
        RefusalReport { kind, protocol: "rtmp", remote, network: remote.ip(), code, message }
    }

    fn address(n: u32) -> SocketAddr {
        SocketAddr::new(IpAddr::from(n.to_be_bytes()), 4_000)
    }

    fn count(due: &Due) -> u64 {
        due.fields["count"].as_u64().unwrap()
    }

    #[test]
    fn one_address_is_told_once_and_then_as_a_number() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let note = |message, at| refusals.note(&refusal(address(7), message), at);
        assert_eq!(note("unknown stream key", start).map(|due| count(&due)), Some(1), "the first is told at once");
        for n in 0..10_000_u64 {
            assert_eq!(note("unknown stream key", start + Duration::from_micros(n)), None);
        }
        assert!(note("already publishing", start).is_some(), "another reason is another line");
        assert_eq!(refusals.take_due(start + Duration::from_secs(9)), []);
        let due = refusals.take_due(start + TOLD_AGAIN_AFTER);
        assert_eq!(due.iter().map(count).collect::<Vec<_>>(), [10_000]);
        assert_eq!(due[0].fields["message"], "unknown stream key");
        assert_eq!(refusals.take_due(start + TOLD_AGAIN_AFTER * 2), []);
        assert!(refusals.book().entries.is_empty(), "who has been quiet is forgotten");
        assert!(note("unknown stream key", start + TOLD_AGAIN_AFTER * 2).is_some());
    }

    #[test]
    fn an_attack_from_everywhere_is_told_within_bounds_and_counted_in_full() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let (mut lines, mut counted, mut noted) = (0_usize, 0, 0);
        for second in 0..300_u64 {
            let now = start + Duration::from_secs(second);
            // For a minute there are 1,000 new addresses a second.
            let attack = if second < 60 { 0..1_000_u32 } else { 0..0 };
            let mut due = refusals.take_due(now);
            for n in attack {
                noted += 1;
                due.extend(refusals.note(&refusal(address(second as u32 * 1_000 + n), "x"), now));
            }
            assert!(due.len() <= TOLD_PER_SECOND as usize + RefusalKind::ALL.len(), "{} in second {second}", due.len());
            assert!(refusals.book().entries.len() <= REMEMBERED_MAX);
            lines += due.len();
            counted += due.iter().map(count).sum::<u64>();
        }
        assert_eq!(counted, noted, "every refusal is in a number");
        assert!(lines <= 2_000, "{lines} lines for {noted} refusals");
    }
}

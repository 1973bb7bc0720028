//! Tells of every change of what is asked for: of which thing, by whom, and
//! in which fields. It never tells their contents, which may be secret.

use serde_json::{Map, Value};
use weir_model::{Destination, EventKind, Restream, SavedLadder, Stream, Webhook, changed};
use weir_store::{Account, ApiKey};

use super::Commands;

/// A thing that is asked for, as events tell of it.
pub(super) trait Told {
    const CREATED: EventKind;
    const DELETED: EventKind;

    /// Which one it is: its id, its name, and what it belongs to.
    fn about(&self) -> Map<String, Value>;
}

/// A thing of that kind which can be changed.
pub(super) trait Changing: Told {
    const CHANGED: EventKind;

    /// The fields in which it differs from what it was, by their names in the API.
    fn changed_since(&self, before: &Self) -> Vec<&'static str>;
}

impl Commands {
    pub(super) fn tell_created<T: Told>(&self, new: &T) {
        self.tell(T::CREATED, new.about());
    }

    /// Tells of a change. There is nothing to tell where no field differs
    /// that the API shows, and none of those that it never shows (`hidden`).
    pub(super) fn tell_changed<T: Changing>(&self, before: &T, now: &T, hidden: &[&'static str]) {
        let mut changed = now.changed_since(before);
        changed.extend(hidden);
        changed.dedup();
        if !changed.is_empty() {
            let mut about = now.about();
            about.insert("changed".to_owned(), changed.into());
            self.tell(T::CHANGED, about);
        }
    }

    pub(super) fn tell_deleted<T: Told>(&self, gone: &T) {
        self.tell(T::DELETED, gone.about());
    }

    /// Tells of something, and adds who did it.
    pub(super) fn tell(&self, kind: EventKind, mut about: Map<String, Value>) {
        about.insert("by".to_owned(), Value::from(&*self.by));
        self.shared.observe.events().emit(kind, about);
    }
}

/// The fields `{"<id_field>": id, "name": name}`.
fn about(id_field: &str, id: i64, name: &str) -> Map<String, Value> {
    Map::from_iter([(id_field.to_owned(), id.into()), ("name".to_owned(), name.into())])
}

impl Told for Stream {
    const CREATED: EventKind = EventKind::StreamCreated;
    const DELETED: EventKind = EventKind::StreamDeleted;

    fn about(&self) -> Map<String, Value> {
        about("stream_id", self.id.0, self.name.as_str())
    }
}

impl Changing for Stream {
    const CHANGED: EventKind = EventKind::StreamChanged;

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        self.changed_fields(before)
    }
}

impl Told for Restream {
    const CREATED: EventKind = EventKind::RestreamCreated;
    const DELETED: EventKind = EventKind::RestreamDeleted;

    fn about(&self) -> Map<String, Value> {
        let mut about = about("restream_id", self.id.0, &self.name);
        about.insert("stream_id".to_owned(), self.stream_id.0.into());
        about
    }
}

impl Changing for Restream {
    const CHANGED: EventKind = EventKind::RestreamChanged;

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        self.changed_fields(before)
    }
}

impl Told for Destination {
    const CREATED: EventKind = EventKind::DestinationCreated;
    const DELETED: EventKind = EventKind::DestinationDeleted;

    fn about(&self) -> Map<String, Value> {
        about("destination_id", self.id.0, &self.name)
    }
}

impl Changing for Destination {
    const CHANGED: EventKind = EventKind::DestinationChanged;

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        self.changed_fields(before)
    }
}

impl Told for SavedLadder {
    const CREATED: EventKind = EventKind::LadderCreated;
    const DELETED: EventKind = EventKind::LadderDeleted;

    fn about(&self) -> Map<String, Value> {
        about("ladder_id", self.id.0, &self.name)
    }
}

impl Changing for SavedLadder {
    const CHANGED: EventKind = EventKind::LadderChanged;

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        self.changed_fields(before)
    }
}

impl Told for Account {
    const CREATED: EventKind = EventKind::UserCreated;
    const DELETED: EventKind = EventKind::UserDeleted;

    fn about(&self) -> Map<String, Value> {
        about("user_id", self.id.0, &self.name)
    }
}

impl Changing for Account {
    const CHANGED: EventKind = EventKind::UserChanged;

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        changed!(Account, before, self; name, role, restream_quota | id, version, created_at, updated_at)
    }
}

impl Told for ApiKey {
    const CREATED: EventKind = EventKind::ApikeyCreated;
    const DELETED: EventKind = EventKind::ApikeyDeleted;

    fn about(&self) -> Map<String, Value> {
        about("apikey_id", self.id.0, &self.name)
    }
}

impl Changing for ApiKey {
    const CHANGED: EventKind = EventKind::ApikeyChanged;

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        changed!(ApiKey, before, self; name, role | id, created_at)
    }
}

impl Told for Webhook {
    const CREATED: EventKind = EventKind::WebhookCreated;
    const DELETED: EventKind = EventKind::WebhookDeleted;

    /// A webhook has no name but its address, whose end is a secret as often as not.
    fn about(&self) -> Map<String, Value> {
        about("webhook_id", self.id.0, &self.masked_url())
    }
}

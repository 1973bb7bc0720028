//! Tells of every change of what is asked for: of which thing, by whom, and
//! in which fields. It never tells their contents, which may be secret.

use serde_json::{Map, Value};
use weir_model::EventKind;
use weir_store::Told;

use super::Commands;

impl Commands {
    pub(super) fn tell_created<T: Told>(&self, new: &T) {
        self.tell(T::DEEDS.created, new.about());
    }

    /// Tells of a change. There is nothing to tell where no field differs
    /// that the API shows, and none of those that it never shows (`hidden`).
    pub(super) fn tell_changed<T: Told>(&self, before: &T, now: &T, hidden: &[&'static str]) {
        let mut changed = now.changed_since(before);
        changed.extend(hidden);
        changed.dedup();
        if let Some(kind) = T::DEEDS.changed.filter(|_| !changed.is_empty()) {
            let mut about = now.about();
            about.insert("changed".to_owned(), changed.into());
            self.tell(kind, about);
        }
    }

    pub(super) fn tell_deleted<T: Told>(&self, gone: &T) {
        self.tell(T::DEEDS.deleted, gone.about());
    }

    /// Tells of something, and adds who did it.
    pub(super) fn tell(&self, kind: EventKind, mut about: Map<String, Value>) {
        about.insert("by".to_owned(), Value::from(&*self.by));
        self.shared.observe.events().emit(kind, about);
    }
}

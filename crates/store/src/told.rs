//! What events tell of stored things: which one was created, changed or deleted. They never tell what it holds, which may be secret.

use serde_json::{Map, Value};
use weir_model::EventKind;

/// The events that tell of a kind of thing.
#[derive(Debug, Clone, Copy)]
pub struct Deeds {
    pub created: EventKind,
    /// The event is `None` where nobody can change such a thing.
    pub changed: Option<EventKind>,
    pub deleted: EventKind,
}

/// A stored thing of which events tell.
pub trait Told {
    const DEEDS: Deeds;

    /// Says which thing it is: its id, its name, and where it belongs.
    fn about(&self) -> Map<String, Value>;

    /// Lists the fields in which the thing differs from `before`, by their names in the API.
    fn changed_since(&self, before: &Self) -> Vec<&'static str>;
}

/// Makes the deeds of a noun from the word that events have for it.
macro_rules! deeds {
    ($noun:literal, never changed) => {
        $crate::told::Deeds { changed: None, ..$crate::told::deeds!($noun) }
    };
    ($noun:literal) => {
        $crate::told::Deeds {
            created: weir_model::EventKind::Stored(concat!($noun, "_created")),
            changed: Some(weir_model::EventKind::Stored(concat!($noun, "_changed"))),
            deleted: weir_model::EventKind::Stored(concat!($noun, "_deleted")),
        }
    };
}

pub(crate) use deeds;

/// Makes `{"<id_field>": id, "name": name}`.
pub(crate) fn about(id_field: &str, id: impl Into<i64>, name: &str) -> Map<String, Value> {
    Map::from_iter([(id_field.to_owned(), id.into().into()), ("name".to_owned(), name.into())])
}

/// Lists every type of events that there is.
pub fn event_kinds() -> impl Iterator<Item = EventKind> {
    let stored = crate::NOUNS.iter().flat_map(|deeds| [Some(deeds.created), deeds.changed, Some(deeds.deleted)]);
    EventKind::ALL.iter().copied().chain(stored.flatten())
}

/// Finds the type of events of that name.
pub fn event_kind(name: &str) -> Option<EventKind> {
    event_kinds().find(|kind| kind.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_one_of_its_own_and_found_again() {
        let names: BTreeSet<&str> = event_kinds().map(EventKind::as_str).collect();
        assert_eq!(names.len(), event_kinds().count());
        for kind in event_kinds() {
            assert_eq!(event_kind(kind.as_str()), Some(kind));
        }
        assert!(names.contains("restream_changed") && !names.contains("webhook_changed"), "{names:?}");
    }
}

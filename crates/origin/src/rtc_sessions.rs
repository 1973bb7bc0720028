//! Sessions that were agreed on over HTTP: each has a name, which nobody can guess, and ends when its connection does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use weir_webrtc::sdp::{Fragment, FragmentFault};

/// Bytes of chance in a session's name. Whoever knows the name may end the session.
const NAME_BYTES: usize = 16;

/// Why a change of a session is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionRefusal {
    #[error("there is no such session")]
    NoSession,
    #[error("the session has changed since: its ETag is another")]
    OtherTag,
    #[error(transparent)]
    Fragment(#[from] FragmentFault),
    #[error("the fragment is of another ICE session than the offer's")]
    OtherUfrag,
    #[error("ICE can't begin anew here: post a new offer")]
    Restart,
}

/// The sessions by their names. A clone shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    table: Arc<Mutex<HashMap<String, Session>>>,
}

#[derive(Debug)]
struct Session {
    tag: String,
    /// The far end's ufrag, which a fragment must name.
    ufrag: String,
    over: CancellationToken,
}

/// A session's place in the table, which is given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    sessions: Sessions,
    name: String,
    over: CancellationToken,
}

impl Sessions {
    /// Takes a place. `tag` is what `If-Match` of a change must name; `ufrag` is the far end's. None: there is no chance to be had.
    pub(crate) fn seat(&self, tag: &str, ufrag: &str) -> Option<Seat> {
        let mut chance = [0; NAME_BYTES];
        getrandom::fill(&mut chance).ok()?;
        let name: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
        let over = CancellationToken::new();
        let session = Session { tag: tag.to_owned(), ufrag: ufrag.to_owned(), over: over.clone() };
        self.table().insert(name.clone(), session);
        Some(Seat { sessions: self.clone(), name, over })
    }

    /// Takes candidates of a session that is there. They are not needed: the far end looks for us, and shows by that where it is.
    pub(crate) fn trickle(&self, name: &str, if_match: Option<&str>, fragment: &str) -> Result<(), SessionRefusal> {
        let table = self.table();
        let session = table.get(name).ok_or(SessionRefusal::NoSession)?;
        if if_match.is_some_and(|tag| tag != "*" && tag.trim_matches('"') != session.tag) {
            return Err(SessionRefusal::OtherTag);
        }
        let fragment = Fragment::parse(fragment)?;
        if fragment.restarts {
            return Err(SessionRefusal::Restart);
        }
        if fragment.ufrag != session.ufrag {
            return Err(SessionRefusal::OtherUfrag);
        }
        Ok(())
    }

    /// Ends a session.
    pub(crate) fn end(&self, name: &str) -> Result<(), SessionRefusal> {
        self.table().get(name).ok_or(SessionRefusal::NoSession)?.over.cancel();
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the far end has ended the session.
    pub(crate) async fn ended(&self) {
        self.over.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sessions.table().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_who_knows_its_name_changes_a_session() {
        let sessions = Sessions::default();
        let seat = sessions.seat("ours", "theirs").unwrap();
        let name = seat.name().to_owned();
        assert_eq!(name.len(), 2 * NAME_BYTES);
        let end = "a=end-of-candidates\r\n";
        let ours = format!("a=ice-ufrag:theirs\r\n{end}");
        let restart = format!("a=ice-ufrag:other\r\na=ice-pwd:{}\r\n", "p".repeat(24));
        for (name, if_match, fragment, expected) in [
            (name.as_str(), None, ours.clone(), Ok(())),
            (&name, Some("\"ours\""), ours.clone(), Ok(())),
            (&name, Some("*"), ours.clone(), Ok(())),
            (&name, Some("\"other\""), ours.clone(), Err(SessionRefusal::OtherTag)),
            (&name, None, format!("a=ice-ufrag:others\r\n{end}"), Err(SessionRefusal::OtherUfrag)),
            (&name, None, restart, Err(SessionRefusal::Restart)),
            (&name, None, end.to_owned(), Err(SessionRefusal::Fragment(FragmentFault::NoUfrag))),
            ("0123", None, ours.clone(), Err(SessionRefusal::NoSession)),
        ] {
            assert_eq!(sessions.trickle(name, if_match, &fragment), expected, "{if_match:?} {fragment}");
        }
        sessions.end(&name).unwrap();
        seat.ended().await;
        drop(seat);
        assert_eq!(sessions.end(&name), Err(SessionRefusal::NoSession));
        assert!(sessions.table().is_empty());
    }
}

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
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<String, Session>,
    /// The number of sessions so far.
    count: usize,
}

#[derive(Debug)]
struct Session {
    /// What the session's address says before its name: a stream, or nothing.
    owner: String,
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
    number: usize,
    over: CancellationToken,
}

impl Sessions {
    /// Takes a place. `tag` is what `If-Match` of a change must name; `ufrag` is the far end's. None: there is no chance to be had.
    pub(crate) fn seat(&self, owner: &str, tag: &str, ufrag: &str) -> Option<Seat> {
        let mut chance = [0; NAME_BYTES];
        getrandom::fill(&mut chance).ok()?;
        let name: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
        let over = CancellationToken::new();
        let (owner, tag, ufrag) = (owner.to_owned(), tag.to_owned(), ufrag.to_owned());
        let mut table = self.table();
        table.sessions.insert(name.clone(), Session { owner, tag, ufrag, over: over.clone() });
        table.count = table.count.wrapping_add(1);
        Some(Seat { sessions: self.clone(), name, number: table.count, over })
    }

    /// Takes candidates of a session that is there. They are not needed: the far end looks for us, and shows by that where it is.
    pub(crate) fn trickle(
        &self,
        owner: &str,
        name: &str,
        if_match: Option<&str>,
        fragment: &str,
    ) -> Result<(), SessionRefusal> {
        let table = self.table();
        let session = table.find(owner, name)?;
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
    pub(crate) fn end(&self, owner: &str, name: &str) -> Result<(), SessionRefusal> {
        self.table().find(owner, name)?.over.cancel();
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn find(&self, owner: &str, name: &str) -> Result<&Session, SessionRefusal> {
        self.sessions.get(name).filter(|session| session.owner == owner).ok_or(SessionRefusal::NoSession)
    }
}

impl Seat {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number of the session among all. By it, the viewers of one stream go to one lane after the other.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Waits until the far end has ended the session.
    pub(crate) async fn ended(&self) {
        self.over.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sessions.table().sessions.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_who_knows_its_name_changes_a_session() {
        let sessions = Sessions::default();
        let seat = sessions.seat("cam", "ours", "theirs").unwrap();
        let name = seat.name().to_owned();
        assert_eq!(name.len(), 2 * NAME_BYTES);
        let end = "a=end-of-candidates\r\n";
        let ours = format!("a=ice-ufrag:theirs\r\n{end}");
        let restart = format!("a=ice-ufrag:other\r\na=ice-pwd:{}\r\n", "p".repeat(24));
        for (owner, name, if_match, fragment, expected) in [
            ("cam", name.as_str(), None, ours.clone(), Ok(())),
            ("cam", &name, Some("\"ours\""), ours.clone(), Ok(())),
            ("cam", &name, Some("*"), ours.clone(), Ok(())),
            ("cam", &name, Some("\"other\""), ours.clone(), Err(SessionRefusal::OtherTag)),
            ("cam", &name, None, format!("a=ice-ufrag:others\r\n{end}"), Err(SessionRefusal::OtherUfrag)),
            ("cam", &name, None, restart, Err(SessionRefusal::Restart)),
            ("cam", &name, None, end.to_owned(), Err(SessionRefusal::Fragment(FragmentFault::NoUfrag))),
            ("other", &name, None, ours.clone(), Err(SessionRefusal::NoSession)),
            ("cam", "0123", None, ours.clone(), Err(SessionRefusal::NoSession)),
        ] {
            assert_eq!(sessions.trickle(owner, name, if_match, &fragment), expected, "{if_match:?} {fragment}");
        }
        assert_eq!(sessions.end("other", &name), Err(SessionRefusal::NoSession));
        sessions.end("cam", &name).unwrap();
        seat.ended().await;
        drop(seat);
        assert_eq!(sessions.end("cam", &name), Err(SessionRefusal::NoSession));
        assert!(sessions.table().sessions.is_empty());
    }
}

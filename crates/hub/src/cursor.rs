//! A cursor: one subscriber's position in a window, with no queue of its own.

use tokio::sync::watch;
use weir_media::MediaTime;

use crate::window::{Item, Look, Position, Window};

/// What reading gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    Item(T),
    /// The subscriber was too slow: so many items were lost, and the next one is a start.
    Skipped {
        items: u64,
    },
    /// The window was closed and everything in it has been read.
    Closed,
}

/// A subscriber's position in a [`Window`].
#[derive(Debug)]
pub struct Cursor<T> {
    window: Window<T>,
    changed: watch::Receiver<u64>,
    position: Position,
    /// Items lost since the last start that was read; told when the jump lands.
    lost: u64,
}

impl<T: Item> Cursor<T> {
    pub(crate) fn new(window: Window<T>, changed: watch::Receiver<u64>, position: Position) -> Self {
        Self { window, changed, position, lost: 0 }
    }

    /// The next item, waiting for it if need be. Cancel-safe: the position moves only when a value is returned.
    pub async fn next(&mut self) -> Next<T> {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            // `try_next` marked the version as seen before it looked, so a push in between wakes us here at once.
            // The sender lives in the window, which we hold: `changed` cannot fail.
            let _ = self.changed.changed().await;
        }
    }

    /// The next item if there is one now.
    pub fn try_next(&mut self) -> Option<Next<T>> {
        self.changed.mark_unchanged();
        loop {
            let look = self.window.ring().look(self.position);
            match look {
                Look::Item(item) => {
                    if let Position::At(seq) = &mut self.position {
                        *seq += 1;
                    }
                    return Some(Next::Item(item));
                }
                Look::Jump { to, lost } => {
                    // A cursor that never read anything has lost nothing: it is only now finding its first start.
                    let fresh = matches!(self.position, Position::StartFrom(_)) && self.lost == 0;
                    let items = self.lost + if fresh { 0 } else { lost };
                    self.position = Position::At(to);
                    self.lost = 0;
                    if items > 0 {
                        return Some(Next::Skipped { items });
                    }
                }
                Look::Lost { end } => {
                    if let Position::At(seq) = self.position {
                        self.lost += end - seq;
                    }
                    self.position = Position::StartFrom(end);
                }
                Look::Wait => return None,
                Look::Closed => return Some(Next::Closed),
            }
        }
    }

    /// Gives up everything up to the newest start that is now in the window or, if that has been read, up to the next
    /// one to come; says how many items are passed over now. For a subscriber that knows it is behind.
    pub fn skip_to_newest_start(&mut self) -> u64 {
        let ring = self.window.ring();
        let end = ring.end_seq();
        let Position::At(here) = self.position else { return 0 };
        match ring.newest_start() {
            Position::At(start) if start >= here => {
                self.position = Position::At(start);
                start - here
            }
            _ => {
                self.position = ring.next_start();
                end.saturating_sub(here)
            }
        }
    }

    /// How far the next item to read is behind the newest one.
    pub fn lag(&self) -> std::time::Duration {
        let ring = self.window.ring();
        let Some(newest) = ring.newest_time() else { return std::time::Duration::ZERO };
        match ring.look(self.position) {
            Look::Item(item) => newest.since(item.time()),
            _ => std::time::Duration::ZERO,
        }
    }

    /// The time of the newest item in the window.
    pub fn newest_time(&self) -> Option<MediaTime> {
        self.window.ring().newest_time()
    }
}

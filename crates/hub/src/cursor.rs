//! A cursor is one subscriber's position in a window. It has no queue of its own.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use weir_media::MediaTime;

use crate::hurry::Hurry;
use crate::window::{Item, Look, Position, Ring, Window};

/// The result of reading.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    Item(T),
    /// The subscriber was too slow: this many items were lost, and the next one is a start.
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
    place: ReadPlace,
    /// The epoch in which the waker was registered, and the waker.
    registered: Option<(u64, Waker)>,
    /// This counts the subscriber among those in a hurry for as long as the cursor lives.
    _hurry: Option<Hurry>,
}

#[derive(Debug)]
struct ReadPlace {
    position: Position,
    /// The number of items lost since the last start that was read. The subscriber is told once it reads at the next start.
    lost: u64,
}

impl<T: Item> Cursor<T> {
    pub(crate) fn new(window: Window<T>, position: Position) -> Self {
        Self { window, place: ReadPlace { position, lost: 0 }, registered: None, _hurry: None }
    }

    pub(crate) fn in_a_hurry(self, hurry: Hurry) -> Self {
        Self { _hurry: Some(hurry), ..self }
    }

    /// The next item; waits for it if need be. The call is cancel-safe: the position moves only when a value is returned.
    pub async fn next(&mut self) -> Next<T> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Does what [`Cursor::next`] does, with one lock for looking and, if there is nothing, for registering.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next<T>> {
        let mut ring = self.window.ring();
        if let Some(next) = self.place.read(&ring) {
            return Poll::Ready(next);
        }
        let known = |(epoch, waker): &(u64, Waker)| *epoch == ring.epoch() && waker.will_wake(cx.waker());
        if !self.registered.as_ref().is_some_and(known) {
            let epoch = ring.wait(cx.waker());
            drop(ring);
            match &mut self.registered {
                Some((known, waker)) => {
                    *known = epoch;
                    waker.clone_from(cx.waker());
                }
                registered => *registered = Some((epoch, cx.waker().clone())),
            }
        }
        Poll::Pending
    }

    /// The next item if there is one now.
    pub fn try_next(&mut self) -> Option<Next<T>> {
        self.place.read(&self.window.ring())
    }

    /// Gives up everything up to the newest start that is now in the window or, if that has been read, up to the next one to come.
    /// Returns how many items are passed over now. A subscriber calls this when it knows that it is behind.
    pub fn skip_to_newest_start(&mut self) -> u64 {
        let ring = self.window.ring();
        let end = ring.end_seq();
        let Position::At(here) = self.place.position else { return 0 };
        match ring.newest_start() {
            Position::At(start) if start >= here => {
                self.place.position = Position::At(start);
                start - here
            }
            _ => {
                self.place.position = ring.next_start();
                end.saturating_sub(here)
            }
        }
    }

    /// How far the next item to read is behind the newest one.
    pub fn lag(&self) -> std::time::Duration {
        let ring = self.window.ring();
        let Some(newest) = ring.newest_time() else { return std::time::Duration::ZERO };
        match ring.look(self.place.position) {
            Look::Item(item) => newest.since(item.time()),
            _ => std::time::Duration::ZERO,
        }
    }

    /// The time of the newest item in the window.
    pub fn newest_time(&self) -> Option<MediaTime> {
        self.window.ring().newest_time()
    }
}

impl ReadPlace {
    fn read<T: Item>(&mut self, ring: &Ring<T>) -> Option<Next<T>> {
        loop {
            match ring.look(self.position) {
                Look::Item(item) => {
                    if let Position::At(seq) = &mut self.position {
                        *seq += 1;
                    }
                    return Some(Next::Item(item));
                }
                Look::Jump { to, lost } => {
                    // A cursor that never read anything has lost nothing: it only now finds its first start.
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
}

//! The bounded window: a ring of items with rising sequence numbers, one writer and any number of cursors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use weir_media::MediaTime;

use crate::{Cursor, WindowLimits};

/// What a window can hold. It must be cheap to clone (a reference count, no payload).
pub trait Item: Clone + Send + 'static {
    fn time(&self) -> MediaTime;
    /// Whether a subscriber can start here: everything needed to decode from here on follows, or is carried by the item.
    fn is_start(&self) -> bool;
    fn size_bytes(&self) -> usize;
}

/// A handle on one window. Clones share it. It closes when told to, not when handles are dropped, because publishers come and go.
#[derive(Debug)]
pub struct Window<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Window<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

#[derive(Debug)]
struct Shared<T> {
    // This is a std mutex, because sections are short and hold no await. It is held while cloning one item, never while waking or writing
    // to a socket.
    ring: Mutex<Ring<T>>,
}

#[derive(Debug)]
pub(crate) struct Ring<T> {
    items: VecDeque<T>,
    /// Sequence number of `items[0]`.
    first_seq: u64,
    /// Sequence numbers of the starts within the window, oldest first.
    starts: VecDeque<u64>,
    bytes: usize,
    limits: WindowLimits,
    closed: bool,
    /// The wakers of cursors that found nothing since the last change. They are registered under the lock under which the cursor looked,
    /// so that no change can come between looking and waiting.
    waiting: Vec<Waker>,
    /// The epoch counts changes. A cursor that has registered since the last change does not do so again.
    epoch: u64,
}

impl<T: Item> Window<T> {
    pub fn new(limits: WindowLimits) -> Self {
        let ring = Ring {
            items: VecDeque::new(),
            first_seq: 0,
            starts: VecDeque::new(),
            bytes: 0,
            limits,
            closed: false,
            waiting: Vec::new(),
            epoch: 0,
        };
        Self { shared: Arc::new(Shared { ring: Mutex::new(ring) }) }
    }

    /// Appends an item and evicts what no longer fits. Never waits for a cursor.
    pub fn push(&self, item: T) {
        // Evicted items are dropped after the lock is released: freeing payloads takes longer than the ring's bookkeeping.
        let (evicted, waiting) = {
            let mut ring = self.ring();
            (ring.push(item), ring.changed())
        };
        waiting.into_iter().for_each(Waker::wake);
        drop(evicted);
    }

    /// Notes that no more items will come. Cursors read what is left, then end.
    pub fn close(&self) {
        let waiting = {
            let mut ring = self.ring();
            ring.closed = true;
            ring.changed()
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Forgets all items, so that a late joiner does not start on media of a session long gone. Sequence numbers go on.
    pub fn clear(&self) {
        let cleared = self.ring().clear();
        drop(cleared);
    }

    /// A cursor on the newest start (the cached GOP), or on the first start to come.
    pub fn cursor(&self) -> Cursor<T> {
        let position = self.ring().newest_start();
        Cursor::new(self.clone(), position)
    }

    /// How many items and bytes are held now.
    pub fn held(&self) -> (usize, usize) {
        let ring = self.ring();
        (ring.items.len(), ring.bytes)
    }

    pub(crate) fn ring(&self) -> MutexGuard<'_, Ring<T>> {
        // A poisoned lock is still sound: the ring's methods leave it consistent at every point where they can panic.
        self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at a position finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look<T> {
    Item(T),
    /// The position fell out of the window. Reading goes on at `to` (the newest start), `lost` items later.
    Jump {
        to: u64,
        lost: u64,
    },
    /// The position fell out of the window and no start has come since, so one has to be waited for. `end` is where the window ends now.
    Lost {
        end: u64,
    },
    Wait,
    Closed,
}

impl<T: Item> Ring<T> {
    fn push(&mut self, item: T) -> Vec<T> {
        let seq = self.end_seq();
        if item.is_start() {
            self.starts.push_back(seq);
        }
        self.bytes += item.size_bytes();
        let newest = item.time();
        self.items.push_back(item);
        self.evict(newest)
    }

    /// Evicts items that are older than the wanted duration, up to the newest start; then enforces the hard bounds.
    ///
    /// This goes item by item, not GOP by GOP. A subscriber that lags reads on from the middle of a GOP, and one that has fallen out goes
    /// to the newest start, so nobody needs the head of an older GOP.
    fn evict(&mut self, newest: MediaTime) -> Vec<T> {
        let mut evicted = Vec::new();
        let newest_start = self.starts.back().copied().unwrap_or(self.first_seq);
        while self.first_seq < newest_start
            && self.items.front().is_some_and(|item| newest.since(item.time()) > self.limits.duration)
        {
            evicted.extend(self.pop());
        }
        // The newest item always stays, whatever its size: a window that lets nothing through would be a silent failure.
        while self.items.len() > 1 && (self.items.len() > self.limits.items_max || self.bytes > self.limits.bytes_max) {
            evicted.extend(self.pop());
        }
        evicted
    }

    fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        if self.starts.front() == Some(&self.first_seq) {
            self.starts.pop_front();
        }
        self.first_seq += 1;
        self.bytes -= item.size_bytes();
        Some(item)
    }

    fn clear(&mut self) -> VecDeque<T> {
        self.first_seq = self.end_seq();
        self.starts.clear();
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }

    /// Takes the wakers of all that wait. They are woken after the lock is released.
    fn changed(&mut self) -> Vec<Waker> {
        self.epoch += 1;
        let capacity = self.waiting.len();
        std::mem::replace(&mut self.waiting, Vec::with_capacity(capacity))
    }

    /// Has `waker` woken at the next change. Returns the epoch in which it is registered.
    pub(crate) fn wait(&mut self, waker: &Waker) -> u64 {
        self.waiting.push(waker.clone());
        self.epoch
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn look(&self, position: Position) -> Look<T> {
        match position {
            Position::At(seq) if seq >= self.first_seq => match self.items.get(self.index(seq)) {
                Some(item) => Look::Item(item.clone()),
                None if self.closed => Look::Closed,
                None => Look::Wait,
            },
            Position::At(seq) => match self.starts.back() {
                Some(&start) => Look::Jump { to: start, lost: start - seq },
                None => Look::Lost { end: self.end_seq() },
            },
            // The cursor waits for a start. Any start at or after `from` will do, and the newest is best.
            Position::StartFrom(from) => match self.starts.back() {
                Some(&start) if start >= from => Look::Jump { to: start, lost: start - from },
                _ if self.closed => Look::Closed,
                _ => Look::Wait,
            },
        }
    }

    pub(crate) fn newest_start(&self) -> Position {
        match self.starts.back() {
            Some(&start) => Position::At(start),
            None => Position::StartFrom(self.end_seq()),
        }
    }

    /// The first start after the newest one known now. A subscriber that must not repeat media goes there.
    pub(crate) fn next_start(&self) -> Position {
        Position::StartFrom(self.end_seq())
    }

    pub(crate) fn end_seq(&self) -> u64 {
        self.first_seq + self.items.len() as u64
    }

    pub(crate) fn newest_time(&self) -> Option<MediaTime> {
        self.items.back().map(Item::time)
    }

    fn index(&self, seq: u64) -> usize {
        usize::try_from(seq - self.first_seq).unwrap_or(usize::MAX)
    }
}

/// The position of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The next item to read.
    At(u64),
    /// There is no item to read until a start at or after this number.
    StartFrom(u64),
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

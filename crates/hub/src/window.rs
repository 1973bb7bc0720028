//! The bounded window: a ring of items with rising sequence numbers, one writer side, any number of cursors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use weir_media::MediaTime;

use crate::{Cursor, WindowLimits};

/// What a window can hold: it must be cheap to clone (reference counts, not payloads).
pub trait Item: Clone + Send + 'static {
    fn time(&self) -> MediaTime;
    /// A subscriber can start here: everything needed to decode from here on follows or is carried.
    fn is_start(&self) -> bool;
    fn size_bytes(&self) -> usize;
}

/// A handle on one window; clones share it. It closes when told to, not when handles drop, because publishers come and go.
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
    // A std mutex: sections are short and hold no await. Held while cloning one item, never while waking or writing to a socket.
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
    /// Of cursors that found nothing since the last change. Registered under the lock that was looked under, so that no
    /// change can come between looking and waiting.
    waiting: Vec<Waker>,
    /// Counts changes: a cursor that has registered since the last one does not do so again.
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

    /// No more items will come; cursors read what is left, then end.
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
        // The ring's methods leave it consistent at every point where they can panic, so a poisoned lock is still sound.
        self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at a position gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look<T> {
    Item(T),
    /// The position fell out of the window; go on at `to` (the newest start), `lost` items later.
    Jump {
        to: u64,
        lost: u64,
    },
    /// The position fell out and no start has come since: wait for one. `end` is where the window ends now.
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

    /// Evicts what is older than the wanted duration, up to the newest start; then enforces the hard bounds.
    ///
    /// Item by item, not GOP by GOP: who lags reads on from the middle of a GOP, and who has fallen out goes to the newest
    /// start, so the head of an older GOP is of no use to anybody.
    fn evict(&mut self, newest: MediaTime) -> Vec<T> {
        let mut evicted = Vec::new();
        let newest_start = self.starts.back().copied().unwrap_or(self.first_seq);
        while self.first_seq < newest_start
            && self.items.front().is_some_and(|item| newest.since(item.time()) > self.limits.duration)
        {
            evicted.extend(self.pop());
        }
        // The newest item always stays, whatever its size: a door that lets nothing through would be a silent failure.
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

    /// Takes those to wake; they are woken after the lock is released.
    fn changed(&mut self) -> Vec<Waker> {
        self.epoch += 1;
        let capacity = self.waiting.len();
        std::mem::replace(&mut self.waiting, Vec::with_capacity(capacity))
    }

    /// Has `waker` woken at the next change; gives the epoch that this holds for.
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
            // Waiting for a start: any start at or after `from` will do, the newest best.
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

    /// The first start after the newest one known now: where a subscriber that must not repeat media goes.
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

/// Where a cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The next item to read.
    At(u64),
    /// No item until a start at or after this one.
    StartFrom(u64),
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;

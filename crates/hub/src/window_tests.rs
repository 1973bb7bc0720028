//! The window is tested by tables, properties, a model of its wake-ups, and real threads.

use proptest::prelude::*;

use super::*;
use crate::Next;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tick {
    number: u64,
    millis: i64,
    start: bool,
    bytes: usize,
}

impl Item for Tick {
    fn time(&self) -> MediaTime {
        MediaTime::from_millis(self.millis)
    }
    fn is_start(&self) -> bool {
        self.start
    }
    fn size_bytes(&self) -> usize {
        self.bytes
    }
}

const LIMITS: WindowLimits = WindowLimits { duration: Duration::from_millis(1_000), items_max: 100, bytes_max: 10_000 };

/// One item of a series with an item each 100 ms and a start every `gop` items.
fn tick(number: u64, gop: u64) -> Tick {
    Tick { number, millis: number as i64 * 100, start: number.is_multiple_of(gop), bytes: 10 }
}

fn fill(window: &Window<Tick>, numbers: std::ops::Range<u64>, gop: u64) {
    numbers.for_each(|number| window.push(tick(number, gop)));
}

fn read_all(cursor: &mut Cursor<Tick>) -> Vec<Next<u64>> {
    std::iter::from_fn(|| cursor.try_next())
        .map(|next| match next {
            Next::Item(item) => Next::Item(item.number),
            Next::Skipped { items } => Next::Skipped { items },
            Next::Closed => Next::Closed,
        })
        .take_while(|next| *next != Next::Closed)
        .collect()
}

#[test]
fn late_joiner_starts_on_the_cached_gop() {
    let window = Window::new(LIMITS);
    fill(&window, 0..13, 5);
    assert_eq!(read_all(&mut window.cursor()), [10, 11, 12].map(Next::Item));
}

#[test]
fn early_joiner_waits_for_a_start_and_has_lost_nothing() {
    let window = Window::new(LIMITS);
    let mut cursor = window.cursor();
    fill(&window, 1..7, 5);
    assert_eq!(read_all(&mut cursor), [5, 6].map(Next::Item));
}

#[test]
fn slow_subscriber_jumps_to_the_newest_start_and_is_told() {
    let window = Window::new(LIMITS);
    fill(&window, 0..1, 5);
    let mut cursor = window.cursor();
    assert_eq!(read_all(&mut cursor), [Next::Item(0)]);
    fill(&window, 1..103, 5);
    // The cursor stood at 1, and the newest start is 100.
    assert_eq!(read_all(&mut cursor), [Next::Skipped { items: 99 }, Next::Item(100), Next::Item(101), Next::Item(102)]);
}

#[test]
fn falling_out_of_an_endless_gop_waits_for_the_next_start_and_counts_all() {
    let window = Window::new(LIMITS);
    fill(&window, 0..1, 1_000);
    let mut cursor = window.cursor();
    assert_eq!(read_all(&mut cursor), [Next::Item(0)]);
    fill(&window, 1..500, 1_000);
    assert_eq!(read_all(&mut cursor), []);
    fill(&window, 500..600, 1_000);
    assert_eq!(read_all(&mut cursor), []);
    fill(&window, 1_000..1_002, 1_000);
    // Items 1..500 were lost at the first look, then 500..600 while the cursor waited.
    assert_eq!(read_all(&mut cursor), [Next::Skipped { items: 599 }, Next::Item(1_000), Next::Item(1_001)]);
}

#[test]
fn window_keeps_the_wanted_duration_and_always_the_newest_gop() {
    let window = Window::new(LIMITS);
    fill(&window, 0..64, 5);
    // The newest item is at 6.3 s, so 5.3 s to 6.3 s stay, from the middle of a GOP.
    assert_eq!(window.held(), (11, 110));
    let window = Window::new(LIMITS);
    fill(&window, 0..64, 40);
    // The newest GOP began at 4.0 s, longer ago than the duration, and all of it stays.
    assert_eq!(window.held(), (24, 240));
}

#[test]
fn hard_bounds_hold_inside_one_gop() {
    for (bytes, expected) in [(10, 100), (1_000, 10), (50_000, 1)] {
        let window = Window::new(LIMITS);
        for number in 0..300 {
            window.push(Tick { bytes, ..tick(number, 1_000) });
        }
        assert_eq!(window.held(), (expected, expected * bytes), "items of {bytes} bytes");
    }
}

#[test]
fn closing_ends_cursors_after_what_is_left() {
    let window = Window::new(LIMITS);
    fill(&window, 0..2, 5);
    let mut cursor = window.cursor();
    window.close();
    assert_eq!(read_all(&mut cursor), [0, 1].map(Next::Item));
    assert_eq!(cursor.try_next(), Some(Next::Closed));
    assert_eq!(window.cursor().try_next().map(|next| matches!(next, Next::Item(_))), Some(true));
}

#[test]
fn clearing_makes_joiners_wait_for_fresh_media() {
    let window = Window::new(LIMITS);
    fill(&window, 0..3, 5);
    window.clear();
    let mut cursor = window.cursor();
    assert_eq!(read_all(&mut cursor), []);
    fill(&window, 5..6, 5);
    assert_eq!(read_all(&mut cursor), [Next::Item(5)]);
}

#[test]
fn skipping_on_purpose_goes_to_the_newest_unread_start_or_the_next_one() {
    let window = Window::new(LIMITS);
    fill(&window, 0..1, 5);
    let mut cursor = window.cursor();
    fill(&window, 1..8, 5);
    assert_eq!(cursor.skip_to_newest_start(), 5);
    assert_eq!(read_all(&mut cursor), [5, 6, 7].map(Next::Item));
    fill(&window, 8..9, 5);
    assert_eq!(cursor.skip_to_newest_start(), 1, "the newest start was read: wait for the next");
    fill(&window, 9..11, 5);
    assert_eq!(read_all(&mut cursor), [Next::Item(10)]);
}

proptest! {
    /// For any mix of writes and reads, the numbers that are read rise, a gap is always announced with its exact size, and the item after
    /// a gap is a start. Bounds hold after every write.
    #[test]
    fn reads_are_in_order_and_every_gap_is_told(ops in prop::collection::vec((0u8..4, 1u64..40, 1usize..400), 1..200), gop in 1u64..60) {
        let window: Window<Tick> = Window::new(LIMITS);
        let mut cursor = window.cursor();
        let mut number = 0;
        let mut expected: Option<u64> = None;
        let mut after_gap = true;
        for (op, count, bytes) in ops {
            if op == 0 {
                for _ in 0..count {
                    match cursor.try_next() {
                        Some(Next::Item(item)) => {
                            if let Some(expected) = expected { prop_assert_eq!(item.number, expected); }
                            if after_gap { prop_assert!(item.start); }
                            after_gap = false;
                            expected = Some(item.number + 1);
                        }
                        Some(Next::Skipped { items }) => {
                            expected = expected.map(|e| e + items);
                            after_gap = true;
                        }
                        Some(Next::Closed) => prop_assert!(false, "never closed"),
                        None => break,
                    }
                }
            } else {
                for _ in 0..count {
                    window.push(Tick { bytes, ..tick(number, gop) });
                    number += 1;
                    let (items, held) = window.held();
                    prop_assert!(items <= LIMITS.items_max && (held <= LIMITS.bytes_max || items == 1));
                }
            }
        }
    }
}

/// Goes through every interleaving of a publisher's two steps (write and take the waiting, under the lock; wake them) with a subscriber's
/// two (look and, finding nothing, register, under the lock; sleep until woken) for three items. The subscriber never sleeps for ever
/// while an unread item is there. `push` and `Cursor::poll_next` consist of these steps, in this order.
#[test]
fn model_no_interleaving_loses_a_wakeup() {
    #[derive(Clone, Copy)]
    struct Model {
        items: u32,
        /// The publisher holds a waker that it has taken and not yet woken.
        to_wake: Option<bool>,
        read: u32,
        registered: bool,
        asleep: bool,
    }
    const ITEMS: u32 = 3;
    fn explore(model: Model, visited: &mut u32) {
        *visited += 1;
        let publisher_done = model.items == ITEMS && model.to_wake.is_none();
        if publisher_done && (model.asleep || model.read == ITEMS) {
            assert_eq!(model.read, ITEMS, "the subscriber sleeps although an item is unread");
            return;
        }
        if !publisher_done {
            let mut next = model;
            match model.to_wake {
                None => {
                    next.items += 1;
                    next.to_wake = Some(std::mem::take(&mut next.registered));
                }
                Some(wakes) => {
                    next.to_wake = None;
                    next.asleep &= !wakes;
                }
            }
            explore(next, visited);
        }
        if model.read < ITEMS && !model.asleep {
            let mut next = model;
            if model.read < model.items {
                next.read += 1;
            } else {
                (next.registered, next.asleep) = (true, true);
            }
            explore(next, visited);
        }
    }
    let mut visited = 0;
    explore(Model { items: 0, to_wake: None, read: 0, registered: false, asleep: false }, &mut visited);
    assert!(visited > 50, "explored only {visited} states");
}

/// A cursor that is polled again and again without a change registers once, and again after its waker changed.
#[test]
fn waiting_takes_one_place() {
    use std::task::{Context, Poll, Waker};
    struct Silent;
    impl std::task::Wake for Silent {
        fn wake(self: Arc<Self>) {}
    }
    let window: Window<Tick> = Window::new(LIMITS);
    let mut cursor = window.cursor();
    let mut poll = |waker: &Waker| matches!(cursor.poll_next(&mut Context::from_waker(waker)), Poll::Pending);
    let (first, second) = (Waker::from(Arc::new(Silent)), Waker::from(Arc::new(Silent)));
    for _ in 0..10 {
        assert!(poll(&first));
    }
    assert_eq!(window.ring().waiting.len(), 1);
    assert!(poll(&second));
    assert_eq!(window.ring().waiting.len(), 2);
    window.push(tick(1, 5));
    assert_eq!(window.ring().waiting.len(), 0);
}

/// The same with real threads: one writer at full speed and eight readers, each of which sees order and exact gaps.
#[test]
fn threads_race_without_losing_count() {
    const ITEMS: u64 = 20_000;
    let window: Window<Tick> = Window::new(LIMITS);
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let mut cursor = window.cursor();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async move {
                    // Where a reader begins depends on the race. From there on it may lose nothing without being told.
                    let mut expected: Option<u64> = None;
                    loop {
                        match cursor.next().await {
                            Next::Item(item) => {
                                assert_eq!(item.number, expected.unwrap_or(item.number));
                                expected = Some(item.number + 1);
                            }
                            Next::Skipped { items } => expected = expected.map(|expected| expected + items),
                            Next::Closed => return expected.unwrap(),
                        }
                    }
                })
            })
        })
        .collect();
    fill(&window, 0..ITEMS, 30);
    window.close();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), ITEMS);
    }
}

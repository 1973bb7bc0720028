//! Waits for a condition with a deadline, in place of sleeping for luck.

use std::thread;
use std::time::{Duration, Instant};

/// The time between two looks: short beside every bound that a test states (the smallest is 0.2 s), long beside the cost of a look.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Returns how long it took until `condition` held; fails the test with `what` when it did not within `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    wait_until_some(what, limit, || condition().then_some(()));
    start.elapsed()
}

/// Returns the first thing that `look` gives; fails the test with `what` when there is none within `limit`.
#[track_caller]
pub fn wait_until_some<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "within {limit:?} it did not happen that {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

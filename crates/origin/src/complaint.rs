//! Log lines about misbehaving clients that can't fill the log: one a second at most, with how many there were.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One kind of misbehaviour.
#[derive(Debug)]
pub(crate) struct Complaint {
    about: &'static str,
    began: Instant,
    /// The second, counted from `began` and one more, in which it was logged last.
    logged_in: AtomicU64,
    unlogged: AtomicU64,
}

impl Complaint {
    pub(crate) fn new(about: &'static str) -> Self {
        Self { about, began: Instant::now(), logged_in: AtomicU64::new(0), unlogged: AtomicU64::new(0) }
    }

    /// Nothing of the request is logged: it may hold a token.
    pub(crate) fn raise(&self, client: IpAddr) {
        if let Some(more) = self.due(self.began.elapsed().as_secs() + 1) {
            tracing::warn!(%client, more, "{}", self.about);
        }
    }

    /// How many went unlogged since the last line, if a line is due in this second.
    fn due(&self, second: u64) -> Option<u64> {
        if self.logged_in.swap(second, Ordering::Relaxed) == second {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unlogged.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second() {
        let complaint = Complaint::new("x");
        let due: Vec<_> = [1, 1, 1, 2, 5, 5].map(|second| complaint.due(second)).into();
        assert_eq!(due, [Some(0), None, None, Some(2), Some(0), None]);
    }
}

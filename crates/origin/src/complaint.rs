//! A complaint is a log line about misbehaving clients that can't fill the log: it is written once a second at most, with the number of
//! those that were left out.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One kind of misbehaviour.
#[derive(Debug)]
pub(crate) struct Complaint {
    about: &'static str,
    began: Instant,
    /// The second in which a line was logged last. The first second after `began` is number 1, so that 0 means never.
    logged_in: AtomicU64,
    unlogged: AtomicU64,
}

impl Complaint {
    pub(crate) fn new(about: &'static str) -> Self {
        Self { about, began: Instant::now(), logged_in: AtomicU64::new(0), unlogged: AtomicU64::new(0) }
    }

    /// Complains about one client. Nothing of its request is logged, because it may hold a token.
    pub(crate) fn raise(&self, client: IpAddr) {
        if let Some(more) = self.due(self.began.elapsed().as_secs() + 1) {
            tracing::warn!(%client, more, "{}", self.about);
        }
    }

    /// If a line is due in this second, returns how many complaints were left out since the last line.
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

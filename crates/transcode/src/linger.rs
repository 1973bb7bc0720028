//! A rendition that nobody wants any more goes on for a while, so that whoever reconnects finds it running.

use std::time::{Duration, Instant};

use weir_model::Rendition;

/// A restream that is edited is stopped and started again within a second or two.
pub(crate) const LINGER: Duration = Duration::from_secs(10);

/// The renditions that run: first those that are wanted, in the order of the wishes, then those that were wanted until a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    runs: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    want: Rendition,
    /// When it stopped being wanted; None while it is wanted.
    unwanted_since: Option<Instant>,
}

impl Linger {
    /// Takes what is wanted now. A rendition of the same name with other settings is replaced at once.
    pub(crate) fn update(&mut self, wanted: &[Rendition], now: Instant) {
        let now_wanted = wanted.iter().map(|want| Running { want: want.clone(), unwanted_since: None });
        let let_go = self.runs.drain(..).filter(|running| wanted.iter().all(|want| want.name != running.want.name));
        let let_go = let_go.map(|running| Running { unwanted_since: running.unwanted_since.or(Some(now)), ..running });
        self.runs = now_wanted.chain(let_go).collect();
        self.expire(now);
    }

    /// Lets go of renditions that nobody has come back for; true when there were any.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.runs.len();
        let keeps = |since: Instant| now.saturating_duration_since(since) < LINGER;
        self.runs.retain(|running| running.unwanted_since.is_none_or(keeps));
        self.runs.len() != before
    }

    pub(crate) fn wants(&self) -> Vec<Rendition> {
        self.runs.iter().map(|running| running.want.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wants::tests::{settings, want};

    #[test]
    fn what_is_let_go_stays_ten_seconds() {
        let (start, mut linger) = (Instant::now(), Linger::default());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let want = |name: &str, kbps| want(name, settings(640, 360, kbps));
        let names = |linger: &Linger| linger.wants().iter().map(|want| want.name.clone()).collect::<Vec<_>>();
        linger.update(&[want("a", 1), want("b", 1)], at(0));
        linger.update(&[want("b", 2)], at(1));
        assert_eq!(names(&linger), ["b", "a"], "what is wanted comes first");
        assert_eq!(linger.wants()[0], want("b", 2), "an edit takes effect at once");
        assert!(!linger.expire(at(10)));
        assert!(linger.expire(at(11)));
        assert_eq!(names(&linger), ["b"]);
        linger.update(&[want("z", 1), want("b", 2), want("c", 1)], at(12));
        assert_eq!(names(&linger), ["z", "b", "c"], "in the order of the wishes");
        linger.update(&[want("b", 2)], at(13));
        assert!(linger.expire(at(23)));
        linger.update(&[], at(23));
        linger.update(&[want("b", 2)], at(25));
        assert!(!linger.expire(at(100)), "wanted again in time");
        assert_eq!(names(&linger), ["b"]);
    }
}

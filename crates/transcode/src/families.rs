//! Encoder families that failed: three times within a minute, and its renditions move to the next one for a while.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

const FAILURES_MAX: usize = 3;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);
/// Then it is tried again: drivers recover, cards come back from a reset.
const AVOIDED_FOR: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(crate) struct Families {
    failures: BTreeMap<String, VecDeque<Instant>>,
    avoided_since: BTreeMap<String, Instant>,
}

impl Families {
    /// Counts a failure; whether the family is avoided from now on.
    pub(crate) fn failed(&mut self, family: &str, now: Instant) -> bool {
        let failures = self.failures.entry(family.to_owned()).or_default();
        failures.push_back(now);
        failures.retain(|at| now.saturating_duration_since(*at) < FAILURES_WITHIN);
        if failures.len() < FAILURES_MAX {
            return false;
        }
        failures.clear();
        self.avoided_since.insert(family.to_owned(), now).is_none()
    }

    /// Those that time has forgiven.
    pub(crate) fn recover(&mut self, now: Instant) -> Vec<String> {
        let over = |since: &Instant| now.saturating_duration_since(*since) >= AVOIDED_FOR;
        self.avoided_since.extract_if(.., |_, since| over(since)).map(|(family, _)| family).collect()
    }

    pub(crate) fn avoided(&self) -> BTreeSet<String> {
        self.avoided_since.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_minute_are_enough() {
        let (start, mut families) = (Instant::now(), Families::default());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!families.failed("nvenc", at(0)));
        assert!(!families.failed("nvenc", at(59)));
        assert!(!families.failed("nvenc", at(61)), "the first is forgotten");
        assert!(!families.failed("qsv", at(62)));
        assert!(families.failed("nvenc", at(63)));
        assert_eq!(families.avoided(), BTreeSet::from(["nvenc".to_owned()]));
        assert!(families.recover(at(362)).is_empty());
        assert_eq!(families.recover(at(363)), ["nvenc"]);
        assert!(families.avoided().is_empty());
    }
}

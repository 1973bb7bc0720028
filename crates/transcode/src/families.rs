//! Encoder families that can't be used for now: a family that failed three times within a minute is avoided for a while, and one whose
//! cards are full until a card has room. Renditions move to the next family.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

const FAILURES_MAX: usize = 3;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);
/// Then the family is tried again: drivers recover, and cards come back from a reset.
const AVOIDED_FOR: Duration = Duration::from_secs(300);
/// The beginning of the driver's message that is shown; the whole of a long one is in the log.
const REASON_CHARS_MAX: usize = 160;

#[derive(Debug, Default)]
pub(crate) struct Families {
    failures: BTreeMap<String, VecDeque<Instant>>,
    avoided: BTreeMap<String, Avoided>,
}

#[derive(Debug)]
struct Avoided {
    /// Words that can follow the encoder's name.
    reason: String,
    until: Until,
}

#[derive(Debug)]
enum Until {
    Time(Instant),
    /// Until a card has room again.
    Room,
}

impl Families {
    /// Counts a failure; true when the family is avoided from now on.
    pub(crate) fn failed(&mut self, family: &str, why: &str, now: Instant) -> bool {
        let failures = self.failures.entry(family.to_owned()).or_default();
        failures.push_back(now);
        failures.retain(|at| now.saturating_duration_since(*at) < FAILURES_WITHIN);
        if failures.len() < FAILURES_MAX {
            return false;
        }
        failures.clear();
        let why: String = why.chars().take(REASON_CHARS_MAX).collect();
        let reason = format!("failed a moment ago ({why})");
        self.avoided.insert(family.to_owned(), Avoided { reason, until: Until::Time(now + AVOIDED_FOR) }).is_none()
    }

    /// Notes that no card has room for the family. A family that is avoided for its failures stays so.
    pub(crate) fn full(&mut self, family: &str) {
        let avoided = || Avoided { reason: "has no card with room".to_owned(), until: Until::Room };
        self.avoided.entry(family.to_owned()).or_insert_with(avoided);
    }

    /// Takes back the families whose time is over, or that have room again, and names them.
    pub(crate) fn recover(&mut self, now: Instant, has_room: impl Fn() -> bool) -> Vec<String> {
        let over = |avoided: &Avoided| match avoided.until {
            Until::Time(until) => now >= until,
            Until::Room => has_room(),
        };
        self.avoided.extract_if(.., |_, avoided| over(avoided)).map(|(family, _)| family).collect()
    }

    /// The avoided families, each with the reason.
    pub(crate) fn avoided(&self) -> BTreeMap<String, String> {
        self.avoided.iter().map(|(family, avoided)| (family.clone(), avoided.reason.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_minute_are_enough() {
        let (start, mut families) = (Instant::now(), Families::default());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!families.failed("nvenc", "", at(0)));
        assert!(!families.failed("nvenc", "", at(59)));
        assert!(!families.failed("nvenc", "", at(61)), "the first is forgotten");
        assert!(!families.failed("qsv", "", at(62)));
        assert!(families.failed("nvenc", &"out of sessions ".repeat(20), at(63)));
        let avoided = families.avoided();
        assert_eq!(avoided.keys().collect::<Vec<_>>(), ["nvenc"]);
        assert!(avoided["nvenc"].starts_with("failed a moment ago (out of sessions"), "{avoided:?}");
        assert!(avoided["nvenc"].len() < 200, "{avoided:?}");
        families.full("nvenc");
        assert!(families.recover(at(362), || true).is_empty());
        assert_eq!(families.recover(at(363), || false), ["nvenc"]);
        assert!(families.avoided().is_empty());
    }

    #[test]
    fn what_is_full_waits_for_room() {
        let (start, mut families) = (Instant::now(), Families::default());
        families.full("nvenc");
        assert_eq!(families.avoided()["nvenc"], "has no card with room");
        assert!(families.recover(start + Duration::from_secs(9_000), || false).is_empty());
        assert_eq!(families.recover(start, || true), ["nvenc"]);
    }
}

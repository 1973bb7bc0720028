//! Decides which slot should be on air. It is pure: what each slot did, and when, comes in, and a wish comes out.

use std::time::{Duration, Instant};

/// When a slot is lost, and when a better one is gone back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectorRules {
    /// A slot that has given no picture for so long is lost.
    pub loss: Duration,
    /// A preferred slot that has been well for so long is gone back to. None means that nobody goes back by himself.
    pub return_after: Option<Duration>,
}

/// Why another slot comes on air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SwitchCause {
    /// The slot that was on air has ended or gives no pictures.
    Lost,
    /// A preferred slot was well for long enough.
    Returned,
    /// Somebody asked for it.
    ByHand,
}

impl Default for SelectorRules {
    fn default() -> Self {
        Self { loss: Duration::from_millis(1_500), return_after: Some(Duration::from_secs(5)) }
    }
}

impl SwitchCause {
    /// The cause as events name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Returned => "returned",
            Self::ByHand => "by_hand",
        }
    }
}

/// The slot that should come on air as soon as it has a keyframe, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SwitchWish {
    pub(crate) slot: usize,
    pub(crate) cause: SwitchCause,
}

/// How one slot does. All of it is forgotten when the slot's publisher leaves, and none of it depends on what is on air: a slot is never
/// blamed for what another one did.
#[derive(Clone, Copy, Debug, Default)]
struct SlotHealth {
    attached: bool,
    picture_at: Option<Instant>,
    /// Since when pictures have come without a gap. The first one of a session is a picture on which a decoder can start.
    well_since: Option<Instant>,
}

impl SlotHealth {
    fn is_live(&self, now: Instant, loss: Duration) -> bool {
        let is_fresh = self.picture_at.is_some_and(|at| now.saturating_duration_since(at) < loss);
        self.attached && self.well_since.is_some() && is_fresh
    }

    fn was_well_for(&self, now: Instant, duration: Duration) -> bool {
        self.well_since.is_some_and(|since| now.saturating_duration_since(since) >= duration)
    }
}

/// The choice that somebody made by hand. That slot is preferred to all others until the choice is taken back.
#[derive(Clone, Copy, Debug)]
struct ByHand {
    slot: usize,
    /// The slot has been on air since. When it is lost after that, it is gone back to by the rules, as any preferred slot is.
    done: bool,
}

/// Slots are numbered in order of preference.
#[derive(Debug)]
pub(crate) struct Selector {
    rules: SelectorRules,
    slots: Vec<SlotHealth>,
    on_air: Option<usize>,
    by_hand: Option<ByHand>,
}

impl Selector {
    pub(crate) fn new(rules: SelectorRules) -> Self {
        Self { rules, slots: Vec::new(), on_air: None, by_hand: None }
    }

    pub(crate) fn rules(&self) -> SelectorRules {
        self.rules
    }

    pub(crate) fn set_rules(&mut self, rules: SelectorRules) {
        self.rules = rules;
    }

    /// Puts the slots into another order: each new place says at which place the slot was before, if it was there.
    pub(crate) fn arrange(&mut self, places: &[Option<usize>]) {
        let slots = places.iter().map(|old| old.and_then(|old| self.slots.get(old).copied()).unwrap_or_default());
        let slots: Vec<SlotHealth> = slots.collect();
        let moved = |old: usize| places.iter().position(|place| *place == Some(old));
        self.on_air = self.on_air.and_then(moved);
        self.by_hand = self.by_hand.and_then(|hand| Some(ByHand { slot: moved(hand.slot)?, ..hand }));
        self.slots = slots;
    }

    pub(crate) fn on_air(&self) -> Option<usize> {
        self.on_air
    }

    /// Notes that the slot is on air now.
    pub(crate) fn went_on_air(&mut self, slot: usize) {
        self.on_air = Some(slot);
        if let Some(hand) = self.by_hand.as_mut().filter(|hand| hand.slot == slot) {
            hand.done = true;
        }
    }

    /// A publisher came into the slot.
    pub(crate) fn attached(&mut self, slot: usize) {
        if let Some(health) = self.slots.get_mut(slot) {
            *health = SlotHealth { attached: true, ..SlotHealth::default() };
        }
    }

    /// The slot's publisher left.
    pub(crate) fn detached(&mut self, slot: usize) {
        if let Some(health) = self.slots.get_mut(slot) {
            *health = SlotHealth::default();
        }
    }

    pub(crate) fn is_attached(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|health| health.attached)
    }

    pub(crate) fn is_any_attached(&self) -> bool {
        self.slots.iter().any(|health| health.attached)
    }

    /// Whether the slot's publisher has sent a picture on which a decoder can start.
    pub(crate) fn has_started(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|health| health.well_since.is_some())
    }

    pub(crate) fn is_live(&self, slot: usize, now: Instant) -> bool {
        self.slots.get(slot).is_some_and(|health| health.is_live(now, self.rules.loss))
    }

    /// The slot gave a picture, or sound where it has no pictures.
    pub(crate) fn picture(&mut self, slot: usize, is_start: bool, now: Instant) {
        let loss = self.rules.loss;
        let Some(health) = self.slots.get_mut(slot) else { return };
        let had_gap = health.picture_at.is_some_and(|at| now.saturating_duration_since(at) >= loss);
        match health.well_since {
            None if is_start => health.well_since = Some(now),
            Some(_) if had_gap => health.well_since = Some(now),
            _ => {}
        }
        health.picture_at = Some(now);
    }

    /// Prefers that slot to all others from now on. None goes back to the order of the stream.
    pub(crate) fn switch(&mut self, slot: Option<usize>) {
        self.by_hand = slot.map(|slot| ByHand { slot, done: self.on_air == Some(slot) });
    }

    pub(crate) fn by_hand(&self) -> Option<usize> {
        self.by_hand.map(|hand| hand.slot)
    }

    /// The slot that should come on air in place of the one that is. None means that all is well, or that nothing is better.
    pub(crate) fn wish(&self, now: Instant) -> Option<SwitchWish> {
        let hand = self.by_hand.map(|hand| hand.slot);
        let preferred = || hand.into_iter().chain((0..self.slots.len()).filter(move |slot| Some(*slot) != hand));
        let live = |slot: &usize| self.is_live(*slot, now);
        let Some(on_air) = self.on_air.filter(live) else {
            let next = preferred().find(live)?;
            return Some(SwitchWish { slot: next, cause: SwitchCause::Lost });
        };
        let better = preferred().take_while(|slot| *slot != on_air);
        better.filter(live).find_map(|slot| {
            let asked = self.by_hand.is_some_and(|hand| hand.slot == slot && !hand.done);
            if asked {
                return Some(SwitchWish { slot, cause: SwitchCause::ByHand });
            }
            let due = self.rules.return_after.is_some_and(|after| self.slots[slot].was_well_for(now, after));
            due.then_some(SwitchWish { slot, cause: SwitchCause::Returned })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: SelectorRules =
        SelectorRules { loss: Duration::from_millis(1_500), return_after: Some(Duration::from_secs(5)) };

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Attach(usize),
        Detach(usize),
        /// The slot gives pictures, one of them a start, ten a second from one time to the other.
        Pictures(usize, u64, u64),
        Hand(Option<usize>),
        /// What is wished for at that time is done.
        Switch(u64),
        /// Slots 0 and 1 change their places.
        Swap,
    }
    use Step::{Attach, Detach, Hand, Pictures, Swap, Switch};

    /// Plays the steps, in which times are milliseconds, and gives what is on air, and the wish at that time.
    fn play(rules: SelectorRules, steps: &[Step], at_ms: u64) -> (Option<usize>, Option<(usize, SwitchCause)>) {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut selector = Selector::new(rules);
        selector.arrange(&[None, None, None]);
        for step in steps {
            match *step {
                Attach(slot) => selector.attached(slot),
                Detach(slot) => selector.detached(slot),
                Pictures(slot, from, to) => {
                    (from..=to).step_by(100).for_each(|ms| selector.picture(slot, ms % 1_000 == 0, at(ms)));
                }
                Hand(slot) => selector.switch(slot),
                Switch(ms) => {
                    if let Some(wish) = selector.wish(at(ms)) {
                        selector.went_on_air(wish.slot);
                    }
                }
                Swap => selector.arrange(&[Some(1), Some(0), Some(2)]),
            }
        }
        (selector.on_air(), selector.wish(at(at_ms)).map(|wish| (wish.slot, wish.cause)))
    }

    #[test]
    fn the_next_live_slot_comes_when_the_one_on_air_is_lost() {
        use SwitchCause::Lost;
        for (case, steps, at_ms, expected) in [
            ("nobody is there", &[][..], 0, (None, None)),
            ("no picture has come yet", &[Attach(1)], 0, (None, None)),
            ("pictures without a start", &[Attach(1), Pictures(1, 100, 900)], 900, (None, None)),
            ("the first one", &[Attach(1), Pictures(1, 0, 900)], 900, (None, Some((1, Lost)))),
            (
                "all is well",
                &[Attach(0), Attach(1), Pictures(0, 0, 900), Pictures(1, 0, 900), Switch(900)],
                900,
                (Some(0), None),
            ),
            (
                "not quite lost",
                &[Attach(0), Attach(1), Pictures(0, 0, 1_000), Switch(900), Pictures(1, 0, 2_499)],
                2_499,
                (Some(0), None),
            ),
            (
                "lost",
                &[Attach(0), Attach(1), Pictures(0, 0, 1_000), Switch(900), Pictures(1, 0, 2_500)],
                2_500,
                (Some(0), Some((1, Lost))),
            ),
            (
                "closed is lost at once",
                &[Attach(0), Attach(1), Pictures(0, 0, 900), Pictures(1, 0, 900), Switch(900), Detach(0)],
                900,
                (Some(0), Some((1, Lost))),
            ),
            (
                "the next slot is dead, too",
                &[Attach(0), Attach(1), Attach(2), Pictures(0, 0, 900), Switch(900), Pictures(2, 0, 3_000)],
                3_000,
                (Some(0), Some((2, Lost))),
            ),
            ("nobody else is live", &[Attach(0), Attach(1), Pictures(0, 0, 900), Switch(900)], 9_000, (Some(0), None)),
            (
                "it comes back before anybody was put in its place",
                &[
                    Attach(0),
                    Attach(1),
                    Pictures(0, 0, 900),
                    Switch(900),
                    Pictures(1, 0, 3_000),
                    Pictures(0, 3_000, 3_000),
                ],
                3_000,
                (Some(0), None),
            ),
            (
                "a publisher that comes again begins without a past",
                &[Attach(0), Pictures(0, 0, 900), Detach(0), Attach(0)],
                900,
                (None, None),
            ),
        ] {
            assert_eq!(play(RULES, steps, at_ms), expected, "{case}");
        }
    }

    #[test]
    fn a_preferred_slot_comes_back_when_it_was_well_for_long_enough() {
        use SwitchCause::{Lost, Returned};
        let never = SelectorRules { return_after: None, ..RULES };
        let backup = [Attach(1), Pictures(1, 0, 10_000), Switch(1_000), Attach(0)];
        let with = |more: &[Step]| [&backup[..], more].concat();
        for (case, rules, steps, at_ms, expected) in [
            ("too early", RULES, with(&[Pictures(0, 4_000, 8_900)]), 8_900, (Some(1), None)),
            ("well", RULES, with(&[Pictures(0, 4_000, 9_000)]), 9_000, (Some(1), Some((0, Returned)))),
            ("never", never, with(&[Pictures(0, 1_000, 10_000)]), 10_000, (Some(1), None)),
            (
                "a gap starts the count again",
                RULES,
                with(&[Pictures(0, 1_000, 2_000), Pictures(0, 4_000, 8_900)]),
                8_900,
                (Some(1), None),
            ),
            (
                "never is no word for a loss",
                never,
                with(&[Pictures(0, 9_000, 10_000), Detach(1)]),
                10_000,
                (Some(1), Some((0, Lost))),
            ),
            (
                "what was well and is lost now is no place to return to",
                RULES,
                with(&[Pictures(0, 1_000, 8_000)]),
                10_000,
                (Some(1), None),
            ),
        ] {
            assert_eq!(play(rules, &steps, at_ms), expected, "{case}");
        }
    }

    #[test]
    fn a_hand_goes_before_the_order() {
        use SwitchCause::{ByHand, Lost, Returned};
        let both = [Attach(0), Attach(1), Pictures(0, 0, 10_000), Pictures(1, 0, 10_000), Switch(500)];
        let with = |more: &[Step]| [&both[..], more].concat();
        for (case, steps, at_ms, expected) in [
            ("at once", with(&[Hand(Some(1))]), 10_000, (Some(0), Some((1, ByHand)))),
            ("it stays", with(&[Hand(Some(1)), Switch(10_000)]), 10_000, (Some(1), None)),
            (
                "automatic again",
                with(&[Hand(Some(1)), Switch(10_000), Hand(None)]),
                10_000,
                (Some(1), Some((0, Returned))),
            ),
            ("taken back in time", with(&[Hand(Some(1)), Hand(None)]), 10_000, (Some(0), None)),
            ("it is lost", with(&[Hand(Some(1)), Switch(10_000), Detach(1)]), 10_000, (Some(1), Some((0, Lost)))),
            (
                "it comes back by the rules",
                with(&[
                    Hand(Some(1)),
                    Switch(10_000),
                    Detach(1),
                    Switch(10_000),
                    Attach(1),
                    Pictures(1, 10_000, 10_900),
                ]),
                10_900,
                (Some(0), None),
            ),
            ("it is not live", with(&[Hand(Some(2))]), 10_000, (Some(0), None)),
            ("the order changes", with(&[Swap]), 10_000, (Some(1), Some((0, Returned)))),
            ("the hand moves along", with(&[Hand(Some(1)), Swap]), 10_000, (Some(1), Some((0, ByHand)))),
        ] {
            assert_eq!(play(RULES, &steps, at_ms), expected, "{case}");
        }
    }
}

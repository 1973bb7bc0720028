//! Makes those wait who guess keys and passwords, each guesser for itself. It is pure; the time is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// This many wrong guesses of each guesser are remembered: repeating one of them is no guess.
const REMEMBERED_GUESSES: usize = 24;

/// 10,000 guessers of 150 bytes each take one and a half megabytes. More of them are an attack from everywhere.
const GUESSERS_MAX: usize = 10_000;

/// As many callers who were right are remembered, at 30 bytes each.
const RIGHT_MAX: usize = 10_000;

/// How much guessing is tolerated.
#[derive(Clone, Copy, Debug)]
pub struct GuessRules {
    /// This many wrong guesses cost nothing: people mistype, and devices are set up wrongly.
    pub free: u32,
    /// The first wait; each further wrong guess doubles it.
    pub wait_min: Duration,
    pub wait_max: Duration,
    /// A guesser who has been quiet for so long is forgotten.
    pub forgotten_after: Duration,
}

impl GuessRules {
    /// The rules for stream keys and API keys. Twenty unknown ones from one address cost nothing, as
    /// encoders and scripts may be set up wrongly. After that one a minute at most is checked, 1,460 a
    /// day. Our keys are far too long for that, and one that an operator chose badly is safe enough.
    pub const KEYS: Self = Self {
        free: 20,
        wait_min: Duration::from_secs(1),
        wait_max: Duration::from_secs(60),
        forgotten_after: Duration::from_secs(600),
    };
}

/// Counts wrong guesses in memory; a restart forgives them.
#[derive(Debug)]
pub struct GuessLimit {
    rules: GuessRules,
    hasher: RandomState,
    book: Mutex<Book>,
}

/// Guesses are kept as hashes with a key of this process: a guess may be a password typed into the wrong field.
#[derive(Debug, Default)]
struct Book {
    guessers: HashMap<u64, Guesser>,
    /// Who was right with which guess, and when last.
    right: HashMap<u64, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Guesser {
    wrong: u32,
    last: Instant,
    free_at: Instant,
    guesses: [u32; REMEMBERED_GUESSES],
}

impl GuessLimit {
    pub fn new(rules: GuessRules) -> Self {
        Self { rules, hasher: RandomState::new(), book: Mutex::default() }
    }

    /// How long `who` has to wait before `guess` is checked; None means not at all. Who was right with it before is not guessing, and
    /// can't be locked out by others who come from the same address.
    pub fn wait(&self, who: impl Hash, guess: impl Hash, now: Instant) -> Option<Duration> {
        let book = self.book();
        let guesser = book.guessers.get(&self.hasher.hash_one(&who))?;
        let wait = guesser.free_at.saturating_duration_since(now);
        let known = || book.right.contains_key(&self.hasher.hash_one((&who, &guess)));
        (!wait.is_zero() && !known()).then_some(wait)
    }

    /// Notes a wrong guess. The same guess again counts once: a device that was set up wrongly tries for ever what it was given.
    pub fn was_wrong(&self, who: impl Hash, guess: impl Hash, now: Instant) {
        // Half of the hash tells a handful of guesses apart; it must not be the zero that marks an empty place.
        let guess = (self.hasher.hash_one(&guess) as u32).max(1);
        self.note_wrong(self.hasher.hash_one(who), Some(guess), now);
    }

    /// Notes a wrong guess that was expensive to check: each try counts, even of the same guess.
    pub fn was_wrong_again(&self, who: impl Hash, now: Instant) {
        self.note_wrong(self.hasher.hash_one(who), None, now);
    }

    /// Notes a right guess, which is no guess from now on.
    pub fn was_right(&self, who: impl Hash, guess: impl Hash, now: Instant) {
        let key = self.hasher.hash_one((&who, &guess));
        let mut book = self.book();
        if book.right.len() >= RIGHT_MAX && !book.right.contains_key(&key) {
            keep_newer_half(&mut book.right, |at| *at);
        }
        book.right.insert(key, now);
    }

    /// Forgets all wrong guesses of `who`.
    pub fn forgive(&self, who: impl Hash) {
        let key = self.hasher.hash_one(who);
        self.book().guessers.remove(&key);
    }

    fn note_wrong(&self, key: u64, guess: Option<u32>, now: Instant) {
        let rules = self.rules;
        let mut book = self.book();
        if book.guessers.len() >= GUESSERS_MAX && !book.guessers.contains_key(&key) {
            book.guessers.retain(|_, guesser| now.saturating_duration_since(guesser.last) < rules.forgotten_after);
            if book.guessers.len() >= GUESSERS_MAX {
                keep_newer_half(&mut book.guessers, |guesser| guesser.last);
            }
        }
        let new = Guesser { wrong: 0, last: now, free_at: now, guesses: [0; REMEMBERED_GUESSES] };
        let guesser = book.guessers.entry(key).or_insert(new);
        if now.saturating_duration_since(guesser.last) >= rules.forgotten_after {
            *guesser = new;
        }
        guesser.last = now;
        if let Some(guess) = guess {
            if guesser.guesses.contains(&guess) {
                return;
            }
            guesser.guesses.rotate_right(1);
            guesser.guesses[0] = guess;
        }
        guesser.wrong = guesser.wrong.saturating_add(1);
        if guesser.wrong >= rules.free {
            let doublings = (guesser.wrong - rules.free).min(16);
            guesser.free_at = now + (rules.wait_min * 2_u32.pow(doublings)).min(rules.wait_max);
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room where every entry is too young to be forgotten.
fn keep_newer_half<V>(entries: &mut HashMap<u64, V>, last: impl Fn(&V) -> Instant) {
    let mut times: Vec<Instant> = entries.values().map(&last).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    // Many entries may be of the same moment.
    let mut left = middle;
    entries.retain(|_, entry| {
        let stays = last(entry) >= median && left > 0;
        left -= usize::from(stays);
        stays
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: GuessRules = GuessRules {
        free: 20,
        wait_min: Duration::from_secs(1),
        wait_max: Duration::from_secs(60),
        forgotten_after: Duration::from_secs(3_600),
    };

    #[test]
    fn guesses_wait_longer_and_longer_and_nobody_else_does() {
        let (limit, now) = (GuessLimit::new(RULES), Instant::now());
        for n in 0..RULES.free - 1 {
            limit.was_wrong("a", n, now);
            assert_eq!(limit.wait("a", "next", now), None);
        }
        for (n, seconds) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            limit.was_wrong("a", 1_000 + n, now);
            assert_eq!(limit.wait("a", "next", now), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(limit.wait("b", "next", now), None);
        assert_eq!(limit.wait("a", "next", now + RULES.wait_max), None);
        limit.was_wrong("a", "after an hour", now + RULES.forgotten_after);
        assert_eq!(limit.wait("a", "next", now + RULES.forgotten_after), None, "it was forgotten");
        limit.forgive("a");
        assert!(limit.book().guessers.is_empty());
    }

    #[test]
    fn the_same_again_is_no_guess_where_looking_is_cheap() {
        let (limit, now) = (GuessLimit::new(RULES), Instant::now());
        for n in 0..10_000 {
            limit.was_wrong("encoders with old keys", n % (RULES.free - 1), now);
            limit.was_wrong_again("a password", now);
        }
        assert_eq!(limit.wait("encoders with old keys", "a new one", now), None);
        assert_eq!(limit.wait("a password", "another", now), Some(RULES.wait_max));
    }

    #[test]
    fn who_was_right_before_is_not_locked_out_by_neighbours() {
        let (limit, now) = (GuessLimit::new(RULES), Instant::now());
        limit.was_right("office", "key", now);
        for n in 0..100 {
            limit.was_wrong("office", n, now);
        }
        assert_eq!(limit.wait("office", "key", now), None);
        assert!(limit.wait("office", "never seen", now).is_some());
        assert_eq!(limit.wait("elsewhere", "key", now), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (limit, now) = (GuessLimit::new(RULES), Instant::now());
        for n in 0..30_000_u32 {
            let now = now + Duration::from_millis(u64::from(n));
            limit.was_wrong(n, "x", now);
            limit.was_right(n, "x", now);
        }
        let book = limit.book();
        assert!(book.guessers.len() <= GUESSERS_MAX && book.right.len() <= RIGHT_MAX);
        assert!(size_of::<Guesser>() <= 150);
    }
}

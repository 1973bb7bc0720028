//! Runs a target over its seeds, generated inputs and mutations of both, and keeps the inputs that failed.

use std::fmt::Write;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::{fs, io};

use crate::mutate::mutate;
use crate::random::Random;
use crate::{TARGETS, Target};

/// The longest input of nothing but random bytes.
const NOISE_BYTES_MAX: usize = 4096;

/// An input that made the target panic.
#[derive(Debug)]
pub struct Failure {
    pub input: Vec<u8>,
}

/// An endless, repeatable run of one target.
#[derive(Debug)]
pub struct Run {
    target: Target,
    random: Random,
    seeds: Vec<Vec<u8>>,
    given: usize,
    previous: Vec<u8>,
}

impl Run {
    /// Makes a run. The same `seed` makes the same inputs.
    pub fn new(target: Target, seeds: Vec<Vec<u8>>, seed: u64) -> Self {
        Self { target, random: Random::new(seed), seeds, given: 0, previous: Vec::new() }
    }

    /// The next input: first each seed as it is, then changed seeds and generated ones, and some plain noise.
    pub fn next_input(&mut self) -> Vec<u8> {
        if let Some(seed) = self.seeds.get(self.given) {
            self.given += 1;
            return seed.clone();
        }
        let random = &mut self.random;
        let choice = random.below(16);
        let mut input = match self.target.generate {
            _ if choice == 0 => {
                let length = random.length(NOISE_BYTES_MAX);
                random.bytes(length)
            }
            Some(generate) if choice < 10 || self.seeds.is_empty() => generate(random),
            _ if self.seeds.is_empty() => Vec::new(),
            _ => self.seeds[random.below(self.seeds.len())].clone(),
        };
        // A third of the inputs stays valid, because a parser's depths are behind its checks.
        let changes = if random.one_in(3) { 0 } else { random.length(8) };
        for _ in 0..changes {
            mutate(&mut input, &self.previous, random);
        }
        self.previous.clone_from(&input);
        input
    }

    /// Gives `input` to the target.
    pub fn try_input(&self, input: &[u8]) -> Result<(), Failure> {
        let body = self.target.body;
        catch_unwind(|| body(input)).map_err(|_| Failure { input: input.to_vec() })
    }
}

impl Target {
    pub fn named(name: &str) -> Option<Target> {
        TARGETS.iter().copied().find(|target| target.name == name)
    }
}

/// The inputs kept in the repository for a target, in the order of their names.
pub fn seeds(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}

/// A failing input as text that can be pasted into a test.
pub fn hex(input: &[u8]) -> String {
    input.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

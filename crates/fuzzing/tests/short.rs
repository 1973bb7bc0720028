//! The short fuzzing run of every target: its seeds, then a fixed number of inputs, the same in each run.

#![expect(clippy::unwrap_used, reason = "a panic in a test is its report")]

use std::path::Path;
use std::{fs, thread};

use weir_fuzzing::{Run, TARGETS, Target, hex, seeds};

#[test]
fn no_target_panics() {
    let failed: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = TARGETS.iter().map(|target| scope.spawn(|| short_run(*target))).collect();
        running.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The first input that makes the target panic, if any does.
fn short_run(target: Target) -> Option<String> {
    let mut run = Run::new(target, seeds(target.name).unwrap(), 1);
    (0..target.short_inputs).find_map(|number| {
        let input = run.next_input();
        let failure = run.try_input(&input).err()?;
        Some(format!("{} panics on input {number}: {}", target.name, hex(&failure.input)))
    })
}

#[test]
fn every_target_has_seeds_and_a_cargo_fuzz_binary() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        assert!(!seeds(name).unwrap().is_empty(), "fuzz/seeds/{name} is empty");
        let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("fuzz_{name}(data)")), "fuzz_targets/{name}.rs runs something else");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml has no {name}");
    }
}

#[test]
fn runs_repeat() {
    for target in TARGETS {
        let inputs = |seed| -> Vec<Vec<u8>> {
            let mut run = Run::new(*target, seeds(target.name).unwrap(), seed);
            (0..200).map(|_| run.next_input()).collect()
        };
        assert!(inputs(1) == inputs(1), "{}", target.name);
        assert!(inputs(1) != inputs(2), "{}", target.name);
    }
}

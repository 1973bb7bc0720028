//! What this machine can do, found out by trying: each encoder really encodes some pictures, in a process that may crash or hang. The
//! result is kept on disk for as long as plugins and drivers stay the same.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use weir_confine::Report;

use crate::job::WorkerJob;
use crate::launcher::{Launched, Launcher};
use crate::{Encoders, Memory, Version};

/// Encoding some pictures takes milliseconds, but a driver that starts up takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// An inventory has a line for each of about a hundred plugins.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Whether something works, how long the try took and how much CPU, and why it does not work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    pub ok: bool,
    pub ms: Option<f64>,
    pub cpu_ms: Option<f64>,
    pub reason: Option<String>,
}

impl Proof {
    fn failed(reason: impl Into<String>) -> Self {
        Self { ok: false, ms: None, cpu_ms: None, reason: Some(reason.into()) }
    }
}

/// What GStreamer has here, before anything is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    pub gstreamer: Version,
    /// What need not be tried, each with the reason: elements that its graph needs are not there.
    pub missing: BTreeMap<String, String>,
    /// The plugins that graphs are made of, with their versions.
    pub plugins: BTreeMap<String, String>,
    /// The name of the CPU: another one has another speed.
    pub cpu: Option<String>,
}

/// The proofs of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Abilities {
    /// The version of GStreamer; None where there is no GStreamer, or no worker.
    pub gstreamer: Option<Version>,
    /// By encoder file, the proofs of those that are for this GStreamer.
    pub encoders: BTreeMap<String, Proof>,
    /// Whether pictures can be decoded into a card's memory.
    pub cuda_decoding: Proof,
    pub va_decoding: Proof,
    /// Whether Opus can be encoded; AAC comes with what everything else needs.
    pub opus: Proof,
    /// How fast this machine is: the same pictures on every machine, encoded by x264.
    pub speed: Proof,
}

impl Abilities {
    /// The abilities of a machine where nothing works, for this reason.
    pub fn none(reason: &str) -> Self {
        Self {
            gstreamer: None,
            encoders: BTreeMap::new(),
            cuda_decoding: Proof::failed(reason),
            va_decoding: Proof::failed(reason),
            opus: Proof::failed(reason),
            speed: Proof::failed(reason),
        }
    }

    /// Whether the same things work. The times differ with every try.
    pub fn are_those(&self, other: &Self) -> bool {
        let works = |abilities: &Self| {
            let encoders = abilities.encoders.iter().filter(|(_, proof)| proof.ok).map(|(id, _)| id.clone());
            let others = [&abilities.cuda_decoding, &abilities.va_decoding, &abilities.opus].map(|proof| proof.ok);
            (abilities.gstreamer, encoders.collect::<Vec<_>>(), others)
        };
        works(self) == works(other)
    }

    /// How many times more CPU time this machine takes than the one that costs were measured on; 1 where that is not known.
    pub fn slowdown(&self) -> f64 {
        let (least, most) = SLOWDOWN;
        let slowdown = self.speed.cpu_ms.map_or(1.0, |cpu_ms| (cpu_ms / SPEED_REFERENCE_MS).clamp(least, most));
        if SAME_SPEED.contains(&slowdown) { 1.0 } else { slowdown }
    }

    pub fn decodes_in(&self, memory: Memory) -> bool {
        match memory {
            Memory::System => true,
            Memory::Cuda => self.cuda_decoding.ok,
            Memory::Va => self.va_decoding.ok,
        }
    }
}

/// The names, as the worker knows them, of what is proven beside the encoders.
pub const DECODE_CUDA: &str = "decode-cuda";
pub const DECODE_VA: &str = "decode-va";
pub const ENCODE_OPUS: &str = "encode-opus";
pub const SPEED: &str = "speed";

/// What [`SPEED`] takes on the machine that the costs in encoder files and admission were measured on (2 cores of a Xeon).
const SPEED_REFERENCE_MS: f64 = 175.0;
/// A slowdown beyond these bounds was measured wrong: the machine slept, or a counter stood still.
const SLOWDOWN: (f64, f64) = (0.5, 8.0);
/// On one machine the try differs by so much from run to run (150 to 210 ms), and whether a ladder fits must not depend on that.
const SAME_SPEED: RangeInclusive<f64> = 0.8..=1.25;

/// Another release may try in other ways.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// What was found, and for which machine that is true.
#[derive(Serialize, Deserialize)]
struct Kept {
    release: String,
    driver: String,
    inventory: Inventory,
    abilities: Abilities,
}

/// Tries everything that is there, one after another. It is not tried again where that was done with the same plugins and the same driver
/// and everything that is there worked: then `cache` still holds. `driver` names the driver, in whatever words.
pub async fn prove_once(launcher: &Launcher, encoders: &Encoders, cache: &Path, driver: &str) -> Abilities {
    let inventory = match ask::<Inventory>(launcher, &WorkerJob::Inventory).await {
        Ok(inventory) => inventory,
        Err(error) => return Abilities::none(&error.to_string()),
    };
    // A cache that can't be read counts as missing.
    let kept = tokio::fs::read(cache).await.ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
    let is_true = |kept: &Kept| kept.release == RELEASE && kept.driver == driver && kept.inventory == inventory;
    match kept.filter(is_true) {
        Some(kept) => kept.abilities,
        None => prove_and_keep(launcher, encoders, inventory, cache, driver).await,
    }
}

/// Tries everything whatever `cache` holds, and writes the result there.
pub async fn prove_again(launcher: &Launcher, encoders: &Encoders, cache: &Path, driver: &str) -> Abilities {
    match ask::<Inventory>(launcher, &WorkerJob::Inventory).await {
        Ok(inventory) => prove_and_keep(launcher, encoders, inventory, cache, driver).await,
        Err(error) => Abilities::none(&error.to_string()),
    }
}

async fn prove_and_keep(
    launcher: &Launcher,
    encoders: &Encoders,
    inventory: Inventory,
    cache: &Path,
    driver: &str,
) -> Abilities {
    let abilities = prove_these(launcher, encoders, &inventory).await;
    // What was tried and failed may work at the next start: a card was full, or a driver hung.
    let lasts = |(id, proof): (&str, &Proof)| proof.ok || inventory.missing.contains_key(id);
    let all = abilities.encoders.iter().map(|(id, proof)| (id.as_str(), proof));
    let others = [
        (DECODE_CUDA, &abilities.cuda_decoding),
        (DECODE_VA, &abilities.va_decoding),
        (ENCODE_OPUS, &abilities.opus),
        (SPEED, &abilities.speed),
    ];
    if !all.chain(others).all(lasts) {
        return abilities;
    }
    let kept = Kept { release: RELEASE.to_owned(), driver: driver.to_owned(), inventory, abilities };
    if let Ok(text) = serde_json::to_vec_pretty(&kept) {
        // The cache is written whole or not at all; without it the next start tries again.
        let new = cache.with_extension("new");
        if tokio::fs::write(&new, text).await.is_ok() {
            let _ = tokio::fs::rename(&new, cache).await;
        }
    }
    kept.abilities
}

/// Tries everything that is there, one after another.
pub async fn prove_all(launcher: &Launcher, encoders: &Encoders) -> Abilities {
    match ask::<Inventory>(launcher, &WorkerJob::Inventory).await {
        Ok(inventory) => prove_these(launcher, encoders, &inventory).await,
        Err(error) => Abilities::none(&error.to_string()),
    }
}

async fn prove_these(launcher: &Launcher, encoders: &Encoders, inventory: &Inventory) -> Abilities {
    let version = inventory.gstreamer;
    let mut abilities = Abilities { gstreamer: Some(version), ..Abilities::none("") };
    for file in encoders.all().iter().filter(|file| file.is_for(version)) {
        abilities.encoders.insert(file.id.clone(), prove(launcher, inventory, &file.id, file.is_hardware()).await);
    }
    abilities.cuda_decoding = prove(launcher, inventory, DECODE_CUDA, true).await;
    abilities.va_decoding = prove(launcher, inventory, DECODE_VA, true).await;
    abilities.opus = prove(launcher, inventory, ENCODE_OPUS, false).await;
    abilities.speed = prove(launcher, inventory, SPEED, false).await;
    abilities
}

async fn prove(launcher: &Launcher, inventory: &Inventory, what: &str, on_card: bool) -> Proof {
    let job = WorkerJob::Proof { what: what.to_owned(), on_card };
    match inventory.missing.get(what) {
        Some(reason) => Proof::failed(reason),
        None => ask(launcher, &job).await.unwrap_or_else(|error| Proof::failed(error.to_string())),
    }
}

/// What children can't be kept from on this machine, as one of them reports from inside its confinement.
pub async fn confinement_report(launcher: &Launcher) -> io::Result<Report> {
    ask(launcher, &WorkerJob::Confinement).await
}

async fn ask<T: DeserializeOwned>(launcher: &Launcher, job: &WorkerJob) -> io::Result<T> {
    let mut command = launcher.command(job, None, None);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Launched { cage: _cage, mut child } = launcher.launch(&mut command, job, None)?;
    let output = child.stdout.take().ok_or_else(|| io::Error::other("a process without pipes"))?;
    let answer = async {
        let mut answer = Vec::new();
        output.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        io::Result::Ok((answer, child.wait().await?))
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    let (answer, status) =
        answer.map_err(|_| io::Error::other(format!("no answer within {} s", PATIENCE.as_secs())))??;
    if !status.success() {
        return Err(io::Error::other(format!("the try ended with {status}")));
    }
    serde_json::from_slice(&answer).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slower_machine_pays_more_and_the_same_one_always_the_same() {
        for (cpu_ms, expected) in [
            (None, 1.0),
            (Some(150.0), 1.0),
            (Some(210.0), 1.0),
            (Some(350.0), 2.0),
            (Some(105.0), 0.6),
            (Some(0.0), 0.5),
            (Some(1e9), 8.0),
        ] {
            let mut abilities = Abilities::none("not tried");
            abilities.speed.cpu_ms = cpu_ms;
            assert!((abilities.slowdown() - expected).abs() < 0.001, "{cpu_ms:?}: {}", abilities.slowdown());
        }
    }

    #[test]
    fn what_works_is_what_is_compared() {
        let with = |ok, ms| {
            let mut abilities = Abilities::none("not tried");
            abilities.encoders.insert("x264".to_owned(), Proof { ok, ms, ..Proof::default() });
            abilities
        };
        assert!(with(true, Some(3.0)).are_those(&with(true, Some(4.0))));
        assert!(!with(true, Some(3.0)).are_those(&with(false, None)));
        assert!(
            !Abilities { opus: Proof { ok: true, ..Proof::default() }, ..with(true, None) }
                .are_those(&with(true, None))
        );
    }
}

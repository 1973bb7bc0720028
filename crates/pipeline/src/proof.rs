//! What this machine can do, by trying: each encoder really encodes some pictures, in a process that may crash or hang.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{Encoders, Memory, Version, WorkerBinary};

/// Some pictures take milliseconds; a driver that starts up, seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether something works, how long a try took, and why it does not work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    pub ok: bool,
    pub ms: Option<f64>,
    pub reason: Option<String>,
}

impl Proof {
    fn failed(reason: impl Into<String>) -> Self {
        Self { ok: false, ms: None, reason: Some(reason.into()) }
    }
}

/// What GStreamer has here, before anything is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    pub gstreamer: Version,
    /// What need not be tried, and why not: elements that its graph needs are not there.
    pub missing: BTreeMap<String, String>,
}

/// The proofs of one machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Abilities {
    /// None: there is no GStreamer, or no worker.
    pub gstreamer: Option<Version>,
    /// By encoder file: those that are for this GStreamer.
    pub encoders: BTreeMap<String, Proof>,
    /// Where pictures can be decoded besides system memory.
    pub cuda_decoding: Proof,
    pub va_decoding: Proof,
}

impl Abilities {
    /// Of a machine where nothing works, for this reason.
    pub fn none(reason: &str) -> Self {
        Self {
            gstreamer: None,
            encoders: BTreeMap::new(),
            cuda_decoding: Proof::failed(reason),
            va_decoding: Proof::failed(reason),
        }
    }

    pub fn decodes_in(&self, memory: Memory) -> bool {
        match memory {
            Memory::System => true,
            Memory::Cuda => self.cuda_decoding.ok,
            Memory::Va => self.va_decoding.ok,
        }
    }
}

/// What is proven beside the encoders, by the names that the worker knows.
pub const DECODE_CUDA: &str = "decode-cuda";
pub const DECODE_VA: &str = "decode-va";

/// Tries everything that is there, one after another.
pub async fn prove_all(binary: &WorkerBinary, encoders: &Encoders) -> Abilities {
    let inventory: Inventory = match ask(binary, &["inventory"]).await {
        Ok(inventory) => inventory,
        Err(error) => return Abilities::none(&error.to_string()),
    };
    let version = inventory.gstreamer;
    let mut abilities = Abilities { gstreamer: Some(version), ..Abilities::none("") };
    for file in encoders.all().iter().filter(|file| file.is_for(version)) {
        abilities.encoders.insert(file.id.clone(), prove(binary, &inventory, &file.id).await);
    }
    abilities.cuda_decoding = prove(binary, &inventory, DECODE_CUDA).await;
    abilities.va_decoding = prove(binary, &inventory, DECODE_VA).await;
    abilities
}

async fn prove(binary: &WorkerBinary, inventory: &Inventory, what: &str) -> Proof {
    match inventory.missing.get(what) {
        Some(reason) => Proof::failed(reason),
        None => ask(binary, &["prove", what]).await.unwrap_or_else(|error| Proof::failed(error.to_string())),
    }
}

async fn ask<T: DeserializeOwned>(binary: &WorkerBinary, arguments: &[&str]) -> io::Result<T> {
    let mut command = Command::new(binary.path());
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| io::Error::other(format!("no answer within {} s", PATIENCE.as_secs())))??;
    if !output.status.success() {
        return Err(io::Error::other(format!("the try ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

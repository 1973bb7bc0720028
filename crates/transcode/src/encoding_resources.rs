//! What the transcoders of all streams share: the known encoders, what this machine can do, and how much of it is taken.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use weir_gpu::Inventory;
use weir_model::{StreamId, VideoCodec};
use weir_pipeline::{
    Abilities, Cages, ConfinementReport, EncoderFile, Encoders, EncodersFault, Launcher, Proof, Worker, WorkerBinary,
    WorkerLimits, WorkerMissing, confinement_report, prove_again, prove_all, prove_once,
};

use crate::admission::Ledger;
use crate::lacks;

/// The driver's figures are means over some hundred milliseconds: asking more often costs something and tells nothing new.
const DEVICES_FOR: Duration = Duration::from_secs(1);

/// How often a card that was full is looked at.
const ROOM_FOR: Duration = Duration::from_secs(10);

/// One encoder of this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderReport {
    pub family: String,
    pub codec: VideoCodec,
    pub element: String,
    /// The encoder's name as people know it.
    pub title: String,
    pub proof: Proof,
}

/// How much this machine can encode in software, and how much of that is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    pub cores: f64,
    pub cores_free: f64,
    /// How fast one core is beside a core of the machine that the costs were measured on; None where it was not measured.
    pub speed: Option<f64>,
}

/// What the operator has configured for all workers.
#[derive(Clone, Debug, Default)]
pub struct EncodingOptions {
    /// The file that keeps the proofs over a restart; without one they are made anew.
    pub cache: Option<PathBuf>,
    /// The cores that may be planned for encoding in software; None means all.
    pub cores: Option<f64>,
    /// The most memory that a worker may take; None means a multiple of what its plan was measured to need.
    pub worker_memory_bytes: Option<u64>,
    /// The most CPU that a worker may take; None means all cores.
    pub worker_cpu_cores: Option<f64>,
}

/// All clones share the same encoders, proofs and ledger.
#[derive(Clone, Debug)]
pub struct EncodingResources {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    encoders: Encoders,
    launcher: Result<Launcher, WorkerMissing>,
    /// The result of the proofs; None until they have been made.
    abilities: Mutex<Option<Arc<Abilities>>>,
    /// Held while the encoders are proven, so that it happens once.
    proving: tokio::sync::Mutex<()>,
    ledger: Ledger,
    options: EncodingOptions,
    /// The devices as they were last seen, and when that was.
    devices: Mutex<Option<(Instant, Arc<Inventory>)>>,
}

impl EncodingResources {
    /// Opens the encoders with the worker that lies beside the server, or that the environment names, and starts workers without cages.
    pub fn open() -> Result<Self, EncodersFault> {
        Self::with(EncodingOptions::default(), Cages::none("nothing is run"))
    }

    /// Does the same for a server, which holds its workers in cages.
    pub fn with(options: EncodingOptions, cages: Cages) -> Result<Self, EncodersFault> {
        let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        let shared = Shared {
            encoders: Encoders::load()?,
            launcher: WorkerBinary::find().map(|binary| Launcher::new(binary, cages)),
            abilities: Mutex::default(),
            proving: tokio::sync::Mutex::default(),
            ledger: Ledger::new(options.cores.unwrap_or_else(all)),
            options,
            devices: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What this machine can do. The encoders are proven once: the first caller waits some seconds, and others wait with it.
    pub async fn abilities(&self) -> Arc<Abilities> {
        match self.known_abilities() {
            Some(known) => known,
            None => self.prove(false).await,
        }
    }

    /// Proves the encoders again, as when a driver was mended or a card has room. Streams that run follow what has changed.
    pub async fn prove_again(&self) {
        self.prove(true).await;
    }

    /// The result of the proofs, if they have been made.
    pub(crate) fn known_abilities(&self) -> Option<Arc<Abilities>> {
        self.shared.abilities.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn prove(&self, again: bool) -> Arc<Abilities> {
        let _alone = self.shared.proving.lock().await;
        if let Some(known) = self.known_abilities().filter(|_| !again) {
            return known;
        }
        let mut proven = self.abilities_by_trying(again).await;
        lacks::explain(&mut proven, &self.shared.encoders, &*self.devices().await, lacks::has_render_node());
        let proven = Arc::new(proven);
        *self.shared.abilities.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&proven));
        proven
    }

    async fn abilities_by_trying(&self, again: bool) -> Abilities {
        let (launcher, encoders) = match &self.shared.launcher {
            Ok(launcher) => (launcher, &self.shared.encoders),
            Err(missing) => return Abilities::none(&missing.to_string()),
        };
        let Some(cache) = &self.shared.options.cache else { return prove_all(launcher, encoders).await };
        let devices = self.devices().await;
        let names: Vec<_> = devices.devices.iter().map(|device| (&device.uuid, device.mig)).collect();
        let driver = format!("{:?} {names:?}", devices.driver);
        match again {
            true => prove_again(launcher, encoders, cache, &driver).await,
            false => prove_once(launcher, encoders, cache, &driver).await,
        }
    }

    /// Each encoder that this GStreamer may have, and whether it works, as `weir doctor` and `GET /system` show it.
    pub async fn encoder_reports(&self) -> Vec<EncoderReport> {
        let abilities = self.abilities().await;
        let report = |file: &EncoderFile| {
            let unknown = || abilities.cuda_decoding.clone();
            // Without a worker nothing is known of any encoder, and all have the same reason.
            let proof = match abilities.gstreamer {
                None => unknown(),
                Some(_) => abilities.encoders.get(&file.id)?.clone(),
            };
            Some(EncoderReport {
                family: file.family.clone(),
                codec: file.codec,
                element: file.element.clone(),
                title: file.title.clone(),
                proof,
            })
        };
        self.shared.encoders.all().iter().filter_map(report).collect()
    }

    /// Whether `abilities` answers at once.
    pub fn is_proven(&self) -> bool {
        self.known_abilities().is_some()
    }

    /// The machine's cores, with their speed where that was measured.
    pub fn capacity(&self) -> Capacity {
        let known = self.known_abilities();
        let speed = known.filter(|abilities| abilities.speed.ok).map(|abilities| abilities.slowdown().recip());
        Capacity { cores: self.ledger().cores(), cores_free: self.ledger().free(), speed }
    }

    /// The NVIDIA devices as they were within the last second.
    pub async fn devices(&self) -> Arc<Inventory> {
        if let Some((_, devices)) = self.devices_seen().filter(|(at, _)| at.elapsed() < DEVICES_FOR) {
            return devices;
        }
        // A driver that hangs holds up only those who ask for its devices.
        let seen = Arc::new(tokio::task::spawn_blocking(weir_gpu::inventory).await.unwrap_or_default());
        let entry = Some((Instant::now(), Arc::clone(&seen)));
        *self.shared.devices.lock().unwrap_or_else(PoisonError::into_inner) = entry;
        seen
    }

    pub(crate) fn devices_seen(&self) -> Option<(Instant, Arc<Inventory>)> {
        self.shared.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a card has room, as far as is known. Old figures are asked for anew, but not waited for.
    pub(crate) fn has_room(&self) -> bool {
        let kept = self.devices_seen();
        if kept.as_ref().is_none_or(|(at, _)| at.elapsed() > ROOM_FOR) {
            let encoding = self.clone();
            tokio::spawn(async move { encoding.devices().await });
        }
        kept.is_some_and(|(_, seen)| weir_gpu::least_loaded(&seen.devices).is_some())
    }

    pub fn encoders(&self) -> &Encoders {
        &self.shared.encoders
    }

    /// Starts the process of `webrtcbin`, which is shut in as workers are, but for the network. It must be called within a runtime.
    pub fn start_webrtc(&self) -> Result<(Worker, UnixStream), String> {
        let launcher = self.launcher().map_err(ToString::to_string)?;
        weir_pipeline::start_webrtc(launcher).map_err(|error| format!("it can't be started: {error}"))
    }

    pub(crate) fn launcher(&self) -> Result<&Launcher, &WorkerMissing> {
        self.shared.launcher.as_ref()
    }

    /// What workers are kept from on this machine, and what they can't be kept from, in words.
    pub async fn confinement(&self) -> Result<ConfinementReport, String> {
        let launcher = self.launcher().map_err(ToString::to_string)?;
        confinement_report(launcher).await.map_err(|error| format!("no worker could report how it is shut in: {error}"))
    }

    /// The limits of a worker whose plan needs at most so much memory.
    pub(crate) fn limits(&self, plan_memory_bytes: u64) -> WorkerLimits {
        let options = &self.shared.options;
        WorkerLimits {
            memory_bytes: options.worker_memory_bytes.unwrap_or(plan_memory_bytes),
            cpu_cores: options.worker_cpu_cores,
        }
    }

    /// The cores that a stream may plan with.
    pub(crate) fn cores_free_for(&self, stream: StreamId) -> f64 {
        let free = self.ledger().free_for(stream);
        self.shared.options.worker_cpu_cores.map_or(free, |most| free.min(most))
    }

    pub(crate) fn ledger_entry(&self, id: StreamId) -> LedgerEntry {
        LedgerEntry { id, encoding: self.clone() }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }
}

/// A stream's entry in the ledger. When it is dropped, it gives its cores back, however the stream's task ends.
pub(crate) struct LedgerEntry {
    id: StreamId,
    encoding: EncodingResources,
}

impl LedgerEntry {
    pub(crate) fn take(&self, cores: f64) {
        self.encoding.ledger().take(self.id, cores);
    }
}

impl Drop for LedgerEntry {
    fn drop(&mut self) {
        self.take(0.0);
    }
}

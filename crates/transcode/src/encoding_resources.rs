//! What all streams' transcoders share: the encoders known, what the machine can do, and how much of it is taken.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_gpu::Inventory;
use weir_model::{StreamId, VideoCodec};
use weir_pipeline::{
    Abilities, Cages, ConfinementReport, EncoderFile, Encoders, EncodersFault, Launcher, Proof, WorkerBinary,
    WorkerLimits, WorkerMissing, confinement_report, prove_again, prove_all, prove_once,
};

use crate::admission::Ledger;
use crate::lacks;

/// The driver's figures are means over some hundred milliseconds; asked more often they cost and say the same.
const DEVICES_FOR: Duration = Duration::from_secs(1);

/// A card that was full is looked at so often.
const ROOM_FOR: Duration = Duration::from_secs(10);

/// One encoder of this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderReport {
    pub family: String,
    pub codec: VideoCodec,
    pub element: String,
    /// What people call it.
    pub title: String,
    pub proof: Proof,
}

/// How much this machine can encode in software, and how much of that is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    pub cores: f64,
    pub cores_free: f64,
    /// How fast one core is beside those of the machine that costs were measured on; None where it was not measured.
    pub speed: Option<f64>,
}

/// What the operator says of all workers.
#[derive(Clone, Debug, Default)]
pub struct EncodingOptions {
    /// Where proofs are kept over a restart; None: they are made anew.
    pub cache: Option<PathBuf>,
    /// What may be planned for all encoding in software; None: all cores.
    pub cores: Option<f64>,
    /// The most that a worker may take; None: far more than its plan was measured to need.
    pub worker_memory_bytes: Option<u64>,
    /// None: all that there are.
    pub worker_cpu_cores: Option<f64>,
}

/// Clones share it.
#[derive(Clone, Debug)]
pub struct EncodingResources {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    encoders: Encoders,
    launcher: Result<Launcher, WorkerMissing>,
    /// What is known; None: nothing was tried yet.
    abilities: Mutex<Option<Arc<Abilities>>>,
    /// Held while it is tried.
    proving: tokio::sync::Mutex<()>,
    ledger: Ledger,
    options: EncodingOptions,
    /// The devices as they were last seen, and when.
    devices: Mutex<Option<(Instant, Arc<Inventory>)>>,
}

impl EncodingResources {
    /// With the worker that lies beside the server, or that the environment names.
    pub fn open() -> Result<Self, EncodersFault> {
        Self::with(EncodingOptions::default(), Cages::none("nothing is run"))
    }

    /// The same for a server, which holds its workers.
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

    /// What this machine can do, tried once: whoever asks first waits some seconds, the others with it.
    pub async fn abilities(&self) -> Arc<Abilities> {
        match self.known_abilities() {
            Some(known) => known,
            None => self.prove(false).await,
        }
    }

    /// The same tried again: a driver was mended, a card has room. Streams that run follow what has changed.
    pub async fn prove_again(&self) {
        self.prove(true).await;
    }

    /// As far as anything was tried.
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

    /// Each encoder that this GStreamer may have, and whether it works: what `weir doctor` and `GET /system` show.
    pub async fn encoder_reports(&self) -> Vec<EncoderReport> {
        let abilities = self.abilities().await;
        let report = |file: &EncoderFile| {
            let unknown = || abilities.cuda_decoding.clone();
            // Without a worker nothing is known of any, and all have the same reason.
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

    /// Its speed where that was tried.
    pub fn capacity(&self) -> Capacity {
        let known = self.known_abilities();
        let speed = known.filter(|abilities| abilities.speed.ok).map(|abilities| abilities.slowdown().recip());
        Capacity { cores: self.ledger().cores(), cores_free: self.ledger().free(), speed }
    }

    /// The NVIDIA devices, as they were within the last second.
    pub async fn devices(&self) -> Arc<Inventory> {
        if let Some((_, devices)) = self.devices_seen().filter(|(at, _)| at.elapsed() < DEVICES_FOR) {
            return devices;
        }
        // A driver that hangs holds up whoever asked, and nothing else.
        let seen = Arc::new(tokio::task::spawn_blocking(weir_gpu::inventory).await.unwrap_or_default());
        let entry = Some((Instant::now(), Arc::clone(&seen)));
        *self.shared.devices.lock().unwrap_or_else(PoisonError::into_inner) = entry;
        seen
    }

    pub(crate) fn devices_seen(&self) -> Option<(Instant, Arc<Inventory>)> {
        self.shared.devices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a card has room, as far as is known: figures that are old are asked for anew, and this does not wait for them.
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

    pub(crate) fn launcher(&self) -> Result<&Launcher, &WorkerMissing> {
        self.shared.launcher.as_ref()
    }

    /// The words say what workers are kept from on this machine, and what they can't be kept from.
    pub async fn confinement(&self) -> Result<ConfinementReport, String> {
        let launcher = self.launcher().map_err(ToString::to_string)?;
        confinement_report(launcher).await.map_err(|error| format!("no worker says how it is shut in: {error}"))
    }

    /// What a worker may take whose plan needs so much at most.
    pub(crate) fn limits(&self, plan_memory_bytes: u64) -> WorkerLimits {
        let options = &self.shared.options;
        WorkerLimits {
            memory_bytes: options.worker_memory_bytes.unwrap_or(plan_memory_bytes),
            cpu_cores: options.worker_cpu_cores,
        }
    }

    /// Cores that a stream may plan with.
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

/// What a stream has of the ledger. Dropped, it gives that back, however the stream's task ends.
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

//! What all streams' transcoders share: the encoders known, what the machine can do, and how much of it is taken.

use std::sync::Arc;

use tokio::sync::OnceCell;
use weir_model::VideoCodec;
use weir_pipeline::{Abilities, EncoderFile, Encoders, EncodersFault, Proof, WorkerBinary, WorkerMissing, prove_all};

use crate::admission::Ledger;

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

/// Clones share it.
#[derive(Clone, Debug)]
pub struct Workshop {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    encoders: Encoders,
    binary: Result<WorkerBinary, WorkerMissing>,
    abilities: OnceCell<Abilities>,
    ledger: Ledger,
}

impl Workshop {
    /// With the worker that lies beside the server, or that the environment names.
    pub fn open() -> Result<Self, EncodersFault> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shared = Shared {
            encoders: Encoders::load()?,
            binary: WorkerBinary::find(),
            abilities: OnceCell::new(),
            ledger: Ledger::new(cores as f64),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What this machine can do, tried once: whoever asks first waits some seconds, the others with it.
    pub async fn abilities(&self) -> &Abilities {
        let prove = || async {
            match &self.shared.binary {
                Ok(binary) => prove_all(binary, &self.shared.encoders).await,
                Err(missing) => Abilities::none(&missing.to_string()),
            }
        };
        self.shared.abilities.get_or_init(prove).await
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

    pub fn encoders(&self) -> &Encoders {
        &self.shared.encoders
    }

    pub(crate) fn binary(&self) -> Result<&WorkerBinary, &WorkerMissing> {
        self.shared.binary.as_ref()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }
}

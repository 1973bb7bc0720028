//! What a worker should run, as plain data, and how it is started and talked to. There is no GStreamer here.
//!
//! A stream that is transcoded has one worker process. Its plan, the source's frames and the renditions' frames go over a Unix socket
//! pair in a small versioned protocol (`message`, `decoder`); the worker gets its end as standard input.

mod binary;
mod cage;
mod confinement;
mod decoder;
mod encoders;
mod environment;
mod job;
mod launcher;
mod logo;
mod message;
mod plan;
mod proof;
mod thumbnail;
mod usage;
mod worker;

pub use binary::{WORKER_NAME, WORKER_VARIABLE, WorkerBinary, WorkerMissing};
pub use cage::{Cages, WorkerLimits};
pub use confinement::confine;
pub use decoder::{Decoder, ProtocolFault};
pub use encoders::{Buffer, BufferUnit, EncoderFile, Encoders, EncodersFault, Keyframes, Memory, Value, Version};
pub use job::WorkerJob;
pub use launcher::Launcher;
pub use logo::{Logo, LogoFault, LogoPixels};
pub use message::{
    CONFIG_BYTES_MAX, FRAME_BYTES_MAX, Hello, JSON_BYTES_MAX, Message, OutputProgress, PROTOCOL_VERSION, TrackConfig,
    WorkerFault, WorkerFrame, WorkerProgress, encode,
};
pub use plan::{AudioOutput, Fps, OutputId, VideoOutput, WorkerPlan};
pub use proof::{
    Abilities, DECODE_CUDA, DECODE_VA, ENCODE_OPUS, Inventory, Proof, SPEED, confinement_report, prove_again,
    prove_all, prove_once,
};
pub use thumbnail::{THUMBNAIL_WIDTH, thumbnail};
pub use usage::{CpuShare, Usage};
pub use weir_confine::Report as ConfinementReport;
pub use worker::{SocketFault, Start, Worker, WorkerReader, WorkerWriter, start, start_webrtc};

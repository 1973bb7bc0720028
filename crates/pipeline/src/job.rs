//! What a child of the server is for. Its arguments say so, and its process name shows it.

use std::ffi::CStr;
use std::time::Duration;

use crate::WorkerLimits;

/// The limits of all jobs but a stream's: they work on one picture, or a few small ones.
const SHORT_LIMITS: WorkerLimits = WorkerLimits { memory_bytes: 1 << 30, cpu_cores: None };

/// 200 viewers by `webrtcbin` take 2 MiB each, and the newest pictures 64 MiB.
const WEBRTC_LIMITS: WorkerLimits = WorkerLimits { memory_bytes: 1 << 30, cpu_cores: None };

const WEBRTC_FILES: u64 = 8_192;

/// The slowest try of an encoder takes some seconds of a core, and nobody waits for longer than ten seconds.
const SHORT_CPU: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerJob {
    /// Makes one stream's renditions, for as long as the server holds its socket.
    Stream,
    /// Serves viewers by WebRTC with GStreamer's `webrtcbin`, for as long as the server holds its socket.
    Webrtc,
    /// Makes one picture.
    Thumbnail,
    /// Lists what GStreamer has here. It looks for plugins anew, and keeps what it found for the other children.
    Inventory,
    /// Tries whether an encoder or a decoder works.
    Proof { what: String, on_card: bool },
    /// Reports what a child can't be kept from on this machine.
    Confinement,
}

/// The words for the jobs in arguments.
const WEBRTC: &str = "webrtc";
const THUMBNAIL: &str = "thumbnail";
const INVENTORY: &str = "inventory";
const PROVE: &str = "prove";
const PROVE_ON_CARD: &str = "prove-on-card";
const CONFINEMENT: &str = "confinement";

impl WorkerJob {
    pub(crate) fn arguments(&self) -> Vec<&str> {
        match self {
            Self::Stream => Vec::new(),
            Self::Webrtc => vec![WEBRTC],
            Self::Thumbnail => vec![THUMBNAIL],
            Self::Inventory => vec![INVENTORY],
            Self::Proof { what, on_card: false } => vec![PROVE, what],
            Self::Proof { what, on_card: true } => vec![PROVE_ON_CARD, what],
            Self::Confinement => vec![CONFINEMENT],
        }
    }

    /// The job that the arguments ask for, without the program's name; None for arguments that the server never gives.
    pub fn of_arguments(arguments: &[String]) -> Option<Self> {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Some(match arguments.as_slice() {
            [] => Self::Stream,
            [WEBRTC] => Self::Webrtc,
            [THUMBNAIL] => Self::Thumbnail,
            [INVENTORY] => Self::Inventory,
            [PROVE, what] => Self::Proof { what: (*what).to_owned(), on_card: false },
            [PROVE_ON_CARD, what] => Self::Proof { what: (*what).to_owned(), on_card: true },
            [CONFINEMENT] => Self::Confinement,
            _ => return None,
        })
    }

    /// The name of the process. Workers of streams are counted by theirs; Linux keeps 15 characters.
    pub fn process_name(&self) -> &'static CStr {
        match self {
            Self::Stream => c"weir-worker",
            Self::Webrtc => c"weir-webrtc",
            Self::Thumbnail => c"weir-thumbnail",
            Self::Inventory | Self::Proof { .. } | Self::Confinement => c"weir-proof",
        }
    }

    /// What the job may take, where no plan says so.
    pub(crate) fn limits(&self) -> Option<WorkerLimits> {
        match self {
            Self::Stream => None,
            Self::Webrtc => Some(WEBRTC_LIMITS),
            _ => Some(SHORT_LIMITS),
        }
    }

    pub(crate) fn cpu_max(&self) -> Option<Duration> {
        (!matches!(self, Self::Stream | Self::Webrtc)).then_some(SHORT_CPU)
    }

    /// How many files it may have open, where the usual number will not do: a viewer by `webrtcbin` has ten.
    pub(crate) fn open_files_max(&self) -> Option<u64> {
        (*self == Self::Webrtc).then_some(WEBRTC_FILES)
    }

    /// Whether it talks to others than the server.
    pub(crate) fn has_network(&self) -> bool {
        *self == Self::Webrtc
    }

    /// Whether what the process reserves says nothing of what it takes: a card's driver reserves as much memory as the card has, and each
    /// of a viewer's ten threads 8 MiB of stack.
    pub(crate) fn reserves_more_than_it_takes(&self) -> bool {
        matches!(self, Self::Webrtc | Self::Inventory | Self::Proof { on_card: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_they_are_written() {
        let proof = |on_card| WorkerJob::Proof { what: "x264".to_owned(), on_card };
        for job in [
            WorkerJob::Stream,
            WorkerJob::Webrtc,
            WorkerJob::Thumbnail,
            WorkerJob::Inventory,
            proof(false),
            proof(true),
            WorkerJob::Confinement,
        ] {
            let arguments: Vec<String> = job.arguments().into_iter().map(str::to_owned).collect();
            assert_eq!(WorkerJob::of_arguments(&arguments), Some(job.clone()));
            assert!(job.process_name().to_bytes().len() <= 15, "{job:?}");
        }
        for unknown in [&["--help"][..], &["prove"], &["thumbnail", "x"]] {
            let arguments: Vec<String> = unknown.iter().map(|argument| (*argument).to_owned()).collect();
            assert_eq!(WorkerJob::of_arguments(&arguments), None);
        }
    }
}

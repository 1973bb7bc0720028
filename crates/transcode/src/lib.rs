//! The transcoder: a subscriber of the source that publishes renditions back into the hub.
//!
//! A pure function ([`plan`]) decides what is to run; one worker process per stream runs it, watched and started again when it fails
//! (`worker_run`). The hub, and whoever reads renditions from it, does not know that there is a transcoder.

mod admission;
mod choice;
mod encoding_resources;
mod estimate;
mod families;
mod forced_keyframes;
mod held;
mod lacks;
mod lag;
mod linger;
mod plan;
mod rendition_publisher;
mod restart_delay;
mod sound;
mod sound_track;
mod stage;
mod telling;
mod thumbnail;
mod wants;
mod watchdog;
mod worker_run;

pub use encoding_resources::{Capacity, EncoderReport, EncodingOptions, EncodingResources};
pub use estimate::Estimate;
pub use plan::{MachineView, Refused, RenditionPlan, SoundPlan, SourceShape, SourceSound, Terms, TranscodePlan, plan};
pub use stage::{TranscodeHandle, start};
pub use thumbnail::Thumbnail;
pub use wants::{LogoWish, Wants, shared_label, shared_name};
pub use weir_pipeline::{Cages, ConfinementReport};

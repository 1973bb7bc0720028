//! The transcoder: a subscriber of the source that publishes renditions back into the hub.
//!
//! What is to run is decided by a pure function ([`plan`]); one worker process per stream runs it (`session`), watched and
//! started again when it fails. The hub, and whoever reads renditions from it, does not know that there is a transcoder.

mod admission;
mod backoff;
mod choice;
mod estimate;
mod families;
mod held;
mod lacks;
mod lag;
mod linger;
mod outlet;
mod plan;
mod session;
mod sound;
mod sound_track;
mod stage;
mod telling;
mod thumbnail;
mod wants;
mod watchdog;
mod workshop;

pub use estimate::Estimate;
pub use plan::{Machine, Refused, RenditionPlan, SoundPlan, SourceShape, SourceSound, Terms, TranscodePlan, plan};
pub use stage::{TranscodeHandle, start};
pub use thumbnail::Thumbnail;
pub use wants::{LogoWish, Wants, shared_label, shared_name};
pub use weir_pipeline::{Cages, ConfinementReport};
pub use workshop::{Capacity, EncoderReport, Workshop, WorkshopOptions};

//! Makes what runs match what is stored: one task tree per stream, one reconciler, one place for every change.

mod admission;
mod bitrate_watch;
mod catalogue;
mod clocks;
pub mod commands;
mod demand;
mod lanes;
mod parts;
mod pass;
mod play_token;
mod playback;
mod preview_pass;
mod renditions;
mod running;
mod runtime;
mod shelves;
mod stream_run;
mod stream_status;
mod supervisor;

pub use admission::{
    Admission, AdmissionRefusal, AdmittedPlayer, AdmittedPublisher, Leave, Offered, OfferedRendition, PlayWish,
};
pub use catalogue::{Catalogue, Judgement, PlayGrant, PublishGrant};
pub use commands::{CommandError, Commands, Credential, Who, checked_language};
pub use demand::Demand;
pub use lanes::Lanes;
pub use pass::{Pass, PassEnd};
pub use play_token::{PlayToken, TOKEN_LIFE_MAX};
pub use playback::{Playback, Watchable};
pub use preview_pass::PreviewPass;
pub use running::Kit;
pub use runtime::Runtime;
pub use shelves::Shelves;
pub use supervisor::{DRAIN_MAX, Supervisor};

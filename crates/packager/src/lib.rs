//! One segment store per stream that HLS, low-latency HLS and DASH are served from: a subscriber of the hub.
//!
//! Frames become parts as they come, parts become segments, and both are immutable bytes under a name that never means
//! anything else. A segment begins with a keyframe: with each slot of the stream's clock in what we encode, and at the source's own
//! keyframes in what is kept; sound begins its segments where the picture does. Times and numbers go on over restarts of whatever makes
//! them: a discontinuity is written only where the decoder's configuration changes or where time is missing.

mod addresses;
mod answer;
mod awaited;
mod boundaries;
mod clock;
mod config;
mod dash;
mod disk;
mod dvr;
mod eras;
mod following;
mod growing;
mod held;
mod hls;
mod keyframes;
mod listing;
mod measure;
mod mirror;
mod packager;
mod part;
mod part_times;
mod record;
mod reload;
mod rendition_writer;
mod request;
mod schedule;
mod segment;
mod silence;
mod slots;
mod sound_groups;
mod sound_writer;
mod sounds;
mod store;
mod target;
mod texts;
mod track;
mod track_name;
mod track_writer;
mod ts;
mod ts_press;
mod wall_time;

pub use answer::{Answer, Cache};
pub use config::{Cuts, PackagerConfig};
pub use disk::{Disk, RealDisk, SpaceLimits};
pub use dvr::{DvrLimits, DvrShelf};
pub use growing::{Growing, Unfinished};
pub use packager::Packager;
pub use record::{Recording, RecordingLimits, Recordings, RemoveFault, record};
pub use request::{is_token, is_well_formed};

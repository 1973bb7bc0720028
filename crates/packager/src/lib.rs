//! Packages a stream as a subscriber of the hub. Each stream has one segment store, from which HLS, low-latency HLS and DASH are served.
//!
//! Frames become parts as they come, and parts become segments. Both are immutable bytes under a name that never means anything else. A
//! segment begins with a keyframe. What we encode has one with each slot of the stream's clock, and what is kept as it is has them where
//! the source puts them. Sound begins its segments where the picture does. Times and numbers go on over restarts of whatever makes them: a
//! discontinuity is written only where the decoder's configuration changes or where time is missing.
//!
//! The crate has rooms, and each imports only those above it (`tests/packaged/rooms.rs` has the table):
//!
//! | room | what is in it |
//! |---|---|
//! | `store` | tracks, segments and parts in memory, what playlists show of them, and what is still to go to disk |
//! | `cut` | cuts frames into parts and segments |
//! | `shelf` | the part of the window that lies on disk |
//! | `hls` `dash` `ts` | each writes the store in the words of one protocol |
//! | `texts` | playlists and manifests, of which each version is written once for all who ask |
//! | `record` | recordings, which share only clocks and disks with all that |
//! | `packager` | the handle, which answers requests and has renditions followed |

mod addresses;
mod answer;
mod config;
mod cut;
mod dash;
mod growing;
mod hls;
mod packager;
mod record;
mod request;
mod shelf;
mod store;
mod texts;
mod ts;
mod wall_time;

pub use answer::{Answer, Cache};
pub use config::{Cuts, PackagerConfig};
pub use growing::{Growing, Unfinished};
pub use packager::Packager;
pub use record::{Recording, RecordingLimits, Recordings, RemoveFault, record};
pub use request::{is_token, is_well_formed};
pub use shelf::{Disk, DvrLimits, DvrShelf, RealDisk, SpaceLimits};

//! Where packaging goes on with what an earlier run of the server packaged.

use std::collections::BTreeMap;

use weir_media::MediaTime;

use super::track_name::TrackName;

/// Where each track of a rendition goes on.
pub(crate) type Resume = BTreeMap<TrackName, TrackResume>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct TrackResume {
    /// The number of the track's next init segment.
    pub(crate) init: u32,
    /// The number of the track's next segment.
    pub(crate) number: u64,
    pub(crate) end: MediaTime,
}

/// Where an earlier run of the server ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) resumes: BTreeMap<String, Resume>,
    /// The number that follows the last segment's.
    pub(crate) next_number: u64,
    pub(crate) breaks: u64,
}

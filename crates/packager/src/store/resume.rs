//! Where what an earlier run of the server packaged goes on.

use std::collections::BTreeMap;

use weir_media::MediaTime;

use super::track_name::TrackName;

/// Where a rendition's tracks go on.
pub(crate) type Resume = BTreeMap<TrackName, TrackResume>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct TrackResume {
    /// The number of its next init segment.
    pub(crate) init: u32,
    /// The number of its next segment.
    pub(crate) number: u64,
    pub(crate) end: MediaTime,
}

/// Where an earlier run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) resumes: BTreeMap<String, Resume>,
    /// The number after the last segment's.
    pub(crate) next_number: u64,
    pub(crate) breaks: u64,
}

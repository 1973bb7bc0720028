//! Blocking requests for playlists: this says which are allowed, and when the playlist has what they wait for.

use std::time::Duration;

use crate::store::segment::Segment;
use crate::store::track::Track;

/// A request may ask for two segments beyond the newest one, and no further (RFC 8216bis, 6.2.5.2).
const SEGMENTS_AHEAD_MAX: u64 = 2;

/// Whether a blocking request asks for something that can come soon.
pub(crate) fn check_until(
    track: &Track,
    newest: (u64, Option<usize>),
    (number, part): (u64, Option<usize>),
    part_target: Duration,
) -> Result<(), &'static str> {
    if number > newest.0 + SEGMENTS_AHEAD_MAX {
        return Err("_HLS_msn is too far ahead");
    }
    // This is the specification's advance part limit: as many parts as make three seconds, rounded up, and at least three.
    let parts_ahead = ((3.0 / part_target.as_secs_f64()).ceil() as usize).max(3);
    let open_parts = newest.1.filter(|_| number == newest.0).unwrap_or(0);
    if number >= newest.0 && part.is_some_and(|part| part > open_parts + parts_ahead) && !is_complete(track, number) {
        return Err("_HLS_part is too far ahead");
    }
    Ok(())
}

fn is_complete(track: &Track, number: u64) -> bool {
    track.segment(number).is_some_and(Segment::is_complete)
}

/// Whether the playlist has that segment, or that part of it. A part beyond a segment's last one is the first of the next segment.
pub(crate) fn is_reached(track: &Track, newest: (u64, Option<usize>), (number, part): (u64, Option<usize>)) -> bool {
    match (part, newest.1) {
        _ if number < newest.0 => true,
        (Some(part), Some(newest_part)) => number == newest.0 && part <= newest_part,
        // A whole segment has all of its parts, listed or not.
        _ => is_complete(track, number),
    }
}

//! The part of a media playlist that does not change any more. It is written once, because two hours of window are 3,600 segments, and a
//! playlist is asked for three times a second.

use std::collections::VecDeque;
use std::fmt::Write;

use time::OffsetDateTime;

use crate::store::segment::Segment;
use crate::store::track::Track;
use crate::wall_time::{rfc3339, wall_time};

/// The text of segments that have left the playlist is cut off when it is longer than this, and longer than what is left.
const DEAD_BYTES_MAX: usize = 64 << 10;

/// Where the lines of a segment are in the text.
#[derive(Clone, Copy, Debug)]
struct Lines {
    at: usize,
    /// Where its own lines begin, behind the tags that say how it differs from the segment before it.
    own_at: usize,
    init: u32,
    breaks: u64,
}

/// The lines of consecutive segments, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    text: String,
    lines: VecDeque<Lines>,
    /// The number of the segment that the first of `lines` is for.
    first: u64,
    /// The target duration and the time zero that the text was written for. With another target duration, other segments list their parts.
    made_for: Option<(u64, Option<OffsetDateTime>)>,
}

impl Listing {
    /// Brings the listing up to date. It has the track's listed segments that are complete and come before number `until`.
    pub(crate) fn update(&mut self, track: &Track, until: u64, target_seconds: u64, zero_at: Option<OffsetDateTime>) {
        let made_for = Some((target_seconds, zero_at));
        if self.made_for != made_for || self.next() < track.first_listed {
            *self = Self { made_for, first: track.first_listed, ..Self::default() };
        }
        while self.first < track.first_listed && self.lines.pop_front().is_some() {
            self.first += 1;
        }
        let dead = self.lines.front().map_or(self.text.len(), |lines| lines.at);
        if dead > DEAD_BYTES_MAX && dead > self.text.len() - dead {
            self.text.drain(..dead);
            for lines in &mut self.lines {
                (lines.at, lines.own_at) = (lines.at - dead, lines.own_at - dead);
            }
        }
        while let Some(segment) = track.segment(self.next()).filter(|segment| segment.number < until) {
            if !segment.is_complete() {
                break;
            }
            self.add(track, segment, zero_at);
        }
    }

    fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    fn add(&mut self, track: &Track, segment: &Segment, zero_at: Option<OffsetDateTime>) {
        let at = self.text.len();
        let before = self.lines.back();
        let broke = before.map_or(0, |before| segment.breaks.saturating_sub(before.breaks));
        put_breaks(&mut self.text, broke);
        if before.is_none_or(|before| before.init != segment.init) {
            put_map(&mut self.text, track, segment.init);
        }
        let own_at = self.text.len();
        put_time(&mut self.text, segment, zero_at);
        put_address(&mut self.text, track, segment);
        self.lines.push_back(Lines { at, own_at, init: segment.init, breaks: segment.breaks });
    }

    /// Writes all segments that the listing has except the first `skipped`. Returns how many of the track's listed segments are written or
    /// skipped by that, and the breaks and the init segment of the last of them.
    pub(crate) fn put(&self, out: &mut String, track: &Track, skipped: usize) -> (usize, Option<(u64, u32)>) {
        let state = |lines: &Lines| (lines.breaks, lines.init);
        let Some(first) = self.lines.get(skipped) else {
            let before = skipped.checked_sub(1).and_then(|last| track.listed().nth(last));
            // Behind a skip the init segment is named anew.
            return (skipped, before.map(|segment| (segment.breaks, u32::MAX)));
        };
        let before = skipped.checked_sub(1).and_then(|last| self.lines.get(last));
        put_breaks(out, before.map_or(0, |before| first.breaks.saturating_sub(before.breaks)));
        put_map(out, track, first.init);
        out.push_str(self.text.get(first.own_at..).unwrap_or_default());
        (self.lines.len(), self.lines.back().map(state))
    }
}

/// Writes one tag for each break, so that picture and sound count the same even if one of them missed a segment.
pub(crate) fn put_breaks(out: &mut String, count: u64) {
    (0..count).for_each(|_| out.push_str("#EXT-X-DISCONTINUITY\n"));
}

pub(crate) fn put_map(out: &mut String, track: &Track, init: u32) {
    let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}/init-{init}.mp4\"", track.name);
}

pub(crate) fn put_time(out: &mut String, segment: &Segment, zero_at: Option<OffsetDateTime>) {
    if let Some(zero_at) = zero_at {
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339(wall_time(zero_at, segment.start())));
    }
}

pub(crate) fn put_address(out: &mut String, track: &Track, segment: &Segment) {
    let _ = writeln!(out, "#EXTINF:{:.5},\n{}/{}.m4s", segment.seconds(), track.name, segment.name());
}

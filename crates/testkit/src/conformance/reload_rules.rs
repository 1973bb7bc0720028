//! The rules of what may change between two readings of one playlist.

use super::playlist::{MediaPlaylist, Segment};
use super::{Rule, Violations};

/// Segments may be some milliseconds short, as RTMP counts in whole ones.
const LENGTH_SLACK: f64 = 0.02;

pub(super) fn check_reload(before: &MediaPlaylist, after: &MediaPlaylist, out: &mut Violations) {
    let (was, is) = (before.media_sequence.unwrap_or(0), after.media_sequence.unwrap_or(0));
    out.check(is >= was, Rule::ReloadMediaSequence, || format!("{was}, then {is}"));
    // A complete segment is newer than any of its parts.
    let newest = |playlist: &MediaPlaylist| Some((playlist.newest()?.0, playlist.newest()?.1.unwrap_or(usize::MAX)));
    let (was, is) = (newest(before), newest(after));
    out.check(is >= was, Rule::ReloadMediaSequence, || format!("the newest was {was:?}, then {is:?}"));
    let (was, is) = (before.discontinuity_sequence, after.discontinuity_sequence);
    out.check(is >= was, Rule::ReloadDiscontinuity, || format!("{was}, then {is}"));
    let (was, is) = (before.target_seconds, after.target_seconds);
    out.check(is == was, Rule::ReloadTarget, || format!("{was}, then {is}"));
    let (was, is) = (before.part_target, after.part_target);
    out.check(is == was, Rule::ReloadPartTarget, || format!("{was:?}, then {is:?}"));
    for segment in &after.segments {
        if let Some(old) = before.segments.iter().find(|old| old.number == segment.number) {
            check_segment(old, segment, out);
        }
    }
    let removed = after.media_sequence > before.media_sequence;
    let length: f64 = after.complete().map(|segment| segment.duration).sum();
    let least = after.target_seconds as f64 * 3.0;
    out.check(!removed || length + LENGTH_SLACK >= least, Rule::ReloadWindow, || {
        format!("something was removed, {length:.3} s are left, {least} are needed")
    });
    check_hint(before, after, out);
}

fn check_segment(old: &Segment, segment: &Segment, out: &mut Violations) {
    let number = segment.number;
    out.check(old.breaks == segment.breaks, Rule::ReloadDiscontinuity, || {
        format!("segment {number} was behind {} discontinuities, then {}", old.breaks, segment.breaks)
    });
    let same = old.wall_millis == segment.wall_millis && old.map == segment.map;
    let same = same && (old.uri.is_none() || old.uri == segment.uri && old.duration == segment.duration);
    out.check(same, Rule::ReloadSegment, || format!("segment {number} changed"));
    let parts = old.parts.iter().zip(&segment.parts);
    let parts = parts.clone().all(|(old, new)| old == new)
        && (segment.parts.is_empty() || segment.parts.len() >= old.parts.len());
    out.check(parts, Rule::ReloadPart, || format!("parts of segment {number} changed"));
}

/// The part after the newest one of `before`, as `after` has it.
fn check_hint(before: &MediaPlaylist, after: &MediaPlaylist, out: &mut Violations) {
    let Some(hint) = before.hints.first().and_then(|hint| hint.get("URI")) else { return };
    let parts = |playlist: &MediaPlaylist| -> Vec<(u64, String)> {
        let of =
            |segment: &Segment| segment.parts.iter().map(|part| (segment.number, part.uri.clone())).collect::<Vec<_>>();
        playlist.segments.iter().flat_map(of).collect()
    };
    let (known, now) = (parts(before), parts(after));
    let Some((number, newest)) = known.last() else { return };
    let Some(at) = now.iter().position(|(_, uri)| uri == newest) else { return };
    let Some((next_number, next)) = now.get(at + 1) else { return };
    // A hinted part that never comes is allowed where the timeline breaks (4.4.5.3).
    let breaks = |wanted: u64| after.segments.iter().find(|segment| segment.number == wanted).map(|found| found.breaks);
    let broken = breaks(*number) != breaks(*next_number);
    out.check(next == hint || broken, Rule::ReloadHint, || format!("{hint} was hinted, {next} came"));
}

//! The rules of one media playlist by itself.

use super::playlist::{MediaPlaylist, Segment};
use super::{Rule, Violations};

/// Lengths are written with five digits, so the sum of many is off by less than this.
const LENGTH_SLACK: f64 = 0.001;
/// Wall times are written in milliseconds, and reordered pictures move by whole milliseconds, too.
const WALL_SLACK_MILLIS: i64 = 12;
/// The lengths of parts are compared with PART-TARGET as they are written.
const PART_SLACK: f64 = 0.000_01;
/// A part fills at least this share of PART-TARGET.
const PART_SHARE_MIN: f64 = 0.85;
const PART_HOLD_BACK_PARTS: f64 = 3.0;
const HOLD_BACK_TARGETS: f64 = 3.0;
const SKIP_TARGETS: f64 = 6.0;
const PARTS_LISTED_TARGETS: f64 = 3.0;

pub(super) fn check_playlist(playlist: &MediaPlaylist, out: &mut Violations) {
    let target = playlist.target_seconds as f64;
    out.check(target > 0.0, Rule::TargetDuration, || "no EXT-X-TARGETDURATION".to_owned());
    out.check(playlist.media_sequence.is_some(), Rule::MediaSequence, || "no EXT-X-MEDIA-SEQUENCE".to_owned());
    check_version(playlist, out);
    check_control(playlist, target, out);
    for segment in &playlist.segments {
        check_segment(playlist, segment, out);
    }
    check_parts_listed(playlist, target, out);
    check_wall_times(playlist, out);
    check_hint(playlist, out);
    for pair in playlist.segments.windows(2) {
        let holds = pair[0].map == pair[1].map || pair[0].breaks < pair[1].breaks;
        out.check(holds, Rule::MapChange, || format!("segment {} has another map", pair[1].number));
    }
}

fn check_version(playlist: &MediaPlaylist, out: &mut Violations) {
    let needed = match () {
        () if playlist.skipped.is_some() => 9,
        () if playlist.segments.iter().any(|segment| segment.map.is_some()) => 6,
        // Version 3 is needed for fractions in EXTINF.
        () => 3,
    };
    let holds = matches!(playlist.versions[..], [version] if version >= needed);
    out.check(holds, Rule::Version, || format!("versions {:?}, at least {needed} is needed", playlist.versions));
}

fn check_control(playlist: &MediaPlaylist, target: f64, out: &mut Violations) {
    let said = |name| playlist.control.number(name);
    let at_least = |name: &str, value: Option<f64>, least: f64, out: &mut Violations| {
        let holds = value.is_none_or(|value| value + LENGTH_SLACK >= least);
        out.check(holds, Rule::HoldBack, || format!("{name} is {value:?}, at least {least} is needed"));
    };
    at_least("HOLD-BACK", said("HOLD-BACK"), target * HOLD_BACK_TARGETS, out);
    at_least("CAN-SKIP-UNTIL", said("CAN-SKIP-UNTIL"), target * SKIP_TARGETS, out);
    let Some(part_target) = playlist.part_target else {
        let parts = playlist.segments.iter().any(|segment| !segment.parts.is_empty());
        return out.check(!parts, Rule::PartTarget, || "parts without EXT-X-PART-INF".to_owned());
    };
    let hold_back = Some(said("PART-HOLD-BACK").unwrap_or(0.0));
    at_least("PART-HOLD-BACK", hold_back, part_target * PART_HOLD_BACK_PARTS, out);
    let blocking = playlist.control.is("CAN-BLOCK-RELOAD", "YES");
    out.check(blocking, Rule::BlockingReload, || "CAN-BLOCK-RELOAD is not said".to_owned());
}

fn check_segment(playlist: &MediaPlaylist, segment: &Segment, out: &mut Violations) {
    let Segment { number, duration, parts, .. } = segment;
    let uri = segment.uri.as_deref().or(parts.first().map(|part| &*part.uri)).unwrap_or_default();
    let is_mp4 = !uri.split('?').next().unwrap_or_default().ends_with(".ts");
    out.check(segment.map.is_some() || !is_mp4, Rule::Map, || format!("segment {number} has no map"));
    let part_target = playlist.part_target.unwrap_or(f64::MAX);
    // In an open segment no part is known to be the last.
    let last = segment.uri.as_ref().and(parts.len().checked_sub(1));
    for (index, part) in parts.iter().enumerate() {
        let is_full = part.duration + PART_SLACK >= part_target * PART_SHARE_MIN;
        out.check(is_full || last == Some(index), Rule::PartShort, || {
            format!("part {number}.{index} lasts {}, PART-TARGET is {part_target}", part.duration)
        });
        out.check(part.duration > 0.0, Rule::SegmentLength, || format!("part {number}.{index} has no length"));
        out.check(part.duration <= part_target + PART_SLACK, Rule::PartTarget, || {
            format!("part {number}.{index} lasts {}, PART-TARGET is {part_target}", part.duration)
        });
    }
    out.check(!playlist.independent || parts.first().is_none_or(|part| part.independent), Rule::Independent, || {
        format!("segment {number} does not begin with an independent part")
    });
    if segment.uri.is_none() {
        return;
    }
    let target = playlist.target_seconds as f64;
    out.check(duration.round() <= target, Rule::TargetDuration, || {
        format!("segment {number} lasts {duration}, the target is {target}")
    });
    let sum: f64 = parts.iter().map(|part| part.duration).sum();
    out.check(parts.is_empty() || (sum - duration).abs() <= LENGTH_SLACK, Rule::PartSum, || {
        format!("the parts of segment {number} last {sum}, it lasts {duration}")
    });
}

fn check_parts_listed(playlist: &MediaPlaylist, target: f64, out: &mut Violations) {
    if playlist.part_target.is_none() {
        return;
    }
    let length = |segment: &Segment| match segment.uri {
        Some(_) => segment.duration,
        None => segment.parts.iter().map(|part| part.duration).sum(),
    };
    // Going back from the playlist's end, this is how far a segment's own end lies before it.
    let mut behind = 0.0;
    for segment in playlist.segments.iter().rev() {
        let due = behind < target * PARTS_LISTED_TARGETS - LENGTH_SLACK;
        let edge = (behind - target * PARTS_LISTED_TARGETS).abs() <= 0.1;
        out.check(edge || due != segment.parts.is_empty(), Rule::PartsListed, || {
            format!("segment {} ends {behind:.3} before the end, and has {} parts", segment.number, segment.parts.len())
        });
        behind += length(segment);
    }
}

fn check_wall_times(playlist: &MediaPlaylist, out: &mut Violations) {
    for segment in &playlist.segments {
        out.check(segment.wall_millis.is_some(), Rule::DateTime, || format!("segment {} has none", segment.number));
    }
    for pair in playlist.segments.windows(2) {
        let (Some(before), Some(after)) = (pair[0].wall_millis, pair[1].wall_millis) else { continue };
        let off = after - before - (pair[0].duration * 1000.0).round() as i64;
        // After a discontinuity time may be missing, but it does not go back.
        let broken = pair[0].breaks < pair[1].breaks;
        let holds = off.abs() <= WALL_SLACK_MILLIS || broken && off > 0;
        out.check(holds, Rule::DateTime, || format!("segment {} begins {off} ms off", pair[1].number));
    }
}

fn check_hint(playlist: &MediaPlaylist, out: &mut Violations) {
    let parts = || playlist.segments.iter().flat_map(|segment| &segment.parts);
    for hint in &playlist.hints {
        let uri = hint.get("URI").unwrap_or_default();
        let known =
            parts().any(|part| part.uri == uri) || playlist.segments.iter().any(|it| it.uri.as_deref() == Some(uri));
        out.check(hint.is("TYPE", "PART") && !uri.is_empty() && !known, Rule::PreloadHint, || {
            format!("the hint {uri:?} is no part to come")
        });
    }
    let open = playlist.segments.last().is_some_and(|segment| segment.uri.is_none());
    let expected = if open { 1..=1 } else { 0..=1 };
    out.check(expected.contains(&playlist.hints.len()), Rule::PreloadHint, || {
        format!("{} hints", playlist.hints.len())
    });
}

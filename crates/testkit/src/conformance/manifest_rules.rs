//! The rules of a live manifest, by itself and after the one before it.

use super::manifest::{ListedSegment, Manifest, Period, Representation};
use super::mp4::Init;
use super::{Rule, Violations};

/// Tracks of one period may differ by one frame of sound, or of a picture at 20 fps.
const TRACK_SLACK_SECONDS: f64 = 0.05;
/// One tick of rounding, and a millisecond of RTMP's composition times, are allowed.
const TIMELINE_SLACK_SECONDS: f64 = 0.002;
/// The machine of a test may be slow to ask.
const CLOCK_SLACK_MILLIS: i64 = 5_000;
/// A segment is listed when it is complete, which is later than its end by what the encoder, the network and a busy machine take.
const EDGE_LATE_SECONDS: f64 = 10.0;
const EDGE_EARLY_SECONDS: f64 = 1.0;

pub(super) fn check_manifest(manifest: &Manifest, now_millis: Option<i64>, out: &mut Violations) {
    let holds = manifest.is_live && manifest.update_period_seconds > 0.0 && manifest.buffer_depth_seconds > 0.0;
    out.check(holds, Rule::ManifestHeader, || "it is not dynamic, or lacks what that needs".to_owned());
    out.check(!manifest.periods.is_empty(), Rule::ManifestPeriods, || "there is none".to_owned());
    let near_now = |millis: i64| now_millis.is_none_or(|now| (now - millis).abs() <= CLOCK_SLACK_MILLIS);
    out.check(manifest.clock_millis.is_some_and(near_now), Rule::ManifestClock, || {
        format!("it says {:?}, it is {now_millis:?}", manifest.clock_millis)
    });
    for pair in manifest.periods.windows(2) {
        let end = pair[0].start_seconds + pair[0].duration_seconds.unwrap_or(0.0);
        let holds = pair[1].start_seconds > pair[0].start_seconds
            && pair[1].start_seconds + TIMELINE_SLACK_SECONDS >= end
            && pair[0].id != pair[1].id;
        out.check(holds, Rule::ManifestPeriods, || {
            format!("{} ends at {end}, {} begins at {}", pair[0].id, pair[1].id, pair[1].start_seconds)
        });
    }
    for (index, period) in manifest.periods.iter().enumerate() {
        let next = manifest.periods.get(index + 1).map(|next| next.start_seconds - period.start_seconds);
        let is_open = index == 0 || next.is_none();
        check_period(manifest, period, is_open, period.duration_seconds.or(next), out);
    }
    check_edge(manifest, now_millis, out);
}

fn check_period(manifest: &Manifest, period: &Period, is_open: bool, length: Option<f64>, out: &mut Violations) {
    out.check(!period.representations.is_empty(), Rule::ManifestPeriods, || format!("{} is empty", period.id));
    let end = |found: &Representation| {
        found.segments.last().map_or(0.0, |last| found.seconds(last.start_ticks + last.duration_ticks))
    };
    let end = period.representations.iter().map(end).fold(0.0, f64::max);
    let holds = length.is_none_or(|length| (end - length).abs() <= TRACK_SLACK_SECONDS);
    out.check(holds, Rule::ManifestPeriodStart, || format!("{} ends at {length:?}, its media at {end:.4}", period.id));
    for found in &period.representations {
        for pair in found.segments.windows(2) {
            let gap = (pair[1].start_ticks - pair[0].start_ticks - pair[0].duration_ticks) as f64;
            let gap = gap / f64::from(found.timescale.max(1));
            out.check(gap.abs() <= TIMELINE_SLACK_SECONDS, Rule::ManifestTimeline, || {
                format!("{} of {}: {gap:.4} s between {} and {}", found.id, period.id, pair[0].number, pair[1].number)
            });
        }
        for segment in &found.segments {
            let seconds = segment.duration_ticks as f64 / f64::from(found.timescale.max(1));
            out.check(seconds <= manifest.max_segment_seconds, Rule::ManifestHeader, || {
                format!(
                    "segment {} lasts {seconds}, maxSegmentDuration is {}",
                    segment.number, manifest.max_segment_seconds
                )
            });
        }
        check_ends(period, found, is_open, length, out);
        check_early(manifest, found, out);
    }
}

/// DASH-IF's rules of low latency: a segment that can be fetched early is sent in chunks, and never before it has begun. The manifest
/// states how far behind to stay, and is fetched anew more often than a segment lasts.
fn check_early(manifest: &Manifest, found: &Representation, out: &mut Violations) {
    let early = found.early_seconds;
    out.check(found.is_chunked == (early > 0.0), Rule::ManifestLowLatency, || {
        format!("{}: availabilityTimeOffset {early}, availabilityTimeComplete {}", found.id, !found.is_chunked)
    });
    let Some(last) = found.segments.last().filter(|_| found.is_chunked) else { return };
    let length = last.duration_ticks as f64 / f64::from(found.timescale.max(1));
    out.check(early < length, Rule::ManifestLowLatency, || {
        format!("{}: {early} s before the end of what lasts {length}", found.id)
    });
    out.check(manifest.update_period_seconds < length, Rule::ManifestLowLatency, || {
        format!("segments of {length} s are listed every {} s", manifest.update_period_seconds)
    });
    let holds = manifest.latency.is_some_and(|[target, min, max]| min <= target && target <= max && min > 0);
    out.check(holds, Rule::ManifestLowLatency, || format!("the latency to keep is {:?}", manifest.latency));
}

fn check_ends(period: &Period, found: &Representation, is_open: bool, length: Option<f64>, out: &mut Violations) {
    let (Some(first), Some(last)) = (found.segments.first(), found.segments.last()) else {
        return out.add(Rule::ManifestTimeline, format!("{} of {} lists nothing", found.id, period.id));
    };
    let (start, end) = (found.seconds(first.start_ticks), found.seconds(last.start_ticks + last.duration_ticks));
    // The oldest segments of the first period are gone from the window, and a rendition may come in during the last one.
    let begins = start.abs() <= TRACK_SLACK_SECONDS || is_open && start > 0.0;
    out.check(begins, Rule::ManifestPeriodStart, || format!("{} of {} begins at {start:.4}", found.id, period.id));
    // A track may end before its period, as a picture that pauses while sound goes on, but must not outlast it.
    let holds = length.is_none_or(|length| end <= length + TRACK_SLACK_SECONDS);
    out.check(holds, Rule::ManifestPeriodStart, || {
        format!("{} of {} ends at {end:.4}, the period at {length:?}", found.id, period.id)
    });
}

fn check_edge(manifest: &Manifest, now_millis: Option<i64>, out: &mut Violations) {
    let (Some(now), Some(period)) = (now_millis, manifest.periods.last()) else { return };
    let now = (now - manifest.availability_start_millis) as f64 / 1000.0 - period.start_seconds;
    for found in &period.representations {
        let end = found.segments.last().map_or(0.0, |last| found.seconds(last.start_ticks + last.duration_ticks));
        // A segment that is listed when it begins may be fetched when its first part is there.
        let late = now - (end - found.early_seconds);
        let allowed = -EDGE_EARLY_SECONDS..=EDGE_LATE_SECONDS + manifest.max_segment_seconds;
        out.check(allowed.contains(&late), Rule::ManifestEdge, || format!("{} ends {late:.3} s ago", found.id));
    }
}

pub(super) fn check_manifest_reload(before: &Manifest, after: &Manifest, out: &mut Violations) {
    let holds = before.availability_start_millis == after.availability_start_millis;
    out.check(holds, Rule::ManifestReload, || "availabilityStartTime changed".to_owned());
    out.check(after.publish_millis >= before.publish_millis, Rule::ManifestReload, || {
        "publishTime went back".to_owned()
    });
    for period in &after.periods {
        let Some(old) = before.periods.iter().find(|old| old.id == period.id) else { continue };
        out.check(old.start_seconds == period.start_seconds, Rule::ManifestReload, || format!("{} moved", period.id));
        for found in &period.representations {
            let Some(old) = old.representations.iter().find(|old| old.id == found.id) else { continue };
            let listed = |number: u64| old.segments.iter().find(|it| it.number == number);
            // The length of the newest segment was a guess if it was being made then. It may have ended within a part since, when its
            // source went.
            let guessed = |it: &ListedSegment| {
                old.is_chunked && before_last(before, &found.id).is_some_and(|last| last.number == it.number)
            };
            let is_same = |was: &ListedSegment, it: &ListedSegment| {
                was == it || guessed(was) && was.start_ticks == it.start_ticks && was.uri == it.uri
            };
            let same = found.segments.iter().all(|it| listed(it.number).is_none_or(|was| is_same(was, it)));
            out.check(same, Rule::ManifestReload, || format!("segments of {} changed", found.id));
        }
    }
}

fn before_last<'a>(before: &'a Manifest, id: &str) -> Option<&'a ListedSegment> {
    before.periods.last()?.representations.iter().find(|found| found.id == id)?.segments.last()
}

pub(super) fn check_manifest_init(found: &Representation, init: &Init, out: &mut Violations) {
    // 88.2 and 96 kHz do not fit a sample entry, which then states 0.
    let rate_holds = init.sample_rate_hz == 0 || found.sample_rate_hz == init.sample_rate_hz;
    let holds = (&found.codecs, found.width, found.height) == (&init.codec, init.width, init.height)
        && found.timescale == init.timescale
        && (init.is_video() || rate_holds);
    out.check(holds, Rule::ManifestCodecs, || format!("{}: {found:?} is said, {init:?} it is", found.id));
}

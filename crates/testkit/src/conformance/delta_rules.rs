//! The rules of delta updates (`_HLS_skip=YES`).

use super::playlist::MediaPlaylist;
use super::{Rule, Violations};

/// Compares a playlist with its delta; both must have been made from the same state.
pub(super) fn check_delta(full: &MediaPlaylist, delta: &MediaPlaylist, out: &mut Violations) {
    let Some(skipped) = delta.skipped else {
        return out.check(full == delta, Rule::DeltaEqual, || "without EXT-X-SKIP it is another playlist".to_owned());
    };
    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
    let boundary = full.control.number("CAN-SKIP-UNTIL").unwrap_or(f64::MAX);
    let kept: f64 = full
        .segments
        .iter()
        .skip(skipped)
        .map(|segment| {
            segment
                .uri
                .as_ref()
                .map_or_else(|| segment.parts.iter().map(|part| part.duration).sum(), |_| segment.duration)
        })
        .sum();
    out.check(skipped > 0 && kept + 0.01 >= boundary, Rule::DeltaSkip, || {
        format!("{skipped} segments are skipped, {kept:.3} s are left, the boundary is {boundary}")
    });
    let mut rest = full.segments.get(skipped..).unwrap_or_default().to_vec();
    let mut said = delta.segments.clone();
    // The player knows the discontinuities among what is skipped, so only differences count.
    for segments in [&mut rest, &mut said] {
        let first = segments.first().map_or(0, |segment| segment.breaks);
        segments.iter_mut().for_each(|segment| segment.breaks -= first);
    }
    let same = rest == said
        && (full.media_sequence, full.target_seconds, &full.hints, &full.reports, &full.control)
            == (delta.media_sequence, delta.target_seconds, &delta.hints, &delta.reports, &delta.control);
    out.check(same, Rule::DeltaEqual, || "with what was skipped it is another playlist".to_owned());
}

//! The rules of segments and parts, and of how they follow one another.

use super::mp4::{Fragment, Init, fragments};
use super::playlist::Segment;
use super::{Rule, Violations};

/// Lengths in playlists have five digits.
const LENGTH_SLACK: f64 = 0.001;

/// What is remembered of a segment for judging the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentFacts {
    pub(super) number: u64,
    pub(super) breaks: u64,
    pub(super) map: Option<String>,
    pub(super) start_ticks: u64,
    pub(super) end_ticks: u64,
    /// When its first picture is shown.
    pub(super) presentation_ticks: i64,
    pub(super) timescale: u32,
}

/// Judges a segment's bytes. None where they can't be read.
pub(super) fn check_segment(
    init: &Init,
    listed: &Segment,
    independent: bool,
    bytes: &[u8],
    out: &mut Violations,
) -> Option<SegmentFacts> {
    let number = listed.number;
    let Some(found) = fragments(bytes).filter(|found| !found.is_empty()) else {
        out.add(Rule::FragmentSyntax, format!("segment {number} can't be read"));
        return None;
    };
    let seconds = found.iter().map(Fragment::duration_ticks).sum::<u64>() as f64 / f64::from(init.timescale.max(1));
    out.check((seconds - listed.duration).abs() <= LENGTH_SLACK, Rule::MediaLength, || {
        format!("segment {number} is said to last {}, its samples last {seconds}", listed.duration)
    });
    out.check(!independent || starts_with_keyframe(init, bytes, &found), Rule::StartsWithKeyframe, || {
        format!("segment {number} does not")
    });
    for pair in found.windows(2) {
        let end = pair[0].decode_ticks + pair[0].duration_ticks();
        out.check(pair[1].decode_ticks == end, Rule::DecodeTime, || {
            format!("in segment {number} a fragment ends at {end}, the next begins at {}", pair[1].decode_ticks)
        });
        out.check(pair[1].sequence > pair[0].sequence, Rule::FragmentSequence, || format!("in segment {number}"));
    }
    let last = found.last()?;
    Some(SegmentFacts {
        number,
        breaks: listed.breaks,
        map: listed.map.clone(),
        start_ticks: found[0].decode_ticks,
        end_ticks: last.decode_ticks + last.duration_ticks(),
        presentation_ticks: found[0].presentation_ticks(),
        timescale: init.timescale,
    })
}

/// Judges two segments that follow one another.
pub(super) fn check_follows(before: &SegmentFacts, after: &SegmentFacts, out: &mut Violations) {
    let scaled = |ticks: u64, from: u32| ticks as f64 / f64::from(from.max(1));
    let (end, start) = (scaled(before.end_ticks, before.timescale), scaled(after.start_ticks, after.timescale));
    let broken = before.breaks < after.breaks;
    // A change of timescale rounds once.
    let slack = if before.timescale == after.timescale { 0.0 } else { 0.000_1 };
    let holds = (end - start).abs() <= slack || broken && start >= end - slack;
    out.check(holds, Rule::DecodeTime, || {
        format!("segment {} ends at {end}, segment {} begins at {start}", before.number, after.number)
    });
}

/// Judges a segment and its parts.
pub(super) fn check_parts(
    init: &Init,
    listed: &Segment,
    segment: Option<&[u8]>,
    parts: &[Vec<u8>],
    out: &mut Violations,
) {
    let number = listed.number;
    if let Some(segment) = segment {
        out.check(parts.concat() == segment, Rule::PartBytes, || format!("segment {number}"));
    }
    for (index, (part, bytes)) in listed.parts.iter().zip(parts).enumerate() {
        let Some(found) = fragments(bytes).filter(|found| !found.is_empty()) else {
            out.add(Rule::FragmentSyntax, format!("part {number}.{index} can't be read"));
            continue;
        };
        let seconds = found.iter().map(Fragment::duration_ticks).sum::<u64>() as f64 / f64::from(init.timescale.max(1));
        out.check((seconds - part.duration).abs() <= LENGTH_SLACK, Rule::MediaLength, || {
            format!("part {number}.{index} is said to last {}, its samples last {seconds}", part.duration)
        });
        out.check(!part.independent || starts_with_keyframe(init, bytes, &found), Rule::StartsWithKeyframe, || {
            format!("part {number}.{index} does not")
        });
    }
}

fn starts_with_keyframe(init: &Init, bytes: &[u8], found: &[Fragment]) -> bool {
    let Some(first) = found.first().and_then(|fragment| fragment.samples.first()) else { return false };
    let payload = &bytes[first.bytes.clone()];
    first.is_sync
        && match init.codec.get(..4) {
            Some("avc1") => units(payload, init.length_size).any(|unit| unit[0] & 0x1F == 5),
            Some("hvc1") => units(payload, init.length_size).any(|unit| (16..=21).contains(&(unit[0] >> 1 & 0x3F))),
            // The temporal unit of a key frame begins with a sequence header.
            Some("av01") => first_obus(payload).contains(&1),
            _ => true,
        }
}

fn units(mut data: &[u8], length_size: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_at_checked(length_size.max(1))?;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (unit, rest) = rest.split_at_checked(length)?;
        data = rest;
        Some(unit)
    })
    .filter(|unit| !unit.is_empty())
}

/// The types of the first two OBUs; a temporal delimiter may come first.
fn first_obus(mut data: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let (Some((header, rest)), true) = (data.split_first(), types.len() < 2) {
        types.push(header >> 3 & 15);
        let rest = rest.get(usize::from(header >> 2 & 1)..).unwrap_or_default();
        let mut length = 0_usize;
        let mut used = 0;
        for (index, byte) in rest.iter().take(4).enumerate() {
            length |= usize::from(byte & 0x7F) << (7 * index);
            used = index + 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        data = rest.get(used + length..).unwrap_or_default();
    }
    types
}

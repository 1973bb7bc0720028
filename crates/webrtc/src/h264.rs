//! Turns H.264 into RTP payloads (RFC 6184): a small NAL unit goes out as it is, a large one in pieces.

use std::sync::Arc;

use weir_media::codec::h264::{AvcConfig, unit_type};
use weir_media::codec::nal;

/// The most bytes that a payload may have. Together with RTP's header (12 bytes), the number in a repetition (2), the tag of SRTP (16) and
/// the headers of UDP and IPv6 (48), a packet has 1,258 bytes: below the 1,280 that every path of IPv6 carries.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1_180;

/// The type of a payload with several small units.
const STAP_A: u8 = 24;
/// The type of a payload with one piece of a unit.
const FU_A: u8 = 28;

const START: u8 = 0x80;
const END: u8 = 0x40;

/// The payloads of one picture, whose units stand behind lengths of 4 bytes. The caller gives the parameter sets with each picture that a
/// decoder may start at, and they go before it: nothing else tells them to the viewer.
pub(crate) fn payloads(picture: &[u8], parameter_sets: Option<&AvcConfig>) -> Vec<Arc<[u8]>> {
    let mut out = Vec::with_capacity(picture.len() / PAYLOAD_BYTES_MAX + 2);
    if let Some(sets) = parameter_sets {
        let sets: Vec<&[u8]> = sets.sps.iter().chain(&sets.pps).map(|set| &set[..]).collect();
        together(&sets, &mut out);
    }
    for unit in nal::length_prefixed(picture, 4).map_while(Result::ok).filter(|unit| is_sent(unit)) {
        split(unit, &mut out);
    }
    out
}

/// Whether the unit is sent. Parameter sets are not, because they come from the track; delimiters and fillers are not, because each viewer
/// would pay for them.
fn is_sent(unit: &[u8]) -> bool {
    use unit_type::{AUD, FILLER, PPS, SPS};
    unit.first().is_some_and(|header| !matches!(header & 0x1F, SPS | PPS | AUD | FILLER))
}

/// Puts all units into one packet if they fit, and otherwise sends one after the other.
fn together(units: &[&[u8]], out: &mut Vec<Arc<[u8]>>) {
    let bytes = 1 + units.iter().map(|unit| 2 + unit.len()).sum::<usize>();
    if units.len() < 2 || bytes > PAYLOAD_BYTES_MAX {
        units.iter().for_each(|unit| split(unit, out));
        return;
    }
    let importance = units.iter().filter_map(|unit| unit.first()).map(|header| header & 0x60).max().unwrap_or(0);
    let mut payload = Vec::with_capacity(bytes);
    payload.push(importance | STAP_A);
    for unit in units {
        // The unit is shorter than a payload may be, so its length fits into 16 bits.
        payload.extend_from_slice(&u16::try_from(unit.len()).unwrap_or(u16::MAX).to_be_bytes());
        payload.extend_from_slice(unit);
    }
    out.push(payload.into());
}

fn split(unit: &[u8], out: &mut Vec<Arc<[u8]>>) {
    let Some((&header, body)) = unit.split_first() else { return };
    if unit.len() <= PAYLOAD_BYTES_MAX {
        out.push(unit.into());
        return;
    }
    let pieces = body.chunks(PAYLOAD_BYTES_MAX - 2);
    let last = pieces.len() - 1;
    let mut payload = Vec::with_capacity(PAYLOAD_BYTES_MAX);
    for (number, piece) in pieces.enumerate() {
        let start = if number == 0 { START } else { 0 };
        let end = if number == last { END } else { 0 };
        payload.clear();
        payload.extend_from_slice(&[(header & 0xE0) | FU_A, start | end | (header & 0x1F)]);
        payload.extend_from_slice(piece);
        out.push(payload.as_slice().into());
    }
}

/// Puts payloads back together into units, as a receiver does. Only tests use it.
#[cfg(test)]
pub(crate) fn units(payloads: &[Arc<[u8]>]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for payload in payloads {
        assert!(payload.len() <= PAYLOAD_BYTES_MAX);
        match payload[0] & 0x1F {
            STAP_A => {
                let mut rest = &payload[1..];
                while let [high, low, tail @ ..] = rest {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    out.push(tail[..length].to_vec());
                    rest = &tail[length..];
                }
            }
            FU_A => {
                if payload[1] & START != 0 {
                    out.push(vec![(payload[0] & 0xE0) | (payload[1] & 0x1F)]);
                }
                out.last_mut().unwrap().extend_from_slice(&payload[2..]);
            }
            _ => out.push(payload.to_vec()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn picture(units: &[Vec<u8>]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&u32::try_from(unit.len()).unwrap().to_be_bytes()[..], unit].concat()).collect()
    }

    fn sets(pps_bytes: usize) -> AvcConfig {
        let pps = [&[0x68][..], &vec![7; pps_bytes]].concat();
        AvcConfig { length_size: 4, sps: vec![Bytes::from_static(&[0x67, 1, 2, 3])], pps: vec![pps.into()] }
    }

    #[test]
    fn a_keyframe_carries_its_parameter_sets_in_one_packet() {
        let idr = vec![0x65; 5_000];
        let made = payloads(&picture(std::slice::from_ref(&idr)), Some(&sets(3)));
        assert_eq!(made[0][..], [0x78, 0, 4, 0x67, 1, 2, 3, 0, 4, 0x68, 7, 7, 7]);
        assert_eq!(units(&made)[2], idr);
        assert_eq!(made.len(), 1 + 4_999_usize.div_ceil(PAYLOAD_BYTES_MAX - 2));
        assert_eq!(units(&payloads(&picture(&[idr]), Some(&sets(4_000)))).len(), 3, "what does not fit goes alone");
    }

    #[test]
    fn what_no_decoder_needs_is_left_out() {
        let noise = [vec![9, 0xF0], vec![0x67, 1], vec![0x68, 1], vec![12, 0xFF], vec![], vec![6, 5, 1]];
        let made = payloads(&picture(&[&noise[..], &[vec![0x41, 2]]].concat()), None);
        assert_eq!(units(&made), [vec![6, 5, 1], vec![0x41, 2]]);
        assert!(payloads(&[0, 0, 0, 9, 1], None).is_empty(), "a unit that is cut short is not sent");
    }

    proptest! {
        #[test]
        fn pieces_are_put_together_again(
            lengths in prop::collection::vec(1_usize..4_000, 1..6),
            header in prop::sample::select(vec![0x65_u8, 0x41, 0x01, 0x06]),
        ) {
            let sent: Vec<Vec<u8>> = lengths
                .iter()
                .map(|&length| std::iter::once(header).chain((1..length).map(|at| (at % 251) as u8)).collect())
                .collect();
            prop_assert_eq!(units(&payloads(&picture(&sent), None)), sent);
        }
    }
}

//! Reads what a viewer says by RTCP (RFC 3550, 4585, 5104), as far as it says something of the path or of lost pictures.

/// The most packets of one datagram that are read. Browsers send two or three.
const PACKETS_MAX: usize = 16;

/// The most reports in one packet: its field has five bits.
const REPORTS_MAX: usize = 31;

/// What a viewer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// How what we send of a source arrives.
    Report {
        source: u32,
        /// Of 256 packets, so many were lost since the last report.
        lost_of_256: u8,
        /// The middle 32 bits of the time (NTP) in our last report that came to the viewer, and how long ago that was in 65,536ths of a
        /// second. Both are zero if none has come.
        our_report: u32,
        since_then: u32,
    },
    /// The picture can't be shown any more without a keyframe.
    WantsKeyframe,
    /// The viewer believes that the way to it carries so much (REMB).
    Estimate { bits_per_second: u64 },
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const PAYLOAD_FEEDBACK: u8 = 206;
/// The kinds of feedback: lost pictures (PLI), a demand for a keyframe (FIR), and others, of which REMB is one.
const PLI: u8 = 1;
const FIR: u8 = 4;
const OTHER: u8 = 15;

/// Tells what one datagram says. Whatever can't be understood says nothing.
pub fn read(datagram: &[u8], mut tell: impl FnMut(Said)) {
    let mut rest = datagram;
    for _ in 0..PACKETS_MAX {
        let Some((&[head, kind, high, low], _)) = rest.split_first_chunk::<4>() else { return };
        let bytes = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        if head >> 6 != 2 || bytes > rest.len() {
            return;
        }
        let (packet, after) = rest.split_at(bytes);
        rest = after;
        let (count, body) = (head & 0x1F, packet.get(4..).unwrap_or_default());
        match (kind, count) {
            // The sender's own source and its five numbers stand before its reports.
            (SENDER_REPORT, _) => reports(body.get(24..).unwrap_or_default(), count, &mut tell),
            (RECEIVER_REPORT, _) => reports(body.get(4..).unwrap_or_default(), count, &mut tell),
            (PAYLOAD_FEEDBACK, PLI | FIR) => tell(Said::WantsKeyframe),
            (PAYLOAD_FEEDBACK, OTHER) => {
                // Both sources stand before it.
                if let Some(bits_per_second) = estimate(body.get(8..).unwrap_or_default()) {
                    tell(Said::Estimate { bits_per_second });
                }
            }
            _ => {}
        }
    }
}

fn reports(bytes: &[u8], count: u8, tell: &mut impl FnMut(Said)) {
    for block in bytes.as_chunks::<24>().0.iter().take(usize::from(count).min(REPORTS_MAX)) {
        let number = |at: usize| block[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let (source, lost_of_256) = (number(0), block[4]);
        tell(Said::Report { source, lost_of_256, our_report: number(16), since_then: number(20) });
    }
}

/// The name "REMB", a number of sources, then six bits of exponent and eighteen of mantissa.
fn estimate(bytes: &[u8]) -> Option<u64> {
    let [b'R', b'E', b'M', b'B', _, one, two, three, ..] = *bytes else { return None };
    let mantissa = u64::from(one & 3) << 16 | u64::from(two) << 8 | u64::from(three);
    mantissa.checked_shl(u32::from(one >> 2)).filter(|bits| bits >> (one >> 2) == mantissa)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(datagram: &[u8]) -> Vec<Said> {
        let mut out = Vec::new();
        read(datagram, |said| out.push(said));
        out
    }

    fn report(kind: u8) -> Vec<u8> {
        let own: &[u8] = if kind == SENDER_REPORT { &[0; 24] } else { &[0; 4] };
        let block = [&[0, 0, 0, 9, 64, 0, 0, 1][..], &[0; 8], &[0, 1, 0, 0], &[0, 0, 128, 0]].concat();
        let words = u8::try_from((own.len() + block.len()) / 4).unwrap();
        [&[0x81, kind, 0, words], own, &block].concat()
    }

    #[test]
    fn reports_wishes_and_estimates_are_read() {
        let expected = Said::Report { source: 9, lost_of_256: 64, our_report: 0x1_0000, since_then: 0x8000 };
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
        let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0];
        // 1,000,000 is 250,000 times four.
        let remb =
            [&[0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0][..], b"REMB", &[1, 2 << 2 | 3, 0xD0, 0x90], &[0, 0, 0, 9]];
        let estimate = Said::Estimate { bits_per_second: 1_000_000 };
        for kind in [SENDER_REPORT, RECEIVER_REPORT] {
            let whole = [&report(kind)[..], &pli, &remb.concat()].concat();
            assert_eq!(said(&whole), [expected, Said::WantsKeyframe, estimate]);
        }
        assert_eq!(said(&fir), [Said::WantsKeyframe]);
    }

    #[test]
    fn what_is_cut_short_or_too_large_says_nothing() {
        let whole = report(RECEIVER_REPORT);
        for length in 0..whole.len() {
            assert_eq!(said(&whole[..length]), []);
        }
        let mut greedy = report(RECEIVER_REPORT);
        greedy[0] = 0x9F;
        assert_eq!(said(&greedy).len(), 1, "31 reports are announced and one is there");
        assert_eq!(estimate(b"REMB\x01\xFF\xFF\xFF"), None, "more than 64 bits");
        let many = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9].repeat(100);
        assert_eq!(said(&many).len(), PACKETS_MAX);
    }
}

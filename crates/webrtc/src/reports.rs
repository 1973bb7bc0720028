//! RTCP between us and a viewer: the reports by which it puts picture and sound together, and what it says of the packets that came.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use str0m::rtp::rtcp::ReceptionReport;

/// What RTCP calls us, in the answer's words.
const NAME: &[u8] = b"weir";

const SENDER_REPORT: u8 = 200;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

/// NTP counts from 1900, and Unix from 1970.
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;

/// The loss is told over this long at least. Some viewers report with each repetition that they ask for, and of three packets one is soon lost.
const LOSS_OVER: Duration = Duration::from_millis(450);

/// Nobody gets more packets between two reports. A report that says so is wrong.
const EXPECTED_MAX: u32 = 1 << 20;

/// Tells the time of day of any moment. It goes as the machine's clock goes, and is never set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    at: Instant,
    since_1970: Duration,
}

impl WallClock {
    pub(crate) fn new(now: Instant) -> Self {
        // A clock that is set before 1970 makes times that are only wrong together.
        Self { at: now, since_1970: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// The seconds since 1900 in the upper 32 bits, and their fraction.
    fn ntp(&self, now: Instant) -> u64 {
        let unix = self.since_1970 + now.saturating_duration_since(self.at);
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        // The seconds have 32 bits, and go round in 2036.
        ((unix.as_secs() + NTP_TO_UNIX_SECONDS) << 32) | fraction
    }

    /// The part of it that a viewer sends back.
    #[expect(clippy::cast_possible_truncation, reason = "the middle 32 bits")]
    fn ntp_middle(&self, now: Instant) -> u32 {
        (self.ntp(now) >> 16) as u32
    }

    /// How long a packet is under way to the viewer and back, by what its report says of ours. None where it has seen none yet, or where the report
    /// can't be true.
    pub(crate) fn round_trip(&self, report: &ReceptionReport, now: Instant) -> Option<Duration> {
        let passed = self.ntp_middle(now).wrapping_sub(report.last_sr_time).wrapping_sub(report.last_sr_delay);
        // A viewer's clock is a little faster or slower than ours: a negative time is none.
        let seconds = f64::from(passed) / 65_536.0;
        (report.last_sr_time != 0 && seconds < 60.0).then(|| Duration::from_secs_f64(seconds))
    }
}

/// What a sender's report says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SenderReport {
    pub(crate) source: u32,
    /// The time now, by RTP's clock.
    pub(crate) ticks: u32,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// Reports of what is sent, and who sends it.
pub(crate) fn of_sender(reports: &[SenderReport], clock: &WallClock, now: Instant) -> Vec<u8> {
    let mut out = Vec::with_capacity(reports.len() * 44 + 4);
    for report in reports {
        head(&mut out, SENDER_REPORT, 0, 6);
        out.extend_from_slice(&report.source.to_be_bytes());
        out.extend_from_slice(&clock.ntp(now).to_be_bytes());
        out.extend_from_slice(&report.ticks.to_be_bytes());
        // Both counts go round.
        for count in [report.packets, report.bytes] {
            let [_, _, _, _, low @ ..] = count.to_be_bytes();
            out.extend_from_slice(&low);
        }
    }
    // Each source and its name: the kind of the entry, its length, the text, and zeros up to a multiple of four bytes.
    let words = (4 + 2 + NAME.len() + 1).div_ceil(4);
    head(&mut out, DESCRIPTION, reports.len(), reports.len() * words);
    for report in reports {
        let end = out.len() + words * 4;
        out.extend_from_slice(&report.source.to_be_bytes());
        out.extend_from_slice(&[1, NAME.len() as u8]);
        out.extend_from_slice(NAME);
        out.resize(end, 0);
    }
    out
}

pub(crate) fn goodbye(sources: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + sources.len() * 4);
    head(&mut out, GOODBYE, sources.len(), sources.len());
    sources.iter().for_each(|source| out.extend_from_slice(&source.to_be_bytes()));
    out
}

#[expect(clippy::cast_possible_truncation, reason = "two or three sources and some dozens of bytes")]
fn head(out: &mut Vec<u8>, kind: u8, count: usize, words: usize) {
    out.extend_from_slice(&[0x80 | count as u8, kind]);
    out.extend_from_slice(&(words as u16).to_be_bytes());
}

/// How much of what is sent gets lost, by the viewer's counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Losses {
    /// The highest number and the count of lost packets, when the loss was told last.
    highest: u32,
    lost: i32,
    at: Option<Instant>,
}

impl Losses {
    /// Before the first packet, whose number is one above this.
    #[expect(clippy::cast_possible_truncation, reason = "viewers see the lower bits")]
    pub(crate) fn new(before_first: u64) -> Self {
        Self { highest: before_first as u32, lost: 0, at: None }
    }

    /// Takes in a report, and tells in thousandths what was lost since the loss was told last; none where that is not long ago.
    pub(crate) fn permille(&mut self, report: &ReceptionReport, now: Instant) -> Option<u16> {
        if self.at.is_some_and(|at| now.saturating_duration_since(at) < LOSS_OVER) {
            return None;
        }
        let expected = report.max_seq.wrapping_sub(self.highest);
        // 24 bits with a sign: what comes twice makes it less.
        let lost = i32::from_be_bytes((report.packets_lost << 8).to_be_bytes()) >> 8;
        let more = lost.saturating_sub(self.lost).max(0).unsigned_abs();
        if expected == 0 {
            return None;
        }
        (self.highest, self.lost, self.at) = (report.max_seq, lost, Some(now));
        if expected > EXPECTED_MAX {
            return None;
        }
        u16::try_from(u64::from(more.min(expected)) * 1_000 / u64::from(expected)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(max_seq: u32, packets_lost: u32) -> ReceptionReport {
        let (last_sr_time, last_sr_delay) = (0, 0);
        ReceptionReport {
            ssrc: 1.into(),
            fraction_lost: 0,
            packets_lost,
            max_seq,
            jitter: 0,
            last_sr_time,
            last_sr_delay,
        }
    }

    #[test]
    fn reports_say_the_time_by_both_clocks_and_who_we_are() {
        let now = Instant::now();
        let clock = WallClock { at: now, since_1970: Duration::from_millis(1_500) };
        let said = SenderReport { source: 0x0102_0304, ticks: 7, packets: 5, bytes: (1 << 32) + 6 };
        let out = of_sender(&[said], &clock, now + Duration::from_millis(250));
        let seconds = (NTP_TO_UNIX_SECONDS as u32 + 1).to_be_bytes();
        let expected = [
            &[0x80, 200, 0, 6, 1, 2, 3, 4][..],
            &seconds,
            &[0xC0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 6],
            &[0x81, 202, 0, 3, 1, 2, 3, 4, 1, 4],
            b"weir\0\0",
        ];
        assert_eq!(out, expected.concat());
        assert_eq!(goodbye(&[1, 2]), [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    }

    #[test]
    fn the_round_trip_is_what_is_left_of_the_time_since_our_report() {
        let now = Instant::now();
        let clock = WallClock::new(now);
        let heard = |sent: Instant, held: Duration| ReceptionReport {
            last_sr_time: clock.ntp_middle(sent),
            last_sr_delay: (held.as_secs_f64() * 65_536.0) as u32,
            ..report(1, 0)
        };
        let later = now + Duration::from_millis(800);
        let rtt = clock.round_trip(&heard(now, Duration::from_millis(750)), later).unwrap();
        assert!(rtt.abs_diff(Duration::from_millis(50)) < Duration::from_millis(1), "{rtt:?}");
        assert_eq!(
            clock.round_trip(&heard(now, Duration::from_millis(900)), later),
            None,
            "it can't have held it so long"
        );
        assert_eq!(clock.round_trip(&report(1, 0), later), None, "it has seen none");
    }

    #[test]
    fn loss_is_told_over_half_a_second_by_counts() {
        let start = Instant::now();
        let mut losses = Losses::new(99);
        let told: Vec<Option<u16>> = [
            (0, 199, 10),
            // One of the three since then, asked for at once.
            (100, 202, 11),
            (900, 299, 12),
            // What was lost has come twice.
            (1_800, 399, 0xFF_FFFF),
            (2_700, 499, 50),
            // Nothing came at all.
            (3_600, 499, 50),
            (4_500, 0xF000_0000, 60),
            (5_400, 0xF000_0064, 160),
        ]
        .into_iter()
        .map(|(ms, highest, lost)| losses.permille(&report(highest, lost), start + Duration::from_millis(ms)))
        .collect();
        assert_eq!(told, [Some(100), None, Some(20), Some(0), Some(510), None, None, Some(1_000)]);
    }
}

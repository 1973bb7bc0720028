//! Slots on and off air: what is written to the program, frame by frame, with times passed in.

use bytes::Bytes;
use weir_hub::{Entry, StreamClock, Subscriber, WindowLimits};
use weir_media::{Codec, FrameFlags, MediaTime, TrackInfo};

use super::*;

const GOP_MS: u64 = 1_000;
const FRAME_MS: u64 = 40;

/// A stream with slots, whose program is followed from its beginning.
struct Rig {
    clock: StreamClock,
    began: Instant,
    slots: StreamSlots,
    program: Subscriber,
    written: Vec<Entry>,
}

/// A publisher whose pictures and sounds come on time, with its slot's number in their payloads.
struct Encoder {
    number: u8,
    session: SlotSession,
    _evicted: oneshot::Receiver<Eviction>,
    /// When it began, by which keyframes are set: they come `phase_ms` behind each whole second.
    phase_ms: u64,
    /// How far the clock of its stamps is off.
    skew_ms: u64,
    codec: Codec,
}

fn names(count: u8) -> Vec<Slot> {
    (0..count).map(|number| Slot::new(&format!("slot-{number}")).unwrap()).collect()
}

fn tracks(codec: Codec) -> Tracks {
    let info = |id, codec| Arc::new(TrackInfo::new(id, codec, Bytes::from_static(b"config")));
    Tracks::from_iter([info(TrackId::SOURCE_VIDEO, codec), info(TrackId::SOURCE_AUDIO, Codec::Aac)])
}

impl Rig {
    fn new(count: u8) -> Self {
        let hub = StreamHub::new(WindowLimits::FRAMES);
        let mut slots = StreamSlots::new(hub.clone(), SelectorRules::default());
        slots.arrange(&names(count), SelectorRules::default());
        let (clock, began) = (hub.clock().clone(), Instant::now());
        clock.time_at(began);
        Self { clock, began, slots, program: hub.source().subscribe(), written: Vec::new() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    fn connect(&mut self, number: u8, at_ms: u64) -> Encoder {
        let name = names(number + 1).pop().unwrap();
        let meter = Arc::new(IngestMeter::new("rtmp", name.clone(), "127.0.0.1:1".to_owned()));
        let now = self.at(at_ms);
        let (session, evicted) = self.slots.admit(&name, (&meter, WireClock::RTMP), now).unwrap();
        let phase_ms = u64::from(number) * 320;
        let encoder = Encoder {
            number,
            session,
            _evicted: evicted,
            phase_ms,
            skew_ms: u64::from(number) * 77_777,
            codec: Codec::H264,
        };
        self.slots.set_tracks(session, &tracks(encoder.codec));
        encoder
    }

    /// Has the encoders send what falls into this time, in the order of time, and gives the switches with their times.
    fn run(&mut self, encoders: &[&Encoder], from_ms: u64, to_ms: u64) -> Vec<(u64, Switched)> {
        let mut switches = Vec::new();
        for ms in (from_ms..to_ms).filter(|ms| ms % 20 == 0) {
            for encoder in encoders {
                let picture = ms % FRAME_MS == 0;
                let kinds = if picture { &[MediaKind::Audio, MediaKind::Video][..] } else { &[MediaKind::Audio] };
                for kind in kinds {
                    let switched = self.send(encoder, *kind, ms, ms);
                    switches.extend(switched.map(|switched| (ms, switched)));
                }
            }
        }
        switches
    }

    /// Sends one frame that was taken at `taken_ms` and comes at `at_ms`.
    fn send(&mut self, encoder: &Encoder, kind: MediaKind, taken_ms: u64, at_ms: u64) -> Option<Switched> {
        let now = self.at(at_ms);
        let (track, keyframe) = match kind {
            MediaKind::Video => (TrackId::SOURCE_VIDEO, taken_ms % GOP_MS == encoder.phase_ms),
            MediaKind::Audio => (TrackId::SOURCE_AUDIO, true),
        };
        let stamp = Stamp {
            track,
            kind,
            dts_ticks: taken_ms + encoder.skew_ms,
            cts_ticks: 0,
            came_at: self.clock.time_at(now),
        };
        let (stamped, _) = self.slots.stamp(encoder.session, &stamp)?;
        let flags = FrameFlags { keyframe, discontinuity: stamped.discontinuity };
        let payload = Bytes::copy_from_slice(&[&[encoder.number][..], &taken_ms.to_be_bytes()].concat());
        let frame = Frame { track, dts: stamped.dts, pts: stamped.pts, flags, payload };
        let switched = self.slots.frame(encoder.session, frame, kind, now);
        self.collect();
        switched
    }

    fn leave(&mut self, encoder: &Encoder, at_ms: u64) -> Option<Switched> {
        let switched = self.slots.leave(encoder.session, self.at(at_ms));
        self.collect();
        switched
    }

    fn collect(&mut self) {
        while let Some(next) = self.program.try_next() {
            let Next::Item(entry) = next else { panic!("{next:?}") };
            self.written.push(entry);
        }
    }

    /// All that the program was given, after a look whether its rules hold.
    fn written(&self) -> &[Entry] {
        let mut last = [MediaTime::from_nanos(-1); 2];
        let mut slot = None;
        for entry in &self.written {
            let last = &mut last[usize::from(entry.is_video())];
            assert!(entry.frame.dts > *last, "time goes on: {:?} after {last:?}", entry.frame.dts);
            *last = entry.frame.dts;
            if slot.replace(entry.frame.payload[0]) != Some(entry.frame.payload[0]) {
                assert!(entry.is_start(), "another slot begins with a keyframe");
            }
        }
        &self.written
    }

    /// The runs of pictures of one slot: the slot, the times of its first and last picture, and how many there are, in the milliseconds at
    /// which they were taken.
    fn runs(&self) -> Vec<(u8, u64, u64, u64)> {
        let mut runs: Vec<(u8, u64, u64, u64)> = Vec::new();
        for entry in self.written().iter().filter(|entry| entry.is_video()) {
            let (number, taken) = (entry.frame.payload[0], taken_ms(entry));
            match runs.last_mut().filter(|run| run.0 == number) {
                Some(run) => *run = (number, run.1, taken, run.3 + 1),
                None => runs.push((number, taken, taken, 1)),
            }
        }
        runs
    }

    /// The largest distance between where a frame lies on the program's time and when it was taken.
    fn error_ms(&self) -> i64 {
        let errors = self.written().iter().map(|entry| entry.frame.dts.as_millis() - taken_ms(entry).cast_signed());
        errors.map(i64::abs).max().unwrap_or(0)
    }
}

fn taken_ms(entry: &Entry) -> u64 {
    u64::from_be_bytes(entry.frame.payload[1..9].try_into().unwrap())
}

fn switched(from: u8, to: u8, cause: SwitchCause) -> Switched {
    let name = |number: u8| names(number + 1).pop().unwrap();
    Switched { from: name(from), to: name(to), cause }
}

#[test]
fn one_slot_goes_through_as_it_is() {
    let mut rig = Rig::new(1);
    let one = rig.connect(0, 0);
    rig.run(&[&one], 0, 3_000);
    rig.leave(&one, 3_000);
    let again = rig.connect(0, 3_400);
    rig.run(&[&again], 4_000, 5_000);
    assert_eq!(rig.runs(), [(0, 0, 4_960, 100)]);
    assert!(rig.slots.slots[0].standby.is_none(), "there is no second window");
}

#[test]
fn a_slot_that_closes_is_followed_by_the_keyframe_that_the_next_one_has() {
    let mut rig = Rig::new(2);
    let (one, two) = (rig.connect(0, 0), rig.connect(1, 0));
    assert_eq!(rig.run(&[&one, &two], 0, 2_300), []);
    // The keyframe of the second slot, at 1,320 ms, lies before the last picture of the first one: the next one is waited for.
    assert_eq!(rig.leave(&one, 2_300), None);
    assert_eq!(rig.run(&[&two], 2_300, 4_000), [(2_320, switched(0, 1, SwitchCause::Lost))]);
    assert_eq!(rig.runs(), [(0, 0, 2_280, 58), (1, 2_320, 3_960, 42)]);
    assert_eq!(rig.error_ms(), 0);
}

#[test]
fn a_slot_that_falls_silent_is_followed_by_what_the_next_one_has_sent_meanwhile() {
    let mut rig = Rig::new(2);
    let (one, two) = (rig.connect(0, 0), rig.connect(1, 0));
    rig.run(&[&one, &two], 0, 2_000);
    // The last picture came at 1,960 ms, and 1.5 s later that is a loss. The newest keyframe of the other slot came at 3,320 ms.
    assert_eq!(rig.run(&[&two], 2_000, 5_000), [(3_460, switched(0, 1, SwitchCause::Lost))]);
    assert_eq!(rig.runs(), [(0, 0, 1_960, 50), (1, 3_320, 4_960, 42)]);
    // What the first one sends late is nobody's any more, and it has to be well for five seconds before it comes back with a keyframe.
    for late in [2_000, 2_040, 3_000] {
        assert_eq!(rig.send(&one, MediaKind::Video, late, 5_000), None);
    }
    assert_eq!(rig.run(&[&one, &two], 5_000, 12_000), [(10_000, switched(1, 0, SwitchCause::Returned))]);
    assert_eq!(rig.runs()[2..], [(0, 10_000, 11_960, 50)]);
    assert_eq!(rig.runs()[1], (1, 3_320, 9_960, 167), "no picture is lost on the way back");
    assert!(rig.error_ms() <= 40, "{} ms", rig.error_ms());
}

#[test]
fn nothing_adds_up_over_a_hundred_switches() {
    let mut rig = Rig::new(2);
    let (one, two) = (rig.connect(0, 0), rig.connect(1, 0));
    rig.run(&[&one, &two], 0, 1_000);
    let mut at = 1_000;
    for turn in 0..100 {
        let to = u8::from(turn % 2 == 0);
        rig.slots.switch(Some(&names(to + 1)[usize::from(to)]), rig.at(at)).unwrap();
        let switches = rig.run(&[&one, &two], at, at + 2_000);
        assert_eq!(switches.len(), 1, "turn {turn}: {switches:?}");
        at += 2_000;
    }
    assert_eq!(rig.runs().len(), 101);
    assert!(rig.error_ms() <= FRAME_MS.cast_signed(), "{} ms", rig.error_ms());
    // Pictures stand at their own distance, but for the first one of each slot.
    let pictures: Vec<i64> =
        rig.written().iter().filter(|it| it.is_video()).map(|it| it.frame.dts.as_millis()).collect();
    let longest = pictures.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= 2 * FRAME_MS.cast_signed(), "{longest} ms");
}

#[test]
fn a_slot_that_runs_ahead_of_the_clock_leaves_no_hole_behind_it() {
    let mut rig = Rig::new(2);
    let (one, two) = (rig.connect(0, 0), rig.connect(1, 0));
    // The first one sends two seconds at once and stays ahead by that.
    for ms in (0..2_000).step_by(40) {
        rig.send(&one, MediaKind::Video, ms, 0);
    }
    for ms in (0..6_000).step_by(40) {
        rig.send(&two, MediaKind::Video, ms, ms);
        if ms < 3_000 {
            rig.send(&one, MediaKind::Video, ms + 2_000, ms);
        } else if ms == 3_000 {
            rig.leave(&one, ms);
        }
    }
    let runs = rig.runs();
    assert_eq!((runs[0].0, runs[1].0, runs[1].1), (0, 1, 3_320), "the next keyframe is taken: {runs:?}");
    let times: Vec<i64> = rig.written().iter().map(|entry| entry.frame.dts.as_millis()).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 40), "no time is missing");
}

#[test]
fn the_first_who_comes_is_on_air_and_all_who_go_end_the_source() {
    let mut rig = Rig::new(3);
    let two = rig.connect(1, 0);
    rig.run(&[&two], 0, 1_000);
    let one = rig.connect(0, 1_000);
    assert!(rig.slots.hub.pulse().attached);
    rig.leave(&two, 1_000);
    assert!(rig.slots.hub.pulse().attached, "a publisher is still there");
    assert_eq!(rig.run(&[&one], 1_000, 2_000), [(1_000, switched(1, 0, SwitchCause::Lost))]);
    rig.leave(&one, 2_000);
    assert!(!rig.slots.hub.pulse().attached);
    assert_eq!(rig.slots.hub.pulse().sessions, 1);
}

#[test]
fn other_codecs_come_with_their_tracks() {
    let mut rig = Rig::new(2);
    let one = rig.connect(0, 0);
    let two = Encoder { codec: Codec::H265, ..rig.connect(1, 0) };
    rig.slots.set_tracks(two.session, &tracks(Codec::H265));
    rig.run(&[&one, &two], 0, 1_500);
    rig.leave(&one, 1_500);
    rig.run(&[&two], 1_500, 4_000);
    for entry in rig.written() {
        let expected = if entry.frame.payload[0] == 0 { Codec::H264 } else { Codec::H265 };
        assert_eq!(entry.tracks.video().unwrap().codec, expected);
    }
    assert_eq!(rig.runs().len(), 2);
    let cuts: Vec<(bool, u64)> = rig
        .written()
        .iter()
        .filter(|it| it.frame.flags.discontinuity)
        .map(|it| (it.is_video(), taken_ms(it)))
        .collect();
    assert_eq!(cuts, [(true, 2_320), (false, 2_340)], "each track is cut once");
}

#[test]
fn slots_come_and_go_while_they_are_on_air() {
    let mut rig = Rig::new(1);
    let one = rig.connect(0, 0);
    rig.run(&[&one], 0, 1_000);
    rig.slots.arrange(&names(2), SelectorRules::default());
    let mut two = rig.connect(1, 1_000);
    assert_eq!(rig.run(&[&one, &two], 1_000, 3_000), [], "the one on air stays there");
    rig.slots.arrange(&names(2)[1..], SelectorRules::default());
    assert!(two._evicted.try_recv().is_err());
    rig.run(&[&one, &two], 3_000, 5_000);
    assert_eq!(rig.runs(), [(0, 0, 2_960, 75), (1, 3_320, 4_960, 42)]);
    assert!(rig.slots.slots[0].standby.is_none());
}

//! What comes of packets that are lost, late, or of nobody.

use super::*;

const SETS: &[u8] = &[
    0x78, 0, 25, 0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0, 0, 3, 0, 1, 0, 0, 3, 0, 0x32,
    0x0F, 0x16, 0x2E, 0x48, 0, 5, 0x68, 0xCB, 0x83, 0xCB, 0x20,
];
const IDR: &[u8] = &[0x65, 0x88, 1];
const SLICE: &[u8] = &[0x41, 0x9A, 2];

const MS: Duration = Duration::from_millis(1);

struct Publisher {
    frames: ToFrames,
    began: Instant,
    told: Vec<String>,
}

impl Publisher {
    fn new() -> Self {
        let began = Instant::now();
        Self { frames: ToFrames::new(began, Codec::H264, 1), began, told: Vec::new() }
    }

    /// A packet of the picture of that number, after so many ms.
    fn video(&mut self, at_ms: u32, number: u64, picture: u32, bytes: &[u8]) {
        self.packet(PacketKind::Video, 1, at_ms, number, picture.wrapping_mul(3_000), bytes);
    }

    fn packet(&mut self, kind: PacketKind, source: u32, at_ms: u32, number: u64, stamp: u32, bytes: &[u8]) {
        let came_at = self.began + MS * at_ms;
        let (marker, bytes) = (bytes != SETS, bytes.into());
        self.frames.packet(kind, Packet { source, number, stamp, marker, came_at, report: None, bytes });
        self.take();
    }

    fn due(&mut self, at_ms: u32) {
        self.frames.due(self.began + MS * at_ms);
        self.take();
    }

    fn take(&mut self) {
        while let Some(unpacked) = self.frames.next() {
            self.told.push(match unpacked {
                RtpUnpacked::Track(info) => format!("track {}", info.id.0),
                RtpUnpacked::Frame(frame) if frame.track == TrackId::SOURCE_AUDIO => "sound".to_owned(),
                RtpUnpacked::Frame(frame) if frame.keyframe => "keyframe".to_owned(),
                RtpUnpacked::Frame(_) => "picture".to_owned(),
            });
        }
    }

    fn keyframe(&mut self, at_ms: u32, number: u64, picture: u32) {
        self.video(at_ms, number, picture, SETS);
        self.video(at_ms, number + 1, picture, IDR);
    }

    fn wants_keyframe(&mut self, at_ms: u32) -> bool {
        self.frames.keyframe_wanted(self.began + MS * at_ms).is_some()
    }
}

#[test]
fn a_packet_that_is_repeated_in_time_costs_nothing() {
    let mut publisher = Publisher::new();
    publisher.keyframe(0, 1, 0);
    publisher.video(40, 4, 2, SLICE);
    assert!(!publisher.wants_keyframe(70), "it may still come");
    publisher.video(75, 3, 1, SLICE);
    assert_eq!(publisher.told, ["track 0", "keyframe", "picture", "picture"]);
    assert!(!publisher.wants_keyframe(1_000));
    assert_eq!(publisher.frames.deadline(), None);
    assert_eq!(publisher.frames.counts()[0], Counts { received: 4, missed: 1, lost: 0 });
}

#[test]
fn a_loss_is_answered_by_a_request_for_a_keyframe_within_100_ms() {
    let mut publisher = Publisher::new();
    publisher.keyframe(0, 1, 0);
    publisher.video(40, 4, 2, SLICE);
    assert_eq!(publisher.frames.deadline(), Some(publisher.began + MS * 95));
    assert!(!publisher.wants_keyframe(94) && publisher.wants_keyframe(95) && !publisher.wants_keyframe(96), "once");
    publisher.due(289);
    assert_eq!(publisher.told.len(), 2);
    publisher.due(290);
    assert_eq!((publisher.told.len(), publisher.frames.left_out()), (2, 1), "what builds on it is left out");
    // The keyframe does not come: it is asked for again, and not too often.
    assert!(!publisher.wants_keyframe(594) && publisher.wants_keyframe(595) && !publisher.wants_keyframe(700));
    publisher.video(700, 5, 3, SLICE);
    publisher.keyframe(730, 6, 4);
    publisher.video(760, 8, 5, SLICE);
    assert_eq!(publisher.told[2..], ["keyframe", "picture"]);
    assert!(!publisher.wants_keyframe(2_500));
    assert_eq!(publisher.frames.asked_for_loss(), 2);
    assert_eq!((publisher.frames.left_out(), publisher.frames.counts()[0].lost), (2, 1));
}

#[test]
fn the_request_leaves_time_for_a_repetition_and_comes_within_100_ms() {
    let began = Instant::now();
    // Each case has when the packet behind the lost one came, after the one in front of it, and when a keyframe is asked for.
    for (missing_ms, asked_ms) in [
        (0, 80),
        (1, 81),
        // The last packet of a picture at 60, 30, 24 and 15 pictures a second.
        (17, 95),
        (33, 95),
        (42, 95),
        (67, 97),
        // The camera stood still meanwhile, so nobody can tell when the packet was lost.
        (500, 530),
    ] {
        assert_eq!(given_up_at(began, began + MS * missing_ms), began + MS * asked_ms, "{missing_ms}");
        let mut publisher = Publisher::new();
        publisher.keyframe(0, 1, 0);
        publisher.video(missing_ms, 4, 2, SLICE);
        assert!(!publisher.wants_keyframe(asked_ms - 1) && publisher.wants_keyframe(asked_ms), "{missing_ms}");
        assert_eq!(publisher.frames.asked_for_loss(), 1, "it is counted");
    }
}

#[test]
fn an_encoder_that_makes_no_keyframes_by_itself_is_asked_every_two_seconds() {
    let mut publisher = Publisher::new();
    publisher.keyframe(0, 1, 0);
    assert!(!publisher.wants_keyframe(2_300), "its camera is off");
    publisher.video(2_200, 3, 66, SLICE);
    assert!(!publisher.wants_keyframe(2_299) && publisher.wants_keyframe(2_300), "it may have a rhythm of its own");
    publisher.keyframe(2_400, 4, 72);
    publisher.video(4_100, 6, 123, SLICE);
    assert!(!publisher.wants_keyframe(4_199) && publisher.wants_keyframe(4_200));
    publisher.video(5_900, 7, 177, SLICE);
    assert!(!publisher.wants_keyframe(5_999) && publisher.wants_keyframe(6_000), "and again if nothing comes of it");
    publisher.keyframe(6_100, 8, 183);
    publisher.keyframe(7_000, 10, 210);
    publisher.video(9_000, 12, 270, SLICE);
    assert!(!publisher.wants_keyframe(9_299) && publisher.wants_keyframe(9_300), "one came by itself");
    assert_eq!(publisher.frames.asked_for_loss(), 0);
}

#[test]
fn a_viewers_wish_is_passed_on_twice_a_second_at_most() {
    let mut publisher = Publisher::new();
    publisher.keyframe(0, 1, 0);
    publisher.frames.want_keyframe();
    assert!(publisher.wants_keyframe(10) && !publisher.wants_keyframe(10), "once");
    publisher.frames.want_keyframe();
    publisher.video(400, 3, 12, SLICE);
    assert!(!publisher.wants_keyframe(509) && publisher.wants_keyframe(510));
    publisher.frames.want_keyframe();
    publisher.keyframe(600, 4, 18);
    assert!(!publisher.wants_keyframe(1_100), "it came meanwhile");
    assert_eq!(publisher.frames.asked_for_loss(), 0);
}

#[test]
fn who_begins_without_a_keyframe_is_asked_for_one() {
    let mut publisher = Publisher::new();
    assert!(!publisher.wants_keyframe(0), "nobody is there yet");
    publisher.video(10, 1, 0, SETS);
    assert!(!publisher.wants_keyframe(10), "it is on its way");
    publisher.video(20, 2, 1, SLICE);
    assert!(publisher.wants_keyframe(20) && publisher.told == ["track 0"]);
}

#[test]
fn sound_goes_on_behind_what_is_lost_of_it() {
    let mut publisher = Publisher::new();
    let sound = |publisher: &mut Publisher, at_ms, number, bytes: &[u8]| {
        publisher.packet(PacketKind::Audio, 2, at_ms, number, 960 * number as u32, bytes);
    };
    sound(&mut publisher, 0, 1, &[0xFC, 1]);
    sound(&mut publisher, 20, 2, &[]);
    sound(&mut publisher, 60, 4, &[0xFC, 1]);
    publisher.due(119);
    assert_eq!(publisher.told, ["track 1", "sound"]);
    publisher.due(120);
    assert_eq!(publisher.told.len(), 3);
    assert!(!publisher.wants_keyframe(500));
}

#[test]
fn one_source_of_a_kind_is_listened_to_and_another_one_when_it_is_gone() {
    let mut publisher = Publisher::new();
    publisher.keyframe(0, 1, 0);
    publisher.packet(PacketKind::Video, 9, 500, 70, 7, SETS);
    publisher.packet(PacketKind::Video, 9, 500, 71, 7, IDR);
    assert_eq!(publisher.told.len(), 2, "a layer that was not agreed on");
    publisher.packet(PacketKind::Video, 9, 1_500, 80, 1_234_567, SLICE);
    assert!(publisher.wants_keyframe(1_500), "its numbers and times are its own");
    publisher.packet(PacketKind::Video, 9, 1_600, 81, 1_240_000, SETS);
    publisher.packet(PacketKind::Video, 9, 1_600, 82, 1_240_000, IDR);
    assert_eq!(publisher.told[2..], ["keyframe"]);
}

#[test]
fn b_frames_are_left_out_and_counted() {
    let mut publisher = Publisher::new();
    publisher.keyframe(0, 1, 0);
    publisher.video(40, 3, 3, SLICE);
    publisher.video(80, 4, 1, SLICE);
    publisher.video(120, 5, 6, SLICE);
    assert_eq!(publisher.told, ["track 0", "keyframe", "picture", "picture"]);
    assert_eq!((publisher.frames.reordered(), publisher.frames.left_out()), (1, 1));
}

//! Layers that come and go, as their packets and a clock of the test's own say.

use super::super::to_frames::{PacketKind, RtpUnpacked, ToFrames};
use super::*;

const MS: Duration = Duration::from_millis(1);
const OTHER: &[u8] = &[0x10, 0x11, 0x20, 0x00, 0x0F];

/// A layer's number, where its count of time begins, and its size.
type Of = (u32, u32, u16, u16);
const LOW: Of = (1, 4_000_000_000, 320, 180);
const MIDDLE: Of = (2, 77, 640, 360);
const HIGH: Of = (3, 1_000_000, 1280, 720);

fn keyframe((_, _, width, height): Of) -> Vec<u8> {
    let ([w1, w2], [h1, h2]) = (width.to_le_bytes(), height.to_le_bytes());
    vec![0x10, 0x10, 0xAE, 0x00, 0x9D, 0x01, 0x2A, w1, w2, h1, h2, 0x00]
}

struct Publisher {
    frames: ToFrames,
    began: Instant,
    numbers: [u64; 4],
    /// The widths of tracks, and the times of pictures in ms.
    told: Vec<(i64, String)>,
    /// Who was asked for a keyframe, and after how many ms.
    asked: Vec<(u64, u32)>,
}

impl Publisher {
    fn new(layers: usize) -> Self {
        let began = Instant::now();
        let frames = ToFrames::new(began, Codec::Vp8, layers);
        Self { frames, began, numbers: [1; 4], told: Vec::new(), asked: Vec::new() }
    }

    /// A picture of each of these layers; they make a keyframe where they were asked for one.
    fn pictures(&mut self, at_ms: u64, layers: &[Of]) {
        for &layer in layers {
            let (source, zero, ..) = layer;
            let asked = self.asked.iter().any(|(asked_ms, of)| *of == source && at_ms - asked_ms <= 33);
            let is_first = self.numbers[source as usize] == 1;
            let bytes = if asked || is_first { keyframe(layer) } else { OTHER.to_vec() };
            let number = self.numbers[source as usize];
            self.numbers[source as usize] += 1;
            let stamp = zero.wrapping_add(at_ms as u32 * 90);
            let came_at = self.began + MS * at_ms as u32;
            let packet = Packet { source, number, stamp, marker: true, came_at, report: None, bytes: bytes.into() };
            self.frames.packet(PacketKind::Video, packet);
        }
        let now = self.began + MS * at_ms as u32;
        self.asked.extend(self.frames.keyframe_wanted(now).map(|source| (at_ms, source)));
        while let Some(unpacked) = self.frames.next() {
            self.told.push(match unpacked {
                RtpUnpacked::Track(info) => (0, info.video.unwrap().width.to_string()),
                RtpUnpacked::Frame(frame) => {
                    (frame.ticks / 90, if frame.keyframe { "keyframe" } else { "" }.to_owned())
                }
            });
        }
    }

    fn flow(&mut self, from_ms: u64, to_ms: u64, layers: &[Of]) {
        (from_ms / 33..to_ms / 33).for_each(|at| self.pictures(at * 33, layers));
    }

    fn tracks(&self) -> Vec<&str> {
        self.told.iter().map(|(_, what)| what.as_str()).filter(|what| !["", "keyframe"].contains(what)).collect()
    }

    /// The longest time between two pictures, in ms. None if a picture came out of its order.
    fn longest_ms(&self) -> Option<i64> {
        let is_picture = |(at, _): &&(i64, String)| *at > 0;
        let times: Vec<i64> = self.told.iter().filter(is_picture).map(|(at, _)| *at).collect();
        let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
        if steps.clone().any(|step| step <= 0) { None } else { steps.max() }
    }
}

#[test]
fn the_largest_steady_layer_is_on_air_and_another_takes_over_when_it_stops() {
    let mut publisher = Publisher::new(3);
    publisher.flow(0, 1_000, &[LOW]);
    publisher.flow(1_000, 2_900, &[LOW, MIDDLE, HIGH]);
    assert_eq!(publisher.tracks(), ["320"], "the others have only just begun");
    publisher.flow(2_900, 5_000, &[LOW, MIDDLE, HIGH]);
    assert_eq!(publisher.tracks(), ["320", "1280"]);
    assert!(
        publisher.asked.iter().any(|(at_ms, of)| *of == 3 && (2_970..3_100).contains(at_ms)),
        "{:?}",
        publisher.asked
    );
    publisher.flow(5_000, 8_000, &[LOW, MIDDLE]);
    assert_eq!(publisher.tracks(), ["320", "1280", "640"]);
    // The largest comes back for a moment, which is not enough.
    publisher.flow(8_000, 9_000, &[LOW, MIDDLE, HIGH]);
    publisher.flow(9_000, 12_000, &[LOW, MIDDLE]);
    publisher.flow(12_000, 15_000, &[LOW]);
    assert_eq!(publisher.tracks(), ["320", "1280", "640", "320"]);
    // 300 ms until it has stopped, and two pictures until the keyframe comes; nothing is missed at the other changes.
    assert!(publisher.longest_ms().is_some_and(|ms| (300..=400).contains(&ms)), "{:?}", publisher.longest_ms());
    assert_eq!((publisher.frames.reordered(), publisher.frames.left_out()), (0, 0));
}

#[test]
fn there_is_room_for_what_was_agreed_on_and_for_who_comes_after_it() {
    let mut publisher = Publisher::new(1);
    publisher.flow(0, 1_000, &[LOW, HIGH]);
    assert_eq!((publisher.tracks(), publisher.frames.counts()[0].received), (vec!["320"], 30));
    publisher.numbers[3] = 1;
    publisher.flow(2_100, 3_000, &[HIGH]);
    assert_eq!(publisher.tracks(), ["320", "1280"]);
    assert!(publisher.frames.counts()[0].received > 50, "what is gone still counts");
}

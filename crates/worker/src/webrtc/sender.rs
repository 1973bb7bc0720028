//! Puts one viewer's packets into its `webrtcbin`. The payloads are shared with all viewers of a rendition; a packet adds twelve bytes of
//! header to one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use weir_media::MediaTime;

use super::gate::Gate;

/// A payload in GStreamer's memory, and what each viewer's header says of it.
pub(crate) struct ReadyPayload {
    pub(crate) is_picture: bool,
    pub(crate) marker: bool,
    pub(crate) time: MediaTime,
    pub(crate) memory: gst::Memory,
}

/// One of the two media.
pub(crate) struct Track {
    pub(crate) pad: gst::Pad,
    pub(crate) number: u8,
    pub(crate) source: u32,
    pub(crate) clock_hz: u32,
    /// The sequence number of the next packet.
    pub(crate) next: u16,
}

pub(crate) struct Sender {
    pub(crate) gate: Arc<Gate>,
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) picture: Option<Track>,
    pub(crate) sound: Option<Track>,
    /// A running time of the pipeline, and the time on the stream's timeline that belongs to it. RTCP's reports are made from it.
    pub(crate) anchor: Option<(gst::ClockTime, MediaTime)>,
    /// The difference between RTP's clock and the time of pictures. It changes when another rendition is spliced in.
    pub(crate) shift: MediaTime,
    /// When the last picture was written, and its time by RTP's clock.
    pub(crate) newest: Option<(Instant, MediaTime)>,
}

impl Sender {
    /// Lets the pictures of another rendition follow, as `str0m`'s peer does: by RTP's clock as long after the last one as it really is.
    pub(crate) fn splice(&mut self, time: MediaTime, now: Instant) {
        let Some((written, last)) = self.newest else { return };
        let passed = now.saturating_duration_since(written).max(Duration::from_millis(1));
        self.shift = last + MediaTime::from_nanos(i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX)) - time;
    }

    pub(crate) fn write(&mut self, payloads: &[&ReadyPayload], newest: MediaTime, now: Instant) {
        if !self.gate.is_open() {
            return;
        }
        let Some(running) = self.pipeline.current_running_time() else { return };
        let (then, time) = *self.anchor.get_or_insert((running, newest));
        let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
        for payload in payloads {
            let (track, packets) = match payload.is_picture {
                true => (&mut self.picture, &mut pictures),
                false => (&mut self.sound, &mut sounds),
            };
            let Some(track) = track else { continue };
            let by_rtp = if payload.is_picture { payload.time + self.shift } else { payload.time };
            if payload.is_picture {
                self.newest = Some((now, by_rtp));
            }
            let shown = running_time(then, time, payload.time).min(running);
            packets.extend(track.packet(payload, by_rtp, shown));
        }
        for (track, packets) in [(&self.picture, pictures), (&self.sound, sounds)] {
            if let Some(track) = track
                && !packets.is_empty()
            {
                // A pad that takes nothing belongs to a connection that is over, which is told elsewhere.
                let _ = track.pad.push_list(packets.into_iter().collect());
            }
        }
    }
}

/// The running time that belongs to a time on the stream's timeline.
fn running_time(then: gst::ClockTime, anchor: MediaTime, time: MediaTime) -> gst::ClockTime {
    let nanos = time.as_nanos().saturating_sub(anchor.as_nanos());
    let moved = i64::try_from(then.nseconds()).unwrap_or(i64::MAX).saturating_add(nanos);
    gst::ClockTime::from_nseconds(u64::try_from(moved).unwrap_or(0))
}

impl Track {
    fn packet(&mut self, payload: &ReadyPayload, by_rtp: MediaTime, shown: gst::ClockTime) -> Option<gst::Buffer> {
        // RTP's clock has 32 bits and goes round. Receivers know that.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is left is time modulo 2^32")]
        let ticks = by_rtp.as_ticks(self.clock_hz) as u32;
        let [high, low] = self.next.to_be_bytes();
        self.next = self.next.wrapping_add(1);
        let mut header = vec![0x80, self.number | u8::from(payload.marker) << 7, high, low];
        header.extend_from_slice(&ticks.to_be_bytes());
        header.extend_from_slice(&self.source.to_be_bytes());
        let mut packet = gst::Buffer::from_slice(header);
        let writable = packet.get_mut()?;
        writable.append_memory(payload.memory.clone());
        writable.set_pts(shown);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_the_start_is_at_the_start() {
        let at = MediaTime::from_millis;
        let then = gst::ClockTime::from_mseconds(100);
        let running = |time| running_time(then, at(5_000), at(time)).mseconds();
        assert_eq!([running(5_000), running(5_040), running(4_950), running(0)], [100, 140, 50, 0]);
    }

    #[test]
    fn a_packet_has_its_header_before_the_shared_payload() {
        gst::init().unwrap();
        let pad = gst::Pad::new(gst::PadDirection::Src);
        let mut track = Track { pad, number: 102, source: 7, clock_hz: 90_000, next: 65_535 };
        let memory = gst::Memory::from_slice([1, 2, 3]);
        let payload = ReadyPayload { is_picture: true, marker: true, time: MediaTime::ZERO, memory };
        let mut packet = |time| track.packet(&payload, MediaTime::from_millis(time), gst::ClockTime::ZERO).unwrap();
        let (first, second) = (packet(1_000), packet(-1));
        let bytes = |packet: &gst::Buffer| packet.map_readable().unwrap().to_vec();
        assert_eq!(bytes(&first), [0x80, 102 | 0x80, 0xFF, 0xFF, 0, 1, 0x5F, 0x90, 0, 0, 0, 7, 1, 2, 3]);
        assert_eq!(bytes(&second)[2..8], [0, 0, 0xFF, 0xFF, 0xFF, 0xA6], "both numbers go round");
    }
}

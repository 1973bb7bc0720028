//! The gate between a viewer's network and its `webrtcbin`. GStreamer before the middle of 2026 lets a far end in whatever certificate it
//! shows (Debian 12 has 1.22), so the certificate is compared with the offer's here. It is seen while the handshake is under way: where it
//! is another one, nothing goes in or out any more, and the handshake never ends. Media goes through only once the right one was seen.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use gstreamer as gst;
use gstreamer::prelude::*;
use weir_webrtc::sdp::Fingerprint;
use weir_webrtc::webrtcbin::fingerprint_of_pem;

/// No certificate was seen, the right one was, or another one was, which is for ever.
const CLOSED: u8 = 0;
const OPEN: u8 = 1;
const BARRED: u8 = 2;

/// The first byte of a record of DTLS, and of RTP and RTCP (RFC 7983).
const DTLS: std::ops::RangeInclusive<u8> = 20..=63;
const MEDIA: std::ops::RangeInclusive<u8> = 128..=191;

/// The packets of RTCP have these types, where RTP has its payload types (RFC 5761).
const RTCP: std::ops::RangeInclusive<u8> = 192..=223;

pub(crate) struct Gate {
    state: AtomicU8,
    expected: Fingerprint,
    /// Called once, when another certificate than the expected one is shown.
    barred: Box<dyn Fn() + Send + Sync>,
    has_barred: AtomicBool,
    /// The sources that are counted: those of the picture and of its repetitions, and that of the sound. 0 is none.
    pub(crate) sources: [AtomicU32; 3],
    sent_bytes: [AtomicU64; 3],
    /// How many ways in and out, and how many ends of DTLS, the gate stands at.
    ways_in: AtomicU32,
    ways_out: AtomicU32,
    ends: AtomicU32,
}

impl Gate {
    pub(crate) fn new(expected: Fingerprint, barred: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(CLOSED),
            expected,
            barred: Box::new(barred),
            has_barred: AtomicBool::new(false),
            sources: Default::default(),
            sent_bytes: Default::default(),
            ways_in: AtomicU32::new(0),
            ways_out: AtomicU32::new(0),
            ends: AtomicU32::new(0),
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::SeqCst) == OPEN
    }

    pub(crate) fn is_barred(&self) -> bool {
        self.state.load(Ordering::SeqCst) == BARRED
    }

    /// The bytes that were sent of the picture, repetitions included, and of the sound.
    pub(crate) fn sent_bytes(&self) -> (u64, u64) {
        let [picture, repeated, sound] = [0, 1, 2].map(|at| self.sent_bytes[at].load(Ordering::Relaxed));
        (picture + repeated, sound)
    }

    /// Whether the gate stands at every way. Where GStreamer is built otherwise than expected, nobody may come in.
    pub(crate) fn stands(&self) -> bool {
        let [ways_in, ways_out, ends] = [&self.ways_in, &self.ways_out, &self.ends].map(|it| it.load(Ordering::SeqCst));
        ways_in >= 1 && ways_in == ways_out && ends >= 1
    }

    /// Puts the gate up in a `webrtcbin` that is still empty. The ends of DTLS get their certificate here, too.
    pub(crate) fn put_up(self: &Arc<Self>, webrtcbin: &gst::Bin, pem: Arc<str>) {
        let gate = Arc::downgrade(self);
        webrtcbin.connect_deep_element_added(move |_, _, element| {
            let Some(gate) = gate.upgrade() else { return };
            let factory = element.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
            match factory.as_str() {
                "dtlsdec" => gate.watch_end(element, &pem),
                "nicesrc" => gate.watch_way(element.static_pad("src"), &gate.ways_in, false),
                "nicesink" => gate.watch_way(element.static_pad("sink"), &gate.ways_out, true),
                _ => {}
            }
        });
    }

    fn watch_end(self: &Arc<Self>, dtls: &gst::Element, pem: &str) {
        if dtls.find_property("pem").is_none() || dtls.find_property("peer-pem").is_none() {
            return;
        }
        dtls.set_property("pem", pem);
        let gate = Arc::downgrade(self);
        // GStreamer notifies from within the check of the certificate, before it answers the handshake.
        dtls.connect_notify(Some("peer-pem"), move |dtls, _| {
            if let Some(gate) = gate.upgrade() {
                gate.judge(dtls.property::<Option<String>>("peer-pem").as_deref());
            }
        });
        self.ends.fetch_add(1, Ordering::SeqCst);
    }

    /// The far end shows this certificate. One that is wrong can't be made good by another one later.
    fn judge(&self, pem: Option<&str>) {
        if pem.and_then(fingerprint_of_pem) == Some(self.expected) {
            let _ = self.state.compare_exchange(CLOSED, OPEN, Ordering::SeqCst, Ordering::SeqCst);
            return;
        }
        self.state.store(BARRED, Ordering::SeqCst);
        if !self.has_barred.swap(true, Ordering::SeqCst) {
            (self.barred)();
        }
    }

    fn watch_way(self: &Arc<Self>, pad: Option<gst::Pad>, ways: &AtomicU32, is_out: bool) {
        let Some(pad) = pad else { return };
        let gate: Weak<Self> = Arc::downgrade(self);
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |_, info| {
            let lets = |gate: Arc<Self>| match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => gate.lets(buffer, is_out),
                Some(gst::PadProbeData::BufferList(list)) => list.iter().all(|buffer| gate.lets(buffer, is_out)),
                _ => true,
            };
            // What is handled is gone with this. `Drop` would say the same, and make GStreamer 1.22 complain of what is not there any more.
            if gate.upgrade().is_some_and(lets) { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Handled }
        });
        ways.fetch_add(1, Ordering::SeqCst);
    }

    fn lets(&self, buffer: &gst::BufferRef, is_out: bool) -> bool {
        let mut head = [0; 12];
        let length = buffer.size().min(head.len());
        if buffer.copy_to_slice(0, &mut head[..length]).is_err() {
            return false;
        }
        let state = self.state.load(Ordering::SeqCst);
        let lets = passes(head.get(..length).and_then(<[u8]>::first).copied(), state);
        if lets && is_out {
            self.count(&head, buffer.size());
        }
        lets
    }

    fn count(&self, head: &[u8; 12], bytes: usize) {
        let [first, kind, .., a, b, c, d] = *head;
        if !MEDIA.contains(&first) || RTCP.contains(&kind) {
            return;
        }
        let source = u32::from_be_bytes([a, b, c, d]);
        for (known, sent) in self.sources.iter().zip(&self.sent_bytes) {
            if known.load(Ordering::Relaxed) == source {
                sent.fetch_add(bytes as u64, Ordering::Relaxed);
            }
        }
    }
}

/// Whether what begins with this byte goes through.
fn passes(first: Option<u8>, state: u8) -> bool {
    match first {
        Some(first) if DTLS.contains(&first) => state != BARRED,
        Some(first) if MEDIA.contains(&first) => state == OPEN,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_waits_for_the_right_certificate_and_nothing_passes_after_a_wrong_one() {
        for (state, handshake, media) in [(CLOSED, true, false), (OPEN, true, true), (BARRED, false, false)] {
            assert_eq!((passes(Some(22), state), passes(Some(0x80), state)), (handshake, media), "{state}");
            assert!(!passes(Some(0), state) && !passes(None, state) && !passes(Some(0xFF), state));
        }
    }

    #[test]
    fn a_wrong_certificate_is_not_made_good_by_the_right_one() {
        let (right, wrong) = (weir_webrtc::webrtcbin::Passport::make(), weir_webrtc::webrtcbin::Passport::make());
        let (right, wrong) = (right.unwrap(), wrong.unwrap());
        for (shown, is_open) in [
            (&[Some(&right.pem)][..], true),
            (&[Some(&right.pem), Some(&right.pem)], true),
            (&[Some(&wrong.pem)], false),
            (&[Some(&wrong.pem), Some(&right.pem)], false),
            (&[Some(&right.pem), Some(&wrong.pem)], false),
            (&[None], false),
            (&[], false),
        ] {
            let told = Arc::new(AtomicU32::new(0));
            let count = Arc::clone(&told);
            let gate = Gate::new(right.fingerprint, move || _ = count.fetch_add(1, Ordering::SeqCst));
            shown.iter().for_each(|pem| gate.judge(pem.map(String::as_str)));
            assert_eq!((gate.is_open(), gate.is_barred()), (is_open, !is_open && !shown.is_empty()));
            assert_eq!(told.load(Ordering::SeqCst), u32::from(gate.is_barred()));
            assert!(!gate.stands());
        }
    }
}

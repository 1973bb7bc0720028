//! One viewer's `webrtcbin`, behind its gate: set up in the order that works in GStreamer 1.22, and taken down.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_sdp::SDPMessage;
use gstreamer_webrtc::{
    WebRTCICEGatheringState, WebRTCPeerConnectionState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection,
    WebRTCSDPType, WebRTCSessionDescription,
};
use weir_media::MediaTime;
use weir_webrtc::webrtcbin::{Far, FarMedia, FromProcess, Ours, Passport, Said, WhyOver, read_rtcp};

use super::answer;
use super::gate::Gate;
use super::ice;
use super::outbox::Outbox;
use super::rebuilt_offer::offer_of;
use super::sender::{Sender, Track};

/// How long `webrtcbin` may take for one step. Each takes milliseconds.
const STEP_WITHIN: Duration = Duration::from_secs(2);

/// The first sequence number is below this, far from where the numbers go round: SRTP counts the rounds from the start.
const FIRST_NUMBER_BELOW: u16 = 1 << 14;

/// What all viewers' ends have in common.
pub(crate) struct Common {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: (u16, u16),
    pub(crate) passport: Passport,
    pub(crate) pem: Arc<str>,
    pub(crate) outbox: Outbox,
}

pub(crate) struct Peer {
    pipeline: gst::Pipeline,
    webrtcbin: gst::Element,
    pads: Vec<gst::Pad>,
    pub(crate) gate: Arc<Gate>,
}

impl Peer {
    /// Makes our end for a viewer. The server is told of the viewer under this number.
    pub(crate) fn open(number: u32, far: &Far, common: &Common) -> Result<(Self, Sender, Ours), String> {
        let outbox = common.outbox.clone();
        let barred = outbox.clone();
        let gate = Gate::new(far.fingerprint, move || {
            barred.say(FromProcess::Over { viewer: number, why: WhyOver::Fault });
        });
        let webrtcbin = gst::ElementFactory::make("webrtcbin").name("webrtcbin").build();
        let webrtcbin = webrtcbin.map_err(|_| "GStreamer has no webrtcbin here (gstreamer1.0-plugins-bad)")?;
        webrtcbin.set_property_from_str("bundle-policy", "max-bundle");
        webrtcbin.set_property("latency", 0_u32);
        let pipeline = gst::Pipeline::new();
        pipeline.add(&webrtcbin).map_err(|error| error.to_string())?;
        let clock = gst::SystemClock::obtain();
        pipeline.use_clock(Some(&clock));
        let mut peer = Self { pipeline, webrtcbin, pads: Vec::new(), gate };
        // The peer takes its pipeline down where anything goes wrong.
        let (sender, ours) = peer.negotiate(number, far, common)?;
        Ok((peer, sender, ours))
    }

    fn negotiate(&mut self, number: u32, far: &Far, common: &Common) -> Result<(Sender, Ours), String> {
        let as_bin = self.webrtcbin.downcast_ref::<gst::Bin>().ok_or("webrtcbin is no bin")?.clone();
        ice::set_up(&self.webrtcbin, &common.addresses, common.ports)?;
        self.gate.put_up(&as_bin, Arc::clone(&common.pem));
        self.tell_state(number, &common.outbox);
        self.pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
        let offer = SDPMessage::parse_buffer(offer_of(far).as_bytes()).map_err(|error| error.to_string())?;
        self.step("set-remote-description", &WebRTCSessionDescription::new(WebRTCSDPType::Offer, offer))?;
        let media = [far.video.map(|media| (media, true)), far.audio.map(|media| (media, false))];
        let mut tracks = [None, None];
        for (at, (media, is_picture)) in media.into_iter().flatten().enumerate() {
            let track = self.track(at, media, is_picture)?;
            tracks[usize::from(!is_picture)] = Some(track);
        }
        let answer = self.ask("create-answer")?;
        let answer = answer.get::<WebRTCSessionDescription>("answer").map_err(|_| "webrtcbin made no answer")?;
        self.step("set-local-description", &answer)?;
        self.gathered()?;
        let local = self.webrtcbin.property::<Option<WebRTCSessionDescription>>("local-description");
        let text = local.and_then(|local| local.sdp().as_text().ok()).ok_or("webrtcbin lost its answer")?;
        let said = answer::read(&text)?;
        if !self.gate.stands() {
            return Err("this version of GStreamer builds webrtcbin otherwise, and its gate can't be put up".to_owned());
        }
        let [picture, sound] = tracks;
        let source = |track: &Option<Track>| track.as_ref().map(|track| track.source);
        let repeats = far.video.and_then(|video| video.repeats).and(said.repeats);
        let sources = [source(&picture), repeats, source(&sound)];
        for (known, source) in self.gate.sources.iter().zip(sources) {
            known.store(source.unwrap_or(0), std::sync::atomic::Ordering::Relaxed);
        }
        self.listen(number, &as_bin, source(&picture), &common.outbox)?;
        let ours = Ours {
            ufrag: said.ufrag,
            password: said.password,
            fingerprint: common.passport.fingerprint,
            addresses: said.addresses,
            video_ssrc: sources[0],
            repeats_ssrc: repeats,
            audio_ssrc: sources[2],
        };
        let (gate, pipeline) = (Arc::clone(&self.gate), self.pipeline.clone());
        let sender = Sender { gate, pipeline, picture, sound, anchor: None, shift: MediaTime::ZERO, newest: None };
        Ok((sender, ours))
    }

    fn tell_state(&self, viewer: u32, outbox: &Outbox) {
        let (gate, outbox) = (Arc::clone(&self.gate), outbox.clone());
        self.webrtcbin.connect_notify(Some("connection-state"), move |webrtcbin, _| match state(webrtcbin) {
            WebRTCPeerConnectionState::Connected if gate.is_open() => outbox.say(FromProcess::Connected { viewer }),
            WebRTCPeerConnectionState::Failed | WebRTCPeerConnectionState::Closed => {
                outbox.say(FromProcess::Over { viewer, why: WhyOver::Left });
            }
            _ => {}
        });
    }

    /// Makes the way in for one of the media, which is the section of that number in the offer.
    fn track(&mut self, at: usize, media: FarMedia, is_picture: bool) -> Result<Track, String> {
        let (kind, codec, clock_hz) =
            if is_picture { ("video", "H264", 90_000_i32) } else { ("audio", "OPUS", 48_000) };
        let number = media.number;
        let source = random().max(1);
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", kind)
            .field("encoding-name", codec)
            .field("payload", i32::from(number))
            .field("clock-rate", clock_hz);
        let caps = if is_picture { caps.field("packetization-mode", "1") } else { caps.field("encoding-params", "2") };
        let preferred = caps.build();
        let mut sent = preferred.clone();
        sent.make_mut().set("ssrc", source);
        let template = self.webrtcbin.pad_template("sink_%u").ok_or("webrtcbin has no way in")?;
        let sink = self.webrtcbin.request_pad(&template, Some(&format!("sink_{at}")), Some(&sent));
        let sink = sink.ok_or("webrtcbin takes no media")?;
        let transceiver: WebRTCRTPTransceiver = sink.property("transceiver");
        transceiver.set_direction(WebRTCRTPTransceiverDirection::Sendonly);
        transceiver.set_codec_preferences(Some(&preferred));
        if media.repeats.is_some() {
            transceiver.set_property("do-nack", true);
        }
        let pad = gst::Pad::builder(gst::PadDirection::Src)
            .name(format!("{kind}_{at}"))
            .query_function(|pad, parent, query| match query.view_mut() {
                gst::QueryViewMut::Latency(latency) => {
                    latency.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                    true
                }
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .build();
        pad.set_active(true).map_err(|error| error.to_string())?;
        pad.link(&sink).map_err(|error| error.to_string())?;
        pad.push_event(gst::event::StreamStart::builder(kind).build());
        pad.push_event(gst::event::Caps::new(&sent));
        pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        self.pads.push(pad.clone());
        let next = u16::try_from(random() % u32::from(FIRST_NUMBER_BELOW)).unwrap_or(1);
        Ok(Track { pad, number, source, clock_hz: clock_hz.unsigned_abs(), next })
    }

    /// Listens to what the viewer says by RTCP.
    fn listen(&self, viewer: u32, webrtcbin: &gst::Bin, picture: Option<u32>, outbox: &Outbox) -> Result<(), String> {
        let rtpbin = webrtcbin.by_name("rtpbin").ok_or("webrtcbin has no rtpbin")?;
        let session = rtpbin.emit_by_name::<Option<glib::Object>>("get-internal-session", &[&0_u32]);
        let session = session.ok_or("webrtcbin has no session of RTP")?;
        let (gate, outbox) = (Arc::downgrade(&self.gate), outbox.clone());
        session.connect("on-receiving-rtcp", false, move |values| {
            let gate = gate.upgrade().filter(|gate| gate.is_open())?;
            let buffer = values.get(1)?.get::<gst::Buffer>().ok()?;
            let datagram = buffer.map_readable().ok()?;
            let now = ntp_middle(SystemTime::now());
            read_rtcp(&datagram, |said| outbox.say(fact(viewer, said, picture, gate.sent_bytes(), now)));
            None
        });
        Ok(())
    }

    fn step(&self, name: &str, description: &WebRTCSessionDescription) -> Result<(), String> {
        self.promised(name, |promise| self.webrtcbin.emit_by_name::<()>(name, &[description, promise])).map(drop)
    }

    fn ask(&self, name: &str) -> Result<gst::Structure, String> {
        let none: Option<gst::Structure> = None;
        let reply = self.promised(name, |promise| self.webrtcbin.emit_by_name::<()>(name, &[&none, promise]))?;
        reply.ok_or_else(|| format!("webrtcbin gave nothing for {name}"))
    }

    fn promised(&self, name: &str, ask: impl FnOnce(&gst::Promise)) -> Result<Option<gst::Structure>, String> {
        let (reply, replied) = sync_channel(1);
        let promise = gst::Promise::with_change_func(move |outcome| {
            let _ = reply.try_send(match outcome {
                Ok(structure) => Ok(structure.map(gst::StructureRef::to_owned)),
                Err(error) => Err(format!("{error:?}")),
            });
        });
        ask(&promise);
        let outcome = match replied.recv_timeout(STEP_WITHIN) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err("it takes too long".to_owned()),
            Err(RecvTimeoutError::Disconnected) => Err("it was given up".to_owned()),
        };
        let structure = outcome.map_err(|error| format!("webrtcbin: {name}: {error}"))?;
        match structure.as_ref().and_then(|structure| structure.get::<glib::Error>("error").ok()) {
            Some(error) => Err(format!("webrtcbin: {name}: {error}")),
            None => Ok(structure),
        }
    }

    /// Waits until all of our addresses are known.
    fn gathered(&self) -> Result<(), String> {
        let (done, is_done) = sync_channel(1);
        let state = |webrtcbin: &gst::Element| webrtcbin.property::<WebRTCICEGatheringState>("ice-gathering-state");
        let handler = self.webrtcbin.connect_notify(Some("ice-gathering-state"), move |webrtcbin, _| {
            if state(webrtcbin) == WebRTCICEGatheringState::Complete {
                let _ = done.try_send(());
            }
        });
        let waited = match state(&self.webrtcbin) {
            WebRTCICEGatheringState::Complete => Ok(()),
            _ => is_done.recv_timeout(STEP_WITHIN),
        };
        self.webrtcbin.disconnect(handler);
        waited.map_err(|_| "libnice did not find this machine's addresses in time".to_owned())
    }
}

impl Drop for Peer {
    /// Takes it down. It must not be dropped on one of its own threads.
    fn drop(&mut self) {
        for pad in &self.pads {
            let _ = pad.set_active(false);
        }
        let _ = self.pipeline.set_state(gst::State::Null);
        for pad in &self.pads {
            if let Some(sink) = pad.peer() {
                let _ = pad.unlink(&sink);
            }
        }
    }
}

fn state(webrtcbin: &gst::Element) -> WebRTCPeerConnectionState {
    webrtcbin.property("connection-state")
}

/// Makes a message to the server of what the viewer said. `now` is the middle of the time as NTP counts it.
fn fact(viewer: u32, said: Said, picture: Option<u32>, sent: (u64, u64), now: u32) -> FromProcess {
    match said {
        Said::WantsKeyframe => FromProcess::WantsKeyframe { viewer },
        Said::Estimate { bits_per_second } => FromProcess::Estimate { viewer, bits_per_second },
        Said::Report { source, lost_of_256, our_report, since_then } => {
            let is_picture = picture == Some(source);
            let rtt = now.wrapping_sub(our_report).wrapping_sub(since_then);
            // A clock that was set in between makes it absurd.
            let rtt_ms = (our_report != 0 && rtt < 1 << 20).then(|| (u64::from(rtt) * 1_000 / 65_536) as u32);
            FromProcess::Report {
                viewer,
                picture: is_picture,
                loss_permille: (u32::from(lost_of_256) * 1_000 / 256) as u16,
                rtt_ms,
                bytes: if is_picture { sent.0 } else { sent.1 },
            }
        }
    }
}

/// The middle 32 bits of the time as NTP counts it: 65,536ths of a second.
fn ntp_middle(time: SystemTime) -> u32 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let fraction = u64::from(since.subsec_nanos()) * 65_536 / 1_000_000_000;
    // NTP counts from 1900.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half of the seconds, and their fraction")]
    let middle = ((since.as_secs() + 2_208_988_800) << 16 | fraction) as u32;
    middle
}

fn random() -> u32 {
    // Where the system has no random number to give, a clock does: the sources of one viewer need only differ.
    getrandom::u32().unwrap_or_else(|_| Instant::now().elapsed().subsec_nanos() | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_told_with_loss_and_round_trip() {
        let report = |source, our_report, since_then| Said::Report { source, lost_of_256: 64, our_report, since_then };
        let told = |said| fact(3, said, Some(5), (1_000, 20), 10 << 16);
        let expected =
            |picture, rtt_ms, bytes| FromProcess::Report { viewer: 3, picture, loss_permille: 250, rtt_ms, bytes };
        // The report was sent at 9 s, and lay there for 0.75 s.
        assert_eq!(told(report(5, 9 << 16, 3 << 14)), expected(true, Some(250), 1_000));
        assert_eq!(told(report(6, 0, 0)), expected(false, None, 20));
        assert_eq!(told(report(5, 11 << 16, 0)), expected(true, None, 1_000), "from the future");
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(ntp_middle(time), ((2_208_988_801_u64 << 16 | 32_768) & 0xFFFF_FFFF) as u32);
    }
}

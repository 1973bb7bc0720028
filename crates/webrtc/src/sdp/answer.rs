//! Writes the answer line by line, from what offer and rendition agree on.

use std::fmt::Write;
use std::net::SocketAddr;

use super::offer::{Extensions, Kind, Offer, Payload, Section, Setup};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
}

/// An address at which the far end may try to reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub transport: Transport,
    pub address: SocketAddr,
}

/// How the picture, or the sound, is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) payload: &'a Payload,
    pub(crate) ssrc: u32,
    /// The payload and the SSRC of repetitions, if the far end takes them.
    pub(crate) repeats: Option<(&'a Payload, u32)>,
}

/// How one kind of media is received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) payload: &'a Payload,
    pub(crate) repeats: Option<&'a Payload>,
    /// The names of the layers, where there are several.
    pub(crate) layers: &'a [String],
}

/// What becomes of one section.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Agreed<'a> {
    Sent(Sent<'a>),
    Received(Received<'a>),
}

/// What an answer says. [`Answer::write`] writes it.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) offer: &'a Offer,
    /// We look for nobody: the far end has to find us.
    pub(crate) is_lite: bool,
    pub(crate) ufrag: &'a str,
    pub(crate) password: &'a str,
    /// The fingerprint as it stands in the text: "sha-256 AB:CD:...".
    pub(crate) fingerprint: &'a str,
    pub(crate) candidates: &'a [Candidate],
    pub(crate) video: Option<Agreed<'a>>,
    pub(crate) audio: Option<Agreed<'a>>,
}

impl Answer<'_> {
    pub(crate) fn write(&self) -> String {
        let mut out = String::with_capacity(2_048);
        out.push_str("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n");
        if self.is_lite {
            out.push_str("a=ice-lite\r\n");
        }
        let mids: Vec<&str> = self.accepted().map(|(section, _)| section.mid.as_str()).collect();
        self.line(&mut out, format_args!("a=group:BUNDLE {}", mids.join(" ")));
        let mut first = true;
        for section in &self.offer.sections {
            match self.agreed(section) {
                Some(agreed) => {
                    self.section(&mut out, section, agreed, first);
                    first = false;
                }
                None => {
                    let Section { media, protocol, first_format, mid, .. } = section;
                    self.line(&mut out, format_args!("m={media} 0 {protocol} {first_format}"));
                    self.line(&mut out, format_args!("c=IN IP4 0.0.0.0"));
                    self.line(&mut out, format_args!("a=mid:{mid}"));
                    self.line(&mut out, format_args!("a=inactive"));
                }
            }
        }
        out
    }

    fn accepted(&self) -> impl Iterator<Item = (&Section, Agreed<'_>)> {
        self.offer.sections.iter().filter_map(|section| Some((section, self.agreed(section)?)))
    }

    fn agreed(&self, section: &Section) -> Option<Agreed<'_>> {
        match section.kind {
            Kind::Video if section.wanted => self.video,
            Kind::Audio if section.wanted => self.audio,
            _ => None,
        }
    }

    fn section(&self, out: &mut String, section: &Section, agreed: Agreed<'_>, first: bool) {
        let Section { media, protocol, mid, .. } = section;
        let (payload, repeats, direction) = match agreed {
            Agreed::Sent(sent) => (sent.payload, sent.repeats.map(|(rtx, _)| rtx), "sendonly"),
            Agreed::Received(received) => (received.payload, received.repeats, "recvonly"),
        };
        let number = payload.number;
        let also = repeats.map(|rtx| format!(" {}", rtx.number)).unwrap_or_default();
        let say = |out: &mut String, line: std::fmt::Arguments<'_>| self.line(out, line);
        say(out, format_args!("m={media} 9 {protocol} {number}{also}"));
        say(out, format_args!("c=IN IP4 0.0.0.0"));
        say(out, format_args!("a=mid:{mid}"));
        say(out, format_args!("a={direction}"));
        say(out, format_args!("a=rtcp-mux"));
        say(out, format_args!("a=ice-ufrag:{}", self.ufrag));
        say(out, format_args!("a=ice-pwd:{}", self.password));
        say(out, format_args!("a=fingerprint:{}", self.fingerprint));
        let setup = if self.offer.setup == Setup::Passive { "active" } else { "passive" };
        say(out, format_args!("a=setup:{setup}"));
        self.codec(out, section.kind, payload, matches!(agreed, Agreed::Sent(_)));
        if let Some(rtx) = repeats {
            say(out, format_args!("a=rtpmap:{} rtx/90000", rtx.number));
            say(out, format_args!("a=fmtp:{} apt={number}", rtx.number));
        }
        match agreed {
            Agreed::Sent(sent) => self.sources(out, mid, sent),
            Agreed::Received(received) => {
                self.feedback(out, section, number);
                self.layers(out, section, received.layers);
            }
        }
        if first {
            // Bundled sections share the candidates of the first one.
            for (at, candidate) in self.candidates.iter().enumerate() {
                say(out, format_args!("a=candidate:{}", candidate.line(at)));
            }
            say(out, format_args!("a=end-of-candidates"));
        }
    }

    fn codec(&self, out: &mut String, kind: Kind, payload: &Payload, is_sent: bool) {
        let number = payload.number;
        let say = |out: &mut String, line: std::fmt::Arguments<'_>| self.line(out, line);
        if kind == Kind::Audio {
            say(out, format_args!("a=rtpmap:{number} opus/48000/2"));
            say(out, format_args!("a=fmtp:{number} minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1"));
            return;
        }
        if payload.codec != "h264" {
            // The reader takes no names but those that it knows.
            say(out, format_args!("a=rtpmap:{number} {}/90000", payload.codec.to_ascii_uppercase()));
            if !payload.parameters.is_empty() {
                say(out, format_args!("a=fmtp:{number} {}", payload.parameters));
            }
            return self.wishes(out, number, false);
        }
        say(out, format_args!("a=rtpmap:{number} H264/90000"));
        let profile = payload
            .profile_level_id
            .map(|[idc, constraints, level]| format!(";profile-level-id={idc:02x}{constraints:02x}{level:02x}"));
        let profile = profile.unwrap_or_default();
        say(out, format_args!("a=fmtp:{number} level-asymmetry-allowed=1;packetization-mode=1{profile}"));
        self.wishes(out, number, is_sent && payload.estimates);
    }

    /// Says what is asked for where packets are lost.
    fn wishes(&self, out: &mut String, number: u8, estimates: bool) {
        for feedback in ["nack", "nack pli", "ccm fir"].into_iter().chain(estimates.then_some("goog-remb")) {
            self.line(out, format_args!("a=rtcp-fb:{number} {feedback}"));
        }
    }

    /// Says what the packets that we send are marked with.
    fn sources(&self, out: &mut String, mid: &str, sent: Sent<'_>) {
        let Sent { ssrc, repeats, .. } = sent;
        self.line(out, format_args!("a=msid:weir {mid}"));
        let rtx_ssrc = repeats.map(|(_, rtx_ssrc)| rtx_ssrc);
        if let Some(rtx_ssrc) = rtx_ssrc {
            self.line(out, format_args!("a=ssrc-group:FID {ssrc} {rtx_ssrc}"));
        }
        // Chromium takes the first SSRC that it reads for that of the media, so the one of repetitions must come second.
        for ssrc in std::iter::once(ssrc).chain(rtx_ssrc) {
            self.line(out, format_args!("a=ssrc:{ssrc} cname:weir"));
        }
    }

    /// Says what we tell a publisher of its packets. Browsers send 0.3 Mbit/s until they are told, packet by packet, that more fits.
    fn feedback(&self, out: &mut String, section: &Section, number: u8) {
        let Extensions { mid, transport_cc, .. } = section.extensions;
        if let Some(id) = mid {
            self.line(out, format_args!("a=extmap:{id} {}", Extensions::MID));
        }
        if let Some(id) = transport_cc {
            self.line(out, format_args!("a=extmap:{id} {}", Extensions::TRANSPORT_CC));
            self.line(out, format_args!("a=rtcp-fb:{number} transport-cc"));
        }
    }

    /// Says that all layers are received.
    fn layers(&self, out: &mut String, section: &Section, layers: &[String]) {
        if layers.is_empty() {
            return;
        }
        let Extensions { rid, repaired_rid, .. } = section.extensions;
        for (number, meaning) in [(rid, Extensions::RID), (repaired_rid, Extensions::REPAIRED_RID)] {
            if let Some(id) = number {
                self.line(out, format_args!("a=extmap:{id} {meaning}"));
            }
        }
        for layer in layers {
            self.line(out, format_args!("a=rid:{layer} recv"));
        }
        self.line(out, format_args!("a=simulcast:recv {}", layers.join(";")));
    }

    #[expect(clippy::unused_self, reason = "reads as what the answer says")]
    fn line(&self, out: &mut String, line: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = out.write_fmt(line);
        out.push_str("\r\n");
    }
}

impl Candidate {
    /// Writes the candidate's line (RFC 8839, 5.1). UDP has a higher priority than TCP, which is for networks that let nothing else
    /// through. Among candidates of one transport, an earlier one has a higher priority.
    fn line(&self, at: usize) -> String {
        let (protocol, base, kind) = match self.transport {
            Transport::Udp => ("udp", 65_535, ""),
            Transport::Tcp => ("tcp", 32_767, " tcptype passive"),
        };
        let at = u32::try_from(at).unwrap_or(u32::MAX).min(1_000);
        let priority = (126 << 24) | ((base - at) << 8) | 255;
        let (ip, port) = (self.address.ip(), self.address.port());
        format!("{} 1 {protocol} {priority} {ip} {port} typ host{kind}", at + 1)
    }
}

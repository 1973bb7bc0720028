//! Reads a browser's offer: who the browser is (ICE, DTLS), and what it can take.

use weir_media::Codec;

use super::attributes::{fingerprint, ice, layer, parameter, parameters, payload_type, token};
use super::{LINES_MAX, SDP_BYTES_MAX, lines};

/// The most media sections of one offer. A viewer's offer has two; a data channel would be a third.
const SECTIONS_MAX: usize = 8;

/// The most payload types of one section: there are only 128 numbers.
const PAYLOADS_MAX: usize = 128;

/// The most sources that are kept of one section: three layers, and the repetitions of each.
const SOURCES_MAX: usize = 8;

/// The parameters of a format that the answer repeats: the profile of VP9, and profile, level and tier of AV1 and H.265. The names of one
/// codec mean nothing to the others.
const REPEATED: [&str; 7] = ["profile-id", "level-idx", "profile", "tier", "level-id", "tier-flag", "tx-mode"];

/// The most layers of one picture. Browsers make three.
const LAYERS_MAX: usize = 4;

/// What is wrong with an offer. It is always the far end's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the offer has more than {max} bytes", max = SDP_BYTES_MAX)]
    TooLong,
    #[error("the body is no SDP: it must begin with v=0")]
    NotSdp,
    #[error("the offer has {0}")]
    Has(&'static str),
    #[error("the offer lacks {0}")]
    Lacks(&'static str),
    #[error("the offer wants to receive neither video nor audio")]
    WantsNothing,
    #[error("the offer sends neither video nor audio")]
    SendsNothing,
}

#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    pub ufrag: String,
    pub password: String,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// The SHA-256 of the certificate that the far end will show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// Which side the far end wants to be in DTLS: the active side begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The far end leaves the choice to us.
    Either,
    Active,
    Passive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Video,
    Audio,
    /// A data channel, or media that we don't know. The answer refuses it.
    Other,
}

/// One `m=` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub kind: Kind,
    pub mid: String,
    /// `media`, `protocol` and `first_format` are the words of the section's first line. The answer repeats the first two, and for a
    /// refused section all three.
    pub(super) media: String,
    pub(super) protocol: String,
    pub(super) first_format: String,
    /// Says that the offer is for this media: a viewer wants to receive it, or a publisher sends it.
    pub wanted: bool,
    pub payloads: Vec<Payload>,
    /// The sources that its packets will be marked with, the media's own first. Simulcast names none.
    pub sources: Vec<u32>,
    /// Pairs of sources, of which the second one repeats the first.
    pub repetitions: Vec<(u32, u32)>,
    /// The names of the layers of simulcast, which are several sizes of one picture.
    pub rids: Vec<String>,
    /// The numbers of those extensions of the header that we use.
    pub extensions: Extensions,
}

/// The numbers of extensions by which a packet says which section and layer it belongs to, and which number it has among all packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    pub mid: Option<u8>,
    /// Which layer of simulcast the packet belongs to, and which one it repeats.
    pub rid: Option<u8>,
    pub repaired_rid: Option<u8>,
    pub transport_cc: Option<u8>,
}

/// One way of coding media that the far end takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    pub number: u8,
    /// The codec's name in lower case, such as "h264".
    pub codec: String,
    pub clock_hz: u32,
    pub channels: u8,
    /// For H.264, the three bytes of profile, constraints and level.
    pub profile_level_id: Option<[u8; 3]>,
    pub packetization_mode: u8,
    /// For the other codecs of pictures, what the answer repeats of the format.
    pub parameters: String,
    /// For repetitions (`rtx`), the number of the payload that they repeat.
    pub repeats: Option<u8>,
    /// Says that the far end asks for lost packets, or repeats them when it is asked.
    pub nack: bool,
    /// Says that the far end can tell how much the way to it carries.
    pub estimates: bool,
}

/// How a publisher sends its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPicture<'a> {
    pub section: &'a Section,
    pub codec: Codec,
    pub payload: &'a Payload,
    pub repeats: Option<&'a Payload>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub ice: IceCredentials,
    pub fingerprint: Fingerprint,
    pub setup: Setup,
    pub sections: Vec<Section>,
}

/// Attributes that may stand before all sections or in each. Bundled sections share one connection, so the values of the first one hold.
#[derive(Default)]
struct Identity<'a> {
    ufrag: Option<&'a str>,
    password: Option<&'a str>,
    fingerprint: Option<Fingerprint>,
    setup: Option<&'a str>,
}

impl Offer {
    /// Reads a viewer's offer.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Self::read(text, Reader::default())
    }

    /// Reads a publisher's offer.
    pub fn parse_publisher(text: &str) -> Result<Self, Fault> {
        Self::read(text, Reader { publishes: true, ..Reader::default() })
    }

    fn read<'a>(text: &'a str, mut reader: Reader<'a>) -> Result<Self, Fault> {
        if text.len() > SDP_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let mut lines = lines(text);
        if lines.next() != Some("v=0") {
            return Err(Fault::NotSdp);
        }
        for (number, line) in lines.enumerate() {
            if number >= LINES_MAX {
                return Err(Fault::Has("too many lines"));
            }
            reader.line(line)?;
        }
        reader.finish()
    }

    /// The section of that kind, if it is wanted.
    pub fn section(&self, kind: Kind) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind == kind && section.wanted)
    }

    /// The payload that the far end takes for H.264 of a profile, and the one for its repetitions. If the offer lacks that profile, any
    /// other payload of H.264 will do, because browsers' decoders go by what comes rather than by what was agreed on.
    pub fn h264(&self, profile_idc: u8) -> Option<(&Payload, Option<&Payload>)> {
        let section = self.section(Kind::Video)?;
        let of_profile = |payload: &&Payload| payload.profile_level_id.is_some_and(|[idc, ..]| idc == profile_idc);
        let mut candidates = section.payloads.iter().filter(|payload| payload.is_h264());
        let chosen = candidates.clone().find(of_profile).or_else(|| candidates.next())?;
        Some((chosen, section.repeats(chosen)))
    }

    /// How a publisher is to send its pictures, and to repeat them. H.264 comes first, because it goes everywhere as it is; browsers name
    /// VP8 first, whatever they like best. Of other codecs, the one that is named first is taken, if others are taken at all.
    pub fn sent_picture(&self, takes_others: bool) -> Option<SentPicture<'_>> {
        let section = self.section(Kind::Video)?;
        let mut known = section.payloads.iter().filter_map(|payload| Some((payload.picture_codec()?, payload)));
        let h264 = known.clone().find(|(codec, _)| *codec == Codec::H264);
        let (codec, payload) = h264.or_else(|| known.next().filter(|_| takes_others))?;
        Some(SentPicture { section, codec, payload, repeats: section.repeats(payload) })
    }

    pub fn opus(&self) -> Option<&Payload> {
        let section = self.section(Kind::Audio)?;
        section
            .payloads
            .iter()
            .find(|payload| payload.codec == "opus" && payload.clock_hz == 48_000 && payload.channels == 2)
    }
}

#[derive(Default)]
struct Reader<'a> {
    publishes: bool,
    session: Identity<'a>,
    media: Identity<'a>,
    bundle: Vec<&'a str>,
    sections: Vec<Section>,
    rtcp_mux: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), Fault> {
        if let Some(media) = line.strip_prefix("m=") {
            return self.begin(media);
        }
        let Some(attribute) = line.strip_prefix("a=") else { return Ok(()) };
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        if name == "group" {
            if let Some(mids) = value.strip_prefix("BUNDLE") {
                self.bundle = mids.split_ascii_whitespace().collect();
            }
            return Ok(());
        }
        let identity = if self.sections.is_empty() { &mut self.session } else { &mut self.media };
        match name {
            "ice-lite" => return Err(Fault::Has("ice-lite: one of us has to look for the other")),
            "ice-ufrag" => identity.ufrag = identity.ufrag.or(Some(value)),
            "ice-pwd" => identity.password = identity.password.or(Some(value)),
            "setup" => identity.setup = identity.setup.or(Some(value)),
            "fingerprint" => identity.fingerprint = identity.fingerprint.or_else(|| fingerprint(value)),
            _ => {}
        }
        let Some(section) = self.sections.last_mut() else { return Ok(()) };
        match name {
            "mid" => value.clone_into(&mut section.mid),
            "rtcp-mux" => self.rtcp_mux = true,
            "inactive" => section.wanted = false,
            "sendonly" if !self.publishes => section.wanted = false,
            "recvonly" if self.publishes => section.wanted = false,
            _ => section.attribute(name, value),
        }
        Ok(())
    }

    fn begin(&mut self, media: &'a str) -> Result<(), Fault> {
        let mut words = media.split_ascii_whitespace();
        let mut word = || words.next().ok_or(Fault::Has("an m= line that is cut short"));
        let (media, _port, protocol, first_format) = (word()?, word()?, word()?, word()?);
        let kind = match media {
            "video" => Kind::Video,
            "audio" => Kind::Audio,
            _ => Kind::Other,
        };
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-".contains(&byte));
        if ![media, protocol, first_format].into_iter().all(|text| text.len() <= 64 && plain(text)) {
            return Err(Fault::Has("an m= line that no one can read"));
        }
        if self.sections.len() >= SECTIONS_MAX {
            return Err(Fault::Has("too many media sections"));
        }
        if kind != Kind::Other && self.sections.iter().any(|section| section.kind == kind) {
            return Err(Fault::Has("two media sections of a kind"));
        }
        let protocol_fits = matches!(protocol, "UDP/TLS/RTP/SAVPF" | "TCP/DTLS/RTP/SAVPF" | "RTP/SAVPF");
        if kind != Kind::Other && !protocol_fits {
            return Err(Fault::Has("media without DTLS"));
        }
        let numbers = std::iter::once(first_format).chain(words).filter_map(payload_type).take(PAYLOADS_MAX);
        let payloads = numbers.map(|number| Payload { number, ..Payload::default() }).collect();
        self.sections.push(Section {
            kind,
            mid: String::new(),
            media: media.to_owned(),
            protocol: protocol.to_owned(),
            first_format: first_format.to_owned(),
            wanted: kind != Kind::Other,
            payloads,
            sources: Vec::new(),
            repetitions: Vec::new(),
            rids: Vec::new(),
            extensions: Extensions::default(),
        });
        Ok(())
    }

    fn finish(self) -> Result<Offer, Fault> {
        if self.sections.is_empty() {
            return Err(Fault::Lacks("media sections"));
        }
        for (at, section) in self.sections.iter().enumerate() {
            let mid = token(&section.mid).ok_or(Fault::Lacks("a mid of each media section"))?;
            if self.sections[..at].iter().any(|other| other.mid == mid) {
                return Err(Fault::Has("two media sections of one mid"));
            }
            if section.wanted && !self.bundle.contains(&mid) {
                return Err(Fault::Lacks("a BUNDLE of all media sections"));
            }
        }
        if !self.sections.iter().any(|section| section.wanted) {
            return Err(if self.publishes { Fault::SendsNothing } else { Fault::WantsNothing });
        }
        if !self.rtcp_mux {
            return Err(Fault::Lacks("rtcp-mux"));
        }
        let ufrag = self.media.ufrag.or(self.session.ufrag).and_then(|text| ice(text, 4));
        let password = self.media.password.or(self.session.password).and_then(|text| ice(text, 22));
        let setup = match self.media.setup.or(self.session.setup) {
            Some("actpass") => Setup::Either,
            Some("active") => Setup::Active,
            Some("passive") => Setup::Passive,
            _ => return Err(Fault::Lacks("a setup")),
        };
        Ok(Offer {
            ice: IceCredentials {
                ufrag: ufrag.ok_or(Fault::Lacks("an ice-ufrag"))?.to_owned(),
                password: password.ok_or(Fault::Lacks("an ice-pwd"))?.to_owned(),
            },
            fingerprint: self
                .media
                .fingerprint
                .or(self.session.fingerprint)
                .ok_or(Fault::Lacks("a SHA-256 fingerprint"))?,
            setup,
            sections: self.sections,
        })
    }
}

impl Section {
    /// The payload by which that one is repeated.
    fn repeats(&self, chosen: &Payload) -> Option<&Payload> {
        let repeats = |payload: &&Payload| payload.codec == "rtx" && payload.repeats == Some(chosen.number);
        self.payloads.iter().find(repeats).filter(|_| chosen.nack)
    }

    /// The source that its packets will be marked with, and that of their repetitions.
    pub fn source(&self) -> Option<(u32, Option<u32>)> {
        let of_pair = self.repetitions.first().map(|(source, repeated)| (*source, Some(*repeated)));
        of_pair.or_else(|| Some((*self.sources.first()?, None)))
    }

    fn attribute(&mut self, name: &str, value: &str) {
        if name == "ssrc-group" {
            self.group(value);
            return;
        }
        let Some((number, rest)) = value.split_once(' ') else { return };
        match name {
            "ssrc" => self.add_source(number),
            "extmap" => self.extensions.take(number, rest),
            "rid" if rest.starts_with("send") => self.add_layer(number),
            _ => self.of_payload(name, number, rest),
        }
    }

    fn add_layer(&mut self, rid: &str) {
        if self.rids.len() < LAYERS_MAX && !self.rids.iter().any(|known| known == rid) {
            self.rids.extend(layer(rid).map(str::to_owned));
        }
    }

    /// The names of the layers that can be told apart. There are none if the offer has one size only, or no way to mark packets.
    pub fn layers(&self) -> &[String] {
        let marks = self.extensions.mid.and(self.extensions.rid);
        if self.rids.len() > 1 && marks.is_some() { &self.rids } else { &[] }
    }

    fn add_source(&mut self, number: &str) {
        // 0 marks probes, and no media.
        let Some(source) = number.parse().ok().filter(|source| *source != 0) else { return };
        if self.sources.len() < SOURCES_MAX && !self.sources.contains(&source) {
            self.sources.push(source);
        }
    }

    /// Takes `FID a b`, which says that b repeats a.
    fn group(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        if words.next() != Some("FID") || self.repetitions.len() >= SOURCES_MAX {
            return;
        }
        let mut source = || words.next()?.parse::<u32>().ok().filter(|source| *source != 0);
        if let (Some(source), Some(repeated)) = (source(), source())
            && source != repeated
        {
            self.repetitions.push((source, repeated));
        }
    }

    fn of_payload(&mut self, name: &str, number: &str, rest: &str) {
        if name == "rtcp-fb" {
            let every = number == "*";
            let numbered = payload_type(number);
            for payload in self.payloads.iter_mut().filter(|payload| every || numbered == Some(payload.number)) {
                payload.nack |= rest == "nack";
                payload.estimates |= rest == "goog-remb";
            }
            return;
        }
        let Some(payload) = payload_type(number).and_then(|number| self.payload_mut(number)) else { return };
        match name {
            "rtpmap" => {
                let mut parts = rest.split('/');
                payload.codec = parts.next().unwrap_or_default().to_ascii_lowercase();
                payload.clock_hz = parts.next().and_then(|text| text.parse().ok()).unwrap_or_default();
                payload.channels = parts.next().map_or(Some(1), |text| text.parse().ok()).unwrap_or_default();
            }
            "fmtp" => {
                payload.packetization_mode =
                    parameter(rest, "packetization-mode").and_then(|text| text.parse().ok()).unwrap_or_default();
                payload.profile_level_id = parameter(rest, "profile-level-id").and_then(profile_level_id);
                payload.repeats = parameter(rest, "apt").and_then(payload_type);
                payload.parameters = parameters(rest, &REPEATED);
            }
            _ => {}
        }
    }

    fn payload_mut(&mut self, number: u8) -> Option<&mut Payload> {
        self.payloads.iter_mut().find(|payload| payload.number == number)
    }
}

impl Payload {
    fn is_h264(&self) -> bool {
        self.picture_codec() == Some(Codec::H264)
    }

    /// The codec, if it is one of pictures that we know.
    fn picture_codec(&self) -> Option<Codec> {
        let codec = match self.codec.as_str() {
            "h264" if self.packetization_mode == 1 => Codec::H264,
            "vp8" => Codec::Vp8,
            "vp9" => Codec::Vp9,
            "av1" => Codec::Av1,
            "h265" => Codec::H265,
            _ => return None,
        };
        (self.clock_hz == 90_000).then_some(codec)
    }
}

impl Extensions {
    /// Takes one `a=extmap`: a number, which a direction may follow, and what it means. Only the numbers of one-byte headers (RFC 8285, 4.2)
    /// are used.
    fn take(&mut self, number: &str, meaning: &str) {
        let number = number.split('/').next().and_then(|text| text.parse().ok());
        let Some(number) = number.filter(|number| (1..=14).contains(number)) else { return };
        match meaning.split(' ').next() {
            Some(Self::MID) => self.mid = Some(number),
            Some(Self::RID) => self.rid = Some(number),
            Some(Self::REPAIRED_RID) => self.repaired_rid = Some(number),
            Some(Self::TRANSPORT_CC) => self.transport_cc = Some(number),
            _ => {}
        }
    }

    pub(super) const MID: &'static str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    pub(super) const RID: &'static str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    pub(super) const REPAIRED_RID: &'static str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
    pub(super) const TRANSPORT_CC: &'static str =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
}

fn profile_level_id(text: &str) -> Option<[u8; 3]> {
    let number = u32::from_str_radix(text, 16).ok().filter(|_| text.len() == 6)?;
    let [_, idc, constraints, level] = number.to_be_bytes();
    Some([idc, constraints, level])
}

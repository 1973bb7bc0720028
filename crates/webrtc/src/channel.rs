//! A channel is our end of one far end's ICE, DTLS and SRTP: `str0m`, set up with what the offer said. It has no sockets and no clock:
//! datagrams and times go in, datagrams and events come out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::change::DirectApi;
use str0m::config::Fingerprint;
use str0m::crypto::CryptoProvider;
use str0m::ice::IceCreds;
use str0m::net::{Protocol, Receive, TcpType};
use str0m::{Event, Input, Output, Rtc, RtcConfig, RtcError};

use crate::crypto::{CertificateFault, Exported, Identity, certificate_fault, exported};
use crate::outbox::{Burst, Outbox, Way};
use crate::routes::Datagram;
use crate::sdp::{Candidate, IceCredentials, Offer, Setup, Transport};

/// How often `str0m` tells the loss and the round trip time.
const FIGURES_EVERY: Duration = Duration::from_millis(500);

/// The first bytes of DTLS records (RFC 7983, 7).
const HANDSHAKES: std::ops::RangeInclusive<u8> = 20..=63;

/// Why a channel is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The far end said goodbye, or its checks stopped.
    Left,
    /// The far end showed another certificate than its offer names, or broke a protocol beyond repair.
    Fault,
    /// The far end's certificate is none that we take.
    Certificate(CertificateFault),
}

/// Who the two ends are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a> {
    pub(crate) offer: &'a Offer,
    /// Ours.
    pub(crate) ice: &'a IceCredentials,
    pub(crate) candidates: &'a [Candidate],
}

#[derive(Debug)]
pub(crate) struct Channel {
    rtc: Rtc,
    candidates: Vec<Candidate>,
    certificate_fault: Option<CertificateFault>,
    /// What the handshake exported, until it is taken.
    exported: Option<Exported>,
    /// By which addresses datagrams go to the far end, once its checks have settled that.
    way: Option<Way>,
}

impl Ends<'_> {
    /// What all channels have in common; who makes one adds its codecs.
    pub(crate) fn config(&self, identity: &Identity, provider: &Arc<CryptoProvider>) -> RtcConfig {
        let ours = IceCreds { ufrag: self.ice.ufrag.clone(), pass: self.ice.password.clone() };
        RtcConfig::new()
            .set_crypto_provider(Arc::clone(provider))
            .set_dtls_cert(identity.certificate.clone())
            .set_local_ice_credentials(ours)
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .clear_codecs()
            .clear_extension_map()
            .set_stats_interval(Some(FIGURES_EVERY))
    }
}

impl Channel {
    pub(crate) fn open(config: RtcConfig, ends: &Ends<'_>, now: Instant) -> Result<Self, RtcError> {
        let mut rtc = config.build(now);
        for candidate in ends.candidates {
            rtc.add_local_candidate(as_str0m(candidate)?);
        }
        let mut api = rtc.direct_api();
        api.set_ice_controlling(false);
        let theirs = &ends.offer.ice;
        api.set_remote_ice_credentials(IceCreds { ufrag: theirs.ufrag.clone(), pass: theirs.password.clone() });
        let bytes = ends.offer.fingerprint.0.to_vec();
        api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".to_owned(), bytes });
        api.start_dtls(ends.offer.setup == Setup::Passive)?;
        let candidates = ends.candidates.to_vec();
        Ok(Self { rtc, candidates, certificate_fault: None, exported: None, way: None })
    }

    /// Its media; after a change it is to be polled.
    pub(crate) fn api(&mut self) -> DirectApi<'_> {
        self.rtc.direct_api()
    }

    /// What the handshake exported, once.
    pub(crate) fn take_exported(&mut self) -> Option<Exported> {
        self.exported.take()
    }

    /// By which addresses the far end is reached.
    pub(crate) fn way(&self) -> Option<Way> {
        self.way
    }

    /// Takes a datagram that came from the far end. One that can't be understood is treated as if it had been lost.
    pub(crate) fn receive(&mut self, datagram: &Datagram, now: Instant) {
        let protocol = match datagram.transport {
            Transport::Udp => Protocol::Udp,
            Transport::Tcp => Protocol::Tcp,
        };
        let Some(destination) = self.candidate_of(datagram) else { return };
        let Ok(receive) = Receive::new(protocol, datagram.source, destination, &datagram.bytes) else { return };
        let input = Input::Receive(now, receive);
        // `str0m` refuses what comes from an address that has not shown the password by a check of ICE.
        if !self.rtc.accepts(&input) {
            return;
        }
        if !self.rtc.is_connected() {
            self.certificate_fault = self.certificate_fault.or_else(|| certificate_fault(&datagram.bytes));
        }
        if let Err(error) = self.rtc.handle_input(input) {
            tracing::debug!(%error, source = %datagram.source, "a datagram by WebRTC is not understood");
        }
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
            tracing::debug!(%error, "a WebRTC connection's timer failed");
        }
    }

    /// Says goodbye; [`Channel::poll`] gives it.
    pub(crate) fn close(&mut self) {
        let _ = self.rtc.close();
    }

    /// Everything that there is to send and to tell, and when to come again at the latest.
    pub(crate) fn poll(
        &mut self,
        segments_max: usize,
        mut send: impl FnMut(Burst<'_>),
        mut tell: impl FnMut(Event) -> Result<(), Over>,
    ) -> Result<Instant, Over> {
        let mut outbox = Outbox::new(segments_max);
        let result = loop {
            match self.poll_output() {
                Ok(Output::Timeout(at)) => break if self.rtc.is_alive() { Ok(at) } else { Err(Over::Left) },
                Ok(Output::Transmit(transmit)) => {
                    let way = way(transmit.proto, transmit.source, transmit.destination);
                    // Answers to checks go back where these came from. The handshake goes where everything will.
                    if transmit.contents.first().is_some_and(|first| HANDSHAKES.contains(first)) {
                        self.way = Some(way);
                    }
                    outbox.push(way, &transmit.contents, &mut send);
                }
                Ok(Output::Event(Event::PeerStats(stats))) => {
                    let pair = stats.selected_candidate_pair;
                    let settled = pair.map(|pair| way(pair.protocol, pair.local.addr, pair.remote.addr));
                    self.way = settled.or(self.way);
                }
                Ok(Output::Event(event)) => {
                    if let Err(over) = tell(event) {
                        break Err(over);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a WebRTC connection ends");
                    break Err(Over::Fault);
                }
            }
        };
        outbox.flush(send);
        match self.certificate_fault {
            Some(fault) if !self.rtc.is_connected() => Err(Over::Certificate(fault)),
            _ => result,
        }
    }

    fn poll_output(&mut self) -> Result<Output, RtcError> {
        // What another connection may have left on this thread is not ours.
        drop(exported());
        let output = self.rtc.poll_output();
        self.exported = exported().or(self.exported.take());
        output
    }

    /// Our address that a datagram came to, as the far end was told it. Behind a NAT the socket sees another address than the far end, so the
    /// first candidate of that transport and family will do.
    fn candidate_of(&self, datagram: &Datagram) -> Option<SocketAddr> {
        let fits = |candidate: &&Candidate| {
            candidate.transport == datagram.transport && candidate.address.is_ipv4() == datagram.source.is_ipv4()
        };
        let mut told = self.candidates.iter().filter(fits).map(|candidate| candidate.address);
        told.clone().find(|address| datagram.destination == Some(address.ip())).or_else(|| told.next())
    }
}

fn way(protocol: Protocol, source: SocketAddr, destination: SocketAddr) -> Way {
    let transport = if protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
    Way { transport, source, destination }
}

fn as_str0m(candidate: &Candidate) -> Result<str0m::Candidate, RtcError> {
    let builder = str0m::Candidate::builder();
    let made = match candidate.transport {
        Transport::Udp => builder.udp().host(candidate.address).build(),
        Transport::Tcp => builder.tcp().host(candidate.address).tcptype(TcpType::Passive).build(),
    };
    made.map_err(RtcError::from)
}

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

use crate::crypto::{CertificateFault, Identity, certificate_fault};
use crate::outbox::{Burst, Outbox};
use crate::routes::Datagram;
use crate::sdp::{Candidate, IceCredentials, Offer, Setup, Transport};

/// How often `str0m` tells the loss and the round trip time.
const FIGURES_EVERY: Duration = Duration::from_millis(500);

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
        Ok(Self { rtc, candidates: ends.candidates.to_vec(), certificate_fault: None })
    }

    /// Its media; after a change it is to be polled.
    pub(crate) fn api(&mut self) -> DirectApi<'_> {
        self.rtc.direct_api()
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
        mut send: impl FnMut(Burst),
        mut tell: impl FnMut(Event) -> Result<(), Over>,
    ) -> Result<Instant, Over> {
        let mut outbox = Outbox::new(segments_max);
        let result = loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => break if self.rtc.is_alive() { Ok(at) } else { Err(Over::Left) },
                Ok(Output::Transmit(transmit)) => {
                    let transport = if transmit.proto == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
                    let (source, destination) = (transmit.source, transmit.destination);
                    outbox
                        .push(transport, source, destination, transmit.contents.into())
                        .into_iter()
                        .for_each(&mut send);
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
        outbox.take().into_iter().for_each(send);
        match self.certificate_fault {
            Some(fault) if !self.rtc.is_connected() => Err(Over::Certificate(fault)),
            _ => result,
        }
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

fn as_str0m(candidate: &Candidate) -> Result<str0m::Candidate, RtcError> {
    let builder = str0m::Candidate::builder();
    let made = match candidate.transport {
        Transport::Udp => builder.udp().host(candidate.address).build(),
        Transport::Tcp => builder.tcp().host(candidate.address).tcptype(TcpType::Passive).build(),
    };
    made.map_err(RtcError::from)
}

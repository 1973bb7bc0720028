//! A viewer, made of `str0m`: the far end of a connection, for tests and for load. It offers, takes our answer and gives the packets that
//! come. It has no sockets and no clock: datagrams and times go in, datagrams and packets come out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use str0m::bwe::Bitrate;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::crypto;

/// The payload types that the offer names.
pub const VIDEO: u8 = 100;
pub const REPEATED: u8 = 101;
/// `str0m` gives Opus this number.
pub const AUDIO: u8 = 111;

/// The viewer could not be made, or what it was given can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

#[derive(Debug)]
pub struct Viewer {
    rtc: Rtc,
    local: SocketAddr,
    connected: bool,
    /// The SSRC of the picture, which the first packet of it tells.
    picture: Option<str0m::rtp::Ssrc>,
}

/// A viewer that waits for the answer to its offer.
#[derive(Debug)]
pub struct Offered {
    viewer: Viewer,
    pending: SdpPendingOffer,
    pub text: String,
}

/// An RTP packet that came, or was repeated after it had been lost.
#[derive(Debug)]
pub struct Packet {
    pub payload_type: u8,
    /// The sequence number, counted on where RTP's 16 bits go round.
    pub number: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Arc<[u8]>,
}

impl Viewer {
    /// Makes a viewer who sends from that address, and its offer. Who does not hear takes no sound.
    pub fn offer(local: SocketAddr, hears: bool, now: Instant) -> Result<Offered, Unusable> {
        let mut config = Rtc::builder().set_crypto_provider(crypto::provider()).set_rtp_mode(true).clear_codecs();
        config.codec_config().add_h264(VIDEO.into(), Some(REPEATED.into()), true, 0x42_00_1F);
        let mut rtc = config.enable_opus(true, false).build(now);
        rtc.add_local_candidate(Candidate::host(local, "udp").map_err(Unusable::because)?);
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        if hears {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().ok_or_else(|| Unusable("nothing to offer".to_owned()))?;
        let viewer = Self { rtc, local, connected: false, picture: None };
        Ok(Offered { viewer, pending, text: offer.to_sdp_string() })
    }

    /// The viewer has shown who it is, and so have we.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Takes a datagram. [`Viewer::poll`] must follow before the next one.
    pub fn receive(&mut self, source: SocketAddr, bytes: &[u8], now: Instant) {
        if let Ok(receive) = Receive::new(Protocol::Udp, source, self.local, bytes) {
            // What can't be understood is as good as lost.
            let _ = self.rtc.handle_input(Input::Receive(now, receive));
        }
    }

    pub fn tick(&mut self, now: Instant) {
        let _ = self.rtc.handle_input(Input::Timeout(now));
    }

    /// Gives what there is to send and what came, and when to poll again at the latest; none where the connection is over.
    pub fn poll(&mut self, mut send: impl FnMut(SocketAddr, &[u8]), mut take: impl FnMut(Packet)) -> Option<Instant> {
        loop {
            match self.rtc.poll_output().ok()? {
                Output::Timeout(at) => return self.rtc.is_alive().then_some(at),
                Output::Transmit(transmit) => send(transmit.destination, &transmit.contents),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(packet)) => {
                    let payload_type = *packet.header.payload_type;
                    if payload_type == VIDEO {
                        self.picture.get_or_insert(packet.header.ssrc);
                    }
                    take(Packet {
                        payload_type,
                        number: *packet.seq_no,
                        timestamp: packet.header.timestamp,
                        marker: packet.header.marker,
                        payload: packet.payload,
                    });
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Asks for a keyframe, by PLI or by FIR. The wish goes out with the next [`Viewer::poll`].
    pub fn ask_for_keyframe(&mut self, by_fir: bool, now: Instant) {
        let kind = if by_fir { KeyframeRequestKind::Fir } else { KeyframeRequestKind::Pli };
        let Some(ssrc) = self.picture else { return };
        if let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc) {
            stream.request_keyframe(kind);
        }
        self.tick(now);
    }

    /// Tells the sender how much the way here bears (REMB). It goes out with the next [`Viewer::poll`].
    pub fn tell_estimate(&mut self, bits_per_second: u64, now: Instant) {
        let Some(ssrc) = self.picture else { return };
        if let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc) {
            stream.request_remb(Bitrate::bps(bits_per_second));
        }
        self.tick(now);
    }

    /// Says goodbye. It goes out with the next [`Viewer::poll`].
    pub fn close(&mut self) {
        let _ = self.rtc.close();
    }
}

impl Offered {
    pub fn accept(self, answer: &str) -> Result<Viewer, Unusable> {
        let Self { mut viewer, pending, .. } = self;
        let answer = SdpAnswer::from_sdp_string(answer).map_err(Unusable::because)?;
        viewer.rtc.sdp_api().accept_answer(pending, answer).map_err(Unusable::because)?;
        Ok(viewer)
    }
}

impl Unusable {
    #[expect(clippy::needless_pass_by_value, reason = "this is what map_err gives")]
    fn because(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

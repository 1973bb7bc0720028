//! The proof at the start: a viewer made of `str0m` connects over loopback, once as who its offer says and twice with another certificate,
//! as either side of DTLS. Only where the first one comes in and the others never do, this process serves anybody.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use weir_webrtc::sdp::{Offer, Setup};
use weir_webrtc::viewer::{Offered, Viewer};
use weir_webrtc::webrtcbin::{Far, FromProcess, Ours, Passport, answer_text, far_of};

use super::outbox::Outbox;
use super::peer::{Common, Peer};

/// The right one is connected after a tenth of a second. A machine may be busy when the server starts.
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);

/// An attempt that shows nothing, because nothing came in time, is made so often before the engine is refused for it.
const ATTEMPTS: usize = 3;

/// After a wrong certificate was seen, its viewer goes on trying for so long, and must not get in.
const TRIES_FOR: Duration = Duration::from_millis(1_500);

/// The ports of the proof: any that are free.
const PORTS: (u16, u16) = (0, u16::MAX);

/// One attempt to come in.
struct Attempt {
    is_right: bool,
    setup: Setup,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// The far end finished its handshake.
    far_end_connected: bool,
    /// The server would have been told that it is connected.
    told: bool,
    open: bool,
    barred: bool,
}

const RIGHT: Outcome = Outcome { far_end_connected: true, told: true, open: true, barred: false };
const WRONG: Outcome = Outcome { far_end_connected: false, told: false, open: false, barred: true };

pub(crate) fn prove() -> Result<(), String> {
    for (attempt, expected) in [
        (Attempt { is_right: true, setup: Setup::Either }, RIGHT),
        (Attempt { is_right: false, setup: Setup::Either }, WRONG),
        (Attempt { is_right: false, setup: Setup::Passive }, WRONG),
    ] {
        let mut outcome = attempt.make();
        for _ in 1..ATTEMPTS {
            match &outcome {
                Ok(outcome) if *outcome == expected || outcome.lets_in(&attempt) => break,
                _ => outcome = attempt.make(),
            }
        }
        let outcome = outcome.map_err(|why| format!("the proof of DTLS can't be made: {why}"))?;
        if outcome != expected {
            return Err(match outcome.lets_in(&attempt) {
                false => format!(
                    "the proof of DTLS shows nothing, since the far end got no answer in time, or none that lets it in ({outcome:?})"
                ),
                true => format!(
                    "the proof of DTLS failed: who shows another certificate than its offer names comes in ({outcome:?})"
                ),
            });
        }
    }
    Ok(())
}

impl Outcome {
    /// Somebody came in who must not.
    fn lets_in(&self, attempt: &Attempt) -> bool {
        !attempt.is_right && (self.far_end_connected || self.told || self.open)
    }
}

impl Attempt {
    fn make(&self) -> Result<Outcome, String> {
        let io = |error: std::io::Error| error.to_string();
        let passport = Passport::make()?;
        let pem = Arc::from(passport.pem.as_str());
        let (outbox, told) = Outbox::nowhere();
        let common = Common { addresses: vec![Ipv4Addr::LOCALHOST.into()], ports: PORTS, passport, pem, outbox };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
        let local = socket.local_addr().map_err(io)?;
        let offered = Viewer::offer(local, true, Instant::now()).map_err(|error| error.to_string())?;
        let mut offer = Offer::parse(&offered.text).map_err(|error| error.to_string())?;
        offer.setup = self.setup;
        if !self.is_right {
            offer.fingerprint.0[0] ^= 1;
        }
        let (far, answer) =
            (self.far(&offer), |ours: &Ours| answer_text(&offer, ours, &[], offer.h264(66), offer.opus()));
        let (peer, _sender, ours) = Peer::open(0, &far, &common)?;
        Self::run(&peer, &told, offered, &answer(&ours), &socket)
    }

    fn far(&self, offer: &Offer) -> Far {
        far_of(offer, offer.h264(66), offer.opus())
    }

    /// Lets the far end try, until it is clear what comes of it.
    fn run(
        peer: &Peer,
        told: &Receiver<FromProcess>,
        offered: Offered,
        answer: &str,
        socket: &UdpSocket,
    ) -> Result<Outcome, String> {
        let mut viewer = offered.accept(answer).map_err(|error| error.to_string())?;
        let mut is_told = false;
        let mut outcome = |viewer: &Viewer| Outcome {
            far_end_connected: viewer.is_connected(),
            told: {
                is_told |= told.try_iter().any(|message| matches!(message, FromProcess::Connected { .. }));
                is_told
            },
            open: peer.gate.is_open(),
            barred: peer.gate.is_barred(),
        };
        let (begun, mut barred, mut buffer) = (Instant::now(), None, [0; 2_000]);
        loop {
            let send = |to: SocketAddr, bytes: &[u8]| drop(socket.send_to(bytes, to));
            let now = Instant::now();
            let Some(wake) = viewer.poll(send, drop) else { return Ok(outcome(&viewer)) };
            if peer.gate.is_barred() {
                barred.get_or_insert(now);
            }
            let is_tried = barred.is_some_and(|since: Instant| now.duration_since(since) >= TRIES_FOR);
            if outcome(&viewer) == RIGHT || is_tried || now.duration_since(begun) >= CONNECTS_WITHIN {
                return Ok(outcome(&viewer));
            }
            let wait = wake.saturating_duration_since(now).clamp(Duration::from_millis(1), Duration::from_millis(50));
            socket.set_read_timeout(Some(wait)).map_err(|error| error.to_string())?;
            match socket.recv_from(&mut buffer) {
                Ok((length, source)) => {
                    viewer.receive(source, buffer.get(..length).unwrap_or_default(), Instant::now());
                }
                Err(_) => viewer.tick(Instant::now()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_certificate_comes_in_and_another_one_never_does() {
        gstreamer::init().unwrap();
        assert_eq!(prove(), Ok(()));
    }
}

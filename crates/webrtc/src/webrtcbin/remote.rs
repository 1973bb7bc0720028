//! A viewer whose end is in the process of `webrtcbin`: how the process is told of it, what it answers, and how its connection is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use weir_media::MediaTime;

use super::link::{OpenedViewer, Session, Told};
use super::message::{Far, FarMedia, Ours, Shown};
use crate::carrier::Cut;
use crate::peer::{Fact, Written};
use crate::sdp::{Agreed, Answer, Candidate, Offer, Payload, Sent, Setup, Transport};

/// Nothing is due by itself here: the process has its own timers.
const NEVER: Duration = Duration::from_secs(3_600);

/// What an offer leaves for `webrtcbin` to know.
pub fn far_of(offer: &Offer, video: Option<(&Payload, Option<&Payload>)>, audio: Option<&Payload>) -> Far {
    let video = video.map(|(payload, repeats)| FarMedia {
        number: payload.number,
        repeats: repeats.map(|repeats| repeats.number),
        estimates: payload.estimates,
    });
    Far {
        ufrag: offer.ice.ufrag.clone(),
        password: offer.ice.password.clone(),
        fingerprint: offer.fingerprint,
        begins: offer.setup != Setup::Passive,
        video,
        audio: audio.map(|payload| FarMedia { number: payload.number, repeats: None, estimates: false }),
    }
}

/// Writes the answer. The process's own addresses are replaced by the public ones, if there are any: a router in front of this machine hands
/// on whatever comes to the same port there.
pub fn answer_text(
    offer: &Offer,
    ours: &Ours,
    public_ips: &[std::net::IpAddr],
    video: Option<(&Payload, Option<&Payload>)>,
    audio: Option<&Payload>,
) -> String {
    let fingerprint: Vec<String> = ours.fingerprint.0.iter().map(|byte| format!("{byte:02X}")).collect();
    let video = video.zip(ours.video_ssrc).map(|((payload, repeats), ssrc)| {
        Agreed::Sent(Sent { payload, ssrc, repeats: repeats.zip(ours.repeats_ssrc) })
    });
    let audio = audio.zip(ours.audio_ssrc);
    Answer {
        offer,
        is_lite: false,
        ufrag: &ours.ufrag,
        password: &ours.password,
        fingerprint: &format!("sha-256 {}", fingerprint.join(":")),
        candidates: &candidates(&ours.addresses, public_ips),
        video,
        audio: audio.map(|(payload, ssrc)| Agreed::Sent(Sent { payload, ssrc, repeats: None })),
    }
    .write()
}

fn candidates(addresses: &[SocketAddr], public_ips: &[std::net::IpAddr]) -> Vec<Candidate> {
    let mut told: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let public = public_ips.iter().filter(|ip| ip.is_ipv4() == address.is_ipv4());
        let public: Vec<SocketAddr> = public.map(|ip| SocketAddr::new(*ip, address.port())).collect();
        let instead = if public_ips.is_empty() { vec![*address] } else { public };
        told.extend(instead);
    }
    told.dedup();
    told.into_iter().map(|address| Candidate { transport: Transport::Udp, address }).collect()
}

#[derive(Debug)]
pub(crate) struct Remote {
    session: Arc<Session>,
    viewer: u32,
    told: mpsc::Receiver<Told>,
    facts: Vec<Fact>,
    cut: Option<Cut>,
}

impl Remote {
    pub(crate) fn new(opened: OpenedViewer) -> (Self, Ours) {
        let OpenedViewer { session, viewer, ours, told } = opened;
        (Self { session, viewer, told, facts: Vec::new(), cut: None }, ours)
    }

    /// Waits for what the process tells of the viewer. Cancel-safe.
    pub(crate) async fn hear(&mut self) {
        match self.told.recv().await {
            Some(Told::Fact(fact)) => self.facts.push(fact),
            Some(Told::Over(over)) => self.cut = Some(Cut::Over(over)),
            None => self.cut = self.cut.or(Some(Cut::EngineEnded)),
        }
    }

    pub(crate) fn splice(&self, time: MediaTime) {
        self.session.splice(self.viewer, time);
    }

    /// Has the process send it.
    pub(crate) fn write(&self, written: &Written<'_>) {
        let Written { batch, payloads, part, newest, .. } = written;
        let [from, to] = [payloads.start, payloads.end].map(|at| u16::try_from(at).unwrap_or(u16::MAX));
        self.session.show(batch, |number| Shown::new(self.viewer, number, (from, to), *part, *newest));
    }

    pub(crate) fn poll(&mut self, now: Instant, tell: impl FnMut(Fact)) -> Result<Instant, Cut> {
        self.facts.drain(..).for_each(tell);
        self.cut.map_or(Ok(now + NEVER), Err)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.session.close(self.viewer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_stand_in_for_the_own_ones() {
        let own: Vec<SocketAddr> =
            ["10.0.0.5:10000", "10.0.0.5:10000", "[fd00::5]:10001"].map(|it| it.parse().unwrap()).into();
        let told = |public: &[&str]| -> Vec<String> {
            let public: Vec<_> = public.iter().map(|ip| ip.parse().unwrap()).collect();
            candidates(&own, &public).iter().map(|candidate| candidate.address.to_string()).collect()
        };
        assert_eq!(told(&[]), ["10.0.0.5:10000", "[fd00::5]:10001"]);
        assert_eq!(told(&["203.0.113.1"]), ["203.0.113.1:10000"]);
    }
}

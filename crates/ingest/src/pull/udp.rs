//! A pull of MPEG-TS in datagrams, as they are or in RTP, from a group or from whoever sends to us.

use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use weir_media::WireClock;
use weir_model::{Fault, Reason, ReasonCode, UdpSource};
use weir_mux::rtp::sequence::SequenceCounts;
use weir_net::Dialer;

use super::machine::source_reason;
use super::reasons::of_useless;
use super::seat::Seat;
use super::udp_ports::UdpPorts;
use crate::ts::TsSession;

/// So long the first datagram is waited for, and afterwards any.
const DATAGRAM_WITHIN: Duration = Duration::from_secs(10);
/// Loss is told of so long a time.
const LOSS_OVER: Duration = Duration::from_secs(10);

/// Listens until that ends. Returns why it did.
pub(crate) async fn fetch(source: &UdpSource, ports: &UdpPorts, dialer: &Dialer, seat: &Seat) -> Reason {
    let addresses = [Some(source.at.address).filter(std::net::IpAddr::is_multicast), source.at.source];
    if !addresses.into_iter().flatten().all(|address| dialer.permits(address)) {
        let message = "the address is not allowed by the egress rules";
        return Reason::new(ReasonCode::NotPermitted, message).with_fault(Fault::Config);
    }
    listen(source, ports, seat).await.unwrap_or_else(|reason| reason)
}

async fn listen(source: &UdpSource, ports: &UdpPorts, seat: &Seat) -> Result<Reason, Reason> {
    let mut port = ports.open(&source.at)?;
    let Ok(first) = timeout(DATAGRAM_WITHIN, port.next()).await else {
        let message = format!("no datagram has come for {} s", DATAGRAM_WITHIN.as_secs());
        return Err(source_reason(ReasonCode::Timeout, message));
    };
    let (ticket, mut gone) = seat.take(WireClock::MPEG_TS)?.into_parts();
    let mut session = TsSession::new(ticket, source.program);
    let mut loss = Loss::default();
    let mut next = first;
    loop {
        match next {
            Ok(batch) => {
                let now = Instant::now();
                for datagram in &batch.datagrams {
                    session.bytes(datagram, now).map_err(of_useless)?;
                }
                if let Some(counts) = batch.counts {
                    session.loss_percent(loss.look(counts, now));
                }
                session.tell_counts();
            }
            // What was passed over shows as errors of continuity.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Err(source_reason(ReasonCode::Ended, "the port was closed")),
        }
        next = tokio::select! {
            biased;
            reason = &mut gone => return Err(reason),
            batch = timeout(DATAGRAM_WITHIN, port.next()) => match batch {
                Ok(batch) => batch,
                Err(_) => {
                    let message = format!("no datagram has come for {} s", DATAGRAM_WITHIN.as_secs());
                    return Err(source_reason(ReasonCode::Stalled, message));
                }
            },
        };
    }
}

/// The share of packets that were lost lately.
#[derive(Debug, Default)]
struct Loss {
    since: Option<(Instant, SequenceCounts)>,
    before: Option<SequenceCounts>,
}

impl Loss {
    /// The percentage over the last ten to twenty seconds.
    fn look(&mut self, counts: SequenceCounts, now: Instant) -> f64 {
        let (since, began) = *self.since.get_or_insert((now, counts));
        let from = self.before.unwrap_or(began);
        if now.saturating_duration_since(since) >= LOSS_OVER {
            self.before = Some(began);
            self.since = Some((now, counts));
        }
        let (lost, came) = (counts.lost - from.lost, counts.packets - from.packets);
        // A count of packets is far below 2^52.
        if lost + came == 0 { 0.0 } else { lost as f64 * 100.0 / (lost + came) as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_of_the_last_seconds() {
        let start = Instant::now();
        let mut loss = Loss::default();
        for (seconds, packets, lost, expected) in
            [(0, 100, 0, 0.0), (5, 190, 10, 10.0), (10, 290, 10, 5.0), (20, 390, 10, 0.0), (30, 490, 10, 0.0)]
        {
            let counts = SequenceCounts { packets, lost, ..SequenceCounts::default() };
            let told = loss.look(counts, start + Duration::from_secs(seconds));
            assert!((told - expected).abs() < 5.1, "{seconds}: {told}");
        }
        let counts = SequenceCounts { packets: 590, lost: 10, ..SequenceCounts::default() };
        assert!(loss.look(counts, start + Duration::from_secs(40)).abs() < f64::EPSILON, "old loss is forgotten");
    }
}

//! Keeps the process of `webrtcbin`: starts it, again and again where it dies, and not any more where it fails its proof.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use weir_observe::Heartbeat;
use weir_transcode::EncodingResources;
use weir_webrtc::webrtcbin::{PORTS_MIN, State, Webrtcbin};

/// A process that dies once is back at once.
const DELAY_MIN: Duration = Duration::from_millis(200);
const DELAY_MAX: Duration = Duration::from_secs(30);

/// A process that served for so long was well.
const HEALTHY_MIN: Duration = Duration::from_secs(30);

/// What it is given to end by itself, once its socket is closed.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The proof takes four seconds. Where plugins were installed since the last start, they are looked up first.
const PROVED_WITHIN: Duration = Duration::from_secs(60);

/// Reads `webrtc.udp_ports`: the first and the last port.
pub(super) fn ports(text: &str) -> anyhow::Result<(u16, u16)> {
    let read = || {
        let (first, last) = text.split_once('-')?;
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    let (first, last): (u16, u16) =
        read().with_context(|| format!("webrtc.udp_ports = {text:?} is not a range such as \"10000-10100\""))?;
    if first < 1_024 || last < first || last - first < PORTS_MIN {
        bail!("webrtc.udp_ports = {text:?} must have more than {PORTS_MIN} ports, none of them below 1024");
    }
    Ok((first, last))
}

/// Keeps the process until told to stop.
pub(crate) async fn keep(
    webrtcbin: Webrtcbin,
    encoding: EncodingResources,
    stop: CancellationToken,
    heartbeat: Heartbeat,
) {
    heartbeat.idle(stop.run_until_cancelled(keep_on(&webrtcbin, &encoding))).await;
}

async fn keep_on(webrtcbin: &Webrtcbin, encoding: &EncodingResources) {
    let mut delay = DELAY_MIN;
    loop {
        let (served, why) = match encoding.start_webrtc() {
            Ok((process, stream)) => {
                let ended = webrtcbin.attend(stream).await;
                let _ = process.end(END_WITHIN).await;
                ended
            }
            Err(why) => {
                webrtcbin.gone(&why);
                (Duration::ZERO, why)
            }
        };
        if matches!(webrtcbin.state(), State::Refused(_)) {
            tracing::error!(why, "webrtcbin is refused: viewers by WebRTC are served by str0m");
            // Another try would end in the same way.
            std::future::pending::<()>().await;
        }
        if served >= HEALTHY_MIN {
            delay = DELAY_MIN;
        }
        let wait_ms = delay.as_millis();
        tracing::warn!(
            why,
            wait_ms,
            "the process of webrtcbin is gone, with its viewers: str0m serves until it is back"
        );
        sleep(delay).await;
        delay = (delay * 2).min(DELAY_MAX);
    }
}

/// For `weir doctor`: has the process prove itself once. Returns what came of it.
pub(crate) async fn prove(encoding: &EncodingResources, webrtcbin: &Webrtcbin) -> Result<(), String> {
    let (process, stream) = encoding.start_webrtc()?;
    let proved = async {
        loop {
            match webrtcbin.state() {
                State::Serving => return Ok(()),
                State::Refused(why) | State::Gone(why) => return Err(why),
                State::Proving => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let outcome = tokio::select! {
        proved = timeout(PROVED_WITHIN, proved) => proved.unwrap_or_else(|_| Err("it takes too long".to_owned())),
        (_, why) = webrtcbin.attend(stream) => Err(why),
    };
    let _ = process.end(END_WITHIN).await;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_is_read() {
        assert_eq!(ports("10000-10100").unwrap(), (10_000, 10_100));
        assert_eq!(ports(" 2000 - 65535 ").unwrap(), (2_000, 65_535));
        for text in ["", "10000", "10000-", "10100-10000", "10000-10009", "80-1000", "1-70000", "a-b"] {
            let error = ports(text).unwrap_err().to_string();
            assert!(error.contains("webrtc.udp_ports"), "{error}");
        }
    }
}

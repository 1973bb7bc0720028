//! Where a push goes: either protocol's own words, made of the restream's URL.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use weir_hub::Tracks;
use weir_model::{Advice, Fault, PushUrl, Reason, ReasonCode, SrtUrl};
use weir_rtmp::StreamKey;
use weir_rtmp::net::{PushOptions, PushTarget, connect_publish};
use weir_rtmp::url::{Credentials, RtmpUrl};
use weir_srt::CallTarget;

use crate::link::{Dialed, LinkError};

/// A look at a refused port takes no longer.
const DOOR_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) enum Target {
    Rtmp(PushTarget),
    Srt { call: CallTarget, advice: Vec<Advice> },
}

impl Target {
    pub(crate) fn new(url: &PushUrl, enhanced: bool) -> Result<Self, Reason> {
        match url {
            PushUrl::Srt { url: srt } => Ok(Self::Srt { call: call_target(srt), advice: url.advice() }),
            PushUrl::Rtmp { server, login, stream_key, .. } => {
                let mut url = RtmpUrl::parse(server)
                    .map_err(|error| Reason::new(ReasonCode::Internal, error.to_string()).with_fault(Fault::Config))?;
                url.credentials = login.as_ref().map(|login| Credentials {
                    user: login.user.clone(),
                    password: login.password.expose().to_owned(),
                });
                Ok(Self::Rtmp(PushTarget { url, stream_key: StreamKey::new(stream_key.expose()), enhanced }))
            }
        }
    }

    /// Why these tracks can't be sent there, if they can't.
    pub(crate) fn check_tracks(&self, tracks: &Tracks) -> Result<(), String> {
        match self {
            Self::Rtmp(target) => {
                weir_rtmp::from_frames::check_tracks(tracks, None, target.enhanced).map_err(|error| error.to_string())
            }
            Self::Srt { .. } => weir_srt::from_frames::check_tracks(tracks).map_err(|error| error.to_string()),
        }
    }

    /// What is to be thought about, before anything is measured.
    pub(crate) fn advice(&self) -> &[Advice] {
        match self {
            Self::Rtmp(_) => &[],
            Self::Srt { advice, .. } => advice,
        }
    }

    pub(crate) async fn dial(self, options: PushOptions) -> Result<Dialed, LinkError> {
        match self {
            Self::Rtmp(target) => connect_publish(&target, &options)
                .await
                .map(|connection| Dialed::Rtmp(Box::new(connection)))
                .map_err(LinkError::Rtmp),
            Self::Srt { call, .. } => weir_srt::call(&call, &options.egress)
                .await
                .map(|connection| Dialed::Srt(Box::new(connection)))
                .map_err(LinkError::Call),
        }
    }

    /// Whether anybody is there now, without saying more than that.
    pub(crate) async fn door_is_open(self, options: PushOptions) -> bool {
        let (host, port) = match &self {
            Self::Rtmp(target) => (target.url.host.as_str(), target.url.port),
            Self::Srt { call, .. } => (call.host.as_str(), call.port),
        };
        let look = async {
            for address in options.egress.resolve(host, port).await.ok()? {
                let open = match &self {
                    Self::Rtmp(_) => TcpStream::connect(address).await.is_ok(),
                    Self::Srt { .. } => weir_srt::knock(address).await,
                };
                if open {
                    return Some(());
                }
            }
            None
        };
        matches!(timeout(DOOR_TIMEOUT, look).await, Ok(Some(())))
    }
}

fn call_target(url: &SrtUrl) -> CallTarget {
    CallTarget {
        host: url.host.clone(),
        port: url.port,
        stream_id: url.streamid.as_ref().map(|secret| secret.expose().to_owned()),
        passphrase: url.passphrase.as_ref().map(|secret| secret.expose().to_owned()),
        key_bytes: url.pbkeylen,
        latency: url.latency_us.map(Duration::from_micros),
        payload_bytes: url.pkt_size,
        send_buffer_bytes: url.send_buffer_size,
    }
}

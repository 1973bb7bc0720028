//! A pass: the conditions on which a connection that lasts was let in. It tells when they no longer hold, and why.

use std::net::IpAddr;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::timeout;
use weir_model::{Role, Secret, StreamId};

use crate::admission::{AdmissionRefusal, may_watch};
use crate::commands::{Commands, Credential};

/// How late a change that another process made to keys and people is seen.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// An end that is further away is checked again meanwhile, as somebody may set the wall clock.
const EXPIRY_LOOK_MAX: Duration = Duration::from_secs(60);

/// Why a pass no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassEnd {
    #[error("the stream was deleted")]
    StreamDeleted,
    #[error("the stream was stopped")]
    StreamStopped,
    #[error("the stream key was changed")]
    StreamKeyChanged,
    #[error("the stream is protected")]
    Protected,
    #[error("the token has expired")]
    TokenExpired,
    #[error("the token was revoked")]
    TokenRevoked,
    #[error("the key, login or account is no longer there")]
    CallerGone,
    #[error("the role was changed")]
    RoleChanged,
}

/// Every connection that lasts holds one: those of publishers, players, and followers of events.
#[derive(Clone, Debug)]
pub struct Pass {
    commands: Commands,
    holder: Holder,
}

#[derive(Clone, Debug)]
enum Holder {
    Publisher { stream: StreamId, key_lookup: [u8; 32] },
    Viewer { stream: StreamId, token: Option<Secret>, ip: IpAddr },
    Caller { credential: Credential, role: Role },
}

impl Pass {
    /// The pass of somebody who publishes into the stream with this key.
    pub(crate) fn publisher(commands: &Commands, stream: StreamId, stream_key: &str) -> Self {
        let key_lookup = commands.key_lookup(stream_key);
        Self { commands: commands.clone(), holder: Holder::Publisher { stream, key_lookup } }
    }

    /// The pass of somebody who watches the stream from that address, perhaps by a token.
    pub(crate) fn viewer(commands: &Commands, stream: StreamId, token: Option<&str>, ip: IpAddr) -> Self {
        Self { commands: commands.clone(), holder: Holder::Viewer { stream, token: token.map(Into::into), ip } }
    }

    /// The pass of somebody who calls the API with this credential, in this role.
    pub fn caller(commands: &Commands, credential: Credential, role: Role) -> Self {
        Self { commands: commands.clone(), holder: Holder::Caller { credential, role } }
    }

    /// Waits until the pass no longer holds. It is cancel-safe.
    pub async fn ended(&self) -> PassEnd {
        let mut changes = match self.holder {
            Holder::Publisher { .. } | Holder::Viewer { .. } => self.commands.stream_changes(),
            Holder::Caller { .. } => self.commands.caller_changes(),
        };
        loop {
            changes.mark_unchanged();
            match self.look().await {
                Err(end) => return end,
                Ok(None) => drop(changes.changed().await),
                Ok(Some(look_after)) => drop(timeout(look_after, changes.changed()).await),
            }
        }
    }

    /// Checks whether the pass still holds, and says after how long to check again even if nothing changes.
    pub async fn look(&self) -> Result<Option<Duration>, PassEnd> {
        match &self.holder {
            Holder::Publisher { stream, key_lookup } => match self.commands.publish_grant(key_lookup) {
                Ok(grant) if grant.stream_id == *stream => Ok(None),
                Err(AdmissionRefusal::Stopped) => Err(PassEnd::StreamStopped),
                _ if self.commands.play_grant(*stream).is_none() => Err(PassEnd::StreamDeleted),
                _ => Err(PassEnd::StreamKeyChanged),
            },
            Holder::Viewer { stream, token, ip } => {
                let grant = self.commands.play_grant(*stream).ok_or(PassEnd::StreamDeleted)?;
                let sign = |text: &[u8]| self.commands.sign_play_token(text);
                let now = OffsetDateTime::now_utc();
                let expires_at = may_watch(sign, &grant, token.as_ref().map(Secret::expose), *ip, || now)?;
                Ok(expires_at.map(|at| until(at, now).min(EXPIRY_LOOK_MAX)))
            }
            Holder::Caller { credential, role } => match self.commands.who(credential).await {
                Ok(Some(who)) if who.role == *role => Ok(Some(LOOK_EVERY)),
                Ok(Some(_)) => Err(PassEnd::RoleChanged),
                Ok(None) => Err(PassEnd::CallerGone),
                Err(error) => {
                    tracing::warn!(%error, "who follows events could not be looked up; it is tried again");
                    Ok(Some(LOOK_EVERY))
                }
            },
        }
    }
}

fn until(unix_seconds: i64, now: OffsetDateTime) -> Duration {
    // A token's end is at most 366 days away, so the milliseconds fit.
    let milliseconds = i128::from(unix_seconds) * 1_000 - now.unix_timestamp_nanos() / 1_000_000;
    // One millisecond is added, because the rest of the last one was cut off.
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0) + 1)
}

#[cfg(test)]
#[path = "pass_tests.rs"]
mod tests;

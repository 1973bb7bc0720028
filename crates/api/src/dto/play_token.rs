//! The shapes of tokens for viewers of protected streams.

use super::Timestamp;
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;
use utoipa::ToSchema;
use weir_control::{PlayToken, PreviewPass, TOKEN_LIFE_MAX};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlayTokenInput {
    /// How long the token is valid: 1 to 31622400 (366 days); 3600 when absent.
    #[serde(default = "hour")]
    #[schema(minimum = 1, maximum = 31622400)]
    expires_in_seconds: u64,
    /// The address whose viewers alone may use the token; null lets everyone use it who has it.
    #[serde(default, deserialize_with = "present")]
    ip: Option<Option<String>>,
}

fn hour() -> u64 {
    3_600
}

impl PlayTokenInput {
    pub(crate) fn read(&self) -> Result<(Duration, Option<IpAddr>), Problem> {
        let life = Duration::from_secs(self.expires_in_seconds);
        if life.is_zero() || life > TOKEN_LIFE_MAX {
            let message = format!("must be from 1 to {}", TOKEN_LIFE_MAX.as_secs());
            return Err(Problem::invalid("expires_in_seconds", message));
        }
        let ip = self.ip.iter().flatten().next().map(|text| text.trim().parse::<IpAddr>());
        let ip = ip.transpose().map_err(|_| Problem::invalid("ip", "must be an IP address or null"))?;
        Ok((life, ip))
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlayTokenDto {
    /// The token, which goes behind any play URL as `?token=`.
    token: String,
    expires_at: Timestamp,
}

impl From<PlayToken> for PlayTokenDto {
    fn from(token: PlayToken) -> Self {
        Self { token: token.token.expose().to_owned(), expires_at: token.expires_at.into() }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewPassDto {
    /// The pass, to be sent as the header `Weir-Preview` with requests for playlists, which then count no viewer. It opens nothing.
    pass: String,
    expires_at: Timestamp,
}

impl From<PreviewPass> for PreviewPassDto {
    fn from(pass: PreviewPass) -> Self {
        Self { pass: pass.pass.expose().to_owned(), expires_at: pass.expires_at.into() }
    }
}

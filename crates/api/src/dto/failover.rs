//! The shapes of the rules by which another source comes on air.

use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::Failover;

/// When another source of the stream comes on air.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailoverDto {
    /// A source that gave no picture for so long is lost.
    loss_seconds: f64,
    /// A preferred source is gone back to when it was well for so long.
    return_seconds: f64,
    /// Whether a preferred source is gone back to at all.
    #[serde(rename = "return")]
    returns: bool,
}

impl From<Failover> for FailoverDto {
    fn from(failover: Failover) -> Self {
        Self {
            loss_seconds: f64::from(failover.loss_ms) / 1_000.0,
            return_seconds: f64::from(failover.return_ms) / 1_000.0,
            returns: failover.returns,
        }
    }
}

/// A field that is absent stays as it is; for a new stream it is 1.5 s, 5 s and true.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailoverInput {
    #[serde(default)]
    #[schema(minimum = 0.5, maximum = 60)]
    loss_seconds: Option<f64>,
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3600)]
    return_seconds: Option<f64>,
    #[serde(default, rename = "return")]
    returns: Option<bool>,
}

/// The input whose every value is a number of milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FailoverChange {
    loss_ms: Option<u32>,
    return_ms: Option<u32>,
    returns: Option<bool>,
}

impl From<Failover> for FailoverInput {
    fn from(failover: Failover) -> Self {
        let FailoverDto { loss_seconds, return_seconds, returns } = failover.into();
        Self { loss_seconds: Some(loss_seconds), return_seconds: Some(return_seconds), returns: Some(returns) }
    }
}

impl FailoverInput {
    pub(crate) fn into_change(self) -> Result<FailoverChange, Problem> {
        Ok(FailoverChange {
            loss_ms: self.loss_seconds.map(|seconds| milliseconds(seconds, "failover.loss_seconds")).transpose()?,
            return_ms: self
                .return_seconds
                .map(|seconds| milliseconds(seconds, "failover.return_seconds"))
                .transpose()?,
            returns: self.returns,
        })
    }
}

impl FailoverChange {
    pub(crate) fn apply(&self, failover: &mut Failover) {
        failover.loss_ms = self.loss_ms.unwrap_or(failover.loss_ms);
        failover.return_ms = self.return_ms.unwrap_or(failover.return_ms);
        failover.returns = self.returns.unwrap_or(failover.returns);
    }
}

fn milliseconds(seconds: f64, field: &str) -> Result<u32, Problem> {
    if !(0.0..=1_000_000.0).contains(&seconds) {
        return Err(Problem::invalid(field, "is no number of seconds that can be waited"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to a thousand million")]
    let milliseconds = (seconds * 1_000.0).round() as u32;
    Ok(milliseconds)
}

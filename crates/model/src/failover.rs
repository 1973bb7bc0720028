//! When another source of a stream comes on air.

use serde::{Deserialize, Serialize};

/// A picture may be late by some frames, so that a source is not lost before half a second.
const LOSS_MS: std::ops::RangeInclusive<u32> = 500..=60_000;
const RETURN_MS_MAX: u32 = 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failover {
    /// A source that has given no picture for so long is lost, and the next live one comes on air.
    pub loss_ms: u32,
    /// A preferred source is gone back to when it was well for so long.
    pub return_ms: u32,
    /// Whether a preferred source is gone back to at all.
    pub returns: bool,
}

impl Default for Failover {
    fn default() -> Self {
        Self { loss_ms: 1_500, return_ms: 5_000, returns: true }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct FailoverFault {
    pub field: &'static str,
    pub problem: &'static str,
}

impl Failover {
    pub fn check(&self) -> Result<(), FailoverFault> {
        if !LOSS_MS.contains(&self.loss_ms) {
            return Err(FailoverFault { field: "loss_seconds", problem: "must be from 0.5 to 60" });
        }
        if self.return_ms > RETURN_MS_MAX {
            return Err(FailoverFault { field: "return_seconds", problem: "must be from 0 to 3600" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_their_field() {
        let usual = Failover::default();
        for (failover, expected) in [
            (usual, None),
            (Failover { loss_ms: 499, ..usual }, Some("loss_seconds")),
            (Failover { loss_ms: 60_001, ..usual }, Some("loss_seconds")),
            (Failover { return_ms: 0, ..usual }, None),
            (Failover { return_ms: 3_600_001, ..usual }, Some("return_seconds")),
        ] {
            assert_eq!(failover.check().err().map(|fault| fault.field), expected, "{failover:?}");
        }
    }
}

//! How a network path is, as a protocol with figures of its own, such as SRT, measures it.

use crate::SrtFigures;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathFigures {
    pub rtt_ms: f64,
    pub latency_ms: f64,
    /// The loss of the last ten seconds, repaired or not.
    pub loss_percent: f64,
    pub srt: SrtFigures,
    pub advice: Vec<PathAdvice>,
}

/// A warning, by its code and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathAdvice {
    pub code: &'static str,
    pub message: String,
}

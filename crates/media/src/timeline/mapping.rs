//! A mapping: one run of a wire clock, unwrapped, and its offset to stream time.

use std::time::Duration;

use super::clock::{WireClock, span, wrapping_distance};
use crate::MediaTime;

/// RTMP encoders that write FLV's 24-bit time without its extension byte start again at 2^24 ms, 4 h 40 min.
const SHORT_BITS: u8 = 24;

/// How near to 2^24 (before) and to 0 (after) stamps must be for a fall to be that wrap, in milliseconds.
const SHORT_WRAP_MARGIN_MS: u64 = 10_000;

/// How fast the best lead is forgotten: 1/1,000 of wall time, above the drift of any encoder's clock (100/1,000,000).
const LEAD_FADE: u32 = 1_000;

#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) id: u64,
    /// The wall time when a frame last used it.
    pub(super) used_at: Duration,
    /// The furthest stream time that any track reached through it.
    pub(super) furthest: i128,
    /// Stream time minus wall time of the least delayed frame of late: where a frame without delay would be.
    lead: i128,
    /// Stream time = unwrapped wire time + offset; nanoseconds.
    offset: i128,
    last_raw: u64,
    last_ticks: i128,
    bits: u8,
    /// How often the counter has wrapped.
    era: i128,
}

/// A frame seen through a mapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Stream time in nanoseconds, before it is made monotonic.
    pub(super) mapped: i128,
    raw: u64,
    ticks: i128,
    bits: u8,
}

impl Mapping {
    pub(super) fn new(id: u64, clock: WireClock, raw: u64, target: MediaTime, now: Duration) -> Self {
        let ticks = i128::from(raw);
        let target = i128::from(target.as_nanos());
        Self {
            id,
            used_at: now,
            furthest: target,
            lead: target - wall(now),
            offset: target - clock.to_nanos(ticks),
            last_raw: raw,
            last_ticks: ticks,
            bits: clock.bits,
            era: 0,
        }
    }

    /// Where it puts a stamp; changes nothing.
    pub(super) fn step(&self, clock: WireClock, raw: u64) -> Step {
        let bits = self.bits_for(clock, raw);
        let ticks = self.last_ticks + wrapping_distance(self.last_raw, raw, bits);
        Step { mapped: clock.to_nanos(ticks) + self.offset, raw, ticks, bits }
    }

    /// Takes the step; returns the counter's bits when it wrapped.
    pub(super) fn advance(&mut self, step: Step, now: Duration) -> Option<u8> {
        if step.bits != self.bits {
            self.bits = step.bits;
            self.era = self.last_ticks.div_euclid(span(step.bits));
        }
        let faded = wall(now.saturating_sub(self.used_at)) / i128::from(LEAD_FADE);
        self.lead = (self.lead - faded).max(step.mapped - wall(now));
        self.used_at = self.used_at.max(now);
        self.furthest = self.furthest.max(step.mapped);
        self.last_raw = step.raw;
        self.last_ticks = step.ticks;
        let era = step.ticks.div_euclid(span(self.bits));
        let wrapped = era > self.era;
        self.era = self.era.max(era);
        wrapped.then_some(self.bits)
    }

    /// The latest stream time that a frame of this clock can have by the wall clock.
    pub(super) fn latest(&self, now: Duration) -> i128 {
        self.furthest.max(wall(now) + self.lead)
    }

    /// The counter's bits, given this stamp: a millisecond clock that falls from just below 2^24 to just above 0 has 24.
    fn bits_for(&self, clock: WireClock, raw: u64) -> u8 {
        let edge = 1_u64 << SHORT_BITS;
        if clock.rate_hz != WireClock::RTMP.rate_hz || clock.bits <= SHORT_BITS {
            return clock.bits;
        }
        if self.bits == SHORT_BITS {
            // It passed the edge after all: the fall was something else.
            return if raw >= edge { clock.bits } else { SHORT_BITS };
        }
        let before_edge = (edge - SHORT_WRAP_MARGIN_MS..edge).contains(&self.last_raw);
        if before_edge && raw < SHORT_WRAP_MARGIN_MS { SHORT_BITS } else { clock.bits }
    }
}

pub(super) fn wall(now: Duration) -> i128 {
    i128::try_from(now.as_nanos()).unwrap_or(i128::MAX / 4)
}

//! A track's newest frame, which is held back because only the next one says how long it lasts.

use bytes::Bytes;
use weir_media::Frame;
use weir_mux::fmp4::Sample;

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) ticks: u64,
    composition_offset_ticks: i32,
    pub(crate) keyframe: bool,
    payload: Bytes,
}

impl Held {
    /// `ticks` is when the frame is decoded, counted as its track counts.
    pub(crate) fn new(frame: &Frame, ticks: u64, timescale: u32) -> Self {
        let offset = (frame.pts - frame.dts).as_ticks(timescale);
        Self {
            ticks,
            composition_offset_ticks: i32::try_from(offset).unwrap_or(0).max(0),
            keyframe: frame.is_keyframe(),
            payload: frame.payload.clone(),
        }
    }

    /// When the frame is shown.
    pub(crate) fn shown_ticks(&self) -> u64 {
        self.ticks + u64::from(self.composition_offset_ticks.unsigned_abs())
    }

    pub(crate) fn lasting(self, duration_ticks: u64) -> Sample {
        Sample {
            duration_ticks: u32::try_from(duration_ticks).unwrap_or(u32::MAX),
            composition_offset_ticks: self.composition_offset_ticks,
            keyframe: self.keyframe,
            payload: self.payload,
        }
    }
}

//! Pictures: Annex B with everything in it becomes NAL units with lengths, with the parameter sets beside them.

use bytes::{Bytes, BytesMut};
use weir_media::Codec;
use weir_media::codec::{h264, h265, nal};

use super::clock::distance;
use super::elementary::Sink;
use super::pes::Pes;
use crate::parameter_sets::ParameterSets;
use crate::units::{UnitKind, begins_picture, header_bytes, kind_of};

/// The step to a picture that has no time, if no step is known: 30 fps.
const STEP_TICKS: i64 = 3000;
/// A longer step than this is a pause, not the length of a picture.
const STEP_TICKS_MAX: i64 = 90_000;

/// One picture that is being gathered.
#[derive(Debug, Default)]
struct Picture {
    payload: BytesMut,
    units: usize,
    sets: ParameterSets,
    has_slice: bool,
}

#[derive(Debug)]
pub(super) struct VideoUnpacker {
    codec: Codec,
    sets: ParameterSets,
    config: Option<Bytes>,
    last_dts: Option<i64>,
    step_ticks: i64,
}

impl VideoUnpacker {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, sets: ParameterSets::default(), config: None, last_dts: None, step_ticks: STEP_TICKS }
    }

    /// One PES packet is one picture, as everybody sends it. If it holds several, their delimiters separate them.
    pub(super) fn unpack(&mut self, pes: &Pes, sink: &mut Sink<'_>) {
        let mut stamp = pes.pts.map(|pts| {
            let dts = pes.dts.unwrap_or(pts);
            (sink.unroller.unroll(dts), distance(dts, pts))
        });
        let mut picture = Picture::default();
        let mut first = true;
        for unit in nal::annex_b(&pes.data) {
            let kind = kind_of(self.codec, unit);
            if first && stamp.is_none() && kind == UnitKind::Slice && !begins_picture(self.codec, unit) {
                // This is the rest of a picture of which the beginning has gone out already.
                return sink.broken();
            }
            first = false;
            match kind {
                UnitKind::Delimiter if picture.has_slice => {
                    self.emit(std::mem::take(&mut picture), stamp.take(), pes.random_access, sink);
                }
                UnitKind::Delimiter | UnitKind::Nothing => {}
                UnitKind::Set(set) => picture.sets.add(set, unit, header_bytes(self.codec)),
                UnitKind::Slice | UnitKind::Other => {
                    picture.has_slice |= kind == UnitKind::Slice;
                    picture.units += 1;
                    nal::put_unit(&mut picture.payload, unit);
                }
            }
        }
        self.emit(picture, stamp, pes.random_access, sink);
    }

    fn emit(&mut self, picture: Picture, stamp: Option<(i64, i64)>, random_access: bool, sink: &mut Sink<'_>) {
        let has_sets = !picture.sets.is_empty();
        if has_sets {
            self.take_sets(picture.sets, sink);
        }
        if !picture.has_slice {
            return;
        }
        let (dts, cts) = match (stamp, self.last_dts) {
            (Some(stamp), _) => stamp,
            (None, Some(last)) => (last.saturating_add(self.step_ticks), 0),
            // No picture before this one had a time.
            (None, None) => return sink.broken(),
        };
        if let Some(step) = self.last_dts.map(|last| dts.saturating_sub(last))
            && (1..=STEP_TICKS_MAX).contains(&step)
        {
            self.step_ticks = step;
        }
        self.last_dts = Some(dts);
        if picture.units > nal::NAL_UNITS_MAX {
            return sink.broken();
        }
        // A reader that joined in the middle waits for the first configuration.
        if self.config.is_none() {
            return;
        }
        let payload = picture.payload.freeze();
        let keyframe = match self.codec {
            Codec::H265 => h265::is_keyframe(&payload),
            // This is for open GOPs: the sender promises a start and brings the sets for it, and the picture needs no other.
            _ => {
                let promised = random_access && has_sets;
                h264::is_keyframe(&payload) || promised && h264::slice_kind(&payload) == Some(h264::SliceKind::I)
            }
        };
        sink.frame(keyframe, dts, cts, payload);
    }

    fn take_sets(&mut self, seen: ParameterSets, sink: &mut Sink<'_>) {
        let before = self.sets.clone();
        self.sets.merge(seen);
        if self.sets == before {
            return;
        }
        let record = if self.codec == Codec::H265 { self.sets.hevc() } else { self.sets.avc() };
        let told = match record {
            None => true,
            Some(Ok(record)) => sink.track(self.codec, record, &mut self.config),
            Some(Err(_)) => false,
        };
        if !told {
            // The sets are damaged, or nothing that a decoder knows, so those in force stay.
            sink.broken();
            self.sets = before;
        }
    }
}

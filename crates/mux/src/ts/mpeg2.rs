//! MPEG-2 pictures. The bytes of PES packets are cut where coded pictures begin; two fields are one picture.

use std::ops::Range;

use bytes::Bytes;
use weir_media::codec::mpeg2::{self, start_code};
use weir_media::{Codec, TrackId, VideoFormat, codec};

use super::clock::distance;
use super::elementary::Sink;
use super::pes::Pes;

/// The step to a picture that has no time, if no step is known: 25 fps.
const STEP_TICKS: i64 = 3600;
/// A longer step than this is a pause, not the length of a picture.
const STEP_TICKS_MAX: i64 = 90_000;

/// Where a coded picture lies in a PES packet, with the headers before it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Picture {
    at: Range<usize>,
    /// The number of coded pictures in it: two if they are its fields.
    coded: u8,
    fields: bool,
    intra: bool,
    has_slice: bool,
    /// A sequence or a group of pictures begins with it.
    begins_group: bool,
}

#[derive(Debug)]
pub(super) struct Mpeg2Unpacker {
    config: Option<Bytes>,
    format: Option<VideoFormat>,
    last_dts: Option<i64>,
    step_ticks: i64,
}

impl Default for Mpeg2Unpacker {
    fn default() -> Self {
        Self { config: None, format: None, last_dts: None, step_ticks: STEP_TICKS }
    }
}

impl Mpeg2Unpacker {
    pub(super) fn unpack(&mut self, pes: &Pes, sink: &mut Sink<'_>) {
        let mut stamp = pes.pts.map(|pts| {
            let dts = pes.dts.unwrap_or(pts);
            (sink.unroller.unroll(dts), distance(dts, pts))
        });
        for picture in pictures(&pes.data) {
            // This is the rest of a picture of which the beginning has gone out already.
            if picture.coded == 0 {
                if picture.has_slice {
                    sink.broken();
                }
                continue;
            }
            self.emit(&picture, pes.data.slice(picture.at.clone()), stamp.take(), sink);
        }
    }

    fn emit(&mut self, picture: &Picture, payload: Bytes, stamp: Option<(i64, i64)>, sink: &mut Sink<'_>) {
        if let Some(sequence) = mpeg2::sequence_of(&payload) {
            self.take_sequence(payload.slice_ref(sequence), sink);
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
        // A reader that joined in the middle waits for the first sequence.
        if self.config.is_some() {
            sink.frame(picture.intra && picture.begins_group, dts, cts, payload);
        }
    }

    /// Matrices, bit rate and buffer may change with every sequence, and the pictures carry them. A configuration is new only if it
    /// describes other pictures.
    fn take_sequence(&mut self, sequence: Bytes, sink: &mut Sink<'_>) {
        if self.config.as_ref() == Some(&sequence) {
            return;
        }
        let Ok(info) = codec::parse(Codec::Mpeg2, TrackId::SOURCE_VIDEO, sequence.clone()) else {
            return sink.broken();
        };
        if info.video != self.format && sink.track(Codec::Mpeg2, sequence, &mut self.config) {
            self.format = info.video;
        }
    }
}

fn pictures(data: &[u8]) -> Vec<Picture> {
    let mut found = Vec::new();
    let mut open = Picture::default();
    for (value, at) in mpeg2::start_codes(data) {
        let begins = match value {
            start_code::SEQUENCE | start_code::GROUP => open.coded > 0 || open.has_slice,
            start_code::PICTURE => {
                open.coded > 1 || open.coded == 1 && !open.fields || open.coded == 0 && open.has_slice
            }
            _ => false,
        };
        if begins {
            open.at.end = at;
            found.push(std::mem::take(&mut open));
            open.at.start = at;
        }
        match value {
            start_code::SEQUENCE | start_code::GROUP => open.begins_group = true,
            start_code::PICTURE => {
                open.coded += 1;
                open.intra |= open.coded == 1 && mpeg2::is_intra(&data[at..]);
            }
            start_code::EXTENSION if open.coded == 1 => open.fields |= mpeg2::is_field(&data[at..]),
            value if start_code::SLICES.contains(&value) => open.has_slice = true,
            _ => {}
        }
    }
    open.at.end = data.len();
    found.push(open);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCE: &[u8] = &[0, 0, 1, 0xB3, 9, 0, 0, 1, 0xB5, 0x14, 9];
    const GROUP: &[u8] = &[0, 0, 1, 0xB8, 9, 9, 9, 9];
    const SLICE: &[u8] = &[0, 0, 1, 1, 7, 7, 0, 0, 1, 2, 7];

    fn picture(kind: u8, structure: u8) -> Vec<u8> {
        [&[0, 0, 1, 0, 0, kind << 3, 9, 9, 0, 0, 1, 0xB5, 0x8F, 0xFF, 0xF8 | structure, 9][..], SLICE].concat()
    }

    #[test]
    fn pictures_are_cut_where_they_begin() {
        let (intra, inter) = (picture(1, 3), picture(2, 3));
        let fields = [picture(1, 1), picture(2, 2)].concat();
        for (parts, expected) in [
            (vec![SEQUENCE, GROUP, &intra], vec![(1, true, true)]),
            (vec![&inter], vec![(1, false, false)]),
            (vec![&inter, &inter, GROUP, &intra], vec![(1, false, false), (1, false, false), (1, true, true)]),
            (vec![SEQUENCE, &fields, &fields], vec![(2, true, true), (2, true, false)]),
            (vec![&intra], vec![(1, true, false)]),
            (vec![SLICE, &inter], vec![(0, false, false), (1, false, false)]),
            (vec![], vec![(0, false, false)]),
        ] {
            let data = parts.concat();
            let found = pictures(&data);
            let flat: Vec<_> = found.iter().map(|it| (it.coded, it.intra, it.begins_group)).collect();
            assert_eq!(flat, expected, "{parts:02x?}");
            let joined: Vec<u8> = found.iter().flat_map(|it| data[it.at.clone()].to_vec()).collect();
            assert_eq!(joined, data, "nothing is lost");
        }
    }
}

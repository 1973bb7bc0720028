//! Turns an encoder's byte stream into the hub's form: NAL units with lengths and parameter sets beside them, or AV1's units with sizes.

use bytes::{Bytes, BytesMut};
use weir_media::Codec;
use weir_media::codec::h264::AvcConfig;
use weir_media::codec::h265::HevcConfig;
use weir_media::codec::nal;
use weir_media::codec::obu::TemporalUnit;

/// Converts one output's pictures.
#[derive(Debug)]
pub(crate) struct Pictures {
    codec: Codec,
    /// The configuration record in force.
    config: Bytes,
}

/// One picture in the hub's form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// The configuration record, where it differs from the one before.
    pub(crate) config: Option<Bytes>,
    pub(crate) payload: Bytes,
}

enum Unit {
    VideoSet,
    SequenceSet,
    PictureSet,
    Delimiter,
    Media,
}

impl Pictures {
    pub(crate) fn new(codec: Codec) -> Self {
        Self { codec, config: Bytes::new() }
    }

    /// Converts a picture; None when nothing in it could be decoded.
    pub(crate) fn read(&mut self, data: &[u8]) -> Option<Picture> {
        if self.codec == Codec::Av1 {
            return self.temporal_unit(data);
        }
        let (mut video, mut sequence, mut picture) = (Vec::new(), Vec::new(), Vec::new());
        let mut payload = BytesMut::with_capacity(data.len() + 16);
        for unit in nal::annex_b(data) {
            let sets = match self.kind(unit) {
                Unit::VideoSet => &mut video,
                Unit::SequenceSet => &mut sequence,
                Unit::PictureSet => &mut picture,
                Unit::Delimiter => continue,
                Unit::Media => {
                    nal::put_unit(&mut payload, unit);
                    continue;
                }
            };
            sets.push(Bytes::copy_from_slice(unit));
        }
        let mut changed = None;
        if !sequence.is_empty() && !picture.is_empty() {
            let config = match self.codec {
                Codec::H265 => HevcConfig::build(&video, &sequence, &picture),
                _ => AvcConfig::build(&sequence, &picture),
            };
            // Our own encoder made it: a record that can't be read is the encoder's fault.
            let config = config.ok()?;
            if config != self.config {
                self.config = config.clone();
                changed = Some(config);
            }
        }
        (!payload.is_empty() && !self.config.is_empty()).then(|| Picture { config: changed, payload: payload.freeze() })
    }

    fn temporal_unit(&mut self, data: &[u8]) -> Option<Picture> {
        // Our own encoder made this, too.
        let TemporalUnit { config, payload, .. } = TemporalUnit::read(data).ok()?;
        let config = config.filter(|config| *config != self.config);
        if let Some(config) = &config {
            self.config = config.clone();
        }
        (!payload.is_empty() && !self.config.is_empty()).then_some(Picture { config, payload })
    }

    fn kind(&self, unit: &[u8]) -> Unit {
        let first = unit.first().copied().unwrap_or_default();
        if self.codec == Codec::H265 {
            return match (first >> 1) & 0x3F {
                32 => Unit::VideoSet,
                33 => Unit::SequenceSet,
                34 => Unit::PictureSet,
                35 => Unit::Delimiter,
                _ => Unit::Media,
            };
        }
        match first & 0x1F {
            7 => Unit::SequenceSet,
            8 => Unit::PictureSet,
            9 => Unit::Delimiter,
            _ => Unit::Media,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[
        0x67, 0x42, 0xC0, 0x1E, 0xD9, 0, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0, 0, 3, 0, 1, 0, 0, 3, 0, 0x32, 0x0F, 0x16,
        0x2E, 0x48,
    ];
    const PPS: &[u8] = &[0x68, 0xCB, 0x83, 0xCB, 0x20];

    fn stream(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
    }

    #[test]
    fn parameter_sets_go_beside_and_filler_stays() {
        let mut pictures = Pictures::new(Codec::H264);
        assert_eq!(pictures.read(&stream(&[&[0x41, 0x9A, 1]])), None, "nothing to decode it with");
        let first = pictures.read(&stream(&[&[9, 0xF0], SPS, PPS, &[0x65, 0x88, 1], &[12, 0xFF, 0x80]])).unwrap();
        assert_eq!(first.config.as_ref().map(|config| config[0]), Some(1));
        assert_eq!(first.payload, [0, 0, 0, 3, 0x65, 0x88, 1, 0, 0, 0, 3, 12, 0xFF, 0x80][..]);
        let same = pictures.read(&stream(&[SPS, PPS, &[0x65, 0x88, 2]])).unwrap();
        assert_eq!((same.config, &same.payload[..]), (None, &[0, 0, 0, 3, 0x65, 0x88, 2][..]));
        assert_eq!(pictures.read(&stream(&[&[9, 0xF0]])), None);
    }
}

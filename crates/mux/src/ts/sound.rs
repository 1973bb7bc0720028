//! Sound: frames out of PES packets, which need not begin or end where packets do.

use bytes::{Buf, Bytes, BytesMut};
use weir_media::Codec;
use weir_media::codec::aac::{AacConfig, AdtsHeader};
use weir_media::codec::opus;

use super::clock::SoundClock;
use super::elementary::Sink;
use super::latm::Latm;
use super::pes::Pes;
use super::stream::TsStream;

/// The longest header of all: ADTS with a checksum.
const HEADER_BYTES_MAX: usize = 9;
const LOAS_HEADER_BYTES: usize = 3;
const OPUS_RATE_HZ: u32 = 48_000;
/// 120 ms.
const OPUS_SAMPLES_MAX: u32 = 5760;

#[derive(Debug)]
enum Framing {
    Adts,
    Latm(Latm),
    Mpeg,
}

/// AAC and MPEG audio, whose frames say how long they are.
#[derive(Debug)]
pub(super) struct SoundUnpacker {
    framing: Framing,
    /// A frame that is not whole yet: less than the longest, 8 kB.
    carry: BytesMut,
    clock: SoundClock,
    config: Option<Bytes>,
    /// It was said that this can't be carried.
    refused: bool,
}

impl SoundUnpacker {
    pub(super) fn adts() -> Self {
        Self::new(Framing::Adts)
    }

    pub(super) fn latm() -> Self {
        Self::new(Framing::Latm(Latm::default()))
    }

    pub(super) fn mpeg() -> Self {
        Self::new(Framing::Mpeg)
    }

    fn new(framing: Framing) -> Self {
        Self { framing, carry: BytesMut::new(), clock: SoundClock::default(), config: None, refused: false }
    }

    pub(super) fn lost(&mut self) {
        self.carry.clear();
        self.clock.forget();
    }

    pub(super) fn unpack(&mut self, pes: &Pes, sink: &mut Sink<'_>) {
        // The time belongs to the first frame that begins in this packet.
        let mut stamp = pes.pts.map(|pts| sink.unroller.unroll(pts));
        let begin = self.carry.len();
        self.carry.extend_from_slice(&pes.data);
        let data = self.carry.split().freeze();
        let (mut at, mut lost) = (0, false);
        while at < data.len() {
            if at >= begin
                && let Some(stamp) = stamp.take()
            {
                self.clock.set(stamp);
            }
            let rest = data.slice(at..);
            match self.frame_bytes(&rest) {
                Some(bytes) if bytes <= rest.len() => {
                    self.frame(&rest.slice(..bytes), sink);
                    at += bytes;
                }
                Some(_) => break,
                None if rest.len() < HEADER_BYTES_MAX => break,
                None => {
                    lost = true;
                    at += 1;
                }
            }
        }
        if lost {
            sink.broken();
        }
        self.carry = BytesMut::from(&data[at..]);
    }

    /// How long the frame is that begins here; None where none does, or more bytes are needed to tell.
    fn frame_bytes(&self, data: &[u8]) -> Option<usize> {
        match self.framing {
            Framing::Adts => AdtsHeader::parse(data).ok().map(|header| header.frame_bytes),
            Framing::Latm(_) => match data.first_chunk::<LOAS_HEADER_BYTES>() {
                Some(&[0x56, middle, low]) if middle & 0xE0 == 0xE0 => {
                    Some(LOAS_HEADER_BYTES + (usize::from(middle & 0x1F) << 8 | usize::from(low)))
                }
                _ => None,
            },
            Framing::Mpeg => MpegHeader::parse(data).map(|header| header.frame_bytes),
        }
    }

    fn frame(&mut self, frame: &Bytes, sink: &mut Sink<'_>) {
        match &mut self.framing {
            Framing::Adts => {
                let Ok(header) = AdtsHeader::parse(frame) else { return };
                let config = header.audio_specific_config();
                if header.frame_bytes > header.header_bytes {
                    self.aac(&config, [frame.slice(header.header_bytes..)], sink);
                }
            }
            Framing::Latm(latm) => match latm.unpack(&frame[LOAS_HEADER_BYTES..]) {
                Some((config, payloads)) => self.aac(&config, payloads, sink),
                None => sink.broken(),
            },
            Framing::Mpeg => self.mpeg_frame(frame, sink),
        }
    }

    fn aac(&mut self, config: &Bytes, payloads: impl IntoIterator<Item = Bytes>, sink: &mut Sink<'_>) {
        if !sink.track(Codec::Aac, config.clone(), &mut self.config) {
            return sink.broken();
        }
        let Ok(asc) = AacConfig::parse(config) else { return sink.broken() };
        for payload in payloads {
            match self.clock.next(asc.frame_samples, asc.sample_rate_hz) {
                Some(time) => sink.frame(true, time, 0, payload),
                None => sink.broken(),
            }
        }
    }

    fn mpeg_frame(&mut self, frame: &Bytes, sink: &mut Sink<'_>) {
        let Some(header) = MpegHeader::parse(frame) else { return };
        if header.layer != 3 {
            if !self.refused {
                sink.unsupported(TsStream::MpegAudio);
            }
            self.refused = true;
            return;
        }
        sink.track(Codec::Mp3, Bytes::new(), &mut self.config);
        match self.clock.next(header.samples, header.sample_rate_hz) {
            Some(time) => sink.frame(true, time, 0, frame.clone()),
            None => sink.broken(),
        }
    }
}

/// The header of an MPEG-1 or MPEG-2 audio frame (ISO 11172-3, 2.4.1.3; 13818-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MpegHeader {
    layer: u8,
    sample_rate_hz: u32,
    samples: u32,
    frame_bytes: usize,
}

impl MpegHeader {
    fn parse(data: &[u8]) -> Option<Self> {
        const RATES_HZ: [u32; 3] = [44_100, 48_000, 32_000];
        /// By layer, for MPEG-1; then layer I and the others, for MPEG-2.
        const KBPS: [[u32; 14]; 5] = [
            [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
            [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
            [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
            [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ];
        let &[0xFF, second, third, _] = data.first_chunk::<4>()? else { return None };
        // 0 is MPEG-2.5, 2 MPEG-2, 3 MPEG-1; 1 is reserved, as is layer 0.
        let (version, layer) = (second >> 3 & 3, 4 - (second >> 1 & 3));
        if second & 0xE0 != 0xE0 || version == 1 || layer == 4 {
            return None;
        }
        let halvings = [2, 0, 1, 0][usize::from(version)];
        let table = if version == 3 { usize::from(layer) - 1 } else { 3 + usize::from(layer > 1) };
        // 0 says no rate, 15 is forbidden.
        let kbps = *KBPS[table].get(usize::from(third >> 4).checked_sub(1)?)?;
        let sample_rate_hz = RATES_HZ.get(usize::from(third >> 2 & 3))? >> halvings;
        let samples = match (layer, version) {
            (1, _) => 384,
            (3, 0 | 2) => 576,
            _ => 1152,
        };
        let padding = u32::from(third >> 1 & 1) * if layer == 1 { 4 } else { 1 };
        // Layer I counts in slots of four bytes.
        let slots =
            if layer == 1 { 12_000 * kbps / sample_rate_hz * 4 } else { samples / 8 * kbps * 1000 / sample_rate_hz };
        Some(Self { layer, sample_rate_hz, samples, frame_bytes: (slots + padding) as usize })
    }
}

/// Opus: each packet has a control header before it (ETSI TS 103 491; as everybody writes it).
#[derive(Debug)]
pub(super) struct OpusUnpacker {
    channels: u8,
    clock: SoundClock,
    config: Option<Bytes>,
}

impl OpusUnpacker {
    pub(super) fn new(channels: u8) -> Self {
        Self { channels, clock: SoundClock::default(), config: None }
    }

    pub(super) fn unpack(&mut self, pes: &Pes, sink: &mut Sink<'_>) {
        // Pre-skip 0: the cut at the very beginning is said by the packets, and a live stream has none.
        let Ok(head) = opus::opus_head(self.channels, 0) else { return sink.broken() };
        sink.track(Codec::Opus, head, &mut self.config);
        if let Some(pts) = pes.pts {
            self.clock.set(sink.unroller.unroll(pts));
        }
        let mut data = pes.data.clone();
        while !data.is_empty() {
            let Some(payload) = opus_packet(&mut data) else { return sink.broken() };
            let time = opus_samples(&payload).and_then(|samples| self.clock.next(samples, OPUS_RATE_HZ));
            match time {
                Some(time) => sink.frame(true, time, 0, payload),
                None => sink.broken(),
            }
        }
    }
}

/// Takes one packet with its control header off the data.
fn opus_packet(data: &mut Bytes) -> Option<Bytes> {
    const PREFIX: u8 = 0x7F;
    let &[PREFIX, flags] = data.first_chunk::<2>()? else { return None };
    if flags & 0xE0 != 0xE0 {
        return None;
    }
    data.advance(2);
    let mut bytes = 0;
    loop {
        let size = data.first().copied()?;
        data.advance(1);
        bytes += usize::from(size);
        if size < u8::MAX {
            break;
        }
    }
    // Trims at start and end, two bytes each, and an extension that says its own length.
    for flag in [0x10, 0x08] {
        if flags & flag != 0 {
            data.get(..2)?;
            data.advance(2);
        }
    }
    if flags & 0x04 != 0 {
        let length = usize::from(*data.first()?);
        data.get(..1 + length)?;
        data.advance(1 + length);
    }
    (bytes > 0 && bytes <= data.len()).then(|| data.split_to(bytes))
}

/// How many samples at 48 kHz a packet has (RFC 6716, 3.1 and 3.2).
fn opus_samples(packet: &[u8]) -> Option<u32> {
    let &toc = packet.first()?;
    let each = match toc >> 3 {
        mode @ 0..=11 => [480, 960, 1920, 2880][usize::from(mode & 3)],
        mode @ 12..=15 => [480, 960][usize::from(mode & 1)],
        mode => [120, 240, 480, 960][usize::from(mode & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    Some(each * frames).filter(|samples| (1..=OPUS_SAMPLES_MAX).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mpeg_audio_headers() {
        for (bytes, expected) in [
            ([0xFF, 0xFB, 0x90, 0x64], Some((3, 44_100, 1152, 417))),
            ([0xFF, 0xFB, 0x92, 0x64], Some((3, 44_100, 1152, 418))),
            ([0xFF, 0xFD, 0xA4, 0x04], Some((2, 48_000, 1152, 576))),
            ([0xFF, 0xF3, 0x84, 0xC4], Some((3, 24_000, 576, 192))),
            ([0xFF, 0xE3, 0x84, 0xC4], Some((3, 12_000, 576, 384))),
            ([0xFF, 0xFF, 0x94, 0x04], Some((1, 48_000, 384, 288))),
            ([0xFF, 0xFB, 0x00, 0x64], None),
            ([0xFF, 0xFB, 0xF0, 0x64], None),
            ([0xFF, 0xFB, 0x9C, 0x64], None),
            ([0xFF, 0xEB, 0x90, 0x64], None),
            ([0xFF, 0xF9, 0x90, 0x64], None),
            ([0xFF, 0x1B, 0x90, 0x64], None),
        ] {
            let header = MpegHeader::parse(&bytes);
            let flat = header.map(|header| (header.layer, header.sample_rate_hz, header.samples, header.frame_bytes));
            assert_eq!(flat, expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn opus_packets() {
        for (data, expected) in [
            (&[0x7F, 0xE0, 2, 9, 8][..], Some(vec![9, 8])),
            (&[0x7F, 0xF8, 1, 1, 2, 3, 4, 9], Some(vec![9])),
            (&[0x7F, 0xE4, 1, 2, 0, 0, 9, 7], Some(vec![9])),
            (&[0x7F, 0xE0, 3, 9, 8], None),
            (&[0x7F, 0xE0, 0], None),
            (&[0x7F, 0xE0, 255], None),
            (&[0x7F, 0xF0, 1, 0], None),
            (&[0x7F, 0xE4, 1, 9], None),
            (&[0x7F, 0xC0, 1, 9], None),
            (&[0x7F], None),
        ] {
            assert_eq!(
                opus_packet(&mut Bytes::copy_from_slice(data)).map(|packet| packet.to_vec()),
                expected,
                "{data:?}"
            );
        }
        for (packet, expected) in [
            (&[0xFC][..], Some(960)),
            (&[0x04], Some(480)),
            (&[0xFD], Some(1920)),
            (&[0xFF, 3], Some(2880)),
            (&[0xFF], None),
            (&[0x1F, 63], None),
            (&[], None),
        ] {
            assert_eq!(opus_samples(packet), expected, "{packet:?}");
        }
    }
}

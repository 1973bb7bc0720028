//! Sound: takes frames out of PES packets; a frame need not begin or end where a packet does.

use bytes::{Buf, Bytes, BytesMut};
use weir_media::Codec;
use weir_media::codec::aac::{AacConfig, AdtsHeader};
use weir_media::codec::ac3::{self, Ac3Header};
use weir_media::codec::mpeg_audio::MpegAudioHeader;
use weir_media::codec::opus;

use super::clock::SoundClock;
use super::elementary::Sink;
use super::latm::Latm;
use super::pes::Pes;
use super::stream::TsStream;

/// The longest header of all is E-AC-3's with a channel map.
const HEADER_BYTES_MAX: usize = ac3::HEADER_BYTES;
/// The longest access unit of E-AC-3: the main programme's frame of 4 kB and the frames added to it. Broadcast has two, discs three.
const AC3_UNIT_BYTES_MAX: usize = 16 << 10;
const LOAS_HEADER_BYTES: usize = 3;
const OPUS_RATE_HZ: u32 = 48_000;
/// The most samples of an Opus packet: 120 ms.
const OPUS_SAMPLES_MAX: u32 = 5760;

#[derive(Debug)]
enum Framing {
    Adts,
    Latm(Latm),
    Mpeg,
    Ac3,
}

/// Unpacks AAC, MPEG audio and (E-)AC-3, whose frames say how long they are.
#[derive(Debug)]
pub(super) struct SoundUnpacker {
    framing: Framing,
    /// The bytes of a frame that is not whole yet. They are fewer than those of the longest one, an access unit of E-AC-3.
    carry: BytesMut,
    clock: SoundClock,
    config: Option<Bytes>,
    /// It has been told that this sound can't be carried.
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

    pub(super) fn ac3() -> Self {
        Self::new(Framing::Ac3)
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

    /// The length of the frame that begins here. `None` if no frame begins here, or more bytes are needed to tell.
    fn frame_bytes(&self, data: &[u8]) -> Option<usize> {
        match self.framing {
            Framing::Adts => AdtsHeader::parse(data).ok().map(|header| header.frame_bytes),
            Framing::Latm(_) => match data.first_chunk::<LOAS_HEADER_BYTES>() {
                Some(&[0x56, middle, low]) if middle & 0xE0 == 0xE0 => {
                    Some(LOAS_HEADER_BYTES + (usize::from(middle & 0x1F) << 8 | usize::from(low)))
                }
                _ => None,
            },
            Framing::Mpeg => MpegAudioHeader::parse(data).map(|header| header.frame_bytes),
            Framing::Ac3 => ac3_unit_bytes(data),
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
            Framing::Ac3 => self.ac3_unit(frame, sink),
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
        let Some(header) = MpegAudioHeader::parse(frame) else { return };
        let told = match header.layer {
            2 => sink.track(Codec::Mp2, header.record(), &mut self.config),
            3 => sink.track(Codec::Mp3, Bytes::new(), &mut self.config),
            _ => {
                if !std::mem::replace(&mut self.refused, true) {
                    sink.unsupported(TsStream::MpegAudio);
                }
                return;
            }
        };
        if !told {
            return sink.broken();
        }
        match self.clock.next(header.samples, header.sample_rate_hz) {
            Some(time) => sink.frame(true, time, 0, frame.clone()),
            None => sink.broken(),
        }
    }
}

impl SoundUnpacker {
    fn ac3_unit(&mut self, unit: &Bytes, sink: &mut Sink<'_>) {
        let (Ok(header), Ok(record)) = (Ac3Header::parse(unit), ac3::record(unit)) else { return sink.broken() };
        let known = self.config.as_ref().is_some_and(|known| ac3::same_but_for_rate(known, &record));
        if !known && !sink.track(header.codec, record, &mut self.config) {
            return sink.broken();
        }
        match self.clock.next(header.samples, header.sample_rate_hz) {
            Some(time) => sink.frame(true, time, 0, unit.clone()),
            None => sink.broken(),
        }
    }
}

/// The length of the access unit that begins here: a frame and the ones added to it, as far as they are there. It is more than there is
/// as long as it can't be told.
fn ac3_unit_bytes(data: &[u8]) -> Option<usize> {
    let first = Ac3Header::parse(data).ok().filter(Ac3Header::begins)?;
    let mut bytes = first.frame_bytes;
    while first.codec == Codec::Eac3
        && let Some(rest) = data.get(bytes..).filter(|rest| !rest.is_empty())
    {
        let Ok(next) = Ac3Header::parse(rest) else {
            // Another frame begins here, or nothing that can be read.
            return Some(if rest.len() < ac3::HEADER_BYTES { bytes + ac3::HEADER_BYTES } else { bytes });
        };
        if next.begins() || bytes + next.frame_bytes > AC3_UNIT_BYTES_MAX {
            break;
        }
        bytes += next.frame_bytes;
    }
    Some(bytes)
}

/// Unpacks Opus. Each packet has a control header before it (ETSI TS 103 491, as everybody writes it).
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
        // The pre-skip is 0: the packets themselves say the cut at the very beginning, and a live stream has none.
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

/// Takes one packet with its control header off the front of the data.
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
    // These are the trims at start and end, with two bytes each, and an extension that says its own length.
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

/// The number of samples of a packet at 48 kHz (RFC 6716, 3.1 and 3.2).
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

    /// An E-AC-3 frame of 64 bytes: `kind` and `substream` say whether it is of the main programme, added to it, or of another programme.
    fn eac3(kind: u8, substream: u8) -> Vec<u8> {
        let mut frame = vec![0x0B, 0x77, kind << 6 | substream << 3, 31, 0x34, 0x80];
        frame.resize(64, 0);
        frame
    }

    #[test]
    fn what_is_added_to_a_frame_belongs_to_it() {
        let (main, added, beside) = (eac3(0, 0), eac3(1, 0), eac3(0, 1));
        for (parts, expected) in [
            (vec![&main[..]], Some(64)),
            (vec![&main, &main], Some(64)),
            (vec![&main, &added, &main], Some(128)),
            (vec![&main, &added, &beside, &main], Some(192)),
            (vec![&main, &added[..20]], Some(128)),
            (vec![&main, &added[..5]], Some(64 + 12)),
            (vec![&added], None),
            (vec![&beside], None),
        ] {
            assert_eq!(ac3_unit_bytes(&parts.concat()), expected, "{parts:02x?}");
        }
        assert!(ac3_unit_bytes(&[main, added.repeat(1000)].concat()).unwrap() <= AC3_UNIT_BYTES_MAX);
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

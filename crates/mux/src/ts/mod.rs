//! MPEG-TS (ISO/IEC 13818-1): packets of 188 bytes to and from frames, for SRT and for old HLS players.

mod clock;
mod crc;
mod elementary;
mod latm;
mod mpeg2;
mod packet;
mod pes;
mod psi;
mod reader;
mod scte35;
mod section;
mod segment;
mod sound;
mod stream;
mod sync;
mod video;
mod writer;

#[cfg(test)]
mod tests;

pub use crc::crc32;
pub use reader::{TsCounts, TsReader};
pub use scte35::{SEGMENTATIONS_MAX, Segmentation, Splice, SpliceCommand};
pub use segment::segment;
pub use stream::TsStream;
pub use writer::TsWriter;

use bytes::Bytes;
use weir_media::codec::CodecError;
use weir_media::{Codec, Language, TrackId, TrackInfo};

pub const PACKET_BYTES: usize = 188;
const SYNC_BYTE: u8 = 0x47;
/// PTS, DTS and the base of the PCR count 1/90,000 s in 33 bits.
pub const CLOCK_HZ: u32 = 90_000;
const CLOCK_BITS: u32 = 33;
const PID_PAT: u16 = 0;
const PID_NULL: u16 = 0x1FFF;

/// The longest PES packet, which holds one picture. A 4K keyframe at 200 Mbps is some 4 MB.
pub const PES_BYTES_MAX: usize = 8 << 20;
/// The longest section of any kind: it has a length of 12 bits, and three bytes before it.
pub const SECTION_BYTES_MAX: usize = 4096 + 2;
/// The most programmes of one transport. A satellite multiplex has some 20.
pub const PROGRAMS_MAX: usize = 256;
/// The most elementary streams of one programme, and so of PIDs that are followed. Films in many languages have some 20.
pub const STREAMS_MAX: usize = 64;

/// The most sounds that are read. Broadcast has up to eight.
pub const SOUNDS_MAX: usize = 16;

/// Why a track or a frame can't be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TsError {
    #[error("{codec} can't be carried in MPEG-TS")]
    NotWritable { codec: Codec },
    #[error("there is no such track to write to")]
    NoTrack { track: TrackId },
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// What the reader found, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TsEvent {
    /// A programme was chosen, or its streams have changed.
    Program(TsProgram),
    /// The programme that was asked for is not in the transport.
    ProgramMissing {
        wanted: u16,
        available: Vec<u16>,
    },
    /// The decoder configuration of a picture or a sound is new or has changed.
    Track(TrackInfo),
    /// The programme does not have this track any more.
    TrackEnded(TrackId),
    Frame(TsFrame),
    /// The programme has a stream that is not read.
    NotCarried {
        pid: u16,
        stream: TsStream,
        why: NotCarried,
    },
    /// A splice information section (SCTE 35) came. Its CRC was right; [`Splice::parse`] reads it.
    Scte35 {
        pid: u16,
        section: Bytes,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCarried {
    /// We can't make frames of it.
    Unsupported,
    /// We could read it, but [`SOUNDS_MAX`] sounds or another picture come before it.
    Another,
}

/// One elementary stream as the PMT describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsElementary {
    pub pid: u16,
    pub stream: TsStream,
    pub language: Option<Language>,
    /// The audience of the stream, if it is not for everybody.
    pub label: Option<&'static str>,
}

/// The programme that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsProgram {
    pub number: u16,
    /// The streams in the order of the PMT.
    pub streams: Vec<TsElementary>,
    /// The numbers of all programmes of the transport.
    pub available: Vec<u16>,
}

/// A frame on the sender's clock. Its payload is normalised as [`weir_media::Frame`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsFrame {
    pub track: TrackId,
    pub keyframe: bool,
    /// The decode time at 90 kHz, with the wraps of 33 bits unrolled. Modulo 2^33 it is the time that was sent.
    pub dts_ticks: i64,
    /// Presentation time minus decode time.
    pub cts_ticks: i64,
    pub payload: Bytes,
}

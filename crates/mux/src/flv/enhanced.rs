//! The envelope of Enhanced RTMP v2, the same for audio and video: ModEx prefixes and multitrack.

use bytes::Bytes;
use weir_media::{Codec, MediaKind};

use super::{FlvError, four_cc};

const MULTITRACK_ONE: u8 = 0;
const MULTITRACK_MANY: u8 = 1;
const MULTITRACK_MANY_CODECS: u8 = 2;

/// The most ModEx prefixes before one packet. They may follow one another, and each takes at least two bytes.
const MOD_EX_MAX: usize = 8;

/// The most tracks in one message. Pictures come in some sizes, sound in some languages.
const TRACKS_MAX: usize = 32;

/// The numbers of those packet types of a kind that the envelope itself handles.
#[derive(Clone, Copy)]
pub(super) struct EnvelopeTypes {
    pub(super) multitrack: u8,
    pub(super) mod_ex: u8,
}

/// Reads forward through a tag body.
pub(super) struct Cursor<'a> {
    body: &'a Bytes,
    at: usize,
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(body: &'a Bytes, at: usize, what: &'static str) -> Self {
        Self { body, at, what }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], FlvError> {
        let bytes = self.body.get(self.at..).and_then(<[u8]>::first_chunk::<N>);
        let bytes = *bytes.ok_or(FlvError::Truncated { what: self.what })?;
        self.at += N;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, FlvError> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// The bytes that are left, shared with the body.
    pub(super) fn rest(&self) -> Bytes {
        self.body.slice(self.at.min(self.body.len())..)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), FlvError> {
        let at = self.at.saturating_add(bytes);
        if at > self.body.len() {
            return Err(FlvError::Truncated { what: self.what });
        }
        self.at = at;
        Ok(())
    }

    /// The first `bytes` of those that are left.
    fn part(&self, bytes: usize) -> Result<Bytes, FlvError> {
        let end = self.at.saturating_add(bytes);
        if end > self.body.len() {
            return Err(FlvError::Truncated { what: self.what });
        }
        Ok(self.body.slice(self.at..end))
    }
}

/// Skips ModEx prefixes and returns the packet type that they precede. The one known prefix refines the time by nanoseconds, always under
/// one millisecond, which is finer than what we or any receiver of RTMP keep.
pub(super) fn skip_mod_ex(cursor: &mut Cursor<'_>, mut packet_type: u8, types: EnvelopeTypes) -> Result<u8, FlvError> {
    for _ in 0..MOD_EX_MAX {
        if packet_type != types.mod_ex {
            return Ok(packet_type);
        }
        let mut size = usize::from(cursor.byte()?) + 1;
        if size == 256 {
            size = usize::from(u16::from_be_bytes(cursor.take()?)) + 1;
        }
        cursor.skip(size)?;
        packet_type = cursor.byte()? & 0x0F;
    }
    if packet_type == types.mod_ex {
        return Err(FlvError::Invalid { what: "a tag with too many ModEx prefixes" });
    }
    Ok(packet_type)
}

/// The packet of one track.
pub(super) struct TrackPacket {
    /// The number of the track; 0 is the default one. Encoders send further ones (other sizes, languages) beside it.
    pub(super) track: u8,
    pub(super) packet_type: u8,
    pub(super) codec: Codec,
    pub(super) body: Bytes,
}

/// The packets of all tracks in the message. A further track in a codec that we do not know is left out; if it is the default track, the
/// message is refused.
pub(super) fn tracks(
    cursor: &mut Cursor<'_>,
    packet_type: u8,
    types: EnvelopeTypes,
    kind: MediaKind,
) -> Result<Vec<TrackPacket>, FlvError> {
    if packet_type != types.multitrack {
        let codec = four_cc::codec(cursor.take()?, kind)?;
        return Ok(vec![TrackPacket { track: 0, packet_type, codec, body: cursor.rest() }]);
    }
    let flags = cursor.byte()?;
    let (multitrack, packet_type) = (flags >> 4, flags & 0x0F);
    if packet_type == types.multitrack || packet_type == types.mod_ex {
        return Err(FlvError::Invalid { what: "a multitrack tag within a multitrack tag" });
    }
    let shared = match multitrack {
        MULTITRACK_ONE | MULTITRACK_MANY => Some(cursor.take()?),
        MULTITRACK_MANY_CODECS => None,
        _ => return Err(FlvError::Invalid { what: "the kind of a multitrack tag" }),
    };
    let mut found = Vec::new();
    for _ in 0..TRACKS_MAX {
        let four_cc = match shared {
            Some(four_cc) => four_cc,
            None => cursor.take()?,
        };
        let track = cursor.byte()?;
        let body = if multitrack == MULTITRACK_ONE {
            cursor.rest()
        } else {
            let [a, b, c] = cursor.take()?;
            let part = cursor.part(u32::from_be_bytes([0, a, b, c]) as usize)?;
            cursor.skip(part.len())?;
            part
        };
        match four_cc::codec(four_cc, kind) {
            Ok(codec) => found.push(TrackPacket { track, packet_type, codec, body }),
            Err(error) if track == 0 => return Err(error),
            Err(_) => {}
        }
        if multitrack == MULTITRACK_ONE || cursor.rest().is_empty() {
            return Ok(found);
        }
    }
    Err(FlvError::Invalid { what: "a multitrack tag of too many tracks" })
}

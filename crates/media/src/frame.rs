//! A frame: one coded picture or one packet of coded audio, as it crosses the hub.

use bytes::Bytes;

use crate::{MediaTime, TrackId};

/// One access unit of one track. A clone counts a reference and never copies the payload.
///
/// Payloads are normalised where they enter: H.264 and HEVC are NAL units with 4-byte lengths and parameter sets out of band, AAC is raw
/// access units (no ADTS), AV1 is one temporal unit of OBUs, Opus is one packet, and VP8 and VP9 are one picture (of VP9
/// with all of its layers). MPEG-2 video, MPEG audio and (E-)AC-3 are as broadcast
/// has them, start codes and sync words included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub track: TrackId,
    /// The decode time, which never goes back within a track.
    pub dts: MediaTime,
    /// The presentation time, which is at or after `dts`.
    pub pts: MediaTime,
    pub flags: FrameFlags,
    pub payload: Bytes,
}

impl Frame {
    pub fn is_keyframe(&self) -> bool {
        self.flags.keyframe
    }
}

/// What is known of a frame without decoding it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameFlags {
    /// A decoder can start here. This is so for every audio frame.
    pub keyframe: bool,
    /// The timeline was cut just before this frame, because the source came back or its clock jumped.
    pub discontinuity: bool,
}

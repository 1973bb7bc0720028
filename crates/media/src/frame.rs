//! A frame: one coded picture or one packet of coded audio, as it crosses the hub.

use bytes::Bytes;

use crate::{MediaTime, TrackId};

/// One access unit of one track. Cloning it counts a reference; it never copies the payload.
///
/// Payloads are normalised at the door: H.264 and HEVC as NAL units with 4-byte lengths and parameter sets out of band,
/// AAC as raw access units (no ADTS), AV1 as one temporal unit of OBUs, Opus as one packet. MPEG-2 video, MPEG audio and (E-)AC-3 are as
/// broadcast has them: start codes and sync words included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub track: TrackId,
    /// Decode time; never goes back within a track.
    pub dts: MediaTime,
    /// Presentation time; at or after `dts`.
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
    /// A decoder can start here. Every audio frame is one.
    pub keyframe: bool,
    /// The timeline was cut just before this frame: the source came back, or its clock jumped.
    pub discontinuity: bool,
}

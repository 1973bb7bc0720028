//! One elementary stream that is read: what its codec makes of PES packets.

use std::collections::VecDeque;

use bytes::Bytes;
use weir_media::{Codec, TrackId, codec};

use super::clock::Unroller;
use super::pes::Pes;
use super::sound::{OpusUnpacker, SoundUnpacker};
use super::stream::TsStream;
use super::video::VideoUnpacker;
use super::{NotCarried, TsEvent, TsFrame};

/// Where frames go, and what all streams of the programme share.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    pub(super) pid: u16,
    pub(super) track: TrackId,
    pub(super) events: &'a mut VecDeque<TsEvent>,
    pub(super) unroller: &'a mut Unroller,
    pub(super) broken: &'a mut u64,
}

impl Sink<'_> {
    pub(super) fn broken(&mut self) {
        *self.broken = self.broken.saturating_add(1);
    }

    pub(super) fn frame(&mut self, keyframe: bool, dts_ticks: i64, cts_ticks: i64, payload: Bytes) {
        let track = self.track;
        self.events.push_back(TsEvent::Frame(TsFrame { track, keyframe, dts_ticks, cts_ticks, payload }));
    }

    /// Tells a track whose configuration is not the `known` one. False where no decoder could take it.
    pub(super) fn track(&mut self, codec: Codec, config: Bytes, known: &mut Option<Bytes>) -> bool {
        if known.as_ref() == Some(&config) {
            return true;
        }
        let Ok(info) = codec::parse(codec, self.track, config.clone()) else { return false };
        *known = Some(config);
        self.events.push_back(TsEvent::Track(info));
        true
    }

    pub(super) fn unsupported(&mut self, stream: TsStream) {
        self.events.push_back(TsEvent::NotCarried { pid: self.pid, stream, why: NotCarried::Unsupported });
    }
}

#[derive(Debug)]
pub(super) enum Unpacker {
    Video(VideoUnpacker),
    Sound(SoundUnpacker),
    Opus(OpusUnpacker),
}

impl Unpacker {
    /// None for streams that no frames are made of.
    pub(super) fn of(stream: TsStream) -> Option<Self> {
        Some(match stream {
            TsStream::H264 => Self::Video(VideoUnpacker::new(Codec::H264)),
            TsStream::H265 => Self::Video(VideoUnpacker::new(Codec::H265)),
            TsStream::AacAdts => Self::Sound(SoundUnpacker::adts()),
            TsStream::AacLatm => Self::Sound(SoundUnpacker::latm()),
            TsStream::MpegAudio => Self::Sound(SoundUnpacker::mpeg()),
            TsStream::Opus { channels } => Self::Opus(OpusUnpacker::new(channels)),
            _ => return None,
        })
    }

    pub(super) fn unpack(&mut self, pes: &Pes, sink: &mut Sink<'_>) {
        match self {
            Self::Video(video) => video.unpack(pes, sink),
            Self::Sound(sound) => sound.unpack(pes, sink),
            Self::Opus(opus) => opus.unpack(pes, sink),
        }
    }

    /// Bytes were lost: what was begun has no end.
    pub(super) fn lost(&mut self) {
        if let Self::Sound(sound) = self {
            sound.lost();
        }
    }
}

//! One elementary stream that is read: the frames that its codec makes of PES packets.

use std::collections::VecDeque;

use bytes::Bytes;
use weir_media::{Codec, Language, TrackId, TrackInfo, codec};

use super::clock::Unroller;
use super::mpeg2::Mpeg2Unpacker;
use super::pes::Pes;
use super::sound::{OpusUnpacker, SoundUnpacker};
use super::stream::TsStream;
use super::video::VideoUnpacker;
use super::{NotCarried, TsEvent, TsFrame};

/// Where frames go, and the state that all streams of the programme share.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    pub(super) pid: u16,
    pub(super) track: &'a mut TrackFacts,
    pub(super) events: &'a mut VecDeque<TsEvent>,
    pub(super) unroller: &'a mut Unroller,
    pub(super) broken: &'a mut u64,
}

/// What is known of a track beside its frames.
#[derive(Debug)]
pub(super) struct TrackFacts {
    pub(super) id: TrackId,
    pub(super) language: Option<Language>,
    pub(super) label: Option<&'static str>,
    /// The track as its frames describe it, once they have.
    pub(super) told: Option<Box<TrackInfo>>,
}

impl TrackFacts {
    /// Takes the track's present language and label. Returns the track if they are new and the track has been told.
    pub(super) fn rename(&mut self, language: Option<Language>, label: Option<&'static str>) -> Option<TrackInfo> {
        let same = (self.language, self.label) == (language, label);
        (self.language, self.label) = (language, label);
        self.named().filter(|_| !same)
    }

    fn named(&self) -> Option<TrackInfo> {
        let label = self.label.map(str::to_owned);
        Some(TrackInfo { language: self.language, label, ..(**self.told.as_ref()?).clone() })
    }
}

impl Sink<'_> {
    pub(super) fn broken(&mut self) {
        *self.broken = self.broken.saturating_add(1);
    }

    pub(super) fn frame(&mut self, keyframe: bool, dts_ticks: i64, cts_ticks: i64, payload: Bytes) {
        let track = self.track.id;
        self.events.push_back(TsEvent::Frame(TsFrame { track, keyframe, dts_ticks, cts_ticks, payload }));
    }

    /// Tells a track whose configuration is not the `known` one. Returns false if no decoder could take it.
    pub(super) fn track(&mut self, codec: Codec, config: Bytes, known: &mut Option<Bytes>) -> bool {
        if known.as_ref() == Some(&config) {
            return true;
        }
        let Ok(info) = codec::parse(codec, self.track.id, config.clone()) else { return false };
        *known = Some(config);
        self.track.told = Some(Box::new(info));
        self.events.extend(self.track.named().map(TsEvent::Track));
        true
    }

    pub(super) fn unsupported(&mut self, stream: TsStream) {
        self.events.push_back(TsEvent::NotCarried { pid: self.pid, stream, why: NotCarried::Unsupported });
    }
}

#[derive(Debug)]
pub(super) enum Unpacker {
    Video(VideoUnpacker),
    Mpeg2(Mpeg2Unpacker),
    Sound(SoundUnpacker),
    Opus(OpusUnpacker),
}

impl Unpacker {
    /// The unpacker of a stream. `None` if no frames can be made of it.
    pub(super) fn of(stream: TsStream) -> Option<Self> {
        Some(match stream {
            TsStream::H264 => Self::Video(VideoUnpacker::new(Codec::H264)),
            TsStream::H265 => Self::Video(VideoUnpacker::new(Codec::H265)),
            TsStream::AacAdts => Self::Sound(SoundUnpacker::adts()),
            TsStream::AacLatm => Self::Sound(SoundUnpacker::latm()),
            TsStream::MpegAudio => Self::Sound(SoundUnpacker::mpeg()),
            TsStream::Ac3 | TsStream::Eac3 => Self::Sound(SoundUnpacker::ac3()),
            TsStream::Mpeg2Video => Self::Mpeg2(Mpeg2Unpacker::default()),
            TsStream::Opus { channels } => Self::Opus(OpusUnpacker::new(channels)),
            _ => return None,
        })
    }

    pub(super) fn unpack(&mut self, pes: &Pes, sink: &mut Sink<'_>) {
        match self {
            Self::Video(video) => video.unpack(pes, sink),
            Self::Mpeg2(video) => video.unpack(pes, sink),
            Self::Sound(sound) => sound.unpack(pes, sink),
            Self::Opus(opus) => opus.unpack(pes, sink),
        }
    }

    /// Notes that bytes were lost, so that a frame which was begun has no end.
    pub(super) fn lost(&mut self) {
        if let Self::Sound(sound) = self {
            sound.lost();
        }
    }
}

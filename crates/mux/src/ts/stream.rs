//! What an elementary stream is, by its PMT entry: a number, and descriptors if the number says "private".

use std::fmt;

use weir_media::{Language, MediaKind};

use super::TsElementary;

pub(super) mod stream_type {
    pub(crate) const MPEG2_VIDEO: u8 = 0x02;
    pub(crate) const MPEG_AUDIO: u8 = 0x03;
    /// MPEG audio of half rates, which MPEG-2 added.
    pub(crate) const MPEG_AUDIO_LOW_RATE: u8 = 0x04;
    pub(crate) const PRIVATE: u8 = 0x06;
    pub(crate) const AAC_ADTS: u8 = 0x0F;
    pub(crate) const H264: u8 = 0x1B;
    pub(crate) const H265: u8 = 0x24;
    // These are ATSC's numbers, which everyone uses.
    pub(crate) const AC3: u8 = 0x81;
    pub(crate) const EAC3: u8 = 0x87;
}

pub(super) const DESCRIPTOR_REGISTRATION: u8 = 0x05;
/// ISO 639: the descriptor holds three letters and the kind of sound.
pub(super) const DESCRIPTOR_LANGUAGE: u8 = 0x0A;
/// DVB's extension descriptor, which has a second tag behind it. The only one read here is that of Opus.
pub(super) const DESCRIPTOR_EXTENSION: u8 = 0x7F;
pub(super) const EXTENSION_OPUS: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TsStream {
    H264,
    H265,
    Mpeg2Video,
    Av1,
    AacAdts,
    AacLatm,
    Opus {
        /// The channel configuration code; 1 and 2 are mono and stereo.
        channels: u8,
    },
    /// MPEG audio of layers I to III; only the frames say which. Layers II and III are carried.
    MpegAudio,
    Ac3,
    Eac3,
    Dts,
    Scte35,
    TimedId3,
    Teletext,
    DvbSubtitle,
    Other {
        stream_type: u8,
    },
}

impl TsStream {
    pub(super) fn of(stream_type: u8, descriptors: &[u8]) -> Self {
        match stream_type {
            0x01 | stream_type::MPEG2_VIDEO => Self::Mpeg2Video,
            stream_type::MPEG_AUDIO | stream_type::MPEG_AUDIO_LOW_RATE => Self::MpegAudio,
            stream_type::PRIVATE => Self::of_private(descriptors),
            stream_type::AAC_ADTS => Self::AacAdts,
            0x11 => Self::AacLatm,
            0x15 => Self::TimedId3,
            stream_type::H264 => Self::H264,
            stream_type::H265 => Self::H265,
            stream_type::AC3 => Self::Ac3,
            0x86 => Self::Scte35,
            stream_type::EAC3 => Self::Eac3,
            0x8A => Self::Dts,
            stream_type => Self::Other { stream_type },
        }
    }

    fn of_private(list: &[u8]) -> Self {
        let opus_channels = descriptors(list).find_map(|(tag, body)| match (tag, body) {
            (DESCRIPTOR_EXTENSION, [EXTENSION_OPUS, channels, ..]) => Some(*channels),
            _ => None,
        });
        for (tag, body) in descriptors(list) {
            return match (tag, body) {
                (DESCRIPTOR_REGISTRATION, [b'O', b'p', b'u', b's', ..]) => {
                    Self::Opus { channels: opus_channels.unwrap_or(2) }
                }
                (DESCRIPTOR_REGISTRATION, [b'H', b'E', b'V', b'C', ..]) => Self::H265,
                (DESCRIPTOR_REGISTRATION, [b'A', b'V', b'0', b'1', ..]) => Self::Av1,
                (DESCRIPTOR_REGISTRATION, [b'A', b'C', b'-', b'3', ..]) | (0x6A, _) => Self::Ac3,
                (DESCRIPTOR_REGISTRATION, [b'E', b'A', b'C', b'3', ..]) | (0x7A, _) => Self::Eac3,
                (0x7B, _) => Self::Dts,
                (0x56, _) => Self::Teletext,
                (0x59, _) => Self::DvbSubtitle,
                _ => continue,
            };
        }
        Self::Other { stream_type: stream_type::PRIVATE }
    }

    /// Whether the stream is pictures or sound. `None` for data.
    pub const fn kind(self) -> Option<MediaKind> {
        match self {
            Self::H264 | Self::H265 | Self::Mpeg2Video | Self::Av1 => Some(MediaKind::Video),
            Self::AacAdts
            | Self::AacLatm
            | Self::Opus { .. }
            | Self::MpegAudio
            | Self::Ac3
            | Self::Eac3
            | Self::Dts => Some(MediaKind::Audio),
            Self::Scte35 | Self::TimedId3 | Self::Teletext | Self::DvbSubtitle | Self::Other { .. } => None,
        }
    }

    /// Whether frames can be made of the stream.
    pub const fn is_carried(self) -> bool {
        matches!(
            self,
            Self::H264
                | Self::H265
                | Self::Mpeg2Video
                | Self::AacAdts
                | Self::AacLatm
                | Self::Opus { channels: 1 | 2 }
                | Self::MpegAudio
                | Self::Ac3
                | Self::Eac3
        )
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "HEVC",
            Self::Mpeg2Video => "MPEG-2 video",
            Self::Av1 => "AV1",
            Self::AacAdts => "AAC",
            Self::AacLatm => "AAC in LATM",
            Self::Opus { .. } => "Opus",
            Self::MpegAudio => "MPEG audio",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::Dts => "DTS",
            Self::Scte35 => "SCTE 35",
            Self::TimedId3 => "ID3",
            Self::Teletext => "teletext",
            Self::DvbSubtitle => "DVB subtitles",
            Self::Other { .. } => "unknown",
        }
    }
}

impl fmt::Display for TsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other { stream_type } => write!(f, "of type {stream_type:#04x}"),
            stream => f.write_str(stream.name()),
        }
    }
}

impl TsElementary {
    pub(super) fn of(pid: u16, stream_type: u8, list: &[u8]) -> Self {
        let (language, label) = spoken(list);
        Self { pid, stream: TsStream::of(stream_type, list), language, label }
    }
}

/// The first language, and the audience for which it is spoken (ISO 13818-1, 2.6.18 and 2.6.19).
fn spoken(list: &[u8]) -> (Option<Language>, Option<&'static str>) {
    let found = descriptors(list).find_map(|(tag, body)| match (tag, body) {
        (DESCRIPTOR_LANGUAGE, &[a, b, c, audience, ..]) => Some(([a, b, c], audience)),
        _ => None,
    });
    let Some((code, audience)) = found else { return (None, None) };
    let label = match audience {
        1 => Some("Clean effects"),
        2 => Some("For the hearing impaired"),
        3 => Some("Audio description"),
        _ => None,
    };
    (std::str::from_utf8(&code).ok().and_then(Language::parse), label)
}

/// The tag and the body of each descriptor. A broken tail is left out.
fn descriptors(mut list: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[tag, length], rest) = list.split_first_chunk::<2>()?;
        let (body, rest) = rest.split_at_checked(usize::from(length))?;
        list = rest;
        Some((tag, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_read() {
        for (list, expected) in [
            (&[0x0A, 4, b'd', b'e', b'u', 0][..], (Language::parse("deu"), None)),
            (
                &[0x6A, 1, 0, 0x0A, 8, b'E', b'N', b'G', 3, b'f', b'r', b'a', 0],
                (Language::parse("eng"), Some("Audio description")),
            ),
            (&[0x0A, 4, b'u', b'n', b'd', 2], (None, Some("For the hearing impaired"))),
            (&[0x0A, 4, 0xFF, 0, b'd', 0], (None, None)),
            (&[0x0A, 3, b'd', b'e', b'u'], (None, None)),
            (&[], (None, None)),
        ] {
            let elementary = TsElementary::of(0x101, 0x0F, list);
            assert_eq!((elementary.language, elementary.label), expected, "{list:02x?}");
        }
    }

    #[test]
    fn streams_are_known_by_type_and_descriptors() {
        let registered = |name: &[u8]| [&[0x05, 4][..], name].concat();
        for (stream_type, descriptors, expected) in [
            (0x1B, vec![], TsStream::H264),
            (0x24, vec![], TsStream::H265),
            (0x0F, vec![], TsStream::AacAdts),
            (0x11, vec![], TsStream::AacLatm),
            (0x04, vec![], TsStream::MpegAudio),
            (0x81, vec![], TsStream::Ac3),
            (0x86, registered(b"CUEI"), TsStream::Scte35),
            (0x06, registered(b"HEVC"), TsStream::H265),
            (0x06, registered(b"Opus"), TsStream::Opus { channels: 2 }),
            (0x06, [registered(b"Opus"), vec![0x7F, 2, 0x80, 1]].concat(), TsStream::Opus { channels: 1 }),
            (0x06, vec![0x0A, 4, 1, 2, 3, 0, 0x6A, 1, 0], TsStream::Ac3),
            (0x06, vec![0x7A, 0], TsStream::Eac3),
            (0x06, vec![0x6A, 9], TsStream::Other { stream_type: 6 }),
            (0x06, vec![0x05], TsStream::Other { stream_type: 6 }),
            (0xEA, vec![], TsStream::Other { stream_type: 0xEA }),
        ] {
            assert_eq!(TsStream::of(stream_type, &descriptors), expected, "{stream_type:#x} {descriptors:?}");
        }
        assert!(!TsStream::Opus { channels: 6 }.is_carried() && !TsStream::Dts.is_carried());
        assert_eq!(TsStream::Other { stream_type: 0xEA }.to_string(), "of type 0xea");
    }
}

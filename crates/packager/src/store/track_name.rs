//! The name of a track in addresses, in the index and on disk: "video", "audio", "audio-2".

use std::fmt;

use weir_media::{MediaKind, TrackId, TrackInfo};

const RENDITION_BYTES_MAX: usize = 64;
/// HLS with MPEG-TS is in this folder, so no rendition may have this name.
pub(crate) const TS_FOLDER: &str = "ts";

/// Whether the name can stand in a path, a playlist and a manifest as it is.
pub(crate) fn is_rendition_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.len() <= RENDITION_BYTES_MAX && name != TS_FOLDER && name.bytes().all(fits)
}

/// A track within its rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TrackName {
    pub(crate) kind: MediaKind,
    pub(crate) id: TrackId,
}

impl TrackName {
    pub(crate) const fn of(info: &TrackInfo) -> Self {
        Self { kind: info.kind(), id: info.id }
    }

    /// Reads a name, in exactly the form in which names are written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (word, number) = text.split_once('-').map_or((text, None), |(word, number)| (word, Some(number)));
        let kind = match word {
            "video" => MediaKind::Video,
            "audio" => MediaKind::Audio,
            _ => return None,
        };
        let Some(number) = number else { return Some(Self { kind, id: first(kind) }) };
        let is_plain = number.len() <= 10 && number.bytes().all(|byte| byte.is_ascii_digit());
        let id = TrackId(number.parse().ok().filter(|_| is_plain && (number == "0" || !number.starts_with('0')))?);
        (id != first(kind)).then_some(Self { kind, id })
    }

    /// The word that MIME types begin with.
    pub(crate) const fn kind_word(self) -> &'static str {
        match self.kind {
            MediaKind::Video => "video",
            MediaKind::Audio => "audio",
        }
    }
}

/// The track of a kind that has no number in its name.
const fn first(kind: MediaKind) -> TrackId {
    match kind {
        MediaKind::Video => TrackId::SOURCE_VIDEO,
        MediaKind::Audio => TrackId::SOURCE_AUDIO,
    }
}

impl fmt::Display for TrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind_word())?;
        if self.id == first(self.kind) { Ok(()) } else { write!(f, "-{}", self.id.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (kind, id, name) in [
            (MediaKind::Video, 0, "video"),
            (MediaKind::Video, 3, "video-3"),
            (MediaKind::Audio, 1, "audio"),
            (MediaKind::Audio, 0, "audio-0"),
            (MediaKind::Audio, u32::MAX, "audio-4294967295"),
        ] {
            let track = TrackName { kind, id: TrackId(id) };
            assert_eq!((track.to_string().as_str(), TrackName::parse(name)), (name, Some(track)));
        }
        for name in [
            "",
            "text",
            "audio-",
            "audio-1",
            "video-0",
            "audio-02",
            "audio-+2",
            "audio-4294967296",
            "audio-2-3",
            "Audio",
        ] {
            assert_eq!(TrackName::parse(name), None, "{name}");
        }
    }
}

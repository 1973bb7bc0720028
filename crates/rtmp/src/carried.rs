//! What RTMP can carry of a rendition: the picture and one sound, in the codecs that its tags have names for.

use std::sync::Arc;

use weir_hub::Tracks;
use weir_media::{Codec, Language, TrackInfo};

/// Why a rendition can't go out over RTMP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("{0} can't be carried in RTMP; choose a rendition that encodes it")]
    Codec(Codec),
    #[error("{0} needs Enhanced RTMP, which this destination is not known to take")]
    NeedsEnhanced(Codec),
    #[error("the sound in {language} is {codec}, which can't be carried in RTMP; choose a rendition that encodes it")]
    Language { language: Language, codec: Codec },
}

/// The one sound that goes out of those, in that language where it can.
pub fn carried_sound(tracks: &Tracks, language: Option<Language>) -> Option<&Arc<TrackInfo>> {
    sound_of(tracks, language).filter(|info| is_carried(info.codec))
}

/// Checks that the tracks can be sent to a destination, which takes Enhanced RTMP (`enhanced`) or only what came before it.
pub fn check_tracks(tracks: &Tracks, language: Option<Language>, enhanced: bool) -> Result<(), Unsupported> {
    let sound = sound_of(tracks, language);
    let spoken = tracks.audios().find(|info| language.is_some() && info.language == language);
    if let (Some(language), Some(spoken)) = (language, spoken)
        && sound.is_some_and(|sound| sound.language != spoken.language)
    {
        return Err(Unsupported::Language { language, codec: spoken.codec });
    }
    for info in tracks.video().into_iter().chain(sound) {
        match info.codec {
            Codec::H265 | Codec::Av1 | Codec::Opus if !enhanced => {
                return Err(Unsupported::NeedsEnhanced(info.codec));
            }
            codec if !is_carried(codec) => return Err(Unsupported::Codec(codec)),
            _ => {}
        }
    }
    Ok(())
}

const fn is_carried(codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Aac | Codec::Opus | Codec::Mp3 => true,
        Codec::Mpeg2 | Codec::Mp2 | Codec::Ac3 | Codec::Eac3 | Codec::Vp8 | Codec::Vp9 => false,
    }
}

/// The one sound that goes out: the first in the wished language that RTMP can carry, else the first of all that it can carry. If it can
/// carry none, this is the default sound.
pub(crate) fn sound_of(tracks: &Tracks, language: Option<Language>) -> Option<&Arc<TrackInfo>> {
    let carried = |info: &&Arc<TrackInfo>| is_carried(info.codec);
    let wished = tracks.audios().filter(carried).find(|info| language.is_some() && info.language == language);
    wished.or_else(|| tracks.audios().find(carried)).or_else(|| tracks.audio())
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use weir_media::TrackId;

    use super::*;

    pub(crate) fn tracks(sounds: &[(Codec, &str)]) -> Tracks {
        let sound = |(id, (codec, language)): (u32, &(Codec, &str))| TrackInfo {
            language: Language::parse(language),
            ..TrackInfo::new(TrackId(id), *codec, Bytes::new())
        };
        let picture = TrackInfo::new(TrackId(0), Codec::H264, Bytes::new());
        std::iter::once(picture).chain((1..).zip(sounds).map(sound)).map(Arc::new).collect()
    }

    #[test]
    fn one_sound_is_chosen() {
        use Codec::{Aac, Ac3, Mp2, Opus};
        for (sounds, wish, chosen, fault) in [
            (&[(Aac, "deu"), (Aac, "eng")][..], "", Some(1), None),
            (&[(Aac, "deu"), (Aac, "eng")], "eng", Some(2), None),
            (&[(Aac, "deu"), (Aac, "eng")], "fra", Some(1), None),
            (&[(Ac3, "deu"), (Aac, "eng")], "", Some(2), None),
            (&[(Ac3, "deu"), (Aac, "deu"), (Aac, "eng")], "deu", Some(2), None),
            (
                &[(Aac, "deu"), (Ac3, "eng")],
                "eng",
                Some(1),
                Some("the sound in eng is ac3, which can't be carried in RTMP; choose a rendition that encodes it"),
            ),
            (&[(Mp2, "deu")], "", Some(1), Some("mp2 can't be carried in RTMP; choose a rendition that encodes it")),
            (&[(Opus, "")], "", Some(1), Some("opus needs Enhanced RTMP, which this destination is not known to take")),
            (&[], "eng", None, None),
        ] {
            let tracks = tracks(sounds);
            let language = Language::parse(wish);
            let found = sound_of(&tracks, language).map(|info| info.id.0);
            let told = check_tracks(&tracks, language, false).err().map(|error| error.to_string());
            assert_eq!((found, told.as_deref()), (chosen, fault), "{sounds:?} {wish}");
        }
    }
}

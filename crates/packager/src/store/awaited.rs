//! Why a text is not there yet, and whether tracks are still to begin. Many players read only once what is offered, and never see what
//! begins a moment later.

use weir_media::MediaTime;

use crate::store::Store;
use crate::store::track::Track;

/// Why the text that was asked for can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The text will come, because its first segment is being made.
    Yet,
    /// There is no text now, and there may be one some time.
    Now,
    /// There will be none: the protocol can't carry the stream, or nobody knows the rendition.
    Forever,
}

/// If nothing of a track has come when another track has so many whole segments, the track is not coming.
const SEGMENTS_MAX: usize = 2;

/// Whether a rendition that is followed is still to begin: encoders take a moment for their first picture.
pub(crate) fn awaits_rendition(store: &Store) -> bool {
    let live = store.renditions.values().flatten().filter(|track| track.live);
    let whole = live.map(|track| track.complete().take(SEGMENTS_MAX).count()).max();
    whole.is_some_and(|whole| whole < SEGMENTS_MAX) && store.followed.iter().any(|name| !store.has_begun(name))
}

/// Whether a sound that some rendition has is still to begin.
pub(crate) fn awaits_sound(store: &Store) -> bool {
    store.renditions.keys().filter(|name| !store.is_gone(name)).any(|name| {
        let sounds = || store.sounds_of(name).into_iter().map(|sound| sound.track).filter(|track| track.live);
        let picture = store.picture_of(name).filter(|track| track.live);
        let whole = sounds().chain(picture).map(|track| track.complete().take(SEGMENTS_MAX).count()).max();
        sounds().any(|track| track.newest().is_none()) && whole.is_some_and(|whole| whole < SEGMENTS_MAX)
    })
}

/// Whether one of the tracks has no whole segment yet in the newest Period, which begins at `start`, and may still get one.
pub(crate) fn awaits_in_period<'a>(tracks: impl Iterator<Item = &'a Track>, start: MediaTime) -> bool {
    let whole = |track: &Track| {
        let newest_first = track.complete().rev();
        newest_first.take_while(|segment| segment.start().max(segment.period_start) >= start).take(SEGMENTS_MAX).count()
    };
    let counts = tracks.map(whole);
    let (least, most) = counts.fold((SEGMENTS_MAX, 0), |(least, most), count| (least.min(count), most.max(count)));
    least == 0 && most < SEGMENTS_MAX
}

//! Answers with playlists and manifests. Each version is written once, for all who ask, and outside the lock that media takes.

mod mirror;
mod reload;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use weir_observe::Counter;

use crate::answer::{Answer, Cache};
use crate::config::PackagerConfig;
use crate::request::{Query, Target};
use crate::store::Store;
use crate::store::awaited::{Missing, awaits_rendition, awaits_sound};
use crate::store::live::{Live, lock};
use crate::store::rendered::Rendered;
use crate::store::track::Track;
use crate::store::track_name::TrackName;
use crate::texts::mirror::Mirror;
use crate::texts::reload::{check_until, is_reached};
use crate::{dash, hls, ts};

const TYPE_HLS: &str = "application/vnd.apple.mpegurl";
const TYPE_DASH: &str = "application/dash+xml";

/// A manifest says what time it is, so one that is given out again must not be wrong by more than this.
const MANIFEST_AGE_MAX: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Text {
    version: u64,
    at: Instant,
    rendered: Rendered,
}

#[derive(Debug)]
pub(crate) struct Texts {
    /// If both this and the store are locked, this is locked first. It is locked while a text is written, so that whoever asks for the same
    /// text waits for it.
    mirror: Mutex<Mirror>,
    /// The texts that were written last, by their paths. Media playlists are not here: their tracks keep them, because requests that wait
    /// for a part look there.
    kept: Mutex<BTreeMap<String, Text>>,
}

impl Texts {
    pub(crate) fn new(config: PackagerConfig) -> Self {
        Self { mirror: Mutex::new(Mirror::new(config)), kept: Mutex::default() }
    }

    /// The newest text at this path, if it is of this version of the store and young enough.
    fn kept(&self, path: &str, version: u64, age_max: Duration) -> Option<Rendered> {
        let kept = lock(&self.kept);
        let text = kept.get(path).filter(|text| text.version == version)?;
        (text.at.elapsed() < age_max).then(|| text.rendered.clone())
    }
}

/// Where a request for a media playlist stands.
enum Due {
    /// The answer is there, and is the same for everybody.
    Answered(Answer),
    /// The text is written, and the viewer has a token. The copy with the token is made outside the lock.
    Written(Rendered),
    Unwritten,
}

impl Texts {
    /// Answers with a media playlist, as soon as it has what the query waits for.
    pub(crate) async fn media_playlist(
        &self,
        live: &Live,
        (rendition, track): (&str, TrackName),
        query: &Query,
        token: Option<&str>,
    ) -> Answer {
        let rendered = match live.until(|| due(&live.store(), rendition, track, query, token)).await {
            Some(Due::Written(rendered)) => Some(rendered),
            Some(Due::Unwritten) => self.write_media(live, rendition, track, query.skip),
            Some(Due::Answered(answer)) => return answer,
            None => None,
        };
        rendered.map_or(Answer::NotReady, |rendered| rendered.answer(TYPE_HLS, Cache::Playlist, token))
    }

    fn write_media(&self, live: &Live, rendition: &str, track: TrackName, skip: bool) -> Option<Rendered> {
        let mut mirror = lock(&self.mirror);
        loop {
            let store = live.store();
            // Whoever held the mirror until now may have written this very text.
            let kept = store.track(rendition, track).and_then(|known| known.rendered(store.version, skip));
            if let Some(kept) = kept {
                return Some(kept.clone());
            }
            if mirror.follow(&store) {
                break;
            }
        }
        let rendered = Rendered::new(mirror.media(rendition, track, skip)?);
        live.observe.counters().add(Counter::PlayTextsWritten, 1);
        if let Some(track) = live.store().track_mut(rendition, track) {
            track.keep_rendered(mirror.facts().version, skip, rendered.clone());
        }
        Some(rendered)
    }

    /// Answers with the text at `path`, which asks for `target`. This is for every text except media playlists.
    pub(crate) async fn text(&self, live: &Live, path: &str, target: Target<'_>, token: Option<&str>) -> Answer {
        let written = live.until(|| match self.write_text(live, path, target) {
            Err(Missing::Yet) => None,
            written => Some(written),
        });
        match written.await {
            Some(Ok(rendered)) => {
                let (content_type, cache) = match target {
                    Target::Manifest { low_latency: false } => (TYPE_DASH, Cache::Short),
                    Target::Manifest { low_latency: true } => (TYPE_DASH, Cache::Playlist),
                    _ => (TYPE_HLS, Cache::Playlist),
                };
                rendered.answer(content_type, cache, token)
            }
            Some(Err(Missing::Forever)) => Answer::NotFound,
            _ => Answer::NotReady,
        }
    }

    fn write_text(&self, live: &Live, path: &str, target: Target<'_>) -> Result<Rendered, Missing> {
        let tells_time = matches!(target, Target::Manifest { .. });
        let age_max = if tells_time { MANIFEST_AGE_MAX } else { Duration::MAX };
        let kept = || self.kept(path, live.store().version, age_max);
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        let mut mirror = lock(&self.mirror);
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        while !mirror.follow(&live.store()) {}
        let rendered = Rendered::new(write(mirror.facts(), target)?);
        live.observe.counters().add(Counter::PlayTextsWritten, 1);
        let text = Text { version: mirror.facts().version, at: Instant::now(), rendered: rendered.clone() };
        // The map stays small, because only paths of texts that can be written come here, and there are few renditions.
        lock(&self.kept).insert(path.to_owned(), text);
        Ok(rendered)
    }
}

/// Where the request stands. None means that it has to wait.
fn due(store: &Store, rendition: &str, track: TrackName, query: &Query, token: Option<&str>) -> Option<Due> {
    let Some(track) = store.track(rendition, track) else { return Some(Due::Answered(Answer::NotFound)) };
    let Some(newest) = track.newest().filter(|_| store.is_announced()) else {
        return (!track.is_coming()).then_some(Due::Answered(Answer::NotReady));
    };
    if let Some(until) = query.until {
        if let Err(what) = check_until(track, newest, until, store.config().part_target) {
            return Some(Due::Answered(Answer::BadRequest(what.to_owned())));
        }
        if !is_reached(track, newest, until) {
            return None;
        }
    }
    let kept = track.rendered(store.version, query.skip);
    Some(kept.map_or(Due::Unwritten, |kept| match token {
        None => Due::Answered(kept.shared_answer(TYPE_HLS, Cache::Playlist)),
        Some(_) => Due::Written(kept.clone()),
    }))
}

fn write(store: &Store, target: Target<'_>) -> Result<String, Missing> {
    let written = match target {
        _ if !store.is_announced() => Err(Missing::Yet),
        Target::Multivariant | Target::Manifest { .. } if awaits_rendition(store) => Err(Missing::Yet),
        Target::Multivariant if awaits_sound(store) => Err(Missing::Yet),
        Target::Multivariant if hls::is_ready(store) => Ok(hls::multivariant(store)),
        Target::Multivariant => Err(Missing::Now),
        Target::Manifest { low_latency } => dash::manifest(store, OffsetDateTime::now_utc(), low_latency),
        Target::TsMultivariant => ts::multivariant(store),
        Target::TsPlaylist { rendition } => ts::media(store, rendition),
        _ => Err(Missing::Forever),
    };
    let is_coming = || store.renditions.values().flatten().any(Track::is_coming);
    written.map_err(|missing| if missing == Missing::Yet && !is_coming() { Missing::Now } else { missing })
}

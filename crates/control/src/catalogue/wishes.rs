//! What is asked of each restream, made from everything that is stored about it. Observe merges it with what runs.

use std::sync::Arc;

use weir_hub::SOURCE_RENDITION;
use weir_model::{
    Platform, Platforms, PushUrl, Rendition, Restream, RestreamId, RestreamRendition, RestreamTarget, StreamId, Warning,
};
use weir_observe::RestreamWish;
use weir_transcode::shared_name;

use super::Catalogue;

impl Catalogue {
    /// The wishes that may have changed since `before`; None for a restream that was deleted.
    pub(crate) fn wishes_since(&self, before: &Self, platforms: &Platforms) -> Vec<(RestreamId, Option<RestreamWish>)> {
        let ladders_stay = same(self.ladders.values(), before.ladders.values());
        let gone = before.restreams.keys().filter(|id| !self.restreams.contains_key(id)).map(|id| (*id, None));
        let differs = |restream: &&Arc<Restream>| {
            let stays = ladders_stay
                && same(Some(*restream), before.restreams.get(&restream.id))
                && same(self.streams.get(&restream.stream_id), before.streams.get(&restream.stream_id))
                && same(self.destination_of(restream), before.destination_of(restream));
            !stays
        };
        let changed = self.restreams.values().filter(differs);
        gone.chain(changed.map(|restream| (restream.id, Some(self.wish(restream, platforms))))).collect()
    }

    fn wish(&self, restream: &Restream, platforms: &Platforms) -> RestreamWish {
        let platform = self.platform_of(restream, platforms);
        let whole = match &restream.target {
            RestreamTarget::Uri(uri) => Some(uri),
            RestreamTarget::Destination { stream_key, .. } => {
                Some(stream_key).filter(|key| key.expose().contains("://"))
            }
        };
        let advice = |uri: Option<&weir_model::Secret>| -> Vec<Warning> {
            let url = uri.and_then(|uri| PushUrl::parse(uri.expose()).ok());
            let since = restream.updated_at;
            let advice = url.iter().flat_map(PushUrl::advice);
            advice.map(|it| Warning { code: it.code.to_owned(), message: it.message.to_owned(), since }).collect()
        };
        RestreamWish {
            stream_id: restream.stream_id,
            name: restream.name.clone(),
            active: restream.active,
            stop_reason: restream.stop_reason,
            changed_at: restream.updated_at,
            sends: self.sends(restream, platform),
            rendition: self.rendition_of(restream, platform),
            audio_language: restream.audio_language.clone(),
            advice: advice(whole),
            backup_advice: advice(restream.backup_uri.as_ref()),
            platform: platform.cloned(),
        }
    }

    fn sends(&self, restream: &Restream, platform: Option<&Platform>) -> String {
        let own = matches!(restream.rendition, RestreamRendition::Inline(_));
        let made = self.rendition_of(restream, platform).filter(|rendition| !rendition.is_passthrough());
        let name = made.and_then(|rendition| if own { shared_name(&rendition) } else { Some(rendition.name) });
        name.unwrap_or_else(|| SOURCE_RENDITION.to_owned())
    }

    fn rendition_of(&self, restream: &Restream, platform: Option<&Platform>) -> Option<Rendition> {
        self.asked_for(restream.stream_id, &restream.rendition, platform)
    }

    /// The rendition that is asked for, completed by the platform's rules; None for the source as it is.
    pub(super) fn asked_for(
        &self,
        stream: StreamId,
        asked: &RestreamRendition,
        platform: Option<&Platform>,
    ) -> Option<Rendition> {
        match asked {
            RestreamRendition::AsIs => None,
            RestreamRendition::Inline(draft) => Some(draft.fill(platform.map(|platform| &platform.rules))),
            RestreamRendition::Named(name) => {
                let ladder = self.ladder_of(self.streams.get(&stream)?);
                ladder.into_iter().find(|rendition| rendition.name == *name)
            }
        }
    }

    /// The platform whose rules hold for what the restream sends.
    fn platform_of<'a>(&self, restream: &Restream, platforms: &'a Platforms) -> Option<&'a Platform> {
        let of_url = |url: &str| platforms.of(&PushUrl::parse(url).ok()?);
        match &restream.target {
            RestreamTarget::Uri(uri) => of_url(uri.expose()),
            RestreamTarget::Destination { stream_key, .. } if stream_key.expose().contains("://") => {
                of_url(stream_key.expose())
            }
            RestreamTarget::Destination { .. } => platforms.get(&self.destination_of(restream)?.platform),
        }
    }
}

/// Whether both are the very same objects.
pub(super) fn same<'a, T: 'a>(
    now: impl IntoIterator<Item = &'a Arc<T>>,
    before: impl IntoIterator<Item = &'a Arc<T>>,
) -> bool {
    let (mut now, mut before) = (now.into_iter(), before.into_iter());
    loop {
        match (now.next(), before.next()) {
            (None, None) => return true,
            (Some(now), Some(before)) if Arc::ptr_eq(now, before) => {}
            _ => return false,
        }
    }
}

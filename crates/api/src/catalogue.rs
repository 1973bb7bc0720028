//! What is stored, in memory for as long as nothing is changed: what a judgement of a restream needs besides its own row.

use crate::context::ApiContext;
use crate::dto::push_status::WarningDto;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_hub::SOURCE_RENDITION;
use weir_model::{
    Destination, DestinationId, Platform, Platforms, PushUrl, Rendition, RenditionDraft, Restream, RestreamId,
    RestreamRendition, Sent, StreamId, StreamStatus, Target, check_platform,
};
use weir_store::StoreError;
use weir_transcode::shared_name;

/// Every stream and restream as it is stored.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) version: u64,
    pub(crate) streams: BTreeMap<StreamId, CatalogueStream>,
    pub(crate) restreams: BTreeMap<RestreamId, Restream>,
    destinations: BTreeMap<DestinationId, Destination>,
}

#[derive(Debug)]
pub(crate) struct CatalogueStream {
    pub(crate) name: String,
    pub(crate) active: bool,
    /// Of its ladder, wherever that is stored.
    ladder: Vec<Rendition>,
}

/// Read again after a change, by one caller while the others wait.
#[derive(Debug, Default)]
pub(crate) struct Catalogues {
    newest: Mutex<Arc<Catalogue>>,
}

impl Catalogues {
    pub(crate) async fn read(&self, api: &ApiContext) -> Result<Arc<Catalogue>, StoreError> {
        let mut newest = self.newest.lock().await;
        // Before the reading: what changes meanwhile is read again the next time.
        let version = api.commands.version();
        if newest.version != version {
            *newest = Arc::new(Catalogue::load(api, version).await?);
        }
        Ok(Arc::clone(&newest))
    }
}

impl Catalogue {
    async fn load(api: &ApiContext, version: u64) -> Result<Self, StoreError> {
        let (store, ladders) = (&api.store, api.store.all_ladders().await?);
        let streams = store.all_streams().await?.into_iter().map(|stream| {
            let ladder = stream.ladder.map(|ladder| match &ladder {
                weir_model::Ladder::Named(name) => match ladders.iter().find(|saved| saved.name == *name) {
                    Some(saved) => saved.renditions.clone(),
                    None => ladder.renditions(),
                },
                weir_model::Ladder::Inline(renditions) => renditions.clone(),
            });
            let known = CatalogueStream {
                name: stream.name.to_string(),
                active: stream.active,
                ladder: ladder.unwrap_or_default(),
            };
            (stream.id, known)
        });
        let streams = streams.collect();
        let restreams = store.all_restreams().await?.into_iter().map(|restream| (restream.id, restream)).collect();
        let destinations = store.all_destinations().await?.into_iter().map(|found| (found.id, found)).collect();
        Ok(Self { version, streams, restreams, destinations })
    }

    /// What the platform at the other end will hold against what it is, or would be, sent.
    pub(crate) fn warnings(
        &self,
        restream: &Restream,
        source: &StreamStatus,
        platforms: &Platforms,
    ) -> Vec<WarningDto> {
        let Some(platform) = self.platform(restream, platforms) else { return Vec::new() };
        let Some(sent) = self.sent(restream, source, platform) else { return Vec::new() };
        let (violations, suggestion) = check_platform(platform, &sent);
        let since = source.since.max(restream.updated_at);
        let suggestion = suggestion.as_ref();
        violations
            .into_iter()
            .map(|violation| WarningDto {
                code: violation.code.to_owned(),
                message: violation.message,
                since: since.into(),
                suggestion: suggestion.cloned().map(RenditionDraft::from),
            })
            .collect()
    }

    /// The stream's rendition that the restream sends, by the name that the stream's status has for it.
    pub(crate) fn sends(&self, restream: &Restream, platforms: &Platforms) -> String {
        let rendition = self.rendition(restream, self.platform(restream, platforms));
        let own = matches!(restream.rendition, RestreamRendition::Inline(_));
        let made = rendition.filter(|rendition| !rendition.is_passthrough());
        let name = made.and_then(|rendition| if own { shared_name(&rendition) } else { Some(rendition.name) });
        name.unwrap_or_else(|| SOURCE_RENDITION.to_owned())
    }

    /// What the restream asks for; None for the source as it is.
    fn rendition(&self, restream: &Restream, platform: Option<&Platform>) -> Option<Rendition> {
        match &restream.rendition {
            RestreamRendition::AsIs => None,
            RestreamRendition::Inline(draft) => Some(draft.fill(platform.map(|platform| &platform.rules))),
            RestreamRendition::Named(name) => {
                let ladder = &self.streams.get(&restream.stream_id)?.ladder;
                ladder.iter().find(|rendition| rendition.name == *name).cloned()
            }
        }
    }

    fn platform<'a>(&self, restream: &Restream, platforms: &'a Platforms) -> Option<&'a Platform> {
        let of_url = |url: &str| platforms.of(&PushUrl::parse(url).ok()?);
        match &restream.target {
            Target::Uri(uri) => of_url(uri.expose()),
            Target::Destination { stream_key, .. } if stream_key.expose().contains("://") => {
                of_url(stream_key.expose())
            }
            Target::Destination { destination_id, .. } => {
                platforms.get(&self.destinations.get(destination_id)?.platform)
            }
        }
    }

    /// None while it is not known what comes in.
    fn sent(&self, restream: &Restream, source: &StreamStatus, platform: &Platform) -> Option<Sent> {
        let source = source.ingest.as_ref().map(|ingest| Sent::source(ingest, &source.warnings));
        match self.rendition(restream, Some(platform)) {
            Some(rendition) => Sent::rendition(&rendition, source),
            None => source,
        }
    }
}

//! The shapes of the URLs of a stream: where encoders publish to it, and where viewers watch it.

use crate::context::PublicUrls;
use crate::dto::shown;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use weir_model::{SourceKind, Stream};

/// The URLs that an encoder publishes to, by protocol; null where the server does not listen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushUrlsDto(BTreeMap<String, Option<String>>);

/// The URLs of each slot that is pushed to, by its name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotPushUrlsDto(BTreeMap<String, PushUrlsDto>);

/// The URLs at which viewers watch; null where that way of watching is off.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlayUrlsDto {
    hls: Option<String>,
    dash: Option<String>,
    whep: Option<String>,
    watch: Option<String>,
}

pub(crate) fn push_urls(stream: &Stream, urls: &PublicUrls, reveal: bool) -> SlotPushUrlsDto {
    let of_sources = stream.sources.iter().filter_map(|source| {
        let SourceKind::Push { stream_key } = &source.kind else { return None };
        Some((source.slot.to_string(), push_urls_of(&shown(stream_key, reveal), urls)))
    });
    SlotPushUrlsDto(of_sources.collect())
}

fn push_urls_of(key: &str, urls: &PublicUrls) -> PushUrlsDto {
    let listeners = urls.publish.iter();
    let mut all: BTreeMap<_, _> =
        listeners.map(|(protocol, url)| ((*protocol).to_owned(), url.as_ref().map(|url| url.with_key(key)))).collect();
    all.insert("whip".to_owned(), urls.whip.as_ref().map(|base| format!("{base}/whip/{key}")));
    PushUrlsDto(all)
}

pub(crate) fn play_urls(stream: &Stream, urls: &PublicUrls) -> PlayUrlsDto {
    let at = |base: &Option<String>, on: bool, path: String| {
        base.as_ref().filter(|_| on).map(|base| format!("{base}{path}"))
    };
    let name = &stream.name;
    PlayUrlsDto {
        hls: at(&urls.playback, stream.hls, format!("/play/{name}/master.m3u8")),
        dash: at(&urls.playback, stream.dash, format!("/play/{name}/manifest.mpd")),
        whep: at(&urls.whep, stream.webrtc, format!("/whep/{name}")),
        watch: at(&urls.watch, true, format!("/watch/{name}")),
    }
}

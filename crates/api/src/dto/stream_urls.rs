//! The shapes of the URLs of a stream: where encoders publish to it, and where viewers watch it.

use crate::context::PublicUrls;
use crate::dto::shown;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use weir_model::{Slot, SourceKind, Stream};

/// The URLs that an encoder publishes to, by protocol; null where the server does not listen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushUrlsDto(BTreeMap<String, Option<String>>);

/// The URLs of each slot; null for slots that are not pushed to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotPushUrlsDto {
    primary: Option<PushUrlsDto>,
    backup: Option<PushUrlsDto>,
}

/// The URLs at which viewers watch; null where that way of watching is off.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlayUrlsDto {
    hls: Option<String>,
    dash: Option<String>,
    whep: Option<String>,
    watch: Option<String>,
}

pub(crate) fn push_urls(stream: &Stream, urls: &PublicUrls, reveal: bool) -> SlotPushUrlsDto {
    SlotPushUrlsDto {
        primary: push_urls_of(stream, Slot::Primary, urls, reveal),
        backup: push_urls_of(stream, Slot::Backup, urls, reveal),
    }
}

fn push_urls_of(stream: &Stream, slot: Slot, urls: &PublicUrls, reveal: bool) -> Option<PushUrlsDto> {
    let SourceKind::Push { stream_key } = &stream.source(slot)?.kind else { return None };
    let key = shown(stream_key, reveal);
    let listeners = urls.publish.iter();
    let mut all: BTreeMap<_, _> =
        listeners.map(|(protocol, url)| ((*protocol).to_owned(), url.as_ref().map(|url| url.with_key(&key)))).collect();
    all.insert("whip".to_owned(), urls.whip.as_ref().map(|base| format!("{base}/whip/{key}")));
    Some(PushUrlsDto(all))
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

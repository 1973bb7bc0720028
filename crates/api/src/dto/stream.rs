//! Streams as they are read, with how to reach them.

use crate::context::PublicUrls;
use crate::dto::ladder::LadderDto;
use crate::dto::logo::LogoDto;
use crate::dto::stream_input::slate_text;
use crate::dto::stream_status::StreamStatusDto;
use crate::dto::{Timestamp, shown};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{EncoderPolicy, Slot, Source, SourceKind, Stream, StreamStatus, masked_uri};

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SlotDto {
    Primary,
    Backup,
}

impl From<SlotDto> for Slot {
    fn from(slot: SlotDto) -> Self {
        match slot {
            SlotDto::Primary => Self::Primary,
            SlotDto::Backup => Self::Backup,
        }
    }
}

impl From<Slot> for SlotDto {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::Primary => Self::Primary,
            Slot::Backup => Self::Backup,
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SourceKindDto {
    Push,
    Pull,
    Playlist,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncoderPolicyDto {
    PreferHw,
    HwOnly,
    SwOnly,
}

impl From<EncoderPolicyDto> for EncoderPolicy {
    fn from(policy: EncoderPolicyDto) -> Self {
        match policy {
            EncoderPolicyDto::PreferHw => Self::PreferHardware,
            EncoderPolicyDto::HwOnly => Self::HardwareOnly,
            EncoderPolicyDto::SwOnly => Self::SoftwareOnly,
        }
    }
}

impl From<EncoderPolicy> for EncoderPolicyDto {
    fn from(policy: EncoderPolicy) -> Self {
        match policy {
            EncoderPolicy::PreferHardware => Self::PreferHw,
            EncoderPolicy::HardwareOnly => Self::HwOnly,
            EncoderPolicy::SoftwareOnly => Self::SwOnly,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceDto {
    slot: SlotDto,
    kind: SourceKindDto,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "loop")]
    looped: Option<bool>,
}

/// Where an encoder publishes; null where we don't listen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushUrlsDto {
    rtmp: Option<String>,
    rtmps: Option<String>,
    srt: Option<String>,
    whip: Option<String>,
}

/// Per slot; null for slots that are not pushed to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotPushUrlsDto {
    primary: Option<PushUrlsDto>,
    backup: Option<PushUrlsDto>,
}

/// Where viewers watch; null where it is off.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlayUrlsDto {
    hls: Option<String>,
    dash: Option<String>,
    whep: Option<String>,
    watch: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamDto {
    id: i64,
    name: String,
    active: bool,
    sources: Vec<SourceDto>,
    ladder: Option<LadderDto>,
    hls: bool,
    dash: bool,
    webrtc: bool,
    dvr_seconds: u32,
    record: bool,
    protected: bool,
    slate: Option<String>,
    encoder_policy: EncoderPolicyDto,
    logo: LogoDto,
    srt_passphrase: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    status: StreamStatusDto,
    push_urls: SlotPushUrlsDto,
    play_urls: PlayUrlsDto,
}

impl StreamDto {
    pub(crate) fn new(stream: &Stream, status: &StreamStatus, urls: &PublicUrls, reveal: bool) -> Self {
        Self {
            id: stream.id.0,
            name: stream.name.to_string(),
            active: stream.active,
            sources: stream.sources.iter().map(|source| source_dto(source, reveal)).collect(),
            ladder: stream.ladder.as_ref().map(Into::into),
            hls: stream.hls,
            dash: stream.dash,
            webrtc: stream.webrtc,
            dvr_seconds: stream.dvr_seconds,
            record: stream.record,
            protected: stream.protected,
            slate: stream.slate.as_ref().map(slate_text),
            encoder_policy: stream.encoder_policy.into(),
            logo: stream.into(),
            srt_passphrase: stream.srt_passphrase.as_ref().map(|passphrase| shown(passphrase, reveal)),
            created_at: stream.created_at.into(),
            updated_at: stream.updated_at.into(),
            status: status.into(),
            push_urls: SlotPushUrlsDto {
                primary: push_urls(stream, Slot::Primary, urls, reveal),
                backup: push_urls(stream, Slot::Backup, urls, reveal),
            },
            play_urls: play_urls(stream, urls),
        }
    }
}

fn source_dto(source: &Source, reveal: bool) -> SourceDto {
    let mut dto = SourceDto {
        slot: source.slot.into(),
        kind: SourceKindDto::Push,
        stream_key: None,
        uri: None,
        items: None,
        looped: None,
    };
    match &source.kind {
        SourceKind::Push { stream_key } => dto.stream_key = Some(shown(stream_key, reveal)),
        SourceKind::Pull { uri } => {
            dto.kind = SourceKindDto::Pull;
            dto.uri = Some(if reveal { uri.expose().to_owned() } else { masked_uri(uri.expose()) });
        }
        SourceKind::Playlist { items, looped } => {
            dto.kind = SourceKindDto::Playlist;
            dto.items = Some(items.clone());
            dto.looped = Some(*looped);
        }
    }
    dto
}

fn push_urls(stream: &Stream, slot: Slot, urls: &PublicUrls, reveal: bool) -> Option<PushUrlsDto> {
    let SourceKind::Push { stream_key } = &stream.source(slot)?.kind else { return None };
    let key = shown(stream_key, reveal);
    Some(PushUrlsDto {
        rtmp: urls.rtmp.as_ref().map(|base| format!("{base}/live/{key}")),
        rtmps: urls.rtmps.as_ref().map(|base| format!("{base}/live/{key}")),
        srt: urls.srt.as_ref().map(|base| format!("{base}?mode=caller&streamid=publish:{key}")),
        whip: urls.whip.as_ref().map(|base| format!("{base}/whip/{key}")),
    })
}

fn play_urls(stream: &Stream, urls: &PublicUrls) -> PlayUrlsDto {
    let at = |base: &Option<String>, on: bool, path: String| {
        base.as_ref().filter(|_| on).map(|base| format!("{base}{path}"))
    };
    let name = &stream.name;
    PlayUrlsDto {
        hls: at(&urls.playback, stream.hls, format!("/play/{name}/master.m3u8")),
        dash: at(&urls.playback, stream.dash, format!("/play/{name}/manifest.mpd")),
        whep: at(&urls.whip, stream.webrtc, format!("/whep/{name}")),
        watch: at(&urls.watch, true, format!("/watch/{name}")),
    }
}

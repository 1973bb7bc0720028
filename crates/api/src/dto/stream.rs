//! Streams: what is asked for, and how to reach them.

use crate::context::PublicUrls;
use crate::dto::ladder::LadderDto;
use crate::dto::stream_status::StreamStatusDto;
use crate::dto::{Timestamp, shown, yes};
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{
    EncoderPolicy, Ladder, Secret, Slate, Slot, Source, SourceKind, Stream, StreamName, StreamStatus, masked_uri,
};

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

/// `push` needs nothing more, `pull` a `uri`, `playlist` its `items`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceInput {
    #[serde(default)]
    slot: Option<SlotDto>,
    kind: SourceKindDto,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    items: Option<Vec<String>>,
    #[serde(default, rename = "loop")]
    looped: Option<bool>,
}

fn sources_of(inputs: Vec<SourceInput>) -> Result<Vec<Source>, Problem> {
    inputs.into_iter().enumerate().map(|(i, input)| input.into_model(&format!("sources[{i}]"))).collect()
}

impl SourceInput {
    fn into_model(self, field: &str) -> Result<Source, Problem> {
        let only = |wrong: bool, name: &str, kind: &str| {
            if wrong {
                Err(Problem::invalid(format!("{field}.{name}"), format!("goes with kind {kind} only")))
            } else {
                Ok(())
            }
        };
        let required = |name: &str| Problem::invalid(format!("{field}.{name}"), "is required");
        only(self.uri.is_some() && !matches!(self.kind, SourceKindDto::Pull), "uri", "pull")?;
        only(self.items.is_some() && !matches!(self.kind, SourceKindDto::Playlist), "items", "playlist")?;
        only(self.looped.is_some() && !matches!(self.kind, SourceKindDto::Playlist), "loop", "playlist")?;
        let slot = self.slot.map_or(Slot::Primary, Into::into);
        let kind = match self.kind {
            SourceKindDto::Push => return Ok(Source::push(slot)),
            SourceKindDto::Pull => SourceKind::Pull { uri: self.uri.ok_or_else(|| required("uri"))?.into() },
            SourceKindDto::Playlist => SourceKind::Playlist {
                items: self.items.ok_or_else(|| required("items"))?,
                looped: self.looped.unwrap_or(false),
            },
        };
        Ok(Source { slot, kind })
    }
}

/// Only `name` is required.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamInput {
    /// 1 to 64 of a-z, 0-9, - and _; part of the playback addresses.
    name: String,
    #[serde(default = "yes")]
    active: bool,
    #[serde(default)]
    sources: Option<Vec<SourceInput>>,
    #[serde(default)]
    ladder: Option<LadderDto>,
    #[serde(default = "yes")]
    hls: bool,
    #[serde(default = "yes")]
    dash: bool,
    #[serde(default = "yes")]
    webrtc: bool,
    #[serde(default)]
    dvr_seconds: Option<u32>,
    #[serde(default)]
    protected: bool,
    /// null, "card" or a file.
    #[serde(default)]
    slate: Option<String>,
    #[serde(default)]
    encoder_policy: Option<EncoderPolicyDto>,
    /// 10 to 79 characters.
    #[serde(default)]
    srt_passphrase: Option<String>,
}

impl StreamInput {
    pub(crate) fn into_model(self) -> Result<Stream, Problem> {
        let mut stream = Stream::draft(name_of(self.name)?);
        stream.active = self.active;
        if let Some(sources) = self.sources {
            stream.sources = sources_of(sources)?;
        }
        stream.ladder = self.ladder.map(LadderDto::into_model).transpose()?;
        stream.hls = self.hls;
        stream.dash = self.dash;
        stream.webrtc = self.webrtc;
        stream.dvr_seconds = self.dvr_seconds.unwrap_or(stream.dvr_seconds);
        stream.protected = self.protected;
        stream.slate = self.slate.map(slate_of);
        stream.encoder_policy = self.encoder_policy.map(Into::into).unwrap_or_default();
        stream.srt_passphrase = self.srt_passphrase.map(Into::into);
        Ok(stream)
    }
}

/// What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamPatch {
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    active: Option<bool>,
    /// All of them; a push source keeps the key of its slot.
    #[serde(default, deserialize_with = "present")]
    sources: Option<Vec<SourceInput>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<LadderDto>)]
    ladder: Option<Option<LadderDto>>,
    #[serde(default, deserialize_with = "present")]
    hls: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    dash: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    webrtc: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    dvr_seconds: Option<u32>,
    #[serde(default, deserialize_with = "present")]
    protected: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    slate: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    encoder_policy: Option<EncoderPolicyDto>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    srt_passphrase: Option<Option<String>>,
}

/// A patch whose every value is one that the model has.
#[derive(Debug)]
pub(crate) struct StreamChange {
    name: Option<StreamName>,
    sources: Option<Vec<Source>>,
    ladder: Option<Option<Ladder>>,
    slate: Option<Option<Slate>>,
    srt_passphrase: Option<Option<Secret>>,
    plain: PlainChange,
}

#[derive(Debug)]
struct PlainChange {
    active: Option<bool>,
    hls: Option<bool>,
    dash: Option<bool>,
    webrtc: Option<bool>,
    dvr_seconds: Option<u32>,
    protected: Option<bool>,
    encoder_policy: Option<EncoderPolicy>,
}

impl StreamPatch {
    pub(crate) fn into_change(self) -> Result<StreamChange, Problem> {
        Ok(StreamChange {
            name: self.name.map(name_of).transpose()?,
            sources: self.sources.map(sources_of).transpose()?,
            ladder: self.ladder.map(|ladder| ladder.map(LadderDto::into_model).transpose()).transpose()?,
            slate: self.slate.map(|slate| slate.map(slate_of)),
            srt_passphrase: self.srt_passphrase.map(|passphrase| passphrase.map(Into::into)),
            plain: PlainChange {
                active: self.active,
                hls: self.hls,
                dash: self.dash,
                webrtc: self.webrtc,
                dvr_seconds: self.dvr_seconds,
                protected: self.protected,
                encoder_policy: self.encoder_policy.map(Into::into),
            },
        })
    }
}

impl StreamChange {
    pub(crate) fn apply(&self, stream: &mut Stream) {
        set(&mut stream.name, self.name.as_ref());
        set(&mut stream.sources, self.sources.as_ref());
        set(&mut stream.ladder, self.ladder.as_ref());
        set(&mut stream.slate, self.slate.as_ref());
        set(&mut stream.srt_passphrase, self.srt_passphrase.as_ref());
        set(&mut stream.active, self.plain.active.as_ref());
        set(&mut stream.hls, self.plain.hls.as_ref());
        set(&mut stream.dash, self.plain.dash.as_ref());
        set(&mut stream.webrtc, self.plain.webrtc.as_ref());
        set(&mut stream.dvr_seconds, self.plain.dvr_seconds.as_ref());
        set(&mut stream.protected, self.plain.protected.as_ref());
        set(&mut stream.encoder_policy, self.plain.encoder_policy.as_ref());
    }
}

/// What a patch names is set, the rest stays.
pub(crate) fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

fn name_of(name: String) -> Result<StreamName, Problem> {
    StreamName::new(name).map_err(|fault| Problem::invalid("name", fault))
}

fn slate_of(text: String) -> Slate {
    if text == "card" { Slate::Card } else { Slate::File(text) }
}

/// Which push source gets a new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateInput {
    /// Absent: all of them.
    #[serde(default)]
    pub(crate) slot: Option<SlotDto>,
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
    protected: bool,
    slate: Option<String>,
    encoder_policy: EncoderPolicyDto,
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
            protected: stream.protected,
            slate: stream.slate.as_ref().map(|slate| match slate {
                Slate::Card => "card".to_owned(),
                Slate::File(path) => path.clone(),
            }),
            encoder_policy: stream.encoder_policy.into(),
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
    let at = |on: bool, path: String| urls.playback.as_ref().filter(|_| on).map(|base| format!("{base}{path}"));
    let name = &stream.name;
    PlayUrlsDto {
        hls: at(stream.hls, format!("/play/{name}/master.m3u8")),
        dash: at(stream.dash, format!("/play/{name}/manifest.mpd")),
        whep: at(stream.webrtc, format!("/whep/{name}")),
        watch: at(true, format!("/watch/{name}")),
    }
}

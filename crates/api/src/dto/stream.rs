//! The shapes of streams as they are read, asked for, and changed. A setting is named in all three here, and nowhere else in the API.

use crate::context::PublicUrls;
use crate::dto::failover::{FailoverChange, FailoverDto, FailoverInput};
use crate::dto::ladder::LadderDto;
use crate::dto::logo::{LogoDto, LogoInput};
use crate::dto::source::{SourceDto, SourceInput, source_dto, sources_of};
use crate::dto::stream_status::StreamStatusDto;
use crate::dto::stream_urls::{PlayUrlsDto, SlotPushUrlsDto, play_urls, push_urls};
use crate::dto::{Timestamp, set, shown, yes};
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{EncoderPolicy, Ladder, Secret, Slate, Source, Stream, StreamName, StreamStatus};

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
pub(crate) struct StreamDto {
    id: i64,
    name: String,
    active: bool,
    /// The sources in order of preference.
    sources: Vec<SourceDto>,
    failover: FailoverDto,
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
            failover: stream.failover.into(),
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
            push_urls: push_urls(stream, urls, reveal),
            play_urls: play_urls(stream, urls),
        }
    }
}

/// A new stream. Only `name` is required.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamInput {
    /// The name, which is part of the playback addresses: 1 to 64 of a-z, 0-9, - and _.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    name: String,
    #[serde(default = "yes")]
    active: bool,
    /// The sources in order of preference, at most eight; when absent, one push source in the slot `primary`.
    #[serde(default)]
    sources: Option<Vec<SourceInput>>,
    #[serde(default)]
    failover: Option<FailoverInput>,
    #[serde(default)]
    ladder: Option<LadderDto>,
    #[serde(default = "yes")]
    hls: bool,
    #[serde(default = "yes")]
    dash: bool,
    /// Whether browsers may watch by WHEP.
    #[serde(default = "yes")]
    webrtc: bool,
    #[serde(default)]
    #[schema(maximum = 86400)]
    dvr_seconds: Option<u32>,
    /// Whether the source is recorded to files.
    #[serde(default)]
    record: bool,
    #[serde(default)]
    protected: bool,
    /// The slate, which must be null: this version has none.
    #[serde(default)]
    slate: Option<String>,
    #[serde(default)]
    encoder_policy: Option<EncoderPolicyDto>,
    #[serde(default)]
    logo: Option<LogoInput>,
    /// The passphrase of SRT, which has 10 to 79 characters.
    #[serde(default)]
    #[schema(min_length = 10, max_length = 79)]
    srt_passphrase: Option<String>,
}

impl StreamInput {
    pub(crate) fn into_model(self) -> Result<Stream, Problem> {
        let mut stream = Stream::draft(name_of(self.name)?);
        stream.active = self.active;
        if let Some(sources) = self.sources {
            stream.sources = sources_of(sources)?;
        }
        self.failover.unwrap_or_default().into_change()?.apply(&mut stream.failover);
        stream.ladder = self.ladder.map(LadderDto::into_model).transpose()?;
        stream.hls = self.hls;
        stream.dash = self.dash;
        stream.webrtc = self.webrtc;
        stream.dvr_seconds = self.dvr_seconds.unwrap_or(stream.dvr_seconds);
        stream.record = self.record;
        stream.protected = self.protected;
        stream.slate = self.slate.map(slate_of);
        stream.encoder_policy = self.encoder_policy.map(Into::into).unwrap_or_default();
        self.logo.unwrap_or_default().apply(&mut stream.logo);
        stream.srt_passphrase = self.srt_passphrase.map(Into::into);
        Ok(stream)
    }
}

/// The input that would make the stream again.
impl From<&Stream> for StreamInput {
    fn from(stream: &Stream) -> Self {
        let Stream {
            id: _,
            version: _,
            name,
            active,
            sources,
            failover,
            ladder,
            hls,
            dash,
            webrtc,
            dvr_seconds,
            record,
            protected,
            play_epoch: _,
            slate,
            encoder_policy,
            logo,
            logo_image: _,
            srt_passphrase,
            created_at: _,
            updated_at: _,
        } = stream;
        Self {
            name: name.to_string(),
            active: *active,
            sources: Some(sources.iter().map(Into::into).collect()),
            failover: Some((*failover).into()),
            ladder: ladder.as_ref().map(Into::into),
            hls: *hls,
            dash: *dash,
            webrtc: *webrtc,
            dvr_seconds: Some(*dvr_seconds),
            record: *record,
            protected: *protected,
            slate: slate.as_ref().map(slate_text),
            encoder_policy: Some((*encoder_policy).into()),
            logo: Some(logo.into()),
            srt_passphrase: srt_passphrase.as_ref().map(|passphrase| passphrase.expose().to_owned()),
        }
    }
}

/// A field that is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    active: Option<bool>,
    /// The whole list of sources. A push source keeps the key of its slot.
    #[serde(default, deserialize_with = "present")]
    sources: Option<Vec<SourceInput>>,
    /// A field of the rules that is absent stays as it is, too.
    #[serde(default, deserialize_with = "present")]
    failover: Option<FailoverInput>,
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
    #[schema(maximum = 86400)]
    dvr_seconds: Option<u32>,
    #[serde(default, deserialize_with = "present")]
    record: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    protected: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    slate: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    encoder_policy: Option<EncoderPolicyDto>,
    /// A field of the logo that is absent stays as it is, too.
    #[serde(default, deserialize_with = "present")]
    logo: Option<LogoInput>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 10, max_length = 79)]
    srt_passphrase: Option<Option<String>>,
}

/// A patch whose every value is one that the model has.
#[derive(Debug)]
pub(crate) struct StreamChange {
    name: Option<StreamName>,
    sources: Option<Vec<Source>>,
    failover: FailoverChange,
    ladder: Option<Option<Ladder>>,
    slate: Option<Option<Slate>>,
    srt_passphrase: Option<Option<Secret>>,
    logo: LogoInput,
    plain: PlainChange,
}

#[derive(Debug)]
struct PlainChange {
    active: Option<bool>,
    hls: Option<bool>,
    dash: Option<bool>,
    webrtc: Option<bool>,
    dvr_seconds: Option<u32>,
    record: Option<bool>,
    protected: Option<bool>,
    encoder_policy: Option<EncoderPolicy>,
}

impl StreamPatch {
    pub(crate) fn into_change(self) -> Result<StreamChange, Problem> {
        Ok(StreamChange {
            name: self.name.map(name_of).transpose()?,
            sources: self.sources.map(sources_of).transpose()?,
            failover: self.failover.unwrap_or_default().into_change()?,
            ladder: self.ladder.map(|ladder| ladder.map(LadderDto::into_model).transpose()).transpose()?,
            slate: self.slate.map(|slate| slate.map(slate_of)),
            srt_passphrase: self.srt_passphrase.map(|passphrase| passphrase.map(Into::into)),
            logo: self.logo.unwrap_or_default(),
            plain: PlainChange {
                active: self.active,
                hls: self.hls,
                dash: self.dash,
                webrtc: self.webrtc,
                dvr_seconds: self.dvr_seconds,
                record: self.record,
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
        self.failover.apply(&mut stream.failover);
        set(&mut stream.ladder, self.ladder.as_ref());
        set(&mut stream.slate, self.slate.as_ref());
        set(&mut stream.srt_passphrase, self.srt_passphrase.as_ref());
        self.logo.apply(&mut stream.logo);
        set(&mut stream.active, self.plain.active.as_ref());
        set(&mut stream.hls, self.plain.hls.as_ref());
        set(&mut stream.dash, self.plain.dash.as_ref());
        set(&mut stream.webrtc, self.plain.webrtc.as_ref());
        set(&mut stream.dvr_seconds, self.plain.dvr_seconds.as_ref());
        set(&mut stream.record, self.plain.record.as_ref());
        set(&mut stream.protected, self.plain.protected.as_ref());
        set(&mut stream.encoder_policy, self.plain.encoder_policy.as_ref());
    }
}

fn name_of(name: String) -> Result<StreamName, Problem> {
    StreamName::new(name).map_err(|fault| Problem::invalid("name", fault))
}

fn slate_of(text: String) -> Slate {
    if text == "card" { Slate::Card } else { Slate::File(text) }
}

fn slate_text(slate: &Slate) -> String {
    match slate {
        Slate::Card => "card".to_owned(),
        Slate::File(path) => path.clone(),
    }
}

//! Streams as they are asked for: whole, or as a patch.

use crate::dto::ladder::LadderDto;
use crate::dto::logo::LogoInput;
use crate::dto::stream::{EncoderPolicyDto, SlotDto, SourceKindDto};
use crate::dto::{set, yes};
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{EncoderPolicy, Ladder, Secret, Slate, Slot, Source, SourceKind, Stream, StreamName};

/// In this version a stream has one source, of the kind `push` and in the slot `primary`; everything else is refused with the code
/// `not_available`. `push` needs nothing more, `pull` a `uri`, `playlist` its `items`.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
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

/// What would make it again, but for a stream key: those are never said, only made.
impl From<&Source> for SourceInput {
    fn from(source: &Source) -> Self {
        let Source { slot, kind } = source;
        let input = |kind| Self { slot: Some((*slot).into()), kind, uri: None, items: None, looped: None };
        match kind {
            SourceKind::Push { stream_key: _ } => input(SourceKindDto::Push),
            SourceKind::Pull { uri } => Self { uri: Some(uri.expose().to_owned()), ..input(SourceKindDto::Pull) },
            SourceKind::Playlist { items, looped } => {
                Self { items: Some(items.clone()), looped: Some(*looped), ..input(SourceKindDto::Playlist) }
            }
        }
    }
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
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamInput {
    /// 1 to 64 of a-z, 0-9, - and _; part of the playback addresses.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
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
    /// Only false: WebRTC is not in this version.
    #[serde(default)]
    webrtc: bool,
    #[serde(default)]
    #[schema(maximum = 86400)]
    dvr_seconds: Option<u32>,
    /// Whether the source is kept as files.
    #[serde(default)]
    record: bool,
    #[serde(default)]
    protected: bool,
    /// Only null: slates are not in this version.
    #[serde(default)]
    slate: Option<String>,
    #[serde(default)]
    encoder_policy: Option<EncoderPolicyDto>,
    #[serde(default)]
    logo: Option<LogoInput>,
    /// 10 to 79 characters.
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

/// What would make it again.
impl From<&Stream> for StreamInput {
    fn from(stream: &Stream) -> Self {
        let Stream {
            id: _,
            version: _,
            name,
            active,
            sources,
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

/// What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
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
    /// What is absent in it stays too.
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

pub(crate) fn slate_text(slate: &Slate) -> String {
    match slate {
        Slate::Card => "card".to_owned(),
        Slate::File(path) => path.clone(),
    }
}

/// Which push source gets a new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateInput {
    /// Absent: all of them.
    #[serde(default)]
    pub(crate) slot: Option<SlotDto>,
}

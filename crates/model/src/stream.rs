//! A stream: the durable, named thing that sources publish into and everything else is made from.

use crate::{Ladder, LogoImage, LogoPlacement, Secret, StreamId, StreamName};
use time::OffsetDateTime;

/// A day: what a disk-backed window may hold at most.
pub const MAX_DVR_SECONDS: u32 = 86_400;

#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    pub id: StreamId,
    /// Rises by one with every change; what `If-Match` compares.
    pub version: i64,
    pub name: StreamName,
    pub active: bool,
    /// One or two, each slot once, primary first.
    pub sources: Vec<Source>,
    pub ladder: Option<Ladder>,
    pub hls: bool,
    pub dash: bool,
    pub webrtc: bool,
    pub dvr_seconds: u32,
    /// Whether the source is kept as files.
    pub record: bool,
    pub protected: bool,
    /// Playback tokens of another epoch open nothing: it rises when they are revoked.
    pub play_epoch: u32,
    pub slate: Option<Slate>,
    pub encoder_policy: EncoderPolicy,
    /// How its logo lies, whether it has one or not.
    pub logo: LogoPlacement,
    pub logo_image: Option<LogoImage>,
    pub srt_passphrase: Option<Secret>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Stream {
    /// By the names that the API has for them.
    pub fn changed_fields(&self, before: &Self) -> Vec<&'static str> {
        changed!(Stream, before, self;
            name, active, sources, ladder, hls, dash, webrtc, dvr_seconds, record, protected, slate, encoder_policy, logo,
            logo_image as "logo", srt_passphrase | id, version, play_epoch, created_at, updated_at)
    }
}

impl Stream {
    /// What a new stream is when only its name is said: one push source, passthrough, every output that there is.
    pub fn draft(name: StreamName) -> Self {
        Self {
            id: StreamId::UNSAVED,
            version: 0,
            name,
            active: true,
            sources: vec![Source::push(Slot::Primary)],
            ladder: None,
            hls: true,
            dash: true,
            webrtc: false,
            dvr_seconds: 60,
            record: false,
            protected: false,
            play_epoch: 0,
            slate: None,
            encoder_policy: EncoderPolicy::default(),
            logo: LogoPlacement::default(),
            logo_image: None,
            srt_passphrase: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    pub fn source(&self, slot: Slot) -> Option<&Source> {
        self.sources.iter().find(|source| source.slot == slot)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub slot: Slot,
    pub kind: SourceKind,
}

impl Source {
    /// A push source whose key is still to be made.
    pub fn push(slot: Slot) -> Self {
        Self { slot, kind: SourceKind::Push { stream_key: Secret::default() } }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    Primary,
    Backup,
}

impl Slot {
    pub const ALL: [Self; 2] = [Self::Primary, Self::Backup];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// Someone publishes to us with this key; empty in a draft: keep the slot's key, or make one.
    Push { stream_key: Secret },
    /// We fetch; the URI may carry credentials.
    Pull { uri: Secret },
    /// Files played one after another.
    Playlist { items: Vec<String>, looped: bool },
}

impl SourceKind {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Push { .. } => "push",
            Self::Pull { .. } => "pull",
            Self::Playlist { .. } => "playlist",
        }
    }
}

/// What viewers see while a source is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slate {
    /// A generated picture with the stream's name.
    Card,
    File(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncoderPolicy {
    #[default]
    PreferHardware,
    HardwareOnly,
    SoftwareOnly,
}

impl EncoderPolicy {
    pub const ALL: [Self; 3] = [Self::PreferHardware, Self::HardwareOnly, Self::SoftwareOnly];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreferHardware => "prefer_hw",
            Self::HardwareOnly => "hw_only",
            Self::SoftwareOnly => "sw_only",
        }
    }
}

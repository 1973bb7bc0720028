//! A stream: the durable, named thing that sources publish into and everything else is made from.

use crate::{Failover, Ladder, LogoImage, LogoPlacement, Secret, Slot, StreamId, StreamName};
use time::OffsetDateTime;

/// The longest window on disk is a day.
pub const MAX_DVR_SECONDS: u32 = 86_400;

#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    pub id: StreamId,
    /// The version rises by one with every change. `If-Match` is compared with it.
    pub version: i64,
    pub name: StreamName,
    pub active: bool,
    /// The sources in order of preference, each with another slot: one at least, and [`crate::SOURCES_MAX`] at most.
    pub sources: Vec<Source>,
    /// When another source comes on air.
    pub failover: Failover,
    pub ladder: Option<Ladder>,
    pub hls: bool,
    pub dash: bool,
    pub webrtc: bool,
    pub dvr_seconds: u32,
    /// Whether the source is recorded to files.
    pub record: bool,
    pub protected: bool,
    /// The epoch of playback tokens, which rises when they are revoked. Tokens of another epoch open nothing.
    pub play_epoch: u32,
    pub slate: Option<Slate>,
    pub encoder_policy: EncoderPolicy,
    /// How the logo lies, whether the stream has one or not.
    pub logo: LogoPlacement,
    pub logo_image: Option<LogoImage>,
    pub srt_passphrase: Option<Secret>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Stream {
    /// The changed fields, by the names that the API has for them.
    pub fn changed_fields(&self, before: &Self) -> Vec<&'static str> {
        changed!(Stream, before, self;
            name, active, sources, failover, ladder, hls, dash, webrtc, dvr_seconds, record, protected, slate, encoder_policy, logo,
            logo_image as "logo", srt_passphrase | id, version, play_epoch, created_at, updated_at)
    }
}

impl Stream {
    /// A new stream of which only the name is known: one push source, passthrough, every output that there is.
    pub fn draft(name: StreamName) -> Self {
        Self {
            id: StreamId::UNSAVED,
            version: 0,
            name,
            active: true,
            sources: vec![Source::push(Slot::primary())],
            failover: Failover::default(),
            ladder: None,
            hls: true,
            dash: true,
            webrtc: true,
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

    pub fn source(&self, slot: &Slot) -> Option<&Source> {
        self.sources.iter().find(|source| source.slot == *slot)
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// Somebody publishes to us with this key. In a draft it may be empty, which means: keep the slot's key, or make one.
    Push { stream_key: Secret },
    /// We fetch the source. The URI may carry credentials.
    Pull { uri: Secret },
    /// Files are played one after another.
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

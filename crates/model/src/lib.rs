//! The nouns users ask for: streams, destinations, restreams, their states, and what platforms demand. Plain data, no I/O.

#[macro_use]
mod changed;
mod destination;
mod event_kind;
mod failover;
mod id;
mod ladder;
mod logo;
mod name;
mod named;
mod path;
mod percent;
mod picture_settings;
mod platform;
mod platform_check;
mod pull_url;
mod push_url;
mod rendition;
mod rendition_draft;
mod restream;
mod role;
mod saved_ladder;
mod secret;
mod slot;
mod sound;
mod spec;
mod srt_url;
mod status;
mod stream;
mod viewers;
mod warning_codes;
mod webhook;

pub use destination::Destination;
pub use event_kind::EventKind;
pub use failover::{Failover, FailoverFault};
pub use id::{ApiKeyId, DestinationId, LadderId, RestreamId, StreamId, UserId, WebhookId};
pub use ladder::{BuiltinLadder, Ladder, LadderFault, MAX_RENDITIONS, is_builtin_ladder};
pub use logo::{Corner, LOGO_BYTES_MAX, LOGO_SIDE_MAX, LogoImage, LogoPlacement, LogoPlacementFault};
pub use name::{MAX_LABEL_CHARS, MAX_STREAM_NAME_BYTES, NameFault, StreamName, checked_label};
pub use path::{PathAdvice, PathFigures};
pub use percent::percent_decoded;
pub use picture_settings::{Fit, PictureSettings, RateControl, VideoCodec};
pub use platform::{Platform, PlatformRules, Platforms, PlatformsFault, RetryBudget};
pub use platform_check::{Sent, Violation, check_platform};
pub use pull_url::{PullUrl, UdpPort, UdpSource};
pub use push_url::{Advice, MAX_URL_BYTES, PushUrl, UrlFault, UrlLogin, masked_uri};
pub use rendition::{Audio, Rendition, RenditionFault, Video};
pub use rendition_draft::{AsItIs, RenditionDraft};
pub use restream::{RenditionWish, Restream, RestreamRendition, RestreamTarget, RetryRules, RetryRulesFault, Schedule};
pub use role::Role;
pub use saved_ladder::{BUILTIN_LADDER_ID_MAX, SavedLadder, SavedLadderFault};
pub use secret::Secret;
pub use slot::{SOURCES_MAX, Slot, SlotFault};
pub use sound::{AudioCodec, SoundSettings};
pub use spec::{ConfigFault, RestreamSpec, resolve};
pub use srt_url::{MAX_LATENCY_US, PASSPHRASE_BYTES, SrtUrl, checked_passphrase};
pub use status::{
    Fault, IngestStatus, MadeStatus, PushStatus, Reason, ReasonCode, RenditionState, RenditionStatus, RestreamState,
    RestreamStatus, SeenStatus, SentSound, SourceState, SourceStatus, SrtFigures, StreamState, StreamStatus,
    TrackStatus, Warning, WebrtcFigures, WebrtcStatus,
};
pub use stream::{EncoderPolicy, MAX_DVR_SECONDS, Slate, Source, SourceKind, Stream};
pub use viewers::{ViewerKind, Viewers};
pub use warning_codes::WARNING_CODES;
pub use webhook::{MAX_WEBHOOKS, Webhook, WebhookFault};

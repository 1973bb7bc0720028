//! Judges what a stream serves by RFC 8216bis and the DASH-IF guidelines: playlists, manifests and media, read by parsers of its own.
//!
//! Nothing here shares code with the packager or its writers, so that a mistake made there is not made here again. [`Watcher`] fetches
//! what a player would, again and again. The rules themselves are pure, and each has its passing and failing rows in `tests`.

mod attributes;
mod captions;
mod delta_rules;
mod file_rules;
mod http;
mod manifest;
mod manifest_rules;
mod mp4;
mod multivariant;
mod playlist;
mod playlist_rules;
mod reload_rules;
mod rules;
mod times;
mod watcher;
mod xml;

pub use captions::caption_bytes;
pub use http::player;
pub use manifest::Manifest;
pub use mp4::{Fragment, Init, fragments};
pub use multivariant::Multivariant;
pub use playlist::{MediaPlaylist, Part, Segment};
pub use rules::{Rule, Violation, Violations};
pub use watcher::Watcher;

#[cfg(test)]
mod tests;

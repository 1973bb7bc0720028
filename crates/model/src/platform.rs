//! What the big platforms demand of a stream and of those who connect. Each has a file in `pipelines/platforms`.

use crate::push_url::{GENERIC_PLATFORMS, GENERIC_RTMP};
use crate::{PushUrl, VideoCodec};
use serde::Deserialize;
use std::time::Duration;

/// The platforms with a name. Behind them are shown the generic ones.
const FILES: [(&str, &str); 7] = [
    ("youtube", include_str!("../../../pipelines/platforms/youtube.toml")),
    ("twitch", include_str!("../../../pipelines/platforms/twitch.toml")),
    ("facebook", include_str!("../../../pipelines/platforms/facebook.toml")),
    ("kick", include_str!("../../../pipelines/platforms/kick.toml")),
    ("x", include_str!("../../../pipelines/platforms/x.toml")),
    ("instagram", include_str!("../../../pipelines/platforms/instagram.toml")),
    ("tiktok", include_str!("../../../pipelines/platforms/tiktok.toml")),
];

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// The name of the file.
    #[serde(skip)]
    pub id: String,
    /// The name for people.
    pub title: String,
    /// The protocol of the platform's usual server: the scheme of its URL.
    pub protocol: String,
    /// The server that the platform tells everyone to use, if there is one.
    pub url: Option<String>,
    pub backup_url: Option<String>,
    /// Servers with these names, or below them, belong to the platform, even if only a one-line URL was given.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// A server's address as an example, where it is not `protocol://host/app`, and in words what it has to say.
    pub server_example: Option<String>,
    pub server_help: Option<String>,
    /// Where to find the key, in words.
    pub key_help: String,
    /// Whether HEVC, AV1 and Opus may be offered by Enhanced RTMP. The answer of the far end still decides.
    pub enhanced_rtmp: bool,
    pub rules: PlatformRules,
    pub retry: RetryBudget,
}

/// What a stream must be like to be taken. `None` and empty lists mean that there is no rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformRules {
    pub gop_recommended_seconds: f64,
    pub gop_max_seconds: Option<f64>,
    pub video_recommended_kbps: Option<u32>,
    pub video_max_kbps: Option<u32>,
    /// The platform demands a constant bitrate or strongly advises it.
    pub cbr: bool,
    pub max_width: Option<u32>,
    pub max_height: Option<u32>,
    pub max_fps: Option<u32>,
    #[serde(default)]
    pub video_codecs: Vec<String>,
    #[serde(default)]
    pub video_profiles: Vec<String>,
    #[serde(default)]
    pub audio_codecs: Vec<String>,
    /// The platform rejects or hides a stream without a picture.
    #[serde(default)]
    pub video_required: bool,
    /// The platform rejects or hides a stream without sound.
    pub audio_required: bool,
    pub audio_max_kbps: Option<u32>,
    /// The platform takes B-frames.
    pub b_frames: bool,
}

impl PlatformRules {
    /// The profile if nobody has chosen one. `None` means that the platform takes the encoder's usual one, the best that every player
    /// plays.
    pub(crate) fn usual_profile(&self, codec: VideoCodec) -> Option<String> {
        let listed = |name: &&str| self.video_profiles.iter().any(|profile| profile == name);
        // The lists of profiles are those of H.264.
        if codec != VideoCodec::H264 || self.video_profiles.is_empty() || listed(&"high") {
            return None;
        }
        ["main", "baseline"].into_iter().find(listed).map(str::to_owned)
    }
}

/// How soon and how often to connect again. Platforms punish those who try too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryBudget {
    #[serde(rename = "min_backoff_seconds", deserialize_with = "seconds")]
    pub min_backoff: Duration,
    #[serde(rename = "max_backoff_seconds", deserialize_with = "seconds")]
    pub max_backoff: Duration,
    pub attempts_per_10_minutes: u32,
}

impl Default for RetryBudget {
    /// The contract's 1 s doubling to 60 s: 1+2+4+8+16+32 then every 60 s is 6 + (600-63)/60 = 15 attempts, so a budget of 20 binds only
    /// a destination that flaps.
    fn default() -> Self {
        Self { min_backoff: Duration::from_secs(1), max_backoff: Duration::from_secs(60), attempts_per_10_minutes: 20 }
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

/// A platform file that can't be read. A test checks that the built-in ones can.
#[derive(Debug, thiserror::Error)]
#[error("platform {id}: {source}")]
pub struct PlatformsFault {
    pub id: String,
    source: Box<toml::de::Error>,
}

/// All known platforms, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Platforms {
    all: Vec<Platform>,
}

impl Platforms {
    /// What a server is taken for that is no URL.
    pub const GENERIC_RTMP: &'static str = GENERIC_RTMP;

    /// The platforms that are compiled in.
    pub fn load() -> Result<Self, PlatformsFault> {
        Self::parse(FILES.into_iter().chain(GENERIC_PLATFORMS))
    }

    fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PlatformsFault> {
        let mut all = Vec::new();
        for (id, text) in files {
            let mut platform: Platform = toml::from_str(text)
                .map_err(|source| PlatformsFault { id: id.to_owned(), source: Box::new(source) })?;
            platform.id = id.to_owned();
            all.push(platform);
        }
        Ok(Self { all })
    }

    pub fn all(&self) -> &[Platform] {
        &self.all
    }

    pub fn get(&self, id: &str) -> Option<&Platform> {
        self.all.iter().find(|platform| platform.id == id)
    }

    /// The platform of a server, by its host; a generic one if no platform has that host.
    pub fn of(&self, url: &PushUrl) -> Option<&Platform> {
        let host = url.host();
        let below = |domain: &String| {
            host.len() >= domain.len()
                && host.is_char_boundary(host.len() - domain.len())
                && host[host.len() - domain.len()..].eq_ignore_ascii_case(domain)
                && (host.len() == domain.len() || host[..host.len() - domain.len()].ends_with('.'))
        };
        let generic = url.generic_platform();
        self.all.iter().find(|platform| platform.hosts.iter().any(below)).or_else(|| self.get(generic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_files() {
        let platforms = Platforms::load().unwrap();
        let ids: Vec<&str> = platforms.all().iter().map(|platform| platform.id.as_str()).collect();
        assert_eq!(
            ids,
            ["youtube", "twitch", "facebook", "kick", "x", "instagram", "tiktok", "generic-rtmp", "generic-srt"]
        );
        for platform in platforms.all() {
            let usual = format!("{}://host/app", platform.protocol);
            let example = platform.server_example.as_ref().unwrap_or(&usual);
            assert_eq!(PushUrl::check_server(example), Ok(()), "{}", platform.id);
            assert!(example.starts_with(&platform.protocol), "{}", platform.id);
            for url in [&platform.url, &platform.backup_url].into_iter().flatten() {
                assert_eq!(PushUrl::check_server(url), Ok(()), "{}", platform.id);
                let url = PushUrl::from_server_and_key(url, "key").unwrap();
                assert_eq!(platforms.of(&url).unwrap().id, platform.id);
            }
            assert!(platform.retry.min_backoff <= platform.retry.max_backoff);
            assert!(platform.retry.attempts_per_10_minutes > 0);
        }
        assert_eq!(platforms.get("facebook").unwrap().rules.gop_max_seconds, Some(4.0));
        assert_eq!(platforms.get("twitch").unwrap().rules.video_recommended_kbps, Some(6_000));
        // An unknown server is often one's own, so its budget of attempts must not bind.
        assert!(
            platforms.get("generic-rtmp").unwrap().retry.attempts_per_10_minutes
                > RetryBudget::default().attempts_per_10_minutes
        );
        assert!(
            platforms.get("twitch").unwrap().retry.attempts_per_10_minutes
                < RetryBudget::default().attempts_per_10_minutes
        );
    }

    #[test]
    fn by_host() {
        let platforms = Platforms::load().unwrap();
        for (uri, id) in [
            ("rtmp://a.rtmp.youtube.com/live2/k", "youtube"),
            ("rtmps://live-api-s.facebook.com:443/rtmp/k", "facebook"),
            ("rtmp://LIVE.twitch.tv/app/k", "twitch"),
            ("rtmp://eviltwitch.tv/app/k", "generic-rtmp"),
            ("rtmps://va.pscp.tv:443/x/k", "x"),
            ("rtmps://live-upload.instagram.com:443/rtmp/k", "instagram"),
            ("rtmp://push-rtmp-f5-sg01.tiktokcdn.com/game/k", "tiktok"),
            ("rtmp://127.0.0.1/app/k", "generic-rtmp"),
            ("srt://127.0.0.1:9000", "generic-srt"),
        ] {
            assert_eq!(platforms.of(&PushUrl::parse(uri).unwrap()).unwrap().id, id, "{uri}");
        }
    }

    #[test]
    fn unknown_keys_are_faults() {
        let fault = Platforms::parse([("x", "titel = \"X\"")]).unwrap_err();
        assert!(fault.to_string().starts_with("platform x"), "{fault}");
    }
}

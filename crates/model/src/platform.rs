//! What the big platforms demand of a stream and of whoever connects: one file each in `pipelines/platforms`.

use crate::{EncodingSettings, PushUrl, VideoCodec};
use serde::Deserialize;
use std::time::Duration;

const FILES: [(&str, &str); 6] = [
    ("youtube", include_str!("../../../pipelines/platforms/youtube.toml")),
    ("twitch", include_str!("../../../pipelines/platforms/twitch.toml")),
    ("facebook", include_str!("../../../pipelines/platforms/facebook.toml")),
    ("kick", include_str!("../../../pipelines/platforms/kick.toml")),
    ("generic-rtmp", include_str!("../../../pipelines/platforms/generic-rtmp.toml")),
    ("generic-srt", include_str!("../../../pipelines/platforms/generic-srt.toml")),
];

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// The file's name.
    #[serde(skip)]
    pub id: String,
    /// What people call it.
    pub title: String,
    /// Of its usual server.
    pub protocol: Protocol,
    /// The server that the platform tells everyone to use, if there is one.
    pub url: Option<String>,
    pub backup_url: Option<String>,
    /// Servers below these names are this platform's, also when only a one-line URL was given.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Where to find the key, in words.
    pub key_help: String,
    /// Whether HEVC, AV1 and Opus may be offered by Enhanced RTMP; what the far end answers still decides.
    pub enhanced_rtmp: bool,
    pub rules: PlatformRules,
    pub retry: RetryBudget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Rtmp,
    Rtmps,
    Srt,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Srt => "srt",
        }
    }
}

/// What a stream must be like to be taken; None and empty mean no rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformRules {
    pub gop_recommended_seconds: f64,
    pub gop_max_seconds: Option<f64>,
    pub video_recommended_kbps: Option<u32>,
    pub video_max_kbps: Option<u32>,
    /// Constant bitrate is demanded or strongly advised.
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
    /// Rejects or hides a stream without sound.
    pub audio_required: bool,
    pub audio_max_kbps: Option<u32>,
    /// B-frames are taken.
    pub b_frames: bool,
}

impl PlatformRules {
    /// The settings, made to fit what the platform takes: beyond its limits it would refuse them, or encode them again worse. What is
    /// within them stays as it was asked for.
    pub fn fit(&self, asked: &EncodingSettings) -> EncodingSettings {
        let takes = |list: &[String], what: &str| list.is_empty() || list.iter().any(|item| item == what);
        let codec = if takes(&self.video_codecs, asked.codec.as_str()) { asked.codec } else { VideoCodec::H264 };
        let profile =
            asked.profile.clone().filter(|profile| codec == asked.codec && takes(&self.video_profiles, profile));
        let gop_fits = self.gop_max_seconds.is_none_or(|max| asked.gop_seconds <= max);
        let at_most = |asked: u32, max: Option<u32>| max.map_or(asked, |max| asked.min(max));
        let (width, height) = self.size(asked.width, asked.height);
        EncodingSettings {
            width,
            height,
            fps: asked.fps.map(|fps| self.max_fps.map_or(fps, |max| fps.min(f64::from(max)))),
            video_bitrate_kbps: at_most(asked.video_bitrate_kbps, self.video_max_kbps),
            audio_bitrate_kbps: at_most(asked.audio_bitrate_kbps, self.audio_max_kbps),
            codec,
            gop_seconds: if gop_fits { asked.gop_seconds } else { self.gop_recommended_seconds },
            rate_control: asked.rate_control,
            profile,
            fit: asked.fit,
        }
    }

    /// The largest size of that shape that the platform takes. Its limits are those of a wide picture; a tall one may be as tall as
    /// a wide one is wide.
    fn size(&self, width: u32, height: u32) -> (u32, u32) {
        let (long, short) = (width.max(height), width.min(height));
        let share = |max: Option<u32>, side: u32| max.map_or(1.0, |max| f64::from(max) / f64::from(side.max(1)));
        let scale = share(self.max_width, long).min(share(self.max_height, short));
        if scale >= 1.0 {
            return (width, height);
        }
        // 4:2:0 needs even sizes.
        let scaled = |side: u32| ((f64::from(side) * scale / 2.0).round() as u32 * 2).max(2);
        (scaled(width), scaled(height))
    }
}

/// How eagerly to come back: platforms punish those who knock too often.
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
    /// The contract's 1 s doubling to 60 s: 1+2+4+8+16+32 then every 60 s is 6 + (600-63)/60 = 15 attempts, so 20 binds
    /// only whoever flaps.
    fn default() -> Self {
        Self { min_backoff: Duration::from_secs(1), max_backoff: Duration::from_secs(60), attempts_per_10_minutes: 20 }
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

/// A platform file that can't be read; a test holds that the built-in ones can.
#[derive(Debug, thiserror::Error)]
#[error("platform {id}: {source}")]
pub struct PlatformsFault {
    pub id: String,
    source: Box<toml::de::Error>,
}

/// All platforms known, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Platforms {
    all: Vec<Platform>,
}

impl Platforms {
    pub const GENERIC_RTMP: &'static str = "generic-rtmp";
    pub const GENERIC_SRT: &'static str = "generic-srt";

    /// The ones compiled in.
    pub fn load() -> Result<Self, PlatformsFault> {
        Self::parse(&FILES)
    }

    fn parse(files: &[(&str, &str)]) -> Result<Self, PlatformsFault> {
        let mut all = Vec::with_capacity(files.len());
        for (id, text) in files {
            let mut platform: Platform = toml::from_str(text)
                .map_err(|source| PlatformsFault { id: (*id).to_owned(), source: Box::new(source) })?;
            platform.id = (*id).to_owned();
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

    /// Whose server this is, judged by its host; a generic one otherwise.
    pub fn of(&self, url: &PushUrl) -> Option<&Platform> {
        let host = url.host();
        let below = |domain: &String| {
            host.len() >= domain.len()
                && host.is_char_boundary(host.len() - domain.len())
                && host[host.len() - domain.len()..].eq_ignore_ascii_case(domain)
                && (host.len() == domain.len() || host[..host.len() - domain.len()].ends_with('.'))
        };
        let generic = if url.is_srt() { Self::GENERIC_SRT } else { Self::GENERIC_RTMP };
        self.all.iter().find(|platform| platform.hosts.iter().any(below)).or_else(|| self.get(generic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fit, RateControl};

    #[test]
    fn built_in_files() {
        let platforms = Platforms::load().unwrap();
        let ids: Vec<&str> = platforms.all().iter().map(|platform| platform.id.as_str()).collect();
        assert_eq!(ids, ["youtube", "twitch", "facebook", "kick", "generic-rtmp", "generic-srt"]);
        for platform in platforms.all() {
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
        // An unknown server is one's own as often as not: it may be knocked at without a budget that binds.
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
            ("rtmp://127.0.0.1/app/k", "generic-rtmp"),
            ("srt://127.0.0.1:9000", "generic-srt"),
        ] {
            assert_eq!(platforms.of(&PushUrl::parse(uri).unwrap()).unwrap().id, id, "{uri}");
        }
    }

    #[test]
    fn settings_are_made_to_fit() {
        let platforms = Platforms::load().unwrap();
        let asked = EncodingSettings {
            width: 3840,
            height: 2160,
            fps: Some(120.0),
            video_bitrate_kbps: 20_000,
            audio_bitrate_kbps: 320,
            codec: VideoCodec::H265,
            gop_seconds: 10.0,
            rate_control: RateControl::Vbr,
            profile: Some("main10".into()),
            fit: Fit::Crop,
        };
        let fit = |id: &str, asked: &EncodingSettings| platforms.get(id).unwrap().rules.fit(asked);
        let twitch = fit("twitch", &asked);
        let expected = EncodingSettings {
            width: 1920,
            height: 1080,
            fps: Some(60.0),
            video_bitrate_kbps: 8_000,
            audio_bitrate_kbps: 160,
            codec: VideoCodec::H264,
            gop_seconds: 2.0,
            rate_control: RateControl::Vbr,
            profile: None,
            fit: Fit::Crop,
        };
        assert_eq!(twitch, expected);
        assert_eq!(fit("twitch", &twitch), twitch, "what fits stays");
        assert_eq!(fit("generic-rtmp", &asked), asked, "no rules");
        let tall = EncodingSettings { width: 2160, height: 3840, ..asked };
        let tall = fit("twitch", &tall);
        assert_eq!((tall.width, tall.height), (1080, 1920));
    }

    #[test]
    fn unknown_keys_are_faults() {
        let fault = Platforms::parse(&[("x", "titel = \"X\"")]).unwrap_err();
        assert!(fault.to_string().starts_with("platform x"), "{fault}");
    }
}

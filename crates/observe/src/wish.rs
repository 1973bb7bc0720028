//! What is asked of a restream. With what its stages report it makes the
//! restream's status, verdicts and warnings, merged when they are read.
//!
//! The API, the metrics and the events all read this merge, so that they can't say different things.

use time::OffsetDateTime;
use weir_model::{
    Platform, PushStatus, Reason, ReasonCode, Rendition, RestreamState, RestreamStatus, Sent, StreamId, StreamStatus,
    TrackStatus, Violation, Warning, check_platform,
};

/// What is asked of a restream. The reader of what is stored sets it, whenever that was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct RestreamWish {
    pub stream_id: StreamId,
    pub name: String,
    pub active: bool,
    /// Why the server stopped the restream.
    pub stop_reason: Option<ReasonCode>,
    pub changed_at: OffsetDateTime,
    /// The stream's rendition that is sent, by its name in the stream's status.
    pub sends: String,
    /// The rendition that is asked for; None for the source as it is.
    pub rendition: Option<Rendition>,
    /// The language of the sound that is sent where only one can be; None for the default.
    pub audio_language: Option<String>,
    /// The platform whose rules hold for what is sent.
    pub platform: Option<Platform>,
    /// Warnings about addresses that will not do what was meant.
    pub advice: Vec<Warning>,
    pub backup_advice: Vec<Warning>,
}

/// A platform's rule that is broken.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformWarning {
    pub code: &'static str,
    pub message: String,
    pub since: OffsetDateTime,
    /// A rendition that breaks no rule.
    pub suggestion: Option<Rendition>,
}

/// A restream as it is, with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RestreamView {
    pub status: RestreamStatus,
    pub sends: String,
    pub platform_warnings: Vec<PlatformWarning>,
}

impl RestreamView {
    /// The warnings of all authors, as code and message.
    pub fn warnings(&self) -> impl Iterator<Item = (&str, &str)> {
        let backup = self.status.backup.iter().flat_map(|push| &push.warnings);
        let pushes = self.status.push.warnings.iter().chain(backup);
        let platform = self.platform_warnings.iter().map(|warning| (warning.code, warning.message.as_str()));
        pushes.map(|warning| (warning.code.as_str(), warning.message.as_str())).chain(platform)
    }
}

impl RestreamWish {
    /// Merges this wish with `running`, which is what the pushes report (None where none runs), and `source`, the state of the stream.
    pub fn merged_with(&self, running: Option<RestreamStatus>, source: &StreamStatus) -> RestreamView {
        RestreamView {
            status: self.status(running),
            sends: self.sends.clone(),
            platform_warnings: self.platform_warnings(source),
        }
    }

    /// The status of what runs, or of what is asked for where nothing runs yet, or any more.
    fn status(&self, running: Option<RestreamStatus>) -> RestreamStatus {
        let running = running.filter(|status| status.push.state != RestreamState::Stopped || status.backup.is_some());
        let mut status = running.unwrap_or_else(|| RestreamStatus::stopped(self.changed_at));
        if status.push.state == RestreamState::Stopped {
            status.push = PushStatus::stopped(self.changed_at);
            if self.active {
                // It was started, and the reconciler has not come round yet.
                status.push.state = RestreamState::AwaitingStream;
            } else {
                status.push.reason = self.stop_reason.map(stopped_for);
            }
        }
        status.push.warnings.extend(self.advice.iter().cloned());
        if let Some(backup) = &mut status.backup {
            backup.warnings.extend(self.backup_advice.iter().cloned());
        }
        status
    }

    /// What the platform's rules object to in what the restream is sent, or would be.
    fn platform_warnings(&self, source: &StreamStatus) -> Vec<PlatformWarning> {
        let language = self.audio_language.as_deref();
        let sent = sent((self.rendition.as_ref(), language), source);
        let checked = self.platform.as_ref().zip(sent).map(|(platform, sent)| check_platform(platform, &sent));
        let (mut violations, suggestion) = checked.unwrap_or_default();
        violations.extend(language.and_then(|language| missing_language(language, source)));
        let since = source.since.max(self.changed_at);
        let warning = |violation: Violation| PlatformWarning {
            code: violation.code,
            message: violation.message,
            since,
            suggestion: suggestion.clone(),
        };
        violations.into_iter().map(warning).collect()
    }
}

/// What goes out for a rendition, None for the source as it is, with the sound of that language; None while it is not known what comes
/// in.
pub fn sent((rendition, language): (Option<&Rendition>, Option<&str>), source: &StreamStatus) -> Option<Sent> {
    let spoken = language.and_then(|language| sounds(source).find(|track| track.language.as_deref() == Some(language)));
    let source = source.ingest.as_ref().map(|ingest| {
        let sent = Sent::source(ingest, &source.warnings);
        let audio_codec = spoken.map(|track| Some(track.codec.clone())).or(sent.audio_codec);
        Sent { audio_codec, ..sent }
    });
    match rendition {
        Some(rendition) => Sent::rendition(rendition, source),
        None => source,
    }
}

fn sounds(source: &StreamStatus) -> impl Iterator<Item = &TrackStatus> {
    source.tracks.iter().filter(|track| track.kind == "audio")
}

/// What is said where a source that comes in has no sound of that language.
pub fn missing_language(language: &str, source: &StreamStatus) -> Option<Violation> {
    if sounds(source).any(|track| track.language.as_deref() == Some(language)) {
        return None;
    }
    // A source without any sound is told of otherwise.
    let default = sounds(source).next()?.language.as_ref().map(|language| format!(" ({language})")).unwrap_or_default();
    let message = format!("the source has no sound in {language}: its default{default} is sent until it has");
    Some(Violation { code: "audio_language_missing", message })
}

fn stopped_for(code: ReasonCode) -> Reason {
    let message = match code {
        ReasonCode::SourceTimeout => "the source did not come back in time; start it again by hand".to_owned(),
        other => format!("stopped by the server: {other}"),
    };
    Reason::new(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{IngestStatus, Platforms, Slot};

    const THEN: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn wish(active: bool, stop_reason: Option<ReasonCode>) -> RestreamWish {
        RestreamWish {
            stream_id: StreamId(1),
            name: "r".to_owned(),
            active,
            stop_reason,
            changed_at: THEN,
            sends: "source".to_owned(),
            rendition: None,
            audio_language: None,
            platform: Platforms::load().unwrap().get("facebook").cloned(),
            advice: Vec::new(),
            backup_advice: Vec::new(),
        }
    }

    fn runs(state: RestreamState) -> Option<RestreamStatus> {
        let push = PushStatus { state, ..PushStatus::stopped(THEN + time::Duration::HOUR) };
        Some(RestreamStatus { push, backup: None })
    }

    #[test]
    fn the_sound_that_would_go_out_is_judged() {
        let track = |codec: &str, language: Option<&str>| TrackStatus {
            id: 1,
            kind: "audio",
            codec: codec.to_owned(),
            language: language.map(str::to_owned),
            label: None,
            default: false,
            bitrate_bps: 0,
        };
        let tracks = vec![track("aac", Some("deu")), track("ac3", Some("eng"))];
        let broadcast = StreamStatus { tracks, ..live(2.0) };
        let missing =
            ("audio_language_missing", "the source has no sound in fra: its default (deu) is sent until it has");
        let broken = "codec_unsupported_by_destination";
        for (language, source, expected) in [
            (None, &broadcast, None),
            (Some("deu"), &broadcast, None),
            (Some("eng"), &broadcast, Some((broken, "the sound is ac3"))),
            (Some("fra"), &broadcast, Some(missing)),
            (Some("fra"), &StreamStatus { tracks: Vec::new(), ..live(2.0) }, None),
            (Some("fra"), &StreamStatus::offline(THEN), None),
        ] {
            let asked = RestreamWish { audio_language: language.map(str::to_owned), ..wish(true, None) };
            let warnings = asked.merged_with(runs(RestreamState::Streaming), source).platform_warnings;
            let said = warnings.first().map(|warning| (warning.code, warning.message.as_str()));
            assert!(
                warnings.len() <= 1 && said.map(|said| said.0) == expected.map(|expected| expected.0),
                "{warnings:?}"
            );
            assert!(said.zip(expected).is_none_or(|(said, expected)| said.1.starts_with(expected.1)), "{warnings:?}");
        }
        // Rules or not: the wish is not met.
        let asked = RestreamWish { audio_language: Some("fra".to_owned()), platform: None, ..wish(true, None) };
        assert_eq!(asked.merged_with(None, &broadcast).platform_warnings.len(), 1);
    }

    fn live(gop_seconds: f64) -> StreamStatus {
        let ingest = IngestStatus {
            protocol: "rtmp",
            slot: Slot::primary(),
            remote: None,
            video_codec: Some("h264".to_owned()),
            audio_codec: Some("aac".to_owned()),
            width: Some(1280),
            height: Some(720),
            fps: Some(30.0),
            bitrate_bps: 3_000_000,
            gop_seconds: Some(gop_seconds),
            dropped_frames: 0,
            latency_ms: None,
            webrtc: None,
            rtt_ms: None,
            loss_percent: None,
            continuity_errors: None,
            srt: None,
        };
        StreamStatus { ingest: Some(ingest), ..StreamStatus::offline(THEN) }
    }

    #[test]
    fn a_state_is_what_runs_or_else_what_is_asked_for() {
        use RestreamState::{AwaitingStream, Error, Stopped, Streaming};
        for (active, stop_reason, running, state, code) in [
            (true, None, runs(Streaming), Streaming, None),
            (true, None, runs(Error), Error, None),
            (true, None, None, AwaitingStream, None),
            (true, None, runs(Stopped), AwaitingStream, None),
            (false, None, None, Stopped, None),
            (false, Some(ReasonCode::SourceTimeout), None, Stopped, Some(ReasonCode::SourceTimeout)),
            // The destination is being told goodbye.
            (false, None, runs(Streaming), Streaming, None),
        ] {
            let view = wish(active, stop_reason).merged_with(running, &live(2.0));
            let push = view.status.push;
            assert_eq!((push.state, push.reason.map(|reason| reason.code)), (state, code), "{active} {stop_reason:?}");
        }
    }

    #[test]
    fn a_platform_is_heard_about_what_is_sent() {
        let codes = |wish: &RestreamWish, source: &StreamStatus| {
            let view = wish.merged_with(None, source);
            view.platform_warnings.iter().map(|warning| warning.code).collect::<Vec<_>>()
        };
        let plain = wish(false, None);
        assert_eq!(codes(&plain, &live(2.0)), [""; 0]);
        assert_eq!(codes(&plain, &live(10.0)), ["gop_too_long"]);
        assert_eq!(codes(&plain, &StreamStatus::offline(THEN)), [""; 0], "nobody knows what will come");
        assert_eq!(codes(&RestreamWish { platform: None, ..plain.clone() }, &live(10.0)), [""; 0]);
        let warnings = plain.merged_with(None, &live(10.0)).platform_warnings;
        let mended = RestreamWish { rendition: warnings[0].suggestion.clone(), ..plain };
        assert_eq!(codes(&mended, &live(10.0)), [""; 0], "what is suggested breaks no rule");
    }
}

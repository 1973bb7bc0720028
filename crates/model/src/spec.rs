//! A restream as the restreamer is to run it. Every reference is resolved, and specs can be compared, so that a change is a difference.

use crate::{
    Destination, Platform, Platforms, PushUrl, Reason, ReasonCode, RenditionWish, Restream, RestreamId,
    RestreamRendition, RestreamTarget, RetryBudget, RetryRules, StreamId, UrlFault, status::Fault,
};

#[derive(Debug, Clone, PartialEq)]
pub struct RestreamSpec {
    pub id: RestreamId,
    pub stream_id: StreamId,
    pub name: String,
    pub primary: PushUrl,
    /// The backup server, which is fed all the time beside the primary one.
    pub backup: Option<PushUrl>,
    pub rendition: RenditionWish,
    /// See [`Restream::audio_language`].
    pub audio_language: Option<String>,
    pub retry: RetryRules,
    pub budget: RetryBudget,
    /// Whether Enhanced RTMP may be offered.
    pub enhanced_rtmp: bool,
}

/// Why a restream can't even be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    #[error("the destination is gone")]
    DestinationMissing,
    #[error("the address {0}")]
    Primary(UrlFault),
    #[error("the backup address {0}")]
    Backup(UrlFault),
}

impl ConfigFault {
    pub fn reason(&self) -> Reason {
        Reason::new(ReasonCode::Internal, self.to_string()).with_fault(Fault::Config)
    }
}

/// Makes the spec of a restream. The function is pure: the same rows give the same spec. A backup URL of the restream's own wins over the
/// destination's.
pub fn resolve(
    restream: &Restream,
    destination: Option<&Destination>,
    platforms: &Platforms,
) -> Result<RestreamSpec, ConfigFault> {
    let own_backup = match &restream.backup_uri {
        None => None,
        Some(uri) => Some(PushUrl::parse(uri.expose()).map_err(ConfigFault::Backup)?),
    };
    let (primary, backup, platform) = match &restream.target {
        RestreamTarget::Uri(uri) => (PushUrl::parse(uri.expose()).map_err(ConfigFault::Primary)?, own_backup, None),
        RestreamTarget::Destination { destination_id, stream_key } => {
            let destination = destination
                .filter(|destination| destination.id == *destination_id)
                .ok_or(ConfigFault::DestinationMissing)?;
            let with_key = |server: &str| PushUrl::from_server_and_key(server, stream_key.expose());
            let primary = with_key(destination.url.expose()).map_err(ConfigFault::Primary)?;
            // A key that is a whole URL leads elsewhere, so the destination's backup is not its backup.
            let whole = stream_key.expose().contains("://");
            let backup = match (own_backup, &destination.backup_url) {
                (None, Some(server)) if !whole => Some(with_key(server.expose()).map_err(ConfigFault::Backup)?),
                (own, _) => own,
            };
            (primary, backup, platforms.get(&destination.platform))
        }
    };
    let platform = platform.or_else(|| platforms.of(&primary));
    Ok(RestreamSpec {
        id: restream.id,
        stream_id: restream.stream_id,
        name: restream.name.clone(),
        budget: platform.map(|platform| platform.retry).unwrap_or_default(),
        enhanced_rtmp: platform.is_none_or(|platform| platform.enhanced_rtmp),
        primary,
        backup,
        rendition: filled(&restream.rendition, platform),
        audio_language: restream.audio_language.clone(),
        retry: restream.retry,
    })
}

/// A restream's own rendition takes the settings that were written, and for the rest those that suit the platform. A rendition of the
/// ladder is left as it is, because it is for others too.
fn filled(asked: &RestreamRendition, platform: Option<&Platform>) -> RenditionWish {
    match asked {
        RestreamRendition::AsIs => RenditionWish::AsIs,
        RestreamRendition::Named(name) => RenditionWish::Named(name.clone()),
        RestreamRendition::Inline(draft) => RenditionWish::Inline(draft.fill(platform.map(|platform| &platform.rules))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DestinationId, RenditionDraft, Schedule};
    use time::OffsetDateTime;

    fn restream(target: RestreamTarget) -> Restream {
        Restream {
            id: RestreamId(7),
            version: 1,
            stream_id: StreamId(20),
            name: "first restream".into(),
            active: true,
            client_user_id: Some(10),
            target,
            backup_uri: None,
            rendition: RestreamRendition::AsIs,
            audio_language: None,
            schedule: Schedule::default(),
            retry: RetryRules::default(),
            stop_reason: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn destination(url: &str, backup: Option<&str>) -> Destination {
        Destination {
            id: DestinationId(3),
            version: 1,
            name: "YouTube".into(),
            platform: "youtube".into(),
            url: url.into(),
            backup_url: backup.map(Into::into),
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn by_destination(key: &str) -> Restream {
        restream(RestreamTarget::Destination { destination_id: DestinationId(3), stream_key: key.into() })
    }

    #[test]
    fn one_line() {
        let platforms = Platforms::load().unwrap();
        let spec =
            resolve(&restream(RestreamTarget::Uri("rtmp://live.twitch.tv/app/k".into())), None, &platforms).unwrap();
        assert_eq!(spec.budget, platforms.get("twitch").unwrap().retry);
        assert_eq!(spec.backup, None);
        let fault = resolve(&restream(RestreamTarget::Uri("rtmp://h".into())), None, &platforms).unwrap_err();
        assert_eq!(fault.reason().fault, Fault::Config);
    }

    #[test]
    fn destination_and_key() {
        let platforms = Platforms::load().unwrap();
        let saved = destination("rtmp://a/live2/", Some("rtmp://b/live2?backup=1"));
        let spec = resolve(&by_destination("k"), Some(&saved), &platforms).unwrap();
        assert_eq!(spec.primary, PushUrl::from_server_and_key("rtmp://a/live2", "k").unwrap());
        assert_eq!(spec.backup, Some(PushUrl::from_server_and_key("rtmp://b/live2?backup=1", "k").unwrap()));
        assert_eq!(spec.budget, platforms.get("youtube").unwrap().retry);

        let own = Restream { backup_uri: Some("rtmp://c/x/y".into()), ..by_destination("k") };
        let spec = resolve(&own, Some(&saved), &platforms).unwrap();
        assert_eq!(spec.backup, Some(PushUrl::parse("rtmp://c/x/y").unwrap()));

        let pushed = resolve(&by_destination("srt://h:9000?latency=2s"), Some(&saved), &platforms).unwrap();
        assert!(matches!(pushed.primary, PushUrl::Srt { .. }) && pushed.backup.is_none());

        assert_eq!(resolve(&by_destination("k"), None, &platforms), Err(ConfigFault::DestinationMissing));
    }

    #[test]
    fn a_rendition_of_its_own_is_filled_by_the_platform_and_keeps_what_was_said() {
        let platforms = Platforms::load().unwrap();
        let size = RenditionDraft { width: Some(1280), height: Some(720), ..RenditionDraft::default() };
        let draft = RenditionDraft { name: "own".into(), gop_seconds: Some(9.0), ..size };
        let rendition = RestreamRendition::Inline(draft);
        for (uri, kbps) in [("rtmp://live.twitch.tv/app/k", 3_250), ("rtmp://127.0.0.1/app/k", 2_700)] {
            let own = Restream { rendition: rendition.clone(), ..restream(RestreamTarget::Uri(uri.into())) };
            let RenditionWish::Inline(wish) = resolve(&own, None, &platforms).unwrap().rendition else {
                unreachable!("{uri}")
            };
            let picture = wish.picture().map(|picture| (picture.bitrate_kbps, picture.gop_seconds));
            assert_eq!(picture, Some((kbps, 9.0)), "{uri}");
        }
    }
}
